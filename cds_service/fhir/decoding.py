"""From the bytes of the prefetch to heads (type and code of each resource), and to whole resources on demand.

A chart of thousands of resources is gone through in one pass that keeps of each only what tells whether
to read it. The few that are read are decoded again in full, found by their place; so is their JSON text
for validation. One resource of an unexpected shape costs itself, never its neighbours.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from cds_service.fhir import lean
from cds_service.fhir.versions import FhirVersion

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on JSON that does not fit: wrong types, bad text in a member that is read, depth."""


# A text is taken whole, so that no null inside one is found; two at the end of a list take a second round.
_LIST_NULL = re.compile(
    rb'(?P<kept>"(?:[^"\\]|\\.)*")|(?<=[\[,])\s*null\s*,|,\s*null\s*(?=\])|(?<=\[)\s*null\s*(?=\])', re.DOTALL
)
_MOST_ROUNDS = 8


class PrefetchUnreadable(ValueError):
    """Raised when the prefetch is not a JSON object (the wire checks that before)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the FHIR server answered to one search: its pages, and what hindered the rest (None: nothing).

    `key` is the prefetch key whose question was asked; where the prefetch has that key, the pages follow
    its value. `is_lookup`: only resources that others refer to, which answer no need.
    """

    key: str
    pages: tuple[bytes, ...] = ()
    problem: str | None = None
    resource_type: str = ""
    is_lookup: bool = False

    @property
    def place_keys(self) -> tuple[str, ...]:
        """The keys under which the pages are stored; no prefetch key looks like them."""
        return tuple(f"{self.key}\0{number}" for number in range(len(self.pages)))


@dataclass(frozen=True, slots=True)
class Call:
    """What the call says about its prefetch, and what the FHIR server added to it.

    `own_keys` maps the prefetch keys of our templates to the need that each fills (values of facts.Need);
    `repeated` are the keys that stand in the prefetch more than once.
    """

    own_keys: Mapping[str, str]
    patient_id: str
    fhir_server: str | None = None
    version_hint: str | None = None
    fetched: tuple[Fetched, ...] = ()
    repeated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resource stands: the prefetch key and the entry numbers from the outer Bundle inwards."""

    key: str
    path: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """What a resource was before it was rewritten as R4: its JSON text, its type then, its FHIR release."""

    text: msgspec.Raw
    resource_type: str
    version: FhirVersion


class Head(msgspec.Struct, gc=False):
    """What decides whether a resource is read; the raw members are looked at only when they matter."""

    resourceType: str | None = None
    code: msgspec.Raw = lean.ABSENT
    medicationCodeableConcept: msgspec.Raw = lean.ABSENT
    category: msgspec.Raw = lean.ABSENT
    component: msgspec.Raw = lean.ABSENT
    subject: msgspec.Raw = lean.ABSENT
    context: msgspec.Raw = lean.ABSENT
    # Bundle and OperationOutcome
    implicitRules: msgspec.Raw = lean.ABSENT
    modifierExtension: msgspec.Raw = lean.ABSENT
    link: msgspec.Raw = lean.ABSENT
    total: msgspec.Raw = lean.ABSENT
    issue: msgspec.Raw = lean.ABSENT
    entry: "list[HeadEntry | None] | None" = None


class HeadEntry(msgspec.Struct, gc=False):
    """Bundle.entry of a head."""

    resource: Head | None = None
    search: lean.Search | None = None
    response: msgspec.Raw = lean.ABSENT


@dataclass(frozen=True, slots=True)
class Supplied:
    """One prefetch value; `is_readable` False when it is neither null nor an object."""

    key: str
    head: Head | None
    is_readable: bool = True


class _Loose(msgspec.Struct, gc=False):
    """The same members, of any shape."""

    resourceType: msgspec.Raw = lean.ABSENT
    code: msgspec.Raw = lean.ABSENT
    medicationCodeableConcept: msgspec.Raw = lean.ABSENT
    category: msgspec.Raw = lean.ABSENT
    component: msgspec.Raw = lean.ABSENT
    subject: msgspec.Raw = lean.ABSENT
    context: msgspec.Raw = lean.ABSENT
    implicitRules: msgspec.Raw = lean.ABSENT
    modifierExtension: msgspec.Raw = lean.ABSENT
    link: msgspec.Raw = lean.ABSENT
    total: msgspec.Raw = lean.ABSENT
    issue: msgspec.Raw = lean.ABSENT
    entry: msgspec.Raw = lean.ABSENT


class _LooseEntry(msgspec.Struct, gc=False):
    fullUrl: msgspec.Raw = lean.ABSENT
    resource: msgspec.Raw = lean.ABSENT
    search: msgspec.Raw = lean.ABSENT
    response: msgspec.Raw = lean.ABSENT


class _Split(msgspec.Struct, gc=False):
    entry: list[msgspec.Raw] = []


_split = msgspec.json.Decoder(_Split)
_raw_values = msgspec.json.Decoder(dict[str, msgspec.Raw])
_head = msgspec.json.Decoder(Head | None)
_head_entry = msgspec.json.Decoder(HeadEntry | None)
_loose = msgspec.json.Decoder(_Loose)
_loose_entry = msgspec.json.Decoder(_LooseEntry)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_string = msgspec.json.Decoder(str)
_search = msgspec.json.Decoder(lean.Search)
_resource = msgspec.json.Decoder(lean.Resource)
_entry = msgspec.json.Decoder(lean.Entry)


def split_prefetch(prefetch: bytes | msgspec.Raw) -> Mapping[str, msgspec.Raw]:
    """Return the values of a prefetch object; raises PrefetchUnreadable when it is no JSON object."""
    try:
        return _raw_values.decode(prefetch)
    except UNREADABLE:
        raise PrefetchUnreadable("the prefetch is not a JSON object") from None


def pages_by_key(fetched: Iterable[Fetched]) -> dict[str, msgspec.Raw]:
    """Return every fetched page by the key under which it is stored."""
    return {
        key: msgspec.Raw(page) for one in fetched for key, page in zip(one.place_keys, one.pages, strict=True)
    }


def decode_head(key: str, raw: msgspec.Raw) -> Supplied:
    """Return the heads of the resources that one prefetch value holds."""
    try:
        return Supplied(key, _head.decode(raw))
    except UNREADABLE:
        head = _decode_loosely(raw)
        return Supplied(key, head, is_readable=head is not None)


def text_of(raw: msgspec.Raw) -> str | None:
    """Return a raw member that is a JSON string, else None."""
    try:
        return _string.decode(raw)
    except UNREADABLE:
        return None


def list_of(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the parts of a raw member that is a JSON array, else []."""
    try:
        return _raw_list.decode(raw)
    except UNREADABLE:
        return []


