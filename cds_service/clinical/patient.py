"""Who the patient is for the rules: age class, pregnancy, kidney failure."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from cds_service.clinical.conditions import CurrentConditions, is_possible
from cds_service.clinical.facts import (
    TAKEN_BACK,
    Analyte,
    Certainty,
    ConditionFact,
    Facts,
    Need,
    NeedState,
    PartialDate,
    Presence,
    ProcedureFact,
    Result,
    Sex,
    Source,
)
from cds_service.clinical.results import (
    current,
    is_readable,
    newest_first,
    series,
    usable,
    value_of,
)
from cds_service.clinical.timing import days_since, is_within, may_be_aged
from cds_service.knowledge import Knowledge

_PREGNANCY = "pregnancy"
_DIALYSIS_CONDITIONS = ("esrd_on_dialysis", "dialysis")
# ICD-10-CM chapter 15, by the letters and digits of the category.
_PREGNANT_CATEGORIES = (("O09", "O79"), ("O94", "O9A"))
_DELIVERY_CATEGORIES = ("O80", "O81", "O82", "Z37", "Z39")
_DELIVERY = "delivery_outcome"
# Ectopic and molar pregnancy, abortion and its complications: the pregnancy is over without a birth.
_ABORTIVE_CATEGORIES = ("O00", "O01", "O02", "O03", "O04", "O05", "O06", "O07", "O08")
_ENDING_CATEGORIES = (*_DELIVERY_CATEGORIES, *_ABORTIVE_CATEGORIES)
_PUERPERIUM_CATEGORIES = (*_DELIVERY_CATEGORIES, "O85", "O86", "O87", "O88", "O89", "O90", "O91", "O92")


@dataclass(frozen=True, slots=True)
class State:
    """One state of the patient: its presence, the records that show it, and since when."""

    presence: Presence
    sources: tuple[Source, ...] = ()
    text: str = ""
    when: PartialDate | None = None
    is_possible: bool = False

    @property
    def is_present(self) -> bool:
        """Whether the state is shown by the record."""
        return self.presence is Presence.PRESENT


def absent_or_unknown(facts: Facts, *needs: Need) -> Presence:
    """Return ABSENT only when each of these needs was answered."""
    is_read = all(facts.needs[need] is NeedState.ANSWERED for need in needs)
    return Presence.ABSENT if is_read else Presence.UNKNOWN


def dialysis_procedure(facts: Facts, today: date, days: int) -> ProcedureFact | None:
    """Return the newest dialysis procedure of the last `days` days."""
    recent = [
        p
        for p in facts.procedures
        if "dialysis_procedure" in p.groups and p.when is not None and is_within(p.when, today, days)
    ]
    return max(recent, key=lambda p: (p.when.instant if p.when else None, p.source.key), default=None)


def kidney_failure(facts: Facts, conditions: CurrentConditions, knowledge: Knowledge, today: date) -> State:
    """Return whether end-stage kidney disease or dialysis is on record (docs/rules.md R9.4).

    A kidney transplant removes the diagnosis, never the evidence of dialysis.
    """
    found = list(conditions.of(*_DIALYSIS_CONDITIONS))
    if not conditions.has("kidney_transplant"):
        found.extend(conditions.of("esrd"))
    if found:
        return _condition_state(found)
    procedure = dialysis_procedure(facts, today, knowledge.days("window.dialysis_procedure"))
    if procedure is not None:
        return State(Presence.PRESENT, (procedure.source,), procedure.display, procedure.when)
    return State(absent_or_unknown(facts, Need.CONDITIONS, Need.PROCEDURES))


def _condition_state(conditions: list[ConditionFact]) -> State:
    found = sorted(conditions, key=lambda c: (c.display, c.source.resource_id or "", c.source.key))
    first = found[0]
    return State(
        Presence.PRESENT,
        tuple(c.source for c in found),
        first.display,
        first.onset or first.recorded,
        is_possible=all(is_possible(c) for c in found),
    )


def pregnancy(facts: Facts, conditions: CurrentConditions, knowledge: Knowledge, today: date) -> State:
    """Return whether the patient is pregnant today (docs/rules.md R9.3): status, due date, then diagnoses.

    A delivery or an abortive outcome dated later ends what each of them says.
    """
    if not can_be_pregnant(facts, knowledge, today):
        return State(Presence.ABSENT)
    status = _pregnancy_status(facts, today, knowledge.days("window.pregnancy.status"))
    if status is not None and _PREGNANCY not in status.code:
        return State(Presence.ABSENT, (status.source,), status.shown or "not pregnant", status.when)
    due = _due_date(facts, today, knowledge.days("window.pregnancy.edd_ahead"))
    for told in (status, due):
        if told is not None and not _has_ended_since(facts, told.when):
            return State(Presence.PRESENT, (told.source,), told.shown or "pregnant", told.when)
    coded = _pregnancy_conditions(facts, conditions, today, knowledge.days("window.pregnancy.code"))
    if coded:
        return _condition_state(coded)
    if undated_pregnancies(conditions):
        return State(Presence.UNKNOWN)
    return State(absent_or_unknown(facts, Need.CONDITIONS, Need.CONTEXT_RESULTS))


def undated_pregnancies(conditions: CurrentConditions) -> tuple[ConditionFact, ...]:
    """Return the current entries of a pregnancy without a date: it may be this one or a former one."""
    return tuple(c for c in conditions.conditions if _names_pregnancy(c) and _day_of(c) is None)


def can_be_pregnant(facts: Facts, knowledge: Knowledge, today: date) -> bool:
    """Whether sex and age leave a pregnancy possible; what is not recorded leaves it possible."""
    if facts.patient is None:
        return True
    youngest = int(knowledge.threshold("age.pregnancy.min"))
    oldest = int(knowledge.threshold("age.pregnancy.max"))
    return facts.patient.sex is not Sex.MALE and may_be_aged(facts.patient.birth, today, youngest, oldest)


def _pregnancy_status(facts: Facts, today: date, days: int) -> Result | None:
    answers = usable(facts.results, Analyte.PREGNANCY_STATUS, today)
    dated = [r for r in answers if r.when is not None and r.unreadable is None]
    newest = newest_first(dated)
    return current(newest[0], today, days) if newest else None


def _due_date(facts: Facts, today: date, days_ahead: int) -> Result | None:
    # The newest estimate replaces the earlier ones.
    estimates = newest_first(usable(facts.results, Analyte.DELIVERY_DATE, today))
    if not estimates or estimates[0].day_value is None:
        return None
    ahead = -days_since(estimates[0].day_value, today)
    return estimates[0] if 1 <= ahead <= days_ahead else None


def _pregnancy_conditions(
    facts: Facts, conditions: CurrentConditions, today: date, days: int
) -> list[ConditionFact]:
    found = []
    for condition in conditions.conditions:
        day = _day_of(condition)
        if day is None or not _names_pregnancy(condition) or not 0 <= days_since(day, today) <= days:
            continue
        if not _has_ended_since(facts, day):
            found.append(condition)
    return found


def _day_of(condition: ConditionFact) -> PartialDate | None:
    return condition.onset or condition.recorded


def _names_pregnancy(condition: ConditionFact) -> bool:
    if condition.groups & {_PREGNANCY, "rls_in_pregnancy"}:
        return True
    return any(
        first <= code[:3] <= last for code in condition.icd10_codes for first, last in _PREGNANT_CATEGORIES
    )


def _has_category(condition: ConditionFact, categories: tuple[str, ...]) -> bool:
    """Whether an entry that stands is of one of these categories; a delivery that is over still was one."""
    if condition.verification in TAKEN_BACK:
        return False
    return any(code[:3] in categories for code in condition.icd10_codes)


def _has_ended_since(facts: Facts, day: PartialDate | None) -> bool:
    """Whether a delivery or an abortive outcome is dated later than `day` (any one, if that is undated)."""
    for condition in facts.conditions:
        entry = _day_of(condition)
        if entry is None or not _has_category(condition, _ENDING_CATEGORIES):
            continue
        if day is None or entry.earliest > day.earliest:
            return True
    return False


def postpartum(facts: Facts, knowledge: Knowledge, today: date, *, is_pregnant: bool) -> State:
    """Return whether the patient gave birth in the last weeks: symptoms should fade then.

    A delivery that only words tell ends no pregnancy, so that beside one it stays open.
    """
    days = knowledge.days("window.postpartum")
    if not can_be_pregnant(facts, knowledge, today):
        return State(absent_or_unknown(facts, Need.CONDITIONS))
    entries = [(c, _day_of(c)) for c in facts.conditions if _tells_delivery(c)]
    recent = [c for c, day in entries if day is not None and 0 <= days_since(day, today) <= days]
    is_in_words = all(c.certainty is Certainty.BY_TEXT for c in recent)
    if recent and not (is_pregnant and is_in_words):
        deliveries = [d for c in recent if _has_category(c, _DELIVERY_CATEGORIES) and (d := _day_of(c))]
        # Only a delivery dates itself; a complication of the weeks after it begins when it begins.
        delivered = max(deliveries, key=lambda d: (d.earliest, d.shown), default=None)
        return replace(_condition_state(recent), when=delivered)
    if recent or any(day is None for _, day in entries):
        return State(Presence.UNKNOWN)
    return State(absent_or_unknown(facts, Need.CONDITIONS))


def _tells_delivery(condition: ConditionFact) -> bool:
    """Whether an entry that stands tells of a delivery or of the weeks after it, by code or in words."""
    if _has_category(condition, _PUERPERIUM_CATEGORIES):
        return True
    is_in_words = condition.certainty is Certainty.BY_TEXT and _DELIVERY in condition.groups
    return is_in_words and condition.verification not in TAKEN_BACK


def reduced_filtration(facts: Facts, knowledge: Knowledge, today: date) -> tuple[Result, ...]:
    """Return two eGFR results that show stage 3 to 5: the newest, and one at least 90 days older."""
    limit = knowledge.threshold("egfr.stage3")
    results = series(usable(facts.results, Analyte.EGFR, today))
    newest = results.newest
    if newest is None or newest.when is None or not _is_below(newest, limit):
        return ()
    apart = knowledge.days("window.egfr_pair")
    for earlier in results.readable[1:]:
        if earlier.when is None or not _is_below(earlier, limit):
            continue
        if (newest.when.earliest - earlier.when.earliest).days >= apart:
            return (newest, earlier)
    return ()


def _is_below(result: Result, limit: Decimal) -> bool:
    interval = value_of(result)
    return is_readable(result) and interval is not None and interval.is_certainly_below(limit)
