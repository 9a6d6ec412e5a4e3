"""The order of decision (docs/rules.md R2): who is silent, what is missing, and which two cards are shown."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from cds_service.clinical.assessment import (
    Assessment,
    CardDecision,
    CardKey,
    Deciding,
    Factor,
    Form,
    Indicator,
    Order,
    Outcome,
    Policy,
    RlsStatus,
    Withheld,
)
from cds_service.clinical.choice import FERRITIN_AND_PANEL, Choice, silent
from cds_service.clinical.detail import recent_dose_line, unread_lines, unread_result_lines
from cds_service.clinical.drug_card import drug_choice, gate_card
from cds_service.clinical.factors import contributing, find_factors, opening
from cds_service.clinical.facts import Facts, IronSearch, Presence, Source
from cds_service.clinical.iron import ferritin_available, is_below
from cds_service.clinical.iron_card import iron_choice, undecided_choice
from cds_service.clinical.picture import Picture, build_picture, is_test_useless, not_checked
from cds_service.clinical.shown_only import presentation
from cds_service.clinical.timing import AgeClass
from cds_service.clinical.words import deciding, result_values
from cds_service.knowledge import Knowledge

_PATIENT_DATA = "patient data"
_LABORATORY = "laboratory results"
_IRON_FINDINGS = frozenset({"iron.low", "iron.low.esrd", "iron.discordant", "tsat.low"})


def evaluate(facts: Facts, knowledge: Knowledge, *, today: date, policy: Policy) -> Assessment:
    """Return the assessment of one patient on one day."""
    picture = build_picture(facts, knowledge, today)
    factors = find_factors(picture)
    if facts.patient is not None and facts.patient.is_deceased:
        return _assessment(picture, factors, (silent("the patient is deceased"),))
    if picture.rls.status is RlsStatus.RULED_OUT:
        reason = "RLS is on record as refuted, resolved or in remission"
        return _assessment(picture, factors, (silent(reason),))
    missing = missing_data(picture)
    if missing:
        return _without_required_data(picture, factors, missing)
    choices = (_switched(choice, policy) for choice in _choices(picture, factors, policy))
    return _assessment(picture, factors, _each_order_once(choices))


def missing_data(picture: Picture) -> tuple[str, ...]:
    """Return which of the required parts of the record are not available (docs/rules.md R2)."""
    is_patient_read = picture.facts.patient is not None
    is_iron_read = ferritin_available(picture.iron, picture.facts)
    found = ((_PATIENT_DATA, is_patient_read), (_LABORATORY, is_iron_read))
    return tuple(name for name, is_read in found if not is_read)


def _without_required_data(
    picture: Picture, factors: tuple[Factor, ...], missing: tuple[str, ...]
) -> Assessment:
    """Return DATA-01 where RLS is on record, since most clients show any error as "all clear"."""
    reason = f"required data not available: {' and '.join(missing)}"
    if picture.rls.status in {RlsStatus.DOCUMENTED, RlsStatus.POSSIBLE}:
        return _assessment(picture, factors, (Choice(_data_card(picture, missing), reason),))
    answer = _assessment(picture, factors, (silent(reason),))
    return replace(answer, outcome=Outcome.REQUIRED_DATA_MISSING, missing=missing)


def _data_card(picture: Picture, missing: tuple[str, ...]) -> CardDecision:
    values = {"what": " and ".join(sorted(missing))}
    if missing == (_LABORATORY,):
        state = picture.iron.searches[IronSearch.FERRITIN]
        values |= {"state": state.value, "resource": "Observation"}
    elif missing == (_PATIENT_DATA,):
        values |= {"resource": "Patient"}
    return CardDecision(
        key=CardKey.DATA_01,
        indicator=Indicator.INFO,
        form=Form.STANDARD,
        values=values,
        deciding=tuple(Deciding("required data", name) for name in missing),
        rules=(CardKey.DATA_01.value,),
        lines=tuple(unread_lines(picture)),
    )


def _choices(picture: Picture, factors: tuple[Factor, ...], policy: Policy) -> tuple[Choice, ...]:
    match picture.rls.status:
        case RlsStatus.DOCUMENTED | RlsStatus.POSSIBLE:
            return _on_record(picture, factors)
        case RlsStatus.UNKNOWN:
            return _status_unknown(picture, factors)
        case _:
            return (_not_recorded(picture, factors, policy),)


def _switched(choice: Choice, policy: Policy) -> Choice:
    """Return silence for a card that the site has switched off."""
    if choice.card is None or choice.card.key not in policy.cards_off:
        return choice
    reason = f"{choice.card.key} is switched off here"
    return silent(reason, {**choice.why_not, choice.card.key: reason})


def _each_order_once(choices: Iterable[Choice]) -> list[Choice]:
    """Return the choices without the orders that an earlier card of the answer already suggests."""
    found: list[Choice] = []
    suggested: set[Order] = set()
    for choice in choices:
        found.append(_without_orders(choice, suggested))
        suggested.update(choice.card.orders if choice.card is not None else ())
    return found


def _without_orders(choice: Choice, orders: set[Order]) -> Choice:
    if choice.card is None or orders.isdisjoint(choice.card.orders):
        return choice
    left = tuple(order for order in choice.card.orders if order not in orders)
    return replace(choice, card=replace(choice.card, orders=left))


def _on_record(picture: Picture, factors: tuple[Factor, ...]) -> tuple[Choice, ...]:
    ids = contributing(factors)
    iron = iron_choice(picture, ids)
    if picture.rls.is_plmd_only and iron.card is not None:
        iron = replace(iron, card=_at_most_info(iron.card))
    drug = drug_choice(picture)
    if iron.card is None and drug.card is None:
        undecided = undecided_choice(picture, ids)
        if undecided is not None:
            return (undecided, iron, drug)
    if iron.card is None and drug.card is not None:
        unread = tuple(unread_result_lines(picture))
        drug = replace(drug, card=replace(drug.card, lines=(*drug.card.lines, *unread)))
    return (iron, drug)


def _status_unknown(picture: Picture, factors: tuple[Factor, ...]) -> tuple[Choice, ...]:
    if not is_opened(picture, factors):
        return (silent("the problem list was not read and no factor opens the question"),)
    iron, drug = iron_choice(picture, contributing(factors)), drug_choice(picture)
    return tuple(
        replace(choice, card=_at_most_info(choice.card)) if choice.card else choice for choice in (iron, drug)
    )


def is_opened(picture: Picture, factors: tuple[Factor, ...]) -> bool:
    """Whether a finding opens the question where the problem list was not read (docs/rules.md R1)."""
    is_iron_found = any(f.id in _IRON_FINDINGS for f in factors if f.presence is Presence.PRESENT)
    return is_iron_found or bool(opening(picture, factors))


def _at_most_info(card: CardDecision) -> CardDecision:
    return replace(card, indicator=Indicator.INFO)


def _not_recorded(picture: Picture, factors: tuple[Factor, ...], policy: Policy) -> Choice:
    gate = gate_card(picture)
    if gate is not None:
        return Choice(gate, "a drug that is often given for RLS is current")
    why_not = {CardKey.GATE_01: "no drug that is often given for RLS is current"}
    if not policy.is_screening_on:
        return silent("RLS is not on record and screening is off", why_not)
    return _screening(picture, factors, why_not)


def _screening(picture: Picture, factors: tuple[Factor, ...], why_not: dict[CardKey, str]) -> Choice:
    card = screening_card(picture, factors)
    if card is None:
        return silent("RLS is not on record and too little points to it", why_not)
    if picture.iron.pending and not card.values:
        return silent("an iron test is ordered or in the laboratory", why_not)
    return Choice(card, "iron is low, or several factors are linked to RLS", why_not)


def screening_card(picture: Picture, factors: tuple[Factor, ...]) -> CardDecision | None:
    """Return SCREEN-01 for a low iron store, or for two factors where no ferritin is known."""
    ferritin, tsat = picture.iron.current_ferritin, picture.iron.current_tsat
    low_ferritin = ferritin if is_below(ferritin, "ferritin.symptom.adult", picture.knowledge) else None
    low_tsat = tsat if is_below(tsat, "tsat.low", picture.knowledge) else None
    found = opening(picture, factors)
    is_linked = ferritin is None and len(found) >= picture.knowledge.threshold("screening.factors")
    is_low = low_ferritin is not None or low_tsat is not None
    if not is_low and not is_linked:
        return None
    results = tuple(r for r in (low_ferritin, low_tsat) if r is not None)
    values = result_values(low_ferritin, "value") if low_ferritin else {}
    values |= result_values(low_tsat, "tsat") if low_tsat else {}
    kinds = (("ferritin", low_ferritin), ("transferrin saturation", low_tsat))
    return CardDecision(
        key=CardKey.SCREEN_01,
        indicator=Indicator.INFO,
        form=Form.STANDARD,
        values=values,
        deciding=(
            *(deciding(kind, r) for kind, r in kinds if r is not None),
            *(Deciding("factor", f.id) for f in found if not is_low),
        ),
        rules=(CardKey.SCREEN_01.value, "P.screening"),
        orders=() if is_test_useless(picture) else FERRITIN_AND_PANEL,
        lines=(*recent_dose_line(picture), *unread_lines(picture)),
        not_checked=not_checked(picture, is_treatment_named=False),
        factor_ids=tuple(f.id for f in found),
        sources=tuple(s for r in results for s in (r.sources or (r.source,))),
    )


def _assessment(picture: Picture, factors: tuple[Factor, ...], choices: Iterable[Choice]) -> Assessment:
    made = tuple(choices)
    cards = tuple(choice.card for choice in made if choice.card is not None)
    return Assessment(
        rls=picture.rls.status,
        is_plmd_only=picture.rls.is_plmd_only,
        is_child=picture.age is AgeClass.CHILD,
        outcome=Outcome.ANSWERED,
        cards=cards,
        withheld=_withheld(picture, cards, made),
        factors=factors,
        sources=_sources(picture, factors, cards),
        rls_sources=picture.rls.sources,
        presentation=presentation(contributing(factors), _closed_list(picture, factors)),
    )


def _closed_list(picture: Picture, factors: tuple[Factor, ...]) -> list[Factor]:
    return [factor for factor in factors if picture.knowledge.factors[factor.id].is_opening]


def _withheld(
    picture: Picture, cards: tuple[CardDecision, ...], choices: tuple[Choice, ...]
) -> tuple[Withheld, ...]:
    """Return for every card that is not shown the most specific reason that is known."""
    shown = {card.key for card in cards}
    specific: dict[CardKey, str] = {}
    for choice in choices:
        specific |= choice.why_not
    general = "; ".join(dict.fromkeys(choice.reason for choice in choices))
    fallback = f"RLS {picture.rls.status.value}: {general}"
    return tuple(Withheld(key, specific.get(key, fallback)) for key in CardKey if key not in shown)


def _sources(
    picture: Picture, factors: tuple[Factor, ...], cards: tuple[CardDecision, ...]
) -> frozenset[Source]:
    """Return the resources that decided something, for full validation.

    Of a factor that many resources show, the newest one: should it be refused, the next takes its place.
    """
    found = {s for card in cards for s in card.sources}
    # What denies a factor decides as well: a treatment keeps sleep apnoea off the closed list.
    found.update(s for f in factors if f.evidence for s in _newest_evidence(f))
    found.update(picture.rls.sources[:1])
    if picture.facts.patient is not None:
        found.add(picture.facts.patient.source)
    for results in (picture.iron.all_ferritin, picture.iron.all_tsat):
        if results.newest is not None:
            found.update(results.newest.sources or (results.newest.source,))
    found.update(picture.iron.pending)
    found.update(picture.pregnancy.sources[:1])
    return frozenset(found)


def _newest_evidence(factor: Factor) -> tuple[Source, ...]:
    dated = [e for e in factor.evidence if e.when is not None]
    newest = max(dated, key=lambda e: (e.when.instant if e.when else None, e.source.key), default=None)
    return (newest.source if newest else factor.evidence[0].source,)
