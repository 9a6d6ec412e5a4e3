"""The table of rules of reading and of clients' ways, with the tests that show each line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.messy.cases import Case

FILE = Path(__file__).parent / "lines.yaml"
KINDS = ("reading", "clients")


@dataclass(frozen=True)
class Line:
    """One line: what holds, and the tests (`file::function` or `scenario NUMBER`) and cases that show it."""

    id: str
    what: str
    tests: tuple[str, ...]
    cases: tuple[str, ...]


def load_lines(cases: Sequence[Case]) -> Mapping[str, tuple[Line, ...]]:
    """Return the lines of both tables, in the order of the file."""
    table = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {
        kind: tuple(
            Line(
                id=row["id"],
                what=row["what"],
                tests=tuple(row["tests"]),
                cases=tuple(case.id for case in cases if row["id"] in case.lines),
            )
            for row in table[kind]
        )
        for kind in KINDS
    }
