"""FHIR versions: what is not R4 makes its need failed, untidy R4 is read."""

from typing import Any

import msgspec
import pytest

from cds_service.clinical.facts import IssueKind, Need
from cds_service.fhir import lean
from cds_service.fhir.versions import FhirVersion, foreign_version, version_of_hint
from tests.unit.fhir_samples import (
    ANSWERED,
    FAILED,
    OLD_LAB_SYSTEM,
    PATIENT,
    RXNORM,
    Json,
    bundle,
    concept,
    condition,
    laboratory,
    medicine,
    observation,
    read,
    subject,
)

DSTU2, STU3, R5 = FhirVersion.DSTU2, FhirVersion.STU3, FhirVersion.R5
REFERENCE = {"medication": {"concept": concept(RXNORM, "36437")}, "medicationCodeableConcept": None}
ALLERGY = {"resourceType": "AllergyIntolerance", "id": "a1", "patient": subject(), "code": {"text": "iron"}}
PROCEDURE = {"resourceType": "Procedure", "id": "x1", "status": "completed", "subject": subject()}
ORDER = {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "subject": subject()}

FOREIGN: list[tuple[Json, FhirVersion, Need]] = [
    (PATIENT | {"name": [{"family": ["Legg"]}]}, DSTU2, Need.PATIENT),
    (observation(category=laboratory(OLD_LAB_SYSTEM)[0]), DSTU2, Need.IRON_RESULTS),
    (observation(context={"reference": "Encounter/1"}), STU3, Need.IRON_RESULTS),
    (condition(subject=None, patient=subject()), DSTU2, Need.CONDITIONS),
    (condition(clinicalStatus="active"), STU3, Need.CONDITIONS),
    (condition(verificationStatus="confirmed"), STU3, Need.CONDITIONS),
    (condition(assertedDate="2020"), STU3, Need.CONDITIONS),
    (condition(participant=[{}]), R5, Need.CONDITIONS),
    (medicine(subject=None, patient=subject()), DSTU2, Need.MEDICATION_STATEMENTS),
    (medicine(wasNotTaken=False), DSTU2, Need.MEDICATION_STATEMENTS),
    (medicine(taken="y"), STU3, Need.MEDICATION_STATEMENTS),
    (medicine(**REFERENCE), R5, Need.MEDICATION_STATEMENTS),
    (medicine("MedicationRequest", context={"reference": "a"}), STU3, Need.MEDICATION_REQUESTS),
    (medicine("MedicationRequest", requester={"agent": {}}), STU3, Need.MEDICATION_REQUESTS),
    (medicine("MedicationRequest", patient=subject(), subject=None), DSTU2, Need.MEDICATION_REQUESTS),
    (medicine("MedicationRequest", **REFERENCE), R5, Need.MEDICATION_REQUESTS),
    (medicine("MedicationAdministration", wasNotGiven=False), DSTU2, Need.IRON_TREATMENTS),
    (medicine("MedicationAdministration", notGiven=False), STU3, Need.IRON_TREATMENTS),
    (medicine("MedicationAdministration", occurrenceDateTime="2026"), R5, Need.IRON_TREATMENTS),
    (PROCEDURE | {"notPerformed": True}, DSTU2, Need.PROCEDURES),
    (PROCEDURE | {"notDone": False}, STU3, Need.PROCEDURES),
    (PROCEDURE | {"occurrenceDateTime": "2026"}, R5, Need.PROCEDURES),
    (ALLERGY | {"substance": {"text": "iron"}}, DSTU2, Need.ALLERGIES),
    (ALLERGY | {"clinicalStatus": "active"}, STU3, Need.ALLERGIES),
    (ALLERGY | {"type": {"coding": []}}, R5, Need.ALLERGIES),
    (ORDER | {"code": {"concept": {"text": "ferritin"}}}, R5, Need.IRON_ORDERS),
]

