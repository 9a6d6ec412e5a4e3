"""The same gunicorn server around two applications, and a client that keeps a fixed pace."""

import http.client
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
PATH = "/cds-services/rls-iron-assessment"
HEADERS = {"Content-Type": "application/json"}
START_SECONDS = 30


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """A gunicorn server, by default with one worker of eight threads, around `variants:APP()`."""

    app: str
    workers: int = 1
    threads: int = 8
    port: int = field(default=0, init=False)

    def command(self) -> list[str]:
        """Return what starts the server at `port`."""
        return [
            *(sys.executable, "-m", "gunicorn", "--config", str(HERE / "gunicorn_conf.py")),
            *("--workers", str(self.workers), "--threads", str(self.threads)),
            *("--bind", f"127.0.0.1:{self.port}", f"variants:{self.app}()"),
        ]

    def environment(self) -> Mapping[str, str]:
        """Return the environment of the server."""
        return os.environ

    def __enter__(self) -> Self:
        """Start the server and wait until it answers."""
        self.port = _free_port()
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            self.command(), cwd=HERE, env=dict(self.environment()), stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self._log.seek(0)
                    message = f"{self.app} did not start:\n{self._log.read()[-2000:]}"
                    raise RuntimeError(message) from None
                time.sleep(0.05)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.wait(timeout=10)
        self._log.close()

    def _worker(self) -> Path:
        process = self._process.pid
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
        return Path("/proc") / children.split()[0]

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that the worker's threads have used so far."""
        # schedstat counts nanoseconds; the figures of stat come in hundredths of a second (proc(5)).
        tasks = (self._worker() / "task").iterdir()
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9

    def resident_bytes(self) -> int:
        """Return the resident memory of the worker."""
        pages = int((self._worker() / "statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is kept open between calls."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


def post(connection: http.client.HTTPConnection, body: bytes, token: str | None = None) -> bytes:
    """Return the answer's body; anything but 200 raises."""
    headers = HEADERS if token is None else {**HEADERS, "Authorization": f"Bearer {token}"}
    connection.request("POST", PATH, body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != http.HTTPStatus.OK:
        message = f"{response.status}: {content[:300]!r}"
        raise RuntimeError(message)
    return content


def cpu_per_call(server: Server, body: bytes, calls: int) -> float:
    """Return the worker's CPU seconds per call, calls one after the other."""
    connection = server.connect()
    post(connection, body)
    start = server.cpu_seconds()
    for _ in range(calls):
        post(connection, body)
    return (server.cpu_seconds() - start) / calls


Send = Callable[[http.client.HTTPConnection, int], None]
"""Makes the call of a number, counted from 0, on a connection; raises where it failed."""
FAILURES = (OSError, RuntimeError, http.client.HTTPException)


@dataclass(frozen=True)
class Paced:
    """What came of calls at a fixed pace: sorted latencies in seconds, also of failed calls; and errors."""

    latencies: list[float]
    errors: list[Exception]

    def quantile(self, share: float) -> float:
        """Return the latency that a share of the calls did not exceed."""
        return self.latencies[math.ceil(share * len(self.latencies)) - 1]


def paced(server: Server, send: Send, *, per_second: float, seconds: float, connections: int = 8) -> Paced:
    """Make calls that start on schedule, whether or not earlier ones have ended.

    A latency counts from the scheduled start, so that a stall is charged to every call that it delays.
    """
    total = round(per_second * seconds)
    latencies = [0.0] * total
    turns = iter(range(total))
    lock = threading.Lock()
    start = time.perf_counter() + 0.2
    errors: list[Exception] = []

    def run() -> None:
        connection = server.connect()
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return connection.close()
            due = start + turn / per_second
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                send(connection, turn)
            except FAILURES as error:
                errors.append(error)
                connection.close()  # the next call opens it again
            latencies[turn] = time.perf_counter() - due

    threads = [threading.Thread(target=run) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Paced(sorted(latencies), errors)


def topics(answer: bytes) -> tuple[str, ...]:
    """Return the topic codes of the cards in an answer."""
    return tuple(card["source"]["topic"]["code"] for card in json.loads(answer)["cards"])
