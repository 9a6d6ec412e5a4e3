"""The table of fixture patients by route, collected while the tests run."""

import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "fixture-routes.md"
_HEAD = """\
# Fixture patients by route

Written by `make integration-table` from a whole run on {day}; edits are lost ([how](integration.md)).

A cell says whether the answer was the same as that to the patient's whole prefetch, in brackets for how many
calls: to the byte by the routes of R4, key, weight and heading of each card in the other releases. An empty
cell is no route of that patient.

| route | what the call brings |
|---|---|
| fixture | the sample request's own prefetch, where it has all of our keys; also the hand-written answer |
| prefetch | what our templates bring from the R4 server, with that server named beside it |
| fixture + server | the sample request's own prefetch, and the server for what is missing in it |
| server | no prefetch at all, and an empty one |
| one key less | mixed: the prefetch without one of our keys, each in turn, and the server |
| random part | mixed: four random parts of the prefetch, and the server |
| R5, STU3, DSTU2 prefetch | the same record rewritten in that release, as prefetch |
| R5, STU3, DSTU2 server | no prefetch, and a HAPI server of that release that holds the rewritten record |
"""


@dataclass
class RouteTable:
    """Says for each patient what was answered, and for each route whether it was the same."""

    answers: dict[str, str] = field(default_factory=dict)
    cells: dict[str, dict[str, list[bool]]] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)

    def note(self, name: str, route: str, *, is_same: bool) -> None:
        """Keep the outcome of one call."""
        self.cells.setdefault(name, {}).setdefault(route, []).append(is_same)

    @property
    def routes(self) -> list[str]:
        """The routes that were gone, in their order."""
        return list(dict.fromkeys(route for row in self.cells.values() for route in row))

    def document(self, day: date) -> str:
        """Return the table as a document."""
        return "\n".join([_HEAD.format(day=day), *self.table(), ""])

    def differs(self, text: str) -> bool:
        """Whether a document holds another table; how its cells are filled up does not matter."""
        rows = [_squeezed(line) for line in text.splitlines() if line.startswith("|")]
        return any(_squeezed(line) not in rows for line in self.table())

    def lines(self) -> list[str]:
        """Return table and figures as the run prints them, nothing where nothing was noted."""
        return ["", *self.table(), "", *self.figures] if self.cells else list(self.figures)

    def table(self) -> list[str]:
        """Return the table as Markdown."""
        routes = self.routes
        head = ["patient", "answer", *routes]
        rows = [
            [name, self.answers.get(name, ""), *(_cell(self.cells[name].get(route)) for route in routes)]
            for name in sorted(self.cells)
        ]
        table = [head, ["---"] * len(head), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(head))]
        return [
            f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
            for row in table
        ]


def _squeezed(line: str) -> str:
    return re.sub(r" +", " ", line)


def _cell(outcomes: list[bool] | None) -> str:
    if outcomes is None:
        return ""
    if all(outcomes):
        return "same" if len(outcomes) == 1 else f"same ({len(outcomes)})"
    return f"{outcomes.count(False)} of {len(outcomes)} DIFFER"


ALL_ROUTES = 12
"""How many routes a whole run goes."""

TABLE = RouteTable()
"""The table of this run."""
