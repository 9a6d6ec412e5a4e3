"""The patient, procedures, allergies to iron, pending orders and family histories as facts."""

import json
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cds_service.clinical.facts import Certainty, IssueKind, Sex
from cds_service.fhir import lean
from cds_service.fhir.allergies import read_allergy, read_allergy_problem
from cds_service.fhir.needs import Item
from cds_service.fhir.others import (
    read_family,
    read_order,
    read_patient,
    read_procedure,
)
from cds_service.fhir.reading import ATC, ICD_10_CM, LOINC, RXNORM, SNOMED_CT, Reading
from cds_service.knowledge import load

Json = dict[str, Any]
RELATIONSHIPS = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"


def new_reading() -> Reading:
    return Reading(
        terminology=load().terminology,
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
        resolve=lambda _reference, _item: None,
    )


def resource(**members: Any) -> Item:
    return Item(1, msgspec.json.decode(json.dumps(members), type=lean.Resource), "any")


def code(system: str | None, value: str, display: str | None = None) -> Json:
    return {"coding": [{"system": system, "code": value, "display": display}]}


@pytest.mark.parametrize(
    ("gender", "sex"),
    [
        ("female", Sex.FEMALE),
        ("male", Sex.MALE),
        ("Male ", Sex.MALE),
        ("other", Sex.OTHER),
        ("unknown", Sex.UNKNOWN),
        (None, Sex.UNKNOWN),
        ("M", Sex.UNKNOWN),
    ],
)
def test_administrative_sex(gender: str | None, sex: Sex) -> None:
    assert read_patient(resource(gender=gender), new_reading()).sex is sex


def test_a_gender_that_is_no_code_is_logged_without_its_value() -> None:
    reading = new_reading()
    read_patient(resource(gender="wombat"), reading)
    (issue,) = reading.issues.issues()
    assert issue.kind is IssueKind.CLEANED
    assert "wombat" not in issue.detail


def test_a_birth_date_may_be_partial_or_missing() -> None:
    partial = read_patient(resource(birthDate="2008-11"), new_reading())
    assert partial.birth is not None
    assert (partial.birth.earliest, partial.birth.latest) == (date(2008, 11, 1), date(2008, 11, 30))
    assert read_patient(resource(), new_reading()).birth is None
    assert read_patient(resource(birthDate="long ago"), new_reading()).birth is None


@pytest.mark.parametrize(
    ("members", "is_deceased"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2026-10-02"}, True),
        ({"deceasedDateTime": "not known when"}, True),
        ({"deceasedDateTime": ""}, False),
    ],
)
def test_deceased(members: Json, *, is_deceased: bool) -> None:
    assert read_patient(resource(**members), new_reading()).is_deceased is is_deceased


