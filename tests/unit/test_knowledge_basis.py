"""The sentences of the public basis: each limit that can change a card is named on the card's page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from cds_service.assess import RequiredDataMissing
from cds_service.clinical.assessment import CardKey, Policy
from cds_service.clinical.evaluate import evaluate
from cds_service.clinical.facts import Facts
from cds_service.knowledge import Threshold, load
from cds_service.knowledge.basis import KINDS, Basis, Change, basis_of, build_basis
from cds_service.knowledge.local import with_windows
from tests.builders import TODAY, Fact, Json, hook_request, prefetch
from tests.harness import service_in
from tests.scenarios.test_scenarios import SCENARIOS

BASIS = basis_of(load())
EACH_CARD = pytest.mark.parametrize("key", list(CardKey), ids=str)
# Limits that change words or lines on cards, never which card is shown; or that no rule compares with.
WORDS_ONLY = {
    "alcohol.drinks.female",
    "alcohol.drinks.male",
    "alcohol.score.female",
    "alcohol.score.male",
    "b12.low",
    "draw.without_iron",
    "ferritin.assay_note_upper",
    "ferritin.assay_roche",
    "ferritin.near_threshold_percent",
    "ferritin.search_cause",
    "folate.low",
    "hb.anaemia.female",
    "hb.anaemia.male",
    "hb.anaemia.pregnant",
    "hba1c.diabetes",
    "iron.oral.dose",
    "phosphate.low",
    "sleep.short",
    "sleep.values",
    "tsh.high",
    "vitamin_d.low",
    "window.confirm_entry",
    "window.hba1c",
    "window.lifestyle",
    "window.nutrition",
    "window.phosphate",
    "window.postpartum",
    "window.pregnancy.test",
    "window.repeat_after_inflammation",
    "window.sleep",
}


@EACH_CARD
def test_every_card_is_described(key: CardKey) -> None:
    card = BASIS.cards[key]
    assert card.kind in KINDS
    assert card.conditions
    assert card.urgency.startswith(("info", "warning"))
    assert card.silences
    assert card.missing
    assert card.not_considered
    assert card.inputs
    assert BASIS.changes_of(key)


def test_a_change_of_no_card_concerns_all_and_another_one_its_own() -> None:
    all_of_them, own, other = (
        Change(version, date(2026, 11, 1), cards, "A change.")
        for version, cards in (("3", ()), ("2", ("IRON-01", "IRON-02")), ("1", ("DA-01",)))
    )
    basis = Basis({}, {}, (all_of_them, own, other))
    assert basis.changes_of("IRON-02") == (all_of_them, own)
    assert basis.changes_of("DA-01") == (all_of_them, other)
    assert basis.changes_of("DATA-01") == (all_of_them,)


def test_there_is_no_card_that_does_not_exist() -> None:
    assert set(BASIS.cards) == set(CardKey)
    named = {key for one in BASIS.statements.values() for key in one.cards}
    named |= {key for change in BASIS.changes for key in change.cards}
    assert named <= set(CardKey)


def test_limits_are_filled_in_from_the_knowledge_base() -> None:
    condition = BASIS.cards["IRON-05"].conditions[1]
    assert condition == (
        "The newest readable ferritin, at most 365 days old, is certainly above 75 ng/mL and at or below "
        "100 ng/mL."
    )
    notes = " ".join(BASIS.cards["IRON-01"].notes)
    assert "computed from iron and TIBC drawn at most 1 day apart" in notes
    assert "aged 10 years to 55 years" in notes
    assert "at least 24 hours without iron" in notes
    assert "at least 2 linked findings" in " ".join(BASIS.cards["SCREEN-01"].conditions)
    assert not any("{" in text for card in BASIS.cards.values() for text in card.conditions + card.silences)


def test_the_windows_of_a_site_are_filled_in_for_its_clients() -> None:
    local = basis_of(with_windows(load(), {"window.result": 180}))
    assert "at most 180 days old" in local.cards["IRON-05"].conditions[1]
    assert "at most 365 days old" in basis_of(load()).cards["IRON-05"].conditions[1]


def test_every_limit_is_named_by_a_card() -> None:
    assert {limit for card in BASIS.cards.values() for limit in card.limits} == set(load().thresholds)


# Records that lie near a limit which no scenario is near.
def _patch(dose: float) -> Fact:
    """Return a statement of a rotigotine patch, known by its words."""
    quantity = {"value": dose, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    once_a_day = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
    return {
        "resource": {
            "resourceType": "MedicationStatement",
            "search": "medicationStatements",
            "status": "active",
            "medicationCodeableConcept": {"text": "rotigotine patch"},
            "effectivePeriod": {"start": "2026-10-01"},
            "dosage": [{"timing": once_a_day, "doseAndRate": [{"doseQuantity": quantity}]}],
        }
    }


WOMAN = {"sex": "female", "born": "1996-01-01"}
GIRL = {"sex": "female", "born": "2016-11-01"}  # ten years old
NEAR_A_LIMIT: list[tuple[list[Fact], Json]] = [
    # a due date exactly 300 days ahead
    (["RLS", {"ferritin": 60}, {"delivery date": "2027-09-18"}], WOMAN),
    (["RLS", {"ferritin": 60}, {"pregnancy status": {"value": "pregnant", "date": "2026-11-10"}}], GIRL),
    (
        ["RLS", {"ferritin": 60}, {"pregnancy status": {"value": "pregnant", "date": "2026-11-10"}}],
        {"sex": "female", "born": "1971-01-01"},
    ),
    # a diagnosis of pregnancy exactly 294 days old
    (["RLS", {"ferritin": 60}, {"diagnosis": {"code": "O09.90", "onset": "2026-02-01"}}], WOMAN),
    (["RLS", {"ferritin": 120}, {"TSAT": 30}, {"takes": {"drug": "ropinirole", "dose mg": 4}}], {}),
    (["RLS", {"ferritin": 120}, {"TSAT": 30}, _patch(3)], {}),
    # two filtration rates 90 days apart, and one of the two findings that screening needs
    (
        [
            {"eGFR": {"value": 59, "date": "2026-11-01"}},
            {"eGFR": {"value": 59, "date": "2026-08-03"}},
            {"takes": {"drug": "sertraline"}},
        ],
        {},
    ),
    # positive airway pressure exactly 180 days ago, and one of the two findings that screening needs
    (
        [
            {"diagnosis": "G47.33"},
            {"diagnosis": "G62.9"},
            {"procedure": {"snomed": "47545007", "date": "2026-05-26"}},
        ],
        {},
    ),
    # iron and TIBC one day apart
    (
        [
            "RLS",
            {"ferritin": 90},
            {"iron": {"value": 45, "date": "2026-11-01"}},
            {"TIBC": {"value": 400, "date": "2026-10-31"}},
        ],
        {},
    ),
    # a ferritin on day 180 after iron by vein
    (
        [
            "RLS",
            {"given": {"drug": "ferric carboxymaltose", "date": "2026-05-05"}},
            {"ferritin": {"value": 400, "date": "2026-11-01"}},
        ],
        {},
    ),
    # two courses of a dopaminergic medicine 100 days apart
    (
        [
            "RLS",
            {"ferritin": 120},
            {"TSAT": 30},
            {"takes": {"drug": "pramipexole", "since": "2026-03-01"}},
            {
                "takes": {
                    "drug": "pramipexole",
                    "since": "2025-01-01",
                    "until": "2025-11-21",
                    "status": "completed",
                }
            },
        ],
        {},
    ),
]


# ------------------------------------------------------------ the sentences against the code that decides
class Watched(dict[str, Threshold]):
    """The limits of a knowledge base; knows which of them were asked for."""

    def __init__(self, limits: Mapping[str, Threshold]) -> None:
        """Start with nothing asked for."""
        super().__init__(limits)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Threshold:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a limit, and note that it was asked for."""
        self.asked.add(name)
        return super().get(name, default)


