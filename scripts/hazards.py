"""The hazard log: each hazard with its causes, effect, controls and the tests that prove them.

docs/safety/hazards.toml holds it; `scripts/docs.py` writes it as a document and fails on a gap.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import proofs
from tables import shortened, table

ROOT = Path(__file__).resolve().parent.parent
FILE = "docs/safety/hazards.toml"
UNRATED = "awaits a clinician's rating"
GRADES = range(1, 6)
FEWEST = 20
WORDS = ("hazard", "cause", "effect", "owner", "status")
RATINGS = ("severity", "likelihood", "residual_severity", "residual_likelihood")

Hazard = Mapping[str, Any]
Log = Mapping[str, Any]


def log() -> Log:
    """Return the hazard log: scales, threshold and hazards."""
    return tomllib.loads((ROOT / FILE).read_text(encoding="utf-8"))


def gaps() -> Iterator[str]:
    """Yield every gap of the project's own log."""
    yield from (f"{FILE}: {gap}" for gap in problems(log()))


def problems(told: Log) -> Iterator[str]:
    """Yield every gap of a hazard log."""
    hazards = told["hazard"]
    wanted = [f"H-{number:02}" for number in range(1, max(FEWEST, len(hazards)) + 1)]
    ids = [str(hazard.get("id", "")) for hazard in hazards]
    if ids != wanted:
        yield f"the ids must run from {wanted[0]} to {wanted[-1]} in order, once each"
    for scale in ("severity", "likelihood"):
        if [grade["grade"] for grade in told[scale]] != list(GRADES):
            yield f"{scale}: the grades must be 1 to 5"
    for hazard in hazards:
        yield from (f"{hazard.get('id', 'a hazard')}: {gap}" for gap in _gaps(hazard, told))


def _gaps(hazard: Hazard, told: Log) -> Iterator[str]:
    yield from (f"has no {part}" for part in WORDS if not str(hazard.get(part, "")).strip())
    if hazard.get("owner") not in told["owners"]:
        yield f"no such role: {hazard.get('owner')}"
    if hazard.get("status") != UNRATED:
        yield f"the status is {UNRATED!r} until a clinician has rated it"
    yield from _control_gaps(hazard.get("controls", ()))
    if any(hazard.get(name) not in GRADES for name in RATINGS):
        yield "severity and likelihood are grades from 1 to 5, before and after"
        return
    before, after = risks(hazard)
    if after > before:
        yield "the controls make it worse"
    if after > told["threshold"]:
        yield f"residual risk {after} is above {told['threshold']}"


def _control_gaps(controls: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not controls:
        yield "has no control"
    for control in controls:
        name = control.get("control", "")
        if not name:
            yield "a control without words"
        if not control.get("tests"):
            yield f"no test proves: {name}"
        yield from (f"no such test: {test}" for test in control.get("tests", ()) if not proofs.is_proof(test))


def risks(hazard: Hazard) -> tuple[int, int]:
    """Return severity times likelihood, without and with the controls."""
    return (
        hazard["severity"] * hazard["likelihood"],
        hazard["residual_severity"] * hazard["residual_likelihood"],
    )


def scale_part() -> str:
    """Return the two scales and the matrix of their products."""
    told = log()
    parts = []
    for scale in ("severity", "likelihood"):
        rows = [(str(grade["grade"]), grade["name"], grade["means"]) for grade in told[scale]]
        parts.append(table((scale, "name", "means"), rows))
    head = ("severity \\ likelihood", *map(str, GRADES))
    products = [(str(s), *(_cell(s * li, told["threshold"]) for li in GRADES)) for s in reversed(GRADES)]
    return "".join([*parts, table(head, products)])


def _cell(risk: int, threshold: int) -> str:
    return f"**{risk}**" if risk > threshold else str(risk)


def hazards_part() -> str:
    """Return the log as one table of all hazards, and a section for each."""
    hazards = log()["hazard"]
    head = ("hazard", "in words", "before", "after", "owner", "status")
    rows = [
        (f"[{h['id']}](#{h['id'].lower()})", h["hazard"], *map(str, risks(h)), h["owner"], h["status"])
        for h in hazards
    ]
    return table(head, rows) + "".join(map(_section, hazards))


def _section(hazard: Hazard) -> str:
    rows = [(control["control"], shortened(control["tests"])) for control in hazard["controls"]]
    before, after = risks(hazard)
    return "\n".join(
        [
            f"### {hazard['id']}\n",
            f"**{hazard['hazard']}.** {hazard['cause']}\n",
            f"*Effect:* {hazard['effect']}\n",
            (
                f"*Risk:* severity {hazard['severity']} x likelihood {hazard['likelihood']} = {before}; "
                f"with the controls {hazard['residual_severity']} x {hazard['residual_likelihood']} "
                f"= {after}; {hazard['status']}."
            ),
            table(("control", "proved by"), rows),
        ],
    )


PARTS: Mapping[str, Callable[[], str]] = {"hazards": hazards_part, "hazard-scales": scale_part}
