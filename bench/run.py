"""Print the performance table: the service beside its yardsticks, all measured in this one run.

    python bench/run.py           print the table
    python bench/run.py --check   the same, without the latencies; exit 1 when a CPU or memory figure is
                                  beyond its bar by more than the margin of 1.5

Every figure is a ratio of best-of-three values whose rounds were interleaved, since absolute times of a
shared machine say little. docs/performance.md explains the yardsticks.
"""

import argparse
import contextlib
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

from payloads import EXPECTED_CARDS, request_body
from servers import Server, cpu_per_call, paced, post, topics

HERE = Path(__file__).parent
SIZES = (60, 300, 2000, 10000)
ROUNDS = 3
MARGIN = 1.5
# How often each variant is called per round and size; about 0.3 s of CPU each.
CALLS = {60: 100, 300: 30, 2000: 5, 10000: 2}
YARDSTICKS = {"echo": (60, 300, 2000), "models": (60,), "orjson": (10000,)}
SERVER_CALLS = 200
PACE = 50
PACED_SECONDS = 5


@dataclass(frozen=True)
class Figure:
    """One row: what was measured on both sides, and the bars that the ratio must keep."""

    name: str
    service: str
    yardstick: str
    ratio: float
    bar: float
    goal: float
    is_more_better: bool = False
    is_in_check: bool = True

    def keeps(self, bar: float) -> bool:
        """Whether the ratio is on the right side of `bar`."""
        return self.ratio >= bar if self.is_more_better else self.ratio <= bar

    def keeps_with_margin(self) -> bool:
        """Whether the figure would keep its bar if the machine were off by the margin."""
        return self.keeps(self.bar / MARGIN if self.is_more_better else self.bar * MARGIN)


class Worker:
    """A child process that measures one variant on request."""

    def __init__(self, variant: str, folder: Path) -> None:
        command = [sys.executable, str(HERE / "worker.py"), variant, str(folder)]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self._variant = variant

    def __enter__(self) -> Self:
        """Return the worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.communicate()
        self._log.close()

    def ask(self, order: str, size: int, calls: int) -> float:
        """Return the number that the worker answers."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError(self._variant)
        self._process.stdin.write(f"{order} {size} {calls}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            message = f"the worker of {self._variant} ended early:\n{self._log.read()[-2000:]}"
            raise RuntimeError(message)
        return float(line)


def call_costs(folder: Path) -> dict[tuple[str, int], float]:
    """Return CPU seconds per call for each variant and size, best of three interleaved rounds."""
    best: dict[tuple[str, int], float] = {}
    variants = {"service": SIZES, **YARDSTICKS}
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, folder)) for name in variants}
        for _ in range(ROUNDS):
            for size in SIZES:
                for name, sizes in variants.items():
                    if size in sizes:
                        cost = workers[name].ask("cpu", size, CALLS[size])
                        best[name, size] = min(cost, best.get((name, size), math.inf))
    return best


def call_figures(folder: Path) -> Iterator[Figure]:
    """Yield what a call costs in one process, beside echo, bare parsing and models for everything."""
    cost = call_costs(folder)

    def row(name: str, size: int, yardstick: str, bar: float, goal: float) -> Figure:
        ours, theirs = cost["service", size], cost[yardstick, size]
        return Figure(name, _ms(ours), _ms(theirs), ours / theirs, bar, goal)

    yield row("CPU per call, 60 resources, to echo", 60, "echo", 5, 1.0)
    yield row("CPU per call, 300 resources, to echo", 300, "echo", 2, 0.6)
    yield row("CPU per call, 2,000 resources, to echo", 2000, "echo", 0.9, 0.4)
    yield row("CPU per call, 10,000 resources, to bare parsing", 10000, "orjson", 0.9, 0.5)
    small, large = cost["service", 300], cost["service", 10000]
    growth = math.log(large / small) / math.log(10000 / 300)
    yield Figure(
        "growth exponent, 300 to 10,000", _ms(large), _ms(small), growth, 1.05, 0.95, is_in_check=False
    )
    ours, theirs = cost["service", 60], cost["models", 60]
    yield Figure(
        "models for every resource, 60: times our CPU",
        _ms(ours),
        _ms(theirs),
        theirs / ours,
        3,
        12,
        is_more_better=True,
    )


