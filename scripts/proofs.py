"""Names of tests in documents: `tests/unit/test_x.py::test_y`, or the number of a scenario case.

One place for every table that names the test behind a claim. Only the sources are read, so that it costs no
time; a test that `make test` does not run, or may skip, proves nothing.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests"
# Run by targets of their own, since they need Java, a browser, Node or a database server.
_APART = ("browser", "crosscheck", "integration", "postgresql")
_MAY_NOT_RUN = frozenset({"skip", "skipif", "xfail"})


def is_proof(name: str) -> bool:
    """Whether `make test` runs a test of this name; of a case with parts (`14a`) `14` names them all."""
    file, separator, function = name.removeprefix("scenario ").partition("::")
    if not separator:
        return file in cases() or any(f"{file}{letter}" in cases() for letter in "abcd")
    parts = file.split("/")
    if parts[0] != TESTS or parts[1] in _APART or ".." in parts:
        return False
    path = ROOT / file
    return path.is_file() and function in functions(path)


@cache
def cases() -> frozenset[str]:
    """Return the numbers of all scenario cases."""
    files = (ROOT / TESTS / "scenarios").glob("*/*.yaml")
    entries = (entry for path in files for entry in yaml.safe_load(path.read_text(encoding="utf-8")))
    return frozenset(str(entry["case"]) for entry in entries)


@cache
def functions(path: Path) -> frozenset[str]:
    """Return the names of the tests in a file, those of classes with the class in front."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set(_tests(tree))
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        names |= {f"{owner.name}::{name}" for name in _tests(owner)}
    return frozenset(names)


def _tests(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return (n.name for n in found if n.name.startswith("test_") and not _MAY_NOT_RUN & set(_marks(n)))


def _marks(node: ast.FunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Attribute):
            yield called.attr
