"""Observations as results: recognised by code or name, with status, date and value."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.facts import (
    Analyte,
    Certainty,
    FamilyFact,
    IssueKind,
    Result,
    ResultNote,
    ResultStatus,
    Source,
    Unreadable,
)
from cds_service.clinical.interval import Interval
from cds_service.fhir import lean
from cds_service.fhir.needs import Item, Salvaged
from cds_service.fhir.observations import ObservationReader
from cds_service.fhir.reading import LOINC, SNOMED_CT, Reading
from cds_service.knowledge import load

SOURCE = Source(1, "Observation", "o1")
FERRITIN = {"coding": [{"system": LOINC, "code": "2276-4"}]}
NG = {"value": 60, "unit": "ng/mL"}
Json = dict[str, Any]
UNDATED: Json = {"effectiveDateTime": None}
VALUELESS: Json = {"valueQuantity": None}


def reader(zone: str = "UTC") -> ObservationReader:
    return ObservationReader(
        Reading(
            terminology=load().terminology,
            zone=ZoneInfo(zone),
            today=date(2026, 11, 22),
            resolve=lambda _reference, _item: None,
        )
    )


def observation(**members: Any) -> Item:
    base: Json = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": FERRITIN,
        "effectiveDateTime": "2026-11-01",
        "valueQuantity": NG,
    }
    chosen = {k: v for k, v in (base | members).items() if v is not None}
    return Item(1, msgspec.json.decode(json.dumps(chosen), type=lean.Resource), "ironResults")


def results(zone: str = "UTC", **members: Any) -> tuple[Result, ...]:
    return reader(zone).read(observation(**members))


def result(zone: str = "UTC", **members: Any) -> Result:
    (only,) = results(zone, **members)
    return only


def loinc(code: str, **members: str) -> Json:
    return {"coding": [{"system": LOINC, "code": code, **members}]}


def test_a_plain_ferritin() -> None:
    found = result()
    assert found.analyte is Analyte.FERRITIN
    assert found.status is ResultStatus.FINAL
    assert found.interval == Interval.exactly(Decimal(60))
    assert (found.shown, found.shown_canonical, found.unreadable, found.notes) == (
        "60 ng/mL",
        None,
        None,
        frozenset(),
    )
    assert found.when is not None
    assert found.when.earliest == date(2026, 11, 1)
    assert found.sources == (SOURCE,)


@pytest.mark.parametrize(
    ("code", "quantity", "analyte", "value"),
    [
        ("14723-1", {"value": 225, "unit": "pmol/L"}, Analyte.FERRITIN, None),
        ("2502-3", {"value": 25, "unit": "%"}, Analyte.TSAT, "25"),
        ("14801-5", {"value": 0.25, "unit": "1"}, Analyte.TSAT, "25"),
        ("2498-4", {"value": 100, "unit": "ug/dL"}, Analyte.IRON, "17.9"),
        ("14798-3", {"value": 8, "unit": "umol/L"}, Analyte.IRON, "8"),
        ("2500-7", {"value": 400, "unit": "ug/dL"}, Analyte.TIBC, "71.6"),
        ("14800-7", {"value": 71.6, "unit": "umol/L"}, Analyte.TIBC, "71.6"),
        ("1988-5", {"value": 30, "unit": "mg/L"}, Analyte.CRP, "30"),
        ("30522-7", {"value": 3, "unit": "mg/dL"}, Analyte.CRP, "30"),
        ("718-7", {"value": 13.5, "unit": "g/dL"}, Analyte.HAEMOGLOBIN, "13.5"),
        ("718-7", {"value": 135, "unit": "g/L"}, Analyte.HAEMOGLOBIN, "13.5"),
        ("62238-1", {"value": 28, "unit": "mL/min/{1.73_m2}"}, Analyte.EGFR, "28"),
    ],
)
def test_analytes_by_loinc(code: str, quantity: Json, analyte: Analyte, value: str | None) -> None:
    found = result(code=loinc(code), valueQuantity=quantity)
    assert found.analyte is analyte
    assert found.unreadable is None
    assert ResultNote.UNIT_MISMATCH not in found.notes
    if value is not None:
        assert found.interval == Interval.exactly(Decimal(value))


@pytest.mark.parametrize("system", [LOINC, "urn:oid:2.16.840.1.113883.6.1"])
def test_the_code_may_stand_anywhere_among_the_codings(system: str) -> None:
    codings = [{"system": "urn:local", "code": "FERR"}, {"system": system, "code": " 2276-4 "}]
    assert result(code={"coding": codings, "text": "Lab 17"}).analyte is Analyte.FERRITIN


@pytest.mark.parametrize(
    "code",
    [
        loinc("86914-9", display="Ferritin goal"),
        loinc("35209-6", display="Ferritin"),
        loinc("2345-7", display="Ferritin"),
        {"coding": [{"system": LOINC, "code": "86914-9"}, {"system": LOINC, "code": "2276-4"}]},
        {
            "coding": [
                {"system": LOINC, "code": "2345-7"},
                {"system": "urn:x", "code": "f", "display": "Ferritin"},
            ]
        },
        {"coding": [{"system": "urn:local", "code": "2276-4"}]},
        {"coding": [{"code": "2276-4"}]},
        {"text": "Ferritin goal"},
        {"text": "Ferritin, body fluid"},
        {"text": "Transferrin receptor/ferritin ratio"},
        {"text": "goal", "coding": [{"system": "urn:x", "code": "f", "display": "Ferritin"}]},
        {},
        None,
    ],
)
def test_what_is_never_a_ferritin(code: Json | None) -> None:
    assert results(code=code) == ()


@pytest.mark.parametrize(
    "code",
    [{"text": "Ferritin"}, {"coding": [{"system": "urn:local", "code": "F", "display": "S-Ferritin"}]}],
)
def test_a_local_code_is_recognised_by_its_name_and_that_is_noted(code: Json) -> None:
    found = result(code=code)
    assert found.analyte is Analyte.FERRITIN
    assert found.notes == {ResultNote.BY_TEXT}


def test_a_name_gives_no_right_to_assume_a_unit() -> None:
    assert (
        result(code={"text": "Ferritin"}, valueQuantity={"value": 60}).unreadable is Unreadable.UNIT_MISSING
    )


@pytest.mark.parametrize("code", ["2276-4", "20567-4", "24373-3"])
def test_the_unit_of_a_mass_code_is_assumed(code: str) -> None:
    found = result(code=loinc(code), valueQuantity={"value": 60})
    assert found.notes == {ResultNote.UNIT_ASSUMED}
    assert (found.shown, found.shown_canonical) == ("60", "60 ng/mL")


def test_the_unit_of_a_molar_code_is_not_assumed() -> None:
    assert result(code=loinc("14723-1"), valueQuantity={"value": 60}).unreadable is Unreadable.UNIT_MISSING


def test_a_molar_unit_under_a_mass_code_is_trusted_and_flagged() -> None:
    found = result(valueQuantity={"value": 100, "unit": "pmol/L"})
    assert ResultNote.UNIT_MISMATCH in found.notes
    assert found.shown_canonical == "44.5 ng/mL"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("final", ResultStatus.FINAL),
        ("amended", ResultStatus.AMENDED),
        ("corrected", ResultStatus.CORRECTED),
        ("unknown", ResultStatus.UNKNOWN),
        ("preliminary", ResultStatus.PRELIMINARY),
        ("registered", ResultStatus.REGISTERED),
        ("Final ", ResultStatus.FINAL),
        ("", ResultStatus.UNKNOWN),
        (None, ResultStatus.UNKNOWN),
    ],
)
def test_statuses_that_matter(status: str | None, expected: ResultStatus) -> None:
    assert result(status=status).status is expected


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_other_statuses_are_no_results_and_are_logged(status: str) -> None:
    read = reader()
    assert read.read(observation(status=status)) == ()
    (issue,) = read._reading.issues.issues()
    assert (issue.kind, issue.resource_type, issue.count) == (IssueKind.SKIPPED, "Observation", 1)
    assert status not in issue.detail


@pytest.mark.parametrize(
    ("members", "day"),
    [
        ({"effectiveInstant": "2026-11-02T10:00:00Z"}, date(2026, 11, 2)),
        ({"effectivePeriod": {"start": "2026-11-02", "end": "2026-11-03"}}, date(2026, 11, 3)),
        ({"effectivePeriod": {"start": "2026-11-02"}}, date(2026, 11, 2)),
        ({"effectiveDateTime": "2026-11-05", "issued": "2026-11-06T10:00:00Z"}, date(2026, 11, 5)),
        ({"effectiveDateTime": "2026-10"}, date(2026, 10, 1)),
    ],
)
def test_the_date_of_a_result(members: Json, day: date) -> None:
    found = result(**(UNDATED | members))
    assert found.when is not None
    assert found.when.earliest == day
    assert ResultNote.DATE_OF_ISSUE not in found.notes


def test_the_date_of_issue_stands_in_for_a_missing_one() -> None:
    found = result(effectiveDateTime=None, issued="2026-11-06T23:30:00Z", zone="Europe/Berlin")
    assert found.when is not None
    assert found.when.earliest == date(2026, 11, 7)
    assert found.notes == {ResultNote.DATE_OF_ISSUE}


def test_the_moment_of_issue_is_kept_for_ties() -> None:
    assert result(issued="2026-11-06T10:00:00Z").issued == datetime(2026, 11, 6, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"effectiveDateTime": "soon", "issued": "2026-11-06T10:00:00Z"},
        {"effectiveTiming": {"event": ["2026-11-01"]}, "issued": "2026-11-06T10:00:00Z"},
    ],
)
def test_a_result_without_a_readable_date_is_unreadable(members: Json) -> None:
    found = result(**(UNDATED | members))
    assert (found.when, found.unreadable, found.interval, found.shown) == (
        None,
        Unreadable.NO_DATE,
        None,
        "60 ng/mL",
    )


def test_a_future_date_is_kept_for_the_rules_to_judge() -> None:
    found = result(effectiveDateTime="2027-01-01")
    assert found.when is not None
    assert found.when.earliest == date(2027, 1, 1)


@pytest.mark.parametrize(
    ("members", "interval", "notes"),
    [
        (
            {"valueString": "<5"},
            Interval(None, Decimal(5), includes_high=False),
            {ResultNote.FROM_TEXT, ResultNote.UNIT_ASSUMED},
        ),
        ({"valueString": "60 ng/mL"}, Interval.exactly(Decimal(60)), {ResultNote.FROM_TEXT}),
        ({"valueInteger": 60}, Interval.exactly(Decimal(60)), {ResultNote.UNIT_ASSUMED}),
        (
            {"valueRange": {"low": {"value": 50, "unit": "ng/mL"}, "high": {"value": 80, "unit": "ng/mL"}}},
            Interval(Decimal(50), Decimal(80)),
            set(),
        ),
        (
            {"valueQuantity": {"value": "<5", "unit": "ng/mL"}},
            Interval(None, Decimal(5), includes_high=False),
            set(),
        ),
        (
            {"valueQuantity": {"unit": "ng/mL"}, "valueInteger": 7},
            Interval.exactly(Decimal(7)),
            {ResultNote.UNIT_ASSUMED},
        ),
    ],
)
def test_kinds_of_values(members: Json, interval: Interval, notes: set[ResultNote]) -> None:
    found = result(**(VALUELESS | members))
    assert found.interval == interval
    assert found.notes == notes


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({"valueString": "see comment: 60"}, "see comment: 60"),
        ({"valueCodeableConcept": {"text": "low"}}, "low"),
        ({"valueBoolean": True}, ""),
        ({"valueRatio": {"numerator": {"value": 1}}}, ""),
        ({"valueSampledData": {"data": "E"}}, ""),
        ({"valueTime": "10:00:00"}, ""),
        ({"valuePeriod": {"start": "2026"}}, ""),
        ({"valueDateTime": "2026-11-01"}, ""),
        ({"valueQuantity": {"value": True}}, "true"),
    ],
)
def test_any_other_value_is_not_a_number(members: Json, shown: str) -> None:
    found = result(**(VALUELESS | members))
    assert (found.unreadable, found.shown, found.interval) == (Unreadable.NOT_A_NUMBER, shown, None)


@pytest.mark.parametrize(
    "members",
    [
        {"valueQuantity": None},
        {"valueQuantity": {"unit": "ng/mL"}},
        {"valueQuantity": None, "valueString": " "},
        {"valueQuantity": None, "valueRange": {}},
        {"dataAbsentReason": {"text": "haemolysed"}},
        {"dataAbsentReason": {"coding": [{"code": "error"}]}},
    ],
)
def test_a_finished_result_without_a_value_is_as_if_absent(members: Json) -> None:
    read = reader()
    assert read.read(observation(**members)) == ()
    assert [i.kind for i in read._reading.issues.issues()] == [IssueKind.SKIPPED]


@pytest.mark.parametrize("status", ["registered", "preliminary"])
def test_a_pending_result_without_a_value_is_still_pending(status: str) -> None:
    found = result(status=status, valueQuantity=None)
    assert (found.interval, found.unreadable, found.shown) == (None, None, "")
    assert found.when is not None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"value": 60, "unit": "mmol/L"}, Unreadable.UNIT),
        ({"value": 0, "unit": "ng/mL"}, Unreadable.IMPLAUSIBLE),
        ({"value": 100001, "unit": "ng/mL"}, Unreadable.IMPLAUSIBLE),
        ({"value": 5000}, Unreadable.UNIT_MISSING),
    ],
)
def test_reasons_not_to_read_a_value(value: Json, reason: Unreadable) -> None:
    assert result(valueQuantity=value).unreadable is reason


def test_components_of_a_panel_are_results_of_their_own() -> None:
    components = [
        {"code": loinc("2498-4"), "valueQuantity": {"value": 45, "unit": "ug/dL"}},
        {"code": loinc("2500-7"), "valueQuantity": {"value": 400, "unit": "ug/dL"}},
        {"code": loinc("2502-3"), "dataAbsentReason": {"text": "not done"}},
        {"code": loinc("8480-6"), "valueQuantity": {"value": 120, "unit": "mm[Hg]"}},
    ]
    found = results(code=loinc("50190-8"), valueQuantity=None, component=components)
    assert [r.analyte for r in found] == [Analyte.IRON, Analyte.TIBC]
    assert {r.source for r in found} == {SOURCE}


def test_a_component_carries_the_value_of_an_observation_of_the_same_analyte() -> None:
    read = reader()
    part = {"code": FERRITIN, "valueQuantity": NG}
    found = read.read(observation(valueQuantity=None, component=[part]))
    assert [r.shown for r in found] == ["60 ng/mL"]
    assert read._reading.issues.issues() == ()


def pregnancy(value: Json | None, **members: Any) -> tuple[Result, ...]:
    return results(code=loinc("82810-3"), valueQuantity=None, valueCodeableConcept=value, **members)


def test_pregnancy_status_by_code() -> None:
    (found,) = pregnancy({"coding": [{"system": SNOMED_CT, "code": "77386006"}], "text": "Pregnant"})
    assert found.analyte is Analyte.PREGNANCY_STATUS
    assert "pregnancy" in found.code
    assert (found.shown, found.unreadable, found.interval) == ("Pregnant", None, None)
    (other,) = pregnancy({"coding": [{"system": SNOMED_CT, "code": "60001007", "display": "Not pregnant"}]})
    assert (other.code, other.unreadable) == (frozenset(), None)


def test_a_pregnancy_status_in_words_only_is_neither_yes_nor_no() -> None:
    (found,) = pregnancy({"text": "Pregnant"})
    assert found.unreadable is Unreadable.NOT_A_NUMBER
    (answer,) = pregnancy({"coding": [{"system": LOINC, "code": "LA4489-6", "display": "Unknown"}]})
    assert answer.unreadable is Unreadable.NOT_A_NUMBER
    (other,) = pregnancy(None, valueString="yes")
    assert other.unreadable is Unreadable.NOT_A_NUMBER
    assert pregnancy(None) == ()


def test_the_answer_code_of_loinc_for_pregnant_is_understood() -> None:
    (answer,) = pregnancy({"coding": [{"system": LOINC, "code": "LA15173-0", "display": "Pregnant"}]})
    assert answer.unreadable is None
    assert answer.code == {"pregnancy"}


def test_the_estimated_date_of_delivery_is_a_day() -> None:
    found = result(code=loinc("11778-8"), valueQuantity=None, valueDateTime="2027-03")
    assert found.day_value is not None
    assert (found.day_value.earliest, found.shown) == (date(2027, 3, 1), "2027-03")
    unreadable = result(code=loinc("11778-8"), valueQuantity=None, valueDateTime="in spring")
    assert unreadable.unreadable is Unreadable.NOT_A_NUMBER
    assert results(code=loinc("11778-8"), valueQuantity=None) == ()


FAMILY = {"text": "Family history of restless legs syndrome"}


@pytest.mark.parametrize(
    ("members", "is_denied"),
    [
        ({}, False),
        ({"valueBoolean": True}, False),
        ({"valueBoolean": False}, True),
        ({"valueCodeableConcept": {"text": "No"}}, True),
        ({"valueString": "unknown"}, None),
        ({"status": "entered-in-error"}, None),
        ({"status": "preliminary"}, None),
        ({"valueBoolean": False, "status": "preliminary"}, None),
        ({"code": FAMILY | loinc("10157-6")}, False),
    ],
)
def test_a_family_history_as_an_observation(members: Json, *, is_denied: bool | None) -> None:
    read = reader()
    assert read.read(observation(**({"code": FAMILY, "valueQuantity": None} | members))) == ()
    told = [
        FamilyFact(SOURCE, FAMILY["text"], is_first_degree=False, certainty=Certainty.BY_TEXT, is_denied=no)
        for no in (is_denied,)
        if no is not None
    ]
    assert read.family == told


@pytest.mark.parametrize(
    ("members", "is_denied"),
    [
        ({}, True),
        ({"valueBoolean": True}, True),
        ({"valueBoolean": False}, None),
        ({"valueString": "unknown"}, None),
        ({"status": "entered-in-error"}, None),
    ],
)
def test_a_denied_family_history_as_an_observation(members: Json, *, is_denied: bool | None) -> None:
    read = reader()
    code = {"text": "No family history of restless legs"}
    assert read.read(observation(**({"code": code, "valueQuantity": None} | members))) == ()
    assert [one.is_denied for one in read.family] == ([] if is_denied is None else [is_denied])


def test_an_invalid_resource_of_an_analyte_is_an_unreadable_result() -> None:
    code = lean.CodeableConcept(coding=[lean.Coding(system=LOINC, code="2276-4")])
    found = reader().read_invalid(Salvaged(SOURCE, code, "final", "2026-11-01"))
    assert found is not None
    assert (found.unreadable, found.interval) == (Unreadable.INVALID_RESOURCE, None)
    assert found.when is not None
    assert reader().read_invalid(Salvaged(SOURCE, code, "cancelled", "2026-11-01")) is None
    assert reader().read_invalid(Salvaged(SOURCE, lean.CodeableConcept(text="Glucose"), "final")) is None


TEXT = st.text(max_size=12) | st.none()
CODINGS = st.fixed_dictionaries({}, optional={"system": TEXT, "code": TEXT, "display": TEXT})
CONCEPTS = st.fixed_dictionaries({}, optional={"coding": st.lists(CODINGS, max_size=3), "text": TEXT})
QUANTITIES = st.fixed_dictionaries(
    {},
    optional={
        "value": st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXT,
        "unit": TEXT,
        "code": TEXT,
        "comparator": TEXT,
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "code": CONCEPTS,
            "status": TEXT,
            "effectiveDateTime": TEXT,
            "issued": TEXT,
            "valueQuantity": QUANTITIES,
            "valueString": TEXT,
            "valueInteger": st.none() | st.integers() | TEXT,
            "valueRange": st.fixed_dictionaries({}, optional={"low": QUANTITIES, "high": QUANTITIES}),
            "component": st.lists(
                st.fixed_dictionaries({"code": st.just(FERRITIN), "valueQuantity": QUANTITIES}), max_size=2
            ),
            "dataAbsentReason": CONCEPTS,
        },
    )
)
def test_no_observation_raises(members: Json) -> None:
    for found in results(**members):
        assert (found.interval is None) or (found.unreadable is None)
