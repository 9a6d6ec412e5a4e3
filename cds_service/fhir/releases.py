"""What full validation has to know of each FHIR release beside its model: codes, subjects, fillings.

The codes are those of elements with a required value set, which the model library does not check. Where a
release names a code `unknown` or has none, a missing status reads as unknown (docs/rules.md R8.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cds_service.fhir.versions import FhirVersion

Codes = Mapping[str, Mapping[str, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Release:
    """One release: per type the codes of its elements, what fills a missing element, and who is its subject.

    `concepts` are the codes of elements that are a CodeableConcept.
    """

    codes: Codes
    subjects: Mapping[str, str]
    fillings: Mapping[str, Mapping[str, object]]
    concepts: Codes = field(default_factory=dict)


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UNKNOWN = {"status": "unknown"}
_ERROR = "entered-in-error"
_GENDERS = {"gender": _codes("male female other unknown")}
_RESULT = _codes(f"registered preliminary final amended corrected cancelled {_ERROR} unknown")
_INTENTS = _codes(
    "proposal plan order original-order reflex-order filler-order instance-order option directive"
)
_REQUEST = _codes(f"draft active on-hold revoked completed {_ERROR} unknown")
_PRESCRIPTION = _codes(f"active on-hold cancelled completed stopped draft {_ERROR} unknown")
_DONE = _codes(f"preparation in-progress not-done on-hold stopped completed {_ERROR} unknown")
_GIVEN = _codes(f"in-progress not-done on-hold completed stopped {_ERROR} unknown")
_FAMILY = _codes(f"partial completed {_ERROR} health-unknown unknown")
_CRITICALITY = _codes("low high unable-to-assess")

_DEVICE = {"status": _codes(f"active inactive {_ERROR} unknown")}
# "unknown" fills the place of a missing one.
_DEVICE_USE = {"status": _codes(f"active completed {_ERROR} intended stopped on-hold unknown")}

_SUBJECTS = {
    "Condition": "subject",
    "MedicationStatement": "subject",
    "MedicationRequest": "subject",
    "MedicationAdministration": "subject",
    "Procedure": "subject",
    "ServiceRequest": "subject",
    "AllergyIntolerance": "patient",
    "FamilyMemberHistory": "patient",
    "DeviceUseStatement": "subject",
}
_FILLINGS: Mapping[str, Mapping[str, object]] = {
    "Observation": _UNKNOWN,
    "MedicationStatement": _UNKNOWN,
    "MedicationRequest": _UNKNOWN,
    "MedicationAdministration": _UNKNOWN,
    "Procedure": _UNKNOWN,
    "ServiceRequest": _UNKNOWN,
    "FamilyMemberHistory": {"status": "health-unknown"},
    "DeviceUseStatement": _UNKNOWN,
}
_CONCEPTS: Codes = {
    "Condition": {
        "clinicalStatus": _codes("active recurrence relapse inactive remission resolved unknown"),
        "verificationStatus": _codes(
            f"unconfirmed provisional differential confirmed refuted {_ERROR} unknown"
        ),
    },
    "AllergyIntolerance": {
        "clinicalStatus": _codes("active inactive resolved unknown"),
        "verificationStatus": _codes(f"unconfirmed presumed confirmed refuted {_ERROR} unknown"),
    },
}

_R4_CODES: Codes = {
    "Patient": _GENDERS,
    "Observation": {"status": _RESULT},
    "MedicationStatement": {
        "status": _codes(f"active completed intended stopped on-hold not-taken {_ERROR} unknown")
    },
    "MedicationRequest": {"status": _PRESCRIPTION, "intent": _INTENTS - {"directive"}},
    "MedicationAdministration": {"status": _GIVEN},
    "Procedure": {"status": _DONE},
    "ServiceRequest": {"status": _REQUEST, "intent": _INTENTS},
    "AllergyIntolerance": {"criticality": _CRITICALITY},
    "FamilyMemberHistory": {"status": _FAMILY},
    "DeviceUseStatement": _DEVICE_USE,
    "Device": _DEVICE,
}

_R4 = Release(_R4_CODES, _SUBJECTS, _FILLINGS, _CONCEPTS)

_R5 = Release(
    {
        **_R4_CODES,
        # "unknown" fills the place of a missing one.
        "MedicationStatement": {"status": _codes(f"recorded draft {_ERROR} unknown")},
        "MedicationRequest": {"status": _PRESCRIPTION | {"ended"}, "intent": _INTENTS - {"directive"}},
        "DeviceUsage": {"status": _DEVICE_USE["status"] | {"not-done"}},
    },
    {**_SUBJECTS, "DeviceUsage": "patient"},
    # Required in R5, and a missing one says no more than its code for "not known".
    {
        **_FILLINGS,
        "Condition": {"clinicalStatus": {"coding": [{"code": "unknown"}]}},
        "DeviceUsage": _UNKNOWN,
    },
    _CONCEPTS,
)

_OLD_CLINICAL = {
    "Condition": _codes("active recurrence relapse inactive remission resolved"),
    "AllergyIntolerance": _codes("active inactive resolved"),
}
_OLD_VERIFICATION = {
    "Condition": _codes(f"provisional differential confirmed refuted {_ERROR} unknown"),
    "AllergyIntolerance": _codes(f"unconfirmed confirmed refuted {_ERROR}"),
}
_STU3_ORDER = {
    "status": _codes(f"draft active suspended cancelled completed {_ERROR} unknown"),
    "intent": _INTENTS,
}
_STU3_SUBJECTS = {name: member for name, member in _SUBJECTS.items() if name != "ServiceRequest"} | {
    "ProcedureRequest": "subject",
    "ReferralRequest": "subject",
}

_STU3 = Release(
    {
        "Patient": _GENDERS,
        "Observation": {"status": _RESULT},
        "Condition": {
            "clinicalStatus": _OLD_CLINICAL["Condition"],
            "verificationStatus": _OLD_VERIFICATION["Condition"],
        },
        "MedicationStatement": {
            "status": _codes(f"active completed intended stopped on-hold {_ERROR} unknown"),
            "taken": _codes("y n unk na"),
        },
        "MedicationRequest": {"status": _PRESCRIPTION, "intent": _INTENTS - {"directive"}},
        "MedicationAdministration": {
            "status": _codes(f"in-progress on-hold completed stopped {_ERROR} unknown")
        },
        "Procedure": {
            "status": _codes(f"preparation in-progress suspended aborted completed {_ERROR} unknown")
        },
        "ProcedureRequest": _STU3_ORDER,
        "ReferralRequest": _STU3_ORDER,
        "AllergyIntolerance": {
            "criticality": _CRITICALITY,
            "clinicalStatus": _OLD_CLINICAL["AllergyIntolerance"],
            "verificationStatus": _OLD_VERIFICATION["AllergyIntolerance"],
        },
        "FamilyMemberHistory": {"status": _FAMILY},
        "DeviceUseStatement": _DEVICE_USE,
        "Device": _DEVICE,
    },
    _STU3_SUBJECTS,
    {
        **{name: filling for name, filling in _FILLINGS.items() if name != "ServiceRequest"},
        "MedicationStatement": {"status": "unknown", "taken": "unk"},
        "ProcedureRequest": _UNKNOWN,
        "ReferralRequest": _UNKNOWN,
        # Required in STU3; without one an allergy counts as in R4.
        "AllergyIntolerance": {"verificationStatus": "unconfirmed"},
    },
)

_DSTU2_ORDER = _codes(
    "proposed draft planned requested received accepted in-progress review completed cancelled suspended"
    f" rejected failed aborted {_ERROR}"
)

_DSTU2 = Release(
    {
        "Patient": _GENDERS,
        "Observation": {"status": _RESULT},
        "Condition": {
            "clinicalStatus": _OLD_CLINICAL["Condition"],
            "verificationStatus": _OLD_VERIFICATION["Condition"],
        },
        "MedicationStatement": {"status": _codes(f"active completed intended {_ERROR} unknown")},
        "MedicationOrder": {"status": _codes(f"active on-hold completed stopped draft {_ERROR}")},
        "MedicationAdministration": {
            "status": _codes(f"in-progress on-hold completed stopped {_ERROR} unknown")
        },
        "Procedure": {"status": _codes(f"in-progress aborted completed {_ERROR} unknown")},
        "DiagnosticOrder": {"status": _DSTU2_ORDER},
        "ProcedureRequest": {"status": _DSTU2_ORDER},
        "ReferralRequest": {"status": _DSTU2_ORDER | {"active"}},
        "AllergyIntolerance": {
            "status": _codes(f"active unconfirmed confirmed inactive resolved refuted {_ERROR}"),
            "criticality": _codes("CRITL CRITH CRITU"),
        },
        "FamilyMemberHistory": {"status": _FAMILY},
        "Device": {"status": _codes(f"available not-available {_ERROR}")},
    },
    {
        "Condition": "patient",
        "MedicationStatement": "patient",
        "MedicationOrder": "patient",
        "MedicationAdministration": "patient",
        "Procedure": "subject",
        "DiagnosticOrder": "subject",
        "ProcedureRequest": "subject",
        "ReferralRequest": "patient",
        "AllergyIntolerance": "patient",
        "FamilyMemberHistory": "patient",
        "DeviceUseStatement": "subject",
    },
    {
        "Observation": _UNKNOWN,
        "MedicationStatement": _UNKNOWN,
        "MedicationAdministration": _UNKNOWN,
        "Procedure": _UNKNOWN,
        "FamilyMemberHistory": {"status": "health-unknown"},
    },
)

RELEASES: Mapping[FhirVersion, Release] = {
    FhirVersion.DSTU2: _DSTU2,
    FhirVersion.STU3: _STU3,
    FhirVersion.R4: _R4,
    FhirVersion.R5: _R5,
}
"""What is known of each release that is read."""
