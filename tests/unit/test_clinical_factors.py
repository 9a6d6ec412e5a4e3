"""Factors with their reasons and evidence, and the vocabulary for the whole."""

import json

import pytest

from cds_service.clinical.assessment import Assessment, Factor
from cds_service.clinical.factors import contributing
from cds_service.clinical.facts import Presence
from cds_service.clinical.shown_only import FOUND, NOBODY_TOLD, NONE_FOUND, NONE_SEEN, presentation
from cds_service.knowledge import load
from tests.builders import Fact, hook_request, prefetch
from tests.harness import service_in

LINES_OF_THEIR_OWN = {"postpartum", "pregnancy.test", "phosphate.low", "rls.severity"}


def assessed(*record: Fact, sends: dict[str, str] | None = None, **of: str) -> Assessment:
    body = hook_request(prefetch(list(record), of=of, sends=sends))
    return service_in("UTC").view(body).assessment


def factor(factor_id: str, *record: Fact, sends: dict[str, str] | None = None, **of: str) -> Factor:
    found = assessed("RLS", {"ferritin": 60}, *record, sends=sends, **of).factors
    return next(one for one in found if one.id == factor_id)


def test_an_absent_factor_tells_what_denies_it() -> None:
    denied = factor("nicotine", {"smoking": "never smoker"})
    assert denied.presence is Presence.ABSENT
    assert [item.text for item in denied.evidence] == ["smoking status Never smoked tobacco (finding)"]
    assert [item.when.shown for item in denied.evidence if item.when] == ["2026-11-01"]


@pytest.mark.parametrize(
    ("code", "presence", "text"),
    [("60001007", Presence.ABSENT, "not pregnant"), ("77386006", Presence.PRESENT, "pregnant")],
)
def test_a_pregnancy_status_without_a_display_is_told_in_our_words(
    code: str, presence: Presence, text: str
) -> None:
    status: Fact = {
        "resource": {
            "resourceType": "Observation",
            "search": "contextResults",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "82810-3"}]},
            "effectiveDateTime": "2026-11-10",
            "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        }
    }
    found = factor("pregnancy", status, born="1996-01-01", sex="female")
    assert found.presence is presence
    assert [item.text for item in found.evidence] == [text]


def test_a_treated_apnoea_tells_by_what() -> None:
    treated = factor("osa.untreated", {"diagnosis": "G47.33"}, {"device use": {"displayed": "CPAP"}})
    assert treated.reason == "treated: positive airway pressure is on record"
    assert [(item.text, item.certainty.value) for item in treated.evidence] == [("CPAP", "by text")]


@pytest.mark.parametrize(
    ("factor_id", "sends", "reason"),
    [
        ("family_history", {"familyHistory": "failed"}, "familyHistory: search failed"),
        ("family_history", {}, NOBODY_TOLD),
        ("neuropathy", {"conditions": "first page"}, "conditions: list cut off"),
        ("nicotine", {}, "nothing on record says so or denies it"),
        ("vitamin_d", {}, "no current result that decides"),
        ("drug.ssri", {"medicationStatements": "failed"}, "medicationStatements: search failed"),
        ("mechanism.glutamate", {}, "no record shows it"),
        ("genes", {}, "never asked for"),
    ],
)
def test_an_unknown_factor_tells_why(factor_id: str, sends: dict[str, str], reason: str) -> None:
    found = factor(factor_id, sends=sends)
    assert (found.presence, found.reason) == (Presence.UNKNOWN, reason)


def test_a_denial_on_a_list_that_failed_in_part_tells_both_gaps() -> None:
    sends = {"socialHistory": "first page", "conditions": "first page"}
    found = factor("alcohol", {"AUDIT-C": 0}, sends=sends)
    assert found.reason == "socialHistory: list cut off; conditions: list cut off"


def test_a_mean_of_sleep_is_one_piece_of_evidence() -> None:
    found = factor("sleep_deprivation", {"slept": [5, 5.5, 5, 5.5, 5]})
    assert [item.text for item in found.evidence] == ["mean sleep duration 5.2 h, 5 values"]
    assert [item.when.shown for item in found.evidence if item.when] == ["2026-11-21"]


def test_values_with_a_comparator_make_no_mean() -> None:
    nights: list[Fact] = [{"slept": {"nights": [5, 5, 5, 5]}}]
    nights.append(
        {
            "resource": {
                "resourceType": "Observation",
                "search": "sleepDuration",
                "status": "final",
                "code": {"text": "Sleep duration"},
                "effectiveDateTime": "2026-11-20",
                "valueQuantity": {"value": 5, "comparator": "<", "unit": "h"},
            }
        }
    )
    assert factor("sleep_deprivation", *nights).presence is Presence.UNKNOWN


