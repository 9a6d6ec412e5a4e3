"""DSTU2 read as R4: what each element and code of DSTU2 becomes."""

import copy

import pytest

from cds_service.fhir.convert_dstu2 import to_r4
from tests.unit.fhir_samples import Json, subject


def converted(resource: Json) -> Json:
    before = copy.deepcopy(resource)
    (one,) = to_r4(resource)
    assert resource == before
    return one


def code_in(concept: Json) -> str:
    code: str = concept["coding"][0]["code"]
    return code


def test_a_patient_has_a_list_of_family_names() -> None:
    made = converted(
        {"resourceType": "Patient", "name": [{"family": ["Van", "Legg"]}, {"family": "Legg"}, 7]}
    )
    assert made["name"] == [{"family": "Van Legg"}, {"family": "Legg"}, 7]


def test_an_observation_has_one_category() -> None:
    made = converted({"resourceType": "Observation", "category": {"text": "laboratory"}})
    assert made["category"] == [{"text": "laboratory"}]


def test_a_condition_belongs_to_a_patient_and_has_plain_codes() -> None:
    made = converted(
        {
            "resourceType": "Condition",
            "patient": subject(),
            "dateRecorded": "2020-01-01",
            "category": {"text": "diagnosis"},
            "clinicalStatus": "relapse",
            "verificationStatus": "differential",
            "abatementQuantity": {"value": 50},
        }
    )
    assert (code_in(made.pop("clinicalStatus")), code_in(made.pop("verificationStatus"))) == (
        "relapse",
        "differential",
    )
    assert made == {
        "resourceType": "Condition",
        "subject": subject(),
        "recordedDate": "2020-01-01",
        "category": [{"text": "diagnosis"}],
        "abatementAge": {"value": 50},
    }


def test_a_verification_that_is_not_known_is_no_confirmation() -> None:
    made = converted({"resourceType": "Condition", "verificationStatus": "unknown"})
    assert code_in(made["verificationStatus"]) == "unconfirmed"


@pytest.mark.parametrize(
    ("status", "was_not_taken", "expected"),
    [
        ("active", False, "active"),
        ("active", None, "active"),
        ("active", True, "not-taken"),
        ("active", "true", "not-taken"),
        ("completed", False, "completed"),
        ("completed", True, "not-taken"),
        ("intended", True, "not-taken"),
        ("entered-in-error", True, "entered-in-error"),
    ],
)
def test_a_statement_says_whether_it_was_not_taken(status: str, was_not_taken: object, expected: str) -> None:
    made = converted(
        {
            "resourceType": "MedicationStatement",
            "patient": subject(),
            "status": status,
            "wasNotTaken": was_not_taken,
        }
    )
    assert made == {"resourceType": "MedicationStatement", "subject": subject(), "status": expected}


def test_a_dose_and_its_unit_of_time_stand_elsewhere() -> None:
    timing = {"repeat": {"frequency": 1, "period": 1, "periodUnits": "d"}}
    dose = {"value": 25, "unit": "mg"}
    expected = [
        {
            "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
            "doseAndRate": [{"doseQuantity": dose}],
        }
    ]
    statement = {
        "resourceType": "MedicationStatement",
        "dosage": [{"timing": timing, "quantityQuantity": dose}],
    }
    assert converted(statement)["dosage"] == expected
    order = {
        "resourceType": "MedicationOrder",
        "dosageInstruction": [{"timing": timing, "doseQuantity": dose}],
    }
    assert converted(order)["dosageInstruction"] == expected
    ranged = {"resourceType": "MedicationStatement", "dosage": [{"quantityRange": {"low": dose}}]}
    assert converted(ranged)["dosage"] == [{"doseAndRate": [{"doseRange": {"low": dose}}]}]


def test_a_prescription_is_a_medication_order() -> None:
    order = {
        "resourceType": "MedicationOrder",
        "patient": subject(),
        "dateWritten": "2026-10-01",
        "status": "active",
        "category": {"text": "community"},
    }
    assert converted(order) == {
        "resourceType": "MedicationRequest",
        "subject": subject(),
        "authoredOn": "2026-10-01",
        "status": "active",
        "intent": "order",
        "category": [{"text": "community"}],
    }
    assert converted(order | {"intent": "proposal"})["intent"] == "proposal"


@pytest.mark.parametrize(
    ("dispense", "expected"),
    [
        (None, {"validityPeriod": {"end": "2026-10-01"}}),
        ({}, {"validityPeriod": {"end": "2026-10-01"}}),
        ({"validityPeriod": {"start": "2026"}}, {"validityPeriod": {"start": "2026", "end": "2026-10-01"}}),
        ({"validityPeriod": {"end": "2027-01-01"}}, {"validityPeriod": {"end": "2026-10-01"}}),
        ({"validityPeriod": {"end": "2026-01-01"}}, {"validityPeriod": {"end": "2026-01-01"}}),
        ({"validityPeriod": "odd"}, {"validityPeriod": "odd"}),
        ("odd", "odd"),
    ],
)
def test_a_prescription_ends_on_the_day_it_names_or_sooner(dispense: object, expected: object) -> None:
    order = {"resourceType": "MedicationOrder", "dateEnded": "2026-10-01", "dispenseRequest": dispense}
    made = converted({name: value for name, value in order.items() if value is not None})
    assert made["dispenseRequest"] == expected
    assert "dateEnded" not in made


def test_an_end_without_a_day_is_none() -> None:
    assert "dispenseRequest" not in converted({"resourceType": "MedicationOrder", "dateEnded": " "})


