"""Measure the tests: change the code a little, a sample at a time, and see whether a test fails.

    python scripts/mutate.py --sample 400 --seed 20261122 --minutes 60
    python scripts/mutate.py --only survivors.txt    the mutants of these names alone, one a line

A sample is drawn from all mutants (scripts/mutants.py) of the pure core. Each is run in a process of its own,
forked from one that holds the libraries but nothing of the package, against the tests that run the line and
then the other tests of its room, until one fails. Survivors must be explained in docs/mutation.md.

Exit code 1: fewer than 90 % were killed, or a survivor is not explained.
"""

import argparse
import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from coverage import CoverageData
from mutants import Mutant, mutants, mutated

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "cds_service"
ROOMS = ("clinical", "knowledge", "protocol")
DOCUMENT = ROOT / "docs" / "mutation.md"
BAR = 0.9
# Fast tests that read the core through its own doors; those of servers, commands and pages are left out.
TESTS = {
    "clinical": (
        "tests/scenarios",
        "tests/unit/test_card_numbers.py",
        "tests/unit/test_card_safety.py",
        "tests/unit/test_clinical_*.py",
        "tests/unit/test_explain.py",
        "tests/unit/test_policy.py",
        "tests/property/test_properties.py",
    ),
    "knowledge": (
        "tests/unit/test_policy.py",
        "tests/unit/test_completion_codes.py",
        "tests/unit/test_knowledge_*.py",
        "tests/unit/test_code_map_*.py",
        "tests/unit/test_fhir_medicines*.py",
        "tests/unit/test_fhir_conditions.py",
        "tests/unit/test_snomed_off.py",
        "tests/unit/test_icd10_codes.py",
        "tests/messy",
        "tests/property/test_code_map.py",
        "tests/scenarios/test_answers.py",
    ),
    "protocol": (
        "tests/unit/test_protocol_*.py",
        "tests/http/test_call.py",
        "tests/http/test_discovery.py",
        "tests/http/test_feedback.py",
    ),
}
# Loaded before the forks, so that each of them finds the libraries there.
LIBRARIES = (
    "fhir.resources.R4B",
    "flask",
    "hypothesis",
    "jinja2",
    "msgspec",
    "pydantic",
    "pytest",
    "requests",
    "yaml",
)
STILLBORN, BROKEN = 70, 71
# All tests of a room take less than a minute of the processor; what takes this long is a loop.
CPU_SECONDS, WALL_SECONDS = 240, 3600
UNCHANGED = -1


