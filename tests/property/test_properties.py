"""What must hold for any record, not only for the cases that somebody thought of."""

import copy
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from cds_service.assess import Answer, RequiredDataMissing
from cds_service.clinical.facts import Presence
from tests.builders import (
    FHIR_SERVER,
    Fact,
    Json,
    bundle,
    hook_request,
    outcome,
    prefetch,
    with_absolute_references,
    with_foreign_names,
    with_oid_systems,
)
from tests.harness import Reply, service_in
from tests.property.strategies import JSON_VALUES, MINOR, PATIENTS, RECORDS, SEARCHES

LONGEST_SUMMARY = 139
PMOL_PER_NANOGRAM = Decimal("2.247")  # one ng/mL of ferritin

# How a result is read depends on pregnancy, dialysis and infusions of iron. Where these are not known it is
# read all the same, and the card names them under "Not checked"; so these ids may go from unknown to absent.
READ_FROM_RESULTS = {
    *("iron.low", "iron.borderline", "iron.adequate", "iron.discordant", "iron.low.esrd", "iron.overload"),
    *("tsat.low", "ferritin.inflamed"),
}

KEYS = SEARCHES | st.just("patient") | st.text(max_size=8)
RANDOMS = st.randoms(use_true_random=False)

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def call(prefetched: Json | None, **members: Any) -> Reply:
    return service_in("UTC").call(hook_request(prefetched, **members))


def view(prefetched: Json) -> Answer:
    try:
        return service_in("UTC").view(hook_request(prefetched))
    except RequiredDataMissing as missing:
        return missing.answer


def shown(reply: Reply) -> list[tuple[str, str]]:
    return [(card["source"]["topic"]["code"], card["indicator"]) for card in reply.cards]


# ---------------------------------------------------------------------------------- shape does not matter
@quick
@given(record=RECORDS, of=PATIENTS, random=RANDOMS)
def test_the_order_of_entries_and_keys_never_matters(record: list[Fact], of: Json, random: Random) -> None:
    sent = prefetch(record, of=of)
    shuffled = {key: copy.deepcopy(sent[key]) for key in random.sample(sorted(sent), len(sent))}
    for value in shuffled.values():
        if "entry" in value:
            random.shuffle(value["entry"])
    assert call(shuffled).raw == call(sent).raw


@quick
@given(record=RECORDS, of=PATIENTS, random=RANDOMS)
def test_the_order_of_codings_and_members_never_matters(record: list[Fact], of: Json, random: Random) -> None:
    sent = prefetch(record, of=of)
    assert call(_with_members_shuffled(sent, random)).raw == call(sent).raw


@pytest.mark.parametrize("change", [with_absolute_references, with_oid_systems], ids=lambda c: c.__name__)
@quick
@given(record=RECORDS, of=PATIENTS)
def test_the_shape_of_the_request_never_matters(
    change: Callable[[Json], Json], record: list[Fact], of: Json
) -> None:
    sent = prefetch(record, of=of)
    assert call(change(sent), fhirServer=FHIR_SERVER).raw == call(sent, fhirServer=FHIR_SERVER).raw


@quick
@given(record=RECORDS, of=PATIENTS)
def test_foreign_key_names_bring_the_same_cards(record: list[Fact], of: Json) -> None:
    # Not the same text: under a foreign name an empty list of medicines answers less.
    sent = prefetch(record, of=of)
    assert shown(call(with_foreign_names(sent))) == shown(call(sent))


@quick
@given(record=RECORDS, of=PATIENTS)
def test_the_same_request_gets_the_same_bytes(record: list[Fact], of: Json) -> None:
    sent = prefetch(record, of=of)
    assert call(sent).raw == call(copy.deepcopy(sent)).raw


# ---------------------------------------------------------------------------------- units do not matter
@quick
@given(tenths=st.integers(1, 9000), rest=RECORDS, of=PATIENTS)
@example(tenths=750, rest=["RLS"], of={})
@example(tenths=500, rest=["RLS"], of={})
@example(tenths=1000, rest=["RLS"], of={})
@example(tenths=3000, rest=["RLS"], of={})
def test_a_ferritin_means_the_same_in_every_unit(tenths: int, rest: list[Fact], of: Json) -> None:
    nanograms = Decimal(tenths) / 10
    spellings = (
        {"value": float(nanograms)},
        {"value": float(nanograms), "unit": "ug/L"},
        {"value": float(nanograms / 10), "unit": "ug/dL"},
        {"value": float(nanograms * PMOL_PER_NANOGRAM), "unit": "pmol/L", "loinc": "14723-1"},
    )
    answers = [shown(call(prefetch([{"ferritin": spelling}, *rest], of=of))) for spelling in spellings]
    assert answers == [answers[0]] * len(spellings)


# ------------------------------------------------------------------------- what is unrelated changes nothing
UNRELATED: tuple[Fact, ...] = (
    {"blood glucose": 95},
    {"diagnosis": {"code": "J06.9"}},
    {"diagnosis": {"text": "Fracture of the left wrist"}},
    {"prescribed": {"text": "lisinopril 10 mg oral tablet"}},
    {"procedure": {"snomed": "80146002", "display": "Appendectomy", "date": "2026-10-01"}},
)


@quick
@given(record=RECORDS, of=PATIENTS, extra=st.sampled_from(UNRELATED))
def test_adding_an_unrelated_resource_changes_nothing(record: list[Fact], of: Json, extra: Fact) -> None:
    assert call(prefetch([*record, extra], of=of)).raw == call(prefetch(record, of=of)).raw


