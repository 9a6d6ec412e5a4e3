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
from cds_service.clinical.facts import (
    Analyte,
    DeviceFact,
    Facts,
    IronSearch,
    MedicineFact,
    MedicineKind,
    Need,
    NeedState,
    Result,
)
from cds_service.knowledge import load
from cds_service.onboarding.card_needs import CARD_NEEDS, OPTIONAL, REQUIRED
from cds_service.onboarding.tally import ASKED, CONTEXT, IRON, METABOLIC, SLEEP, SOCIAL
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
            "results": _results_without(facts, IRON),
            "iron_searches": dict.fromkeys(IronSearch, NeedState.FAILED),
        },
        Need.CONTEXT_RESULTS: {"results": _results_without(facts, CONTEXT)},
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
        Need.FAMILY_HISTORY: {"family": ()},
        Need.METABOLIC_RESULTS: {"results": _results_without(facts, METABOLIC)},
        Need.SOCIAL_HISTORY: {"results": _results_without(facts, SOCIAL)},
        Need.SLEEP: {"results": _results_without(facts, SLEEP)},
        Need.DEVICE_USE: {"devices": _devices(facts, are_uses=False)},
        Need.DEVICES: {"devices": _devices(facts, are_uses=True)},
    }
    return replace(facts, needs={**facts.needs, need: NeedState.FAILED}, **lost[need])


def _results_without(facts: Facts, analytes: frozenset[Analyte]) -> tuple[Result, ...]:
    return tuple(one for one in facts.results if one.analyte not in analytes)


def _devices(facts: Facts, *, are_uses: bool) -> tuple[DeviceFact, ...]:
    """Return the devices that were read from uses, or those that were read from devices themselves."""
    return tuple(one for one in facts.devices if (one.source.resource_type != "Device") is are_uses)


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


def test_what_is_optional_is_never_required() -> None:
    needs = {need for key, needs in CARD_NEEDS.items() if key is not CardKey.SCREEN_01 for need in needs}
    assert not set(OPTIONAL) & needs
    assert set(OPTIONAL) < set(ASKED)
