"""The knowledge base as FHIR: `/knowledge/` and one address for each resource.

Made at the first demand and kept: it changes with the release and the settings alone.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request

from cds_service.web.html import page
from cds_service.web.http import JSON

if TYPE_CHECKING:
    from cds_service.published import Publication

FHIR_JSON = "application/fhir+json"
_HTML = "text/html"


def published_blueprint(make: Callable[[], "Publication"]) -> Blueprint:
    """Return `/knowledge/`, as a page or as a Bundle, and the resources below it; `make` makes them all."""
    blueprint = Blueprint("published", __name__)
    publication = cache(make)

    @blueprint.get("/knowledge/")
    def index() -> Response:
        # Where a client has no wish, it gets the Bundle.
        if request.accept_mimetypes.best_match((FHIR_JSON, JSON, _HTML), default=FHIR_JSON) != _HTML:
            return _fhir(publication().bundle)
        # Addresses are relative, so that the page works below the path prefix of a proxy.
        root = "../" * (request.path.count("/") - 1)
        return page("knowledge.html", root=root, publication=publication())

    @blueprint.get("/knowledge/<kind>/<identity>")
    def one(kind: str, identity: str) -> Response:
        found = publication().find(kind, identity)
        return abort(404) if found is None else _fhir(found.body)

    return blueprint


def _fhir(body: bytes) -> Response:
    return Response(body, content_type=FHIR_JSON)
