"""Sleep apnoea with or without treatment, too little sleep, insomnia (docs/rules.md R9.6 and R9.7)."""

from decimal import Decimal

from cds_service.clinical.assessment import Evidence
from cds_service.clinical.facts import Analyte, Need, PartialDate, Presence
from cds_service.clinical.findings import (
    Finding,
    Findings,
    condition_evidence,
    denied,
    measured,
    present,
    present_or_read,
    unknown,
)
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import one_decimal
from cds_service.clinical.timing import is_within

_PAP = "positive_airway_pressure"


def _apnoea(picture: Picture) -> Finding:
    """Obstructive sleep apnoea for which no treatment is seen; what is not seen may still be there."""
    found = picture.conditions.of("osa")
    treatment = _treatment(picture) if found else []
    if treatment:
        return Finding(Presence.ABSENT, tuple(treatment), "treated: positive airway pressure is on record")
    return present_or_read(picture, condition_evidence(found), Need.CONDITIONS)


def _treatment(picture: Picture) -> list[Evidence]:
    """Return what shows positive airway pressure: a device in use; its use, a procedure or words lately."""
    facts = picture.facts
    devices = [d for d in facts.devices if _PAP in d.groups and (d.is_in_use or _is_recent(picture, d.when))]
    procedures = [p for p in facts.procedures if _PAP in p.groups and _is_recent(picture, p.when)]
    told = [c for c in picture.conditions.of(_PAP) if _is_recent(picture, c.recorded or c.onset)]
    return [
        *(Evidence(d.source, d.display, d.when, d.certainty) for d in devices),
        *(Evidence(p.source, p.display, p.when) for p in procedures),
        *condition_evidence(told),
    ]


def _is_recent(picture: Picture, day: PartialDate | None) -> bool:
    return day is not None and is_within(day, picture.today, picture.knowledge.days("window.osa_treatment"))


def _deprivation(picture: Picture) -> Finding:
    """A diagnosis, or a mean sleep duration of the last days below the limit; never told by silence."""
    evidence = condition_evidence(picture.conditions.of("sleep_deprivation"))
    mean, shown = _mean_sleep(picture)
    is_short = mean is not None and mean < picture.knowledge.threshold("sleep.short")
    if is_short:
        evidence += shown
    if evidence:
        return present(evidence)
    if mean is None:
        return unknown("too few sleep durations on record")
    return denied(picture, shown, by=Need.SLEEP, also=(Need.CONDITIONS,))


def _mean_sleep(picture: Picture) -> tuple[Decimal | None, list[Evidence]]:
    """Return the mean duration in hours with its evidence, None for too few values."""
    days = picture.knowledge.days("window.sleep")
    values = [
        (r, r.interval.low)
        for r in measured(picture, Analyte.SLEEP).readable
        if r.interval is not None
        and r.interval.is_exact
        and r.interval.low is not None
        and r.when is not None
        and is_within(r.when, picture.today, days)
    ]
    if len(values) < picture.knowledge.threshold("sleep.values"):
        return None, []
    mean = sum((hours for _, hours in values), Decimal(0)) / len(values)
    newest, _ = values[0]
    text = f"mean sleep duration {one_decimal(mean)} h, {len(values)} values"
    return mean, [Evidence(newest.source, text, newest.when)]


def _insomnia(picture: Picture) -> Finding:
    """Insomnia, as a possible factor only: restless legs may be its cause."""
    evidence = condition_evidence(picture.conditions.of("insomnia"), is_open=True)
    return present_or_read(picture, evidence, Need.CONDITIONS)


FINDINGS: Findings = {
    "osa.untreated": _apnoea,
    "sleep_deprivation": _deprivation,
    "insomnia": _insomnia,
}
