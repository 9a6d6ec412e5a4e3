"""The iron cards of kidney failure (09), pregnancy (08) and childhood (07): each decides alone."""

from dataclasses import dataclass

from cds_service.clinical.assessment import CardKey, Deciding, Form, Indicator, Order
from cds_service.clinical.choice import FERRITIN_AND_PANEL, Choice, Draft, silent
from cds_service.clinical.facts import IronSearch, NeedState, Result
from cds_service.clinical.iron import is_above, is_at_least, is_at_most, is_below, rests_on_unknown_status
from cds_service.clinical.iron_adult import unreadable_values
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import Series
from cds_service.clinical.words import age_words, deciding, result_values

_KIDNEY_RULES = ("P.result_window.esrd",)
_PREGNANCY_RULES = ("P.result_window.pregnant",)
_MISSING, _STALE, _UNREADABLE, _NOT_READ = "missing", "stale", "unreadable", "not read"


@dataclass(frozen=True, slots=True)
class Side:
    """On which side of its limit a current value lies; `why` says why it cannot be told."""

    result: Result | None
    is_low: bool
    why: str | None


def _side(results: Series, current: Result | None, *, low: bool, high: bool, not_read: bool) -> Side:
    if low or high:
        return Side(current, is_low=low, why=None)
    if current is not None or results.is_only_unreadable:
        return Side(current, is_low=False, why=_UNREADABLE)
    if results.newest is not None:
        return Side(results.newest, is_low=False, why=_STALE)
    return Side(None, is_low=False, why=_NOT_READ if not_read else _MISSING)


def _ferritin_side(picture: Picture, limit: str, *, is_limit_low: bool) -> Side:
    """Return the side of the ferritin; `is_limit_low`: the limit itself still counts as low."""
    current = picture.iron.current_ferritin
    below, above = (is_at_most, is_above) if is_limit_low else (is_below, is_at_least)
    return _side(
        picture.iron.ferritin,
        current,
        low=below(current, limit, picture.knowledge),
        high=above(current, limit, picture.knowledge),
        not_read=picture.iron.searches[IronSearch.FERRITIN] is not NeedState.ANSWERED,
    )


def _tsat_side(picture: Picture) -> Side:
    current = picture.iron.current_tsat
    return _side(
        picture.iron.tsat,
        current,
        low=is_below(current, "tsat.low", picture.knowledge),
        high=is_at_least(current, "tsat.low", picture.knowledge),
        not_read=picture.iron.searches[IronSearch.TSAT] is not NeedState.ANSWERED,
    )


def kidney_draft(picture: Picture) -> Draft | Choice:
    """Return IRON-09: both low warns; one missing while the other is not high informs."""
    ferritin = _ferritin_side(picture, "ferritin.treat.esrd", is_limit_low=False)
    tsat = _tsat_side(picture)
    both = (ferritin, tsat)
    if any(side.why is None and not side.is_low for side in both):
        return silent(
            "in kidney failure both ferritin < 200 ng/mL and TSAT < 20 % are needed; one is not low"
        )
    if ferritin.why is None and tsat.why is None:
        return _kidney_low(ferritin, tsat)
    return _kidney_missing(picture, ferritin, tsat)


def _kidney_low(ferritin: Side, tsat: Side) -> Draft:
    results = tuple(side.result for side in (ferritin, tsat) if side.result is not None)
    return Draft(
        CardKey.IRON_09,
        Indicator.WARNING,
        Form.STANDARD,
        _side_values(ferritin, tsat),
        _side_deciding(ferritin, tsat),
        results=results,
        rules=_KIDNEY_RULES,
        is_treatment_named=True,
    )


def _kidney_missing(picture: Picture, ferritin: Side, tsat: Side) -> Draft:
    form, values = _missing_form(picture, ferritin, tsat)
    is_a_value_low = ferritin.is_low or tsat.is_low
    orders = ((Order.FERRITIN,) if ferritin.why else ()) + ((Order.IRON_PANEL,) if tsat.why else ())
    return Draft(
        CardKey.IRON_09,
        Indicator.INFO,
        form,
        values,
        _side_deciding(ferritin, tsat),
        results=tuple(s.result for s in (ferritin, tsat) if s.result is not None and s.is_low),
        orders=orders,
        rules=_KIDNEY_RULES,
        is_only_advice_to_test=not is_a_value_low,
        is_treatment_named=True,
    )


def _missing_form(picture: Picture, ferritin: Side, tsat: Side) -> tuple[Form, dict[str, str]]:
    if not (ferritin.why and tsat.why):
        missing, what = (ferritin, "ferritin") if ferritin.why else (tsat, "TSAT")
        kept = _side_values(ferritin if ferritin.is_low else None, tsat if tsat.is_low else None)
        return Form.PARTIAL, kept | {"what": what, "why": missing.why or _MISSING}
    stale = [n for n, side in (("ferritin", ferritin), ("TSAT", tsat)) if side.why == _STALE]
    if stale:
        old = _side_values(*(s if s.why == _STALE else None for s in (ferritin, tsat)))
        return Form.STALE, old | {"what": " and ".join(stale)}
    if ferritin.why == _UNREADABLE:
        return Form.UNREADABLE, unreadable_values(_unreadable_result(picture.iron.ferritin, ferritin))
    if tsat.why == _UNREADABLE:
        return Form.UNREADABLE, unreadable_values(_unreadable_result(picture.iron.tsat, tsat))
    if tsat.why == _NOT_READ:
        return Form.PARTIAL, {"what": "ferritin", "why": ferritin.why or _MISSING}
    return Form.NEVER, {}


