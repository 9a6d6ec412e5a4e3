"""What each rule reads, by name: the readings behind a decision, for explanations (docs/explain.md)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cds_service.clinical.assessment import Evidence, Factor, Policy
from cds_service.clinical.conditions import is_possible
from cds_service.clinical.factors import dopaminergic, opening, proxy_drugs
from cds_service.clinical.facts import (
    AllergyFact,
    IronSearch,
    Need,
    NeedState,
    Presence,
    Result,
    ResultStatus,
)
from cds_service.clinical.findings import unread_medicines
from cds_service.clinical.medicines import Taken, with_group
from cds_service.clinical.metabolic import low_phosphate
from cds_service.clinical.patient import State, absent_or_unknown
from cds_service.clinical.picture import Picture
from cds_service.clinical.results import Series
from cds_service.clinical.words import value_words


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule read under one name: whether it is there, in words, and where it stands in the record."""

    presence: Presence
    value: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """The patient as the rules saw them, with what the site decided and what was missing."""

    picture: Picture
    factors: tuple[Factor, ...]
    policy: Policy
    missing: tuple[str, ...]


def readings(situation: Situation) -> Mapping[str, Reading]:
    """Return every input of the rules by its name."""
    return {name: read(situation) for name, read in INPUTS.items()}


def _said(value: str) -> Reading:
    return Reading(Presence.PRESENT, value)


def _rls(situation: Situation) -> Reading:
    finding = situation.picture.rls
    return _said(f"{finding.status.value}{', limb movements alone' if finding.is_plmd_only else ''}")


def _group(situation: Situation) -> Reading:
    picture = situation.picture
    return _said(f"{picture.age.value if picture.group == 'open' else picture.group}")


def _required(situation: Situation) -> Reading:
    missing = situation.missing
    return (
        Reading(Presence.UNKNOWN, f"not available: {', '.join(missing)}") if missing else _said("available")
    )


def _screening(situation: Situation) -> Reading:
    return _said("on" if situation.policy.is_screening_on else "off")


def _result(result: Result, what: str) -> Evidence:
    remark = ", status unknown" if result.status is ResultStatus.UNKNOWN else ""
    shown = result.unreadable.value if result.unreadable else value_words(result)
    return Evidence(result.source, f"{what} {shown}{remark}", result.when, result.certainty)


def _series(situation: Situation, found: Series, search: IronSearch) -> Reading:
    """Return the newest readable result, with the unreadable ones that were skipped for it."""
    skipped = tuple(_result(one, f"{search.value}, skipped:") for one in found.skipped)
    if found.newest is not None:
        return Reading(
            Presence.PRESENT, value_words(found.newest), (_result(found.newest, search.value), *skipped)
        )
    if skipped:
        return Reading(Presence.UNKNOWN, "none readable", skipped)
    is_answered = situation.picture.iron.searches[search] is NeedState.ANSWERED
    return Reading(Presence.ABSENT if is_answered else Presence.UNKNOWN)


def _ferritin(situation: Situation) -> Reading:
    return _series(situation, situation.picture.iron.ferritin, IronSearch.FERRITIN)


def _saturation(situation: Situation) -> Reading:
    return _series(situation, situation.picture.iron.tsat, IronSearch.TSAT)


def _any_ferritin(situation: Situation) -> Reading:
    return _series(situation, situation.picture.iron.all_ferritin, IronSearch.FERRITIN)


def _any_saturation(situation: Situation) -> Reading:
    return _series(situation, situation.picture.iron.all_tsat, IronSearch.TSAT)


def _inflammation(situation: Situation) -> Reading:
    """Return the C-reactive protein drawn near the current ferritin."""
    iron, knowledge = situation.picture.iron, situation.picture.knowledge
    ferritin = iron.current_ferritin
    near = iron.crp_near(ferritin, knowledge.days("window.crp")) if ferritin is not None else None
    if near is not None:
        return Reading(Presence.PRESENT, value_words(near), (_result(near, IronSearch.CRP.value),))
    is_answered = iron.searches[IronSearch.CRP] is NeedState.ANSWERED
    return Reading(Presence.ABSENT if is_answered else Presence.UNKNOWN)


def _dose(situation: Situation) -> Reading:
    iron = situation.picture.iron
    if iron.dose is not None:
        seen = Evidence(iron.dose.source, f"{iron.dose.ingredient}, {iron.dose.day.isoformat()}")
        return Reading(Presence.PRESENT, f"{iron.days_since_dose} days ago", (seen,))
    needs = (Need.IRON_TREATMENTS, Need.MEDICATION_STATEMENTS, Need.MEDICATION_REQUESTS)
    return Reading(absent_or_unknown(situation.picture.facts, *needs))


