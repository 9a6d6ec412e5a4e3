"""The facts of a whole table of needs."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.facts import (
    DataIssue,
    Facts,
    IronSearch,
    IssueKind,
    MedicineKind,
    Need,
    NeedState,
    Source,
    Unreadable,
)
from cds_service.fhir import lean
from cds_service.fhir.extract import extract_facts, merge_issues
from cds_service.fhir.needs import Item, NeedsTable, Salvaged
from cds_service.knowledge import load

Json = dict[str, Any]
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
TODAY = date(2026, 11, 22)


def ferritin(value: float = 20, **members: Any) -> Json:
    base: Json = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "2276-4"}]},
        "effectiveDateTime": "2026-11-01",
        "valueQuantity": {"value": value, "unit": "ng/mL"},
    }
    return base | members


def diagnosis(code: str) -> Json:
    return {"resourceType": "Condition", "code": {"coding": [{"system": ICD, "code": code}]}}


def statement(text: str) -> Json:
    return {
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": {"text": text},
    }


def coded(resource_type: str, system: str, code: str, **members: Any) -> Json:
    return {"resourceType": resource_type, "code": {"coding": [{"system": system, "code": code}]}} | members


def medicine(resource_type: str, text: str, **members: Any) -> Json:
    return {"resourceType": resource_type, "medicationCodeableConcept": {"text": text}} | members


RECORD: list[Json] = [
    {"resourceType": "Patient", "gender": "female", "birthDate": "1970-01-01"},
    ferritin(),
    diagnosis("G25.81"),
    statement("sertraline 50 mg tablet"),
    medicine("MedicationRequest", "mirtazapine", status="active", intent="order"),
    medicine("MedicationAdministration", "iron sucrose", status="completed", effectiveDateTime="2026-10-01"),
    coded("Procedure", "http://snomed.info/sct", "302497006", status="completed"),
    {"resourceType": "AllergyIntolerance", "code": {"text": "iron dextran"}},
    coded("ServiceRequest", LOINC, "2276-4", status="active", authoredOn="2026-11-15"),
    {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "relationship": {"coding": [{"code": "FTH"}]},
        "condition": [{"code": {"coding": [{"system": ICD, "code": "G25.81"}]}}],
    },
]


def table(
    resources: Sequence[Json], *, issues: tuple[DataIssue, ...] = (), salvaged: Sequence[Salvaged] = ()
) -> NeedsTable:
    items: dict[str, list[Item]] = {}
    for number, members in enumerate(resources):
        name = members["resourceType"]
        decoded = msgspec.json.decode(json.dumps(members), type=lean.Resource)
        items.setdefault(name, []).append(Item(number, decoded, "all"))
    return NeedsTable(
        states=dict.fromkeys(Need, NeedState.ANSWERED),
        iron_searches=dict.fromkeys(IronSearch, NeedState.ANSWERED),
        items_by_type=items,
        issues=issues,
        salvaged=salvaged,
    )


def extract(needs: NeedsTable) -> Facts:
    return extract_facts(needs, knowledge=load(), zone=ZoneInfo("UTC"), today=TODAY)


def test_every_kind_of_resource_becomes_its_fact() -> None:
    facts = extract(table(RECORD))
    assert facts.patient is not None
    assert facts.patient.sex == "female"
    assert [r.shown for r in facts.results] == ["20 ng/mL"]
    assert [c.groups for c in facts.conditions] == [frozenset({"rls"})]
    assert [m.kind for m in facts.medicines] == list(MedicineKind)
    assert [len(f) for f in (facts.procedures, facts.allergies, facts.orders, facts.family)] == [1, 1, 1, 1]
    assert facts.needs[Need.CONDITIONS] is NeedState.ANSWERED
    assert (facts.unreadable_medicines, facts.issues) == (0, ())


def test_an_empty_table_gives_no_facts_and_keeps_the_states() -> None:
    needs = table([])
    facts = extract(needs)
    assert facts.patient is None
    assert facts.needs is needs.states
    assert (facts.results, facts.conditions, facts.medicines, facts.family) == ((), (), (), ())


def test_family_histories_of_three_kinds_of_records_stand_together() -> None:
    words = {"text": "Family history of restless legs syndrome"}
    condition = {"resourceType": "Condition", "code": words}
    observation = {"resourceType": "Observation", "status": "final", "code": words}
    facts = extract(table([condition, observation, RECORD[-1]]))
    assert [f.source.resource_type for f in facts.family] == [
        "Condition",
        "FamilyMemberHistory",
        "Observation",
    ]
    assert facts.conditions == ()


def test_salvaged_records_become_unreadable_ones() -> None:
    codes = lean.CodeableConcept(coding=[lean.Coding(system=LOINC, code="2276-4")])
    salvaged = [
        Salvaged(Source(8, "Observation"), codes, "final", "2026-11-01"),
        Salvaged(Source(9, "MedicationStatement"), lean.CodeableConcept(text="sertraline"), "active"),
        Salvaged(Source(10, "Condition"), lean.CodeableConcept(text="Restless legs")),
    ]
    facts = extract(table([], salvaged=salvaged))
    assert [r.unreadable for r in facts.results] == [Unreadable.INVALID_RESOURCE]
    assert facts.unreadable_medicines == 1


def test_issues_of_reading_and_extraction_are_counted_together() -> None:
    before = DataIssue(IssueKind.SKIPPED, "Observation", "status: not one of a result", 2)
    bad = ferritin(status="cancelled")
    facts = extract(table([bad, bad], issues=(before,)))
    assert facts.issues == (DataIssue(IssueKind.SKIPPED, "Observation", "status: not one of a result", 4),)


def test_merged_issues_come_in_a_fixed_order() -> None:
    one = DataIssue(IssueKind.SKIPPED, "B", "x")
    two = DataIssue(IssueKind.CLEANED, "A", "y")
    assert merge_issues([one, two], [one]) == merge_issues([one], [one, two])
    assert merge_issues([one], [one]) == (DataIssue(IssueKind.SKIPPED, "B", "x", 2),)


def _by_source(facts: Facts) -> Mapping[str, object]:
    def in_order(found: Sequence[Any]) -> list[Any]:
        return sorted(found, key=lambda f: f.source.key)

    return {
        name: in_order(getattr(facts, name))
        for name in ("results", "conditions", "medicines", "procedures", "allergies", "orders", "family")
    } | {"patient": facts.patient, "issues": facts.issues, "unreadable": facts.unreadable_medicines}


@given(st.permutations(range(len(RECORD))))
def test_the_order_of_resources_never_matters(order: list[int]) -> None:
    needs = table(RECORD)
    items = [item for listed in needs.items_by_type.values() for item in listed]
    shuffled: dict[str, list[Item]] = {}
    for number in order:
        shuffled.setdefault(items[number].source.resource_type, []).append(items[number])
    other = NeedsTable(needs.states, needs.iron_searches, shuffled)
    assert _by_source(extract(other)) == _by_source(extract(needs))


def test_resources_that_say_nothing_add_nothing() -> None:
    unrelated: list[Json] = [
        ferritin(code={"coding": [{"system": LOINC, "code": "2345-7", "display": "Glucose"}]}),
        diagnosis("S52.5"),
        statement("metformin 500 mg"),
        {"resourceType": "Procedure", "status": "completed", "code": {"text": "Appendectomy"}},
        {"resourceType": "AllergyIntolerance", "code": {"text": "Peanut"}},
        {"resourceType": "ServiceRequest", "status": "active", "code": {"text": "Glucose"}},
    ]
    assert _by_source(extract(table([*RECORD, *unrelated]))) == _by_source(extract(table(RECORD)))


@pytest.mark.parametrize(
    "unrelated",
    [
        ferritin(
            code={"coding": [{"system": LOINC, "code": "2345-7", "display": "Glucose"}], "text": "Glucose"}
        ),
        diagnosis("S52.5"),
        statement("metformin 500 mg"),
    ],
)
def test_an_irrelevant_resource_costs_microseconds(unrelated: Json) -> None:
    needs = table([unrelated] * 5000)
    extract(needs)
    best = min(_seconds(needs) for _ in range(3))
    # About two microseconds each; the bound is generous because shared machines are noisy.
    assert best < 0.15


def _seconds(needs: NeedsTable) -> float:
    start = time.process_time()
    extract(needs)
    return time.process_time() - start
