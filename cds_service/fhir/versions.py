"""Which FHIR release a resource is written in, by its shape and by what the client says.

Every mark of a shape leaves the releases in which it can stand. A resource without R4 among them is
converted first (`fhir.translation`); one without any release makes its need failed, never empty. Most
shapes are common to the releases, and untidy R4 (a single `category` object where a list belongs) stays R4.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import msgspec

from cds_service.fhir import lean


class FhirVersion(StrEnum):
    """The FHIR releases told apart; R4B reads as R4, `OTHER` is one that we do not read."""

    DSTU2 = "DSTU2"
    STU3 = "STU3"
    R4 = "R4"
    R5 = "R5"
    OTHER = "other"


Versions = frozenset[FhirVersion]

_D2, _S3, _R4, _R5 = FhirVersion.DSTU2, FhirVersion.STU3, FhirVersion.R4, FhirVersion.R5
READ_VERSIONS = (_R4, _R5, _S3, _D2)
"""The releases that are read; where shapes leave several, the first of them."""

_ALL = frozenset(READ_VERSIONS)
_NONE: Versions = frozenset()
_ONLY_D2, _ONLY_S3, _ONLY_R5 = frozenset({_D2}), frozenset({_S3}), frozenset({_R5})
_UNTIL_S3, _UNTIL_R4 = frozenset({_D2, _S3}), frozenset({_D2, _S3, _R4})
_SINCE_S3, _SINCE_R4 = frozenset({_S3, _R4, _R5}), frozenset({_R4, _R5})
_NOT_S3 = frozenset({_D2, _R4, _R5})

FOREIGN_TYPES: Mapping[str, str] = {
    "MedicationOrder": "MedicationRequest",
    "MedicationPrescription": "MedicationRequest",
    "DiagnosticOrder": "ServiceRequest",
    "ProcedureRequest": "ServiceRequest",
    "ReferralRequest": "ServiceRequest",
    "DeviceUsage": "DeviceUseStatement",
}
"""Resource types that R4 does not have, with the R4 type whose need they fill."""

_TYPE_VERSIONS: Mapping[str, Versions] = {
    "MedicationOrder": _ONLY_D2,
    # from before DSTU2
    "MedicationPrescription": _NONE,
    "DiagnosticOrder": _ONLY_D2,
    "ProcedureRequest": _UNTIL_S3,
    "ReferralRequest": _UNTIL_S3,
    "DeviceUsage": _ONLY_R5,
    "DeviceUseStatement": _UNTIL_R4,
}

_FAMILY_LIST = re.compile(rb'"family"\s*:\s*\[')
_FAMILY_TEXT = re.compile(rb'"family"\s*:\s*"')
_CONCEPT_OR_REFERENCE = re.compile(rb'"(?:concept|reference)"\s*:')
_OLD_CATEGORY_SYSTEM = "http://hl7.org/fhir/observation-category"

_HINTS: tuple[tuple[re.Pattern[str], FhirVersion], ...] = (
    (re.compile(r"dstu[\s_-]*1|\br6\b|^[16]$|(?<![\d.])(?:0|6)\.\d"), FhirVersion.OTHER),
    (re.compile(r"dstu|\br2\b|^2$|(?<![\d.])1\.\d"), _D2),
    (re.compile(r"stu\s*3|\br3\b|^3$|(?<![\d.])3\.\d"), _S3),
    (re.compile(r"\br4b?\b|^4$|(?<![\d.])4\.\d"), _R4),
    (re.compile(r"\br5\b|^5$|(?<![\d.])5\.\d"), _R5),
)


def version_of_hint(hint: str | None) -> FhirVersion | None:
    """Return the release that a client names ("R4", "STU3", "4.0.1"), None when it names none we know."""
    text = (hint or "").strip().lower()[:40]
    for pattern, version in _HINTS:
        if pattern.search(text):
            return version
    return None


def is_foreign(resource: lean.Resource) -> bool:
    """Whether a resource is certainly not R4."""
    check = _CHECKS.get(resource.resourceType or "")
    return check is not None and any(_R4 not in mark for mark in check(resource))


def versions_of(resource: lean.Resource) -> Versions:
    """Return the releases in which a resource can be written, none when its marks contradict each other."""
    versions = _TYPE_VERSIONS.get(resource.resourceType or "", _ALL)
    check = _CHECKS.get(resource.resourceType or "")
    return versions.intersection(*check(resource)) if check is not None else versions


def likely_versions(resource: lean.Resource) -> Versions:
    """Return the same narrowed by what a release requires; it tells what the rest is written in."""
    versions = versions_of(resource)
    habit = _HABITS.get(resource.resourceType or "")
    likely = versions.intersection(*habit(resource)) if habit is not None else versions
    return likely or versions


def is_foreign_observation(category: msgspec.Raw, context: msgspec.Raw) -> bool:
    """Whether the raw members of an Observation show that it is certainly not R4."""
    if _has(context):
        return True
    text = bytes(category)
    return text[:1] == b"{" and _OLD_CATEGORY_SYSTEM.encode() in text


def _has(raw: msgspec.Raw) -> bool:
    return raw is not lean.ABSENT and bytes(raw) != b"null"


Marks = Iterator[Versions]


def _patient(resource: lean.Resource) -> Marks:
    """DSTU2 has a list of family names."""
    name = bytes(resource.name)
    if _FAMILY_LIST.search(name):
        yield _ONLY_D2


def _observation(resource: lean.Resource) -> Marks:
    category = resource.category
    if isinstance(category, lean.CodeableConcept):
        systems = [coding.system for coding in category.coding or ()]
        if _OLD_CATEGORY_SYSTEM in systems:
            yield _ONLY_D2
    if _has(resource.context):
        yield _ONLY_S3


def _condition(resource: lean.Resource) -> Marks:
    yield from _subject(resource)
    for status in (resource.clinicalStatus, resource.verificationStatus):
        if status is not None:
            yield _UNTIL_S3 if isinstance(status, str) else _SINCE_R4
    if _has(resource.assertedDate) or _has(resource.context):
        yield _ONLY_S3
    if _has(resource.participant):
        yield _ONLY_R5


def _subject(resource: lean.Resource) -> Marks:
    """DSTU2 calls the subject of these types the patient."""
    if resource.patient is not None and resource.subject is None:
        yield _ONLY_D2


def _medicine(resource: lean.Resource) -> Marks:
    yield from _subject(resource)
    is_named = resource.medicationCodeableConcept is not None or resource.medicationReference is not None
    # Some senders add a plain concept of this name to R4's elements; R5's holds a concept or a reference.
    if _has(resource.medication) and not (
        is_named and _CONCEPT_OR_REFERENCE.search(resource.medication) is None
    ):
        yield _ONLY_R5
    if is_named:
        yield _UNTIL_R4
    dosages = resource.dosageInstruction or (resource.dosage if isinstance(resource.dosage, list) else ())
    if any(_has(dosage.doseQuantity) for dosage in dosages or ()):
        yield _UNTIL_S3


def _medication_statement(resource: lean.Resource) -> Marks:
    yield from _medicine(resource)
    if resource.wasNotTaken is not None:
        yield _ONLY_D2
    if resource.taken is not None:
        yield _ONLY_S3


def _medication_request(resource: lean.Resource) -> Marks:
    yield from _medicine(resource)
    requester = resource.requester
    if _has(resource.context) or (requester is not lean.ABSENT and b'"agent"' in bytes(requester)):
        yield _ONLY_S3


def _medication_administration(resource: lean.Resource) -> Marks:
    yield from _medicine(resource)
    if _has(resource.wasNotGiven):
        yield _ONLY_D2
    if _has(resource.notGiven):
        yield _ONLY_S3
    if resource.occurrenceDateTime is not None:
        yield _ONLY_R5


def _procedure(resource: lean.Resource) -> Marks:
    if _has(resource.notPerformed):
        yield _ONLY_D2
    if _has(resource.notDone) or _has(resource.context):
        yield _ONLY_S3
    if resource.occurrenceDateTime is not None or _has(resource.occurrencePeriod):
        yield _ONLY_R5
    if resource.performedDateTime is not None or resource.performedPeriod is not None:
        yield _UNTIL_R4


def _allergy(resource: lean.Resource) -> Marks:
    if _has(resource.substance):
        yield _ONLY_D2
    if _has(resource.assertedDate):
        yield _ONLY_S3
    for status in (resource.clinicalStatus, resource.verificationStatus):
        if status is not None:
            yield _ONLY_S3 if isinstance(status, str) else _SINCE_R4
    manifestations = [one for part in resource.reaction or () for one in part.manifestation or ()]
    if (
        _has(resource.participant)
        or bytes(resource.type)[:1] == b"{"
        or any(_is_referring(one) for one in manifestations)
    ):
        yield _ONLY_R5


def _is_referring(concept: lean.CodeableConcept) -> bool:
    """Whether R5's CodeableReference stands where R4 has a CodeableConcept."""
    return _has(concept.concept) or _has(concept.reference)


