"""FHIR releases: shapes tell them apart, and what no release can be makes its need failed."""

from typing import Any

import msgspec
import pytest

from cds_service.clinical.facts import IssueKind, Need
from cds_service.fhir import lean
from cds_service.fhir.versions import (
    FhirVersion,
    is_foreign,
    likely_versions,
    version_of_hint,
    versions_of,
)
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

DSTU2, STU3, R4, R5 = FhirVersion.DSTU2, FhirVersion.STU3, FhirVersion.R4, FhirVersion.R5
ALL = {DSTU2, STU3, R4, R5}
REFERENCE: Json = {"medication": {"concept": concept(RXNORM, "36437")}, "medicationCodeableConcept": None}
DOSE = [{"doseQuantity": {"value": 50, "unit": "mg"}}]
OF_PATIENT: Json = {"subject": None, "patient": subject()}
ALLERGY = {"resourceType": "AllergyIntolerance", "id": "a1", "patient": subject(), "code": {"text": "iron"}}
PROCEDURE = {"resourceType": "Procedure", "id": "x1", "status": "completed", "subject": subject()}
ORDER = {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "subject": subject()}
FAMILY = {
    "resourceType": "FamilyMemberHistory",
    "id": "f1",
    "status": "completed",
    "patient": subject(),
    "relationship": {"text": "mother"},
}

FOREIGN: list[tuple[Json, set[FhirVersion], Need]] = [
    (PATIENT | {"name": [{"family": ["Legg"]}]}, {DSTU2}, Need.PATIENT),
    (observation(category=laboratory(OLD_LAB_SYSTEM)[0]), {DSTU2}, Need.IRON_RESULTS),
    (observation(context={"reference": "Encounter/1"}), {STU3}, Need.IRON_RESULTS),
    (condition(clinicalStatus=None, **OF_PATIENT), {DSTU2}, Need.CONDITIONS),
    (condition(clinicalStatus="active", **OF_PATIENT), {DSTU2}, Need.CONDITIONS),
    (condition(clinicalStatus="active"), {DSTU2, STU3}, Need.CONDITIONS),
    (condition(clinicalStatus=None, verificationStatus="confirmed"), {DSTU2, STU3}, Need.CONDITIONS),
    (condition(clinicalStatus="active", assertedDate="2020"), {STU3}, Need.CONDITIONS),
    (condition(participant=[{}]), {R5}, Need.CONDITIONS),
    (medicine(**OF_PATIENT), {DSTU2}, Need.MEDICATION_STATEMENTS),
    (medicine(wasNotTaken=False), {DSTU2}, Need.MEDICATION_STATEMENTS),
    (medicine(taken="y"), {STU3}, Need.MEDICATION_STATEMENTS),
    (medicine(dosage=DOSE), {DSTU2, STU3}, Need.MEDICATION_STATEMENTS),
    (medicine(**REFERENCE), {R5}, Need.MEDICATION_STATEMENTS),
    (medicine("MedicationRequest", context={"reference": "a"}), {STU3}, Need.MEDICATION_REQUESTS),
    (medicine("MedicationRequest", requester={"agent": {}}), {STU3}, Need.MEDICATION_REQUESTS),
    (medicine("MedicationRequest", dosageInstruction=DOSE), {DSTU2, STU3}, Need.MEDICATION_REQUESTS),
    (medicine("MedicationRequest", **OF_PATIENT), {DSTU2}, Need.MEDICATION_REQUESTS),
    (medicine("MedicationRequest", **REFERENCE), {R5}, Need.MEDICATION_REQUESTS),
    (medicine("MedicationOrder", **OF_PATIENT), {DSTU2}, Need.MEDICATION_REQUESTS),
    (medicine("MedicationAdministration", wasNotGiven=False), {DSTU2}, Need.IRON_TREATMENTS),
    (medicine("MedicationAdministration", notGiven=False), {STU3}, Need.IRON_TREATMENTS),
    (
        medicine("MedicationAdministration", occurrenceDateTime="2026", medicationCodeableConcept=None),
        {R5},
        Need.IRON_TREATMENTS,
    ),
    (PROCEDURE | {"notPerformed": True}, {DSTU2}, Need.PROCEDURES),
    (PROCEDURE | {"notDone": False}, {STU3}, Need.PROCEDURES),
    (PROCEDURE | {"occurrenceDateTime": "2026"}, {R5}, Need.PROCEDURES),
    (PROCEDURE | {"occurrencePeriod": {"start": "2026"}}, {R5}, Need.PROCEDURES),
    ({**ALLERGY, "substance": {"text": "iron"}}, {DSTU2}, Need.ALLERGIES),
    (ALLERGY | {"clinicalStatus": "active"}, {STU3}, Need.ALLERGIES),
    (ALLERGY | {"verificationStatus": "confirmed"}, {STU3}, Need.ALLERGIES),
    (ALLERGY | {"assertedDate": "2020"}, {STU3}, Need.ALLERGIES),
    (ALLERGY | {"type": {"coding": []}}, {R5}, Need.ALLERGIES),
    (ALLERGY | {"reaction": [{"manifestation": [{"concept": {"text": "x"}}]}]}, {R5}, Need.ALLERGIES),
    (ORDER | {"code": {"concept": {"text": "ferritin"}}}, {R5}, Need.IRON_ORDERS),
    (ORDER | {"resourceType": "DiagnosticOrder"}, {DSTU2}, Need.IRON_ORDERS),
    (ORDER | {"resourceType": "ProcedureRequest"}, {DSTU2, STU3}, Need.IRON_ORDERS),
    (FAMILY | {"notDone": False}, {STU3}, Need.FAMILY_HISTORY),
]

