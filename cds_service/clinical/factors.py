"""Every factor of the knowledge base as present, absent or unknown, with its evidence."""

from collections.abc import Iterable

from cds_service.clinical import lifestyle, metabolic, shown_only, sleep
from cds_service.clinical.assessment import Evidence, Factor
from cds_service.clinical.facts import (
    AllergyFact,
    Certainty,
    Need,
    Presence,
    ProcedureFact,
)
from cds_service.clinical.findings import (
    Finding,
    Findings,
    condition_evidence,
    denied,
    medicines_finding,
    present,
    present_or_read,
    result_evidence,
    unknown,
    unread,
)
from cds_service.clinical.iron import BAND_IDS, BAND_OF_KIDNEY_FAILURE, inflamed_by, is_at_most
from cds_service.clinical.iron_overload import overload_draft
from cds_service.clinical.medicines import Taken, with_group
from cds_service.clinical.patient import (
    State,
    dialysis_procedure,
    reduced_filtration,
    undated_pregnancies,
)
from cds_service.clinical.picture import Picture
from cds_service.clinical.timing import AgeClass

_OTHER_USES_OF_PROXY_DRUGS = ("parkinson", "parkinsonism_secondary", "hyperprolactinaemia")
_PROXY_FACTOR = "rls.drug_proxy"
_OTHER_GROUP = "not applied to this group"
_KIDNEY_PREFIXES = ("ckd", "esrd", "dialysis")


def proxy_drugs(picture: Picture) -> tuple[Taken, ...]:
    """Return the current drugs that hint at an unrecorded RLS (docs/rules.md R1)."""
    if picture.conditions.has(*_OTHER_USES_OF_PROXY_DRUGS):
        return ()
    names = picture.knowledge.factors[_PROXY_FACTOR].ingredients
    return tuple(m for m in picture.medicines if m.name in names)


def find_factors(picture: Picture) -> tuple[Factor, ...]:
    """Return every factor of the knowledge base, in its order."""
    return tuple(_factor(picture, factor_id) for factor_id in picture.knowledge.factors)


def _factor(picture: Picture, factor_id: str) -> Factor:
    definition = picture.knowledge.factors[factor_id]
    special = _SPECIAL.get(factor_id)
    if special is not None:
        found = special(picture)
    elif factor_id in BAND_IDS:
        found = _band(picture, factor_id)
    elif definition.drug_groups:
        found = _medicine(picture, definition.drug_groups)
    else:
        found = _condition(picture, definition.groups)
    return Factor(factor_id, found.presence, definition.weight, found.evidence, found.reason)


def _condition(picture: Picture, groups: frozenset[str]) -> Finding:
    evidence = condition_evidence(picture.conditions.of(*groups))
    return present_or_read(picture, evidence, Need.CONDITIONS)


def _medicine(picture: Picture, groups: frozenset[str]) -> Finding:
    classes = picture.knowledge.drug_classes
    if any(classes[g].is_flagged for g in groups if g in classes):
        found = [m for m, flagged in picture.flagged if flagged & groups]
    else:
        found = [m for m in with_group(picture.medicines, *groups) if _acts(picture, m)]
    return medicines_finding(picture, found)


def _acts(picture: Picture, taken: Taken) -> bool:
    """Whether an ingredient acts by itself (carbidopa, which only protects levodopa, does not)."""
    ingredient = picture.knowledge.ingredients.get(taken.name)
    return ingredient is None or not ingredient.is_inactive_alone


def dopaminergic(picture: Picture) -> tuple[Taken, ...]:
    """Return the current dopamine agonists and levodopa."""
    found = with_group(picture.medicines, "RLS_DA", "RLS_LEVODOPA")
    return tuple(m for m in found if _acts(picture, m))


def _certainty(fact: ProcedureFact | AllergyFact) -> Certainty:
    # A card remarks on words as evidence for conditions and medicines only.
    return Certainty.CODED if fact.certainty is Certainty.BY_TEXT else fact.certainty


