"""Which medicines are current, which of them are flagged, and the course of iron treatment."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cds_service.clinical.assessment import DrugItem
from cds_service.clinical.facts import (
    Certainty,
    Facts,
    IngredientFact,
    MedicineFact,
    MedicineKind,
    PartialDate,
    Route,
    Source,
)
from cds_service.knowledge import Knowledge

_ORDER_INTENTS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
# The statuses with which a record of IV iron counts as a dose (docs/rules.md R11.1).
_GIVEN = {
    MedicineKind.ADMINISTRATION: frozenset({"completed"}),
    MedicineKind.STATEMENT: frozenset({"active", "completed", "unknown", ""}),
    MedicineKind.REQUEST: frozenset({"active", "completed"}),
}
_NEVER_TAKEN = frozenset({"entered-in-error", "not-taken", "cancelled"})
# A skin or eye product acts where it is put; one in the nose still reaches the brain unless it is an
# antihistamine or nicotine (docs/rules.md R8.12).
_LOCAL_ROUTES = frozenset({Route.TOPICAL, Route.OPHTHALMIC})
_NASAL_LOCAL_GROUPS = frozenset({"ANTIHIST_SEDATING", "ANTIHIST_NONSEDATING", "ANTIHIST_TOPICAL", "NICOTINE"})


@dataclass(frozen=True, slots=True)
class Taken:
    """One ingredient that the patient takes today, merged over all current records that name it.

    Iron as a treatment is kept apart from the same salt in a multivitamin or a contraceptive pack. `start`
    is the earliest start that a current record gives.
    """

    name: str
    groups: frozenset[str]
    records: tuple[MedicineFact, ...]
    is_possible: bool
    certainty: Certainty
    start: PartialDate | None

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return every record that names the ingredient."""
        return tuple(r.source for r in self.records)


def start_of(record: MedicineFact) -> PartialDate | None:
    """Return when a record says that the medicine began: effective start, else authoredOn."""
    return record.start or record.authored


def weight_today(record: MedicineFact, today: date) -> str | None:
    """Return "full" or "possible" for a current record, None for any other (docs/rules.md R8.10)."""
    if record.is_not_to_be_given or _has_ended(record, today):
        return None
    if record.kind is MedicineKind.REQUEST:
        return "full" if record.status == "active" and _is_order(record) else None
    if record.kind is MedicineKind.ADMINISTRATION or _starts_later(record, today):
        return None
    # A missing status says as little as the code "unknown".
    return {"active": "full", "unknown": "possible", "": "possible"}.get(record.status)


def _is_order(request: MedicineFact) -> bool:
    """Whether a request is an order, not a proposal, plan or option; without an intent it is read as one."""
    return not request.intent or request.intent in _ORDER_INTENTS


def _has_ended(record: MedicineFact, today: date) -> bool:
    return record.end is not None and record.end.latest < today


def _starts_later(record: MedicineFact, today: date) -> bool:
    return record.start is not None and record.start.earliest > today


def counts_by_route(groups: frozenset[str], route: Route) -> bool:
    """Whether an ingredient of these groups reaches the body by this route."""
    if route in _LOCAL_ROUTES:
        return False
    return not (route is Route.NASAL_INHALED and groups & _NASAL_LOCAL_GROUPS)


def _counts_as_antiemetic(record: MedicineFact, ingredient: IngredientFact) -> bool:
    # One dose for a ward patient is over before a card could change anything (docs/rules.md R7).
    return not (record.is_single_inpatient_dose and "DA_ANTIEMETIC" in ingredient.groups)


def current_medicines(facts: Facts, today: date) -> tuple[Taken, ...]:
    """Return the current ingredients, sorted by name."""
    by_name: dict[tuple[str, bool], list[tuple[MedicineFact, IngredientFact, str]]] = {}
    for record in facts.medicines:
        weight = weight_today(record, today)
        if weight is None:
            continue
        for ingredient in record.ingredients:
            if counts_by_route(ingredient.groups, record.route) and _counts_as_antiemetic(record, ingredient):
                key = (ingredient.name, "ORAL_IRON" in _groups_of(record, ingredient))
                by_name.setdefault(key, []).append((record, ingredient, weight))
    return tuple(_merge(name, by_name[name, is_iron]) for name, is_iron in sorted(by_name))


def _merge(name: str, found: list[tuple[MedicineFact, IngredientFact, str]]) -> Taken:
    certainties = {ingredient.certainty for _, ingredient, _ in found}
    groups = frozenset().union(*(_groups_of(r, i) for r, i, _ in found))
    starts = [s for s in (start_of(r) for r, _, _ in found) if s is not None]
    return Taken(
        name=name,
        groups=groups,
        records=tuple(sorted((r for r, _, _ in found), key=_record_key)),
        is_possible=all(weight == "possible" for _, _, weight in found),
        certainty=next(one for one in Certainty if one in certainties),
        start=min(starts, key=lambda s: (s.earliest, s.shown), default=None),
    )


