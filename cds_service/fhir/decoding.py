"""From the bytes of the prefetch to lean values: all in one typed pass, entry by entry where that fails.

One resource of an unexpected shape costs itself, never its neighbours. The same bytes answer later what
a chosen resource looks like in full (`RawStore`), so that nothing is kept of the thousands never chosen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from cds_service.fhir import lean
from cds_service.fhir.needs import Place

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on JSON that does not fit: wrong types, bad text in a member that is read, depth."""


class PrefetchUnreadable(ValueError):  # noqa: N818 - it names what is unreadable, like the facts do
    """Raised when the prefetch is not a JSON object (the wire checks that before)."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A resource that does not have the shape of its type."""

    path: tuple[int, ...]
    raw: msgspec.Raw
    is_included: bool = False


@dataclass(frozen=True, slots=True)
class Supplied:
    """One prefetch value; `is_readable` False when not even its outline could be read."""

    key: str
    value: lean.Resource | None
    broken: tuple[Broken, ...] = ()
    is_readable: bool = True


class _LooseBundle(msgspec.Struct, gc=False):
    resourceType: msgspec.Raw = lean.ABSENT
    implicitRules: msgspec.Raw = lean.ABSENT
    type: msgspec.Raw = lean.ABSENT
    total: msgspec.Raw = lean.ABSENT
    link: msgspec.Raw = lean.ABSENT
    entry: msgspec.Raw = lean.ABSENT


class _LooseEntry(msgspec.Struct, gc=False):
    fullUrl: msgspec.Raw = lean.ABSENT
    resource: msgspec.Raw = lean.ABSENT
    search: msgspec.Raw = lean.ABSENT


_values = msgspec.json.Decoder(dict[str, lean.Resource | None])
_raw_values = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder(lean.Resource | None)
_loose_bundle = msgspec.json.Decoder(_LooseBundle)
_loose_entry = msgspec.json.Decoder(_LooseEntry)
_entry = msgspec.json.Decoder(lean.Entry | None)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_string = msgspec.json.Decoder(str)
_search = msgspec.json.Decoder(lean.Search)


def decode_prefetch(prefetch: bytes) -> list[Supplied]:
    """Return the values of a prefetch object; raises PrefetchUnreadable when it is no JSON object."""
    try:
        return [Supplied(key, value) for key, value in _values.decode(prefetch).items()]
    except UNREADABLE:
        return [_decode_value(key, raw) for key, raw in _split(prefetch).items()]


def text_of(raw: msgspec.Raw) -> str | None:
    """Return a raw member that is a JSON string, else None."""
    try:
        return _string.decode(raw)
    except UNREADABLE:
        return None


def _split(prefetch: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        return _raw_values.decode(prefetch)
    except UNREADABLE:
        raise PrefetchUnreadable("the prefetch is not a JSON object") from None


def _decode_value(key: str, raw: msgspec.Raw) -> Supplied:
    try:
        return Supplied(key, _value.decode(raw))
    except UNREADABLE:
        return _decode_loosely(key, raw)


def _decode_loosely(key: str, raw: msgspec.Raw) -> Supplied:
    try:
        outline = _loose_bundle.decode(raw)
    except UNREADABLE:
        return Supplied(key, None, is_readable=False)
    if text_of(outline.resourceType) != "Bundle":
        return Supplied(key, None, (Broken((), raw),))
    broken: list[Broken] = []
    return Supplied(key, _bundle(outline, (), broken), tuple(broken))


def _bundle(outline: _LooseBundle, path: tuple[int, ...], broken: list[Broken]) -> lean.Resource:
    """Return a Bundle of the entries that can be read; the others go to `broken`, their places stay."""
    return lean.Resource(
        resourceType="Bundle",
        implicitRules=None if len(bytes(outline.implicitRules)) == 0 else "present",
        type=outline.type,
        total=outline.total,
        link=_list(outline.link),
        entry=[
            _read_entry(raw, (*path, number), broken)
            for number, raw in enumerate(_list(outline.entry) or [outline.entry] * _is_there(outline.entry))
        ],
    )


def _is_there(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in (b"", b"null", b"[]")


def _list(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    try:
        return _raw_list.decode(raw)
    except UNREADABLE:
        return None


def _read_entry(raw: msgspec.Raw, path: tuple[int, ...], broken: list[Broken]) -> lean.Entry | None:
    try:
        return _entry.decode(raw)
    except UNREADABLE:
        return _read_broken_entry(raw, path, broken)


def _read_broken_entry(raw: msgspec.Raw, path: tuple[int, ...], broken: list[Broken]) -> lean.Entry | None:
    try:
        outline = _loose_entry.decode(raw)
    except UNREADABLE:
        broken.append(Broken(path, raw))
        return None
    try:
        inner = _loose_bundle.decode(outline.resource)
    except UNREADABLE:
        broken.append(Broken(path, outline.resource))
        return None
    if text_of(inner.resourceType) == "Bundle":
        return lean.Entry(resource=_bundle(inner, path, broken))
    # The resource may be fine and only what surrounds it odd.
    try:
        resource = _value.decode(outline.resource)
    except UNREADABLE:
        broken.append(Broken(path, outline.resource, is_included=_is_included(outline.search)))
        return None
    return lean.Entry(fullUrl=text_of(outline.fullUrl), resource=resource)


def _is_included(raw: msgspec.Raw) -> bool:
    try:
        return _search.decode(raw).mode == "include"
    except UNREADABLE:
        return False


class RawStore:
    """The JSON text of single resources, found again by their place in the prefetch."""

    def __init__(self, prefetch: bytes) -> None:
        self._prefetch = prefetch
        self._values: Mapping[str, msgspec.Raw] | None = None
        self._entries: dict[Place, list[msgspec.Raw]] = {}

    def raw(self, place: Place) -> bytes:
        """Return the JSON text of the resource at `place`."""
        if self._values is None:
            self._values = _raw_values.decode(self._prefetch)
        raw = self._values[place.key]
        for depth, number in enumerate(place.path):
            raw = self._resources(Place(place.key, place.path[:depth]), raw)[number]
            raw = _loose_entry.decode(raw).resource
        return bytes(raw)

    def _resources(self, place: Place, raw: msgspec.Raw) -> list[msgspec.Raw]:
        known = self._entries.get(place)
        if known is None:
            known = self._entries[place] = _raw_list.decode(_loose_bundle.decode(raw).entry)
        return known


def entries_of(bundle: lean.Resource) -> Iterator[tuple[int, lean.Entry | None]]:
    """Return the numbered entries of a Bundle."""
    return enumerate(bundle.entry or ())
