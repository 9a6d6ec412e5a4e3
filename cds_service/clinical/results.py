"""Which laboratory result answers a question: the newest readable one, with what was skipped."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cmp_to_key

from cds_service.clinical.facts import (
    Analyte,
    PartialDate,
    Result,
    ResultNote,
    ResultStatus,
)
from cds_service.clinical.interval import Interval
from cds_service.clinical.timing import add_days, days_since, is_future, is_within

_PENDING = frozenset({ResultStatus.PRELIMINARY, ResultStatus.REGISTERED})
_CORRECTED = frozenset({ResultStatus.CORRECTED, ResultStatus.AMENDED})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_HUNDRED = Decimal(100)
# A saturation above this is a mistake of one of the two results, not a finding (docs/rules.md R8.8).
_HIGHEST_SATURATION = Decimal(150)


def is_pending(result: Result) -> bool:
    """Whether the laboratory has not finished the result."""
    return result.status in _PENDING


def usable(results: Iterable[Result], analyte: Analyte, today: date) -> list[Result]:
    """Return the finished results of an analyte that are not dated in the future."""
    return [
        r
        for r in results
        if r.analyte is analyte
        and not is_pending(r)
        and not (r.when is not None and is_future(r.when, today))
    ]


def is_readable(result: Result) -> bool:
    """Whether a result has a date and a value that can be compared."""
    return result.unreadable is None and result.interval is not None and result.when is not None


def _lower_bound(result: Result) -> Decimal:
    low = result.interval.low if result.interval else None
    return low if low is not None else Decimal(0)


def _compare(left: Result, right: Result) -> int:
    """Order newest first; ties by issue, then corrected before final, then the lower value."""
    left_when, right_when = _instant(left), _instant(right)
    if left_when != right_when:
        return -1 if left_when > right_when else 1
    left_issued, right_issued = left.issued or _LONG_AGO, right.issued or _LONG_AGO
    if left_issued != right_issued:
        return -1 if left_issued > right_issued else 1
    left_corrected, right_corrected = left.status in _CORRECTED, right.status in _CORRECTED
    if left_corrected != right_corrected:
        return -1 if left_corrected else 1
    # A lower value is the safer one: it does not miss a deficiency. Texts settle what is left, so that
    # the order of entries never matters.
    left_key = (_lower_bound(left), left.shown, left.status)
    right_key = (_lower_bound(right), right.shown, right.status)
    return (left_key > right_key) - (left_key < right_key)


def _instant(result: Result) -> datetime:
    return result.when.instant if result.when is not None else _LONG_AGO


def newest_first(results: Iterable[Result]) -> list[Result]:
    """Return the results in the order of docs/rules.md R8.3, the deciding one first."""
    return sorted(results, key=cmp_to_key(_compare))


@dataclass(frozen=True, slots=True)
class Series:
    """The finished results of one analyte: the newest readable one and what was skipped for it."""

    newest: Result | None
    skipped: tuple[Result, ...]
    readable: tuple[Result, ...]

    @property
    def is_only_unreadable(self) -> bool:
        """Whether results exist and none of them can be read."""
        return self.newest is None and bool(self.skipped)

    def drawn_from(self, first: date) -> "Series":
        """Return the series of the results drawn on `first` or later (undated ones stay skipped)."""
        return series(
            r for r in (*self.readable, *self.skipped) if r.when is None or r.when.earliest >= first
        )


def series(results: Iterable[Result]) -> Series:
    """Return the series of these results."""
    ordered = newest_first(results)
    readable = tuple(r for r in ordered if is_readable(r))
    if not readable:
        return Series(None, tuple(ordered), ())
    newest = readable[0]
    skipped = tuple(r for r in ordered if not is_readable(r) and _is_not_older(r, newest))
    return Series(newest, skipped, readable)


def _is_not_older(result: Result, newest: Result) -> bool:
    return result.when is None or result.when.instant >= _instant(newest)


def without_days(results: Sequence[Result], start: date, days: int) -> list[Result]:
    """Return the results not drawn on day 0 to `days` after `start` (undated ones are kept)."""
    end = add_days(start, days)
    return [r for r in results if r.when is None or not start <= r.when.earliest <= end]


def computed_saturations(results: Sequence[Result], today: date, pair_days: int) -> list[Result]:
    """Return transferrin saturations (%) computed from iron and TIBC drawn at most `pair_days` apart.

    100 x iron / TIBC; no comparators; dated by the earlier draw; status unknown if either one is.
    """
    irons = [r for r in usable(results, Analyte.IRON, today) if _is_exact_number(r)]
    capacities = [
        r for r in usable(results, Analyte.TIBC, today) if _is_exact_number(r) and _lower_bound(r) > 0
    ]
    pairs = _pairs(_one_a_moment(irons), _one_a_moment(capacities), timedelta(days=pair_days))
    found = (_saturation(iron, capacity) for iron, capacity in pairs)
    return [r for r in found if _lower_bound(r) <= _HIGHEST_SATURATION]


def _one_a_moment(results: Iterable[Result]) -> list[Result]:
    """Return one result for each moment, oldest first: the one that counts among those drawn together."""
    chosen: dict[datetime, Result] = {}
    for result in newest_first(results):
        chosen.setdefault(_instant(result), result)
    return sorted(chosen.values(), key=_instant)


def _pairs(
    irons: Sequence[Result], capacities: Sequence[Result], gap: timedelta
) -> Iterator[tuple[Result, Result]]:
    """Yield for each result its nearest partner at most `gap` away; a chart of thousands stays cheap."""
    for firsts, others, is_iron_first in ((irons, capacities, True), (capacities, irons, False)):
        moments = [_instant(r) for r in others]
        for first in firsts:
            at = bisect_left(moments, _instant(first))
            near = others[max(0, at - 1) : at + 1]
            best = min(near, key=lambda r: abs(_instant(r) - _instant(first)), default=None)
            if best is not None and abs(_instant(best) - _instant(first)) <= gap:
                yield (first, best) if is_iron_first else (best, first)


def _is_exact_number(result: Result) -> bool:
    return is_readable(result) and result.interval is not None and result.interval.is_exact


def _saturation(iron: Result, capacity: Result) -> Result:
    percent = _HUNDRED * _lower_bound(iron) / _lower_bound(capacity)
    earlier = min((iron, capacity), key=_instant)
    is_unknown = ResultStatus.UNKNOWN in {iron.status, capacity.status}
    return replace(
        earlier,
        analyte=Analyte.TSAT,
        status=ResultStatus.UNKNOWN if is_unknown else ResultStatus.FINAL,
        interval=Interval.exactly(percent),
        shown=f"{one_decimal(percent)} %",
        shown_canonical=None,
        issued=None,
        notes=frozenset({ResultNote.COMPUTED}),
        sources=(iron.source, capacity.source),
    )


def one_decimal(value: Decimal) -> str:
    """Return the value with at most one decimal, halves rounded up, for display only."""
    rounded = value.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)
    return f"{rounded.normalize():f}"


def saturations(results: Sequence[Result], today: date, pair_days: int) -> Series:
    """Return the series of measured and computed saturations; at one instant the measured one counts."""
    measured = usable(results, Analyte.TSAT, today)
    taken = {_instant(r) for r in measured if is_readable(r)}
    computed = [r for r in computed_saturations(results, today, pair_days) if _instant(r) not in taken]
    return series([*measured, *computed])


def current(result: Result | None, today: date, days: int) -> Result | None:
    """Return the result if it is at most `days` old, else None."""
    if result is None or result.when is None or not is_within(result.when, today, days):
        return None
    return result


def value_of(result: Result | None) -> Interval | None:
    """Return the interval of a readable result."""
    return result.interval if result is not None else None


def nearest(results: Iterable[Result], to: PartialDate, days: int) -> Result | None:
    """Return the readable result drawn nearest to a date, at most `days` before or after it.

    Equally near results: the higher one.
    """
    near = [
        (abs((r.when.earliest - to.earliest).days), r)
        for r in results
        if is_readable(r) and r.when is not None and abs((r.when.earliest - to.earliest).days) <= days
    ]
    if not near:
        return None
    least = min(distance for distance, _ in near)
    closest = [r for distance, r in near if distance == least]
    return max(closest, key=lambda r: (_upper_rank(r), r.shown))


def _upper_rank(result: Result) -> tuple[bool, Decimal]:
    high = result.interval.high if result.interval else None
    return (high is None, high if high is not None else Decimal(0))


def age_in_days(result: Result, today: date) -> int:
    """Return the age of a dated result in days, 0 for one dated tomorrow."""
    return max(0, days_since(result.when, today)) if result.when is not None else 0