def _groups_of(record: MedicineFact, ingredient: IngredientFact) -> frozenset[str]:
    # "Iron" without a salt is a treatment only when the product is one to swallow (docs/rules.md R11.1).
    if "IRON_ANY" in ingredient.groups and record.route is Route.ORAL:
        return ingredient.groups | {"ORAL_IRON"}
    return ingredient.groups


def _record_key(record: MedicineFact) -> tuple[str, str, str]:
    start = start_of(record)
    return (record.kind, start.shown if start else "", record.source.resource_id or "")


def flagged_groups(taken: Taken, knowledge: Knowledge) -> frozenset[str]:
    """Return the flagged drug classes that an ingredient counts for (docs/rules.md R10)."""
    ingredient = knowledge.ingredients.get(taken.name)
    if ingredient is None or not ingredient.is_flagged:
        return frozenset()
    classes = knowledge.drug_classes
    return frozenset(g for g in taken.groups if g in classes and classes[g].is_flagged)


def with_group(medicines: Iterable[Taken], *groups: str) -> tuple[Taken, ...]:
    """Return the ingredients of any of these groups."""
    wanted = frozenset(groups)
    return tuple(m for m in medicines if m.groups & wanted)


def drug_item(taken: Taken, classes: Iterable[str], knowledge: Knowledge, today: date) -> DrugItem:
    """Return what a card says about one ingredient."""
    days = knowledge.days("window.confirm_entry")
    return DrugItem(
        ingredient=taken.name,
        classes=tuple(sorted(classes)),
        is_possible=taken.is_possible,
        is_as_needed=all(r.is_as_needed for r in taken.records),
        is_old_entry=all(_is_old_entry(r, today, days) for r in taken.records),
        start=taken.start,
        certainty=taken.certainty,
        sources=taken.sources,
    )


def _is_old_entry(record: MedicineFact, today: date, days: int) -> bool:
    said = record.asserted or start_of(record)
    return record.end is None and said is not None and (today - said.earliest).days > days


@dataclass(frozen=True, slots=True)
class IntravenousDose:
    """A dose of intravenous iron."""

    day: date
    ingredient: str
    source: Source


def intravenous_doses(facts: Facts, today: date) -> tuple[IntravenousDose, ...]:
    """Return the doses, the last at the end: administrations and statements, requests only without these."""
    given = _doses(facts, today, is_request=False)
    doses = given or _doses(facts, today, is_request=True)
    return tuple(sorted(doses, key=lambda d: (d.day, d.ingredient, d.source.key)))


def _doses(facts: Facts, today: date, *, is_request: bool) -> list[IntravenousDose]:
    found: list[IntravenousDose] = []
    for record in facts.medicines:
        if (record.kind is MedicineKind.REQUEST) is not is_request or not _is_given(record):
            continue
        day = _dose_day(record, today)
        found.extend(
            IntravenousDose(day, i.name, record.source)
            for i in record.ingredients
            if day is not None and "IV_IRON" in i.groups
        )
    return found


def _is_given(record: MedicineFact) -> bool:
    is_order = record.kind is not MedicineKind.REQUEST or _is_order(record)
    return not record.is_not_to_be_given and is_order and record.status in _GIVEN[record.kind]


def _dose_day(record: MedicineFact, today: date) -> date | None:
    """Return the day on which the record says that iron was last given, never one in the future.

    A coarse date counts as its first day, as it does for results.
    """
    dates = (record.authored,) if record.kind is MedicineKind.REQUEST else (record.end, record.start)
    for said in dates:
        if said is not None and said.earliest <= today:
            return said.earliest
    return None


def dopaminergic_start(name: str, facts: Facts, taken: Taken, gap_days: int) -> PartialDate | None:
    """Return when a medicine was begun, over records that follow one another (docs/rules.md R11.2)."""
    begin = taken.start
    if begin is None:
        return None
    records = [
        (start, r.end or start)
        for r in facts.medicines
        if r.status not in _NEVER_TAKEN and any(i.name == name for i in r.ingredients)
        for start in [start_of(r)]
        if start is not None
    ]
    for start, end in sorted(records, key=lambda pair: (pair[0].earliest, pair[0].shown), reverse=True):
        is_linked = end.latest + timedelta(days=gap_days) >= begin.earliest
        if start.earliest < begin.earliest and is_linked:
            begin = start
    return begin


def daily_dose(taken: Taken) -> Decimal | None:
    """Return the dose in mg a day when every current record gives one (the highest of them)."""
    doses = [r.daily_dose_mg for r in taken.records]
    known = [d for d in doses if d is not None]
    return max(known) if known and len(known) == len(doses) else None
