"""The table of faults has no gap, and its check finds the gaps that it is there for."""

from typing import Any

import fault_table
import pytest

GOOD: dict[str, Any] = {
    "group": "g",
    "fault": "f",
    "answer": "503",
    "limit": "2 s",
    "promise": "p",
    "tests": ["tests/docs/test_fault_table.py::test_there_is_no_gap"],
}


def test_there_is_no_gap() -> None:
    assert list(fault_table.gaps()) == []


def test_a_good_row_has_no_gap() -> None:
    assert list(fault_table.problems([GOOD])) == []


@pytest.mark.parametrize(
    ("changes", "gap"),
    [
        ({"answer": " "}, "f: has no answer"),
        ({"tests": []}, "f: no test shows it"),
        ({"tests": ["tests/faults/test_store.py::test_none"]}, "no such test: tests/faults/test_store.py"),
    ],
)
def test_a_gap_is_found(changes: dict[str, Any], gap: str) -> None:
    (found,) = fault_table.problems([{**GOOD, **changes}])
    assert gap in found


def test_a_row_that_stands_twice_is_found() -> None:
    assert list(fault_table.problems([GOOD, GOOD])) == ["f: stands 2 times"]


def test_a_test_without_a_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_table, "rows", lambda: [GOOD])
    assert any("no row names tests/faults/test_store.py::test_locked" in gap for gap in fault_table.gaps())
