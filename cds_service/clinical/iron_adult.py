"""The adult iron cards: 16 unreadable, 01 never, 02 stale, 11 discordant, 10 inflamed, 03, 04, 05."""

from collections.abc import Iterator

from cds_service.clinical.assessment import CardKey, Deciding, DetailLine, Form, Indicator, Line, Order
from cds_service.clinical.choice import FERRITIN_AND_PANEL, Choice, Draft, silent
from cds_service.clinical.detail import assay_line, line
from cds_service.clinical.facts import IronSearch, Result, Unreadable
from cds_service.clinical.iron import inflamed_by, is_above, is_at_least, is_at_most, is_below
from cds_service.clinical.picture import Picture
from cds_service.clinical.words import age_words, date_words, deciding, result_values

INDETERMINATE = "indeterminate"


def adult_draft(picture: Picture) -> Draft | Choice:
    """Return the card of an adult who is neither pregnant nor in kidney failure, or the silence."""
    return next(adult_drafts(picture), None) or silent("the current ferritin is above 100 ng/mL: adequate")


def adult_drafts(picture: Picture) -> Iterator[Draft]:
    """Yield the cards whose own condition holds for an adult, in the order in which they decide."""
    newest, ferritin = picture.iron.ferritin.newest, picture.iron.current_ferritin
    if newest is None:
        yield missing_draft(picture)
    elif ferritin is None:
        yield stale_draft(picture, newest)
    else:
        yield from _drafts_of(picture, ferritin)


def _drafts_of(picture: Picture, ferritin: Result) -> Iterator[Draft]:
    # Asked one by one: the first is mostly the only one that is wanted.
    for rule in (_discordant, _inflamed, _band_or_indeterminate):
        draft = rule(picture, ferritin)
        if draft is not None:
            yield draft


def open_age_draft(picture: Picture) -> Draft | Choice:
    """Return the card of a patient who may be an adult or a child."""
    newest, ferritin = picture.iron.ferritin.newest, picture.iron.current_ferritin
    if newest is None:
        return missing_draft(picture)
    if ferritin is None:
        return stale_draft(picture, newest)
    if is_below(ferritin, "ferritin.treat.child", picture.knowledge):
        return Draft(
            CardKey.IRON_03,
            Indicator.WARNING,
            Form.AGE_OPEN,
            result_values(ferritin, "value") | {"age_reason": picture.age.value},
            (deciding("ferritin", ferritin),),
            results=(ferritin,),
            orders=panel_if_missing(picture),
            is_treatment_named=True,
        )
    as_adult = adult_draft_of(picture, ferritin)
    is_child_silent = is_at_least(ferritin, "ferritin.treat.child", picture.knowledge)
    if as_adult is None and is_child_silent:
        return silent("neither an adult nor a child with this ferritin gets a card")
    values = result_values(ferritin, "value") | {"age_reason": picture.age.value}
    if as_adult is not None and as_adult.form is Form.UNREADABLE:
        values["reason"] = INDETERMINATE
    tsat_alone, lines = _tsat_alone(picture)
    return Draft(
        CardKey.IRON_16,
        Indicator.INFO,
        Form.AGE_AND_UNREADABLE,
        values,
        (deciding("ferritin", ferritin), *_deciding_tsat(tsat_alone)),
        results=(ferritin, *tsat_alone),
        orders=FERRITIN_AND_PANEL,
        lines=lines,
        is_only_advice_to_test=not tsat_alone,
    )


def adult_draft_of(picture: Picture, ferritin: Result) -> Draft | None:
    """Return what an adult with this current ferritin gets, None for silence."""
    return next(_drafts_of(picture, ferritin), None)


def panel_if_missing(picture: Picture) -> tuple[Order, ...]:
    """Return the iron panel when no current transferrin saturation is known."""
    return () if picture.iron.current_tsat is not None else (Order.IRON_PANEL,)


def missing_draft(picture: Picture) -> Draft:
    """Return IRON-16 or IRON-01 where no readable dated ferritin exists."""
    results = picture.iron.ferritin
    tsat_alone, lines = _tsat_alone(picture)
    if results.is_only_unreadable:
        return Draft(
            CardKey.IRON_16,
            Indicator.INFO,
            Form.UNREADABLE,
            unreadable_values(results.skipped[0]),
            (_unreadable_deciding(results.skipped[0]), *_deciding_tsat(tsat_alone)),
            results=tsat_alone,
            orders=FERRITIN_AND_PANEL,
            lines=lines,
            sources=tuple(r.source for r in results.skipped),
            is_only_advice_to_test=not tsat_alone,
        )
    return Draft(
        CardKey.IRON_01,
        Indicator.INFO,
        Form.STANDARD,
        {},
        (Deciding("ferritin", "none"), *_deciding_tsat(tsat_alone)),
        results=tsat_alone,
        orders=FERRITIN_AND_PANEL,
        lines=lines,
        is_only_advice_to_test=not tsat_alone,
    )


def stale_draft(picture: Picture, stale: Result) -> Draft:
    """Return IRON-02 for a newest readable ferritin that is too old."""
    tsat_alone, lines = _tsat_alone(picture)
    return Draft(
        CardKey.IRON_02,
        Indicator.INFO,
        Form.STANDARD,
        result_values(stale, "value") | {"age": age_words(stale, picture.today)},
        (deciding("ferritin", stale), *_deciding_tsat(tsat_alone)),
        results=(stale, *tsat_alone),
        orders=FERRITIN_AND_PANEL,
        lines=lines,
        is_only_advice_to_test=not tsat_alone,
    )


