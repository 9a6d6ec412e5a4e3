"""The tables of evidence have no gap, and each check finds the gap that it is there for."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evidence
import hazards
import proofs
import pytest
from evidence import ASVS, CONFORMANCE, RISKS, Table

from cds_service.ports import Refusal
from cds_service.web.logs import ALLOWED

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/docs/test_evidence.py"
Row = dict[str, str]


# -------------------------------------------------------------------------------------- names of tests
@pytest.mark.parametrize(
    "name",
    [
        f"{HERE}::test_there_is_no_gap",
        "tests/unit/test_rendering.py::TestMedicines::test_many_medicines_are_named_only",
        "3",
        "own-80",
        "scenario own-80",
        "14",  # all parts of a case
        "14a",
    ],
)
def test_a_test_that_is_there_is_a_proof(name: str) -> None:
    assert proofs.is_proof(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "own-9999",
        "scenario ",
        f"{HERE}::test_that_nobody_wrote",
        f"{HERE}::",
        "tests/docs/test_nowhere.py::test_there_is_no_gap",
        # A helper, a test inside a class without its name, a test that needs Java, one outside.
        "tests/docs/test_documents.py::commands",
        "tests/unit/test_rendering.py::test_many_medicines_are_named_only",
        "tests/integration/test_server.py::test_results_come_newest_first",
        "tests/browser/test_chart.py::test_a_chart_gives_its_cards",
        "tests/crosscheck/test_crosscheck.py::test_what_is_answered_alike_is_no_disagreement",
        "cds_service/app.py::create_app",
        "tests/../tests/docs/test_evidence.py::test_there_is_no_gap",
    ],
)
def test_anything_else_is_none(name: str) -> None:
    assert not proofs.is_proof(name)


def test_a_test_that_may_not_run_is_no_proof(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    file.write_text(
        "import pytest\n"
        "@pytest.mark.skip\ndef test_a(): ...\n"
        "@pytest.mark.skipif(True, reason='x')\ndef test_b(): ...\n"
        "@pytest.mark.xfail(reason='x')\ndef test_c(): ...\n"
        "@pytest.mark.parametrize('x', [1])\ndef test_d(x): ...\n"
        "def helper(): ...\n",
        encoding="utf-8",
    )
    assert proofs.functions(file) == {"test_d"}


# ---------------------------------------------------------------------------------------- tables
@pytest.mark.parametrize("table", evidence.TABLES, ids=lambda table: table.path)
def test_there_is_no_gap(table: Table) -> None:
    assert list(evidence.problems(table, evidence.rows_of(table))) == []


def test_all_statements_of_the_list_are_there() -> None:
    assert len(CONFORMANCE.ids) == sum(evidence.STRENGTHS.values()) == 120
    assert len(RISKS.ids) == 17


def told(table: Table, change: Callable[[list[Row]], object]) -> list[str]:
    """Return what is found after a change of the rows."""
    rows = [dict(row) for row in evidence.rows_of(table)]
    change(rows)
    return list(evidence.problems(table, rows))


def first(table: Table, status: str) -> int:
    """Return the place of the first row with a status."""
    return next(i for i, row in enumerate(evidence.rows_of(table)) if row["status"] == status)


@pytest.mark.parametrize("table", evidence.TABLES, ids=lambda table: table.path)
def test_a_row_that_is_missing_or_stands_twice_is_found(table: Table) -> None:
    number = evidence.rows_of(table)[0][table.key]
    assert f"{number}: is missing" in told(table, lambda rows: rows.pop(0))
    assert f"{number}: stands 2 times" in told(table, lambda rows: rows.append(rows[0]))
    assert "99.9: is no id of this table" in told(table, lambda rows: rows[0].update({table.key: "99.9"}))


@pytest.mark.parametrize(
    ("table", "status", "changes", "gap"),
    [
        (CONFORMANCE, "met", {"tests": ""}, "is met without a test"),
        (CONFORMANCE, "met", {"tests": "", "evidence": "SECURITY.md"}, "is met without a test"),
        (RISKS, "met", {"tests": ""}, "is met without a test"),
        (ASVS, "met", {"tests": "", "evidence": ""}, "is met without a test"),
        (CONFORMANCE, "met", {"tests": f"{HERE}::test_x"}, f"no such test: {HERE}::test_x"),
        (CONFORMANCE, "not applicable", {"reason": " "}, "is not applicable without a reason"),
        (CONFORMANCE, "partly", {"reason": ""}, "is partly without a reason"),
        (ASVS, "not met", {"reason": ""}, "is not met without a reason"),
        (CONFORMANCE, "met", {"status": "not met", "reason": "x"}, "no such status: not met"),
        (RISKS, "met", {"status": "not applicable", "reason": "x"}, "no such status: not applicable"),
        (CONFORMANCE, "met", {"statement": ""}, "has no statement"),
        (RISKS, "met", {"control": ""}, "has no control"),
        (ASVS, "met", {"evidence": "docs/nothing.md"}, "no such file: docs/nothing.md"),
    ],
)
def test_a_gap_of_a_row_is_found(table: Table, status: str, changes: Row, gap: str) -> None:
    place = first(table, status)
    number = evidence.rows_of(table)[place][table.key]
    assert told(table, lambda rows: rows[place].update(changes)) == [f"{number}: {gap}"]


def test_a_document_may_stand_for_a_test_where_documents_are_asked_for() -> None:
    place = first(ASVS, "met")
    assert told(ASVS, lambda rows: rows[place].update({"tests": "", "evidence": "SECURITY.md"})) == []


def test_a_strength_that_was_copied_wrongly_is_found() -> None:
    assert any(
        gap.startswith("strengths: ") for gap in told(CONFORMANCE, lambda r: r[0].update(strength="MAY"))
    )


def test_a_line_with_a_cell_too_many_or_too_few_is_found() -> None:
    # As the CSV reader gives them: missing cells are None, those beyond the head stand under None.
    def shorten(rows: list[Any]) -> None:
        rows[0]["reason"] = None

    def lengthen(rows: list[Any]) -> None:
        rows[0][None] = ["x"]

    for change in (shorten, lengthen):
        assert told(RISKS, change) == ["R1: has another number of cells than the head"]


def test_other_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / RISKS.path).write_text("risk,threat\nR1,x\n", encoding="utf-8")
    monkeypatch.setattr(evidence, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="the columns must be risk, level, threat, control, status"):
        evidence.rows_of(RISKS)


# ------------------------------------------------------------------------------------------- hazards
def broken(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """Return what is found after a change of the hazard log."""
    log = copy.deepcopy(dict(hazards.log()))
    change(log)
    return list(hazards.problems(log))


def test_the_hazard_log_has_no_gap() -> None:
    assert list(hazards.problems(hazards.log())) == []
    assert len(hazards.log()["hazard"]) >= 25


@pytest.mark.parametrize(
    ("changes", "gap"),
    [
        ({"cause": ""}, "has no cause"),
        ({"effect": " "}, "has no effect"),
        ({"owner": "Jane Doe"}, "no such role: Jane Doe"),
        (
            {"status": "accepted"},
            'the status is "awaits a clinician\'s rating" until a clinician has rated it',
        ),
        ({"controls": []}, "has no control"),
        ({"controls": [{"control": "x", "tests": []}]}, "no test proves: x"),
        ({"controls": [{"control": "", "tests": ["3"]}]}, "a control without words"),
        ({"controls": [{"control": "x", "tests": ["own-9999"]}]}, "no such test: own-9999"),
        ({"severity": 6}, "severity and likelihood are grades from 1 to 5, before and after"),
        ({"residual_likelihood": 0}, "severity and likelihood are grades from 1 to 5, before and after"),
        ({"severity": 1, "likelihood": 1}, "the controls make it worse"),
        ({"likelihood": 3, "residual_likelihood": 3}, "residual risk 12 is above 8"),
    ],
)
def test_a_gap_of_a_hazard_is_found(changes: dict[str, Any], gap: str) -> None:
    assert broken(lambda log: log["hazard"][0].update(changes)) == [f"H-01: {gap}"]


def test_a_hazard_that_is_missing_or_out_of_order_is_found() -> None:
    def said(log: list[str]) -> bool:
        return log[0].startswith("the ids must run from H-01 to H-")

    assert said(broken(lambda log: log["hazard"].pop(3)))
    assert said(broken(lambda log: log["hazard"].reverse()))
    assert said(broken(lambda log: log["hazard"].append(log["hazard"][0])))
    assert said(broken(lambda log: log.update(hazard=log["hazard"][:19])))


def test_a_scale_of_other_grades_is_found() -> None:
    assert broken(lambda log: log["severity"].pop()) == ["severity: the grades must be 1 to 5"]


def test_the_log_says_that_nobody_has_signed_it() -> None:
    text = " ".join((ROOT / "docs" / "safety" / "hazards.md").read_text(encoding="utf-8").split())
    assert "No clinical safety officer has rated or signed this log" in text


def test_every_product_above_the_threshold_is_bold() -> None:
    assert hazards.scale_part().count("**") == 2 * sum(s * n > 8 for s in range(1, 6) for n in range(1, 6))


# ------------------------------------------------------------------------------------------- SECURITY.md
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("field", sorted(ALLOWED))
def test_every_field_of_a_log_line_is_documented(field: str) -> None:
    assert f"| `{field}` |" in SECURITY


def test_no_field_is_documented_that_is_never_logged() -> None:
    section = SECURITY.partition("## What is logged")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == ALLOWED | {"time", "level", "event"}


@pytest.mark.parametrize("cause", [cause.value for cause in Refusal])
def test_every_cause_of_a_refusal_is_documented(cause: str) -> None:
    assert f"`{cause}`" in SECURITY
