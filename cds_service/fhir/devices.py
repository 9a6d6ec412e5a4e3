"""Devices and their use as facts: positive airway pressure is all that is looked for (docs/rules.md R9.7)."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from cds_service.clinical.facts import Certainty, DeviceFact, IssueKind, PartialDate
from cds_service.fhir import lean
from cds_service.fhir.decoding import UNREADABLE
from cds_service.fhir.lean import CodeableConcept, Reference, Resource
from cds_service.fhir.needs import Item
from cds_service.fhir.reading import Reading, bounded, label, words_of
from cds_service.fhir.references import parse_reference

_IN_USE = frozenset({"active"})
_NOT_USED = frozenset({"entered-in-error", "intended", "not-done", "inactive", "not-available"})
_POSITIVE_AIRWAY_PRESSURE = frozenset({"positive_airway_pressure"})
_DEVICE = "Device"

_concept = msgspec.json.Decoder(CodeableConcept | None)
_reference = msgspec.json.Decoder(Reference | None)
_names = msgspec.json.Decoder(list[dict[str, object]])


class DeviceReader:
    """Reads the devices of one request; `devices` are those that a use may refer to."""

    def __init__(self, reading: Reading, devices: Iterable[Item]) -> None:
        """Note the devices by their id."""
        self._reading = reading
        self._devices: Mapping[str, Item] = {
            str(item.resource.id): item for item in devices if item.resource.id is not None
        }

    def read_use(self, item: Item) -> DeviceFact | None:
        """Return the use of a device of a group that is read."""
        resource = item.resource
        reference = _decoded_reference(resource.device)
        status = _code(resource.status)
        if reference is None or status in _NOT_USED:
            return None
        described = [*self._referred(reference, item), CodeableConcept(text=reference.display)]
        start, end = self._reading.period(resource.timingPeriod, "DeviceUseStatement", "timingPeriod")
        read = self._reading.date
        when = (
            end
            or start
            or read(resource.timingDateTime, "DeviceUseStatement", "timingDateTime")
            or read(resource.recordedOn, "DeviceUseStatement", "recordedOn")
        )
        return self._fact(item, described, is_in_use=status in _IN_USE and end is None, when=when)

    def read_device(self, item: Item) -> DeviceFact | None:
        """Return a device that is said to be this patient's and in use.

        A device without a patient is anybody's: it counts only where a use refers to it.
        """
        resource = item.resource
        if resource.patient is None or _code(resource.status) not in _IN_USE:
            return None
        return self._fact(item, list(_descriptions(resource)), is_in_use=True, when=None)

    def _referred(self, reference: Reference, item: Item) -> Iterator[CodeableConcept]:
        address = reference.reference or ""
        found: Resource | None = None
        if address.startswith("#"):
            found = self._reading.resolve(reference, item)
        else:
            target = parse_reference(address)
            if target is not None and target.resource_type == _DEVICE:
                known = self._devices.get(target.resource_id)
                found = known.resource if known is not None else None
        if found is not None and _code(found.status) not in _NOT_USED:
            yield from _descriptions(found)

    def _fact(
        self, item: Item, described: list[CodeableConcept], *, is_in_use: bool, when: PartialDate | None
    ) -> DeviceFact | None:
        for concept in described:
            coded = self._reading.coded_groups(concept) & _POSITIVE_AIRWAY_PRESSURE
            groups = coded or self._reading.text_groups(concept) & _POSITIVE_AIRWAY_PRESSURE
            if groups:
                return DeviceFact(
                    source=item.source,
                    groups=groups,
                    display=label(concept, "positive airway pressure"),
                    is_in_use=is_in_use,
                    when=when,
                    certainty=Certainty.CODED if coded else Certainty.BY_TEXT,
                )
        if not any(words_of(concept) or concept.coding for concept in described):
            kind = item.source.resource_type
            self._reading.issues.add(IssueKind.UNRESOLVED_REFERENCE, kind, "device: not named")
        return None


def _descriptions(device: Resource) -> Iterator[CodeableConcept]:
    """Yield what a Device says that it is: its type and its names."""
    kind = _decoded_concept(device.type)
    if kind is not None:
        yield kind
    try:
        names = _names.decode(device.deviceName)
    except UNREADABLE:
        names = []
    spoken = [name["name"] for name in names if isinstance(name.get("name"), str)]
    if spoken:
        yield CodeableConcept(text=bounded("; ".join(str(one) for one in spoken)))


def _decoded_concept(raw: msgspec.Raw) -> CodeableConcept | None:
    if raw is lean.ABSENT:
        return None
    try:
        found: CodeableConcept | None = _concept.decode(raw)
    except UNREADABLE:
        return None
    return found


def _decoded_reference(raw: msgspec.Raw) -> Reference | None:
    if raw is lean.ABSENT:
        return None
    try:
        found: Reference | None = _reference.decode(raw)
    except UNREADABLE:
        return None
    return found


def _code(status: str | None) -> str:
    return (status or "").strip().lower()
