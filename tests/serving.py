"""The real server, started as a user starts it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection

_START_SECONDS = 60


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_up(port: int) -> bool:
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
    except OSError:
        return False


@dataclass
class Served:
    """A running server; `told` is what it wrote to stderr, known once it has ended."""

    port: int
    process: subprocess.Popen[bytes]
    told: str = field(default="", init=False)

    def stop(self) -> int:
        """Ask the server to end, wait for it, and return its exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of the server and return its exit code."""
        _, told = self.process.communicate(timeout=30)
        self.told += (told or b"").decode()
        return self.process.returncode


@contextmanager
def serving(settings: Mapping[str, str], prelude: str = "") -> Iterator[Served]:
    """Yield a server with these settings alone, once it answers; `prelude` is run before anything else."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RLS_CDS_")},
        "PORT": str(port),
        **settings,
    }
    command = [sys.executable, "-c", f"{prelude}\nfrom cds_service.cli import main; main()", "serve"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        served = Served(port, process)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not is_up(port):
                assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield served
        finally:
            if process.returncode is None:
                served.stop()
