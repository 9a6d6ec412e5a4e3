"""An answer as text for a terminal: the cards, every factor and rule, and why other cards were not shown."""

import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cds_service.assess import Answer
from cds_service.clinical.assessment import Outcome
from cds_service.protocol.responses import Card

if TYPE_CHECKING:
    from cds_service.explain.model import Explanation, FactorTold, Seen

_NARROWEST, _WIDEST = 60, 100
_FACTOR_TITLES: Mapping[str, str] = {
    "present": "Factors present",
    "absent": "Factors absent (looked for and not there)",
    "unknown": "Factors unknown (not read, or not decidable)",
}
_STATES = ("answered", "cut off", "failed", "not asked")


def line_width(widest: int = _WIDEST) -> int:
    """Return the columns to write in: the terminal's, within what reads well."""
    return max(_NARROWEST, min(widest, shutil.get_terminal_size((_WIDEST, 24)).columns))


def cards_text(answer: Answer, width: int) -> str:
    """Return the cards as a reader sees them; no cards and no assessment are told apart."""
    if answer.assessment.outcome is Outcome.REQUIRED_DATA_MISSING:
        return f"No assessment: not available were {' and '.join(answer.assessment.missing)}."
    shown = [_card(card, width) for card in answer.cards]
    return "\n\n".join(shown) if shown else "No card: the service has nothing to say."


def _heading(told: "Explanation") -> str:
    legs = told.restless_legs
    parts = (f"Restless legs syndrome: {legs.status}", f"patient group: {told.group}", legs.presentation)
    return "; ".join(part for part in parts if part)


def explain_text(told: "Explanation", width: int) -> str:
    """Return what the rules found and why, in sections."""
    sections = [
        _heading(told),
        _section("Data", _needs(told, width)),
        *(_section(title, _factors(told, presence, width)) for presence, title in _FACTOR_TITLES.items()),
        _section("What the rules read", _inputs(told, width)),
        _section("Cards not shown", _not_shown(told, width)),
    ]
    if told.issues:
        sections.append(_section("Cleaned up or skipped while reading", _issues(told, width)))
    return "\n\n".join(sections)


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([title, "-" * len(title), *(lines or ["  none"])])


def _card(card: Card, width: int) -> str:
    heading = _wrapped(card.summary, width, f"[{card.indicator}] ", "  ")
    parts = [heading]
    if card.detail:
        parts.append("\n".join(_detail_line(line, width) for line in card.detail.splitlines()))
    if card.suggestions:
        parts.append("\n".join(f"    > {suggestion.label}" for suggestion in card.suggestions))
    return "\n\n".join(parts)


def _detail_line(line: str, width: int) -> str:
    if not line.strip():
        return ""
    is_item = line.lstrip().startswith(("- ", "* "))
    return _wrapped(line.strip(), width, "    ", "      " if is_item else "    ")


def _needs(told: "Explanation", width: int) -> list[str]:
    by_state: dict[str, list[str]] = {}
    for need, state in told.data.items():
        by_state.setdefault(state, []).append(need)
    return [
        _wrapped(", ".join(by_state[state]), width, f"  {state + ':':<12}", " " * 14)
        for state in _STATES
        if state in by_state
    ]


def _factors(told: "Explanation", presence: str, width: int) -> list[str]:
    found = [factor for factor in told.factors if factor.presence == presence]
    if presence == "absent":
        names = ", ".join(factor.name for factor in found)
        return [_wrapped(names, width, "  ", "  ")] if names else []
    return [line for factor in found for line in _factor(factor, width)]


def _factor(factor: "FactorTold", width: int) -> list[str]:
    heading = f"{factor.name} [{factor.id}, weight {factor.weight}]"
    told = f"{heading}: {factor.reason}" if factor.reason else heading
    return [_wrapped(told, width, "  ", "    "), *_evidence_lines(factor.evidence, width)]


def _evidence_lines(evidence: "Iterable[Seen]", width: int) -> list[str]:
    return [_wrapped(_evidence(item), width, "      ", "        ") for item in evidence]


def _evidence(item: "Seen") -> str:
    parts = [item.text]
    if item.date is not None and item.date not in item.text:
        parts.append(item.date)
    if item.recognised is not None:
        parts.append(item.recognised)
    if item.is_possible:
        parts.append("possible")
    return f"{', '.join(parts)} ({item.source.resource_type}/{item.source.id or '(no id)'})"


def _inputs(told: "Explanation", width: int) -> list[str]:
    """Return what was there in full, and the names of the rest."""
    lines = [
        line
        for one in told.inputs
        if one.presence == "present"
        for line in (
            _wrapped(f"{one.name}: {one.value}", width, "  ", "    "),
            *_evidence_lines(one.evidence, width),
        )
    ]
    for presence in ("absent", "unknown"):
        names = ", ".join(one.name for one in told.inputs if one.presence == presence)
        if names:
            lines.append(_wrapped(names, width, f"  {presence}: ", "    "))
    return lines


def _not_shown(told: "Explanation", width: int) -> list[str]:
    """Return each reason once, with the cards that it keeps back."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for card in told.cards_not_shown:
        by_reason.setdefault((card.outcome, card.reason), []).append(card.card)
    return [
        line
        for (outcome, reason), keys in by_reason.items()
        for line in (
            _wrapped(", ".join(keys), width, "  ", "  "),
            _wrapped(f"{outcome}: {reason}", width, "      ", "      "),
        )
    ]


def _issues(told: "Explanation", width: int) -> list[str]:
    return [
        _wrapped(
            f"{issue.resource_type}: {issue.kind}{f' ({issue.detail})' if issue.detail else ''}"
            f"{f', {issue.count} times' if issue.count > 1 else ''}",
            width,
            "  ",
            "    ",
        )
        for issue in told.issues
    ]


def _wrapped(text: str, width: int, first: str, later: str) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
