"""A browser, our page on an origin of its own, the service as a user starts it, and a FHIR server.

Playwright is imported only where the browser is started, so that the other tests do not need it.
"""

import functools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.client import Client
from tests.browser.fhir_stub import Stub, bases, sample_records

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DAY = date(2026, 11, 22)
MAX_BODY = 200_000
_START_SECONDS = 30
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_PAGE = Path(__file__).parent / "page"
# No first-run pages and no calls home; a container rarely allows the browser's own sandbox.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def find_chromium() -> str:
    """Return the browser to drive; a missing one fails the run with what to do."""
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        tried = f"CHROMIUM={named}" if named else ", ".join(_NAMES)
        pytest.exit(
            f"No browser to drive ({tried}). Install Chromium (Debian: apt-get install chromium) "
            "or name one with CHROMIUM=/path/to/chromium.",
            returncode=2,
        )
    return found


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium, without a window."""
    executable = find_chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only these tests need it

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(_ARGUMENTS))
        yield started
        started.close()


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Serve from a thread and give the origin."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing."""


@pytest.fixture(scope="session")
def page_origin() -> Iterator[str]:
    """The origin of our page: same host as the service, another port."""
    handler = functools.partial(_Quiet, directory=str(_PAGE))
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as origin:
        yield origin


@pytest.fixture(scope="session")
def fhir() -> Iterator[str]:
    """The sample patients on the day of the fixtures; `/r4` and `/dstu2` are below."""
    with running(Stub(0, bases(sample_records(DAY)))) as origin:
        yield origin


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_up(port: int) -> bool:
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
    except OSError:
        return False


@dataclass(frozen=True)
class Service:
    """The running service; its log is a file of JSON lines."""

    origin: str
    log: Path

    @property
    def discovery(self) -> str:
        """The address that a user types into a client."""
        return f"{self.origin}/cds-services"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service in its development profile, on the day of the fixtures."""
    port = _free_port()
    log = tmp_path_factory.mktemp("service") / "log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RLS_CDS_")},
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "RLS_CDS_AS_OF": DAY.isoformat(),
        "RLS_CDS_MAX_BODY": str(MAX_BODY),
    }
    command = [sys.executable, "-c", "from cds_service.cli import main; main()", "serve"]
    with log.open("wb") as lines, subprocess.Popen(command, env=environment, stderr=lines) as server:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_up(port):
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield Service(f"http://127.0.0.1:{port}", log)
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def client(browser: "Browser", page_origin: str) -> Iterator[Client]:
    """Our page, in a browser profile of its own: no preflight is remembered from another test."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(page_origin)
    yield Client(page)
    context.close()