def test_a_severity_with_a_comparator_is_shown_in_words() -> None:
    answer = service_in("UTC").call(hook_request(prefetch(["RLS", {"ferritin": 60}, {"severity": "<10"}])))
    assert "total below 10" in answer.cards[0]["detail"]


def test_an_audit_c_that_lies_on_both_sides_decides_nothing() -> None:
    assert factor("alcohol", {"AUDIT-C": "<9"}).presence is Presence.UNKNOWN


def test_a_drink_count_that_cannot_be_read_keeps_the_score_from_denying() -> None:
    unreadable: Fact = {"drinks per day": {"value": 1, "unit": "bottles"}}
    assert factor("alcohol", {"AUDIT-C": 0}, unreadable).presence is Presence.ABSENT
    newer: Fact = {"AUDIT-C": {"value": 14, "date": "2026-11-20"}}
    assert factor("alcohol", {"AUDIT-C": 0}, newer).presence is Presence.UNKNOWN


def test_the_presentation_is_vocabulary_only() -> None:
    assert {FOUND, NONE_FOUND} == {
        "contributing factors found",
        "no contributing factor found in the record",
    }
    assert assessed("RLS", {"ferritin": 60}, {"diagnosis": "I10"}).presentation == FOUND
    assert assessed("RLS", {"ferritin": 60}).presentation == NONE_FOUND
    not_read = assessed("RLS", {"ferritin": 60}, sends={"medicationStatements": "failed"})
    assert not_read.presentation == NONE_SEEN


@pytest.mark.parametrize("presence", [Presence.UNKNOWN, Presence.PRESENT])
def test_nothing_found_is_said_only_of_a_list_that_was_read(presence: Presence) -> None:
    assert presentation((), [Factor("pregnancy", presence, "A")]) == NONE_SEEN
    assert presentation(("pregnancy",), [Factor("pregnancy", presence, "A")]) == FOUND


def test_no_wording_calls_restless_legs_primary_or_secondary() -> None:
    record: list[Fact] = [
        "RLS",
        {"ferritin": 40},
        {"family": {"relation": "mother"}},
        {"takes": "sertraline"},
    ]
    cards = json.dumps(service_in("UTC").call(hook_request(prefetch(record))).cards).lower()
    lines = [f"{one.name} {one.line} {one.action}".lower() for one in load().factors.values()]
    for text in (cards, *lines):
        assert "primary" not in text
        assert "secondary" not in text
        assert "idiopathic" not in text


def test_what_has_a_line_of_its_own_is_not_listed_again() -> None:
    factors = [Factor(one, Presence.PRESENT, "C") for one in (*sorted(LINES_OF_THEIR_OWN), "nicotine")]
    assert contributing(factors) == ("nicotine",)


def test_mechanisms_are_never_more_than_unknown() -> None:
    record: list[Fact] = [{"takes": "metoclopramide"}, {"caffeine intake": 4}, {"takes": "gabapentin"}]
    found = [one for one in assessed("RLS", *record).factors if one.weight == "D"]
    assert {(one.id, one.presence) for one in found} == {
        ("mechanism.dopamine", Presence.UNKNOWN),
        ("mechanism.adenosine", Presence.UNKNOWN),
        ("mechanism.glutamate", Presence.UNKNOWN),
    }


def test_every_factor_says_what_can_be_done() -> None:
    assert [one.id for one in load().factors.values() if not one.action.strip()] == []


def test_a_result_has_a_look_back_and_a_diagnosis_has_none() -> None:
    knowledge = load()
    assert knowledge.factors["vitamin_d"].look_backs == ("window.nutrition",)
    assert knowledge.factors["neuropathy"].look_backs == ()
    assert {i for one in knowledge.factors.values() for i in one.look_backs} <= knowledge.thresholds.keys()


def test_a_use_that_is_not_valid_keeps_no_apnoea_off_the_list() -> None:
    twice: Fact = {
        "resource": {
            "resourceType": "DeviceUseStatement",
            "status": "active",
            "device": {"display": "CPAP"},
            "timingDateTime": "2026-11-01",
            "timingPeriod": {"start": "2026-11-01"},
        }
    }
    assert factor("osa.untreated", {"diagnosis": "G47.33"}, twice).presence is Presence.PRESENT
