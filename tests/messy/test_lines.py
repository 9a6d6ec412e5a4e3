"""Every line of the table of rules and clients is shown by tests that exist; a few are shown here."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from cds_service.assess import Answer
from cds_service.clinical.facts import Presence
from cds_service.knowledge import load
from tests.builders import Fact, hook_request, prefetch
from tests.harness import service_in
from tests.messy.cases import load_cases
from tests.messy.lines import KINDS, Line, load_lines

ROOT = Path(__file__).resolve().parents[2]
CASES = load_cases()
LINES = load_lines(CASES)
ALL = [line for kind in KINDS for line in LINES[kind]]
SCENARIOS = "scenario "


@cache
def functions(path: str) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@cache
def scenarios() -> frozenset[str]:
    """Return the numbers of all scenarios."""
    files = (ROOT / "tests" / "scenarios").glob("*/*.yaml")
    entries = [entry for file in files for entry in yaml.safe_load(file.read_text(encoding="utf-8"))]
    return frozenset(str(entry["case"]) for entry in entries)


def is_there(test: str) -> bool:
    """Whether a test of the table exists."""
    if test.startswith(SCENARIOS):
        return test.removeprefix(SCENARIOS) in scenarios()
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and name in functions(path)


@pytest.mark.parametrize("line", ALL, ids=lambda line: line.id)
def test_every_line_is_shown_by_tests_that_exist(line: Line) -> None:
    assert line.tests
    assert [test for test in line.tests if not is_there(test)] == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert not is_there("tests/messy/test_lines.py::test_of_nothing")
    assert not is_there("tests/messy/no_file.py::test_every_line_is_shown_by_tests_that_exist")
    assert not is_there("scenario own-0")


def test_every_line_has_one_name_and_cases_name_lines_only() -> None:
    names = [line.id for line in ALL]
    assert len(set(names)) == len(names)
    assert {name for case in CASES for name in case.lines} <= set(names)


# ------------------------------------------------------------------------------ lines that are shown here
def view(*record: Fact) -> Answer:
    return service_in("UTC").view(hook_request(prefetch(["RLS", {"ferritin": 40}, *record])))


def flagged(*record: Fact) -> list[tuple[str, bool, bool]]:
    """Return the medicines of the medicine card: ingredient, whether possible only, whether an old entry."""
    cards = [card for card in view(*record).assessment.cards if card.key.value == "DRUG-01"]
    return [(d.ingredient, d.is_possible, d.is_old_entry) for card in cards for d in card.drugs]


FULL, POSSIBLE, OLD = ("sertraline", False, False), ("sertraline", True, False), ("sertraline", False, True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [FULL]),
        ({"status": "unknown"}, [POSSIBLE]),
        ({"status": "completed"}, []),
        ({"status": "stopped"}, []),
        ({"status": "not-taken"}, []),
        ({"status": "on-hold"}, []),
        ({"status": "intended"}, []),
        ({"status": "entered-in-error"}, []),
        ({"since": "2026-01-01", "until": "2026-11-21"}, []),
        ({"since": "2026-01-01", "until": "2026-11-22"}, [FULL]),
        ({"since": "2026-11-23"}, []),
        ({"since": "2026-11-22"}, [FULL]),
        ({"asserted": "2025-11-21"}, [OLD]),
        ({"asserted": "2025-11-22"}, [FULL]),
    ],
)
def test_which_statements_are_current(fields: dict[str, str], expected: list[tuple[str, bool, bool]]) -> None:
    assert flagged({"takes": {"drug": "sertraline", **fields}}) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [FULL]),
        ({"status": "completed"}, []),
        ({"status": "stopped"}, []),
        ({"status": "draft"}, []),
        ({"intent": "original-order"}, [FULL]),
        ({"intent": "instance-order"}, [FULL]),
        ({"intent": "proposal"}, []),
        ({"intent": "plan"}, []),
        ({"intent": "option"}, []),
        ({"until": "2026-11-21"}, []),
        ({"until": "2026-11-22"}, [FULL]),
        ({"authored": "2025-11-21"}, [OLD]),
        ({"authored": "2025-11-22"}, [FULL]),
    ],
)
def test_which_requests_are_current(fields: dict[str, str], expected: list[tuple[str, bool, bool]]) -> None:
    assert flagged({"prescribed": {"drug": "sertraline", "authored": "2026-10-01"} | fields}) == expected


def test_one_medicine_in_two_records_is_named_once() -> None:
    records: list[Fact] = [
        {"takes": {"drug": "sertraline", "status": "unknown"}},
        {"prescribed": {"drug": "sertraline", "authored": "2026-10-01"}},
    ]
    (card,) = (card for card in view(*records).assessment.cards if card.key.value == "DRUG-01")
    (drug,) = card.drugs
    assert (drug.ingredient, drug.is_possible) == ("sertraline", False)
    assert {source.resource_type for source in drug.sources} == {"MedicationStatement", "MedicationRequest"}


def test_every_factor_has_one_weight_of_four() -> None:
    weights = {factor.weight for factor in load().factors.values()}
    assert weights <= {"A", "B", "C", "D"}
    assert len(weights) > 1


def test_a_finding_keeps_the_resources_that_show_it() -> None:
    factors = {f.id: f for f in view({"takes": "sertraline"}).assessment.factors}
    assert factors["drug.ssri"].presence is Presence.PRESENT
    assert [e.source.resource_type for e in factors["drug.ssri"].evidence] == ["MedicationStatement"]
