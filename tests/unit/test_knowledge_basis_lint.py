"""The lint of the public basis finds what it says it finds, and what awaits review is listed whole."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds_service.clinical.assessment import CardKey
from cds_service.knowledge import Check, load
from cds_service.knowledge.basis import Basis, basis_of
from cds_service.knowledge.basis_lint import lint_basis
from cds_service.knowledge.review import awaiting_review, counted
from cds_service.rendering.templates import packaged_templates

KEYS = [key.value for key in CardKey]
KNOWLEDGE = load()
BASIS = basis_of(KNOWLEDGE)


def found(basis: Basis, keys: list[str] = KEYS) -> list[str]:
    return [str(problem) for problem in lint_basis(KNOWLEDGE, basis, keys)]


def stating(**changes: Any) -> Basis:
    first = next(iter(BASIS.statements.values()))
    return replace(BASIS, statements={"s": replace(first, id="s", **changes)})


def changing(**changes: Any) -> Basis:
    return replace(BASIS, changes=(replace(BASIS.changes[0], **changes), *BASIS.changes[1:]))


def test_the_packaged_basis_has_no_problem() -> None:
    assert found(BASIS) == []


@pytest.mark.parametrize(
    ("basis", "problem"),
    [
        (stating(citations=("NOWHERE",)), "statement s: cites NOWHERE, which does not exist"),
        (stating(citations=(), check=Check.V1), "statement s: is marked V1 and cites nothing"),
        (stating(check=Check.P), "statement s: is a project rule and cites a source"),
        (stating(certainty=""), "statement s: has a strength without a certainty, or the reverse"),
        (stating(cards=("IRON-99",)), "statement s: stands on IRON-99"),
        (stating(cards=()), "statement s: stands on no card"),
        (replace(BASIS, changes=()), "history: does not begin with version 2026.11.1 of 2026-11-22"),
        (changing(version="2026.12.0"), "history: does not begin with version 2026.11.1 of 2026-11-22"),
        (changing(day=date(2026, 11, 1)), "history: is not in order, the newest first"),
        (changing(cards=("IRON-99",)), "history: names IRON-99, which does not exist"),
    ],
)
def test_a_broken_entry_is_found(basis: Basis, problem: str) -> None:
    assert problem in found(basis)


def test_a_card_without_a_basis_and_a_basis_without_a_card_are_found() -> None:
    assert "basis of IRON-99: is not described" in found(BASIS, [*KEYS, "IRON-99"])
    assert "basis of DA-01: does not exist" in found(BASIS, KEYS[:-1])


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (("P.nothing",), "basis, rule P.nothing: does not exist"),
        ((), "basis, rule P.screening: is named by no card"),
    ],
)
def test_project_rules_and_cards_name_each_other(rules: tuple[str, ...], problem: str) -> None:
    card = replace(BASIS.cards["SCREEN-01"], rules=rules)
    assert problem in found(replace(BASIS, cards={**BASIS.cards, "SCREEN-01": card}))


def test_everything_marked_v2_or_m_awaits_review_and_nothing_else() -> None:
    tables: list[Callable[[], Any]] = [
        KNOWLEDGE.rules.values,
        KNOWLEDGE.thresholds.values,
        BASIS.statements.values,
        KNOWLEDGE.factors.values,
        KNOWLEDGE.drug_classes.values,
    ]
    wanted = sum(one.check in {"V2", "M"} for table in tables for one in table())
    awaiting = awaiting_review(KNOWLEDGE, BASIS)
    assert len(awaiting) == wanted == sum(counted(awaiting).values())
    assert {one.check for one in awaiting} == {Check.V2, Check.M}
    assert list(counted(awaiting)) == ["rule", "limit", "statement", "factor", "drug class"]
    assert counted(()) == {}


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (
            "statement",
            "aasm.levodopa",
            "Levodopa: suggested against standard use (conditional, certainty very low)",
        ),
        ("statement", "da.augmentation", BASIS.statements["da.augmentation"].text),
        ("limit", "tsat.high", f"45 %: {KNOWLEDGE.thresholds['tsat.high'].text}"),
        ("rule", "IRON-08", KNOWLEDGE.rules["IRON-08"].text),
        ("factor", "nicotine", KNOWLEDGE.factors["nicotine"].line),
        ("drug class", "TCA", f"tricyclic antidepressant: {KNOWLEDGE.drug_classes['TCA'].why}"),
    ],
)
def test_what_awaits_review_is_told_in_the_words_that_a_clinician_reads(
    kind: str, name: str, text: str
) -> None:
    told = {(one.kind, one.id): one.text for one in awaiting_review(KNOWLEDGE, BASIS)}
    assert told[kind, name] == text


@pytest.mark.parametrize("key", list(CardKey), ids=str)
def test_a_card_says_that_it_awaits_review_exactly_where_its_basis_does(key: CardKey) -> None:
    rests_on = [KNOWLEDGE.rules[key].check, *(one.check for one in BASIS.statements_of(key))]
    templates = packaged_templates()
    assert templates.cards[key].awaits_review == any(check.awaits_review for check in rests_on)
