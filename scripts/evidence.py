"""The tables that answer a reviewer: conformance, ASVS, published risks; each claim with its tests.

`scripts/docs.py` fails on a gap: a number that is missing or stands twice, a claim without a test, a reason
that is not given, a test or document that does not exist.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import proofs
from tables import shortened
from tables import table as markdown

ROOT = Path(__file__).resolve().parent.parent
MET, PARTLY, NOT_APPLICABLE, NOT_MET = "met", "partly", "not applicable", "not met"

Row = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A CSV file of claims: its place, its columns, the ids that it must have, the states of a row."""

    path: str
    key: str
    said: tuple[str, ...]
    """Columns of words that are never empty."""
    ids: frozenset[str]
    statuses: frozenset[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in their order."""
        return (self.key, *self.said, "status", "tests", "evidence", "reason")


def _spans(text: str) -> frozenset[str]:
    """Return the numbers of spans such as `1-3 7`."""
    ends = (span.partition("-")[::2] for span in text.split())
    return frozenset(str(n) for first, last in ends for n in range(int(first), int(last or first) + 1))


CONFORMANCE = Table(
    path="docs/conformance.csv",
    key="number",
    said=("strength", "statement"),
    # The statements for a service in Inferno's list for CDS Hooks 2.0; the gaps are those for clients.
    ids=_spans(
        "1-14 16 27-29 34-36 52 54-61 74-78 80-85 87-90 92-96 98-100 103-113 115-125 127-136 138-142 "
        "144-148 168 175-177 179 195 199-201 203 205-208 210-220"
    ),
    statuses=frozenset({MET, PARTLY, NOT_APPLICABLE}),
)
STRENGTHS = Counter({"SHALL": 69, "SHALL NOT": 4, "SHOULD": 17, "SHOULD NOT": 1, "MAY": 28, "DEPRECATED": 1})
"""How many statements the list has of each strength."""

ASVS = Table(
    path="docs/asvs.csv",
    key="id",
    said=("level", "claim"),
    ids=frozenset(
        [
            *("1.3.5", "1.3.6", "1.5.3", "2.2.1", "2.2.3", "2.4.1", "4.1.1", "4.1.2", "4.1.3", "4.1.4"),
            *("9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.3", "12.1.1", "12.2.1", "12.3.2", "13.1.2", "13.1.3"),
            *("13.2.4", "13.4.2", "13.4.5", "14.2.1", "14.2.4", "14.3.2", "15.1.1", "15.1.2", "15.1.3"),
            *("15.2.2", "15.3.1", "15.3.2", "15.4.1", "16.1.1", "16.2.1", "16.2.2", "16.2.5", "16.3.1"),
            *("16.3.2", "16.4.1", "16.4.2", "16.5.1", "16.5.2", "16.5.3", "16.5.4"),
            *("1.1.2", "1.3.7", "3.4.1", "3.4.2", "3.4.3", "3.4.4", "9.2.2", "12.3.1", "13.1.1", "13.4.4"),
            *("16.2.4", "16.3.3", "16.3.4", "16.4.3"),
        ],
    ),
    statuses=frozenset({MET, PARTLY, NOT_MET, NOT_APPLICABLE}),
)

RISKS = Table(
    path="docs/risks.csv",
    key="risk",
    said=("level", "threat", "control"),
    ids=frozenset(f"R{number}" for number in range(1, 18)),
    statuses=frozenset({MET, PARTLY}),
)

TABLES = (CONFORMANCE, ASVS, RISKS)


def rows_of(table: Table) -> list[Row]:
    """Return the rows of a table; raises ValueError where its columns are not those that it must have."""
    with (ROOT / table.path).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if tuple(reader.fieldnames or ()) != table.columns:
            raise ValueError(f"{table.path}: the columns must be {', '.join(table.columns)}")
        return list(reader)


def problems(table: Table, rows: Sequence[Row]) -> Iterator[str]:
    """Yield every gap of a table."""
    seen = Counter(row[table.key] for row in rows)
    yield from (f"{number}: is missing" for number in sorted(table.ids - seen.keys(), key=_order))
    yield from (f"{number}: is no id of this table" for number in seen if number not in table.ids)
    yield from (f"{number}: stands {count} times" for number, count in seen.items() if count > 1)
    for row in rows:
        yield from (f"{row[table.key]}: {told}" for told in _row_problems(table, row))
    if table is CONFORMANCE and (found := Counter(row["strength"] for row in rows)) != STRENGTHS:
        yield f"strengths: {dict(found)} in place of {dict(STRENGTHS)}"


def _row_problems(table: Table, row: Row) -> Iterator[str]:
    if any(not isinstance(cell, str) for cell in row.values()) or None in row:
        yield "has another number of cells than the head"
        return
    status, tests, evidence = row["status"], row["tests"].split(), row["evidence"].split()
    yield from (f"has no {column}" for column in table.said if not row[column].strip())
    if status not in table.statuses:
        yield f"no such status: {status}"
    if status == MET and not tests and not (evidence and table is ASVS):
        yield "is met without a test"
    if status != MET and not row["reason"].strip():
        yield f"is {status} without a reason"
    yield from (f"no such test: {name}" for name in tests if not proofs.is_proof(name))
    yield from (f"no such file: {name}" for name in evidence if not (ROOT / name).is_file())


def _order(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.lstrip("R").split("."))


def gaps() -> Iterator[str]:
    """Yield every gap of the project's own tables."""
    for table in TABLES:
        yield from (f"{table.path}: {gap}" for gap in problems(table, rows_of(table)))


def open_part(table: Table) -> str:
    """Return the rows that are not met in full: id, words, status and reason."""
    rows = [row for row in rows_of(table) if row["status"] in {PARTLY, NOT_MET}]
    words = table.said[-1]
    return markdown(
        (table.key, words, "status", "why"),
        ((row[table.key], row[words], row["status"], row["reason"]) for row in rows),
    )


def counts_part(table: Table) -> str:
    """Return how many rows of each strength or level have each status."""
    group, rows = table.said[0], rows_of(table)
    statuses = [status for status in (MET, PARTLY, NOT_MET, NOT_APPLICABLE) if status in table.statuses]
    return markdown(
        (group, *statuses),
        (
            (name, *(str(sum(r[group] == name and r["status"] == s for r in rows)) for s in statuses))
            for name in dict.fromkeys(row[group] for row in rows)
        ),
    )


def risks_part() -> str:
    """Return the published risks with the answer to each."""
    return markdown(
        ("risk", "level", "in words", "answer", "proved by"),
        (
            (
                row["risk"],
                row["level"],
                row["threat"],
                row["control"] + (f" **Open:** {row['reason']}" if row["reason"] else ""),
                shortened(row["tests"].split()),
            )
            for row in rows_of(RISKS)
        ),
    )


PARTS: Mapping[str, Callable[[], str]] = {
    "asvs-counts": partial(counts_part, ASVS),
    "asvs-open": partial(open_part, ASVS),
    "conformance-counts": partial(counts_part, CONFORMANCE),
    "conformance-open": partial(open_part, CONFORMANCE),
    "risks": risks_part,
}
