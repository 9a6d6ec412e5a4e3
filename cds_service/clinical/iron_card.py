"""The one iron card: overload first, then iron treatment, the groups, and last the adult cards."""

from dataclasses import replace

from cds_service.clinical.assessment import CardDecision, CardKey, Form, Indicator, Line
from cds_service.clinical.choice import Choice, Draft, finish, silent
from cds_service.clinical.detail import (
    allergy_lines,
    cause_lines,
    caution_lines,
    context_lines,
    diagnosis_lines,
    ferritin_lines,
    recent_dose_line,
    tsat_lines,
    tsat_notes,
    unread_lines,
)
from cds_service.clinical.facts import IronSearch, Result
from cds_service.clinical.iron import is_above, is_at_most
from cds_service.clinical.iron_adult import adult_draft, open_age_draft
from cds_service.clinical.iron_groups import child_draft, kidney_draft, pregnancy_draft
from cds_service.clinical.iron_overload import overload_draft, overload_reason
from cds_service.clinical.iron_treatment import treatment_choice
from cds_service.clinical.metabolic import low_phosphate
from cds_service.clinical.picture import Picture, is_test_useless, not_checked
from cds_service.clinical.timing import AgeClass
from cds_service.clinical.words import deciding, result_values

_BY_GROUP = {
    "esrd": kidney_draft,
    "pregnant": pregnancy_draft,
    "child": child_draft,
    "open": open_age_draft,
    "adult": adult_draft,
}


def iron_choice(picture: Picture, factor_ids: tuple[str, ...]) -> Choice:
    """Return the iron card or the silence; `factor_ids` are listed on it as contributing factors."""
    overload = overload_draft(picture)
    if overload is not None:
        return Choice(_finished(picture, overload, factor_ids), "iron overload comes before every iron card")
    why_not = {CardKey.IRON_14: overload_reason(picture)}
    draft = treatment_choice(picture)
    if draft is None:
        draft = _BY_GROUP[picture.group](picture)
    if isinstance(draft, Choice):
        return replace(draft, why_not=why_not)
    if picture.iron.pending:
        return _while_pending(picture, draft, factor_ids, why_not)
    reason = f"{draft.key.value} is the first iron card that applies"
    return Choice(_finished(picture, draft, factor_ids), reason, why_not)


def _while_pending(
    picture: Picture, draft: Draft, factor_ids: tuple[str, ...], why_not: dict[CardKey, str]
) -> Choice:
    """Return the card without its orders; none at all when its only advice is to test."""
    if draft.is_only_advice_to_test:
        reason = "an iron test is ordered or in the laboratory"
        return silent(reason, why_not | {draft.key: reason})
    waiting = replace(draft, orders=(), sources=(*draft.sources, *picture.iron.pending))
    return Choice(
        _finished(picture, waiting, factor_ids), "an iron test is pending: no order suggested", why_not
    )


def _finished(picture: Picture, draft: Draft, factor_ids: tuple[str, ...]) -> CardDecision:
    ferritin = _shown_ferritin(picture, draft)
    lines = [*ferritin_lines(picture, ferritin)]
    if draft.key not in {CardKey.IRON_11, CardKey.IRON_14}:
        lines += [found for found in tsat_lines(picture) if not _is_said(draft, found.line)]
    elif "tsat" in draft.values:
        lines += tsat_notes(picture)
    if draft.is_treatment_named:
        lines += cause_lines(picture, ferritin)
        lines += caution_lines(picture)
    if draft.is_treatment_named or draft.key is CardKey.IRON_12:
        lines += allergy_lines(picture)
    lines += recent_dose_line(picture)
    lines += diagnosis_lines(picture)
    lines += context_lines(picture)
    lines += unread_lines(picture)
    unchecked = not_checked(picture, is_treatment_named=draft.is_treatment_named)
    values = {**draft.values, **_blocked(picture)} if draft.is_treatment_named else draft.values
    due = replace(draft, values=values, orders=() if is_test_useless(picture) else draft.orders)
    return finish(due, lines=lines, not_checked=unchecked, factor_ids=factor_ids)


def _blocked(picture: Picture) -> dict[str, str]:
    """Return what forbids to suggest iron by vein or by mouth, or ferric carboxymaltose, to this patient."""
    found = {
        "iv_blocked": any(a.is_to_iv_iron for a in picture.facts.allergies),
        "oral_blocked": any(a.is_to_oral_iron for a in picture.facts.allergies),
        "fcm_blocked": picture.conditions.has("hypophosphataemia") or low_phosphate(picture) is not None,
    }
    return {name: "yes" for name, applies in found.items() if applies}


def _is_said(draft: Draft, line: Line) -> bool:
    """Whether the card's own text already gives the saturation."""
    said = {found.line for found in draft.lines}
    is_tsat_line = line in {Line.TSAT_LOW, Line.TSAT_VALUE}
    return line in said or (is_tsat_line and ("tsat" in draft.values or Line.TSAT_ALONE in said))


def _shown_ferritin(picture: Picture, draft: Draft) -> Result | None:
    if draft.form is Form.NEVER or draft.key in {CardKey.IRON_01, CardKey.IRON_13}:
        return None
    if draft.key is CardKey.IRON_14:
        return picture.iron.all_ferritin.newest
    return picture.iron.ferritin.newest


def undecided_choice(picture: Picture, factor_ids: tuple[str, ...]) -> Choice | None:
    """Return DATA-01 where an unread saturation or CRP would have decided (docs/rules.md R2.2)."""
    ferritin = picture.iron.current_ferritin
    what = _undecided_by(picture, ferritin)
    if ferritin is None or not what:
        return None
    draft = Draft(
        CardKey.DATA_01,
        Indicator.INFO,
        Form.PARTIAL,
        result_values(ferritin, "value") | {"what": " and ".join(search.value for search in what)},
        (deciding("ferritin", ferritin),),
        results=(ferritin,),
    )
    card = finish(draft, lines=unread_lines(picture), not_checked=(), factor_ids=factor_ids)
    return Choice(card, "a result that could not be read would have decided")


def _undecided_by(picture: Picture, ferritin: Result | None) -> tuple[IronSearch, ...]:
    if picture.esrd.is_present or picture.age is AgeClass.CHILD or _is_under_treatment(picture):
        return ()
    if picture.iron.current_tsat is not None:
        return ()
    is_tsat_open = picture.iron.was_not_read(IronSearch.TSAT)
    if picture.group == "pregnant":
        is_open = is_tsat_open and is_above(ferritin, "ferritin.treat.adult", picture.knowledge)
        return (IronSearch.TSAT,) if is_open else ()
    if not is_above(ferritin, "ferritin.iv.adult", picture.knowledge):
        return ()
    is_crp_open = picture.iron.was_not_read(IronSearch.CRP) and is_at_most(
        ferritin, "ferritin.studied_upper", picture.knowledge
    )
    found = ((IronSearch.TSAT, is_tsat_open), (IronSearch.CRP, is_crp_open))
    return tuple(search for search, is_open in found if is_open)


def _is_under_treatment(picture: Picture) -> bool:
    days = picture.iron.days_since_dose
    unreliable = picture.knowledge.days("window.iv_iron.unreliable")
    return bool(picture.iron.oral) or (days is not None and days <= unreliable)
