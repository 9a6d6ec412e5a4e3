"""Conditions as facts: groups by code and words, status, certainty, dates."""

import json
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.facts import (
    Certainty,
    ConditionFact,
    FamilyFact,
    IssueKind,
    Verification,
)
from cds_service.fhir import lean
from cds_service.fhir.conditions import read_condition
from cds_service.fhir.needs import Item
from cds_service.fhir.reading import ICD_10_CM, SNOMED_CT, Reading
from cds_service.knowledge import load

RLS = {"coding": [{"system": ICD_10_CM, "code": "G25.81", "display": "Restless legs syndrome"}]}
Json = dict[str, Any]


def new_reading() -> Reading:
    return Reading(
        terminology=load().terminology,
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
        resolve=lambda _reference, _item: None,
    )


def read(reading: Reading | None = None, **members: Any) -> ConditionFact | FamilyFact | None:
    chosen = {"resourceType": "Condition", "code": RLS} | members
    resource = msgspec.json.decode(json.dumps(chosen), type=lean.Resource)
    return read_condition(Item(1, resource, "conditions"), reading or new_reading())


def condition(reading: Reading | None = None, **members: Any) -> ConditionFact:
    found = read(reading, **members)
    assert isinstance(found, ConditionFact)
    return found


def coded(system: str | None, code: str, **members: str) -> Json:
    return {"coding": [{"system": system, "code": code, **members}]}


def test_a_plain_diagnosis() -> None:
    found = condition(onsetDateTime="2024-05", recordedDate="2024-06-01T08:00:00Z")
    assert found.groups == {"rls"}
    assert (found.display, found.certainty, found.verification) == (
        "Restless legs syndrome",
        Certainty.CODED,
        Verification.CONFIRMED,
    )
    assert found.is_clinically_active
    assert not found.has_abatement
    assert found.onset is not None
    assert found.onset.shown == "2024-05"
    assert found.recorded is not None
    assert found.recorded.earliest == date(2024, 6, 1)
    assert found.icd10_codes == ("G25.81",)


@pytest.mark.parametrize(
    "code",
    [
        coded("urn:oid:2.16.840.1.113883.6.90", "G25.81"),
        coded(SNOMED_CT, "32914008"),
        coded("urn:oid:2.16.840.1.113883.6.96", "32914008"),
        coded(ICD_10_CM, "G2581"),
        coded("urn:local", "G2581"),
        coded(None, "G25.81"),
        {"coding": [{"system": "urn:x", "code": "1"}, {"system": SNOMED_CT, "code": " 32914008 "}]},
    ],
)
def test_restless_legs_by_code(code: Json) -> None:
    found = condition(code=code)
    assert "rls" in found.groups
    assert found.certainty is Certainty.CODED


@pytest.mark.parametrize(
    "code",
    [
        {"text": "Restless legs"},
        {"text": "RLS (restless legs)"},
        {"coding": [{"system": "urn:x", "code": "17", "display": "Restless legs syndrome"}]},
        {"text": "RLS", "coding": [{"system": "urn:x", "code": "17", "display": "Restless legs"}]},
    ],
)
def test_restless_legs_by_words(code: Json) -> None:
    found = condition(code=code)
    assert "rls" in found.groups
    assert found.certainty is Certainty.BY_TEXT


@pytest.mark.parametrize(
    "code",
    [
        {"text": "RLS"},
        {"text": "No restless legs"},
        {"text": "History of restless legs"},
        {"text": "Broken arm"},
        {"coding": [{"system": "urn:x", "code": "32914008"}]},
        {"coding": [{"system": SNOMED_CT, "code": "99999999"}]},
        {},
        None,
    ],
)
def test_what_names_no_concept_is_no_fact(code: Json | None) -> None:
    assert read(code=code) is None


def test_a_known_code_decides_and_words_add_nothing() -> None:
    found = condition(code={"coding": [{"system": ICD_10_CM, "code": "J44.9"}], "text": "Restless legs"})
    assert "rls" not in found.groups
    assert "copd" in found.groups


def test_all_codings_add_their_groups() -> None:
    both = [{"system": ICD_10_CM, "code": "N18.6"}, {"system": ICD_10_CM, "code": "Z99.2"}]
    assert condition(code={"coding": both}).groups >= {"esrd", "dialysis"}


@pytest.mark.parametrize("code", ["O80", "Z37.0", "Z39.2", "O03.9", "o26.8"])
def test_obstetric_codes_are_kept_for_the_pregnancy_rules(code: str) -> None:
    assert condition(code=coded(ICD_10_CM, code)).icd10_codes == (code.upper(),)


@pytest.mark.parametrize(
    ("status", "is_active"),
    [
        ("active", True),
        ("recurrence", True),
        ("relapse", True),
        ("inactive", False),
        ("remission", False),
        ("resolved", False),
        ("Resolved ", False),
    ],
)
def test_clinical_status_by_code_text_or_plain_string(status: str, *, is_active: bool) -> None:
    shapes: list[Any] = [{"coding": [{"code": status}]}, {"text": status}, status]
    for shape in shapes:
        assert condition(clinicalStatus=shape).is_clinically_active is is_active


