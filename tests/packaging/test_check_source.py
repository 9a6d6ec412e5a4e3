"""The house rules find what they are there for."""

import ast
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Breaches = Iterator[tuple[int, str]]
RULES = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "check_source.py"))
comment_breaches: Callable[..., Breaches] = RULES["comment_breaches"]
effect_breaches: Callable[[ast.Module], Breaches] = RULES["effect_breaches"]
size_breaches: Callable[[ast.Module, int], Breaches] = RULES["size_breaches"]

HASH = "#"  # written apart, or the samples below would be found in this file


@pytest.mark.parametrize(
    "comment",
    [
        f"{HASH} type: ignore",
        f"{HASH} type: ignore[attr-defined]",
        f"{HASH} noqa",
        f"{HASH} noqa: S101",
        f"{HASH} pragma: no cover",
        f"{HASH} pragma: no branch",
        f"{HASH} TO" + "DO later",
    ],
)
def test_a_comment_that_silences_a_check_without_a_reason_is_found(comment: str) -> None:
    assert list(comment_breaches(f"x = 1  {comment}\n", is_package=True))


@pytest.mark.parametrize(
    "comment",
    [
        f"{HASH} type: ignore[attr-defined]  {HASH} the stub is older than the library",
        f"{HASH} noqa: S101 - a reason",
        f"{HASH} noqa: S101, PLR2004 - a reason",
        f"{HASH} the order of entries never matters",
    ],
)
def test_a_comment_with_a_reason_is_fine(comment: str) -> None:
    assert list(comment_breaches(f"x = 1  {comment}\n", is_package=True)) == []


def test_a_function_of_more_than_sixty_lines_is_found() -> None:
    long = "def f():\n" + "    x = 1\n" * 60
    assert list(size_breaches(ast.parse(long), 61)) == [(1, "f has 61 lines")]
    assert list(size_breaches(ast.parse("def f():\n" + "    x = 1\n" * 59), 60)) == []


def test_a_module_of_more_than_450_lines_is_found() -> None:
    assert [line for line, _ in size_breaches(ast.parse(""), 451)] == [1]


@pytest.mark.parametrize("call", ["open('x')", "print(1)", "path.read_text()", "eval('1')"])
def test_a_side_effect_in_a_pure_room_is_found(call: str) -> None:
    assert list(effect_breaches(ast.parse(call)))
