"""The coverage of facts and factors: which fact stands where, how it is detected, which test proves it.

docs/coverage.toml holds the facts; the states of the factors come from the scenario files. `scripts/docs.py`
writes both as tables and fails on what is missing.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import proofs
import yaml

from cds_service.knowledge import Knowledge
from cds_service.knowledge.basis import basis_of

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("id", "text", "judged", "knowledge", "tests")
STATES = ("present", "absent", "unknown")
# What is shown and never denied, and what no record shows.
NEVER_DENIED = frozenset({"genes", "rls.severity"})
MECHANISM = "mechanism."

Fact = Mapping[str, Any]


def facts(path: Path = ROOT / "docs" / "coverage.toml") -> list[Fact]:
    """Return the facts in the order of the file."""
    listed: list[Fact] = tomllib.loads(path.read_text(encoding="utf-8"))["fact"]
    return listed


@cache
def cases() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Return what each scenario case expects: the factors in each state."""
    found: dict[str, Mapping[str, frozenset[str]]] = {}
    for path in sorted((ROOT / "tests" / "scenarios").glob("*/*.yaml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            expect = entry["expect"]
            found[str(entry["case"])] = {
                "present": frozenset(expect.get("factors", ())),
                "absent": frozenset(expect.get("absent", ())),
                "unknown": frozenset(expect.get("unknown", ())),
            }
    return found


def knowledge_ids(knowledge: Knowledge) -> frozenset[str]:
    """Return every id that a fact may name."""
    tables: Sequence[Mapping[str, object]] = (
        knowledge.factors,
        knowledge.rules,
        knowledge.thresholds,
        knowledge.drug_classes,
        knowledge.citations,
        basis_of(knowledge).statements,
    )
    return frozenset().union(*tables)


def detection(knowledge: Knowledge, fact: Fact) -> str:
    """Return how a record shows a fact: in its own words, else as its factors; "" for neither."""
    factors = (knowledge.factors[i].detected for i in fact.get("knowledge", ()) if i in knowledge.factors)
    return fact.get("how") or "; ".join(dict.fromkeys(factors))


def problems(knowledge: Knowledge, listed: Sequence[Fact]) -> Iterator[str]:
    """Yield what is missing or names something that does not exist."""
    known = knowledge_ids(knowledge)
    seen: set[str] = set()
    for fact in listed:
        name = str(fact.get("id", "a fact without an id"))
        yield from (f"{name}: has no {part}" for part in PARTS if not fact.get(part))
        if not detection(knowledge, fact):
            yield f"{name}: has no how"
        if name in seen:
            yield f"{name}: stands twice"
        seen.add(name)
        yield from (f"{name}: no such knowledge: {i}" for i in fact.get("knowledge", ()) if i not in known)
        yield from (f"{name}: no such test: {t}" for t in fact.get("tests", ()) if not proofs.is_proof(t))
    covered = {i for fact in listed for i in fact.get("knowledge", ())}
    yield from (f"{factor}: stands in no fact" for factor in knowledge.factors if factor not in covered)
    for factor in knowledge.factors:
        yield from (f"{factor}: no scenario shows it {state}" for state in _missing_states(factor))


def _missing_states(factor: str) -> Iterator[str]:
    wanted = ("unknown",) if factor.startswith(MECHANISM) else STATES
    for state in wanted:
        if not cases_of(factor, state) and not (state == "absent" and factor in NEVER_DENIED):
            yield state


def cases_of(factor: str, state: str) -> list[str]:
    """Return the scenario cases that expect a factor in a state."""
    return [case for case, expected in cases().items() if factor in expected[state]]


def fact_rows(knowledge: Knowledge) -> Iterator[Sequence[str]]:
    """Yield a row for each fact."""
    for fact in facts():
        named = ", ".join(f"`{i}`" + _mark(knowledge, i) for i in fact["knowledge"])
        yield (
            f"`{fact['id']}`",
            fact["text"],
            fact["judged"],
            named,
            detection(knowledge, fact),
            ", ".join(fact["tests"]),
        )


def _mark(knowledge: Knowledge, knowledge_id: str) -> str:
    """Return how far an entry was checked, "" for a citation, which has no mark of its own."""
    statements = basis_of(knowledge).statements
    for table in (
        knowledge.factors,
        knowledge.rules,
        knowledge.thresholds,
        knowledge.drug_classes,
        statements,
    ):
        if knowledge_id in table:
            return f" ({table[knowledge_id].check.value})"
    return ""


def factor_rows(knowledge: Knowledge) -> Iterator[Sequence[str]]:
    """Yield a row for each factor: what to do, how and how far back it is found, sources, scenarios."""
    for factor in knowledge.factors.values():
        windows = (knowledge.thresholds[i] for i in factor.look_backs)
        shown = [", ".join(cases_of(factor.id, state)[:3]) for state in STATES]
        sources = ", ".join(factor.citations) or "no source read"
        note = ", awaiting clinical review" if factor.awaits_review else ""
        yield (
            f"`{factor.id}`",
            factor.action,
            factor.detected,
            ", ".join(f"{w.value} {w.unit}" for w in windows),
            f"{sources} ({factor.check.value}{note})",
            *shown,
        )