def _service_request(resource: lean.Resource) -> Marks:
    yield _SINCE_R4
    if resource.code is not None and _is_referring(resource.code):
        yield _ONLY_R5


def _family_history(resource: lean.Resource) -> Marks:
    if _has(resource.notDone):
        yield _ONLY_S3


def _device_use(resource: lean.Resource) -> Marks:
    if _has(resource.whenUsed):
        yield _UNTIL_S3


def _device(resource: lean.Resource) -> Marks:
    """R5 has a list of types."""
    if bytes(resource.type)[:1] == b"[":
        yield _ONLY_R5


_CHECKS: Mapping[str, Callable[[lean.Resource], Marks]] = {
    "Patient": _patient,
    "Observation": _observation,
    "Condition": _condition,
    "MedicationStatement": _medication_statement,
    "MedicationRequest": _medication_request,
    "MedicationAdministration": _medication_administration,
    "Procedure": _procedure,
    "AllergyIntolerance": _allergy,
    "ServiceRequest": _service_request,
    "FamilyMemberHistory": _family_history,
    "DeviceUseStatement": _device_use,
    "Device": _device,
}


def _habit_of_subject(resource: lean.Resource) -> Marks:
    if resource.subject is not None:
        yield _SINCE_S3


def _habit_of_statement(resource: lean.Resource) -> Marks:
    yield from _habit_of_subject(resource)
    if resource.taken is None:
        yield _NOT_S3


def _habit_of_request(resource: lean.Resource) -> Marks:
    """An order of STU3 has an intent, one of DSTU2 has none."""
    yield _SINCE_S3 if resource.intent else _ONLY_D2


def _habit_of_patient(resource: lean.Resource) -> Marks:
    if _FAMILY_TEXT.search(bytes(resource.name)):
        yield _SINCE_S3


def _habit_of_device_use(resource: lean.Resource) -> Marks:
    """DSTU2 has no status here; the later releases require one."""
    yield _SINCE_S3 if resource.status else _ONLY_D2


_HABITS: Mapping[str, Callable[[lean.Resource], Marks]] = {
    "Patient": _habit_of_patient,
    "Condition": _habit_of_subject,
    "MedicationStatement": _habit_of_statement,
    "MedicationAdministration": _habit_of_subject,
    "ProcedureRequest": _habit_of_request,
    "ReferralRequest": _habit_of_request,
    "DeviceUseStatement": _habit_of_device_use,
}
