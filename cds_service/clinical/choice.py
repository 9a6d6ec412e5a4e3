"""What a slot of the answer (iron card, medicine card) came to: a card or silence, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cds_service.clinical.assessment import (
    CardDecision,
    CardKey,
    Deciding,
    DetailLine,
    Form,
    Indicator,
    NotChecked,
    Order,
)
from cds_service.clinical.facts import Result, Source
from cds_service.clinical.iron import rests_on_unknown_status

FERRITIN_AND_PANEL = (Order.FERRITIN, Order.IRON_PANEL)


@dataclass(frozen=True, slots=True)
class Choice:
    """A card, or None with the reason for the silence; `why_not` explains single cards."""

    card: CardDecision | None
    reason: str
    why_not: Mapping[CardKey, str] = field(default_factory=dict)


def silent(reason: str, why_not: Mapping[CardKey, str] | None = None) -> Choice:
    """Return a choice for no card."""
    return Choice(None, reason, why_not or {})


@dataclass(frozen=True, slots=True)
class Draft:
    """A card in the making: what its own rule says, before the parts that all iron cards share."""

    key: CardKey
    indicator: Indicator
    form: Form
    values: Mapping[str, str]
    deciding: tuple[Deciding, ...]
    results: tuple[Result, ...] = ()
    orders: tuple[Order, ...] = ()
    lines: tuple[DetailLine, ...] = ()
    rules: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    is_only_advice_to_test: bool = False
    is_treatment_named: bool = False


def finish(
    draft: Draft,
    *,
    lines: Iterable[DetailLine],
    not_checked: tuple[NotChecked, ...],
    factor_ids: tuple[str, ...],
) -> CardDecision:
    """Return the card; a deciding value of unknown status keeps it at `info`."""
    indicator = Indicator.INFO if rests_on_unknown_status(*draft.results) else draft.indicator
    result_sources = (s for r in draft.results for s in (r.sources or (r.source,)))
    return CardDecision(
        key=draft.key,
        indicator=indicator,
        form=draft.form,
        values=draft.values,
        deciding=draft.deciding,
        rules=(draft.key.value, *draft.rules),
        orders=draft.orders,
        lines=(*draft.lines, *lines),
        not_checked=not_checked,
        factor_ids=factor_ids,
        sources=(*result_sources, *draft.sources),
    )
