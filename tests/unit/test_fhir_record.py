"""The door of the room: facts of a prefetch, and facts without the invalid."""

import json
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from cds_service.clinical.facts import IssueKind, Need, Unreadable
from cds_service.fhir import PrefetchUnreadable, Record, open_record, validation
from cds_service.knowledge import load
from tests.unit.fhir_samples import (
    ANSWERED,
    CUT_OFF,
    FAILED,
    NOT_ASKED,
    OWN_KEYS,
    PATIENT,
    SERVER,
    Json,
    bundle,
    condition,
    medicine,
    observation,
)


def opened(prefetch: Json | None) -> Record:
    return open_record(
        None if prefetch is None else json.dumps(prefetch).encode(),
        own_keys=OWN_KEYS,
        patient_id="p1",
        fhir_server=SERVER,
        version_hint="R4",
        knowledge=load(),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    )


def test_a_prefetch_becomes_facts() -> None:
    record = opened(
        {"patient": PATIENT, "ironResults": bundle(observation()), "conditions": bundle(condition())}
    )
    assert record.facts.patient is not None
    assert [result.shown for result in record.facts.results] == ["20 ng/mL"]
    assert [fact.groups for fact in record.facts.conditions] == [frozenset({"rls"})]
    assert record.facts.needs[Need.IRON_RESULTS] is ANSWERED


def test_no_prefetch_is_a_record_without_answers() -> None:
    assert set(opened(None).facts.needs.values()) == {NOT_ASKED}


def test_a_prefetch_that_is_no_object_is_refused() -> None:
    with pytest.raises(PrefetchUnreadable):
        opened([])  # type: ignore[arg-type]  # wrong on purpose


def test_nothing_is_dropped_when_all_that_decides_is_valid() -> None:
    record = opened({"patient": PATIENT, "ironResults": bundle(observation(foo=1))})
    assert record.without_invalid([result.source for result in record.facts.results]) is None
    assert [(issue.kind, issue.resource_type, issue.detail) for issue in record.facts.issues] == [
        (IssueKind.CLEANED, "Observation", "unknown element")
    ]


def test_an_invalid_result_stays_in_view_as_unreadable() -> None:
    sound, faulty = observation(resource_id="o2"), observation(valueString="x")
    record = opened({"ironResults": bundle(faulty, sound)})
    again = record.without_invalid([result.source for result in record.facts.results])
    assert again is not None
    assert sorted((r.source.resource_id or "", r.unreadable) for r in again.facts.results) == [
        ("o1", Unreadable.INVALID_RESOURCE),
        ("o2", None),
    ]
    assert again.facts.needs[Need.IRON_RESULTS] is ANSWERED
    assert [i.resource_type for i in again.facts.issues if i.kind is IssueKind.FAILED_VALIDATION] == [
        "Observation"
    ]
    assert again.without_invalid([result.source for result in again.facts.results]) is None


def test_an_invalid_condition_is_dropped_and_its_list_no_longer_complete() -> None:
    record = opened({"conditions": bundle(condition(note=[{"text": "a"}], onsetPeriod={}, onsetString=""))})
    faulty = opened({"conditions": bundle(condition(onsetDateTime="2020", onsetPeriod={"start": "2020"}))})
    assert record.without_invalid([fact.source for fact in record.facts.conditions]) is None
    again = faulty.without_invalid([fact.source for fact in faulty.facts.conditions])
    assert again is not None
    assert again.facts.conditions == ()
    assert again.facts.needs[Need.CONDITIONS] is CUT_OFF


def test_an_invalid_medicine_leaves_both_of_its_needs_open() -> None:
    prefetch = {"medicationStatements": bundle(medicine(status="banana")), "conditions": None}
    record = opened(prefetch)
    items = record.table.items("MedicationStatement")
    again = record.without_invalid([item.source for item in items])
    assert again is not None
    assert again.facts.needs[Need.MEDICATION_STATEMENTS] is CUT_OFF
    assert again.facts.needs[Need.IRON_TREATMENTS] is NOT_ASKED
    assert again.facts.needs[Need.CONDITIONS] is ANSWERED


def test_an_invalid_patient_is_not_available() -> None:
    record = opened({"patient": PATIENT | {"gender": "M"}})
    assert record.facts.patient is not None
    again = record.without_invalid([record.facts.patient.source])
    assert again is not None
    assert again.facts.patient is None
    assert again.facts.needs[Need.PATIENT] is FAILED


def test_each_resource_is_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = validation.validate

    def counting(text: bytes, resource_type: str, patient_id: str) -> validation.Verdict:
        asked.append(resource_type)
        return real(text, resource_type, patient_id)

    monkeypatch.setattr("cds_service.fhir.record.validate", counting)
    record = opened({"ironResults": bundle(observation()), "conditions": bundle(condition(subject={}))})
    sources = [*(r.source for r in record.facts.results), *(c.source for c in record.facts.conditions)]
    record.without_invalid(sources * 2)
    record.without_invalid(reversed(sources))
    assert sorted(asked) == ["Condition", "Observation"]


def test_sources_that_are_not_of_the_record_are_passed_over() -> None:
    record = opened({"ironResults": bundle(observation())})
    other = opened({"a": bundle(*(observation(resource_id=f"x{n}") for n in range(9)))})
    assert record.without_invalid([other.facts.results[-1].source]) is None
