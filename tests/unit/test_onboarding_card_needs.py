"""The needs of each card, held against what the rules do when a part of a record cannot be read."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from cds_service.assess import RequiredDataMissing
from cds_service.clinical.assessment import CardKey, Policy
from cds_service.clinical.evaluate import evaluate
from cds_service.clinical.facts import Facts, IronSearch, MedicineFact, MedicineKind, Need, NeedState
from cds_service.knowledge import load
from cds_service.onboarding.card_needs import CARD_NEEDS, REQUIRED
from cds_service.onboarding.tally import ASKED, IRON
from tests.builders import TODAY
from tests.harness import service_in
from tests.scenarios.test_scenarios import SCENARIOS

MEDICINES = {Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS}
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def without(facts: Facts, need: Need) -> Facts:
    """Return the facts of a patient whose search for one need failed."""
    lost: dict[Need, dict[str, object]] = {
        Need.PATIENT: {"patient": None},
        Need.IRON_RESULTS: {
            "results": tuple(result for result in facts.results if result.analyte not in IRON),
            "iron_searches": dict.fromkeys(IronSearch, NeedState.FAILED),
        },
        Need.CONTEXT_RESULTS: {"results": tuple(one for one in facts.results if one.analyte in IRON)},
        Need.CONDITIONS: {"conditions": ()},
        Need.MEDICATION_STATEMENTS: {"medicines": _other(facts, MedicineKind.STATEMENT, "active")},
        Need.MEDICATION_REQUESTS: {"medicines": _other(facts, MedicineKind.REQUEST, "active")},
        Need.IRON_TREATMENTS: {
            "medicines": tuple(
                one
                for one in facts.medicines
                if one.status != "completed" and one.kind is not MedicineKind.ADMINISTRATION
            )
        },
        Need.PROCEDURES: {"procedures": ()},
        Need.ALLERGIES: {"allergies": ()},
        Need.IRON_ORDERS: {"orders": ()},
    }
    return replace(facts, needs={**facts.needs, need: NeedState.FAILED}, **lost[need])


def _other(facts: Facts, kind: MedicineKind, status: str) -> tuple[MedicineFact, ...]:
    """Return the medicines without those of a kind that is asked for by this status or an unknown one."""
    return tuple(
        one for one in facts.medicines if one.kind is not kind or one.status not in {status, "unknown", ""}
    )


def records() -> Iterator[Facts]:
    """Yield the facts of every fixture patient and of every scenario."""
    service = service_in("UTC")
    bodies = [json.loads(path.read_text("utf-8")) for path in sorted(FIXTURES.glob("*/request.json"))]
    bodies = [body for body in bodies if body["hook"] == "patient-view"]
    bodies += [scenario.body for scenario in SCENARIOS]
    for body in bodies:
        try:
            yield service.view(body).facts
        except RequiredDataMissing as error:
            yield error.answer.facts


@cache
def effects() -> dict[CardKey, set[Need]]:
    """Return the needs whose failure takes a card away, brings it, or makes another card of it."""
    found: dict[CardKey, set[Need]] = defaultdict(set)
    for facts in records():
        shown = cards(facts)
        for need in ASKED:
            left = cards(without(facts, need))
            for key in shown.keys() | left.keys():
                if shown.get(key) != left.get(key):
                    found[key].add(need)
    return found


def cards(facts: Facts) -> dict[CardKey, tuple[object, ...]]:
    answer = evaluate(facts, load(), today=TODAY, policy=Policy())
    return {card.key: (card.form, card.indicator) for card in answer.cards}


def test_every_card_has_its_needs_in_order() -> None:
    assert set(CARD_NEEDS) == set(CardKey)
    for key, needs in CARD_NEEDS.items():
        assert len(set(needs)) == len(needs)
        assert set(needs) <= set(ASKED)
        assert (needs[: len(REQUIRED)] == REQUIRED) is (key is not CardKey.DATA_01)


@pytest.mark.parametrize("key", [key for key in CardKey if key is not CardKey.DATA_01])
def test_a_card_needs_what_changes_it(key: CardKey) -> None:
    found = effects()[key]
    # The same medicine may come as a statement or as an order; the cases have either.
    if found & MEDICINES:
        found = found | MEDICINES
    assert set(CARD_NEEDS[key]) == found


def test_missing_data_is_a_card_only_where_the_diagnosis_is_known() -> None:
    assert CARD_NEEDS[CardKey.DATA_01] == (Need.CONDITIONS,)
    assert Need.CONDITIONS in effects()[CardKey.DATA_01]
