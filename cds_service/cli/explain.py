"""An answer as text for a terminal: the cards, every factor, and why other cards were not shown."""

import shutil
import textwrap
from collections.abc import Callable, Mapping

from cds_service.assess import Answer
from cds_service.clinical.assessment import Assessment, Evidence, Factor, Outcome
from cds_service.clinical.facts import Certainty, Facts, Need, NeedState, Presence
from cds_service.protocol.responses import Card
from cds_service.rendering.neutral import plain

NameOf = Callable[[str], str]
"""The reader's name of a factor id."""

_NARROWEST, _WIDEST = 60, 100


def line_width(widest: int = _WIDEST) -> int:
    """Return the columns to write in: the terminal's, within what reads well."""
    return max(_NARROWEST, min(widest, shutil.get_terminal_size((_WIDEST, 24)).columns))


def cards_text(answer: Answer, width: int) -> str:
    """Return the cards as a reader sees them; no cards and no assessment are told apart."""
    if answer.assessment.outcome is Outcome.REQUIRED_DATA_MISSING:
        return f"No assessment: not available were {' and '.join(answer.assessment.missing)}."
    shown = [_card(card, width) for card in answer.cards]
    return "\n\n".join(shown) if shown else "No card: the service has nothing to say."


def explain_text(answer: Answer, name_of: NameOf, width: int) -> str:
    """Return what the rules found and why, in sections."""
    assessment = answer.assessment
    sections = [
        f"Restless legs syndrome: {assessment.rls.value}",
        _section("Data", _needs(answer.facts, width)),
        *(
            _section(_FACTOR_TITLES[presence], _factors(assessment, presence, name_of, width))
            for presence in Presence
        ),
        _section("Cards not shown", _withheld(assessment, width)),
    ]
    if answer.facts.issues:
        sections.append(_section("Cleaned up or skipped while reading", _issues(answer.facts, width)))
    return "\n\n".join(sections)


def explain_plain(answer: Answer, name_of: NameOf) -> dict[str, object]:
    """Return the same explanation as plain values for JSON."""
    assessment = answer.assessment
    return {
        "restlessLegs": assessment.rls.value,
        "data": {need.value: state.value for need, state in answer.facts.needs.items()},
        "factors": [_factor_plain(factor, name_of) for factor in assessment.factors],
        "withheld": [{"card": item.key.value, "reason": item.reason} for item in assessment.withheld],
    }


_FACTOR_TITLES: Mapping[Presence, str] = {
    Presence.PRESENT: "Factors present",
    Presence.ABSENT: "Factors absent (looked for and not there)",
    Presence.UNKNOWN: "Factors unknown (not read, or not decidable)",
}


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


def _needs(facts: Facts, width: int) -> list[str]:
    by_state: dict[NeedState, list[str]] = {}
    for need in Need:
        by_state.setdefault(facts.needs.get(need, NeedState.NOT_ASKED), []).append(need.value)
    return [
        _wrapped(", ".join(by_state[state]), width, f"  {state.value + ':':<12}", " " * 14)
        for state in NeedState
        if state in by_state
    ]


def _factors(assessment: Assessment, presence: Presence, name_of: NameOf, width: int) -> list[str]:
    found = [factor for factor in assessment.factors if factor.presence is presence]
    if presence is Presence.ABSENT:
        names = ", ".join(name_of(factor.id) for factor in found)
        return [_wrapped(names, width, "  ", "  ")] if names else []
    return [line for factor in found for line in _factor(factor, name_of, width)]


def _factor(factor: Factor, name_of: NameOf, width: int) -> list[str]:
    heading = f"{name_of(factor.id)} [{factor.id}, weight {factor.weight}]"
    told = f"{heading}: {factor.reason}" if factor.reason else heading
    return [
        _wrapped(told, width, "  ", "    "),
        *(_wrapped(_evidence(item), width, "      ", "        ") for item in factor.evidence),
    ]


def _evidence(item: Evidence) -> str:
    # A record may hold control characters; a terminal obeys them.
    parts = [plain(item.text)]
    if item.when is not None and item.when.shown not in item.text:
        parts.append(item.when.shown)
    if item.certainty is not Certainty.CODED:
        parts.append(item.certainty.value)
    if item.is_possible:
        parts.append("possible")
    return f"{', '.join(parts)} ({item.source})"


def _withheld(assessment: Assessment, width: int) -> list[str]:
    """Return each reason once, with the cards that it keeps back."""
    by_reason: dict[str, list[str]] = {}
    for item in assessment.withheld:
        by_reason.setdefault(item.reason, []).append(item.key.value)
    return [
        line
        for reason, keys in by_reason.items()
        for line in (
            _wrapped(", ".join(keys), width, "  ", "  "),
            _wrapped(reason, width, "      ", "      "),
        )
    ]


def _issues(facts: Facts, width: int) -> list[str]:
    return [
        _wrapped(
            f"{issue.resource_type}: {issue.kind.value}{f' ({issue.detail})' if issue.detail else ''}"
            f"{f', {issue.count} times' if issue.count > 1 else ''}",
            width,
            "  ",
            "    ",
        )
        for issue in facts.issues
    ]


def _factor_plain(factor: Factor, name_of: NameOf) -> dict[str, object]:
    return {
        "id": factor.id,
        "name": name_of(factor.id),
        "presence": factor.presence.value,
        "weight": factor.weight,
        "reason": factor.reason,
        "evidence": [_evidence(item) for item in factor.evidence],
    }


def _wrapped(text: str, width: int, first: str, later: str) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