def _band(picture: Picture, factor_id: str) -> Finding:
    if factor_id not in picture.bands:
        return _band_of_another_group(picture, factor_id)
    presence = picture.bands[factor_id]
    if presence is not Presence.PRESENT:
        return Finding(presence)
    ferritin, tsat = picture.iron.current_ferritin, picture.iron.current_tsat
    needs_tsat = factor_id in {"iron.discordant", "iron.low.esrd", "tsat.low"}
    shown = (None if factor_id == "tsat.low" else ferritin, tsat if needs_tsat else None)
    return present(result_evidence(*shown))


def _band_of_another_group(picture: Picture, factor_id: str) -> Finding:
    """Return that a limit is not one of the patient's group: no value is told as normal by it.

    The band of kidney failure is absent where there is none.
    """
    if factor_id == BAND_OF_KIDNEY_FAILURE:
        return Finding(picture.esrd.presence)
    return unknown(_OTHER_GROUP)


def _rls(picture: Picture) -> Finding:
    current = picture.conditions.of("rls")
    return present_or_read(picture, condition_evidence(current), Need.CONDITIONS)


def _proxy(picture: Picture) -> Finding:
    found = proxy_drugs(picture)
    if not found and picture.conditions.has(*_OTHER_USES_OF_PROXY_DRUGS):
        return Finding(Presence.ABSENT)
    return medicines_finding(picture, found)


def _inflamed(picture: Picture) -> Finding:
    ferritin = picture.iron.current_ferritin
    if ferritin is None:
        return unknown("no current ferritin")
    crp = inflamed_by(picture.iron, ferritin, picture.knowledge)
    if crp is not None:
        return present(result_evidence(ferritin, crp))
    near = picture.iron.crp_near(ferritin, picture.knowledge.days("window.crp"))
    if near is None:
        return unknown("no C-reactive protein near the ferritin")
    is_low = is_at_most(near, "crp.inflamed", picture.knowledge)
    return Finding(Presence.ABSENT, tuple(result_evidence(near))) if is_low else Finding(Presence.UNKNOWN)


def _oral_iron(picture: Picture) -> Finding:
    return medicines_finding(picture, picture.iron.oral)


def _intravenous_iron(picture: Picture) -> Finding:
    dose, days = picture.iron.dose, picture.iron.days_since_dose
    if dose is not None and days is not None and days <= picture.knowledge.days("window.iv_iron.recheck"):
        return present([Evidence(dose.source, f"{dose.ingredient}, {dose.day.isoformat()}")])
    # An order that is still active counts as a dose, so its absence needs the current lists as well.
    needs = (Need.IRON_TREATMENTS, Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS)
    return present_or_read(picture, [], *needs)


def _allergy(picture: Picture) -> Finding:
    evidence = [Evidence(a.source, a.display, None, _certainty(a)) for a in picture.facts.allergies]
    return present_or_read(picture, evidence, Need.ALLERGIES)


def _state(picture: Picture, state: State, reason: str = "") -> Finding:
    """Return a state of the patient with the records that show it, or that deny it outright ("not pregnant").

    `reason` says why it is open.
    """
    in_words = {c.source for c in picture.facts.conditions if c.certainty is Certainty.BY_TEXT}
    evidence = tuple(
        Evidence(
            source,
            state.text,
            state.when,
            Certainty.BY_TEXT if source in in_words else Certainty.CODED,
            state.is_possible,
        )
        for source in state.sources
    )
    return Finding(state.presence, evidence, reason=reason if state.presence is Presence.UNKNOWN else "")


def _pregnancy(picture: Picture) -> Finding:
    undated = undated_pregnancies(picture.conditions)
    return _state(picture, picture.pregnancy, "a pregnancy is on record without a date" if undated else "")


def _kidney(picture: Picture) -> Finding:
    """Kidney disease of any stage; a transplant does not remove it (docs/rules.md R9.4)."""
    found = [
        c for c in picture.conditions.conditions if any(g.startswith(_KIDNEY_PREFIXES) for g in c.groups)
    ]
    evidence = condition_evidence(found)
    days = picture.knowledge.days("window.dialysis_procedure")
    procedure = dialysis_procedure(picture.facts, picture.today, days)
    if procedure is not None:
        evidence.append(Evidence(procedure.source, procedure.display, procedure.when, _certainty(procedure)))
    evidence += result_evidence(*reduced_filtration(picture.facts, picture.knowledge, picture.today))
    return present_or_read(picture, evidence, Need.CONDITIONS, Need.PROCEDURES, Need.CONTEXT_RESULTS)