def test_an_administration_has_a_time_of_its_effect() -> None:
    given = {
        "resourceType": "MedicationAdministration",
        "patient": subject(),
        "status": "completed",
        "effectiveTimeDateTime": "2026-10-01",
        "wasNotGiven": False,
        "dosage": {"quantity": {"value": 500, "unit": "mg"}},
    }
    assert converted(given) == {
        "resourceType": "MedicationAdministration",
        "subject": subject(),
        "status": "completed",
        "effectiveDateTime": "2026-10-01",
        "dosage": {"dose": {"value": 500, "unit": "mg"}},
    }
    assert converted(given | {"wasNotGiven": True})["status"] == "not-done"
    wrong = given | {"wasNotGiven": True, "status": "entered-in-error"}
    assert converted(wrong)["status"] == "entered-in-error"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"status": "completed", "notPerformed": True}, "not-done"),
        ({"status": "completed", "notPerformed": False}, "completed"),
        ({"status": "aborted"}, "stopped"),
    ],
)
def test_a_procedure(members: Json, expected: str) -> None:
    assert converted({"resourceType": "Procedure", **members}) == {
        "resourceType": "Procedure",
        "status": expected,
    }


@pytest.mark.parametrize(
    ("status", "clinical", "verification"),
    [
        ("active", "active", None),
        ("unconfirmed", "active", "unconfirmed"),
        ("confirmed", "active", "confirmed"),
        ("inactive", "inactive", None),
        ("resolved", "resolved", None),
        ("refuted", None, "refuted"),
        ("entered-in-error", None, "entered-in-error"),
        ("odd", None, None),
    ],
)
def test_an_allergy_has_one_status_for_two(
    status: str, clinical: str | None, verification: str | None
) -> None:
    made = converted({"resourceType": "AllergyIntolerance", "status": status, "substance": {"text": "iron"}})
    assert made.pop("code") == {"text": "iron"}
    for element, code in (("clinicalStatus", clinical), ("verificationStatus", verification)):
        assert (code_in(made[element]) if element in made else None) == code
    assert "status" not in made
    assert "substance" not in made


@pytest.mark.parametrize(
    ("code", "expected"),
    [("CRITH", "high"), ("CRITL", "low"), ("CRITU", "unable-to-assess"), ("high", "high")],
)
def test_the_criticality_of_an_allergy(code: str, expected: str) -> None:
    assert converted({"resourceType": "AllergyIntolerance", "criticality": code})["criticality"] == expected


def test_the_form_of_a_product() -> None:
    made = converted({"resourceType": "Medication", "product": {"form": {"text": "tablet"}}})
    assert made["form"] == {"text": "tablet"}
    assert "form" not in converted({"resourceType": "Medication", "product": {"form": "tablet"}})


def test_an_order_becomes_a_request_for_each_of_its_tests() -> None:
    order = {
        "resourceType": "DiagnosticOrder",
        "id": "d",
        "status": "accepted",
        "item": [
            {"code": {"text": "blood count"}},
            {"code": {"text": "ferritin"}, "status": "cancelled"},
            {
                "code": {"text": "iron"},
                "event": [{"status": "completed", "dateTime": "2026-10-03"}],
            },
            "odd",
        ],
        "event": [
            {"status": "proposed", "dateTime": "2026-10-01"},
            {"status": "requested", "dateTime": "2026-10-02"},
        ],
    }
    first, second, third = to_r4(order)
    assert first == {
        "resourceType": "ServiceRequest",
        "id": "d",
        "status": "active",
        "intent": "order",
        "code": {"text": "blood count"},
        "authoredOn": "2026-10-02",
    }
    assert (second["code"], second["status"]) == ({"text": "ferritin"}, "revoked")
    assert third["authoredOn"] == "2026-10-03"
    assert to_r4({"resourceType": "DiagnosticOrder", "event": 7}) == [
        {"resourceType": "ServiceRequest", "intent": "order"}
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("proposed", "draft"),
        ("planned", "draft"),
        ("draft", "draft"),
        ("requested", "active"),
        ("received", "active"),
        ("accepted", "active"),
        ("in-progress", "active"),
        ("review", "active"),
        ("suspended", "on-hold"),
        ("completed", "completed"),
        ("cancelled", "revoked"),
        ("rejected", "revoked"),
        ("failed", "revoked"),
        ("aborted", "revoked"),
        ("entered-in-error", "entered-in-error"),
    ],
)
@pytest.mark.parametrize("kind", ["DiagnosticOrder", "ProcedureRequest"])
def test_the_status_of_an_order(kind: str, status: str, expected: str) -> None:
    assert converted({"resourceType": kind, "status": status})["status"] == expected


def test_a_procedure_request_and_a_referral() -> None:
    made = converted({"resourceType": "ProcedureRequest", "orderedOn": "2026-10-01", "intent": "plan"})
    assert made == {"resourceType": "ServiceRequest", "authoredOn": "2026-10-01", "intent": "plan"}
    referral = {"resourceType": "ReferralRequest", "patient": subject(), "serviceRequested": [{"text": "a"}]}
    (one,) = to_r4(referral)
    assert one == {
        "resourceType": "ServiceRequest",
        "subject": subject(),
        "intent": "order",
        "code": {"text": "a"},
    }


def test_a_contained_product_is_of_the_same_release() -> None:
    contained = [{"resourceType": "Medication", "product": {"form": {"text": "cream"}}}]
    made = converted({"resourceType": "MedicationOrder", "contained": contained})
    assert made["contained"][0]["form"] == {"text": "cream"}


@pytest.mark.parametrize("kind", ["FamilyMemberHistory", "Bundle", None])
def test_what_dstu2_shares_with_r4_stays_as_it_is(kind: str | None) -> None:
    resource = {"resourceType": kind}
    (one,) = to_r4(resource)
    assert one is resource
