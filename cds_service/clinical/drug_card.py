"""The one medicine card, DRUG-01 or DA-01, and the gate card for a missing diagnosis (docs/rules.md R5)."""

from collections.abc import Sequence

from cds_service.clinical.assessment import (
    CardDecision,
    CardKey,
    Deciding,
    DetailLine,
    DrugItem,
    Form,
    Indicator,
    Line,
    RlsStatus,
)
from cds_service.clinical.choice import FERRITIN_AND_PANEL, Choice, silent
from cds_service.clinical.detail import (
    diagnosis_lines,
    ferritin_high_line,
    line,
    recent_dose_line,
    unread_lines,
)
from cds_service.clinical.factors import dopaminergic, proxy_drugs
from cds_service.clinical.facts import Need, PartialDate
from cds_service.clinical.medicines import (
    Taken,
    daily_dose,
    dopaminergic_start,
    drug_item,
    with_group,
)
from cds_service.clinical.picture import Picture, is_test_useless

# Medicines that block dopamine or empty its stores: what happens in the brain explains them.
_ANTIDOPAMINERGIC = frozenset(
    {"ANTIPSYCH_TYPICAL", "ANTIPSYCH_ATYPICAL", "DA_ANTIEMETIC", "VMAT2", "DA_DEPLETER"}
)
_PARKINSONISM = ("parkinson", "parkinsonism_secondary")


def drug_choice(picture: Picture) -> Choice:
    """Return DRUG-01, else DA-01, else silence."""
    if picture.rls.is_plmd_only:
        return silent("with limb movements alone only the iron card is shown")
    if picture.flagged:
        return Choice(_worsening(picture), "a current medicine may worsen RLS")
    why_drug = {CardKey.DRUG_01: "no current medicine of a flagged class was found"}
    if not picture.has_rls:
        return silent("no flagged medicine", why_drug | {CardKey.DA_01: "RLS is not on record"})
    augmentation = _augmentation(picture)
    if isinstance(augmentation, str):
        return silent("no flagged medicine", why_drug | {CardKey.DA_01: augmentation})
    return Choice(augmentation, "a dopaminergic medicine is current", why_drug)


def _worsening(picture: Picture) -> CardDecision:
    items = [drug_item(m, groups, picture.knowledge, picture.today) for m, groups in picture.flagged]
    ordered = tuple(sorted(items, key=lambda item: (not _is_strongest(picture, item), item.ingredient)))
    return CardDecision(
        key=CardKey.DRUG_01,
        indicator=_urgency(picture),
        form=Form.STANDARD,
        values={},
        deciding=_deciding(picture.flagged),
        rules=(CardKey.DRUG_01.value,),
        lines=tuple(_worsening_lines(picture)),
        drugs=ordered,
        sources=tuple(s for m, _ in picture.flagged for s in m.sources),
    )


def _deciding(flagged: Sequence[tuple[Taken, frozenset[str]]]) -> tuple[Deciding, ...]:
    return tuple(Deciding("medicine", name) for name in sorted(m.name for m, _ in flagged))


def _is_strongest(picture: Picture, item: DrugItem) -> bool:
    return picture.knowledge.ingredients[item.ingredient].is_strongest


def _urgency(picture: Picture) -> Indicator:
    """Warn on the strongest drugs and on two classes, counting drugs of full weight only."""
    full = [(m, groups) for m, groups in picture.flagged if not m.is_possible]
    is_strong = any(picture.knowledge.ingredients[m.name].is_strongest for m, _ in full)
    classes = frozenset().union(*(groups for _, groups in full)) if full else frozenset()
    return Indicator.WARNING if is_strong or len(classes) > 1 else Indicator.INFO


