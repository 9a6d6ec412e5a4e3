"""Nicotine, alcohol and caffeine (docs/rules.md R9.6).

None of them is ever concluded from silence: absent means that a record says so.
"""

from cds_service.clinical.facts import Analyte, Need, Result, Sex
from cds_service.clinical.findings import (
    Finding,
    Findings,
    condition_evidence,
    denied,
    measured,
    medicine_evidence,
    newest_answer,
    present,
    result_evidence,
    unknown,
    unread_medicines,
)
from cds_service.clinical.medicines import with_group
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import current

_WINDOW = "window.lifestyle"
_NOT_TOLD = "nothing on record says so or denies it"
_NO_SMOKER = frozenset({"former_smoker", "never_smoker"})


def _nicotine(picture: Picture) -> Finding:
    """Smoking, dependence or replacement; a former smoker is none."""
    status = newest_answer(picture, Analyte.SMOKING, _WINDOW)
    evidence = condition_evidence(picture.conditions.of("nicotine_dependence", "tobacco_use"))
    evidence += medicine_evidence(with_group(picture.medicines, "NICOTINE"))
    if status is not None and "current_smoker" in status.code:
        evidence += result_evidence(status)
    if evidence:
        return present(evidence)
    return _unless_denied(picture, status if status is not None and status.code & _NO_SMOKER else None)


def _caffeine(picture: Picture) -> Finding:
    """Dependence, a medicine with caffeine that is taken regularly, or an intake that is recorded."""
    intake = newest_answer(picture, Analyte.CAFFEINE, _WINDOW)
    taken = with_group(picture.medicines, "CAFFEINE")
    regular = [m for m in taken if not all(record.is_as_needed for record in m.records)]
    evidence = condition_evidence(picture.conditions.of("caffeine_disorder")) + medicine_evidence(regular)
    if intake is not None and "yes" in intake.code:
        evidence += result_evidence(intake)
    if evidence:
        return present(evidence)
    return _unless_denied(picture, intake if intake is not None and "no" in intake.code else None)


def _unless_denied(picture: Picture, denial: Result | None) -> Finding:
    """Return what a denial comes to where medicines could also have shown the factor."""
    if denial is None:
        return unknown(_NOT_TOLD)
    reason = unread_medicines(picture.facts)
    if reason:
        return unknown(reason)
    return denied(picture, result_evidence(denial), by=Need.SOCIAL_HISTORY, also=(Need.CONDITIONS,))


def _alcohol(picture: Picture) -> Finding:
    """Alcohol use disorder, a short alcohol score or drinks a day above the limit of the sex."""
    evidence = condition_evidence(picture.conditions.of("alcohol_disorder"))
    measures = (_score(picture), _drinks(picture))
    evidence += [item for is_much, result in measures if is_much for item in result_evidence(result)]
    if evidence:
        return present(evidence)
    moderate = [result for is_much, result in measures if is_much is False]
    is_open = any(is_much is None and result is not None for is_much, result in measures)
    if is_open or not moderate:
        return unknown(_NOT_TOLD)
    return denied(picture, result_evidence(*moderate), by=Need.SOCIAL_HISTORY, also=(Need.CONDITIONS,))


_Measure = tuple[bool | None, Result | None]
"""Whether it is much (None: cannot be told), and the result that says it (None: there is none)."""


def _score(picture: Picture) -> _Measure:
    result, is_newest = _newest(picture, Analyte.ALCOHOL_SCORE)
    if result is None or result.interval is None:
        return None, result
    lower, upper = _limits(picture, "alcohol.score")
    if result.interval.is_certainly_at_least(picture.knowledge.threshold(upper)):
        return True, result
    is_little = result.interval.is_certainly_below(picture.knowledge.threshold(lower))
    return (False if is_little and is_newest else None), result


def _drinks(picture: Picture) -> _Measure:
    result, is_newest = _newest(picture, Analyte.DRINKS)
    if result is None or result.interval is None:
        return None, result
    lower, upper = _limits(picture, "alcohol.drinks")
    if result.interval.is_certainly_above(picture.knowledge.threshold(upper)):
        return True, result
    is_little = result.interval.is_certainly_at_most(picture.knowledge.threshold(lower))
    return (False if is_little and is_newest else None), result


def _newest(picture: Picture, analyte: Analyte) -> tuple[Result | None, bool]:
    """Return the newest readable result of the look-back, and whether none that is unreadable is newer."""
    found = measured(picture, analyte)
    return current(found.newest, picture.today, picture.knowledge.days(_WINDOW)), not found.skipped


def _limits(picture: Picture, name: str) -> tuple[str, str]:
    """Return the limit below which it is little and the one from which it is much: one if sex is known."""
    male, female = f"{name}.male", f"{name}.female"
    patient = picture.facts.patient
    sex = patient.sex if patient is not None else Sex.UNKNOWN
    return {Sex.MALE: (male, male), Sex.FEMALE: (female, female)}.get(sex, (female, male))


FINDINGS: Findings = {"nicotine": _nicotine, "alcohol": _alcohol, "caffeine": _caffeine}
