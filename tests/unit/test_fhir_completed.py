"""A record with what the FHIR server added: which questions stay open, pages, look-ups, failures."""

import json
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.clinical.facts import IssueKind, Need, NeedState
from cds_service.completion import is_plain_id
from cds_service.fhir import Fetched, Record, open_record
from cds_service.knowledge import load
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from tests.unit.fhir_samples import Json, bundle, link, medicine, observation, outcome, subject

SERVER = "https://ehr.example.org/fhir"
PATIENT: Json = {"resourceType": "Patient", "id": "p1"}
NEXT = f"{SERVER}/Observation?page=2"


def opened(prefetch: Json | None, **call: Any) -> Record:
    return open_record(
        None if prefetch is None else json.dumps(prefetch).encode(),
        own_keys=PREFETCH_NEEDS,
        patient_id="p1",
        fhir_server=SERVER,
        version_hint=call.get("version_hint"),
        knowledge=load(),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    )


def pages(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


def ferritin(number: int) -> Json:
    return observation(resource_id=f"f{number}", subject=subject("p1"))


def need(record: Record, which: Need) -> NeedState:
    return record.facts.needs[which]


def details(record: Record, kind: IssueKind) -> list[tuple[str, str]]:
    return [(issue.resource_type, issue.detail) for issue in record.facts.issues if issue.kind is kind]


def test_without_a_prefetch_every_key_is_open() -> None:
    assert opened(None).table.unasked == tuple(PREFETCH_NEEDS)


@pytest.mark.parametrize("value", [None, bundle(), outcome("error"), outcome("warning"), "text", 5])
def test_a_key_that_was_supplied_is_not_open(value: object) -> None:
    assert opened(dict.fromkeys(PREFETCH_NEEDS, value)).table.unasked == ()


def test_a_key_of_which_a_part_is_unanswered_is_open() -> None:
    table = opened({"ferritin": bundle(), "conditionList": bundle(), "Condition": bundle()}).table
    assert "ironResults" in table.unasked
    assert "conditions" not in table.unasked
    whole = opened({"labs": bundle(ferritin(1)), "patientRecord": PATIENT}).table
    assert "ironResults" not in whole.unasked
    assert "patient" not in whole.unasked


def test_pages_are_one_answer() -> None:
    first = bundle(ferritin(1), total=2, link=[link("next", NEXT)])
    second = bundle(ferritin(2), total=2)
    record = opened(None).completed([Fetched("ironResults", pages(first, second))])
    assert need(record, Need.IRON_RESULTS) is NeedState.ANSWERED
    assert [result.source.resource_id for result in record.facts.results] == ["f1", "f2"]
    assert record.facts.issues == ()


def test_the_last_page_decides_whether_more_follow() -> None:
    first = bundle(ferritin(1), link=[link("next", NEXT)])
    record = opened(None).completed(
        [Fetched("ironResults", pages(first, first), "too many pages", "Observation")]
    )
    assert need(record, Need.IRON_RESULTS) is NeedState.CUT_OFF
    assert details(record, IssueKind.SEARCH_FAILED) == [("Observation", "FHIR server: too many pages")]
    assert len(record.facts.results) == 1


def test_a_supplied_bundle_is_read_on() -> None:
    record = opened({"ironResults": bundle(ferritin(1), link=[link("next", NEXT)])})
    assert record.table.next_links == {"ironResults": NEXT}
    assert "ironResults" not in record.table.unasked
    whole = record.completed([Fetched("ironResults", pages(bundle(ferritin(2))))])
    assert need(whole, Need.IRON_RESULTS) is NeedState.ANSWERED
    assert len(whole.facts.results) == 2
    failed = record.completed([Fetched("ironResults", (), "no answer in time")])
    assert need(failed, Need.IRON_RESULTS) is NeedState.CUT_OFF
    assert len(failed.facts.results) == 1


@pytest.mark.parametrize(
    "value",
    [
        bundle(ferritin(1), total=3),
        bundle(ferritin(1), link=[{"relation": "next"}]),
        bundle(outcome("error"), link=[link("next", NEXT)]),
        {"resourceType": "Bundle", "entry": [{"resource": bundle(link=[link("next", NEXT)])}]},
    ],
)
def test_nothing_is_read_on_without_a_link_of_a_good_answer(value: Json) -> None:
    record = opened({"ironResults": value})
    assert record.table.next_links == {}
    assert "ironResults" not in record.table.unasked


def test_a_failed_search_is_a_failed_need() -> None:
    record = opened({"patient": PATIENT}).completed([Fetched("conditions", (), "not found", "Condition")])
    assert need(record, Need.CONDITIONS) is NeedState.FAILED
    assert details(record, IssueKind.SEARCH_FAILED) == [("Condition", "FHIR server: not found")]


def test_a_page_that_is_an_outcome_fails_or_is_empty() -> None:
    for severity, state in (("error", NeedState.FAILED), ("warning", NeedState.ANSWERED)):
        record = opened(None).completed([Fetched("conditions", pages(outcome(severity)))])
        assert need(record, Need.CONDITIONS) is state


def test_the_same_resource_by_both_ways_counts_once() -> None:
    record = opened({"ferritin": bundle(ferritin(1))})
    record = record.completed([Fetched("ironResults", pages(bundle(ferritin(1), ferritin(2))))])
    assert len(record.facts.results) == 2


def test_a_key_that_looks_like_a_page_does_not_stand_in_for_one() -> None:
    disguised = {"ironResults\0" + "0": bundle(ferritin(7), ferritin(8), ferritin(9))}
    record = opened(disguised).completed([Fetched("ironResults", pages(bundle(ferritin(1))))])
    assert [result.source.resource_id for result in record.facts.results] == ["f1"]


def referring(resource_id: str, reference: str) -> Json:
    return medicine(
        "MedicationRequest",
        resource_id=resource_id,
        subject=subject("p1"),
        medicationCodeableConcept=None,
        medicationReference={"reference": reference},
    )


def test_medications_that_nobody_supplied_are_named() -> None:
    record = opened(
        {
            "medicationRequests": bundle(
                referring("1", "Medication/b"),
                referring("2", f"{SERVER}/Medication/a"),
                referring("3", "Medication/b"),
                referring("4", "https://other.example.org/Medication/c"),
                referring("5", "#d"),
                referring("6", "Substance/e"),
                referring("7", "Medication/supplied"),
                medicine("MedicationRequest", resource_id="8", subject=subject("p1")),
            ),
            "more": bundle({"resourceType": "Medication", "id": "supplied", "code": {"text": "sertraline"}}),
        }
    )
    assert record.unresolved_medications() == ("a", "b")
    found = bundle(
        {"resourceType": "Medication", "id": "a", "code": {"text": "sertraline 50 MG Oral Tablet"}}
    )
    looked_up = record.completed([Fetched("medications", pages(found), is_lookup=True)])
    assert looked_up.unresolved_medications() == ("b",)
    assert looked_up.facts.needs == record.facts.needs
    assert sum("sertraline" in str(fact) for fact in looked_up.facts.medicines) == 3
    failed = record.completed([Fetched("conditions", (), "not found", "Medication", is_lookup=True)])
    assert failed.facts.needs == record.facts.needs


def test_what_was_fetched_before_stays() -> None:
    record = opened({"patient": PATIENT}).completed([Fetched("conditions", pages(bundle()))])
    record = record.completed([Fetched("procedures", pages(bundle()))])
    assert need(record, Need.CONDITIONS) is need(record, Need.PROCEDURES) is NeedState.ANSWERED
    record = record.completed([Fetched("conditions", (), "not found")])
    assert need(record, Need.CONDITIONS) is NeedState.FAILED


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("eq081-VQEgP8drUUqCWzHfw3", True),
        ("a_b.c", True),
        ("1..2", True),
        ("..", False),
        ("a,b", False),
        ("", False),
    ],
)
def test_only_an_id_that_means_itself_is_plain(text: str, is_plain: bool) -> None:
    assert is_plain_id(text) is is_plain
