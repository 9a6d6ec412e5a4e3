"""IRON-14: what speaks against iron (docs/rules.md R4)."""

from cds_service.clinical.assessment import CardKey, Deciding, Form, Indicator
from cds_service.clinical.choice import FERRITIN_AND_PANEL, Draft
from cds_service.clinical.conditions import is_possible
from cds_service.clinical.facts import IronSearch, Result
from cds_service.clinical.iron import is_above
from cds_service.clinical.medicines import with_group
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import current
from cds_service.clinical.timing import add_days
from cds_service.clinical.words import date_words, deciding, result_values


def overload_draft(picture: Picture) -> Draft | None:
    """Return IRON-14 for the first reason that applies: diagnosis, chelator, saturation, ferritin."""
    return _by_condition(picture) or _by_chelator(picture) or _by_saturation(picture) or _by_ferritin(picture)


def _common(picture: Picture, what: str) -> dict[str, str]:
    values = {"what": what}
    if picture.esrd.is_present:
        values["group"] = "esrd"
    if picture.iron.oral or with_group(picture.medicines, "IV_IRON"):
        values["on_iron"] = "yes"
    return values | _shown_results(picture)


def _shown_results(picture: Picture) -> dict[str, str]:
    """Return the ferritin and saturation of the last year, and the CRP drawn near that ferritin."""
    ferritin = _recent(picture, picture.iron.all_ferritin.newest)
    tsat = _recent(picture, picture.iron.all_tsat.newest)
    days = picture.knowledge.days("window.crp")
    crp = picture.iron.crp_near(ferritin, days) if ferritin is not None else None
    found = (("value", ferritin), ("tsat", tsat), ("crp", crp))
    values: dict[str, str] = {}
    for name, result in found:
        if result is not None:
            values |= result_values(result, name)
    return values


def _by_condition(picture: Picture) -> Draft | None:
    found = sorted(picture.conditions.of("iron_overload"), key=lambda c: (c.display, c.source.key))
    if not found:
        return None
    values = _common(picture, "condition") | {"condition": found[0].display}
    if all(is_possible(c) for c in found):
        values["possible"] = "yes"
    return Draft(
        CardKey.IRON_14,
        Indicator.WARNING,
        Form.STANDARD,
        values,
        (Deciding("condition", "iron overload"),),
        orders=FERRITIN_AND_PANEL,
        sources=tuple(c.source for c in found),
    )


def _by_chelator(picture: Picture) -> Draft | None:
    found = with_group(picture.medicines, "CHELATOR")
    if not found:
        return None
    return Draft(
        CardKey.IRON_14,
        Indicator.WARNING,
        Form.STANDARD,
        _common(picture, "chelator") | {"drug": found[0].name},
        tuple(Deciding("medicine", m.name) for m in found),
        orders=FERRITIN_AND_PANEL,
        sources=tuple(s for m in found for s in m.sources),
    )


def _recent(picture: Picture, result: Result | None) -> Result | None:
    return current(result, picture.today, picture.knowledge.days("window.result"))


def _by_saturation(picture: Picture) -> Draft | None:
    tsat = _recent(picture, picture.iron.all_tsat.newest)
    if tsat is None or not is_above(tsat, "tsat.high", picture.knowledge):
        return None
    return Draft(
        CardKey.IRON_14,
        Indicator.WARNING,
        Form.STANDARD,
        _common(picture, "tsat"),
        (deciding("transferrin saturation", tsat),),
        results=(tsat,),
        orders=FERRITIN_AND_PANEL,
    )


def _by_ferritin(picture: Picture) -> Draft | None:
    ferritin = _recent(picture, picture.iron.all_ferritin.newest)
    if ferritin is None:
        return None
    is_esrd = picture.esrd.is_present
    decides = _decides_in_kidney_failure if is_esrd else _decides_alone
    if not decides(picture, ferritin):
        return None
    return Draft(
        CardKey.IRON_14,
        Indicator.INFO,
        Form.STANDARD,
        _common(picture, "ferritin"),
        (deciding("ferritin", ferritin),),
        results=(ferritin,),
        orders=FERRITIN_AND_PANEL,
        rules=("P.overload.ferritin.esrd" if is_esrd else "P.overload.ferritin",),
    )


def _decides_in_kidney_failure(picture: Picture, ferritin: Result) -> bool:
    return is_above(ferritin, "ferritin.overload.esrd", picture.knowledge)


def _decides_alone(picture: Picture, ferritin: Result) -> bool:
    """Whether a high ferritin stands alone: no saturation known, and not explained by IV iron.

    A saturation that could not be read may exist, so the ferritin then decides nothing.
    """
    if picture.iron.was_not_read(IronSearch.TSAT) or _recent(picture, picture.iron.all_tsat.newest):
        return False
    return is_above(ferritin, "ferritin.studied_upper", picture.knowledge) and not _after_dose(
        picture, ferritin
    )


def _after_dose(picture: Picture, ferritin: Result) -> bool:
    """Whether any dose of IV iron, not only the last one, explains the ferritin."""
    days, when = picture.knowledge.days("window.iv_iron.overload_silence"), ferritin.when
    return when is not None and any(
        dose.day <= when.earliest <= add_days(dose.day, days) for dose in picture.iron.doses
    )


def overload_reason(picture: Picture) -> str:
    """Return why no overload card applies, for explanations."""
    tsat = picture.iron.all_tsat.newest
    shown = f"newest TSAT {tsat.shown} of {date_words(tsat.when)}" if tsat else "no TSAT"
    return f"no iron overload diagnosis, no chelator, {shown}, no ferritin above the limit"
