"""Full validation in the release that a resource was sent in."""

import json
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cds_service.clinical.facts import IssueKind, Need, NeedState
from cds_service.fhir import open_record
from cds_service.fhir.check_dstu2 import find_fault
from cds_service.fhir.validation import Verdict, validate
from cds_service.fhir.versions import FhirVersion
from cds_service.knowledge import load
from tests.builders import TODAY
from tests.downgrade import to_version
from tests.unit.fhir_samples import (
    OWN_KEYS,
    PATIENT,
    Json,
    bundle,
    concept,
    condition,
    laboratory,
    medicine,
    observation,
    subject,
)

DSTU2, STU3, R5 = FhirVersion.DSTU2, FhirVersion.STU3, FhirVersion.R5
DOSAGE = {
    "text": "one tablet",
    "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
    "asNeededBoolean": False,
    "doseAndRate": [{"doseQuantity": {"value": 50, "unit": "mg"}}],
}
SOUND: list[Json] = [
    PATIENT | {"name": [{"family": "Legg"}]},
    observation(category=laboratory(), issued="2026-11-01T08:00:00Z"),
    observation(component=[{"code": {"text": "a"}, "valueString": "b"}]),
    condition(verificationStatus=concept("http://x", "confirmed"), recordedDate="2020-01-01"),
    medicine(dosage=[DOSAGE], dateAsserted="2026-01-01"),
    medicine("MedicationRequest", intent="order", dosageInstruction=[DOSAGE], authoredOn="2026-10-01"),
    medicine(
        "MedicationAdministration",
        status="completed",
        effectiveDateTime="2026-10-01",
        dosage={"dose": {"value": 500, "unit": "mg"}},
    ),
    {
        "resourceType": "Procedure",
        "status": "completed",
        "subject": subject(),
        "code": {"text": "dialysis"},
        "performedDateTime": "2026-10-01",
    },
    {
        "resourceType": "AllergyIntolerance",
        "patient": subject(),
        "code": {"text": "iron"},
        "clinicalStatus": concept("http://x", "active"),
        "verificationStatus": concept("http://x", "confirmed"),
        "criticality": "high",
        "reaction": [{"manifestation": [{"text": "anaphylaxis"}]}],
    },
    {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": subject(),
        "code": {"text": "ferritin"},
    },
    {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "patient": subject(),
        "relationship": {"text": "mother"},
        "condition": [{"code": {"text": "restless legs"}}],
    },
]


def verdict(resource: Json, version: FhirVersion) -> Verdict:
    return validate(json.dumps(resource).encode(), resource["resourceType"], "p1", version)


@pytest.mark.parametrize("version", [DSTU2, STU3, R5])
@pytest.mark.parametrize("resource", SOUND)
def test_sound_resources_need_no_clean_up(resource: Json, version: FhirVersion) -> None:
    assert verdict(to_version(resource, version.value), version) == Verdict(is_valid=True)


STATEMENTS = {version: to_version(medicine(), version.value) for version in (DSTU2, STU3, R5)}
CONDITIONS = {version: to_version(condition(), version.value) for version in (DSTU2, STU3, R5)}


def without(resource: Json, *names: str) -> Json:
    return {name: value for name, value in resource.items() if name not in names}


REFUSED: list[tuple[FhirVersion, Json]] = [
    (R5, medicine()),
    (R5, without(STATEMENTS[R5], "medication")),
    (R5, STATEMENTS[R5] | {"status": "active"}),
    (R5, STATEMENTS[R5] | {"medication": {"concept": 7}}),
    (R5, condition(clinicalStatus="active")),
    (R5, condition(clinicalStatus=concept("http://x", "perhaps"))),
    (STU3, STATEMENTS[STU3] | {"taken": "perhaps"}),
    (STU3, without(STATEMENTS[STU3], "medicationCodeableConcept")),
    (STU3, condition()),
    (STU3, CONDITIONS[STU3] | {"clinicalStatus": "perhaps"}),
    (STU3, CONDITIONS[STU3] | {"clinicalStatus": ["active"]}),
    (DSTU2, STATEMENTS[DSTU2] | {"status": "stopped"}),
    (DSTU2, STATEMENTS[DSTU2] | {"wasNotTaken": "perhaps"}),
    (DSTU2, STATEMENTS[DSTU2] | {"patient": "p1"}),
    (DSTU2, STATEMENTS[DSTU2] | {"medicationReference": {"reference": "Medication/1"}}),
    (DSTU2, without(STATEMENTS[DSTU2], "medicationCodeableConcept")),
    (DSTU2, CONDITIONS[DSTU2] | {"dateRecorded": "yesterday"}),
    (DSTU2, CONDITIONS[DSTU2] | {"verificationStatus": "perhaps"}),
    (DSTU2, without(CONDITIONS[DSTU2], "code")),
    (DSTU2, observation(valueString="20")),
    (DSTU2, observation(valueQuantity={"value": "twenty"})),
    (DSTU2, observation(valueQuantity=20)),
    (DSTU2, observation(effectiveDateTime=20)),
    (DSTU2, observation(component={"code": {"text": "a"}})),
    (DSTU2, observation(code={"coding": [{"code": ""}, {"code": 7}]})),
    (DSTU2, PATIENT | {"birthDate": 1971}),
    (DSTU2, PATIENT | {"deceasedBoolean": True, "deceasedDateTime": "2020"}),
    (DSTU2, {"resourceType": "Medication"}),
]