@dataclass(frozen=True)
class Run:
    """What the tests do when nothing is changed: who runs a line, and how many lines each of them runs."""

    by_line: Mapping[tuple[str, int], frozenset[str]]
    lines_of: Mapping[str, int]

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Return the tests that run the line, the most specific first."""
        found = self.by_line.get((mutant.path, mutant.line), frozenset())
        return sorted(found, key=lambda test: (self.lines_of[test], test))


@dataclass
class Wanted:
    """A pytest plugin: keeps the tests that were chosen, in that order, and then those of the room."""

    chosen: Sequence[str]
    files: frozenset[str]
    order: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Number the chosen tests."""
        self.order = {name: number for number, name in enumerate(self.chosen)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Sort the tests that were collected and drop the others."""
        kept = [i for i in items if i.nodeid in self.order or i.nodeid.partition("::")[0] in self.files]
        items[:] = sorted(kept, key=lambda item: self.order.get(item.nodeid, len(self.order)))


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads the mutant in place of the module."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - as the base class names it
        return self._code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutant under the name of its module."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, str(path), code

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        loader = _Loader(fullname, self._path, self._code)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


def files_of(room: str) -> list[str]:
    """Return the files of tests of a room."""
    found: set[Path] = set()
    for pattern in TESTS[room]:
        matched = list(ROOT.glob(pattern))
        if not matched:
            raise FileNotFoundError(pattern)
        for path in matched:
            found.update(path.rglob("test_*.py") if path.is_dir() else [path])
    return sorted(str(path.relative_to(ROOT)) for path in found)


def all_mutants() -> list[Mutant]:
    """Return every mutant of the core, in a fixed order."""
    sources = [path for room in ROOMS for path in sorted((ROOT / PACKAGE / room).glob("*.py"))]
    return [
        mutant
        for path in sources
        for mutant in mutants(str(path.relative_to(ROOT / PACKAGE)), path.read_text(encoding="utf-8"))
    ]


def observe(data: Path, sample: Iterable[Mutant]) -> Run:
    """Return which test runs the lines of the sample: run them as they are, unless `data` has it already."""
    if not data.exists():
        files = sorted({file for room in ROOMS for file in files_of(room)})
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"),
                *("--cov", "--cov-context=test", "--cov-report=", *files),
            ],
            cwd=ROOT,
            env={**os.environ, "COVERAGE_FILE": str(data), "PYTHONPATH": str(ROOT)},
            stdout=sys.stderr,
            check=True,
        )
    return read_run(data, {(mutant.path, mutant.line) for mutant in sample})


def read_run(data: Path, wanted: Collection[tuple[str, int]]) -> Run:
    """Return what coverage wrote down of a run; of the lines only those wanted, since all fill gigabytes."""
    found = CoverageData(str(data))
    found.read()
    by_line: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    lines_of: Counter[str] = Counter()
    for file in found.measured_files():
        path = Path(file).relative_to(ROOT / PACKAGE)
        for line, contexts in found.contexts_by_lineno(file).items():
            tests = {context.rpartition("|")[0] for context in contexts if "|" in context}
            if (str(path), line) in wanted:
                by_line[str(path), line] |= tests
            lines_of.update(tests)
    return Run({place: frozenset(tests) for place, tests in by_line.items()}, lines_of)


@dataclass(frozen=True)
class Trial:
    """A mutant that is being tried in a process of its own."""

    mutant: Mutant
    process: int
    log: Path
    deadline: float

    def state(self) -> str | None:
        """Return what became of the mutant, None while that is open."""
        ended, status = os.waitpid(self.process, os.WNOHANG)
        if ended:
            return _told(os.waitstatus_to_exitcode(status), self.log)
        if time.monotonic() < self.deadline:
            return None
        os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        return "timeout"


def begin(mutant: Mutant, run: Run, log: Path) -> Trial:
    """Return the trial of a mutant, begun."""
    process = os.fork()
    if not process:
        code = BROKEN
        try:
            code = _in_child(mutant, run.tests_for(mutant), log)
        finally:
            # Nothing of the parent may be unwound here.
            os._exit(code)
    return Trial(mutant, process, log, time.monotonic() + WALL_SECONDS)


def _told(code: int, log: Path) -> str:
    if code == STILLBORN:
        return "stillborn"
    if code == 0:
        return "survived"
    if code == -signal.SIGXCPU:
        return "timeout"
    if code in {1, 2, 4}:  # a test failed, or one of their files or of the conftests could not be imported
        return "killed"
    raise RuntimeError(f"the tests ended with {code}: {log.read_text(encoding='utf-8')[-2000:]}")


def _in_child(mutant: Mutant, chosen: Sequence[str], log: Path) -> int:
    """Return pytest's exit code for one mutant; runs in a process of its own."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    with log.open("w", encoding="utf-8") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    try:
        _plant(mutant)
    except Exception:  # noqa: BLE001 - whatever an import of changed code raises
        return STILLBORN
    import pytest  # noqa: PLC0415 - loaded before the fork

    own = files_of(mutant.path.split("/")[0])
    # A test of another room that runs the line is one of the chosen.
    files = sorted({*own, *(name.partition("::")[0] for name in chosen)})
    options = [
        *("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:cov", "--no-header", "--tb=line"),
        *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis was loaded before the fork
    ]
    return int(pytest.main([*options, *files], plugins=[Wanted(chosen, frozenset(own))]))


def _plant(mutant: Mutant) -> None:
    """Put the mutant in place of its module and import it."""
    path = ROOT / PACKAGE / mutant.path
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source) if mutant.number == UNCHANGED else mutated(source, mutant.number)
    parts = [PACKAGE, *Path(mutant.path).with_suffix("").parts]
    name = ".".join(part for part in parts if part != "__init__")
    sys.meta_path.insert(0, _Finder(name, path, compile(tree, str(path), "exec")))
    importlib.import_module(name)