def test_a_clinical_status_that_says_nothing_counts_as_absent_and_is_logged() -> None:
    reading = new_reading()
    assert condition(reading, clinicalStatus={"text": "banana"}).is_clinically_active
    (issue,) = reading.issues.issues()
    assert issue.kind is IssueKind.CLEANED
    assert "banana" not in issue.detail
    assert condition(clinicalStatus={}).is_clinically_active


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("confirmed", Verification.CONFIRMED),
        ("unconfirmed", Verification.UNCERTAIN),
        ("provisional", Verification.UNCERTAIN),
        ("differential", Verification.UNCERTAIN),
        ("refuted", Verification.REFUTED),
        ("entered-in-error", Verification.ENTERED_IN_ERROR),
        ("banana", Verification.UNCERTAIN),
    ],
)
def test_verification_and_denied_conditions_are_kept(status: str, expected: Verification) -> None:
    assert condition(verificationStatus={"coding": [{"code": status}]}).verification is expected


@pytest.mark.parametrize(
    ("members", "day"),
    [
        ({"abatementDateTime": "2026-10-01"}, date(2026, 10, 1)),
        ({"abatementPeriod": {"start": "2026-09-01", "end": "2026-10-02"}}, date(2026, 10, 2)),
        ({"abatementPeriod": {"start": "2026-09-01"}}, None),
        ({"abatementAge": {"value": 40}}, None),
        ({"abatementRange": {"low": {"value": 40}}}, None),
        ({"abatementString": "in summer"}, None),
        ({"abatementBoolean": True}, None),
        ({"abatementDateTime": "in summer"}, None),
    ],
)
def test_any_abatement_is_seen_and_dated_where_it_can_be(members: Json, day: date | None) -> None:
    found = condition(**members)
    assert found.has_abatement
    assert (found.abated.earliest if found.abated else None) == day


@pytest.mark.parametrize(
    "members", [{"abatementBoolean": False}, {"abatementAge": None}, {"abatementPeriod": {}}]
)
def test_an_empty_or_false_abatement_is_none(members: Json) -> None:
    assert not condition(**members).has_abatement


def test_dates_that_had_to_be_cleaned_up_or_left_out_are_logged_without_their_values() -> None:
    reading = new_reading()
    found = condition(reading, recordedDate="2024-06-01T08:00:00", onsetDateTime="in 2019")
    assert found.recorded is not None
    assert found.onset is None
    assert [(i.kind, i.detail) for i in reading.issues.issues()] == [
        (IssueKind.CLEANED, "recordedDate: date-time without zone"),
        (IssueKind.SKIPPED, "onsetDateTime: not a date"),
    ]


def test_the_onset_may_be_a_period() -> None:
    found = condition(onsetPeriod={"start": "2025-01-01"})
    assert found.onset is not None
    assert found.onset.earliest == date(2025, 1, 1)


@pytest.mark.parametrize(
    "code",
    [
        {"text": "Family history of restless legs syndrome"},
        {"coding": [{"system": ICD_10_CM, "code": "Z82.0", "display": "FH of restless legs"}]},
        {"coding": [{"system": ICD_10_CM, "code": "Z82.0"}], "text": "Restless legs, mother"},
    ],
)
def test_a_family_history_is_a_fact_about_relatives(code: Json) -> None:
    found = read(code=code)
    assert isinstance(found, FamilyFact)
    assert not found.is_first_degree
    assert found.certainty is Certainty.BY_TEXT


@pytest.mark.parametrize(
    ("text", "status", "is_denied"),
    [
        ("Family history of restless legs syndrome", "confirmed", False),
        ("Family history of restless legs syndrome", "unconfirmed", False),
        ("Family history of restless legs syndrome", "refuted", True),
        ("Family history of restless legs syndrome", "entered-in-error", None),
        ("No family history of restless legs", "confirmed", True),
        ("No family history of restless legs", "unconfirmed", None),
        ("No family history of restless legs", "refuted", None),
        ("No family history of restless legs", "entered-in-error", None),
    ],
)
def test_a_denial_is_in_words_or_a_refuted_entry(text: str, status: str, *, is_denied: bool | None) -> None:
    found = read(code={"text": text}, verificationStatus={"text": status})
    assert (found.is_denied if isinstance(found, FamilyFact) else None) is is_denied


def test_an_unspecific_family_history_says_nothing_about_restless_legs() -> None:
    found = condition(code=coded(ICD_10_CM, "Z82.0"))
    assert found.groups == {"family_history_nervous_system_nonspecific"}


def test_the_shown_text_is_bounded_and_on_one_line() -> None:
    found = condition(code=RLS | {"text": "legs\n\n" + "x" * 500})
    assert len(found.display) <= 120
    assert "\n" not in found.display


TEXT = (
    st.text(max_size=12) | st.none() | st.sampled_from(["active", "refuted", ICD_10_CM, SNOMED_CT, "G25.81"])
)
CONCEPTS = st.fixed_dictionaries(
    {},
    optional={
        "coding": st.lists(
            st.fixed_dictionaries({}, optional={"system": TEXT, "code": TEXT, "display": TEXT})
        ),
        "text": TEXT,
    },
)


@given(CONCEPTS, CONCEPTS | TEXT, CONCEPTS | TEXT, TEXT, TEXT)
def test_no_condition_raises(
    code: Json, clinical: Any, verification: Any, onset: Any, abatement: Any
) -> None:
    read(
        code=code,
        clinicalStatus=clinical,
        verificationStatus=verification,
        onsetDateTime=onset,
        abatementDateTime=abatement,
    )


@given(
    st.permutations(
        [{"system": ICD_10_CM, "code": "G25.81"}, {"system": SNOMED_CT, "code": "73211009"}, {"code": "x"}]
    )
)
def test_the_order_of_codings_never_matters(codings: list[Json]) -> None:
    assert (
        condition(code={"coding": codings}).groups
        == condition(code={"coding": sorted(codings, key=str)}).groups
    )
