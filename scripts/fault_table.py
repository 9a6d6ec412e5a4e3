"""The table of faults: what may go wrong around the service, what then holds, and the test that shows it.

docs/faults.toml holds it; `scripts/docs.py` writes it as a document and fails on a gap.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import proofs
from tables import shortened, table

ROOT = Path(__file__).resolve().parent.parent
FILE = "docs/faults.toml"
FOLDER = "tests/faults"
WORDS = ("group", "fault", "answer", "limit", "promise")

Fault = Mapping[str, Any]


def rows() -> Sequence[Fault]:
    """Return the table of faults."""
    found: list[Fault] = tomllib.loads((ROOT / FILE).read_text(encoding="utf-8"))["fault"]
    return found


def gaps() -> Iterator[str]:
    """Yield every gap of the project's own table."""
    yield from (f"{FILE}: {gap}" for gap in problems(rows()))
    named = {test for row in rows() for test in row["tests"]}
    for path in sorted((ROOT / FOLDER).glob("test_*.py")):
        tests = (f"{FOLDER}/{path.name}::{name}" for name in sorted(proofs.functions(path)))
        yield from (f"{FILE}: no row names {test}" for test in tests if test not in named)


def problems(found: Sequence[Fault]) -> Iterator[str]:
    """Yield every gap of a table of faults."""
    seen = Counter((row.get("group"), row.get("fault")) for row in found)
    yield from (f"{fault}: stands {count} times" for (_, fault), count in seen.items() if count > 1)
    for row in found:
        name = row.get("fault", "a fault")
        yield from (f"{name}: has no {part}" for part in WORDS if not str(row.get(part, "")).strip())
        tests = row.get("tests", ())
        if not tests:
            yield f"{name}: no test shows it"
        yield from (f"{name}: no such test: {test}" for test in tests if not proofs.is_proof(test))


def faults_part() -> str:
    """Return a table for each group of faults."""
    found = rows()
    groups = dict.fromkeys(row["group"] for row in found)
    return "".join(f"\n## {group}\n{_table([r for r in found if r['group'] == group])}" for group in groups)


def _table(found: Sequence[Fault]) -> str:
    return (
        table(
            ("fault", "answer meanwhile", "within", "what is promised", "shown by"),
            (
                (row["fault"], row["answer"], row["limit"], row["promise"], shortened(row["tests"]))
                for row in found
            ),
        ).rstrip("\n")
        + "\n"
    )


PARTS: Mapping[str, Callable[[], str]] = {"faults": faults_part}
