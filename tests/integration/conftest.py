"""One server and one service for all integration tests, and the table that they print at the end."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest

from tests.integration.client import Service, service_running
from tests.integration.hapi_server import FhirServer, ServerError, running
from tests.integration.records import PatientRecord, r4_names, record
from tests.integration.table import ALL_ROUTES, DOCUMENT, TABLE


@pytest.fixture(scope="session")
def hapi() -> Iterator[FhirServer]:
    """The R4 server; without Java or Maven the run ends with a sentence about it, and nothing is skipped."""
    try:
        with running("R4") as server:
            yield server
    except ServerError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def patients(hapi: FhirServer) -> Mapping[str, PatientRecord]:
    """The fixture patients by name, all of them loaded."""
    records = {name: record(name) for name in r4_names()}
    for loaded in records.values():
        hapi.load(list(loaded.resources))
    return records


@pytest.fixture(scope="session")
def service(hapi: FhirServer) -> Iterator[Service]:
    assert hapi.port
    with service_running() as started:
        yield started


@pytest.fixture(scope="session")
def templates(service: Service) -> Mapping[str, str]:
    return service.templates()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in TABLE.lines():
        terminalreporter.write_line(line)
    if _is_table_stale():
        terminalreporter.write_line(
            "docs/fixture-routes.md shows another table: make integration-table", red=True
        )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table where that was asked for; a run that found another one fails."""
    if os.environ.get("WRITE_ROUTES") and len(TABLE.routes) >= ALL_ROUTES:
        DOCUMENT.write_text(TABLE.document(datetime.now(UTC).date()), encoding="utf-8")
    if _is_table_stale() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_table_stale() -> bool:
    return len(TABLE.routes) >= ALL_ROUTES and TABLE.differs(DOCUMENT.read_text(encoding="utf-8"))