def _decode_loosely(raw: msgspec.Raw) -> Head | None:
    """Return the head of a resource some of whose members have another shape, None if it is no object."""
    try:
        loose = _loose.decode(raw)
    except UNREADABLE:
        return None
    head = Head(
        resourceType=text_of(loose.resourceType),
        code=loose.code,
        medicationCodeableConcept=loose.medicationCodeableConcept,
        category=loose.category,
        component=loose.component,
        subject=loose.subject,
        context=loose.context,
        implicitRules=loose.implicitRules,
        modifierExtension=loose.modifierExtension,
        link=loose.link,
        total=loose.total,
        issue=loose.issue,
    )
    if head.resourceType == "Bundle" and bytes(loose.entry) not in (b"", b"null", b"[]"):
        # An entry member that is no list holds something that cannot be read.
        head.entry = [_decode_entry(one) for one in list_of(loose.entry)] or [HeadEntry(resource=Head())]
    return head


def _decode_entry(raw: msgspec.Raw) -> HeadEntry | None:
    try:
        entry: HeadEntry | None = _head_entry.decode(raw)
    except UNREADABLE:
        return _decode_entry_loosely(raw)
    return entry


def _decode_entry_loosely(raw: msgspec.Raw) -> HeadEntry:
    try:
        loose = _loose_entry.decode(raw)
    except UNREADABLE:
        return HeadEntry(resource=Head())
    return HeadEntry(
        resource=_decode_loosely(loose.resource) or Head(),
        search=_search_of(loose.search),
        response=loose.response,
    )


def _search_of(raw: msgspec.Raw) -> lean.Search | None:
    try:
        return _search.decode(raw)
    except UNREADABLE:
        return None


def _decoded(raw: msgspec.Raw) -> lean.Resource:
    """Return a resource, if need be without the nulls that stand in its lists; raises one of UNREADABLE."""
    try:
        return _resource.decode(raw)
    except UNREADABLE:
        text = without_nulls(bytes(raw))
        if len(text) == len(raw):
            raise
        return _resource.decode(text)


def without_nulls(text: bytes) -> bytes:
    """Return a JSON text without the nulls among the elements of its lists; nothing else changes."""
    for _ in range(_MOST_ROUNDS):
        fewer = _LIST_NULL.sub(lambda match: match["kept"] or b"", text)
        if len(fewer) == len(text):
            break
        text = fewer
    return text


class ResourceStore:
    """The supplied resources, found again by their place and decoded on demand."""

    def __init__(
        self, values: Mapping[str, msgspec.Raw], origins: Mapping[Place, Origin] | None = None
    ) -> None:
        """Keep the raw prefetch values; nothing is decoded yet."""
        self._values = values
        self._origins = origins or {}
        self._entries: dict[Place, list[msgspec.Raw]] = {}

    def text(self, place: Place) -> bytes:
        """Return the JSON text of the resource at `place`."""
        return bytes(self._resource(place))

    def origin(self, place: Place) -> Origin | None:
        """Return what the resource at `place` was before it was rewritten, None when it came as R4."""
        return self._origins.get(place)

    def entry(self, place: Place) -> lean.Entry:
        """Return the resource at `place` with what surrounds it; raises one of UNREADABLE if misshapen."""
        if not place.path:
            return lean.Entry(resource=_decoded(self._values[place.key]))
        raw = self._entry(place)
        try:
            return _entry.decode(raw)
        except UNREADABLE:
            return self._entry_of_odd_shape(raw)

    def _entry_of_odd_shape(self, raw: msgspec.Raw) -> lean.Entry:
        """Return an entry whose resource may be fine where only what surrounds it is odd."""
        loose = _loose_entry.decode(raw)
        address = text_of(loose.fullUrl)
        return lean.Entry(fullUrl=address, resource=_decoded(loose.resource), search=_search_of(loose.search))

    def _resource(self, place: Place) -> msgspec.Raw:
        return _loose_entry.decode(self._entry(place)).resource if place.path else self._values[place.key]

    def _entry(self, place: Place) -> msgspec.Raw:
        parent = Place(place.key, place.path[:-1])
        known = self._entries.get(parent)
        if known is None:
            known = self._entries[parent] = _split.decode(self._resource(parent)).entry
        return known[place.path[-1]]
