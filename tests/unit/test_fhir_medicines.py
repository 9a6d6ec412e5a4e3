"""Medicine records as facts: product, route, times, dose; and those without a readable name."""

import json
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.facts import Certainty, IssueKind, MedicineFact, MedicineKind, Route, Source
from cds_service.fhir import lean
from cds_service.fhir.medicines import MedicineReader, daily_dose_mg, route_by_words
from cds_service.fhir.needs import Item, Salvaged
from cds_service.fhir.reading import ATC, RXNORM, Reading
from cds_service.knowledge import load

Json = dict[str, Any]
SERTRALINE = {"coding": [{"system": RXNORM, "code": "36437", "display": "sertraline"}]}
UNNAMED: Json = {"coding": [{"system": "urn:x", "code": "17"}]}
BUNDLED = {
    "Medication/m1": {"resourceType": "Medication", "code": SERTRALINE, "form": {"text": "Oral tablet"}}
}


def resolve(reference: lean.Reference, _item: Item) -> lean.Resource | None:
    found = BUNDLED.get(reference.reference or "")
    return None if found is None else msgspec.json.decode(json.dumps(found), type=lean.Resource)


def new_reader() -> MedicineReader:
    return MedicineReader(
        Reading(
            terminology=load().terminology, zone=ZoneInfo("UTC"), today=date(2026, 11, 22), resolve=resolve
        )
    )


def item(kind: MedicineKind, **members: Any) -> Item:
    base: Json = {"resourceType": kind.value, "status": "active"}
    if "medicationReference" not in members:
        base["medicationCodeableConcept"] = SERTRALINE
    resource = msgspec.json.decode(json.dumps(base | members), type=lean.Resource)
    return Item(1, resource, "medications")


def read(kind: MedicineKind = MedicineKind.STATEMENT, **members: Any) -> MedicineFact | None:
    return new_reader().read(item(kind, **members), kind)


def medicine(kind: MedicineKind = MedicineKind.STATEMENT, **members: Any) -> MedicineFact:
    found = read(kind, **members)
    assert found is not None
    return found


def named(*codings: tuple[str, str] | str, text: str | None = None) -> MedicineFact:
    coding = [
        {"system": c[0], "code": c[1]}
        if isinstance(c, tuple)
        else {"system": "urn:x", "code": "1", "display": c}
        for c in codings
    ]
    return medicine(medicationCodeableConcept={"coding": coding, "text": text})


def groups(fact: MedicineFact) -> set[str]:
    return {g for i in fact.ingredients for g in i.groups}


def test_a_plain_statement() -> None:
    found = medicine(effectivePeriod={"start": "2026-01", "end": "2026-12-31"}, dateAsserted="2026-11-01")
    assert [i.name for i in found.ingredients] == ["sertraline"]
    assert groups(found) == {"SSRI"}
    assert (found.status, found.kind, found.intent) == ("active", MedicineKind.STATEMENT, "")
    assert found.start is not None
    assert found.start.shown == "2026-01"
    assert found.end is not None
    assert found.end.earliest == date(2026, 12, 31)
    assert found.asserted is not None
    assert found.ingredients[0].certainty is Certainty.CODED
    assert not found.is_as_needed
    assert not found.is_not_to_be_given
    assert not found.is_single_inpatient_dose


