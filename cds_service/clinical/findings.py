"""How a factor is found: its state, the evidence for it, and why it could not be decided."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from cds_service.clinical.assessment import Evidence
from cds_service.clinical.conditions import is_possible
from cds_service.clinical.facts import (
    Analyte,
    Certainty,
    ConditionFact,
    Facts,
    Need,
    NeedState,
    Presence,
    Result,
)
from cds_service.clinical.medicines import Taken
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import Series, current, newest_first, series, usable
from cds_service.clinical.words import value_words


class Finding(NamedTuple):
    """The state of a factor; an absent one has evidence only where a record says so outright."""

    presence: Presence
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""


Find = Callable[[Picture], Finding]
Findings = Mapping[str, Find]
"""How factors are found that need more than a code group, by their id."""

_NAMES = {
    Analyte.ALCOHOL_SCORE: "AUDIT-C",
    Analyte.B12: "vitamin B12",
    Analyte.HBA1C: "HbA1c",
    Analyte.TSH: "TSH",
    Analyte.VITAMIN_D: "vitamin D",
}

_WITH_A_LINE = frozenset({Analyte.FERRITIN, Analyte.TSAT, Analyte.IRON, Analyte.TIBC, Analyte.CRP})

_UNREAD = {
    NeedState.NOT_ASKED: "not supplied",
    NeedState.FAILED: "search failed",
    NeedState.CUT_OFF: "list cut off",
}


def present(evidence: Iterable[Evidence]) -> Finding:
    """Return a factor that is there."""
    return Finding(Presence.PRESENT, tuple(evidence))


def unknown(reason: str) -> Finding:
    """Return a factor that nothing decides."""
    return Finding(Presence.UNKNOWN, reason=reason)


def unread(facts: Facts, *needs: Need) -> str:
    """Return which of these needs were not read to their end and why, "" when all were."""
    told = [f"{need.value}: {_UNREAD[state]}" for need in needs if (state := facts.needs[need]) in _UNREAD]
    return "; ".join(told)


def present_or_read(picture: Picture, evidence: list[Evidence], *needs: Need) -> Finding:
    """Return a factor by its evidence; without any it is absent if all these needs were read."""
    if evidence:
        return present(evidence)
    reason = unread(picture.facts, *needs)
    return unknown(reason) if reason else Finding(Presence.ABSENT)


def denied(picture: Picture, evidence: Iterable[Evidence], *, by: Need, also: tuple[Need, ...]) -> Finding:
    """Return a factor that a record denies outright.

    What else could show it (`also`) must have been read, and the list that denies it (`by`), as far as it was
    asked for, must have come in full: a newer entry may have been lost with the rest.
    """
    facts = picture.facts
    reason = unread(facts, *also)
    if facts.needs[by] in {NeedState.FAILED, NeedState.CUT_OFF}:
        reason = "; ".join(filter(None, (unread(facts, by), reason)))
    return unknown(reason) if reason else Finding(Presence.ABSENT, tuple(evidence))


def condition_evidence(conditions: Iterable[ConditionFact], *, is_open: bool = False) -> list[Evidence]:
    """Return Conditions as evidence; `is_open` where even a confirmed one shows the factor possibly only."""
    return [
        Evidence(c.source, c.display, c.onset or c.recorded, c.certainty, is_open or is_possible(c))
        for c in conditions
    ]


def medicine_evidence(medicines: Iterable[Taken]) -> list[Evidence]:
    """Return medicines as evidence, one item for each record."""
    return [
        Evidence(source, m.name, m.start, m.certainty, m.is_possible)
        for m in medicines
        for source in m.sources
    ]


def medicines_finding(picture: Picture, medicines: Iterable[Taken]) -> Finding:
    """Return a factor that current medicines show."""
    evidence = medicine_evidence(medicines)
    if evidence:
        return present(evidence)
    reason = unread_medicines(picture.facts)
    return unknown(reason) if reason else Finding(Presence.ABSENT)


def unread_medicines(facts: Facts) -> str:
    """Return why the list of current medicines is not complete, "" when it is."""
    needs = (Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS)
    nameless = "a medicine without a readable name" if facts.unreadable_medicines else ""
    return "; ".join(filter(None, (unread(facts, *needs), nameless)))


def result_evidence(*results: Result | None, is_possible: bool = False) -> list[Evidence]:
    """Return results as evidence."""
    return [
        Evidence(source, f"{_name(r.analyte)} {value_words(r)}", r.when, _certainty(r), is_possible)
        for r in results
        if r is not None
        for source in (r.sources or (r.source,))
    ]


def _name(analyte: Analyte) -> str:
    return _NAMES.get(analyte, analyte.value)


def _certainty(result: Result) -> Certainty:
    # A card has a line of its own for a ferritin, a saturation or a CRP that is known by its name only.
    is_said = result.analyte in _WITH_A_LINE and result.certainty is Certainty.BY_TEXT
    return Certainty.CODED if is_said else result.certainty


def measured(picture: Picture, analyte: Analyte) -> Series:
    """Return the finished results of an analyte."""
    return series(usable(picture.facts.results, analyte, picture.today))


def newest_answer(picture: Picture, analyte: Analyte, window: str) -> Result | None:
    """Return the newest answer of its look-back, None where that one is not understood."""
    answers = newest_first(usable(picture.facts.results, analyte, picture.today))
    if not answers or answers[0].unreadable is not None:
        return None
    return current(answers[0], picture.today, picture.knowledge.days(window))
