"""The iron picture: which results and treatments the rules judge, and the ids of docs/rules.md R9.1."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from cds_service.clinical.facts import (
    Analyte,
    Facts,
    IronSearch,
    NeedState,
    OrderFact,
    Presence,
    Result,
    ResultStatus,
    Source,
)
from cds_service.clinical.interval import Interval
from cds_service.clinical.medicines import (
    IntravenousDose,
    Taken,
    intravenous_doses,
    with_group,
)
from cds_service.clinical.results import (
    Series,
    current,
    is_pending,
    nearest,
    saturations,
    series,
    usable,
    value_of,
    without_days,
)
from cds_service.clinical.timing import AgeClass, add_days, is_within
from cds_service.knowledge import Knowledge

NOTHING = Series(None, (), ())


@dataclass(frozen=True, slots=True)
class IronPicture:
    """Iron results and iron treatments on the day of assessment.

    `all_*` leaves out only what an IV dose falsifies and serves IRON-14; `ferritin` and `tsat` are what
    every other card judges. `window` is the number of days for which a result is current in the
    patient's group. `reliable_from` is the day from which ferritin and TSAT can be trusted again, set in the
    weeks after an IV dose only.
    """

    today: date
    window: int
    doses: tuple[IntravenousDose, ...]
    oral: tuple[Taken, ...]
    all_ferritin: Series
    all_tsat: Series
    ferritin: Series
    tsat: Series
    inflammation: tuple[Result, ...]
    pending_orders: tuple[Source, ...]
    pending_results: tuple[Source, ...]
    searches: dict[IronSearch, NeedState]
    reliable_from: date | None

    @property
    def dose(self) -> IntravenousDose | None:
        """Return the last dose of IV iron."""
        return self.doses[-1] if self.doses else None

    @property
    def pending(self) -> tuple[Source, ...]:
        """Return the iron orders and unfinished ferritins that will answer soon (docs/rules.md R7)."""
        return (*self.pending_orders, *self.pending_results)

    @property
    def days_since_dose(self) -> int | None:
        """Return the days since the last IV dose, None without one."""
        return None if self.dose is None else (self.today - self.dose.day).days

    @property
    def current_ferritin(self) -> Result | None:
        """Return the newest readable ferritin if it is current."""
        return current(self.ferritin.newest, self.today, self.window)

    @property
    def current_tsat(self) -> Result | None:
        """Return the newest readable saturation if it is current."""
        return current(self.tsat.newest, self.today, self.window)

    def was_not_read(self, search: IronSearch) -> bool:
        """Whether a search failed or was cut off."""
        return self.searches[search] in {NeedState.FAILED, NeedState.CUT_OFF}

    def crp_near(self, ferritin: Result, days: int) -> Result | None:
        """Return the CRP drawn nearest to a ferritin."""
        return nearest(self.inflammation, ferritin.when, days) if ferritin.when is not None else None


def iron_picture(
    facts: Facts, medicines: Sequence[Taken], knowledge: Knowledge, today: date, window: int
) -> IronPicture:
    """Return the iron picture; `window` in days."""
    doses = intravenous_doses(facts, today)
    dose = doses[-1] if doses else None
    ferritins = usable(facts.results, Analyte.FERRITIN, today)
    results = list(facts.results)
    unreliable = knowledge.days("window.iv_iron.unreliable")
    if dose is not None:
        ferritins = without_days(ferritins, dose.day, unreliable)
        results = without_days(results, dose.day, unreliable)
    all_ferritin = series(ferritins)
    all_tsat = saturations(results, today, knowledge.days("window.tsat_pair"))
    judged = _judged_from(dose, knowledge, today)
    return IronPicture(
        today=today,
        window=window,
        doses=doses,
        oral=with_group(medicines, "ORAL_IRON"),
        all_ferritin=all_ferritin,
        all_tsat=all_tsat,
        ferritin=_judge(all_ferritin, judged, today),
        tsat=_judge(all_tsat, judged, today),
        inflammation=tuple(usable(facts.results, Analyte.CRP, today)),
        pending_orders=_pending_orders(facts, knowledge, today),
        pending_results=_pending_results(facts, knowledge, today),
        searches=dict(facts.iron_searches),
        reliable_from=_reliable_from(dose, unreliable, today),
    )


def _reliable_from(dose: IntravenousDose | None, unreliable: int, today: date) -> date | None:
    if dose is None or (today - dose.day).days > unreliable:
        return None
    return add_days(dose.day, unreliable + 1)


def _judged_from(dose: IntravenousDose | None, knowledge: Knowledge, today: date) -> date | None:
    """Return the first day of draw that counts after an IV dose, None when every day does."""
    if dose is None or (today - dose.day).days > knowledge.days("window.iv_iron.recheck"):
        return None
    return add_days(dose.day, knowledge.days("window.iv_iron.unreliable") + 1)


def _judge(results: Series, first: date | None, today: date) -> Series:
    if first is None:
        return results
    return results.drawn_from(first) if first <= today else NOTHING


def _pending_orders(facts: Facts, knowledge: Knowledge, today: date) -> tuple[Source, ...]:
    days = knowledge.days("window.pending_order")
    return tuple(o.source for o in facts.orders if _is_recent_order(o, today, days))


def _pending_results(facts: Facts, knowledge: Knowledge, today: date) -> tuple[Source, ...]:
    days = knowledge.days("window.pending_result")
    return tuple(
        r.source
        for r in facts.results
        if r.analyte is Analyte.FERRITIN
        and is_pending(r)
        and r.when is not None
        and is_within(r.when, today, days)
    )


def _is_recent_order(order: OrderFact, today: date, days: int) -> bool:
    return order.authored is not None and 0 <= (today - order.authored.earliest).days <= days


def ferritin_available(picture: IronPicture, facts: Facts) -> bool:
    """Whether iron results are available (docs/rules.md R2.1).

    An old or unreadable ferritin does not answer for a search that failed: a newer one may have been
    in it. Neither does an order: what was ordered is not what was found.
    """
    state = picture.searches[IronSearch.FERRITIN]
    if state is NeedState.ANSWERED:
        return True
    received = usable(facts.results, Analyte.FERRITIN, picture.today)
    if state is NeedState.FAILED:
        newest = current(series(received).newest, picture.today, picture.window)
        return newest is not None or bool(picture.pending_results)
    return bool(received) or bool(picture.pending_results)


def is_below(result: Result | None, limit_id: str, knowledge: Knowledge) -> bool:
    """Whether a result is certainly < the threshold; False without a result."""
    interval = value_of(result)
    return interval is not None and interval.is_certainly_below(knowledge.threshold(limit_id))


def is_at_most(result: Result | None, limit_id: str, knowledge: Knowledge) -> bool:
    """Whether a result is certainly <= the threshold; False without a result."""
    interval = value_of(result)
    return interval is not None and interval.is_certainly_at_most(knowledge.threshold(limit_id))


def is_above(result: Result | None, limit_id: str, knowledge: Knowledge) -> bool:
    """Whether a result is certainly > the threshold; False without a result."""
    interval = value_of(result)
    return interval is not None and interval.is_certainly_above(knowledge.threshold(limit_id))


def is_at_least(result: Result | None, limit_id: str, knowledge: Knowledge) -> bool:
    """Whether a result is certainly >= the threshold; False without a result."""
    interval = value_of(result)
    return interval is not None and interval.is_certainly_at_least(knowledge.threshold(limit_id))


def rests_on_unknown_status(*results: Result | None) -> bool:
    """Whether a deciding result has the status "unknown"."""
    return any(r is not None and r.status is ResultStatus.UNKNOWN for r in results)


def inflamed_by(picture: IronPicture, ferritin: Result, knowledge: Knowledge) -> Result | None:
    """Return the CRP above the limit that was drawn near a ferritin, None without one."""
    crp = picture.crp_near(ferritin, knowledge.days("window.crp"))
    return crp if is_above(crp, "crp.inflamed", knowledge) else None


BAND_OF_KIDNEY_FAILURE = "iron.low.esrd"
BAND_IDS = frozenset(
    {
        "iron.low",
        "iron.borderline",
        "iron.adequate",
        "iron.discordant",
        BAND_OF_KIDNEY_FAILURE,
        "tsat.low",
    }
)
"""The ids of docs/rules.md R9.1 that results set."""


def bands(
    picture: IronPicture, age: AgeClass, *, is_esrd: bool, is_pregnant: bool, knowledge: Knowledge
) -> dict[str, Presence]:
    """Return what current results say of each band of the patient's group; other bands are left out.

    As for the cards, pregnancy comes before the age: the limits of adults apply.
    """
    ids: dict[str, Presence] = {}
    ferritin = value_of(picture.current_ferritin)
    tsat = value_of(picture.current_tsat)
    if is_esrd:
        ids[BAND_OF_KIDNEY_FAILURE] = _both(
            _below(ferritin, "ferritin.treat.esrd", knowledge), _below(tsat, "tsat.low", knowledge)
        )
        return ids
    if age is AgeClass.CHILD and not is_pregnant:
        ids["iron.low"] = _below(ferritin, "ferritin.treat.child", knowledge)
        ids["iron.adequate"] = _not(ids["iron.low"])
        return ids
    tsat_low = _below(tsat, "tsat.low", knowledge)
    low = _at_most(ferritin, "ferritin.treat.adult", knowledge)
    up_to_100 = _at_most(ferritin, "ferritin.iv.adult", knowledge)
    is_age_open = age.is_open and not is_pregnant
    ids["tsat.low"] = tsat_low
    ids["iron.low"] = _low_at_any_age(ferritin, low, knowledge) if is_age_open else low
    ids["iron.borderline"] = _both(_not(low), up_to_100)
    ids["iron.discordant"] = _both(_not(up_to_100), tsat_low)
    # Above 100 is adequate unless a saturation says otherwise, so one that is not known does not matter.
    is_discordant = tsat_low is Presence.PRESENT
    ids["iron.adequate"] = Presence.ABSENT if is_discordant else _not(up_to_100)
    return ids


def _low_at_any_age(ferritin: Interval | None, low: Presence, knowledge: Knowledge) -> Presence:
    """Return low only where the readings as adult and as child agree: below 50, the limit of children."""
    below_50 = _below(ferritin, "ferritin.treat.child", knowledge)
    if below_50 is Presence.PRESENT or low is Presence.ABSENT:
        return below_50
    return Presence.UNKNOWN


def _below(interval: Interval | None, limit_id: str, knowledge: Knowledge) -> Presence:
    limit = knowledge.threshold(limit_id)
    if interval is not None and interval.is_certainly_below(limit):
        return Presence.PRESENT
    is_above = interval is not None and interval.is_certainly_at_least(limit)
    return Presence.ABSENT if is_above else Presence.UNKNOWN


def _at_most(interval: Interval | None, limit_id: str, knowledge: Knowledge) -> Presence:
    limit = knowledge.threshold(limit_id)
    if interval is not None and interval.is_certainly_at_most(limit):
        return Presence.PRESENT
    is_above = interval is not None and interval.is_certainly_above(limit)
    return Presence.ABSENT if is_above else Presence.UNKNOWN


def _not(presence: Presence) -> Presence:
    opposite = {Presence.PRESENT: Presence.ABSENT, Presence.ABSENT: Presence.PRESENT}
    return opposite.get(presence, Presence.UNKNOWN)


def _both(left: Presence, right: Presence) -> Presence:
    if Presence.ABSENT in {left, right}:
        return Presence.ABSENT
    return Presence.UNKNOWN if Presence.UNKNOWN in {left, right} else Presence.PRESENT