@pytest.mark.parametrize(
    ("codings", "text", "expected", "certainty"),
    [
        ([(RXNORM, "36437")], None, {"SSRI"}, Certainty.CODED),
        ([("urn:oid:2.16.840.1.113883.6.88", "36437")], None, {"SSRI"}, Certainty.CODED),
        ([(ATC, "N06AB06")], None, {"SSRI"}, Certainty.CODED),
        ([("urn:oid:2.16.840.1.113883.6.73", "N06AB06")], None, {"SSRI"}, Certainty.CODED),
        (["sertraline 50 MG Oral Tablet"], None, {"SSRI"}, Certainty.BY_TEXT),
        ([], "sertraline 50 mg tab", {"SSRI"}, Certainty.BY_TEXT),
        ([(RXNORM, "0")], "sertraline", {"SSRI"}, Certainty.BY_TEXT),
        ([(RXNORM, "36437"), (ATC, "N06AX11")], "mirtazapine", {"SSRI"}, Certainty.CODED),
        ([(RXNORM, "8745")], None, {"ANTIHIST_SEDATING", "DA_ANTIEMETIC"}, Certainty.CODED),
    ],
)
def test_the_way_to_an_ingredient(
    codings: list[tuple[str, str] | str], text: str | None, expected: set[str], certainty: Certainty
) -> None:
    found = named(*codings, text=text)
    assert groups(found) == expected
    assert {i.certainty for i in found.ingredients} == {certainty}


def test_the_clinical_drug_wins_over_its_ingredient_in_any_order() -> None:
    one = named((RXNORM, "36437"), (RXNORM, "312940"))
    other = named((RXNORM, "312940"), (RXNORM, "36437"))
    assert one.route is Route.ORAL
    assert (one.ingredients, one.route, one.display) == (other.ingredients, other.route, other.display)


def test_several_ingredient_codes_make_a_combination() -> None:
    found = named((RXNORM, "4493"), (RXNORM, "61381"))
    assert {i.name for i in found.ingredients} == {"fluoxetine", "olanzapine"}


def test_the_words_complete_an_ingredient_code() -> None:
    found = named((RXNORM, "3638"), text="doxepin 6 MG Oral Tablet")
    assert (found.route, groups(found)) == (Route.ORAL, {"ANTIHIST_SEDATING"})
    assert found.ingredients[0].certainty is Certainty.CODED
    other = named((RXNORM, "3638"), text="doxepin 5 % cream")
    assert other.route is Route.TOPICAL


def test_the_most_telling_words_decide_the_form() -> None:
    found = named("sertraline", text="sertraline 50 mg oral tablet")
    assert (found.route, found.ingredients[0].certainty) == (Route.ORAL, Certainty.BY_TEXT)


def test_words_about_something_else_do_not_replace_a_code() -> None:
    found = named((RXNORM, "3638"), text="sertraline cream")
    assert [i.name for i in found.ingredients] == ["doxepin"]
    assert found.route is Route.UNKNOWN


def test_atc_shows_the_local_route_unless_codes_disagree() -> None:
    assert named((ATC, "D04AX01")).route is Route.TOPICAL
    assert named((ATC, "N06AA12")).route is not Route.TOPICAL
    assert named((ATC, "D04AX01"), (ATC, "N06AA12")).route is not Route.TOPICAL


def test_the_route_of_the_coded_product_wins_over_the_dosage() -> None:
    found = medicine(
        medicationCodeableConcept={"coding": [{"system": RXNORM, "code": "312940"}]},
        dosage=[{"route": {"text": "topical"}}],
    )
    assert found.route is Route.ORAL


@pytest.mark.parametrize(
    ("dosage", "route"),
    [
        ({"route": {"text": "Oral"}}, Route.ORAL),
        ({"route": {"coding": [{"code": "1", "display": "Intravenous route"}]}}, Route.INJECTION),
        ({"text": "apply thinly to the skin"}, Route.TOPICAL),
        ({"text": "one by mouth, not in the eyes"}, Route.UNKNOWN),
        ({"text": "as directed"}, Route.UNKNOWN),
        ({}, Route.UNKNOWN),
    ],
)
def test_the_route_of_the_dosage_speaks_where_the_product_is_silent(dosage: Json, route: Route) -> None:
    assert medicine(dosage=[dosage]).route is route
    assert medicine(MedicineKind.REQUEST, dosageInstruction=[dosage]).route is route


