"""Which FHIR version a resource is written in, by shapes that R4 does not have.

A version that we do not read makes its need failed, never empty. Most shapes are common to the versions;
what cannot be told from R4 means the same as in R4. Untidy R4 (a single `category` object where a list
belongs) stays R4.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from cds_service.fhir import lean


class FhirVersion(StrEnum):
    """The FHIR releases told apart."""

    DSTU2 = "DSTU2"
    STU3 = "STU3"
    R4 = "R4"
    R5 = "R5"


FOREIGN_TYPES: Mapping[str, str] = {
    "MedicationOrder": "MedicationRequest",
    "MedicationPrescription": "MedicationRequest",
    "DiagnosticOrder": "ServiceRequest",
    "ProcedureRequest": "ServiceRequest",
    "ReferralRequest": "ServiceRequest",
}
"""Resource types that R4 no longer has, with the R4 type whose need they would fill."""

_FAMILY_LIST = re.compile(rb'"family"\s*:\s*\[')
_OLD_CATEGORY_SYSTEM = "http://hl7.org/fhir/observation-category"

_HINTS: tuple[tuple[re.Pattern[str], FhirVersion], ...] = (
    (re.compile(r"dstu|^2$|(?<![\d.])[01]\.\d"), FhirVersion.DSTU2),
    (re.compile(r"stu\s*3|\br3\b|^3$|(?<![\d.])3\.\d"), FhirVersion.STU3),
    (re.compile(r"\br4b?\b|^4$|(?<![\d.])4\.\d"), FhirVersion.R4),
    (re.compile(r"\br[56]\b|^[56]$|(?<![\d.])[56]\.\d"), FhirVersion.R5),
)


def version_of_hint(hint: str | None) -> FhirVersion | None:
    """Return the version that a client names ("R4", "STU3", "4.0.1"), None when it names none we know."""
    text = (hint or "").strip().lower()[:40]
    for pattern, version in _HINTS:
        if pattern.search(text):
            return version
    return None


def foreign_version(resource: lean.Resource) -> FhirVersion | None:
    """Return the version of a resource that is certainly not R4, None when it can be read as R4."""
    check = _CHECKS.get(resource.resourceType or "")
    return check(resource) if check else None


def is_foreign_observation(category: msgspec.Raw, context: msgspec.Raw) -> bool:
    """Whether the raw members of an Observation show that it is certainly not R4."""
    if _has(context):
        return True
    text = bytes(category)
    return text[:1] == b"{" and _OLD_CATEGORY_SYSTEM.encode() in text


def _has(raw: msgspec.Raw) -> bool:
    return raw is not lean.ABSENT and bytes(raw) != b"null"


def _patient(resource: lean.Resource) -> FhirVersion | None:
    """DSTU2 has a list of family names."""
    return FhirVersion.DSTU2 if _FAMILY_LIST.search(bytes(resource.name)) else None


def _observation(resource: lean.Resource) -> FhirVersion | None:
    category = resource.category
    if isinstance(category, lean.CodeableConcept):
        systems = [coding.system for coding in category.coding or ()]
        if _OLD_CATEGORY_SYSTEM in systems:
            return FhirVersion.DSTU2
    return FhirVersion.STU3 if _has(resource.context) else None


def _condition(resource: lean.Resource) -> FhirVersion | None:
    if resource.patient is not None and resource.subject is None:
        return FhirVersion.DSTU2
    if isinstance(resource.clinicalStatus, str) or isinstance(resource.verificationStatus, str):
        return FhirVersion.STU3
    if _has(resource.assertedDate) or _has(resource.context):
        return FhirVersion.STU3
    return FhirVersion.R5 if _has(resource.participant) else None


def _medication_statement(resource: lean.Resource) -> FhirVersion | None:
    if resource.wasNotTaken is not None or (resource.patient is not None and resource.subject is None):
        return FhirVersion.DSTU2
    if resource.taken is not None:
        return FhirVersion.STU3
    return FhirVersion.R5 if _has(resource.medication) else None


def _medication_request(resource: lean.Resource) -> FhirVersion | None:
    if resource.patient is not None and resource.subject is None:
        return FhirVersion.DSTU2
    requester = resource.requester
    if _has(resource.context) or (requester is not lean.ABSENT and b'"agent"' in bytes(requester)):
        return FhirVersion.STU3
    return FhirVersion.R5 if _has(resource.medication) else None


def _medication_administration(resource: lean.Resource) -> FhirVersion | None:
    if _has(resource.wasNotGiven) or (resource.patient is not None and resource.subject is None):
        return FhirVersion.DSTU2
    if _has(resource.notGiven):
        return FhirVersion.STU3
    is_r5 = _has(resource.medication) or resource.occurrenceDateTime is not None
    return FhirVersion.R5 if is_r5 else None


def _procedure(resource: lean.Resource) -> FhirVersion | None:
    if _has(resource.notPerformed):
        return FhirVersion.DSTU2
    if _has(resource.notDone) or _has(resource.context):
        return FhirVersion.STU3
    return FhirVersion.R5 if resource.occurrenceDateTime is not None else None


def _allergy(resource: lean.Resource) -> FhirVersion | None:
    if _has(resource.substance):
        return FhirVersion.DSTU2
    if _has(resource.assertedDate) or isinstance(resource.clinicalStatus, str):
        return FhirVersion.STU3
    is_r5 = _has(resource.participant) or bytes(resource.type)[:1] == b"{"
    return FhirVersion.R5 if is_r5 else None


def _service_request(resource: lean.Resource) -> FhirVersion | None:
    return FhirVersion.R5 if resource.code is not None and _has(resource.code.concept) else None


_CHECKS: Mapping[str, Callable[[lean.Resource], FhirVersion | None]] = {
    "Patient": _patient,
    "Observation": _observation,
    "Condition": _condition,
    "MedicationStatement": _medication_statement,
    "MedicationRequest": _medication_request,
    "MedicationAdministration": _medication_administration,
    "Procedure": _procedure,
    "AllergyIntolerance": _allergy,
    "ServiceRequest": _service_request,
}
