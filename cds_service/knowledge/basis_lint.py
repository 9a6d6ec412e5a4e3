"""Checks of the public basis that a machine can make: sources, names, history."""

from collections.abc import Iterable, Iterator

from cds_service.knowledge.basis import Basis
from cds_service.knowledge.lint import Problem
from cds_service.knowledge.model import Check, Knowledge


def lint_basis(knowledge: Knowledge, basis: Basis, card_keys: Iterable[str]) -> list[Problem]:
    """Return every problem, in a stable order; `card_keys` are the cards that there are."""
    keys = frozenset(card_keys)
    problems = [
        *_cards(knowledge, basis, keys),
        *_statements(knowledge, basis, keys),
        *_history(knowledge, basis, keys),
    ]
    return sorted(problems, key=str)


def _cards(knowledge: Knowledge, basis: Basis, keys: frozenset[str]) -> Iterator[Problem]:
    for key in keys ^ basis.cards.keys():
        what = "is not described" if key in keys else "does not exist"
        yield Problem(f"basis of {key}", what)
    named = {rule for card in basis.cards.values() for rule in card.rules}
    for rule in named - knowledge.rules.keys():
        yield Problem(f"basis, rule {rule}", "does not exist")
    for rule in knowledge.rules.keys() - keys - named:
        yield Problem(f"basis, rule {rule}", "is named by no card")


def _statements(knowledge: Knowledge, basis: Basis, keys: frozenset[str]) -> Iterator[Problem]:
    for one in basis.statements.values():
        where = f"statement {one.id}"
        for citation in one.citations:
            if citation not in knowledge.citations:
                yield Problem(where, f"cites {citation}, which does not exist")
        if not one.citations and one.check in {Check.V1, Check.V2}:
            yield Problem(where, f"is marked {one.check.value} and cites nothing")
        if one.citations and one.check is Check.P:
            yield Problem(where, "is a project rule and cites a source")
        if bool(one.strength) is not bool(one.certainty):
            yield Problem(where, "has a strength without a certainty, or the reverse")
        for key in [*(key for key in one.cards if key not in keys), *([] if one.cards else ["no card"])]:
            yield Problem(where, f"stands on {key}")


def _history(knowledge: Knowledge, basis: Basis, keys: frozenset[str]) -> Iterator[Problem]:
    newest = basis.changes[0] if basis.changes else None
    if newest is None or (newest.version, newest.day) != (knowledge.version, knowledge.date):
        yield Problem("history", f"does not begin with version {knowledge.version} of {knowledge.date}")
    days = [change.day for change in basis.changes]
    if days != sorted(days, reverse=True):
        yield Problem("history", "is not in order, the newest first")
    for change in basis.changes:
        for key in frozenset(change.cards) - keys:
            yield Problem("history", f"names {key}, which does not exist")