@pytest.mark.parametrize(
    ("words", "route"),
    [
        ("Transdermal patch", Route.TRANSDERMAL),
        ("oral inhalation", Route.NASAL_INHALED),
        ("Sublingual tablet", Route.OROMUCOSAL),
        ("PO", Route.ORAL),
        ("per rectum", Route.RECTAL),
        ("IV", Route.INJECTION),
        ("Eye drops", Route.OPHTHALMIC),
        ("IVORY", Route.UNKNOWN),
    ],
)
def test_words_for_routes(words: str, route: Route) -> None:
    assert route_by_words(words) is route


def test_a_referenced_medication_gives_code_and_form() -> None:
    found = medicine(medicationReference={"reference": "Medication/m1"})
    assert groups(found) == {"SSRI"}
    assert found.route is Route.ORAL


def test_a_reference_with_only_a_display_is_read_by_its_words() -> None:
    found = medicine(medicationReference={"display": "SERTRALINE 50 MG PO TABS"})
    assert groups(found) == {"SSRI"}
    assert found.ingredients[0].certainty is Certainty.BY_TEXT


@pytest.mark.parametrize(
    ("kind", "members", "count"),
    [
        (MedicineKind.STATEMENT, {"medicationReference": {"reference": "Medication/gone"}}, 1),
        (MedicineKind.STATEMENT, {"medicationCodeableConcept": UNNAMED}, 1),
        (MedicineKind.STATEMENT, {"medicationCodeableConcept": {}}, 1),
        (MedicineKind.STATEMENT, {"medicationCodeableConcept": UNNAMED, "status": "unknown"}, 1),
        (MedicineKind.STATEMENT, {"medicationCodeableConcept": UNNAMED, "status": None}, 1),
        (MedicineKind.STATEMENT, {"medicationCodeableConcept": UNNAMED, "status": "entered-in-error"}, 0),
        (MedicineKind.STATEMENT, {"medicationCodeableConcept": UNNAMED, "status": "completed"}, 0),
        (
            MedicineKind.STATEMENT,
            {"medicationCodeableConcept": UNNAMED, "effectivePeriod": {"end": "2026-11-21"}},
            0,
        ),
        (
            MedicineKind.STATEMENT,
            {"medicationCodeableConcept": UNNAMED, "effectivePeriod": {"end": "2026-11-22"}},
            1,
        ),
        (
            MedicineKind.STATEMENT,
            {"medicationCodeableConcept": UNNAMED, "effectiveDateTime": "2026-11-23"},
            0,
        ),
        (MedicineKind.REQUEST, {"medicationCodeableConcept": UNNAMED}, 1),
        (MedicineKind.REQUEST, {"medicationCodeableConcept": UNNAMED, "intent": "plan"}, 0),
        (MedicineKind.REQUEST, {"medicationCodeableConcept": UNNAMED, "doNotPerform": True}, 0),
        (
            MedicineKind.REQUEST,
            {
                "medicationCodeableConcept": UNNAMED,
                "dispenseRequest": {"validityPeriod": {"end": "2026-11-21"}},
            },
            0,
        ),
        (MedicineKind.ADMINISTRATION, {"medicationCodeableConcept": UNNAMED, "status": "completed"}, 0),
        (MedicineKind.STATEMENT, {"medicationCodeableConcept": {"text": "metformin"}}, 0),
    ],
)
def test_current_medicines_without_a_readable_name_are_counted(
    kind: MedicineKind, members: Json, count: int
) -> None:
    reader = new_reader()
    assert reader.read(item(kind, **members), kind) is None
    assert reader.unreadable == count


def test_a_reference_that_leads_nowhere_is_an_issue() -> None:
    reader = new_reader()
    reader.read(
        item(MedicineKind.STATEMENT, medicationReference={"reference": "Medication/gone"}),
        MedicineKind.STATEMENT,
    )
    kinds = {i.kind for i in reader._reading.issues.issues()}
    assert kinds == {IssueKind.UNRESOLVED_REFERENCE, IssueKind.SKIPPED}