@dataclass(frozen=True)
class Read:
    """What was read of a record, the cards that it gives, and the limits that were asked for them."""

    facts: Facts
    policy: Policy
    cards: Mapping[CardKey, object]
    asked: frozenset[str]


def shown(facts: Facts, policy: Policy, thresholds: Mapping[str, Threshold]) -> dict[CardKey, object]:
    assessment = evaluate(facts, replace(load(), thresholds=thresholds), today=TODAY, policy=policy)
    return {card.key: (card.indicator, card.form) for card in assessment.cards}


@cache
def records() -> tuple[Read, ...]:
    """Return every scenario, and the records beside them, as they were read."""
    bodies = [(scenario.body, scenario.is_screening_on) for scenario in SCENARIOS]
    bodies += [(hook_request(prefetch(record, of=of)), True) for record, of in NEAR_A_LIMIT]
    return tuple(read(body, Policy(is_screening_on=is_on)) for body, is_on in bodies)


def read(body: Json, policy: Policy) -> Read:
    service = service_in("UTC", is_screening_on=policy.is_screening_on)
    try:
        facts = service.view(body).facts
    except RequiredDataMissing as missing:
        facts = missing.answer.facts
    watched = Watched(load().thresholds)
    return Read(facts, policy, shown(facts, policy, watched), frozenset(watched.asked))


def changed_cards(limit: str, change: Callable[[Decimal], Decimal]) -> set[str]:
    """Return the cards that come, go, or change urgency or form anywhere when a limit is moved."""
    limits = load().thresholds
    moved = {**limits, limit: replace(limits[limit], value=change(limits[limit].value))}
    cards: set[str] = set()
    for one in records():
        if limit not in one.asked:
            continue  # what was not asked for cannot change the answer
        after = shown(one.facts, one.policy, moved)
        both = one.cards.keys() | after.keys()
        cards |= {key.value for key in both if one.cards.get(key) != after.get(key)}
    return cards


MOVES: dict[str, Callable[[Decimal], Decimal]] = {
    "a little lower": lambda value: max(value - 1, value / 2),
    "a little higher": lambda value: value + 1,
}


@pytest.mark.parametrize("limit", sorted(set(load().thresholds) - WORDS_ONLY))
def test_a_limit_stands_on_the_page_of_every_card_that_it_changes(limit: str) -> None:
    touched = {key for move in MOVES.values() for key in changed_cards(limit, move)}
    assert touched, "no scenario lies near this limit"
    assert sorted(key for key in touched if limit not in BASIS.cards[key].limits) == []


@pytest.mark.parametrize("limit", sorted(WORDS_ONLY))
def test_a_limit_of_words_changes_no_card(limit: str) -> None:
    assert {key for move in MOVES.values() for key in changed_cards(limit, move)} == set()


# ------------------------------------------------------------------------------- malformed files
def built(**files: str) -> Basis:
    texts = {
        "basis/cards.toml": "",
        "basis/statements.toml": "",
        "basis/history.toml": "changes = []",
        **{f"basis/{name}.toml": text for name, text in files.items()},
    }
    return build_basis(lambda name: texts[name].encode(), load())


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(KeyError, match="no such limit"):
        built(cards='["IRON-01"]\nkind = "iron"\nconditions = ["{no such limit}"]\nurgency = ""\ninputs = []')


def test_a_card_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError, match="nothing"):
        built(cards='["IRON-01"]\nkind = "nothing"\nconditions = []\nurgency = ""\ninputs = []')
