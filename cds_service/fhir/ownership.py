"""Whose record a resource is, by its subject, its patient and its focus.

An absolute reference counts only under the address of the client's FHIR server. What cannot be told is never
used and never denied.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from cds_service.fhir import lean
from cds_service.fhir.decoding import UNREADABLE, Head, Place, ResourceStore, list_of
from cds_service.fhir.references import normalise_base, parse_reference

_PATIENT = "Patient"
_BUNDLE = "Bundle"
_URN = "urn:"

_reference = msgspec.json.Decoder(lean.Reference | None)


class Ownership(Enum):
    """Whose resource it is, as far as its subject says."""

    OWN = "this patient"
    UNSTATED = "no subject given"
    OTHER = "another patient"
    UNVERIFIABLE = "cannot be told"


_RANK = {Ownership.UNSTATED: 0, Ownership.OWN: 1, Ownership.UNVERIFIABLE: 2, Ownership.OTHER: 3}


class _Identifier(msgspec.Struct, gc=False, frozen=True):
    system: str | None = None
    value: str | None = None


class _Identified(msgspec.Struct, gc=False, frozen=True):
    identifier: msgspec.Raw = lean.ABSENT


_identifier = msgspec.json.Decoder(_Identifier)
_identified = msgspec.json.Decoder(_Identified)

Identifier = tuple[str, str]
"""System ("" for none) and value."""


@dataclass(frozen=True, slots=True)
class SuppliedPatient:
    """A Patient of the prefetch: the Bundle it stands in, its entry address, its identifiers."""

    bundle: Place
    resource_id: str | int | None
    full_url: str | None
    identifiers: frozenset[Identifier]


def find_patients(heads: Iterable[tuple[Place, Head]], store: ResourceStore) -> Iterator[SuppliedPatient]:
    """Yield every readable Patient of the prefetch; `heads` are its values by their place."""
    waiting = list(heads)
    while waiting:
        place, head = waiting.pop()
        if head.resourceType == _BUNDLE:
            waiting.extend(
                (Place(place.key, (*place.path, number)), entry.resource)
                for number, entry in enumerate(head.entry or ())
                if entry is not None
                and entry.resource is not None
                and entry.resource.resourceType in {_BUNDLE, _PATIENT}
            )
        elif head.resourceType == _PATIENT:
            yield from _patient_at(place, store)


def _patient_at(place: Place, store: ResourceStore) -> Iterator[SuppliedPatient]:
    try:
        entry = store.entry(place)
    except UNREADABLE:
        return
    if entry.resource is not None:
        identifiers = identifiers_of(store.text(place))
        yield SuppliedPatient(_bundle_of(place), entry.resource.id, entry.fullUrl, identifiers)


def _bundle_of(place: Place) -> Place:
    return Place(place.key, place.path[:-1])


def identifiers_of(text: bytes) -> frozenset[Identifier]:
    """Return the identifiers of a resource; those that cannot be read are passed over."""
    try:
        parts = list_of(_identified.decode(text).identifier)
    except UNREADABLE:
        return frozenset()
    found = (_read_identifier(part) for part in parts)
    return frozenset(one for one in found if one is not None)


def _read_identifier(raw: msgspec.Raw) -> Identifier | None:
    try:
        identifier = _identifier.decode(raw)
    except UNREADABLE:
        return None
    value = (identifier.value or "").strip()
    return ((identifier.system or "").strip(), value) if value else None


@dataclass(slots=True)
class _Known:
    """What the supplied Patients say: addresses within their Bundle, identifiers, server addresses."""

    names: set[tuple[Place, str]] = field(default_factory=set)
    identifiers: set[Identifier] = field(default_factory=set)
    bases: set[str] = field(default_factory=set)
    # what a Patient of another id has too
    other_names: set[str] = field(default_factory=set)
    other_identifiers: set[Identifier] = field(default_factory=set)


class PatientMatcher:
    """Tells whether a subject is the patient of the call."""

    def __init__(
        self,
        patient_id: str,
        fhir_server: str | None,
        find_patients: Callable[[], Iterable[SuppliedPatient]] = tuple,
    ) -> None:
        """`find_patients` gives every supplied Patient; asked at most once, and only if it matters."""
        self._patient_id = patient_id
        self._base = normalise_base(fhir_server) if fhir_server else None
        self._find_patients = find_patients
        self._patients: _Known | None = None
        self._known = {f"Patient/{patient_id}": Ownership.OWN}
        self._bases: set[str] = set()

    def owner_of_patient(self, resource_id: str | int | None) -> Ownership:
        """Return whose resource a Patient of this id is."""
        is_own = resource_id is not None and str(resource_id) == self._patient_id
        return Ownership.OWN if is_own else Ownership.OTHER

    def owner(self, resource: lean.Resource, place: Place) -> Ownership:
        """Return whose resource it is: of what its subject, patient and focus say, the worst."""
        subject = self.owner_by(resource.subject, place)
        if resource.patient is not None:
            subject = worst(subject, self.owner_by(resource.patient, place))
        if resource.focus is lean.ABSENT or resource.resourceType != "Observation":
            return subject
        return worst(subject, self._owner_by_focus(resource.focus, place))

    def owner_by(self, subject: lean.Reference | None, place: Place) -> Ownership:
        """Return whose resource the one at `place` is, as far as this one reference says."""
        if subject is None:
            return Ownership.UNSTATED
        reference = subject.reference
        if not reference:
            return self._owner_without_address(subject)
        if reference.startswith(_URN):
            return self._owner_by_name(reference, place)
        known = self._known.get(reference)
        if known is None:
            known = self._known[reference] = self._judge(reference)
        return known

    def owner_of_raw(self, subject: msgspec.Raw, place: Place) -> Ownership:
        """Return the same for a subject that was not decoded yet."""
        if subject is lean.ABSENT:
            return Ownership.UNSTATED
        try:
            return self.owner_by(_reference.decode(subject), place)
        except UNREADABLE:
            return Ownership.UNVERIFIABLE

    def contested_base(self) -> str | None:
        """Return the server address that the patient's references must have, None while all of them agree.

        Without an address in the call, type and id decide. Once the same id occurs under several addresses,
        only the one of the patient's own entry counts; "" when that does not tell either.
        """
        if self._base is not None or not self._bases:
            return None
        own = self._supplied().bases
        if len(self._bases | own) == 1:
            return None
        return next(iter(own)) if len(own) == 1 else ""

    def _owner_without_address(self, subject: lean.Reference) -> Ownership:
        if subject.type and subject.type.strip().rpartition("/")[2] != _PATIENT:
            return Ownership.OTHER
        if bytes(subject.identifier) in (b"", b"null", b"{}"):
            return Ownership.UNSTATED
        identifier = _read_identifier(subject.identifier)
        patients = self._supplied()
        is_own = identifier in patients.identifiers and identifier not in patients.other_identifiers
        return Ownership.OWN if is_own else Ownership.UNVERIFIABLE

    def _owner_by_focus(self, raw: msgspec.Raw, place: Place) -> Ownership:
        if bytes(raw) in (b"null", b"[]"):
            return Ownership.UNSTATED
        owners = [self.owner_of_raw(one, place) for one in list_of(raw)]
        if not owners:
            return Ownership.UNVERIFIABLE
        # What is named without an address, a fetus or a donor, is somebody else than the subject.
        return worst(*(Ownership.OTHER if owner is Ownership.UNSTATED else owner for owner in owners))

    def _owner_by_name(self, name: str, place: Place) -> Ownership:
        """Judge an address that is no server's: only a Patient of the same Bundle can stand behind it."""
        patients = self._supplied()
        is_own = (_bundle_of(place), name) in patients.names or name == f"urn:uuid:{self._patient_id}"
        if is_own and name not in patients.other_names:
            return Ownership.OWN
        return Ownership.UNVERIFIABLE

    def _judge(self, reference: str) -> Ownership:
        target = parse_reference(reference)
        if target is None:
            return Ownership.UNVERIFIABLE
        if target.resource_type != _PATIENT or target.resource_id != self._patient_id:
            return Ownership.OTHER
        if not target.base:
            return Ownership.OWN
        # Without an address of the server in the call, type and id decide while nothing contradicts them.
        if self._base is None:
            self._bases.add(target.base)
            return Ownership.OWN
        return Ownership.OWN if target.base == self._base else Ownership.UNVERIFIABLE

    def _supplied(self) -> _Known:
        if self._patients is None:
            self._patients = _Known()
            for patient in self._find_patients():
                self._add(patient, self._patients)
        return self._patients

    def _add(self, patient: SuppliedPatient, known: _Known) -> None:
        address = patient.full_url or ""
        if self.owner_of_patient(patient.resource_id) is not Ownership.OWN:
            known.other_names.add(address)
            known.other_identifiers.update(patient.identifiers)
            return
        known.identifiers.update(patient.identifiers)
        if address.startswith(_URN):
            known.names.add((patient.bundle, address))
        target = parse_reference(address)
        if target is not None and target.base and target.resource_id == self._patient_id:
            known.bases.add(target.base)


def worst(*owners: Ownership) -> Ownership:
    """Return the worst of what several references say; one that says nothing does not count."""
    return max(owners, key=lambda owner: _RANK[owner])


def subject_gap(resource: lean.Resource) -> str:
    """Return what is missing of the subject of a resource that is used, "" when it names its patient."""
    if resource.subject is not None and resource.subject.reference:
        return ""
    stated = [one for one in (resource.subject, resource.patient) if one is not None]
    if any(one.reference or one.identifier is not lean.ABSENT for one in stated):
        return ""
    if any(one.display for one in stated):
        return "subject by display only"
    return "subject missing, taken as the patient of the call"