UNTIDY: list[Json] = [
    observation(category=laboratory()[0]),
    observation(category=laboratory(OLD_LAB_SYSTEM)),
    medicine("MedicationRequest", category=concept("http://x", "community"), intent="order"),
    medicine(context={"reference": "Encounter/1"}),
    medicine("MedicationRequest", requester={"reference": "Practitioner/1"}),
    medicine(taken=None, context=None),
    condition(participant=None),
    PATIENT | {"name": [{"family": "Legg"}]},
    PROCEDURE | {"performedDateTime": "2026"},
    ALLERGY | {"type": "allergy"},
    ORDER | {"code": {"text": "ferritin"}},
    {"resourceType": "FamilyMemberHistory"},
    {"resourceType": "Practitioner"},
]


def decoded(resource: Json) -> lean.Resource:
    return msgspec.json.decode(msgspec.json.encode(resource), type=lean.Resource)


@pytest.mark.parametrize(("resource", "version", "need"), FOREIGN)
def test_a_shape_that_r4_does_not_have_fails_its_need(
    resource: Json, version: FhirVersion, need: Need
) -> None:
    assert foreign_version(decoded(resource)) is version
    for prefetch in ({"x": bundle(resource)}, {"x": resource}, {need.value: bundle(resource)}):
        table = read(prefetch)
        assert table.states[need] is FAILED
        assert not any(table.items_by_type.values())
        assert IssueKind.UNKNOWN_VERSION in {issue.kind for issue in table.issues}


@pytest.mark.parametrize("resource", UNTIDY)
def test_untidy_r4_stays_r4(resource: Json) -> None:
    assert foreign_version(decoded(resource)) is None


@pytest.mark.parametrize(
    ("resource_type", "need"),
    [
        ("MedicationOrder", Need.MEDICATION_REQUESTS),
        ("DiagnosticOrder", Need.IRON_ORDERS),
        ("ProcedureRequest", Need.IRON_ORDERS),
    ],
)
def test_a_type_that_r4_no_longer_has_fails_the_need_it_would_fill(resource_type: str, need: Need) -> None:
    assert read({"x": bundle({"resourceType": resource_type, "id": "1"})}).states[need] is FAILED


@pytest.mark.parametrize(
    ("hint", "version"),
    [
        ("R4", FhirVersion.R4),
        ("4.0.1", FhirVersion.R4),
        ("FHIR R4B", FhirVersion.R4),
        ("r4", FhirVersion.R4),
        ("DSTU2", DSTU2),
        ("1.0.2", DSTU2),
        ("STU3", STU3),
        ("stu 3", STU3),
        ("3.0.1", STU3),
        ("R5", R5),
        ("5.0.0", R5),
        ("something", None),
        ("", None),
        (None, None),
    ],
)
def test_hints_of_the_client(hint: str | None, version: FhirVersion | None) -> None:
    assert version_of_hint(hint) is version


@pytest.mark.parametrize("hint", ["DSTU2", "STU3", "R5"])
def test_a_hint_of_another_version_fails_what_holds_data_and_leaves_the_empty(hint: str) -> None:
    prefetch: dict[str, Any] = {
        "ironResults": bundle(observation("8302-2")),
        "conditions": bundle(condition()),
        "patient": PATIENT,
        "allergies": None,
    }
    table = read(prefetch, hint)
    assert table.states[Need.IRON_RESULTS] is FAILED
    assert table.states[Need.CONDITIONS] is FAILED
    assert table.states[Need.PATIENT] is FAILED
    assert table.states[Need.ALLERGIES] is ANSWERED
    assert not any(table.items_by_type.values())


def test_conditions_of_another_version_fail_even_when_their_codes_say_nothing() -> None:
    foreign = condition("I10", clinicalStatus="active")
    assert read({"conditions": bundle(foreign)}).states[Need.CONDITIONS] is FAILED


def test_an_observation_of_another_version_fails_even_when_its_code_says_nothing() -> None:
    foreign = observation("8302-2", category=laboratory(OLD_LAB_SYSTEM)[0])
    assert read({"ironResults": bundle(foreign)}).states[Need.IRON_RESULTS] is FAILED
