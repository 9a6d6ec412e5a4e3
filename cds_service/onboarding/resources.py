"""The resources that pages of a search hold, as JSON text, without judging them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

_BUNDLE, _OUTCOME = "Bundle", "OperationOutcome"


class Sent(NamedTuple):
    """A resource as it was sent: its type, its id ("" when it has none), its JSON text."""

    resource_type: str
    resource_id: str
    text: bytes


class _Head(msgspec.Struct):
    resourceType: str | None = None  # noqa: N815 - as FHIR spells it
    id: str | int | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct):
    entry: list[_Entry | None] | None = None


_head = msgspec.json.Decoder(_Head)
_bundle = msgspec.json.Decoder(_Bundle)


def sent_resources(pages: Iterable[bytes]) -> Iterator[Sent]:
    """Yield the resources of pages; what has no readable type, and OperationOutcomes, are passed over."""
    for page in pages:
        sent = _sent(page)
        if sent is None:
            continue
        if sent.resource_type != _BUNDLE:
            yield sent
            continue
        for entry in _entries(page):
            inner = _sent(bytes(entry.resource)) if entry is not None else None
            if inner is not None and inner.resource_type != _OUTCOME:
                yield inner


def _entries(page: bytes) -> list[_Entry | None]:
    try:
        return _bundle.decode(page).entry or []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _sent(text: bytes) -> Sent | None:
    try:
        head = _head.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not head.resourceType:
        return None
    return Sent(head.resourceType, "" if head.id is None else str(head.id), text)
