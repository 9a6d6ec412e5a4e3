"""The table of fixture patients by route, collected while the tests run."""

from dataclasses import dataclass, field


@dataclass
class RouteTable:
    """Says for each patient what was answered, and for each route whether it was the same."""

    answers: dict[str, str] = field(default_factory=dict)
    cells: dict[str, dict[str, list[bool]]] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)

    def note(self, name: str, route: str, *, is_same: bool) -> None:
        """Keep the outcome of one call."""
        self.cells.setdefault(name, {}).setdefault(route, []).append(is_same)

    def lines(self) -> list[str]:
        """Return the table as Markdown, nothing where nothing was noted."""
        routes = list(dict.fromkeys(route for row in self.cells.values() for route in row))
        if not routes:
            return list(self.figures)
        head = ["patient", "answer", *routes]
        rows = [
            [name, self.answers.get(name, ""), *(_cell(self.cells[name].get(route)) for route in routes)]
            for name in sorted(self.cells)
        ]
        table = [head, ["---"] * len(head), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(head))]
        return [
            "",
            *(
                f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
                for row in table
            ),
            "",
            *self.figures,
        ]


def _cell(outcomes: list[bool] | None) -> str:
    if outcomes is None:
        return ""
    if all(outcomes):
        return "same" if len(outcomes) == 1 else f"same ({len(outcomes)})"
    return f"{outcomes.count(False)} of {len(outcomes)} DIFFER"


TABLE = RouteTable()
"""The table of this run."""
