"""Tables of the generated parts of documents."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with an empty line before and after it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + "\n"


def shortened(names: Iterable[str]) -> str:
    """Return names of tests for a cell, without their folder: the data holds it, and tables stay narrow."""
    return ", ".join(f"`{name.rpartition('/')[2]}`" for name in names)