@pytest.mark.parametrize(
    ("members", "day"),
    [
        ({"performedDateTime": "2026-11-01"}, date(2026, 11, 1)),
        ({"performedPeriod": {"start": "2026-10-01", "end": "2026-10-02"}}, date(2026, 10, 2)),
        ({"performedPeriod": {"start": "2026-10-01"}}, date(2026, 10, 1)),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", ["completed", "in-progress"])
def test_a_dialysis_is_dated_by_its_end(members: Json, day: date | None, status: str) -> None:
    found = read_procedure(
        resource(status=status, code=code(SNOMED_CT, "302497006"), **members), new_reading()
    )
    assert found is not None
    assert "dialysis_procedure" in found.groups
    assert (found.when.earliest if found.when else None) == day


@pytest.mark.parametrize("status", ["not-done", "entered-in-error", "preparation", None])
def test_a_procedure_that_did_not_happen_is_none(status: str | None) -> None:
    reading = new_reading()
    assert read_procedure(resource(status=status, code=code(SNOMED_CT, "302497006")), reading) is None
    assert [i.kind for i in reading.issues.issues()] == [IssueKind.SKIPPED]


def test_another_procedure_is_none_and_no_issue() -> None:
    reading = new_reading()
    assert read_procedure(resource(status="completed", code=code(SNOMED_CT, "80146002")), reading) is None
    assert reading.issues.issues() == ()


@pytest.mark.parametrize(
    ("substance", "is_to_iv_iron", "is_to_oral_iron"),
    [
        (code(RXNORM, "5992"), True, False),
        (code(RXNORM, "1433693"), True, False),
        (code(RXNORM, "24947"), False, True),
        # A reaction that names no product may have been one to either.
        (code(SNOMED_CT, "293354007"), True, True),
        (code(ICD_10_CM, "T45.4X5A"), True, True),
        ({"text": "iron dextran"}, True, False),
        ({"text": "iron dextran anaphylaxis"}, True, False),
        ({"text": "Iron tablets"}, False, True),
        ({"coding": [{"system": "urn:x", "code": "1", "display": "Ferumoxytol"}]}, True, False),
    ],
)
def test_allergies_to_iron(substance: Json, *, is_to_iv_iron: bool, is_to_oral_iron: bool) -> None:
    found = read_allergy(resource(code=substance), new_reading())
    assert found is not None
    assert (found.is_to_iv_iron, found.is_to_oral_iron) == (is_to_iv_iron, is_to_oral_iron)


@pytest.mark.parametrize(
    ("problem", "is_to_iv_iron", "is_to_oral_iron", "certainty"),
    [
        (code(ICD_10_CM, "T45.4X5A"), True, True, Certainty.CODED),
        (code(SNOMED_CT, "293354007"), True, True, Certainty.CODED),
        ({"text": "Allergy to iron dextran"}, True, False, Certainty.BY_TEXT),
        ({"text": "History of anaphylaxis due to ferumoxytol"}, True, False, Certainty.BY_TEXT),
        ({"text": "Iron infusion reaction"}, True, False, Certainty.BY_TEXT),
        ({"text": "Adverse reaction to ferrous sulfate"}, False, True, Certainty.BY_TEXT),
        ({"text": "Intolerance to oral iron"}, False, True, Certainty.BY_TEXT),
        (code(ICD_10_CM, "Z88.8", "Allergy status to iron dextran"), True, False, Certainty.BY_TEXT),
        (code(ICD_10_CM, "T78.2", "Anaphylaxis to iron dextran"), True, False, Certainty.BY_TEXT),
    ],
)
def test_a_reaction_to_iron_may_stand_on_the_problem_list(
    problem: Json, *, is_to_iv_iron: bool, is_to_oral_iron: bool, certainty: Certainty
) -> None:
    found = read_allergy_problem(resource(code=problem, clinicalStatus=code(None, "resolved")), new_reading())
    assert found is not None
    assert (found.is_to_iv_iron, found.is_to_oral_iron) == (is_to_iv_iron, is_to_oral_iron)
    assert found.certainty is certainty


def test_anaphylaxis_is_seen_on_the_problem_list_too() -> None:
    found = read_allergy_problem(resource(code={"text": "Anaphylaxis to iron sucrose"}), new_reading())
    assert found is not None
    assert found.names_anaphylaxis


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"code": {}},
        {"code": {"text": "Allergic rhinitis"}},
        {"code": {"text": "No known allergy to iron"}},
        {"code": {"text": "not allergic to iron sucrose"}},
        {"code": {"text": "Allergy to iron dextran: no"}},
        {"code": {"text": "Suspected allergy to iron sucrose"}},
        {"code": {"text": "Family history of allergy to iron dextran"}},
        {"code": {"text": "Iron deficiency anemia, allergy to nickel"}},
        {"code": {"text": "Ferrous sulfate"}},
        {"code": code(ICD_10_CM, "D50.9", "Allergy to iron dextran")},
        {"code": code(ICD_10_CM, "T45.4X5A"), "verificationStatus": code(None, "refuted")},
        {"code": {"text": "Allergy to iron dextran"}, "verificationStatus": code(None, "entered-in-error")},
    ],
)
def test_what_is_no_reaction_to_iron_on_the_problem_list(members: Json) -> None:
    assert read_allergy_problem(resource(**members), new_reading()) is None


def test_the_substance_may_stand_in_the_reaction() -> None:
    found = read_allergy(
        resource(code={"text": "Drug allergy"}, reaction=[{"substance": code(RXNORM, "5992")}]), new_reading()
    )
    assert found is not None
    assert found.is_to_iv_iron


@pytest.mark.parametrize(
    "members",
    [
        {"code": {"text": "Penicillin"}},
        {"code": {"coding": [{"system": RXNORM}], "text": "Penicillin"}},
        {"code": code(RXNORM, "36437")},
        {"code": code(ATC, "N06AB06")},
        {"code": {}},
        {},
        {"code": code(RXNORM, "5992"), "clinicalStatus": code(None, "resolved")},
        {"code": code(RXNORM, "5992"), "clinicalStatus": code(None, "inactive")},
        {"code": code(RXNORM, "5992"), "verificationStatus": code(None, "refuted")},
        {"code": code(RXNORM, "5992"), "verificationStatus": code(None, "entered-in-error")},
    ],
)
def test_what_is_no_current_allergy_to_iron(members: Json) -> None:
    assert read_allergy(resource(**members), new_reading()) is None