@pytest.mark.parametrize(
    ("code", "status", "count"),
    [
        (lean.CodeableConcept(text="sertraline"), "active", 1),
        (lean.CodeableConcept(), "active", 1),
        (lean.CodeableConcept(text="metformin"), "active", 0),
        (lean.CodeableConcept(text="sertraline"), "stopped", 0),
    ],
)
def test_an_invalid_record_of_a_medicine_that_may_matter_is_counted(
    code: lean.CodeableConcept, status: str, count: int
) -> None:
    reader = new_reader()
    reader.count_invalid(Salvaged(Source(1, "MedicationStatement"), code, status), MedicineKind.STATEMENT)
    assert reader.unreadable == count


def bounds(*ends: str | None) -> list[Json]:
    return [{"timing": {"repeat": {"boundsPeriod": {"end": end}}}} for end in ends]


@pytest.mark.parametrize(
    ("members", "end"),
    [
        ({"dispenseRequest": {"validityPeriod": {"end": "2026-10-01"}}}, date(2026, 10, 1)),
        ({"dosageInstruction": bounds("2026-09-01")}, date(2026, 9, 1)),
        ({"dosageInstruction": bounds("2026-09-01", "2026-09-05")}, date(2026, 9, 5)),
        ({"dosageInstruction": bounds("2026-09-01", None)}, None),
        (
            {
                "dosageInstruction": bounds("2026-09-01"),
                "dispenseRequest": {"validityPeriod": {"end": "2026-10-01"}},
            },
            date(2026, 9, 1),
        ),
        ({}, None),
    ],
)
def test_the_end_of_a_request_is_the_earlier_of_validity_and_bounds(members: Json, end: date | None) -> None:
    found = medicine(MedicineKind.REQUEST, authoredOn="2026-08-01", intent="order", **members)
    assert (found.end.earliest if found.end else None) == end
    assert found.authored is not None
    assert (found.start, found.intent) == (None, "order")


def test_an_administration_is_dated_by_when_it_was_given() -> None:
    one = medicine(MedicineKind.ADMINISTRATION, status="completed", effectiveDateTime="2026-10-20T10:00:00Z")
    assert one.start is not None
    assert one.start.earliest == date(2026, 10, 20)
    found = medicine(
        MedicineKind.ADMINISTRATION,
        effectivePeriod={"start": "2026-10-19", "end": "2026-10-20"},
        dosage={"route": {"text": "IV"}},
    )
    assert found.end is not None
    assert found.end.earliest == date(2026, 10, 20)
    assert found.route is Route.INJECTION


def test_as_needed_and_not_to_be_given() -> None:
    assert medicine(dosage=[{"asNeededBoolean": True}]).is_as_needed
    assert medicine(dosage=[{"asNeededCodeableConcept": {"text": "sleep"}}]).is_as_needed
    assert not medicine(dosage=[{"asNeededBoolean": False}]).is_as_needed
    assert medicine(MedicineKind.REQUEST, doNotPerform=True).is_not_to_be_given


@pytest.mark.parametrize(
    ("category", "count", "expected"),
    [
        ([{"coding": [{"code": "inpatient"}]}], 1, True),
        ({"text": "Inpatient"}, 1, True),
        ("inpatient", 1, True),
        ([{"coding": [{"code": "outpatient"}]}], 1, False),
        ([{"coding": [{"code": "inpatient"}]}], 2, False),
        ([{"coding": [{"code": "inpatient"}]}], None, False),
        (None, 1, False),
    ],
)
def test_a_single_dose_on_the_ward(category: Any, count: int | None, *, expected: bool) -> None:
    repeat = {} if count is None else {"count": count}
    found = medicine(
        MedicineKind.REQUEST, category=category, dosageInstruction=[{"timing": {"repeat": repeat}}]
    )
    assert found.is_single_inpatient_dose is expected