@quick
@given(record=RECORDS, of=PATIENTS)
def test_adding_an_unrelated_search_changes_nothing(record: list[Fact], of: Json) -> None:
    sent = prefetch(record, of=of)
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "in-progress"}
    more = sent | {
        "visits-user": bundle("Encounter", [encounter]),
        "provider": {"resourceType": "Practitioner"},
    }
    assert call(more).raw == call(sent).raw


@quick
@given(record=RECORDS, of=PATIENTS, extra=MINOR)
def test_a_factor_of_habits_heart_lung_or_vitamins_never_changes_which_cards_come(
    record: list[Fact], of: Json, extra: Fact
) -> None:
    assert shown(call(prefetch([*record, extra], of=of))) == shown(call(prefetch(record, of=of)))


# --------------------------------------------------------------------------- less data never means "absent"
@quick
@given(record=RECORDS, of=PATIENTS, lost=st.sets(SEARCHES, min_size=1), data=st.data())
def test_losing_a_search_turns_nothing_into_absent(
    record: list[Fact], of: Json, lost: set[str], data: st.DataObject
) -> None:
    sent = prefetch(record, of=of)
    kept = {key: value for key, value in sent.items() if key not in lost}
    failed = sent | dict.fromkeys(lost, outcome("error"))
    fewer = data.draw(st.sampled_from([kept, failed]))
    turned = _turned_absent(sent, fewer, among={Presence.UNKNOWN, Presence.PRESENT})
    assert turned - READ_FROM_RESULTS == set()


@quick
@given(record=RECORDS, of=PATIENTS)
def test_a_lost_laboratory_never_means_that_iron_is_not_low(record: list[Fact], of: Json) -> None:
    lost = prefetch(record, of=of) | {"ironResults": outcome("error")}
    readings = {factor.id: factor.presence for factor in view(lost).assessment.factors}
    # In kidney failure the question is asked by another id, so this one is absent by definition.
    assume(readings["kidney.esrd"] is not Presence.PRESENT)
    assert readings["iron.low"] is not Presence.ABSENT


@quick
@given(record=RECORDS, of=PATIENTS, data=st.data())
def test_losing_a_resource_turns_no_unknown_into_absent(
    record: list[Fact], of: Json, data: st.DataObject
) -> None:
    searches = [key for key, value in prefetch(record, of=of).items() if value.get("entry")]
    assume(searches)
    cut = data.draw(st.sampled_from(searches))
    sent = prefetch(record, of=of, sends={cut: "first page"})
    fewer = copy.deepcopy(sent)
    entries = fewer[cut]["entry"]
    entries.pop(data.draw(st.integers(0, len(entries) - 1)))
    assert _turned_absent(sent, fewer, among={Presence.UNKNOWN}) <= READ_FROM_RESULTS


def _turned_absent(sent: Json, fewer: Json, *, among: set[Presence]) -> set[str]:
    before = {factor.id: factor.presence for factor in view(sent).assessment.factors}
    after = {factor.id: factor.presence for factor in view(fewer).assessment.factors}
    return {
        name for name, presence in before.items() if presence in among and after.get(name) is Presence.ABSENT
    }


# -------------------------------------------------------------------------------- nothing can break the wire
def check_wire(reply: Reply) -> None:
    assert 200 <= reply.status < 500, reply.body
    if reply.status != 200:
        assert reply.body["resourceType"] == "OperationOutcome"
        assert "cards" not in reply.body
    for card in reply.cards:
        assert 0 < len(card["summary"].encode("utf-16-le")) // 2 <= LONGEST_SUMMARY
        assert card["summary"].isprintable()


@settings(max_examples=150)
@given(raw=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_get_an_answer_that_is_no_fault_of_ours(raw: bytes) -> None:
    check_wire(service_in("UTC").send(raw))


@settings(max_examples=150)
@given(prefetched=st.dictionaries(KEYS, JSON_VALUES, max_size=4))
def test_any_prefetch_gets_an_answer_that_is_no_fault_of_ours(prefetched: Json) -> None:
    check_wire(call(prefetched))


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(record=RECORDS, of=PATIENTS, random=RANDOMS, planted=JSON_VALUES)
def test_a_record_with_any_json_planted_in_it_gets_an_answer(
    record: list[Fact], of: Json, random: Random, planted: Any
) -> None:
    sent = prefetch(["RLS", {"ferritin": 40}, {"takes": "sertraline"}, *record], of=of)
    _plant(sent, planted, random)
    check_wire(call(sent))


@quick
@given(name=st.text(min_size=1, max_size=400), record=RECORDS)
def test_no_text_of_a_record_breaks_a_card(name: str, record: list[Fact]) -> None:
    texts: list[Fact] = [
        {"takes": {"text": f"sertraline {name}"}},
        {"prescribed": {"displayed": f"{name} mirtazapine"}},
        {"diagnosis": {"code": "M06.9", "text": name}},
        {"ferritin": {"value text": name, "date": "2026-11-02"}},
        {"ferritin": {"value": 40, "unit": name, "date": "2026-11-03"}},
    ]
    check_wire(call(prefetch(["RLS", *texts, *record])))


def _with_members_shuffled(value: Any, random: Random) -> Any:
    if isinstance(value, dict):
        names = random.sample(sorted(value), len(value))
        return {name: _with_members_shuffled(value[name], random) for name in names}
    if isinstance(value, list):
        return [_with_members_shuffled(item, random) for item in value]
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for place in value if isinstance(value, dict) else range(len(value)):
            yield value, place
            yield from _places(value[place])


def _plant(sent: Json, planted: Any, random: Random) -> None:
    holder, place = random.choice(list(_places(sent)))
    holder[place] = planted
