"""How each rule came out for one patient, and on what it was asked: for explanations, never for a card.

An answer keeps only what it shows. This works out the rest from the same facts with the same functions, so
that a call that is not explained pays nothing for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from cds_service.clinical.assessment import Assessment, CardKey, Policy, RlsStatus
from cds_service.clinical.choice import Draft
from cds_service.clinical.drug_card import drug_choice, gate_card
from cds_service.clinical.evaluate import is_opened, missing_data, screening_card
from cds_service.clinical.facts import Facts
from cds_service.clinical.inputs import Reading, Situation, readings
from cds_service.clinical.iron_adult import adult_drafts, open_age_draft
from cds_service.clinical.iron_card import undecided_choice
from cds_service.clinical.iron_groups import child_draft, kidney_draft, pregnancy_draft
from cds_service.clinical.iron_overload import overload_draft
from cds_service.clinical.iron_treatment import treatment_choice
from cds_service.clinical.picture import Picture, build_picture
from cds_service.knowledge import Knowledge

_BEFORE_GROUPS = frozenset({CardKey.IRON_12, CardKey.IRON_12B, CardKey.IRON_13, CardKey.IRON_14})
_ADULT = frozenset(
    {
        CardKey.IRON_01,
        CardKey.IRON_02,
        CardKey.IRON_03,
        CardKey.IRON_04,
        CardKey.IRON_05,
        CardKey.IRON_10,
        CardKey.IRON_11,
        CardKey.IRON_16,
    }
)
_GROUPS: Mapping[str, frozenset[CardKey]] = {
    "esrd": frozenset({CardKey.IRON_09}),
    "pregnant": frozenset({CardKey.IRON_08}),
    "child": frozenset({CardKey.IRON_07}),
    "open": frozenset({CardKey.IRON_01, CardKey.IRON_02, CardKey.IRON_03, CardKey.IRON_16}),
    "adult": _ADULT,
}
_GROUP_CARDS = frozenset().union(*_GROUPS.values())
# Of these the reason in the assessment is their own, not that of the answer as a whole.
_WITHOUT_DIAGNOSIS = frozenset({CardKey.GATE_01, CardKey.SCREEN_01})
_OWN_REASON = frozenset({CardKey.IRON_14, CardKey.DRUG_01, CardKey.DA_01, CardKey.GATE_01})


class RuleOutcome(StrEnum):
    """How a rule came out."""

    SHOWN = "shown"
    HELD_BACK = "held back"  # its conditions hold, something that goes before it decided otherwise
    NOT_MET = "not met"
    NOT_REACHED = "not reached"  # the order of decision ended before it, or it is made for other patients


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """The outcome of one card's rule, with the reason where its card is not shown."""

    key: CardKey
    outcome: RuleOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class Trace:
    """The patient's group, what the rules read by name, and how each rule came out, in order of the keys."""

    group: str
    readings: Mapping[str, Reading]
    rules: tuple[RuleTrace, ...]


def trace(
    facts: Facts, assessment: Assessment, knowledge: Knowledge, *, today: date, policy: Policy
) -> Trace:
    """Return how `assessment` came about; the other arguments are those that it was made from."""
    picture = build_picture(facts, knowledge, today)
    situation = Situation(picture, assessment.factors, policy, missing_data(picture))
    asked = frozenset(_asked(situation))
    met = frozenset(_met(situation))
    return Trace(
        group=picture.group,
        readings=readings(situation),
        rules=tuple(_rule(key, assessment, picture, asked=asked, met=met) for key in CardKey),
    )


def _rule(
    key: CardKey,
    assessment: Assessment,
    picture: Picture,
    *,
    asked: frozenset[CardKey],
    met: frozenset[CardKey],
) -> RuleTrace:
    told = next((one.reason for one in assessment.withheld if one.key is key), None)
    if told is None:
        return RuleTrace(key, RuleOutcome.SHOWN, "")
    if key not in asked:
        return RuleTrace(key, RuleOutcome.NOT_REACHED, _not_reached(key, picture, asked) or told)
    if key in met:
        return RuleTrace(key, RuleOutcome.HELD_BACK, told)
    reason = told if key in _OWN_REASON else "not all of its conditions hold"
    return RuleTrace(key, RuleOutcome.NOT_MET, reason)


def _not_reached(key: CardKey, picture: Picture, asked: frozenset[CardKey]) -> str | None:
    """Return why a rule is not put to this patient, None where the answer as a whole says it."""
    if key in _WITHOUT_DIAGNOSIS and CardKey.IRON_14 in asked:
        return f"asked only where RLS is not recorded: it is {picture.rls.status.value}"
    if key in _GROUP_CARDS and asked & _GROUP_CARDS:
        return f"made for others: the patient's group is {picture.group}"
    return None


def _asked(situation: Situation) -> Iterator[CardKey]:
    """Yield the cards whose rules are put to this patient (docs/rules.md R1, R2, R4)."""
    picture = situation.picture
    status = picture.rls.status
    is_on_record = status in {RlsStatus.DOCUMENTED, RlsStatus.POSSIBLE}
    if (picture.facts.patient is not None and picture.facts.patient.is_deceased) or (
        status is RlsStatus.RULED_OUT
    ):
        return
    if is_on_record:
        yield CardKey.DATA_01
    if situation.missing:
        return
    if status is RlsStatus.NOT_RECORDED:
        yield from _without_diagnosis(situation)
    elif is_on_record or is_opened(picture, situation.factors):
        yield from _with_diagnosis(picture, is_on_record=is_on_record)


def _without_diagnosis(situation: Situation) -> Iterator[CardKey]:
    yield CardKey.GATE_01
    if situation.policy.is_screening_on:
        yield CardKey.SCREEN_01


def _with_diagnosis(picture: Picture, *, is_on_record: bool) -> Iterator[CardKey]:
    yield from _BEFORE_GROUPS
    if treatment_choice(picture) is None:
        yield from _GROUPS[picture.group]
    if not picture.rls.is_plmd_only:
        yield CardKey.DRUG_01
        if is_on_record:
            yield CardKey.DA_01


def _met(situation: Situation) -> Iterator[CardKey]:
    """Yield the cards whose own conditions hold, whatever goes before them."""
    picture = situation.picture
    drafts = (overload_draft(picture), treatment_choice(picture), *_group_drafts(picture))
    yield from (draft.key for draft in drafts if isinstance(draft, Draft))
    cards = (
        drug_choice(picture).card,
        gate_card(picture),
        screening_card(picture, situation.factors),
    )
    yield from (card.key for card in cards if card is not None)
    if situation.missing or undecided_choice(picture, ()) is not None:
        yield CardKey.DATA_01


def _group_drafts(picture: Picture) -> Iterator[object]:
    match picture.group:
        case "esrd":
            yield kidney_draft(picture)
        case "pregnant":
            yield pregnancy_draft(picture)
        case "child":
            yield child_draft(picture)
        case "open":
            yield open_age_draft(picture)
        case _:
            yield from adult_drafts(picture)