def dosage(value: Any, unit: str = "mg", repeat: Json | None = None, **members: Any) -> Json:
    timing = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"} if repeat is None else repeat}
    return {"doseAndRate": [{"doseQuantity": {"value": value, "unit": unit}}], "timing": timing} | members


@pytest.mark.parametrize(
    ("dosages", "expected"),
    [
        ([dosage(0.5)], "0.5"),
        ([dosage(0.25, repeat={"frequency": 3, "period": 1, "periodUnit": "d"})], "0.75"),
        ([dosage(1, repeat={"frequency": 1, "period": 8, "periodUnit": "h"})], "3"),
        ([dosage(7, repeat={"frequency": 1, "period": 1, "periodUnit": "wk"})], "1"),
        ([dosage(250, "ug")], "0.25"),
        ([dosage(0.25), dosage(0.5)], "0.75"),
        ([dosage(0.5, timing={"code": {"coding": [{"code": "BID"}]}})], "1.0"),
        ([dosage(1, repeat={"periodUnit": "d"})], "1"),
        ([dosage(0.5), {"text": "as directed"}], None),
        ([dosage(1, "{tablet}")], None),
        ([dosage("x")], None),
        ([dosage(1, repeat={"frequency": 1, "period": 1, "periodUnit": "mo"})], None),
        ([dosage(1, repeat={"frequency": 1, "period": 0, "periodUnit": "d"})], None),
        ([dosage(1, timing={"code": {"text": "sometimes"}})], None),
        ([dosage(1, timing=None)], None),
        ([dosage(1, asNeededBoolean=True)], None),
        ([dosage(0.25, sequence=1), dosage(0.5, sequence=2)], None),
        ([dosage(1e12)], None),
        ([{"doseAndRate": [{"doseRange": {"low": {"value": 1}}}]}], None),
        ([], None),
    ],
)
def test_the_daily_dose_is_known_only_when_everything_says_so(
    dosages: list[Json], expected: str | None
) -> None:
    lean_dosages = msgspec.json.decode(json.dumps(dosages), type=list[lean.Dosage])
    assert daily_dose_mg(lean_dosages) == (None if expected is None else Decimal(expected))


TEXT = (
    st.text(max_size=12)
    | st.none()
    | st.sampled_from(["sertraline", "doxepin 6 mg tablet", "36437", RXNORM, ATC])
)
CONCEPTS = st.fixed_dictionaries(
    {},
    optional={
        "coding": st.lists(
            st.fixed_dictionaries({}, optional={"system": TEXT, "code": TEXT, "display": TEXT}), max_size=3
        ),
        "text": TEXT,
    },
)
NUMBERS = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
DOSAGES = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXT,
        "route": CONCEPTS,
        "timing": st.fixed_dictionaries(
            {},
            optional={
                "repeat": st.fixed_dictionaries(
                    {},
                    optional={
                        "frequency": NUMBERS,
                        "period": NUMBERS,
                        "periodUnit": st.sampled_from(["d", "h", "wk"]),
                        "count": NUMBERS,
                    },
                )
            },
        ),
        "doseAndRate": st.lists(
            st.fixed_dictionaries(
                {"doseQuantity": st.fixed_dictionaries({"value": NUMBERS, "unit": st.just("mg")})}
            ),
            max_size=2,
        ),
    },
)


@given(st.sampled_from(list(MedicineKind)), CONCEPTS, st.lists(DOSAGES, max_size=2), TEXT, TEXT)
def test_no_medicine_raises(
    kind: MedicineKind, concept: Json, dosages: list[Json], status: str | None, day: str | None
) -> None:
    name = "dosageInstruction" if kind is MedicineKind.REQUEST else "dosage"
    members: Json = {name: dosages, "status": status, "effectiveDateTime": day, "authoredOn": day}
    read(kind, medicationCodeableConcept=concept, **members)
