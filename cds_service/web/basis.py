"""The public basis: `/basis` and its pages, as HTML for people, and the source attributes as JSON too.

Pages say the same to everybody and change with the release alone: each is drawn at its first demand and kept.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import msgspec
from flask import Blueprint, Response, abort, render_template, request

from cds_service import __version__
from cds_service.knowledge import Knowledge
from cds_service.web.discovery import INTENDED_USE, SERVICE_ID, TITLE
from cds_service.web.html import STYLE, html_response
from cds_service.web.http import json_response

if TYPE_CHECKING:
    from cds_service.basis import Library

_SERVICE = {"service": SERVICE_ID, "serviceVersion": __version__, "title": TITLE}


def basis_blueprint(knowledge: Knowledge) -> Blueprint:
    """Return `/basis`, a page for each card, the factors, and the source attributes."""
    blueprint = Blueprint("basis", __name__)

    @cache
    def library() -> "Library":
        from cds_service.basis import load_library  # noqa: PLC0415 - a start that shows no page stays short

        return load_library(knowledge)

    @cache
    def drawn(name: str, root: str) -> str | None:
        return _draw(library(), name, root)

    def shown(name: str) -> Response:
        # Addresses are relative, so that the pages work below the path prefix of a proxy.
        root = "../" * (request.path.count("/") - 1)
        text = drawn(name, root)
        return html_response(text) if text is not None else _not_found(library(), root)

    @blueprint.get("/basis")
    def index() -> Response:
        return shown("")

    @blueprint.get("/basis/<name>")
    def one(name: str) -> Response:
        # A name of any length or content is nothing to keep.
        return shown(name if name in _names(library()) else "unknown")

    @blueprint.get("/basis/source-attributes.json")
    def attributes() -> Response:
        from cds_service.basis import source_attributes  # noqa: PLC0415 - as above

        return json_response(msgspec.json.encode(source_attributes(library(), _SERVICE)))

    return blueprint


def _names(library: "Library") -> frozenset[str]:
    keys = (page.key for page in library.cards())
    return frozenset(_PAGES) | {name for key in keys for name in (key.value, key.topic_code)}


def _draw(library: "Library", name: str, root: str) -> str | None:
    """Return the HTML of a page, None where there is none of this name."""
    special = _PAGES.get(name)
    if special is not None:
        return special(library, root)
    card = library.card(name)
    return None if card is None else _rendered(library, "card", root, card=card)


def _rendered(library: "Library", template: str, root: str, **values: object) -> str:
    return render_template(
        f"basis/{template}.html",
        style=STYLE,
        root=root,
        service=_SERVICE,
        intended_use=INTENDED_USE,
        knowledge=library.knowledge,
        about=library.about,
        **values,
    )


def _index(library: "Library", root: str) -> str:
    from cds_service.knowledge.review import awaiting_review, counted  # noqa: PLC0415 - with the pages only

    awaiting = counted(awaiting_review(library.knowledge, library.basis))
    return _rendered(
        library, "index", root, cards=library.cards(), limits=library.limits(), awaiting=awaiting
    )


def _factors(library: "Library", root: str) -> str:
    return _rendered(library, "factors", root, factors=library.factors(), medicines=library.medicines())


def _attributes(library: "Library", root: str) -> str:
    from cds_service.basis import source_attributes  # noqa: PLC0415 - with the pages only

    return _rendered(library, "attributes", root, told=source_attributes(library, _SERVICE))


_PAGES: dict[str, Callable[["Library", str], str]] = {
    "": _index,
    "factors": _factors,
    "source-attributes": _attributes,
}


def _not_found(library: "Library", root: str) -> Response:
    """Return 404: a page for a reader, the error of all other addresses for a program."""
    best = request.accept_mimetypes.best_match(("application/json", "text/html"), default="application/json")
    if best != "text/html":
        abort(404)
    return html_response(_rendered(library, "missing", root), 404)
