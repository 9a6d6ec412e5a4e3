"""A record of another FHIR release, or of several, rewritten as R4 before it is read.

What a resource is written in follows from its shape and, where that leaves a choice, from what the client
names, else from what most of the record must be written in. A resource of no release that we read stays as
it came; reading then refuses it. The original text is kept for the validation of what decides.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from cds_service.fhir import convert_dstu2, convert_r5, convert_stu3, lean
from cds_service.fhir.convert_parts import Converter, Json
from cds_service.fhir.decoding import UNREADABLE, Origin, Place, list_of, text_of
from cds_service.fhir.needs import TYPE_NEEDS
from cds_service.fhir.references import REFERABLE_TYPES
from cds_service.fhir.versions import (
    FOREIGN_TYPES,
    READ_VERSIONS,
    FhirVersion,
    Versions,
    likely_versions,
    versions_of,
)

_CONVERTERS: Mapping[FhirVersion, Converter] = {
    FhirVersion.DSTU2: convert_dstu2.to_r4,
    FhirVersion.STU3: convert_stu3.to_r4,
    FhirVersion.R5: convert_r5.to_r4,
}
_TYPES = frozenset(TYPE_NEEDS) | frozenset(FOREIGN_TYPES) | REFERABLE_TYPES | {"Observation"}
_BUNDLE = "Bundle"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_resource = msgspec.json.Decoder(lean.Resource)
# A number keeps its text, so that no digit of a value is lost on the way.
_json = msgspec.json.Decoder(dict[str, object], float_hook=lambda text: msgspec.Raw(text.encode()))
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Translated:
    """The values of a prefetch with every resource as R4, where each came from, and how many of each.

    `release` is the one that the record as a whole is written in.
    """

    values: Mapping[str, msgspec.Raw]
    origins: Mapping[Place, Origin]
    counts: Mapping[tuple[str, FhirVersion], int]
    release: FhirVersion = FhirVersion.R4


@dataclass(frozen=True, slots=True)
class _Node:
    """One resource; `entries` are those of a Bundle, a part that is no entry with a resource has no node."""

    raw: msgspec.Raw
    resource_type: str = ""
    members: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    entries: tuple[tuple[msgspec.Raw, "_Node | None"], ...] = ()
    resource: lean.Resource | None = None


def translate(values: Mapping[str, msgspec.Raw], hinted: FhirVersion | None) -> Translated:
    """Return prefetch values as R4; `hinted` is the release that the client names, None for none."""
    nodes = {key: _node(raw) for key, raw in values.items()}
    release = hinted or _most_likely(nodes.values())
    translator = _Translator(release)
    translated = {key: translator.translate(node, key) for key, node in nodes.items()}
    return Translated(translated, translator.origins, translator.counts, release)


def _node(raw: msgspec.Raw) -> _Node:
    try:
        members = _members.decode(raw)
    except UNREADABLE:
        return _Node(raw)
    resource_type = text_of(members.get("resourceType", lean.ABSENT)) or ""
    if resource_type == _BUNDLE:
        entries = list_of(members.get("entry", lean.ABSENT))
        return _Node(raw, resource_type, members, tuple((one, _node_of_entry(one)) for one in entries))
    return _Node(raw, resource_type, members, resource=_decode(raw) if resource_type in _TYPES else None)


def _node_of_entry(raw: msgspec.Raw) -> _Node | None:
    try:
        resource = _members.decode(raw).get("resource")
    except UNREADABLE:
        return None
    return _node(resource) if resource is not None else None


def _decode(raw: msgspec.Raw) -> lean.Resource | None:
    try:
        resource: lean.Resource = _resource.decode(raw)
    except UNREADABLE:
        return None
    return resource


def _most_likely(nodes: Iterable[_Node]) -> FhirVersion:
    """Return the release in which most of the resources that tell can be written."""
    votes: Counter[FhirVersion] = Counter()
    for resource in _resources(nodes):
        likely = likely_versions(resource)
        if len(likely) < len(READ_VERSIONS):
            votes.update(likely)
    return max(READ_VERSIONS, key=lambda version: votes[version])


def _resources(nodes: Iterable[_Node]) -> Iterator[lean.Resource]:
    for node in nodes:
        if node.resource is not None:
            yield node.resource
        yield from _resources(inner for _, inner in node.entries if inner is not None)


class _Translator:
    """Rewrites the resources of one prefetch; notes where each came from."""

    def __init__(self, usual: FhirVersion) -> None:
        self._usual = usual
        self.origins: dict[Place, Origin] = {}
        self.counts: Counter[tuple[str, FhirVersion]] = Counter()

    def translate(self, node: _Node, key: str) -> msgspec.Raw:
        """Return one prefetch value as R4."""
        if node.resource_type == _BUNDLE:
            return self._bundle(node, Place(key))
        converted, origin = self._convert(node)
        if len(converted) == 1:
            self._note(Place(key), origin)
            return converted[0]
        for number in range(len(converted)):
            self._note(Place(key, (number,)), origin)
        return _raw({"resourceType": _BUNDLE, "entry": [{"resource": one} for one in converted]})

    def _bundle(self, bundle: _Node, place: Place) -> msgspec.Raw:
        entries: list[msgspec.Raw] = []
        for raw, node in bundle.entries:
            inner = Place(place.key, (*place.path, len(entries)))
            if node is None:
                entries.append(raw)
            elif node.resource_type == _BUNDLE:
                entries.append(_with_resource(raw, self._bundle(node, inner)))
            else:
                entries.extend(self._entry(raw, node, inner))
        return _raw({**bundle.members, "entry": entries}) if bundle.entries else bundle.raw

    def _entry(self, raw: msgspec.Raw, node: _Node, place: Place) -> Iterator[msgspec.Raw]:
        converted, origin = self._convert(node)
        for number, one in enumerate(converted, place.path[-1]):
            self._note(Place(place.key, (*place.path[:-1], number)), origin)
            yield raw if one is node.raw else _with_resource(raw, one)

    def _convert(self, node: _Node) -> tuple[list[msgspec.Raw], Origin | None]:
        """Return a resource as R4 has it, and its origin where that is another release."""
        if node.resource_type not in _TYPES:
            return [node.raw], None
        version = self._version(READ_VERSIONS if node.resource is None else versions_of(node.resource))
        convert = _CONVERTERS.get(version) if version is not None else None
        if version is None or convert is None:
            return [node.raw], None
        try:
            resource: Json = _json.decode(node.raw)
            converted = convert(resource)
            rewritten = [node.raw if one is resource else _raw(one) for one in converted]
        except UNREADABLE:
            return [node.raw], None
        self.counts[FOREIGN_TYPES.get(node.resource_type, node.resource_type), version] += 1
        return rewritten, Origin(node.raw, node.resource_type, version)

    def _version(self, versions: Versions | tuple[FhirVersion, ...]) -> FhirVersion | None:
        if self._usual in versions:
            return self._usual
        return next((version for version in READ_VERSIONS if version in versions), None)

    def _note(self, place: Place, origin: Origin | None) -> None:
        if origin is not None:
            self.origins[place] = origin


def _with_resource(entry: msgspec.Raw, resource: msgspec.Raw) -> msgspec.Raw:
    return _raw({**_members.decode(entry), "resource": resource})


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
