"""Iron treatment in course: IRON-13 after intravenous iron, IRON-12 and IRON-12b on oral iron."""

from cds_service.clinical.assessment import CardKey, Deciding, Form, Indicator
from cds_service.clinical.choice import FERRITIN_AND_PANEL, Choice, Draft, silent
from cds_service.clinical.facts import PartialDate, Result
from cds_service.clinical.iron import is_above, is_at_least, is_at_most, is_below
from cds_service.clinical.iron_adult import panel_if_missing, unreadable_values
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import current
from cds_service.clinical.timing import AgeClass, add_days
from cds_service.clinical.words import date_words, deciding, result_values

_ORAL_RULES = ("P.oral_iron.result",)


def treatment_choice(picture: Picture) -> Draft | Choice | None:
    """Return the card or the silence of a treatment under way, None when none is."""
    return _after_intravenous(picture) or (_on_oral(picture) if picture.iron.oral else None)


def _after_intravenous(picture: Picture) -> Draft | Choice | None:
    dose, days = picture.iron.dose, picture.iron.days_since_dose
    if dose is None or days is None or days > picture.knowledge.days("window.iv_iron.recheck"):
        return None
    unreliable = picture.knowledge.days("window.iv_iron.unreliable")
    due = add_days(dose.day, unreliable + 1)
    if days <= unreliable:
        return silent(f"intravenous iron {days} days ago: ferritin is not reliable before {due.isoformat()}")
    if picture.iron.ferritin.newest is not None:
        return None
    return Draft(
        CardKey.IRON_13,
        Indicator.INFO,
        Form.STANDARD,
        {
            "date": date_words(dose.day),
            "due": date_words(due),
            "days": str(days),
            "drug": dose.ingredient,
        },
        (Deciding("intravenous iron", dose.ingredient, "", date_words(dose.day)),),
        orders=FERRITIN_AND_PANEL,
        sources=(dose.source,),
        is_only_advice_to_test=True,
    )


def _oral_start(picture: Picture) -> PartialDate | None:
    starts = [s for s in (m.start for m in picture.iron.oral) if s is not None]
    return min(starts, key=lambda s: (s.earliest, s.shown), default=None)


def _on_oral(picture: Picture) -> Draft | Choice:
    start = _oral_start(picture)
    if start is None:
        return _start_unknown(picture)
    days = (picture.today - start.earliest).days
    due_after = picture.knowledge.days("window.oral_iron.recheck")
    if days < due_after:
        due = add_days(start.earliest, due_after)
        return silent(f"oral iron for {days} days: a recheck is due on {due.isoformat()}")
    ferritin = _ferritin_on_treatment(picture, start)
    if ferritin is None:
        return _recheck(picture, start, None, Form.STANDARD)
    return _judge(picture, start, ferritin, days)


def _ferritin_on_treatment(picture: Picture, start: PartialDate) -> Result | None:
    """Return the newest readable ferritin that shows the effect of the tablets."""
    newest = current(picture.iron.ferritin.newest, picture.today, picture.knowledge.days("window.result"))
    if newest is None or newest.when is None:
        return None
    shows_from = add_days(start.earliest, picture.knowledge.days("window.oral_iron.result"))
    return newest if newest.when.earliest >= shows_from else None


def _judge(picture: Picture, start: PartialDate, ferritin: Result, days: int) -> Draft | Choice:
    knowledge = picture.knowledge
    is_low_for_child = is_below(ferritin, "ferritin.treat.child", knowledge)
    is_high_for_child = is_at_least(ferritin, "ferritin.treat.child", knowledge)
    is_low_for_adult = is_at_most(ferritin, "ferritin.treat.adult", knowledge)
    is_high_for_adult = is_above(ferritin, "ferritin.treat.adult", knowledge)
    if picture.age.is_open:
        is_low, is_high = is_low_for_child, is_high_for_adult
    elif picture.age is AgeClass.CHILD:
        is_low, is_high = is_low_for_child, is_high_for_child
    else:
        is_low, is_high = is_low_for_adult, is_high_for_adult
    if is_high:
        return silent("oral iron: the newest ferritin has passed its target")
    if is_low:
        return _still_low(picture, start, ferritin, days)
    if picture.age.is_open and is_high_for_child and is_low_for_adult:
        return _recheck(picture, start, ferritin, Form.AGE_OPEN)
    return _recheck(picture, start, ferritin, Form.UNREADABLE)


def _still_low(picture: Picture, start: PartialDate, ferritin: Result, days: int) -> Draft:
    drawn = (ferritin.when.earliest - start.earliest).days if ferritin.when is not None else days
    values = {
        "days": str(days),
        "drawn_day": str(drawn),
        "group": picture.group,
        "start": date_words(start),
    }
    return Draft(
        CardKey.IRON_12B,
        Indicator.WARNING,
        Form.STANDARD,
        result_values(ferritin, "value") | values,
        (deciding("ferritin", ferritin), Deciding("oral iron", "", "", date_words(start))),
        results=(ferritin,),
        orders=panel_if_missing(picture),
        rules=_ORAL_RULES,
        sources=tuple(s for m in picture.iron.oral for s in m.sources),
        is_treatment_named=True,
    )


def _recheck(picture: Picture, start: PartialDate, ferritin: Result | None, form: Form) -> Draft:
    due = add_days(start.earliest, picture.knowledge.days("window.oral_iron.recheck"))
    values = {"start": date_words(start), "due": date_words(due)}
    shown = ferritin or picture.iron.ferritin.newest
    if shown is not None:
        values |= result_values(shown, "value")
    if form is Form.UNREADABLE and ferritin is not None:
        values |= {k: v for k, v in unreadable_values(ferritin).items() if k in {"reason", "raw"}}
    if form is Form.AGE_OPEN:
        values["age_reason"] = picture.age.value
    return Draft(
        CardKey.IRON_12,
        Indicator.INFO,
        form,
        values,
        (
            Deciding("oral iron", "", "", date_words(start)),
            *((deciding("ferritin", ferritin),) if ferritin else ()),
        ),
        results=(ferritin,) if ferritin else (),
        orders=FERRITIN_AND_PANEL,
        rules=_ORAL_RULES,
        sources=tuple(s for m in picture.iron.oral for s in m.sources),
        is_only_advice_to_test=True,
    )


def _start_unknown(picture: Picture) -> Draft | Choice:
    days = picture.knowledge.days("window.oral_iron.quiet_unknown_start")
    if current(picture.iron.ferritin.newest, picture.today, days) is not None:
        return silent(f"oral iron without a start date: a ferritin of the last {days} days exists")
    newest = picture.iron.ferritin.newest
    return Draft(
        CardKey.IRON_12,
        Indicator.INFO,
        Form.START_UNKNOWN,
        result_values(newest, "value") if newest else {},
        (Deciding("oral iron", "start not recorded"),),
        orders=FERRITIN_AND_PANEL,
        rules=("P.oral_iron.start_unknown",),
        sources=tuple(s for m in picture.iron.oral for s in m.sources),
        is_only_advice_to_test=True,
    )
