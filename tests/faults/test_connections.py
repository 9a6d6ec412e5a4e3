"""Strangers that hold connections: whatever they do or leave undone, the service goes on answering others."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.http.requests import SERVICE
from tests.http.test_server_life import BODY, ask
from tests.serving import Served, serving

THREADS = 4
# The real times are longer (docs/operations.md); what is tested is that they hold.
SHORT = "from cds_service.cli import connections as c; c.LONGEST_SILENCE = c.LONGEST_HEAD = 1.0"
LIMIT_SECONDS = 2.5
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server of one process with few threads."""
    with serving({"RLS_CDS_WORKERS": "1", "RLS_CDS_THREADS": str(THREADS)}, SHORT) as started:
        ask(started.port, "GET", "/knowledge/")
        yield started


def held(port: int, sent: bytes, stack: ExitStack) -> socket.socket:
    """Return a connection that sends this and then neither sends nor reads."""
    made = stack.enter_context(socket.socket())
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.connect(("127.0.0.1", port))
    made.sendall(sent)
    return made


def seconds_to_health(port: int) -> float:
    """Return how long a stranger waits for /healthz."""
    before = time.monotonic()
    assert ask(port, "GET", "/healthz")[0] == 200
    return time.monotonic() - before


def test_half_heads_hold_no_thread_for_long(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(THREADS):
            held(served.port, HALF_A_HEAD, stack)
        time.sleep(0.2)
        assert seconds_to_health(served.port) < LIMIT_SECONDS
        assert seconds_to_health(served.port) < 1


def test_a_head_that_drips_has_a_total_time(served: Served) -> None:
    with ExitStack() as stack:
        dripping = [held(served.port, HALF_A_HEAD, stack) for _ in range(THREADS)]
        began = time.monotonic()
        while time.monotonic() - began < LIMIT_SECONDS:
            for one in dripping:
                try:
                    one.sendall(b"y")
                except OSError:
                    break
            time.sleep(0.2)
        assert seconds_to_health(served.port) < 1


def test_answers_that_nobody_takes_hold_no_thread_for_long(served: Served) -> None:
    request = b"GET /knowledge/ HTTP/1.1\r\nHost: a\r\n\r\n" * 4
    with ExitStack() as stack:
        for _ in range(THREADS):
            held(served.port, request, stack)
        time.sleep(0.2)
        assert seconds_to_health(served.port) < LIMIT_SECONDS
        assert seconds_to_health(served.port) < 1


def test_connections_that_say_nothing_cost_no_thread(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(5 * THREADS):
            held(served.port, b"", stack)
        time.sleep(0.2)
        assert seconds_to_health(served.port) < 1


def test_connections_that_were_answered_and_are_not_closed_cost_no_time(served: Served) -> None:
    with ExitStack() as stack:
        answered = [held(served.port, b"nonsense\r\n\r\n", stack) for _ in range(3 * THREADS)]
        for one in answered:
            assert one.recv(12) == b"HTTP/1.1 400"
        assert seconds_to_health(served.port) < 1


def test_a_body_that_stops_is_answered_and_one_that_drips_is_read(served: Served) -> None:
    head = f"POST {SERVICE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    with ExitStack() as stack:
        silent = held(served.port, request[:-1], stack)
        dripping = held(served.port, request[:-3], stack)
        for byte in request[-3:]:
            time.sleep(0.3)
            dripping.sendall(bytes([byte]))
        assert dripping.recv(12) == b"HTTP/1.1 200"
        silent.settimeout(LIMIT_SECONDS)
        assert silent.recv(12) == b"HTTP/1.1 400"


def test_a_caller_that_takes_its_time_gets_the_whole_answer(served: Served) -> None:
    with closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.connect(("127.0.0.1", served.port))
        slow.sendall(b"GET /knowledge/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(1)
        got = bytearray()
        while part := slow.recv(65536):
            got += part
    head, _, body = bytes(got).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