def examine(sample: Sequence[Mutant], run: Run, *, jobs: int, until: float) -> Iterator[tuple[Mutant, str]]:
    """Yield mutants with what became of them, `jobs` at a time; none is begun when the time is up."""
    waiting = iter(enumerate(sample))
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        while True:
            while len(trials) < jobs and time.monotonic() < until and (pair := next(waiting, None)):
                trials.append(begin(pair[1], run, Path(folder) / f"{pair[0]}.log"))
            if not trials:
                return
            time.sleep(0.05)
            for trial in list(trials):
                state = trial.state()
                if state is not None:
                    trials.remove(trial)
                    print(f"{state:<10}{trial.mutant.name}", file=sys.stderr, flush=True)
                    yield trial.mutant, state


def check_unchanged(run: Run) -> None:
    """Raise unless a module that is not changed survives: else the trials would prove nothing."""
    for room in ROOMS:
        unchanged = Mutant(f"{room}/__init__.py", 1, "module", "", "", UNCHANGED)
        for _, state in examine([unchanged], run, jobs=1, until=math.inf):
            if state != "survived":
                raise RuntimeError(f"{room}: the tests fail though nothing was changed")


def report(results: Sequence[tuple[Mutant, str]], seed: int, total: int) -> int:
    """Print the score and the survivors; return 1 where a bar is missed."""
    counts = Counter(state for _, state in results)
    alive = [mutant for mutant, state in results if state == "survived"]
    counted = len(results) - counts["stillborn"]
    score = (counted - len(alive)) / counted
    told = DOCUMENT.read_text(encoding="utf-8")
    unexplained = [mutant for mutant in alive if f"`{mutant.name}`" not in told]
    for mutant in alive:
        print(f"survived{', not explained' if mutant in unexplained else ''}: {mutant.name} ({mutant.line})")
    for room in ROOMS:
        states = [s for mutant, s in results if mutant.path.startswith(room) and s != "stillborn"]
        print(f"{room}: {sum(state != 'survived' for state in states)} of {len(states)} killed")
    print(
        f"{counted} of {total} mutants, seed {seed}: {counted - len(alive)} killed "
        f"({counts['timeout']} of them by time), {len(alive)} survived, {len(unexplained)} not explained; "
        f"{counts['stillborn']} could not be imported and do not count; score {score:.1%}"
    )
    return 1 if score < BAR or unexplained else 0


def main() -> int:
    """Return 0, or 1 where too many survived or one is not explained."""
    parser = argparse.ArgumentParser(description="Measure the tests with a sample of mutants.")
    parser.add_argument("--sample", type=int, default=600)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--minutes", type=float, default=60, help="no mutant is begun later than this")
    parser.add_argument("--only", type=Path, help="a file of names, one a line; others are left out")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--data", type=Path, help="coverage of an earlier run of these tests, or where to keep it"
    )
    chosen = parser.parse_args()
    until = time.monotonic() + chosen.minutes * 60
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    everything = all_mutants()
    sample = random.Random(chosen.seed).sample(everything, min(chosen.sample, len(everything)))  # noqa: S311 - a repeatable sample
    if chosen.only is not None:
        names = set(chosen.only.read_text(encoding="utf-8").splitlines())
        sample = [mutant for mutant in everything if mutant.name in names]
    with tempfile.TemporaryDirectory() as folder:
        run = observe(chosen.data or Path(folder) / "coverage", sample)
    for name in LIBRARIES:
        importlib.import_module(name)
    # What exists now is never collected: the forks would copy it all only to look at it.
    gc.collect()
    gc.freeze()
    check_unchanged(run)
    results = list(examine(sample, run, jobs=chosen.jobs, until=until))
    return report(results, chosen.seed, len(everything))


if __name__ == "__main__":
    sys.exit(main())
