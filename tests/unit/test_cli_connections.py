"""Connections whose reads and writes end in time."""

import socket
import time
from collections.abc import Iterator

import pytest

from cds_service.cli import connections
from cds_service.cli.connections import BoundedSocket, GivenUpError


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BoundedSocket, socket.socket]]:
    """Our end of a connection, whose silence is short, and the other one."""
    monkeypatch.setattr(connections, "LONGEST_SILENCE", 0.1)
    accepted, theirs = socket.socketpair()
    accepted.settimeout(None)
    with BoundedSocket.of(accepted) as ours, theirs:
        yield ours, theirs


def test_what_is_there_is_read_and_silence_ends(pair: tuple[BoundedSocket, socket.socket]) -> None:
    ours, theirs = pair
    assert not ours.has_data()
    theirs.sendall(b"abc")
    assert ours.has_data()
    assert ours.recv(10) == b"abc"
    with pytest.raises(GivenUpError, match="too long"):
        ours.recv(10)
    theirs.close()
    assert ours.has_data()
    assert ours.recv(10) == b""


def test_bytes_that_drip_do_not_prolong_the_whole_time(pair: tuple[BoundedSocket, socket.socket]) -> None:
    ours, theirs = pair
    ours.expect(0.05)
    theirs.sendall(b"a")
    assert ours.recv(1) == b"a"
    time.sleep(0.06)
    with pytest.raises(GivenUpError):
        ours.recv(1)


def test_an_answer_that_nobody_takes_ends_and_another_is_sent_whole(
    pair: tuple[BoundedSocket, socket.socket],
) -> None:
    ours, theirs = pair
    ours.sendall(b"abc")
    assert ours.send(b"d") == 1
    assert theirs.recv(10) == b"abcd"
    with pytest.raises(GivenUpError):
        ours.sendall(bytes(10_000_000))


def test_a_socket_that_may_not_block_and_one_that_is_gone(pair: tuple[BoundedSocket, socket.socket]) -> None:
    ours, _ = pair
    ours.settimeout(0)
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    ours.close()
    assert ours.has_data()