def _attention_deficit(picture: Picture) -> Finding:
    """Attention-deficit disorder, which counts in children; where the age is open it is possible."""
    found = picture.conditions.of("adhd")
    if found and picture.age is AgeClass.ADULT:
        return unknown(_OTHER_GROUP)
    return present_or_read(picture, condition_evidence(found, is_open=picture.age.is_open), Need.CONDITIONS)


def _family(picture: Picture) -> Finding:
    evidence = [
        Evidence(f.source, f.display, None, f.certainty, not f.is_first_degree) for f in picture.facts.family
    ]
    if evidence:
        return present(evidence)
    denials = [Evidence(f.source, f.display, None, f.certainty) for f in picture.facts.family_denials]
    if denials:
        return denied(picture, denials, by=Need.FAMILY_HISTORY, also=(Need.CONDITIONS,))
    # An empty list is no denial: relatives are seldom asked, and seldom written down.
    return unknown(unread(picture.facts, Need.FAMILY_HISTORY) or shown_only.NOBODY_TOLD)


def _overload(picture: Picture) -> Finding:
    """Return the first reason for which iron is not advised, as the card on iron overload has it."""
    found = overload_draft(picture)
    if found is None:
        return present_or_read(picture, [], Need.CONDITIONS, Need.IRON_RESULTS)
    evidence = result_evidence(*found.results)
    evidence += [Evidence(s, found.values.get("condition") or found.values["drug"]) for s in found.sources]
    return present(evidence)


_SPECIAL: Findings = {
    **lifestyle.FINDINGS,
    **metabolic.FINDINGS,
    **shown_only.FINDINGS,
    **sleep.FINDINGS,
    "rls.diagnosis": _rls,
    _PROXY_FACTOR: _proxy,
    "ferritin.inflamed": _inflamed,
    "iron.oral": _oral_iron,
    "iron.iv": _intravenous_iron,
    "iron.allergy": _allergy,
    "iron.overload": _overload,
    "pregnancy": _pregnancy,
    "postpartum": lambda picture: _state(picture, picture.postpartum),
    "kidney.disease": _kidney,
    "kidney.esrd": lambda picture: _state(picture, picture.esrd),
    "family_history": _family,
    "adhd": _attention_deficit,
}


def those_present(factors: Iterable[Factor]) -> tuple[Factor, ...]:
    """Return the factors that are present."""
    return tuple(f for f in factors if f.presence is Presence.PRESENT)


def opening(picture: Picture, factors: Iterable[Factor]) -> tuple[Factor, ...]:
    """Return the present factors of the closed list; a relative of unknown degree does not count."""
    return tuple(
        f
        for f in those_present(factors)
        if picture.knowledge.factors[f.id].is_opening and _is_close(picture, f)
    )


def _is_close(picture: Picture, factor: Factor) -> bool:
    return factor.id != "family_history" or any(f.is_first_degree for f in picture.facts.family)


_NOT_CONTRIBUTING = frozenset(
    {
        "rls.diagnosis",
        "rls.plmd",
        _PROXY_FACTOR,
        "iron.low",
        "iron.borderline",
        "iron.adequate",
        "iron.discordant",
        "iron.low.esrd",
        "tsat.low",
        "iron.oral",
        "iron.iv",
        "iron.allergy",
        "iron.overload",
        # A line of its own says it.
        "postpartum",
        "pregnancy.test",
        "phosphate.low",
        "rls.severity",
    }
)


def contributing(factors: Iterable[Factor]) -> tuple[str, ...]:
    """Return the ids of the present factors that an iron card lists, the heaviest first.

    The iron results themselves are the card's own finding and are not repeated.
    """
    found = [f for f in those_present(factors) if f.id not in _NOT_CONTRIBUTING]
    return tuple(f.id for f in sorted(found, key=lambda f: f.weight))
