"""Every messy case gives the facts and the cards that its file expects, over HTTP and in the use case."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from cds_service.assess import Answer, RequiredDataMissing
from cds_service.clinical.facts import Facts, Presence, Result
from tests.harness import service_in
from tests.messy.cases import Case, load_cases

CASES = load_cases()
CASE = pytest.mark.parametrize("case", CASES, ids=str)
LEAST = 25
REAL_ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(?:issues|pull)/[0-9]+\Z")


def answer(case: Case) -> Answer:
    try:
        return service_in("UTC").view(case.body)
    except RequiredDataMissing as missing:
        return missing.answer


def test_many_problems_were_reported_and_each_only_once() -> None:
    sources = [source for case in CASES for source in case.sources]
    assert len(set(sources)) == len(sources)
    assert len(CASES) >= LEAST
    assert [source for source in sources if not REAL_ADDRESS.match(source)] == []


@CASE
def test_a_case_says_what_it_is_about(case: Case) -> None:
    assert case.sources
    assert min(len(case.reported.split()), len(case.does.split())) >= 3
    assert set(case.expect) - {"answer", "cards"}, "only the cards are looked at, not what was read"


@CASE
def test_what_the_clinician_sees(case: Case) -> None:
    reply = service_in("UTC").send(case.raw)
    assert reply.status == case.expect.get("answer", 200), reply.body
    cards = case.expect.get("cards", "none")
    wanted: Mapping[str, Any] = {} if cards == "none" else cards
    shown = [card["source"]["topic"]["code"] for card in reply.cards]
    assert shown == [key.replace("-", "") for key in wanted], [card["summary"] for card in reply.cards]
    for expected, card in zip(wanted.values(), reply.cards, strict=True):
        text = f"{card['summary']}\n{card['detail']}"
        assert card["indicator"] == (expected or {}).get("indicator", card["indicator"])
        assert card["summary"].startswith((expected or {}).get("starts", ""))
        assert [part for part in (expected or {}).get("shows", []) if part not in text] == [], text
        assert [part for part in (expected or {}).get("hides", []) if part in text] == []


@CASE
def test_what_was_read(case: Case) -> None:
    told = answer(case)
    read = {name: _READERS[name](told) for name in case.expect if name in _READERS}
    assert read == {name: _as_listed(case.expect[name]) for name in read}
    issues = {f"{i.kind.value}: {i.resource_type}: {i.detail}" for i in told.facts.issues}
    assert [i for i in case.expect.get("issues", []) if not any(i in one for one in issues)] == [], issues
    present = {f.id for f in told.assessment.factors if f.presence is Presence.PRESENT}
    assert set(case.expect.get("factors", [])) <= present
    assert not set(case.expect.get("not present", [])) & present
    states = {need.value: state.value for need, state in told.facts.needs.items()}
    assert {need: states[need] for need in case.expect.get("states", {})} == case.expect.get("states", {})


def _as_listed(wanted: Any) -> Any:
    return sorted(wanted) if isinstance(wanted, list) else wanted


def _result(result: Result) -> str:
    """Return a result in the words of the files: analyte, value, notes, and why it cannot be used."""
    parts = [result.analyte.value, result.shown or "-"]
    parts += [f"[{note}]" for note in sorted(note.value for note in result.notes)]
    if result.unreadable is not None:
        parts.append(f"({result.unreadable.value})")
    return " ".join(parts)


def _medicines(facts: Facts) -> list[str]:
    return sorted({i.name for m in facts.medicines for i in m.ingredients})


def _birth(facts: Facts) -> str:
    birth = facts.patient.birth if facts.patient is not None else None
    return birth.shown if birth is not None else "none"


_READERS: Mapping[str, Any] = {
    "rls": lambda told: told.assessment.rls.value,
    "results": lambda told: sorted(_result(result) for result in told.facts.results),
    "medicines": lambda told: _medicines(told.facts),
    "unreadable medicines": lambda told: told.facts.unreadable_medicines,
    "conditions": lambda told: sorted({g for c in told.facts.conditions for g in c.groups}),
    "family": lambda told: len(told.facts.family),
    "birth": lambda told: _birth(told.facts),
}