UNTIDY: list[Json] = [
    observation(category=laboratory()[0]),
    observation(category=laboratory(OLD_LAB_SYSTEM)),
    medicine("MedicationRequest", category=concept("http://x", "community"), intent="order"),
    medicine(context={"reference": "Encounter/1"}),
    medicine("MedicationRequest", requester={"reference": "Practitioner/1"}),
    medicine(taken=None, context=None),
    medicine("MedicationAdministration", dosage={"dose": {"value": 500}}),
    condition(participant=None),
    PATIENT | {"name": [{"family": "Legg"}]},
    PROCEDURE | {"performedDateTime": "2026"},
    ALLERGY | {"type": "allergy", "reaction": [{"manifestation": [{"text": "rash"}]}]},
    ORDER | {"code": {"text": "ferritin"}},
    FAMILY,
    {"resourceType": "Practitioner"},
]

CONTRADICTORY: list[tuple[Json, Need]] = [
    (condition(**OF_PATIENT), Need.CONDITIONS),
    (condition(assertedDate="2020"), Need.CONDITIONS),
    (medicine(taken="y", wasNotTaken=False), Need.MEDICATION_STATEMENTS),
    (medicine(medication={"concept": {"text": "x"}}), Need.MEDICATION_STATEMENTS),
    (medicine("MedicationPrescription", **OF_PATIENT), Need.MEDICATION_REQUESTS),
    (
        observation(category=laboratory(OLD_LAB_SYSTEM)[0], context={"reference": "Encounter/1"}),
        Need.IRON_RESULTS,
    ),
    (
        observation("8302-2", category=laboratory(OLD_LAB_SYSTEM)[0], context={"reference": "Encounter/1"}),
        Need.IRON_RESULTS,
    ),
]


def decoded(resource: Json) -> lean.Resource:
    return msgspec.json.decode(msgspec.json.encode(resource), type=lean.Resource)


