"""The mutants are what they claim to be: one small fault each, in code that runs, under a name that lasts."""

import ast
import itertools
from pathlib import Path

import mutate
import pytest
from mutants import Mutant, mutants, mutated

ROOT = Path(__file__).resolve().parents[2]


def bodies(source: str) -> list[str]:
    """Return the body of the function of each mutant, on one line."""
    made = [mutated(source, mutant.number) for mutant in mutants("m.py", source)]
    functions = (tree.body[-1] for tree in made)
    return ["; ".join(map(ast.unparse, function.body)) for function in functions if hasattr(function, "body")]


def in_function(body: str) -> str:
    return f"def f(a, b):\n    {body}\n"


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("return a < b", ["return None", "return a <= b"]),
        ("return a is not b", ["return None", "return a is b"]),
        ("return a not in b", ["return None", "return a in b"]),
        ("return a and b", ["return None", "return a or b"]),
        ("return not a", ["return None", "return a"]),
        ("return a + b", ["return None", "return a - b"]),
        ("return 3", ["return 4"]),
        ("return 'x'", ["return 'xX'"]),
        ("return True", ["return False"]),
        ("f(a)", ["pass"]),
        ("a += b", ["pass"]),
        ("raise ValueError('never read')", ["pass"]),
        ("yield a", ["pass"]),
        ("return a if b == 1 else a", None),
    ],
)
def test_each_kind_of_fault(body: str, changed: list[str] | None) -> None:
    if changed is None:
        changed = [
            "return None",
            "return a if not b == 1 else a",
            "return a if b == 2 else a",
        ]
    assert sorted(bodies(in_function(body))) == sorted(changed)


def test_a_condition_is_turned_round_once() -> None:
    """Equality in a condition is not changed twice to the same effect; an order is moved as well."""
    assert len(bodies(in_function("if a == b: return"))) == 1
    assert sorted(bodies(in_function("if a < b: return"))) == [
        "if a <= b:\n    return",
        "if not a < b:\n    return",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: int | None = None) -> int | None:\n    '''Says so.'''\n",
        "'''Says so.'''\nfrom x import y\n",
        "@dataclass(frozen=True)\nclass A(B):\n    '''Says so.'''\n    a: int\n",
        "if TYPE_CHECKING:\n    N = 1\n",
    ],
)
def test_what_only_declares_is_left_alone(source: str) -> None:
    assert mutants("m.py", source) == []


def test_names_do_not_hang_on_the_line() -> None:
    source = "class A:\n    def f(self) -> int:\n        return 1\n"
    (one,) = mutants("room/m.py", source)
    (other,) = mutants("room/m.py", f"\n\n{source}")
    assert (one.name, one.line, other.line) == ("room/m.py:A.f: 1 -> 2", 3, 5)
    assert other.name == one.name


def test_every_mutant_of_the_core_can_be_made_and_differs() -> None:
    path = ROOT / "cds_service" / "clinical" / "timing.py"
    source = path.read_text(encoding="utf-8")
    plain = ast.dump(ast.parse(source))
    found = mutants("clinical/timing.py", source)
    assert len(found) > 10
    for mutant in found:
        assert ast.dump(mutated(source, mutant.number)) != plain
    with pytest.raises(IndexError):
        mutated(source, len(found))


# ------------------------------------------------------------------------------------------- the runner
def mutant(path: str = "clinical/a.py", after: str = "2") -> Mutant:
    return Mutant(path, 1, "f", "1", after, 0)


def test_every_file_of_tests_is_there() -> None:
    assert all(mutate.files_of(room) for room in mutate.ROOMS)


def test_the_tests_of_the_line_come_first_the_most_specific_before_the_others() -> None:
    run = mutate.Run({("clinical/a.py", 1): frozenset({"broad", "narrow"})}, {"broad": 900, "narrow": 3})
    assert run.tests_for(mutant()) == ["narrow", "broad"]
    assert run.tests_for(mutant("clinical/b.py")) == []


@pytest.mark.parametrize(("survivors", "code"), [(1, 0), (2, 1)])
def test_less_than_nine_in_ten_is_a_failure(
    survivors: int, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [mutant(after=str(number)) for number in range(11)]
    told = tmp_path / "mutation.md"
    told.write_text("".join(f"`{one.name}`" for one in names), encoding="utf-8")
    monkeypatch.setattr(mutate, "DOCUMENT", told)
    states = itertools.chain(["stillborn"], ["survived"] * survivors, itertools.repeat("killed"))
    assert mutate.report(list(zip(names, states, strict=False)), 1, 100) == code


def test_a_survivor_that_nobody_explains_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "mutation.md"
    told.write_text("", encoding="utf-8")
    monkeypatch.setattr(mutate, "DOCUMENT", told)
    names = [mutant(after=str(number)) for number in range(20)]
    states = ["survived", *["killed"] * 19]
    assert mutate.report(list(zip(names, states, strict=True)), 1, 100) == 1
    assert "not explained: clinical/a.py:f: 1 -> 0" in capsys.readouterr().out
