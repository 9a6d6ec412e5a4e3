"""The buckets of a client's calls, with the clock in hand."""

import math

import pytest

from cds_service.adapters.rate_limit import TokenBuckets
from cds_service.ports import RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(buckets: TokenBuckets, calls: int, per_minute: int, name: str = "north") -> int:
    """Return how many of so many calls at once get in."""
    return sum(buckets.wait(name, per_minute) == 0 for _ in range(calls))


@pytest.mark.parametrize(
    ("per_minute", "processes", "at_once", "in_a_minute"),
    [
        (6000, 2, 500, 3000),  # a half of 6000 a minute, ten seconds of it at once
        (6000, 1, 1000, 6000),
        (60, 4, 2, 15),  # 15 a minute each: two and a half at once
        (10, 4, 1, 3),  # 2.5 rounded up
        (1, 1, 1, 1),
    ],
)
def test_a_bucket_holds_ten_seconds_and_fills_with_the_share(
    per_minute: int, processes: int, at_once: int, in_a_minute: int
) -> None:
    clock = Clock()
    buckets = TokenBuckets(processes, now=clock)
    assert taken(buckets, at_once + 5, per_minute) == at_once
    let_in = 0
    for _ in range(600):
        clock.now += 0.1
        let_in += taken(buckets, 50, per_minute)
    assert in_a_minute - 1 <= let_in <= in_a_minute + 1


def test_a_refused_call_is_told_when_to_come_again_and_costs_nothing() -> None:
    clock = Clock()
    limiter: RateLimiter = TokenBuckets(1, now=clock)
    assert limiter.wait("north", 6) == 0
    seconds = limiter.wait("north", 6)
    assert seconds == pytest.approx(10)
    clock.now += math.ceil(seconds) - 1
    assert limiter.wait("north", 6) == pytest.approx(1)
    clock.now += 1
    assert limiter.wait("north", 6) == 0


def test_one_client_does_not_use_up_the_calls_of_another() -> None:
    buckets = TokenBuckets(1, now=Clock())
    assert taken(buckets, 5, 6, "north") == 1
    assert taken(buckets, 5, 6, "south") == 1


def test_a_changed_limit_counts_at_once() -> None:
    clock = Clock()
    buckets = TokenBuckets(1, now=clock)
    assert taken(buckets, 200, 600) == 100
    clock.now += 600
    assert taken(buckets, 200, 60) == 10
