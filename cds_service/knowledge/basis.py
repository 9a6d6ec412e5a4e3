"""What the public basis says about each card beside its rule: conditions, silences, statements, history.

Read at first demand, since no card needs it. Sentences name limits as `{limit.id}`; their values are filled
in from the knowledge base, so that no number is written twice.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from cds_service.knowledge.loader import worded
from cds_service.knowledge.model import Check, Knowledge

Read = Callable[[str], bytes]

KINDS = ("iron", "medicine", "screening", "data")
"""The kinds of cards; sentences can stand for all cards or for those of a kind."""

_LIMIT = re.compile(r"\{([^{}]+)\}")
_ALL = "all"


@dataclass(frozen=True, slots=True)
class CardBasis:
    """What one card rests on, in sentences whose limits are filled in.

    `limits` are the ids that the sentences name, in order; `inputs` what the rule reads; `rules` the project
    rules that the card can name beside its own.
    """

    key: str
    kind: str
    conditions: tuple[str, ...]
    urgency: str
    notes: tuple[str, ...]
    silences: tuple[str, ...]
    missing: tuple[str, ...]
    not_considered: tuple[str, ...]
    inputs: tuple[str, ...]
    rules: tuple[str, ...]
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A recommendation, or another fact that cards tell; strength and certainty as the guideline has them."""

    id: str
    text: str
    strength: str
    certainty: str
    citations: tuple[str, ...]
    check: Check
    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the rules; without cards it concerns all of them."""

    version: str
    day: date
    cards: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Basis:
    """Everything that the public basis adds to the knowledge base."""

    cards: Mapping[str, CardBasis]
    statements: Mapping[str, Statement]
    changes: tuple[Change, ...]

    def statements_of(self, key: str) -> tuple[Statement, ...]:
        """Return what a card says beside its rule."""
        return tuple(one for one in self.statements.values() if key in one.cards)

    def changes_of(self, key: str) -> tuple[Change, ...]:
        """Return the changes that concern a card, the newest first."""
        return tuple(one for one in self.changes if not one.cards or key in one.cards)


def basis_of(knowledge: Knowledge) -> Basis:
    """Return the packaged basis, its sentences with the limits of a knowledge base (a site may set some)."""
    found = _FILLED.get(knowledge.hash)
    if found is None:
        found = _FILLED[knowledge.hash] = build_basis(_packaged, knowledge)
    return found


_FILLED: dict[str, Basis] = {}


@cache
def _packaged(name: str) -> bytes:
    return files("cds_service.knowledge").joinpath("data", name).read_bytes()


def build_basis(read: Read, knowledge: Knowledge) -> Basis:
    """Return the basis of the files that `read` gives by name; raises on a bad file or an unknown limit."""
    tables = _toml(read, "basis/cards.toml")
    shared = {name: tables.pop(name, {}) for name in (_ALL, *KINDS)}
    return Basis(
        cards={key: _card(key, table, shared, knowledge) for key, table in tables.items()},
        statements={i: _statement(i, t) for i, t in _toml(read, "basis/statements.toml").items()},
        changes=tuple(_change(table) for table in _toml(read, "basis/history.toml")["changes"]),
    )


def _toml(read: Read, name: str) -> dict[str, Any]:
    return tomllib.loads(read(name).decode())


def _card(
    key: str, table: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]], knowledge: Knowledge
) -> CardBasis:
    kind = table["kind"]

    def sentences(name: str) -> list[str]:
        own = table.get(name, ())
        return [*own, *shared[kind].get(name, ()), *shared[_ALL].get(name, ())]

    told = {name: sentences(name) for name in ("notes", "silences", "missing", "not_considered")}
    conditions, urgency = table["conditions"], table["urgency"]
    filled = {name: _filled(texts, knowledge) for name, texts in told.items()}
    return CardBasis(
        key=key,
        kind=kind,
        conditions=_filled(conditions, knowledge),
        urgency=_filled([urgency], knowledge)[0],
        inputs=tuple(table["inputs"]),
        rules=tuple(table.get("rules", ())),
        limits=_limits([*conditions, urgency, *(text for texts in told.values() for text in texts)]),
        **filled,
    )


def _filled(texts: Iterable[str], knowledge: Knowledge) -> tuple[str, ...]:
    return tuple(worded(text, knowledge.thresholds) for text in texts)


def _limits(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for text in texts for name in _LIMIT.findall(text)))


def _statement(statement_id: str, table: Mapping[str, Any]) -> Statement:
    return Statement(
        id=statement_id,
        text=table["text"],
        strength=table.get("strength", ""),
        certainty=table.get("certainty", ""),
        citations=tuple(table["citations"]),
        check=Check(table["check"]),
        cards=tuple(table["cards"]),
    )


def _change(table: Mapping[str, Any]) -> Change:
    return Change(table["version"], table["date"], tuple(table["cards"]), table["text"])
