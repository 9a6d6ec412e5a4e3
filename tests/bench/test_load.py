"""The client that keeps a pace: it would be of no use if it missed an error or forgave a stall."""

import time
from typing import Any

import pytest
from load import BAR, Result
from servers import Paced, paced


class Connections:
    """Stands for a server: only its connections are used."""

    def connect(self) -> Any:
        return self

    def close(self) -> None:
        """Do nothing."""


def test_every_call_is_made_and_every_error_is_counted() -> None:
    made = []

    def send(_connection: Any, turn: int) -> None:
        made.append(turn)
        if turn % 10 == 3:
            raise RuntimeError(turn)

    found = paced(Connections(), send, per_second=1000, seconds=0.05)  # type: ignore[arg-type] # stand-in for connections
    assert sorted(made) == list(range(50))
    assert sorted(error.args[0] for error in found.errors) == [3, 13, 23, 33, 43]
    assert len(found.latencies) == 50


def test_a_stall_is_charged_to_the_calls_that_it_delays() -> None:
    def send(_connection: Any, turn: int) -> None:
        if turn == 0:
            time.sleep(0.3)

    found = paced(Connections(), send, per_second=20, seconds=0.25, connections=1)  # type: ignore[arg-type] # stand-in for connections
    # Due every 50 ms, all behind one that takes 300 ms: the last waits for at least 100 ms of it.
    assert found.latencies[0] >= 0.09


@pytest.mark.parametrize(("share", "latency"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_a_quantile_is_the_latency_that_a_share_did_not_exceed(share: float, latency: int) -> None:
    assert Paced([float(number) for number in range(1, 101)], []).quantile(share) == latency


@pytest.mark.parametrize(("ratio", "is_within"), [(2.99, True), (BAR, True), (3.01, False)])
def test_the_bar_is_three_times_the_echo(ratio: float, is_within: bool) -> None:
    assert Result("service", Paced([1.0], []), ratio).is_within is is_within