def _medicines(situation: Situation, found: Iterable[Taken]) -> Reading:
    taken = tuple(found)
    if taken:
        evidence = (
            Evidence(source, one.name, one.start, one.certainty, one.is_possible)
            for one in taken
            for source in one.sources
        )
        return Reading(Presence.PRESENT, ", ".join(one.name for one in taken), tuple(evidence))
    is_read = not unread_medicines(situation.picture.facts)
    return Reading(Presence.ABSENT if is_read else Presence.UNKNOWN)


def _conditions(situation: Situation, *groups: str) -> Reading:
    found = situation.picture.conditions.of(*groups)
    if found:
        evidence = tuple(
            Evidence(one.source, one.display, one.onset or one.recorded, one.certainty, is_possible(one))
            for one in found
        )
        return Reading(Presence.PRESENT, f"{len(found)} on record", evidence)
    return Reading(absent_or_unknown(situation.picture.facts, Need.CONDITIONS))


def _state(state: State) -> Reading:
    evidence = (Evidence(s, state.text, state.when, is_possible=state.is_possible) for s in state.sources)
    return Reading(state.presence, state.text, tuple(evidence))


def _awaited(situation: Situation) -> Reading:
    pending = situation.picture.iron.pending
    if pending:
        evidence = tuple(Evidence(source, "awaited") for source in pending)
        return Reading(Presence.PRESENT, f"{len(pending)} awaited", evidence)
    is_read = situation.picture.is_answered(Need.IRON_ORDERS, Need.IRON_RESULTS)
    return Reading(Presence.ABSENT if is_read else Presence.UNKNOWN)


def _allergy(situation: Situation, applies: Callable[[AllergyFact], bool]) -> Reading:
    facts = situation.picture.facts
    found = tuple(
        Evidence(one.source, one.display, None, one.certainty) for one in facts.allergies if applies(one)
    )
    if found:
        return Reading(Presence.PRESENT, f"{len(found)} on record", found)
    return Reading(absent_or_unknown(facts, Need.ALLERGIES))


def _low_phosphate(situation: Situation) -> Reading:
    """Return the diagnosis and the laboratory value of a low phosphate."""
    diagnosed, low = _conditions(situation, "hypophosphataemia"), low_phosphate(situation.picture)
    if low is not None:
        evidence = (_result(low, "phosphate"), *diagnosed.evidence)
        return Reading(Presence.PRESENT, value_words(low), evidence)
    if diagnosed.presence is Presence.PRESENT:
        return diagnosed
    return Reading(absent_or_unknown(situation.picture.facts, Need.CONDITIONS, Need.METABOLIC_RESULTS))


def _linked(situation: Situation) -> Reading:
    found = opening(situation.picture, situation.factors)
    evidence = tuple(item for factor in found for item in factor.evidence)
    names = ", ".join(situation.picture.knowledge.factors[factor.id].name for factor in found)
    return Reading(Presence.PRESENT, names, evidence) if found else Reading(_linked_absence(situation))


def _linked_absence(situation: Situation) -> Presence:
    """Return ABSENT only when each factor of the closed list is absent."""
    closed = [f for f in situation.factors if situation.picture.knowledge.factors[f.id].is_opening]
    is_open = any(factor.presence is Presence.UNKNOWN for factor in closed)
    return Presence.UNKNOWN if is_open else Presence.ABSENT


INPUTS: Mapping[str, Callable[[Situation], Reading]] = {
    "RLS status": _rls,
    "patient group": _group,
    "required data": _required,
    "screening": _screening,
    "ferritin": _ferritin,
    "transferrin saturation": _saturation,
    "ferritin of any time": _any_ferritin,
    "transferrin saturation of any time": _any_saturation,
    "C-reactive protein": _inflammation,
    "iron by vein": _dose,
    "iron by mouth": lambda s: _medicines(s, s.picture.iron.oral),
    "iron chelator": lambda s: _medicines(s, with_group(s.picture.medicines, "CHELATOR")),
    "iron overload": lambda s: _conditions(s, "iron_overload"),
    "iron test awaited": _awaited,
    "pregnancy": lambda s: _state(s.picture.pregnancy),
    "kidney failure": lambda s: _state(s.picture.esrd),
    "allergy to iron by vein": lambda s: _allergy(s, lambda one: one.is_to_iv_iron),
    "allergy to iron by mouth": lambda s: _allergy(s, lambda one: one.is_to_oral_iron),
    "low phosphate": _low_phosphate,
    "flagged medicines": lambda s: _medicines(s, (taken for taken, _ in s.picture.flagged)),
    "dopaminergic medicines": lambda s: _medicines(s, dopaminergic(s.picture)),
    "Parkinson's disease": lambda s: _conditions(s, "parkinson", "parkinsonism_secondary"),
    "proxy medicines": lambda s: _medicines(s, proxy_drugs(s.picture)),
    "other uses of proxy medicines": lambda s: _conditions(
        s, "parkinson", "parkinsonism_secondary", "hyperprolactinaemia"
    ),
    "linked findings": _linked,
}
"""Every name that `knowledge/data/basis/cards.toml` lists as an input."""