@pytest.mark.parametrize(("version", "resource"), REFUSED)
def test_what_the_release_does_not_know_is_refused(version: FhirVersion, resource: Json) -> None:
    found = verdict(resource, version)
    assert not found.is_valid
    assert found.reason
    assert "p1" not in found.reason


@pytest.mark.parametrize(
    ("version", "resource"),
    [
        (R5, without(CONDITIONS[R5], "clinicalStatus")),
        (R5, without(STATEMENTS[R5], "status")),
        (R5, STATEMENTS[R5] | {"subject": None}),
        (STU3, without(STATEMENTS[STU3], "taken")),
        (STU3, without(STATEMENTS[STU3], "status")),
        (STU3, {"resourceType": "AllergyIntolerance", "patient": subject(), "code": {"text": "iron"}}),
        (STU3, CONDITIONS[STU3] | {"foo": 1}),
        (DSTU2, without(STATEMENTS[DSTU2], "patient")),
        (DSTU2, without(STATEMENTS[DSTU2], "status")),
        (DSTU2, STATEMENTS[DSTU2] | {"wasNotTaken": "true", "foo": 1}),
        (DSTU2, CONDITIONS[DSTU2] | {"dateRecorded": "2020-01-01T08:00"}),
        (DSTU2, observation(valueQuantity={"value": "<5", "unit": "ng/mL"})),
        (DSTU2, observation(valueQuantity={"value": 12.5, "comparator": "<"})),
        (DSTU2, observation(interpretation={"text": "low"})),
        (DSTU2, observation(valueQuantity=None, valueRatio={"numerator": {"value": 1}})),
    ],
)
def test_what_real_records_lack_is_accepted(version: FhirVersion, resource: Json) -> None:
    assert verdict(resource, version).is_valid


def test_exact_numbers_are_numbers() -> None:
    made = observation(valueQuantity={"value": Decimal("12.50")})
    assert find_fault(made, "Observation") == ""
    assert find_fault(observation(valueQuantity={"value": True}), "Observation")


@pytest.mark.parametrize("version", ["DSTU2", "STU3", "R5"])
def test_an_invalid_foreign_resource_is_dropped_and_named(version: str) -> None:
    ferritin = to_version(observation(category=laboratory()), version)
    broken = ferritin | {"valueString": "20"}
    statement = to_version(medicine(), version) | {"status": "perhaps"}
    prefetch = {
        "patient": to_version(PATIENT | {"name": [{"family": "Legg"}]}, version),
        "ironResults": bundle(broken),
        "conditions": bundle(to_version(condition(), version)),
        "medicationStatements": bundle(statement),
    }
    record = open_record(
        json.dumps(prefetch).encode(),
        own_keys=OWN_KEYS,
        patient_id="p1",
        fhir_server=None,
        version_hint=version,
        knowledge=load(),
        zone=ZoneInfo("UTC"),
        today=TODAY,
    )
    facts = record.facts
    sources = [*(r.source for r in facts.results), *(m.source for m in facts.medicines)]
    left = record.without_invalid([*sources, *(c.source for c in facts.conditions)])
    assert left is not None
    assert len(left.facts.conditions) == 1
    assert left.facts.needs[Need.MEDICATION_STATEMENTS] is NeedState.CUT_OFF
    kinds = {issue.resource_type for issue in left.facts.issues if issue.kind is IssueKind.FAILED_VALIDATION}
    assert kinds == {"Observation", "MedicationStatement"}
