"""The real server over its life: counters of all workers, a worker that dies, a stop amid calls."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.builders import hook_request, prefetch
from tests.http.requests import SERVICE
from tests.serving import Served, serving

BODY = json.dumps(hook_request(prefetch(["RLS", {"ferritin": 20}]))).encode()
JSON = {"Content-Type": "application/json"}
CALLS = f'rls_cds_calls_total{{route="{SERVICE}",status="200"}}'
CARDS = 'rls_cds_cards_total{card="IRON-03",service="rls-iron-assessment"}'
SECONDS = f'rls_cds_call_seconds_count{{route="{SERVICE}"}}'
WORKERS = "rls_cds_workers"
EXPOSED = "not for use in care"


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, JSON)
        response = connection.getresponse()
        return response.status, response.read()


def counted(port: int) -> dict[str, float]:
    status, text = ask(port, "GET", "/metrics")
    assert status == 200
    pairs = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def call_often(port: int, times: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(port, "POST", SERVICE, BODY)[0], range(times)))
    assert answers == [200] * times


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the counters, with what an earlier run has left."""
    made = Path(tmp_path_factory.mktemp("counters"))
    (made / "counter_1.db").write_bytes(b"\0" * 64)
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """A server with two workers that counts."""
    settings = {"RLS_CDS_METRICS": "true", "RLS_CDS_WORKERS": "2", "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with serving(settings) as started:
        yield started


def workers_that_counted(folder: Path) -> set[int]:
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("counter_*.db")}


def test_counters_of_two_workers_add_up_exactly_also_when_one_has_died(served: Served, folder: Path) -> None:
    done, deadline = 0, time.monotonic() + 60
    while len(workers_that_counted(folder)) < 2:
        assert time.monotonic() < deadline
        call_often(served.port, 40)
        done += 40
    found = counted(served.port)
    assert (found[CALLS], found[CARDS], found[SECONDS], found[WORKERS]) == (done, done, done, 2)

    killed = min(workers_that_counted(folder))
    os.kill(killed, signal.SIGKILL)
    time.sleep(0.5)
    while counted(served.port)[WORKERS] != 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    call_often(served.port, 10)
    found = counted(served.port)
    assert (found[CALLS], found[CARDS], found[SECONDS]) == (done + 10, done + 10, done + 10)
    assert not (folder / f"gauge_livesum_{killed}.db").exists()
    assert (folder / f"counter_{killed}.db").exists()


# ---------------------------------------------------------------------------------------------- the stop
def begin_call(port: int) -> socket.socket:
    """Return a connection on which all but the last byte of a call was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = f"POST {SERVICE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:-1])
    return connection


def answer_on(connection: socket.socket) -> bytes:
    with closing(connection):
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def refuses(port: int) -> bool:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=2)):
            return False
    except ConnectionRefusedError:
        return True


def test_a_stop_finishes_the_calls_that_run_and_takes_no_new_ones() -> None:
    with serving({"RLS_CDS_METRICS": "true", "RLS_CDS_WORKERS": "2"}) as served:
        running = [begin_call(served.port) for _ in range(6)]
        time.sleep(1)
        before = time.monotonic()
        served.process.terminate()
        while not refuses(served.port):
            assert time.monotonic() - before < 5
            time.sleep(0.05)
        assert served.process.poll() is None
        for connection in running:
            connection.sendall(BODY[-1:])
        answers = [answer_on(connection) for connection in running]
        assert [answer.split(b"\r\n", 1)[0] for answer in answers] == [b"HTTP/1.1 200 OK"] * 6
        assert all(json.loads(answer.partition(b"\r\n\r\n")[2])["cards"] for answer in answers)
        assert served.wait() == 0
        assert time.monotonic() - before < 15
    assert EXPOSED not in served.told.lower()


def test_a_call_that_never_ends_does_not_keep_the_server_from_its_stop() -> None:
    with serving({"RLS_CDS_WORKERS": "1"}) as served, closing(begin_call(served.port)):
        before = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - before < 15


# ------------------------------------------------------------------------- open to the network
def test_an_exposed_development_service_says_so_at_its_start_and_on_every_card() -> None:
    with serving({"HOST": "0.0.0.0", "RLS_CDS_WORKERS": "1"}) as served:  # noqa: S104 - what is tested
        status, body = ask(served.port, "POST", SERVICE, BODY)
        assert status == 200
        cards = json.loads(body)["cards"]
        assert cards
        assert all(EXPOSED in card["detail"] for card in cards)
    assert EXPOSED in served.told.lower()