def _tsat_alone(picture: Picture) -> tuple[tuple[Result, ...], tuple[DetailLine, ...]]:
    """Return a current low saturation that meets the guideline's criterion without a ferritin."""
    tsat = picture.iron.current_tsat
    if tsat is None or not is_below(tsat, "tsat.low", picture.knowledge):
        return (), ()
    return (tsat,), (line(Line.TSAT_ALONE, **result_values(tsat, "value")),)


def _deciding_tsat(results: tuple[Result, ...]) -> tuple[Deciding, ...]:
    return tuple(deciding("transferrin saturation", r) for r in results)


def unreadable_values(result: Result) -> dict[str, str]:
    """Return the template values of a result that cannot be interpreted."""
    reason = result.unreadable.value if result.unreadable else INDETERMINATE
    values = {"reason": reason, "raw": result.shown}
    if result.when is not None and result.unreadable is not Unreadable.NO_DATE:
        values["date"] = date_words(result.when)
    return {key: value for key, value in values.items() if value}


def _unreadable_deciding(result: Result) -> Deciding:
    return Deciding("ferritin not readable", result.shown, "", date_words(result.when))


def _discordant(picture: Picture, ferritin: Result) -> Draft | None:
    tsat = picture.iron.current_tsat
    knowledge = picture.knowledge
    if tsat is None or not is_below(tsat, "tsat.low", knowledge):
        return None
    if not is_above(ferritin, "ferritin.treat.adult", knowledge):
        return None
    is_up_to_100 = is_at_most(ferritin, "ferritin.iv.adult", knowledge)
    is_above_100 = is_above(ferritin, "ferritin.iv.adult", knowledge)
    band = "75-100" if is_up_to_100 else "above 100" if is_above_100 else "above 75"
    values = result_values(ferritin, "value") | result_values(tsat, "tsat") | {"band": band}
    has_crp = _crp(picture, ferritin) is not None
    return Draft(
        CardKey.IRON_11,
        Indicator.WARNING if is_up_to_100 else Indicator.INFO,
        Form.STANDARD,
        values,
        (deciding("ferritin", ferritin), deciding("transferrin saturation", tsat)),
        results=(ferritin, tsat),
        orders=() if has_crp else (Order.CRP,),
        lines=tuple(assay_line(picture, ferritin)),
        is_treatment_named=True,
    )


def _crp(picture: Picture, ferritin: Result) -> Result | None:
    return picture.iron.crp_near(ferritin, picture.knowledge.days("window.crp"))


def _inflamed(picture: Picture, ferritin: Result) -> Draft | None:
    knowledge = picture.knowledge
    # A saturation that could not be read may exist: asking for it would rest on a failure.
    is_tsat_open = picture.iron.current_tsat is None and not picture.iron.was_not_read(IronSearch.TSAT)
    crp = inflamed_by(picture.iron, ferritin, knowledge)
    is_in_band = is_above(ferritin, "ferritin.treat.adult", knowledge) and is_at_most(
        ferritin, "ferritin.studied_upper", knowledge
    )
    if crp is None or not is_tsat_open or not is_in_band:
        return None
    return Draft(
        CardKey.IRON_10,
        Indicator.INFO,
        Form.STANDARD,
        result_values(ferritin, "value") | result_values(crp, "crp"),
        (deciding("ferritin", ferritin), deciding("C-reactive protein", crp)),
        results=(ferritin, crp),
        orders=(Order.IRON_PANEL, Order.FERRITIN),
        lines=tuple(assay_line(picture, ferritin)),
    )


def _band(picture: Picture, ferritin: Result) -> Draft | None:
    knowledge = picture.knowledge
    if is_at_most(ferritin, "ferritin.treat.adult", knowledge):
        is_below_50 = is_below(ferritin, "ferritin.symptom.adult", knowledge)
        key, indicator = (CardKey.IRON_03 if is_below_50 else CardKey.IRON_04), Indicator.WARNING
    elif is_above(ferritin, "ferritin.treat.adult", knowledge) and is_at_most(
        ferritin, "ferritin.iv.adult", knowledge
    ):
        key, indicator = CardKey.IRON_05, Indicator.INFO
    else:
        return None
    return Draft(
        key,
        indicator,
        Form.STANDARD,
        result_values(ferritin, "value"),
        (deciding("ferritin", ferritin),),
        results=(ferritin,),
        orders=panel_if_missing(picture),
        lines=tuple(assay_line(picture, ferritin)),
        is_treatment_named=True,
    )


def _band_or_indeterminate(picture: Picture, ferritin: Result) -> Draft | None:
    """Return the card of the band, None above the bands."""
    if is_above(ferritin, "ferritin.iv.adult", picture.knowledge):
        return None
    return _band(picture, ferritin) or _indeterminate_draft(picture, ferritin)


def _indeterminate_draft(picture: Picture, ferritin: Result) -> Draft:
    """Return IRON-16 for a value whose comparator leaves the band open."""
    tsat_alone, lines = _tsat_alone(picture)
    return Draft(
        CardKey.IRON_16,
        Indicator.INFO,
        Form.UNREADABLE,
        unreadable_values(ferritin),
        (deciding("ferritin", ferritin), *_deciding_tsat(tsat_alone)),
        results=(ferritin, *tsat_alone),
        orders=FERRITIN_AND_PANEL,
        lines=lines,
        is_only_advice_to_test=not tsat_alone,
    )
