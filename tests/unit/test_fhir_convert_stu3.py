"""STU3 read as R4: what each element and code of STU3 becomes."""

import copy

import pytest

from cds_service.fhir.convert_stu3 import to_r4
from tests.unit.fhir_samples import Json

ENCOUNTER = {"reference": "Encounter/1"}


def converted(resource: Json) -> Json:
    before = copy.deepcopy(resource)
    (one,) = to_r4(resource)
    assert resource == before
    return one


def code_in(concept: Json) -> str:
    code: str = concept["coding"][0]["code"]
    return code


@pytest.mark.parametrize(
    ("status", "taken", "expected"),
    [
        ("active", "y", "active"),
        ("active", "n", "not-taken"),
        ("active", "unk", "unknown"),
        ("active", "na", "unknown"),
        ("active", None, "unknown"),
        ("active", "perhaps", "unknown"),
        ("active", 7, "unknown"),
        ("completed", "y", "completed"),
        ("completed", "unk", "completed"),
        ("completed", "n", "not-taken"),
        ("stopped", "y", "stopped"),
        ("on-hold", "unk", "on-hold"),
        ("intended", "na", "intended"),
        ("intended", "n", "not-taken"),
        ("entered-in-error", "n", "entered-in-error"),
        ("entered-in-error", "y", "entered-in-error"),
        (None, "y", "unknown"),
        (None, "unk", "unknown"),
        (None, "n", "not-taken"),
    ],
)
def test_a_statement_is_what_was_taken(status: object, taken: object, expected: str) -> None:
    made = converted({"resourceType": "MedicationStatement", "status": status, "taken": taken})
    assert made == {"resourceType": "MedicationStatement", "status": expected}


def test_dosages_have_their_dose_where_r4_has_it() -> None:
    dosage = {
        "doseQuantity": {"value": 50, "unit": "mg"},
        "timing": {"repeat": {"frequency": 1, "periodUnit": "d"}},
    }
    made = {"doseAndRate": [{"doseQuantity": {"value": 50, "unit": "mg"}}], "timing": dosage["timing"]}
    statement = converted({"resourceType": "MedicationStatement", "taken": "y", "dosage": [dosage]})
    assert statement["dosage"] == [made]
    request = converted({"resourceType": "MedicationRequest", "dosageInstruction": [dosage]})
    assert request["dosageInstruction"] == [made]
    both = dosage | {"doseAndRate": [{}]}
    kept = converted({"resourceType": "MedicationRequest", "dosageInstruction": [both]})
    assert kept["dosageInstruction"][0]["doseAndRate"] == [{}]


def test_a_request_has_a_context_an_agent_and_one_category() -> None:
    made = converted(
        {
            "resourceType": "MedicationRequest",
            "context": ENCOUNTER,
            "requester": {"agent": {"reference": "Practitioner/1"}},
            "category": {"text": "inpatient"},
        }
    )
    assert made == {
        "resourceType": "MedicationRequest",
        "encounter": ENCOUNTER,
        "requester": {"reference": "Practitioner/1"},
        "category": [{"text": "inpatient"}],
    }
    reference = {"resourceType": "MedicationRequest", "requester": {"reference": "Practitioner/1"}}
    assert converted(reference) == reference


def test_a_condition_has_plain_codes() -> None:
    made = converted(
        {
            "resourceType": "Condition",
            "clinicalStatus": "Active",
            "verificationStatus": "unknown",
            "assertedDate": "2020-01-01",
            "context": ENCOUNTER,
        }
    )
    assert code_in(made["clinicalStatus"]) == "active"
    assert code_in(made["verificationStatus"]) == "unconfirmed"
    assert made["recordedDate"] == "2020-01-01"
    assert made["encounter"] == ENCOUNTER


@pytest.mark.parametrize("code", ["provisional", "differential", "confirmed", "refuted", "entered-in-error"])
def test_the_other_verifications_are_those_of_r4(code: str) -> None:
    assert (
        code_in(converted({"resourceType": "Condition", "verificationStatus": code})["verificationStatus"])
        == code
    )


def test_an_empty_code_is_none_and_a_concept_stays() -> None:
    concept = {"coding": [{"code": "active"}]}
    made = converted({"resourceType": "Condition", "clinicalStatus": concept, "verificationStatus": " "})
    assert made == {"resourceType": "Condition", "clinicalStatus": concept}


def test_an_r4_element_that_is_there_stays() -> None:
    made = converted({"resourceType": "Condition", "assertedDate": "2019", "recordedDate": "2020"})
    assert made == {"resourceType": "Condition", "recordedDate": "2020"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "MedicationAdministration", "status": "completed", "notGiven": True}, "not-done"),
        ({"resourceType": "MedicationAdministration", "status": "completed", "notGiven": "true"}, "not-done"),
        ({"resourceType": "MedicationAdministration", "status": "completed", "notGiven": False}, "completed"),
        (
            {"resourceType": "MedicationAdministration", "status": "entered-in-error", "notGiven": True},
            "entered-in-error",
        ),
        ({"resourceType": "Procedure", "status": "completed", "notDone": True}, "not-done"),
        ({"resourceType": "Procedure", "status": "completed", "notDone": False}, "completed"),
        ({"resourceType": "Procedure", "status": "suspended"}, "on-hold"),
        ({"resourceType": "Procedure", "status": "aborted"}, "stopped"),
        ({"resourceType": "FamilyMemberHistory", "status": "completed", "notDone": True}, "health-unknown"),
        ({"resourceType": "FamilyMemberHistory", "status": "completed", "notDone": False}, "completed"),
    ],
)
def test_what_was_not_done(resource: Json, expected: str) -> None:
    made = converted(resource)
    assert made == {"resourceType": resource["resourceType"], "status": expected}


def test_an_allergy_has_plain_codes() -> None:
    made = converted(
        {
            "resourceType": "AllergyIntolerance",
            "clinicalStatus": "active",
            "verificationStatus": "refuted",
            "assertedDate": "2020",
        }
    )
    assert (code_in(made["clinicalStatus"]), code_in(made["verificationStatus"])) == ("active", "refuted")
    assert made["recordedDate"] == "2020"


@pytest.mark.parametrize(
    ("status", "expected"), [("active", "active"), ("suspended", "on-hold"), ("cancelled", "revoked")]
)
def test_an_order_is_a_procedure_request(status: str, expected: str) -> None:
    order = {"resourceType": "ProcedureRequest", "status": status, "requester": {"agent": ENCOUNTER}}
    made = converted(order)
    assert made == {"resourceType": "ServiceRequest", "status": expected, "requester": ENCOUNTER}


def test_a_referral_asks_for_several_things() -> None:
    referral = {
        "resourceType": "ReferralRequest",
        "id": "r",
        "serviceRequested": [{"text": "a"}, {"text": "b"}],
    }
    first, second = to_r4(referral)
    assert (first["code"], second["code"]) == ({"text": "a"}, {"text": "b"})
    assert to_r4({"resourceType": "ReferralRequest"}) == [{"resourceType": "ServiceRequest"}]


def test_an_observation_has_a_context() -> None:
    assert converted({"resourceType": "Observation", "context": ENCOUNTER})["encounter"] == ENCOUNTER


@pytest.mark.parametrize("kind", ["Patient", "Medication", "Bundle", None])
def test_what_stu3_shares_with_r4_stays_as_it_is(kind: str | None) -> None:
    resource = {"resourceType": kind}
    (one,) = to_r4(resource)
    assert one is resource
