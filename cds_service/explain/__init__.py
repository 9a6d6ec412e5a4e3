"""Why an answer is as it is, as data: every factor, every rule with its inputs, every card that is not shown.

It tells no more of a record than a card may: text of the record is neutralised and cut as on a card, and of
the Patient no id is given.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Literal

from cds_service.clinical.assessment import Assessment, CardDecision, CardKey, Evidence, Factor, Policy
from cds_service.clinical.facts import Certainty, Facts, IronSearch, Need, NeedState, Source
from cds_service.clinical.inputs import Reading
from cds_service.clinical.trace import RuleOutcome, RuleTrace, Trace, trace
from cds_service.explain.model import (
    CardTold,
    Explanation,
    FactorTold,
    InputTold,
    IssueTold,
    KnowledgeTold,
    LimitTold,
    NotShown,
    RestlessLegs,
    RuleTold,
    Seen,
    SourceRef,
)
from cds_service.knowledge import Knowledge
from cds_service.knowledge.basis import CardBasis, basis_of
from cds_service.rendering.neutral import plain

__all__ = ["Explanation", "explain"]

_TURNED_DOWN = "this advice was turned down lately"
_LONGEST_REASON = 300


def explain(
    facts: Facts,
    assessment: Assessment,
    knowledge: Knowledge,
    *,
    today: date,
    policy: Policy,
    quiet: Collection[CardKey] = (),
) -> Explanation:
    """Return the explanation of an assessment; `quiet` are cards that earlier answers keep back."""
    told = trace(facts, assessment, knowledge, today=today, policy=policy)
    outcomes = {one.key: _quieted(one) if one.key in quiet else one for one in told.rules}
    rules = tuple(_rules(assessment, knowledge, outcomes))
    return Explanation.model_validate(
        {
            "day": today,
            "outcome": assessment.outcome.value,
            "knowledge": KnowledgeTold(version=knowledge.version, hash=knowledge.hash),
            "restless_legs": _restless_legs(assessment),
            "group": told.group,
            "missing": assessment.missing,
            "data": {need.value: facts.needs.get(need, NeedState.NOT_ASKED).value for need in Need},
            "iron_results": {
                search.value: facts.iron_searches.get(search, NeedState.NOT_ASKED).value
                for search in IronSearch
            },
            "cards": tuple(_card(card) for card in assessment.cards if card.key not in quiet),
            "cards_not_shown": tuple(_not_shown(outcomes.values())),
            "factors": tuple(_factor(factor, knowledge) for factor in assessment.factors),
            "rules": rules,
            "inputs": tuple(_inputs(told)),
            "limits": tuple(_limits(rules, knowledge)),
            "issues": tuple(_issues(facts)),
        },
    )


def _quieted(rule: RuleTrace) -> RuleTrace:
    return RuleTrace(rule.key, RuleOutcome.HELD_BACK, _TURNED_DOWN)


def _restless_legs(assessment: Assessment) -> RestlessLegs:
    return RestlessLegs(
        status=assessment.rls.value,
        is_limb_movements_alone=assessment.is_plmd_only,
        presentation=assessment.presentation,
        sources=tuple(_source(source) for source in assessment.rls_sources),
    )


def _source(source: Source) -> SourceRef:
    has_id = source.resource_id is not None and source.resource_type != "Patient"
    return SourceRef(
        resource_type=plain(source.resource_type),
        id=plain(source.resource_id or "") if has_id else None,
    )


def _seen(items: Iterable[Evidence]) -> tuple[Seen, ...]:
    return tuple(
        Seen(
            text=plain(item.text),
            source=_source(item.source),
            date=plain(item.when.shown) if item.when is not None else None,
            recognised=_recognised(item),
            is_possible=item.is_possible,
        )
        for item in items
    )


def _recognised(item: Evidence) -> Literal["by code (site map)", "by text"] | None:
    match item.certainty:
        case Certainty.SITE_MAP:
            return "by code (site map)"
        case Certainty.BY_TEXT:
            return "by text"
        case _:
            return None


def _card(card: CardDecision) -> CardTold:
    return CardTold.model_validate(
        {
            "card": card.key.value,
            "topic_code": card.key.topic_code,
            "indicator": card.indicator.name.lower(),
            "form": card.form.value,
            "rules": tuple(dict.fromkeys(card.rules)),
        },
    )


def _not_shown(rules: Iterable[RuleTrace]) -> Iterator[NotShown]:
    for rule in rules:
        if rule.outcome is not RuleOutcome.SHOWN:
            yield NotShown.model_validate(
                {
                    "card": rule.key.value,
                    "topic_code": rule.key.topic_code,
                    "outcome": rule.outcome.value,
                    "reason": plain(rule.reason, _LONGEST_REASON),
                },
            )


def _factor(factor: Factor, knowledge: Knowledge) -> FactorTold:
    definition = knowledge.factors[factor.id]
    return FactorTold.model_validate(
        {
            "id": factor.id,
            "name": definition.name,
            "presence": factor.presence.value,
            "weight": factor.weight,
            "check": definition.check.value,
            "awaits_review": definition.check.awaits_review,
            "citations": definition.citations,
            "action": definition.action,
            "reason": plain(factor.reason) if factor.reason else "",
            "evidence": _seen(factor.evidence),
        },
    )


def _rules(
    assessment: Assessment, knowledge: Knowledge, outcomes: Mapping[CardKey, RuleTrace]
) -> Iterator[RuleTold]:
    """Yield the rule of every card, then the project rules with the outcome that their cards give them."""
    cards = basis_of(knowledge).cards
    for key, rule in outcomes.items():
        yield _rule(key.value, rule.outcome, rule.reason, cards[key.value], knowledge)
    named = {
        name
        for card in assessment.cards
        if outcomes[card.key].outcome is RuleOutcome.SHOWN
        for name in card.rules
    }
    for name in knowledge.rules:
        if name not in cards:
            yield _project_rule(name, knowledge, is_named=name in named)


def _rule(
    rule_id: str, outcome: RuleOutcome, reason: str, basis: CardBasis, knowledge: Knowledge
) -> RuleTold:
    rule = knowledge.rules[rule_id]
    return RuleTold(
        id=rule_id,
        text=rule.text,
        outcome=outcome.value,
        check=rule.check.value,
        awaits_review=rule.awaits_review,
        citations=rule.citations,
        reason=plain(reason, _LONGEST_REASON) if reason else "",
        conditions=basis.conditions,
        inputs=basis.inputs,
        limits=basis.limits,
    )


def _project_rule(rule_id: str, knowledge: Knowledge, *, is_named: bool) -> RuleTold:
    rule = knowledge.rules[rule_id]
    holders = [card for card in basis_of(knowledge).cards.values() if rule_id in card.rules]
    return RuleTold(
        id=rule_id,
        text=rule.text,
        outcome="shown" if is_named else "not reached",
        check=rule.check.value,
        awaits_review=rule.awaits_review,
        citations=rule.citations,
        reason="" if is_named else f"named only on {', '.join(card.key for card in holders)}",
        inputs=tuple(dict.fromkeys(name for card in holders for name in card.inputs)),
    )


def _inputs(told: Trace) -> Iterator[InputTold]:
    yield from (_input(name, reading) for name, reading in told.readings.items())


def _input(name: str, reading: Reading) -> InputTold:
    return InputTold(
        name=name,
        presence=reading.presence.value,
        value=plain(reading.value) if reading.value else "",
        evidence=_seen(reading.evidence),
    )


def _limits(rules: Iterable[RuleTold], knowledge: Knowledge) -> Iterator[LimitTold]:
    for name in dict.fromkeys(name for rule in rules for name in rule.limits):
        limit = knowledge.thresholds[name]
        yield LimitTold(
            id=name,
            value=limit.value,
            unit=limit.unit,
            check=limit.check.value,
            valid_from=limit.valid_from,
        )


def _issues(facts: Facts) -> Iterator[IssueTold]:
    for issue in facts.issues:
        yield IssueTold(
            resource_type=plain(issue.resource_type),
            kind=issue.kind.value,
            detail=plain(issue.detail) if issue.detail else "",
            count=issue.count,
        )