@pytest.mark.parametrize(
    ("members", "is_named"),
    [
        ({"code": {"text": "iron dextran anaphylaxis"}}, True),
        ({"reaction": [{"manifestation": [code(SNOMED_CT, "39579001")]}]}, True),
        ({"reaction": [{"manifestation": [code(ICD_10_CM, "T78.2XXA")]}]}, True),
        ({"reaction": [{"manifestation": [{"text": "Anaphylactic shock"}]}]}, True),
        ({"reaction": [{"manifestation": [{"text": "no anaphylaxis"}]}]}, False),
        ({"reaction": [{"manifestation": [{"text": "rash"}]}]}, False),
        ({}, False),
    ],
)
def test_anaphylaxis_is_seen_by_code_or_word(members: Json, *, is_named: bool) -> None:
    found = read_allergy(resource(**({"code": code(RXNORM, "5992")} | members)), new_reading())
    assert found is not None
    assert found.names_anaphylaxis is is_named


def test_criticality() -> None:
    high = read_allergy(resource(code=code(RXNORM, "5992"), criticality="high"), new_reading())
    low = read_allergy(resource(code=code(RXNORM, "5992"), criticality="low"), new_reading())
    assert high is not None
    assert low is not None
    assert (high.is_high_criticality, low.is_high_criticality) == (True, False)


@pytest.mark.parametrize(
    "ordered",
    [
        code(LOINC, "2276-4"),
        code(LOINC, "50190-8"),
        code("urn:oid:2.16.840.1.113883.6.1", "2276-4"),
        {"text": "Ferritin"},
        {"text": "Iron panel"},
        {"coding": [{"system": "urn:x", "code": "1", "display": "Iron and TIBC"}]},
    ],
)
@pytest.mark.parametrize("status", ["active", "draft", "on-hold"])
def test_open_orders(ordered: Json, status: str) -> None:
    found = read_order(resource(code=ordered, status=status, authoredOn="2026-11-15"), new_reading())
    assert found is not None
    assert found.status == status
    assert found.authored is not None
    assert found.authored.earliest == date(2026, 11, 15)


@pytest.mark.parametrize(
    "members",
    [
        {"status": "completed"},
        {"status": "revoked"},
        {"status": None},
        {"doNotPerform": True},
        {"code": code(LOINC, "2345-7", "Ferritin")},
        {"code": {"text": "Ferritin, body fluid"}},
        {"code": {"text": "Glucose"}},
        {"code": {}},
        {"code": None},
    ],
)
def test_what_is_no_open_order_of_iron_studies(members: Json) -> None:
    base: Json = {"status": "active", "code": code(LOINC, "2276-4")}
    assert read_order(resource(**(base | members)), new_reading()) is None


def family(relationship: Json | None, condition: Json | None = None, status: str | None = "completed") -> Any:
    conditions = [{"code": {"text": "Diabetes"}}, {"code": condition or code(ICD_10_CM, "G25.81")}]
    return read_family(
        resource(status=status, relationship=relationship, condition=conditions), new_reading()
    )


@pytest.mark.parametrize("relative", ["MTH", "FTH", "NMTH", "HSIS", "DAUC", "son", "TWINBRO"])
def test_first_degree_relatives_by_code(relative: str) -> None:
    found = family(code(RELATIONSHIPS, relative))
    assert (found.is_first_degree, found.certainty) == (True, Certainty.CODED)


@pytest.mark.parametrize("words", ["Mother", "natural father", "half brother", "twin sister"])
def test_first_degree_relatives_by_words(words: str) -> None:
    assert family({"text": words}).is_first_degree


@pytest.mark.parametrize(
    "relationship",
    [
        code(RELATIONSHIPS, "GRMTH"),
        code(RELATIONSHIPS, "FAMMEMB"),
        {"text": "grandmother"},
        {"text": "great-aunt"},
        {"text": "cousin"},
        None,
    ],
)
def test_other_or_unnamed_relatives_are_kept_as_possible(relationship: Json | None) -> None:
    assert not family(relationship).is_first_degree


@pytest.mark.parametrize(
    "relationship",
    [
        code(RELATIONSHIPS, "STPMTH"),
        code(RELATIONSHIPS, "MTHINLAW"),
        code(RELATIONSHIPS, "CHLDADOPT"),
        code(RELATIONSHIPS, "HUSB"),
        {"text": "stepmother"},
        {"text": "mother-in-law"},
        {"text": "adopted son"},
    ],
)
def test_relatives_without_common_blood_do_not_count(relationship: Json) -> None:
    assert family(relationship) is None


@pytest.mark.parametrize("status", ["entered-in-error", "health-unknown", None])
def test_a_history_that_was_not_taken_does_not_count(status: str | None) -> None:
    assert family(code(RELATIONSHIPS, "MTH"), status=status) is None


def test_the_condition_of_a_relative_by_words() -> None:
    found = family(code(RELATIONSHIPS, "MTH"), {"text": "Restless legs"}, status="partial")
    assert found.certainty is Certainty.BY_TEXT
    assert family(code(RELATIONSHIPS, "MTH"), {"text": "Migraine"}) is None
    assert read_family(resource(status="completed"), new_reading()) is None
