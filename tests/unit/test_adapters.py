"""The small adapters: clocks, counters, and the memory that knows nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import time_machine

from cds_service.adapters.clock import FixedClock, SystemClock
from cds_service.adapters.metrics import InProcessMetrics
from cds_service.adapters.quiet import NothingKnown
from cds_service.ports import Clock, Metrics, Quiet


def test_the_day_is_the_one_of_the_zone() -> None:
    with time_machine.travel(datetime(2026, 11, 22, 23, 30, tzinfo=UTC)):
        clocks: list[Clock] = [SystemClock(ZoneInfo("UTC")), SystemClock(ZoneInfo("Pacific/Auckland"))]
        assert [clock.today() for clock in clocks] == [date(2026, 11, 22), date(2026, 11, 23)]


def test_a_fixed_day_stays() -> None:
    clock: Clock = FixedClock(ZoneInfo("UTC"), date(2026, 11, 22))
    assert clock.today() == date(2026, 11, 22)


def test_counters_count_by_labels_from_any_thread() -> None:
    counters = InProcessMetrics()
    metrics: Metrics = counters
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: metrics.count("card", card="IRON-03", service="s"), range(500)))
    metrics.count("card", card="IRON-04", service="s")
    assert counters.value("card", service="s", card="IRON-03") == 500
    assert counters.value("card", service="s", card="IRON-05") == 0


def test_nothing_known_keeps_nothing_silent() -> None:
    quiet: Quiet = NothingKnown()
    assert not quiet.is_quiet(client="default", patient_id="p1", card_key="IRON-03", fingerprint="f")
