"""The real server when a worker is killed, its log has no reader, or its disk takes no more."""

import json
import os
import re
import resource
import signal
import socket
import time
from pathlib import Path

import pytest

from cds_service.adapters.audit_check import verify
from tests.http.requests import SERVICE
from tests.http.test_server_life import BODY, answer_on, ask, begin_call
from tests.serving import Served, serving

ONE = {"RLS_CDS_WORKERS": "1"}
LIMIT_SECONDS = 20.0


def worker(served: Served) -> int:
    """Return the process id of the only worker."""
    master = served.process.pid
    (found,) = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
    return int(found)


def answers(served: Served) -> list[str]:
    """Return the cards of one call."""
    status, body = ask(served.port, "POST", SERVICE, BODY)
    assert status == 200
    return [card["source"]["topic"]["code"] for card in json.loads(body)["cards"]]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_amid_a_call_gives_no_answer_at_all(how: signal.Signals) -> None:
    with serving(ONE) as served:
        before = answers(served)
        connection = begin_call(served.port)
        time.sleep(0.5)
        os.kill(worker(served), how)
        assert cut_off(connection) == b""
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                assert answers(served) == before
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                break


def cut_off(connection: socket.socket) -> bytes:
    try:
        return answer_on(connection)
    except ConnectionResetError:
        return b""


def test_a_log_that_nobody_reads_any_longer_costs_no_answer() -> None:
    with serving(ONE) as served:
        before = answers(served)
        assert served.process.stderr is not None
        served.process.stderr.close()
        assert [answers(served) for _ in range(20)] == [before] * 20
        assert ask(served.port, "POST", SERVICE, b"{")[0] == 400
        served.process.terminate()
        assert served.process.wait(30) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "audit").mkdir()
    return tmp_path / "audit"


def test_an_audit_log_that_takes_no_more(folder: Path) -> None:
    """The kernel refuses to let the worker's files grow: nothing is answered that is not written down."""
    with serving({**ONE, "RLS_CDS_AUDIT": str(folder)}) as served:
        before = answers(served)
        (log,) = folder.glob("*.ndjson")
        # Room for half of a line.
        _, hard = resource.prlimit(worker(served), resource.RLIMIT_FSIZE)
        resource.prlimit(worker(served), resource.RLIMIT_FSIZE, (log.stat().st_size + 200, hard))
        for _ in range(3):
            status, body = ask(served.port, "POST", SERVICE, BODY)
            assert status == 503
            assert "cards" not in json.loads(body)
        resource.prlimit(worker(served), resource.RLIMIT_FSIZE, (hard, hard))
        assert answers(served) == before
    assert [checked.faults for checked in verify(folder)] == [()]
    assert len(log.read_text(encoding="ascii").splitlines()) == 2
    assert not re.search(r"erritin|G25\.81", served.told)
