"""The coverage of facts finds what it says it finds: each check is fed something broken."""

from typing import Any

import facts
import pytest

from cds_service.knowledge import load


def told(**changes: Any) -> list[str]:
    first, *rest = facts.facts()
    return list(facts.problems(load(), [{**first, **changes}, *rest]))


def test_the_facts_are_complete() -> None:
    assert list(facts.problems(load(), facts.facts())) == []


def test_there_are_at_least_the_facts_of_the_brief() -> None:
    assert len(facts.facts()) >= 30


@pytest.mark.parametrize("part", ["text", "judged", "knowledge", "tests"])
def test_a_fact_without_a_part_is_found(part: str) -> None:
    assert f"cause-iron: has no {part}" in told(**{part: []})


def test_a_fact_is_detected_as_its_factors_are_or_says_how() -> None:
    assert "cause-iron: has no how" in told(knowledge=["AASM25"])
    assert "cause-iron: has no how" not in told(knowledge=["AASM25"], how="by reading")
    rows = {row[0]: row[4] for row in facts.fact_rows(load())}
    assert rows["`neurological`"] == "a diagnosis by code or words"
    assert rows["`ferritin-50`"] == "ferritin in any common unit, compared exactly"


def test_knowledge_that_does_not_exist_is_found() -> None:
    assert "cause-iron: no such knowledge: iron.magic" in told(knowledge=["iron.magic"])


@pytest.mark.parametrize(
    "name",
    ["own-9999", "tests/unit/test_cli.py::test_of_nothing", "tests/unit/test_nowhere.py::test_x"],
)
def test_a_test_that_does_not_exist_is_found(name: str) -> None:
    assert told(tests=[name]) == [f"cause-iron: no such test: {name}"]


def test_a_fact_that_stands_twice_is_found() -> None:
    first = facts.facts()[0]
    assert "cause-iron: stands twice" in facts.problems(load(), [*facts.facts(), first])


def test_a_factor_of_no_fact_is_found() -> None:
    kept = [fact for fact in facts.facts() if fact["id"] != "adhd"]
    assert list(facts.problems(load(), kept)) == ["adhd: stands in no fact"]


def test_a_factor_without_a_scenario_for_a_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = facts.cases()
    fewer = {
        case: {**states, "absent": states["absent"] - {"adhd"}, "unknown": states["unknown"] - {"genes"}}
        for case, states in cases.items()
    }
    monkeypatch.setattr(facts, "cases", lambda: fewer)
    assert list(facts.problems(load(), facts.facts())) == [
        "genes: no scenario shows it unknown",
        "adhd: no scenario shows it absent",
    ]


def test_each_row_shows_how_far_its_knowledge_was_checked() -> None:
    rows = {row[0]: row for row in facts.fact_rows(load())}
    assert rows["`caffeine`"][3] == "`caffeine` (V2), `mechanism.adenosine` (M), `window.lifestyle` (P)"
    assert rows["`attribution`"][3].startswith("`AASM25`, ")
    factors = {row[0]: row for row in facts.factor_rows(load())}
    assert factors["`neuropathy`"][4] == "no source read (M, awaiting clinical review)"
    assert factors["`vitamin_d`"][2:4] == (
        "a diagnosis by code or words, 25-hydroxyvitamin D in blood",
        "365 d",
    )
