"""The coverage of facts finds what it says it finds: each check is fed something broken."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cds_service.knowledge import load

ROOT = Path(__file__).resolve().parents[2]


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("facts_of_the_documents", ROOT / "scripts" / "facts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FACTS = loaded()


def told(**changes: Any) -> list[str]:
    first, *rest = FACTS.facts()
    return list(FACTS.problems(load(), [{**first, **changes}, *rest]))


def test_the_facts_are_complete() -> None:
    assert list(FACTS.problems(load(), FACTS.facts())) == []


def test_there_are_at_least_the_facts_of_the_brief() -> None:
    assert len(FACTS.facts()) >= 30


@pytest.mark.parametrize("part", ["text", "judged", "knowledge", "how", "tests"])
def test_a_fact_without_a_part_is_found(part: str) -> None:
    assert f"cause-iron: has no {part}" in told(**{part: []})


def test_knowledge_that_does_not_exist_is_found() -> None:
    assert "cause-iron: no such knowledge: iron.magic" in told(knowledge=["iron.magic"])


@pytest.mark.parametrize(
    "name",
    ["own-9999", "tests/unit/test_cli.py::test_of_nothing", "tests/unit/test_nowhere.py::test_x"],
)
def test_a_test_that_does_not_exist_is_found(name: str) -> None:
    assert told(tests=[name]) == [f"cause-iron: no such test: {name}"]


@pytest.mark.parametrize(
    "name",
    [
        "1",
        "121",
        "own-300",
        "tests/unit/test_rendering.py::TestFactors::test_a_factor_that_is_said_already_is_left_out",
    ],
)
def test_tests_that_exist(name: str) -> None:
    assert FACTS.is_test(name)


def test_a_fact_that_stands_twice_is_found() -> None:
    first = FACTS.facts()[0]
    assert "cause-iron: stands twice" in FACTS.problems(load(), [*FACTS.facts(), first])


def test_a_factor_of_no_fact_is_found() -> None:
    kept = [fact for fact in FACTS.facts() if fact["id"] != "adhd"]
    assert list(FACTS.problems(load(), kept)) == ["adhd: stands in no fact"]


def test_a_factor_without_a_scenario_for_a_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = FACTS.cases()
    fewer = {
        case: {**states, "absent": states["absent"] - {"adhd"}, "unknown": states["unknown"] - {"genes"}}
        for case, states in cases.items()
    }
    monkeypatch.setattr(FACTS, "cases", lambda: fewer)
    assert list(FACTS.problems(load(), FACTS.facts())) == [
        "genes: no scenario shows it unknown",
        "adhd: no scenario shows it absent",
    ]


def test_each_row_shows_how_far_its_knowledge_was_checked() -> None:
    rows = {row[0]: row for row in FACTS.fact_rows(load())}
    assert rows["`caffeine`"][3] == "`caffeine` (V2), `mechanism.adenosine` (M), `window.lifestyle` (P)"
    assert rows["`attribution`"][3].startswith("`AASM25`, ")
    factors = {row[0]: row for row in FACTS.factor_rows(load())}
    assert factors["`neuropathy`"][3] == "no source read (M, awaiting clinical review)"
    assert factors["`vitamin_d`"][2] == "365 d"