def _worsening_lines(picture: Picture) -> list[DetailLine]:
    lines = []
    if any(groups & _ANTIDOPAMINERGIC for _, groups in picture.flagged):
        lines.append(line(Line.DOPAMINE_PATHWAY))
    # Without the diagnosis Parkinson's disease cannot be told from RLS as the reason for these drugs.
    if picture.has_rls and not picture.conditions.has(*_PARKINSONISM):
        found = dopaminergic(picture)
        lines += [line(Line.DOPAMINERGIC, drug=m.name) for m in found]
        lines += _parkinson_lines(picture) if found else ()
    partial = with_group(picture.medicines, "ANTIPSYCH_PARTIAL_AGONIST")
    lines += [line(Line.PARTIAL_AGONIST, drug=m.name) for m in partial]
    akathisia = sorted(c.display for c in picture.conditions.of("mimic_akathisia"))
    lines += [line(Line.AKATHISIA, condition=display) for display in akathisia[:1]]
    lines += diagnosis_lines(picture)
    lines += ferritin_high_line(picture)
    lines += unread_lines(picture)
    return lines


def _parkinson_lines(picture: Picture) -> tuple[DetailLine, ...]:
    """Return a line where Parkinson's disease may stand in a part of the problem list that was not read."""
    return () if picture.is_answered(Need.CONDITIONS) else (line(Line.PARKINSON_NOT_CHECKED),)


def _augmentation(picture: Picture) -> CardDecision | str:
    found = dopaminergic(picture)
    if not found:
        return "no current dopamine agonist or levodopa was found"
    if picture.conditions.has(*_PARKINSONISM):
        return "Parkinson's disease or parkinsonism is on record"
    begin = _begin(picture, found)
    dose = _dose_above_range(picture, found)
    days = (picture.today - begin.earliest).days if begin else None
    is_long = days is not None and days > picture.knowledge.days("window.dopaminergic.long")
    values = {"days": str(days)} if is_long else {}
    if picture.conditions.has("hyperprolactinaemia"):
        values["other_use"] = "yes"
    is_certain = picture.is_answered(Need.CONDITIONS)
    has_current = picture.iron.current_ferritin is not None and picture.iron.current_tsat is not None
    return CardDecision(
        key=CardKey.DA_01,
        indicator=Indicator.WARNING if (is_long or dose) and is_certain else Indicator.INFO,
        form=Form.STANDARD,
        values=values | dose,
        deciding=tuple(Deciding("medicine", m.name) for m in found),
        rules=(CardKey.DA_01.value,),
        orders=() if has_current or is_test_useless(picture) else FERRITIN_AND_PANEL,
        lines=(
            *diagnosis_lines(picture),
            line(Line.DOPAMINE_PATHWAY),
            *ferritin_high_line(picture),
            *recent_dose_line(picture),
            *_parkinson_lines(picture),
            *unread_lines(picture),
        ),
        drugs=tuple(drug_item(m, m.groups, picture.knowledge, picture.today) for m in found),
        sources=tuple(s for m in found for s in m.sources),
    )


def _begin(picture: Picture, found: Sequence[Taken]) -> PartialDate | None:
    gap = picture.knowledge.days("window.dopaminergic.gap")
    starts = [dopaminergic_start(m.name, picture.facts, m, gap) for m in found]
    return min((s for s in starts if s is not None), key=lambda s: (s.earliest, s.shown), default=None)


def _dose_above_range(picture: Picture, found: Sequence[Taken]) -> dict[str, str]:
    for taken in found:
        threshold = picture.knowledge.thresholds.get(f"dose.{taken.name}")
        dose = daily_dose(taken)
        if threshold is not None and dose is not None and dose > threshold.value:
            limit = f"{threshold.value.normalize():f} mg/day"
            return {"dose": f"{dose.normalize():f} mg/day", "dose_limit": limit}
    return {}


def gate_card(picture: Picture) -> CardDecision | None:
    """Return GATE-01 when a drug hints at an RLS that is not recorded."""
    found = proxy_drugs(picture)
    if not found or picture.rls.status is not RlsStatus.NOT_RECORDED:
        return None
    return CardDecision(
        key=CardKey.GATE_01,
        indicator=Indicator.INFO,
        form=Form.STANDARD,
        values={},
        deciding=tuple(Deciding("medicine", m.name) for m in found),
        rules=(CardKey.GATE_01.value,),
        drugs=tuple(drug_item(m, m.groups, picture.knowledge, picture.today) for m in found),
        sources=tuple(s for m in found for s in m.sources),
    )
