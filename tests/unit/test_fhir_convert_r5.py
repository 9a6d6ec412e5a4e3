"""R5 read as R4: what each element and code of R5 becomes."""

import copy

import pytest

from cds_service.fhir.convert_r5 import to_r4
from tests.unit.fhir_samples import RXNORM, Json, concept, subject

SERTRALINE = concept(RXNORM, "36437", "sertraline")


def converted(resource: Json) -> Json:
    before = copy.deepcopy(resource)
    (one,) = to_r4(resource)
    assert resource == before
    return one


def statement(**members: object) -> Json:
    resource = {
        "resourceType": "MedicationStatement",
        "status": "recorded",
        "subject": subject(),
        "medication": {"concept": SERTRALINE},
    }
    return {name: value for name, value in (resource | members).items() if value is not None}


def adherence(*codes: str, text: str | None = None) -> Json:
    coded: Json = {"coding": [{"code": code} for code in codes]}
    return {"code": coded if text is None else coded | {"text": text}}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (adherence("taking"), "active"),
        (adherence("taking-as-directed"), "active"),
        (adherence("taking-not-as-directed"), "active"),
        (adherence("Taking"), "active"),
        (adherence(text="Taking"), "active"),
        (adherence("not-taking"), "not-taken"),
        (adherence(text="Not taking"), "not-taken"),
        (adherence("on-hold"), "on-hold"),
        (adherence("on-hold-as-directed"), "on-hold"),
        (adherence("stopped"), "stopped"),
        (adherence("stopped-not-as-directed"), "stopped"),
        (adherence("unknown"), "unknown"),
        (adherence("taking", "taking-as-directed"), "active"),
        (adherence("taking", "stopped"), "unknown"),
        (adherence("taking", "unknown"), "unknown"),
        (adherence("not-taking", "stopped", "stopped-as-directed"), "stopped"),
        (adherence("not-taking", "on-hold"), "on-hold"),
        (adherence("on-hold", "stopped"), "stopped"),
        (adherence("sometimes"), "unknown"),
        ({"code": "taking"}, "unknown"),
        ({"code": {"coding": "taking"}}, "unknown"),
        ({"code": {"coding": [{"display": "Taking"}, "taking"]}}, "unknown"),
        ("taking", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_adherence_of_a_recorded_statement_is_its_status(said: object, status: str) -> None:
    made = converted(statement(adherence=said))
    assert made["status"] == status
    assert "adherence" not in made


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("draft", "entered-in-error"),
        ("entered-in-error", "entered-in-error"),
        # no code of R5: the sender means R4
        ("active", "active"),
        (None, None),
        (7, 7),
    ],
)
def test_the_other_statuses_of_a_statement(status: object, expected: object) -> None:
    assert converted(statement(status=status, adherence=adherence("taking"))).get("status") == expected


@pytest.mark.parametrize("kind", ["MedicationStatement", "MedicationRequest", "MedicationAdministration"])
@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"concept": SERTRALINE}, {"medicationCodeableConcept": SERTRALINE}),
        ({"reference": {"reference": "#m"}}, {"medicationReference": {"reference": "#m"}}),
        (
            {"concept": SERTRALINE, "reference": {"reference": "#m"}},
            {"medicationCodeableConcept": SERTRALINE, "medicationReference": {"reference": "#m"}},
        ),
        ({}, {}),
        ("sertraline", {"medication": "sertraline"}),
    ],
)
def test_the_medicine_is_a_codeable_reference(kind: str, named: object, expected: Json) -> None:
    made = converted({"resourceType": kind, "medication": named})
    assert {name: value for name, value in made.items() if name.startswith("medication")} == expected


def test_a_dosage_says_as_needed_in_one_element_and_why_in_another() -> None:
    dosage = [{"asNeeded": True, "asNeededFor": [{"text": "pain"}]}, {"asNeededFor": []}, "odd"]
    made = converted(statement(dosage=dosage))["dosage"]
    assert made == [
        {"asNeededBoolean": True, "asNeededCodeableConcept": {"text": "pain"}},
        {},
        "odd",
    ]


@pytest.mark.parametrize(("status", "expected"), [("ended", "completed"), ("active", "active")])
def test_a_request_that_has_ended(status: str, expected: str) -> None:
    assert converted({"resourceType": "MedicationRequest", "status": status})["status"] == expected


@pytest.mark.parametrize("stem", ["occurence", "occurrence"])
def test_an_administration_occurs_in_either_spelling(stem: str) -> None:
    made = converted({"resourceType": "MedicationAdministration", f"{stem}DateTime": "2026-10-01"})
    assert made == {"resourceType": "MedicationAdministration", "effectiveDateTime": "2026-10-01"}
    made = converted({"resourceType": "MedicationAdministration", f"{stem}Period": {"start": "2026"}})
    assert made["effectivePeriod"] == {"start": "2026"}


def test_a_condition_of_unknown_status_is_one_without_status() -> None:
    unknown = {"resourceType": "Condition", "clinicalStatus": concept("http://x", "unknown")}
    assert converted(unknown) == {"resourceType": "Condition"}
    active = {"resourceType": "Condition", "clinicalStatus": concept("http://x", "active")}
    assert converted(active | {"participant": [{}]}) == active


def test_a_procedure_occurs() -> None:
    made = converted({"resourceType": "Procedure", "occurrencePeriod": {"end": "2026-10-01"}})
    assert made["performedPeriod"] == {"end": "2026-10-01"}
    made = converted({"resourceType": "Procedure", "occurrenceDateTime": "2026-10-01"})
    assert made["performedDateTime"] == "2026-10-01"


def test_an_allergy_names_its_manifestations_by_codeable_references() -> None:
    manifestation = [
        {"concept": {"text": "anaphylaxis"}},
        {"reference": {"display": "rash"}},
        {"reference": {"reference": "Observation/1"}},
        {"text": "as in R4"},
    ]
    made = converted(
        {
            "resourceType": "AllergyIntolerance",
            "type": {"coding": [{"code": "allergy"}]},
            "participant": [{}],
            "reaction": [{"manifestation": manifestation}],
        }
    )
    assert made == {
        "resourceType": "AllergyIntolerance",
        "type": "allergy",
        "reaction": [
            {"manifestation": [{"text": "anaphylaxis"}, {"text": "rash"}, {}, {"text": "as in R4"}]}
        ],
    }
    assert converted({"resourceType": "AllergyIntolerance", "type": {}}) == {
        "resourceType": "AllergyIntolerance"
    }


def test_an_order_names_its_test_by_a_codeable_reference() -> None:
    order = {"resourceType": "ServiceRequest", "code": {"concept": {"text": "ferritin"}}}
    assert converted(order)["code"] == {"text": "ferritin"}


def test_a_contained_product_is_of_the_same_release() -> None:
    contained = [{"resourceType": "Medication", "id": "m", "doseForm": {"text": "tablet"}}, "odd"]
    made = converted(statement(contained=contained))
    assert made["contained"] == [{"resourceType": "Medication", "id": "m", "form": {"text": "tablet"}}, "odd"]


@pytest.mark.parametrize("kind", ["Patient", "Observation", "FamilyMemberHistory", None])
def test_what_r5_did_not_change_stays_as_it_is(kind: str | None) -> None:
    resource = {"resourceType": kind, "status": "final"}
    (one,) = to_r4(resource)
    assert one is resource
