"""Compares the service with its CQL twin: `make crosscheck`.

Every worked case of patient-view and a number of made-up patients go through both. What differs is printed
with the number of the patient, and ends the run with exit code 1; so does a card or a side of a threshold
that too few patients reached.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crosscheck import generator, service, worked
from tests.crosscheck.charts import Json, chart_of
from tests.crosscheck.probes import THRESHOLDS

HERE = Path(__file__).parent
LEAST = 50
"""How many patients must reach each card and each side of each threshold."""
CARDS = (
    *(f"IRON-{number:02d}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 16)),
    "IRON-12b",
    "GATE-01",
    "DRUG-01",
    "DA-01",
    "SCREEN-01",
    "DATA-01",
)
"""Every card of patient-view."""


@dataclass(frozen=True)
class Question:
    """One record for both sides, and the answer where it was written by hand."""

    name: str
    request: Json
    is_screening_on: bool
    expected: list[str] | None = None
    threshold: str | None = None
    side: str | None = None


def questions(seed: int, total: int) -> Iterator[Question]:
    """Yield the worked cases, then the made-up patients."""
    for case in worked.cases():
        yield Question(f"worked case {case.number}", case.request, case.is_screening_on, case.expected)
    for made in generator.patients(seed, total):
        yield Question(
            f"seed {seed} patient {made.number}",
            made.request,
            made.is_screening_on,
            None,
            made.threshold,
            made.side,
        )


def start_twins(
    charts: Sequence[Json], folder: Path, processes: int
) -> list[tuple[subprocess.Popen[bytes], Path]]:
    """Start the twin on equal parts of the charts; each process writes its answers to its own file."""
    started = []
    for part in range(processes):
        asked, told = folder / f"charts-{part}.ndjson", folder / f"answers-{part}.ndjson"
        asked.write_text(
            "".join(f"{json.dumps(chart)}\n" for chart in charts[part::processes]), encoding="utf-8"
        )
        command = ["node", "--max-semi-space-size=64", str(HERE / "twin.mjs"), str(asked), str(told)]
        environment = os.environ | {"TZ": "UTC"}
        # The translator tells of its start on standard output.
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        started.append((process, told))
    return started


def twin_answers(started: Iterable[tuple[subprocess.Popen[bytes], Path]]) -> dict[str, list[str]]:
    """Return the twin's answers by question; raises where a process failed."""
    answers = {}
    for process, told in started:
        if process.wait():
            raise SystemExit("the twin stopped; see the message above")
        for line in told.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            answers[said["id"]] = said.get("answer", [f"error: {said.get('error')}"])
    return answers


def disagreements(
    asked: Sequence[Question], service_says: dict[str, list[str]], twin_says: dict[str, list[str]]
) -> list[str]:
    """Return a line for each record that was not answered alike, or not as written by hand."""
    lines = []
    for question in asked:
        ours, theirs = sorted(service_says[question.name]), sorted(twin_says[question.name])
        wanted = ours if question.expected is None else sorted(question.expected)
        if not ours == theirs == wanted:
            place = f" ({question.threshold}: {question.side})" if question.threshold else ""
            written = "" if question.expected is None else f", written {wanted}"
            lines.append(f"{question.name}{place}: service {ours}, twin {theirs}{written}")
    return lines


def card_counts(twin_says: dict[str, list[str]], asked: Iterable[Question]) -> Counter[str]:
    """Return how many made-up patients got each card."""
    made = (question.name for question in asked if question.expected is None)
    return Counter(item.split(":")[0] for name in made for item in twin_says[name])


def threshold_counts(
    asked: Iterable[Question], twin_says: dict[str, list[str]]
) -> dict[str, tuple[int, int, int]]:
    """Return for each threshold: patients before it, beyond it, and pairs that are answered differently."""
    by_name: dict[str, dict[str, list[list[str]]]] = defaultdict(lambda: defaultdict(list))
    for question in asked:
        if question.threshold and question.side:
            by_name[question.threshold][question.side].append(sorted(twin_says[question.name]))
    counts = {}
    for limit in THRESHOLDS:
        before, beyond = by_name[limit.name][limit.before], by_name[limit.name][limit.beyond]
        apart = sum(one != other for one, other in zip(before, beyond, strict=True))
        counts[limit.name] = (len(before), len(beyond), apart)
    return counts


def report_counts(cards: Counter[str], limits: dict[str, tuple[int, int, int]]) -> list[str]:
    """Print the counts; return what fell short."""
    print("\ncard       patients")
    for key in CARDS:
        print(f"{key:<10} {cards[key]:>8}")
    width = max(len(name) for name in limits)
    print(f"\n{'threshold':<{width}} {'before':>7} {'beyond':>7} {'apart':>6}")
    for name, counts in limits.items():
        print(f"{name:<{width}} {counts[0]:>7} {counts[1]:>7} {counts[2]:>6}")
    short = [f"{key}: {cards[key]} patients" for key in CARDS if cards[key] < LEAST]
    unknown = [
        f"{key}: not a card of patient-view" for key in cards if key not in CARDS and "HTTP" not in key
    ]
    return short + unknown + [f"{name}: {counts}" for name, counts in limits.items() if min(counts) < LEAST]


def main() -> None:
    """Run the comparison and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="a quick look: only one of so many pairs")
    chosen = parser.parse_args()
    asked = list(questions(chosen.seed, chosen.patients))
    if chosen.every > 1:
        asked = [one for place, one in enumerate(asked) if place // 2 % chosen.every == 0]
    with tempfile.TemporaryDirectory() as folder:
        charts = [chart_of(one.name, one.request, is_screening_on=one.is_screening_on) for one in asked]
        started = start_twins(charts, Path(folder), chosen.processes)
        service_says = {
            one.name: service.answer(one.request, is_screening_on=one.is_screening_on) for one in asked
        }
        twin_says = twin_answers(started)
    differing = disagreements(asked, service_says, twin_says)
    short = report_counts(card_counts(twin_says, asked), threshold_counts(asked, twin_says))
    print(f"\nleft out of the worked cases: {', '.join(f'{k} ({v})' for k, v in worked.LEFT_OUT.items())}")
    for line in differing:
        print(f"DISAGREEMENT {line}")
    for line in short:
        print(f"TOO FEW {line}")
    hand_written = sum(one.expected is not None for one in asked)
    print(
        f"\ncrosscheck: {hand_written} worked cases, {len(asked) - hand_written} patients "
        f"of seed {chosen.seed}: {len(differing)} disagreements, {len(short)} counts below {LEAST}",
    )
    sys.exit(1 if differing or short else 0)


if __name__ == "__main__":
    main()