def _unreadable_result(results: Series, side: Side) -> Result:
    return side.result if side.result is not None else results.skipped[0]


def _side_values(ferritin: Side | None, tsat: Side | None) -> dict[str, str]:
    values: dict[str, str] = {}
    if ferritin is not None and ferritin.result is not None:
        values |= result_values(ferritin.result, "value")
    if tsat is not None and tsat.result is not None:
        values |= result_values(tsat.result, "tsat")
    return values


def _side_deciding(ferritin: Side, tsat: Side) -> tuple[Deciding, ...]:
    return tuple(
        deciding(kind, side.result) if side.result is not None else Deciding(kind, side.why or "")
        for kind, side in (("ferritin", ferritin), ("transferrin saturation", tsat))
    )


def pregnancy_draft(picture: Picture) -> Draft | Choice:
    """Return IRON-08: a low value of this trimester warns, a missing ferritin informs."""
    ferritin = _ferritin_side(picture, "ferritin.treat.adult", is_limit_low=True)
    tsat = _tsat_side(picture)
    if ferritin.is_low or tsat.is_low:
        return _pregnant_low(picture, ferritin, tsat)
    if ferritin.why is None:
        return silent("the current ferritin is above 75 ng/mL and no low TSAT is known")
    form, values = _group_missing(picture, ferritin)
    return Draft(
        CardKey.IRON_08,
        Indicator.INFO,
        form,
        values,
        _side_deciding(ferritin, tsat),
        orders=FERRITIN_AND_PANEL,
        rules=_PREGNANCY_RULES,
        is_only_advice_to_test=True,
        is_treatment_named=True,
    )


def _pregnant_low(picture: Picture, ferritin: Side, tsat: Side) -> Draft:
    low_tsat = tsat if tsat.is_low else None
    current = ferritin if ferritin.why is None else None
    # A low saturation despite such a ferritin asks for advice first, as it does outside pregnancy (IRON-11).
    is_high = current is not None and is_above(current.result, "ferritin.iv.adult", picture.knowledge)
    named = _named_low(ferritin, tsat)
    results = tuple(result for _, result in named)
    # Each low value suffices alone, so one of known status warns whatever the other one's status is.
    known = tuple(r for r in results if not rests_on_unknown_status(r))
    return Draft(
        CardKey.IRON_08,
        Indicator.WARNING,
        Form.STANDARD if ferritin.is_low else Form.PARTIAL,
        _side_values(current, low_tsat) | ({"is_high": "yes"} if is_high else {}),
        tuple(deciding(*pair) for pair in named),
        results=known or results,
        orders=FERRITIN_AND_PANEL,
        rules=_PREGNANCY_RULES,
        is_treatment_named=True,
    )


def _named_low(ferritin: Side, tsat: Side) -> list[tuple[str, Result]]:
    sides = (("ferritin", ferritin), ("transferrin saturation", tsat))
    return [(kind, s.result) for kind, s in sides if s.is_low and s.result is not None]


def child_draft(picture: Picture) -> Draft | Choice:
    """Return IRON-07: a ferritin below 50 warns, a missing one informs."""
    ferritin = _ferritin_side(picture, "ferritin.treat.child", is_limit_low=False)
    if ferritin.is_low and ferritin.result is not None:
        return Draft(
            CardKey.IRON_07,
            Indicator.WARNING,
            Form.STANDARD,
            result_values(ferritin.result, "value"),
            (deciding("ferritin", ferritin.result),),
            results=(ferritin.result,),
            orders=FERRITIN_AND_PANEL,
            is_treatment_named=True,
        )
    if ferritin.why is None:
        return silent("the current ferritin is 50 ng/mL or more, which is enough in a child")
    form, values = _group_missing(picture, ferritin)
    kind = deciding("ferritin", ferritin.result) if ferritin.result else Deciding("ferritin", "none")
    return Draft(
        CardKey.IRON_07,
        Indicator.INFO,
        form,
        values,
        (kind,),
        orders=FERRITIN_AND_PANEL,
        is_only_advice_to_test=True,
        is_treatment_named=True,
    )


def _group_missing(picture: Picture, ferritin: Side) -> tuple[Form, dict[str, str]]:
    if ferritin.why == _STALE and ferritin.result is not None:
        age = {"age": age_words(ferritin.result, picture.today)}
        return Form.STALE, result_values(ferritin.result, "value") | age
    if ferritin.why == _UNREADABLE:
        return Form.UNREADABLE, unreadable_values(_unreadable_result(picture.iron.ferritin, ferritin))
    return Form.NEVER, {}