@pytest.mark.parametrize(("resource", "versions", "need"), FOREIGN)
def test_a_shape_that_r4_does_not_have_is_recognised_and_read(
    resource: Json, versions: set[FhirVersion], need: Need
) -> None:
    assert versions_of(decoded(resource)) == versions
    assert likely_versions(decoded(resource)) <= versions
    for prefetch in ({"x": bundle(resource)}, {"x": resource}, {need.value: bundle(resource)}):
        table = read(prefetch)
        assert table.states[need] is not FAILED
        assert not any(is_foreign(item.resource) for group in table.items_by_type.values() for item in group)
        details = [issue.detail for issue in table.issues if issue.detail.startswith("read from FHIR")]
        assert details
        assert {detail.rsplit(" ", 1)[1] for detail in details} <= versions


@pytest.mark.parametrize(
    ("resource", "versions"),
    [(resource, versions) for resource, versions, _ in FOREIGN if R4 not in versions],
)
def test_what_cannot_be_r4_is_foreign(resource: Json, versions: set[FhirVersion]) -> None:
    known = resource["resourceType"] not in {"MedicationOrder", "DiagnosticOrder", "ProcedureRequest"}
    assert is_foreign(decoded(resource)) is known
    assert versions


@pytest.mark.parametrize("resource", UNTIDY)
def test_untidy_r4_stays_r4(resource: Json) -> None:
    assert not is_foreign(decoded(resource))
    assert R4 in versions_of(decoded(resource))


@pytest.mark.parametrize(("resource", "need"), CONTRADICTORY)
def test_a_resource_of_no_release_fails_its_need(resource: Json, need: Need) -> None:
    assert not versions_of(decoded(resource))
    for prefetch in ({"x": bundle(resource)}, {"x": resource}, {need.value: bundle(resource)}):
        table = read(prefetch)
        assert table.states[need] is FAILED
        assert not any(table.items_by_type.values())
        assert IssueKind.UNKNOWN_VERSION in {issue.kind for issue in table.issues}


@pytest.mark.parametrize(
    ("resource", "likely"),
    [
        (PATIENT | {"name": [{"family": "Legg"}]}, {STU3, R4, R5}),
        (PATIENT, ALL),
        (condition(clinicalStatus="active"), {STU3}),
        (medicine(), {R4}),
        (medicine("MedicationAdministration"), {STU3, R4}),
        (ORDER | {"resourceType": "ProcedureRequest"}, {DSTU2}),
        (ORDER | {"resourceType": "ProcedureRequest", "intent": "order"}, {STU3}),
        # a habit that contradicts every mark tells nothing
        (medicine(wasNotTaken=False), {DSTU2}),
    ],
)
def test_what_a_release_requires_tells_what_a_resource_is_likely_written_in(
    resource: Json, likely: set[FhirVersion]
) -> None:
    assert likely_versions(decoded(resource)) == likely


@pytest.mark.parametrize(
    ("hint", "version"),
    [
        ("R4", R4),
        ("4.0.1", R4),
        ("FHIR R4B", R4),
        ("4.3.0", R4),
        ("r4", R4),
        ("DSTU2", DSTU2),
        ("R2", DSTU2),
        ("1.0.2", DSTU2),
        ("STU3", STU3),
        ("stu 3", STU3),
        ("3.0.1", STU3),
        ("R5", R5),
        ("5.0.0", R5),
        ("R6", FhirVersion.OTHER),
        ("6.0.0", FhirVersion.OTHER),
        ("DSTU1", FhirVersion.OTHER),
        ("0.0.82", FhirVersion.OTHER),
        ("something", None),
        ("", None),
        (None, None),
    ],
)
def test_hints_of_the_client(hint: str | None, version: FhirVersion | None) -> None:
    assert version_of_hint(hint) is version


@pytest.mark.parametrize("hint", ["R6", "DSTU1"])
def test_a_hint_of_a_release_that_we_do_not_read_fails_what_holds_data_and_leaves_the_empty(
    hint: str,
) -> None:
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


def test_conditions_of_no_release_fail_even_when_their_codes_say_nothing() -> None:
    contradictory = condition("I10", **OF_PATIENT)
    assert read({"conditions": bundle(contradictory)}).states[Need.CONDITIONS] is FAILED
