"""Diabetes, thyroid, vitamins, oestrogen and phosphate, by diagnosis and laboratory (docs/rules.md R9.7)."""

from itertools import combinations

from cds_service.clinical.assessment import Evidence
from cds_service.clinical.facts import Analyte, Need, Presence, Result
from cds_service.clinical.findings import (
    Finding,
    Findings,
    condition_evidence,
    denied,
    measured,
    medicine_evidence,
    present,
    present_or_read,
    result_evidence,
    unknown,
    unread_medicines,
)
from cds_service.clinical.iron import is_above, is_at_least, is_below
from cds_service.clinical.medicines import with_group
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import current
from cds_service.clinical.timing import is_within

_NUTRITION = "window.nutrition"
_NOT_MEASURED = "no current result that decides"
_THYROID_HORMONE = "levothyroxine"


def _diabetes(picture: Picture) -> Finding:
    """A diagnosis, or two HbA1c values at or above the limit on different days: then possible."""
    evidence = condition_evidence(picture.conditions.of("diabetes"))
    if not evidence:
        evidence = result_evidence(*_two_high(picture), is_possible=True)
    return present_or_read(picture, evidence, Need.CONDITIONS, Need.METABOLIC_RESULTS)


def _two_high(picture: Picture) -> tuple[Result, ...]:
    days = picture.knowledge.days("window.hba1c")
    high = [
        r
        for r in measured(picture, Analyte.HBA1C).readable
        if r.when is not None
        and is_within(r.when, picture.today, days)
        and is_at_least(r, "hba1c.diabetes", picture.knowledge)
    ]
    apart = (pair for pair in combinations(high, 2) if _is_another_day(*pair))
    return next(apart, ())


def _is_another_day(one: Result, other: Result) -> bool:
    return one.when is not None and other.when is not None and one.when.earliest != other.when.earliest


def _hypothyroidism(picture: Picture) -> Finding:
    """A diagnosis, or a high thyrotropin while no thyroid hormone is on the list: then possible."""
    evidence = condition_evidence(picture.conditions.of("hypothyroidism"))
    if evidence:
        return present(evidence)
    newest = _current(picture, Analyte.TSH, _NUTRITION)
    if newest is None or not is_above(newest, "tsh.high", picture.knowledge):
        return present_or_read(picture, [], Need.CONDITIONS, Need.METABOLIC_RESULTS)
    if any(m.name == _THYROID_HORMONE for m in picture.medicines):
        return unknown("thyrotropin is high although thyroid hormone is on the list")
    return present(result_evidence(newest, is_possible=True))


def _vitamins(picture: Picture) -> Finding:
    groups = ("b12_or_folate_deficiency", "b12_deficiency_anemia", "folate_deficiency_anemia")
    return _deficiency(picture, groups, {Analyte.B12: "b12.low", Analyte.FOLATE: "folate.low"})


def _vitamin_d(picture: Picture) -> Finding:
    return _deficiency(picture, ("vitamin_d_deficiency",), {Analyte.VITAMIN_D: "vitamin_d.low"})


def _deficiency(picture: Picture, groups: tuple[str, ...], limits: dict[Analyte, str]) -> Finding:
    """Return a deficiency by diagnosis or low result; absent only where all were measured, none low."""
    evidence = condition_evidence(picture.conditions.of(*groups))
    newest = {analyte: _current(picture, analyte, _NUTRITION) for analyte in limits}
    evidence += _low(picture, newest, limits)
    if evidence:
        return present(evidence)
    if not all(_is_not_low(picture, newest[analyte], limit) for analyte, limit in limits.items()):
        return unknown(_NOT_MEASURED)
    return denied(
        picture,
        result_evidence(*newest.values()),
        by=Need.METABOLIC_RESULTS,
        also=(Need.CONDITIONS,),
    )


def _low(
    picture: Picture, newest: dict[Analyte, Result | None], limits: dict[Analyte, str]
) -> list[Evidence]:
    low = [r for analyte, r in newest.items() if is_below(r, limits[analyte], picture.knowledge)]
    return result_evidence(*low)


def _is_not_low(picture: Picture, result: Result | None, limit: str) -> bool:
    """Whether a result is certainly not low, and no newer one of its kind was unreadable."""
    return (
        result is not None
        and is_at_least(result, limit, picture.knowledge)
        and not measured(picture, result.analyte).skipped
    )


def _current(picture: Picture, analyte: Analyte, window: str) -> Result | None:
    return current(measured(picture, analyte).newest, picture.today, picture.knowledge.days(window))


def low_phosphate(picture: Picture) -> Result | None:
    """Return the newest phosphate if it is current and certainly low."""
    newest = _current(picture, Analyte.PHOSPHATE, "window.phosphate")
    return newest if is_below(newest, "phosphate.low", picture.knowledge) else None


def _phosphate(picture: Picture) -> Finding:
    evidence = condition_evidence(picture.conditions.of("hypophosphataemia"))
    evidence += result_evidence(low_phosphate(picture))
    if evidence:
        return present(evidence)
    newest = _current(picture, Analyte.PHOSPHATE, "window.phosphate")
    if not _is_not_low(picture, newest, "phosphate.low"):
        return unknown(_NOT_MEASURED)
    return denied(picture, result_evidence(newest), by=Need.METABOLIC_RESULTS, also=(Need.CONDITIONS,))


def _hormone_therapy(picture: Picture) -> Finding:
    """Hormone replacement on the problem list, or an oestrogen among the current medicines."""
    evidence = condition_evidence(picture.conditions.of("hormone_therapy"))
    evidence += medicine_evidence(with_group(picture.medicines, "ESTROGEN"))
    finding = present_or_read(picture, evidence, Need.CONDITIONS)
    reason = unread_medicines(picture.facts)
    return unknown(reason) if finding.presence is Presence.ABSENT and reason else finding


FINDINGS: Findings = {
    "diabetes": _diabetes,
    "hypothyroidism": _hypothyroidism,
    "b12_folate": _vitamins,
    "vitamin_d": _vitamin_d,
    "phosphate.low": _phosphate,
    "hormone_therapy": _hormone_therapy,
}