def start_figure(folder: Path) -> Figure:
    """Return the CPU from a new process to the first correct answer, to that of `import flask`."""
    first_answer = [str(HERE / "coldstart.py"), str(folder / "60.json")]
    imports = ["-c", "import flask"]
    ours = theirs = math.inf
    for number in range(ROUNDS + 1):
        costs = (_process_cpu(first_answer), _process_cpu(imports))
        if number:  # the first pair only fills the bytecode cache
            ours, theirs = min(ours, costs[0]), min(theirs, costs[1])
    return Figure(
        "cold start to the first answer, to `import flask`", _ms(ours), _ms(theirs), ours / theirs, 6, 3.5
    )


def _process_cpu(arguments: list[str]) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return float(usage.ru_utime + usage.ru_stime)


def memory_figure(folder: Path) -> Figure:
    """Return the extra memory of the largest call, to the size of its body."""
    size = (folder / "10000.json").stat().st_size
    extra = math.inf
    for _ in range(ROUNDS):
        with Worker("service", folder) as worker:
            worker.ask("cpu", 60, 20)
            extra = min(extra, worker.ask("memory", 10000, 1))
    return Figure("extra memory, 10,000 resources, to the body", _mb(extra), _mb(size), extra / size, 3, 1)


def server_figures(folder: Path, *, is_latency_wanted: bool) -> Iterator[Figure]:
    """Yield what both applications cost on the same server."""
    body = (folder / "60.json").read_bytes()
    with Server("service_app") as service, Server("echo_app") as echo:
        answer = post(service.connect(), body)
        if topics(answer) != EXPECTED_CARDS:
            message = f"expected the cards {EXPECTED_CARDS}, got {topics(answer)}"
            raise RuntimeError(message)
        ours = theirs = math.inf
        for _ in range(ROUNDS):
            ours = min(ours, cpu_per_call(service, body, SERVER_CALLS))
            theirs = min(theirs, cpu_per_call(echo, body, SERVER_CALLS))
        yield Figure(
            "server CPU per call, 60 resources, to echo", _ms(ours), _ms(theirs), ours / theirs, 5, 1.3
        )
        if is_latency_wanted:
            yield _latency(service, echo, body)
        ours, theirs = service.resident_bytes(), echo.resident_bytes()
        yield Figure("worker memory, to an echo worker", _mb(ours), _mb(theirs), ours / theirs, 3, 1.8)


def _latency(service: Server, echo: Server, body: bytes) -> Figure:
    ours = theirs = math.inf
    for _ in range(ROUNDS):
        ours = min(ours, _p99(service, body))
        theirs = min(theirs, _p99(echo, body))
    name = f"p99 at {PACE} calls a second, 60 resources, to echo"
    return Figure(name, _ms(ours), _ms(theirs), ours / theirs, 3, 1.3, is_in_check=False)


def _p99(server: Server, body: bytes) -> float:
    def send(connection: HTTPConnection, _turn: int) -> None:
        post(connection, body)

    found = paced(server, send, per_second=PACE, seconds=PACED_SECONDS)
    if found.errors:
        raise found.errors[0]
    return found.quantile(0.99)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f} MB"


def measure(*, is_latency_wanted: bool) -> list[Figure]:
    """Return every figure, measured now."""
    today = datetime.now(UTC).date()  # noqa: TID251 - the dates of the requests follow the day
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in SIZES:
            (folder / f"{size}.json").write_bytes(request_body(size, today))
        return [
            *call_figures(folder),
            *server_figures(folder, is_latency_wanted=is_latency_wanted),
            start_figure(folder),
            memory_figure(folder),
        ]


def show(figures: list[Figure]) -> None:
    """Print the table."""
    print(f"{'figure':<52}{'service':>12}{'yardstick':>12}{'ratio':>8}{'bar':>9}{'goal':>9}  result")
    for figure in figures:
        sign = ">=" if figure.is_more_better else "<="
        result = "goal" if figure.keeps(figure.goal) else "pass" if figure.keeps(figure.bar) else "FAIL"
        print(
            f"{figure.name:<52}{figure.service:>12}{figure.yardstick:>12}{figure.ratio:>8.2f}"
            f"{sign + format(figure.bar, 'g'):>9}{sign + format(figure.goal, 'g'):>9}  {result}"
        )


def main() -> int:
    """Return 0, or 1 when a checked figure misses its bar by more than the margin."""
    parser = argparse.ArgumentParser(description="Print the performance table.")
    parser.add_argument("--check", action="store_true", help="fail beyond a bar times 1.5 (CPU and memory)")
    is_check = parser.parse_args().check
    figures = measure(is_latency_wanted=not is_check)
    show(figures)
    missed = [figure for figure in figures if figure.is_in_check and not figure.keeps_with_margin()]
    if is_check:
        for figure in missed:
            print(f"beyond its bar by more than {MARGIN}: {figure.name}", file=sys.stderr)
        return 1 if missed else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
