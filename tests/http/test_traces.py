"""Traces of single calls: what a collector is told, and what it is never told."""

import builtins
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service import __version__
from cds_service.adapters.traces import OtlpTracer
from cds_service.app import create_app
from cds_service.settings import Settings, SettingsError, load_settings
from tests.builders import SERVICE, TODAY, RecordBuilder, hook_request, patient, prefetch
from tests.fakes.collector import Collector, SeenSpan, collecting
from tests.fakes.fhir_stub import Reply, fhir_stub
from tests.serving import serving

RECORD = ["RLS", {"ferritin": 20}]
PARENT_TRACE, PARENT_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT = 2, 3  # of the enumeration of OTLP
TOLD_OF_A_CALL = {
    f"rls_cds.{n}" for n in ("method", "route", "status", "cards", "issues", "knowledge", "client")
}
TOLD_OF_SEARCHES = {f"rls_cds.{n}" for n in ("searches", "resource_types", "problems")}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    with collecting() as listening:
        yield listening


def settings_of(collector: Collector, **more: Any) -> Settings:
    environment = {"RLS_CDS_TRACES": collector.address, "RLS_CDS_AS_OF": TODAY.isoformat()}
    return load_settings(environment | more)


class Traced:
    """A service whose calls are traced, and what its collector was told."""

    def __init__(self, collector: Collector, **settings: str) -> None:
        made = settings_of(collector, **settings)
        assert made.traces is not None
        self.collector = collector
        self.tracer = OtlpTracer(made.traces, __version__)
        self.web: FlaskClient = create_app(made, tracer=self.tracer).test_client()

    def spans(self) -> list[SeenSpan]:
        self.tracer.flush()
        return self.collector.spans()


def version(port: int) -> int:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/version")
        return connection.getresponse().status


def test_a_call_is_told_as_its_log_line_tells_it(collector: Collector) -> None:
    at = Traced(collector)
    assert at.web.post(SERVICE, json=hook_request(prefetch(RECORD))).status_code == 200
    assert at.web.post(SERVICE, data=b"{").status_code == 415
    call, refused = at.spans()
    assert collector.paths == ["/v1/traces"]
    assert (call.name, call.kind, call.is_fault, call.parent_id) == (f"POST {SERVICE}", SERVER, False, "")
    assert call.attributes.keys() == TOLD_OF_A_CALL
    assert call.attributes["rls_cds.cards"] == ["IRON-03"]
    assert call.attributes["rls_cds.status"] == 200
    assert (refused.attributes["rls_cds.status"], refused.attributes["rls_cds.cards"]) == (415, [])
    assert refused.trace_id != call.trace_id
    assert call.resource["service.name"] == "rls-cds"
    assert call.resource["service.version"] == __version__


def test_a_fault_of_the_service_is_marked_as_one(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Traced(collector)

    def fail(*_args: object, **_kwargs: object) -> Any:
        raise ValueError("secret-text")

    monkeypatch.setattr("cds_service.assess.evaluate", fail)
    assert at.web.post(SERVICE, json=hook_request(prefetch(RECORD))).status_code == 500
    (call,) = at.spans()
    assert call.is_fault
    assert b"secret-text" not in b"".join(collector.bodies)


def test_searches_are_parts_of_their_call_and_name_no_patient(collector: Collector) -> None:
    builder = RecordBuilder("p-7421")
    for fact in RECORD:
        builder.add(fact)
    with fhir_stub() as stub:
        stub.resources = [one for found in builder.found.values() for one in found]
        stub.resources.append(patient(patient_id="p-7421"))
        stub.behaviour = lambda seen: Reply(503) if seen.path.startswith("Procedure") else None
        at = Traced(collector, RLS_CDS_FHIR_ALLOW=stub.base)
        body = hook_request(None, fhirServer=stub.base)
        body["context"]["patientId"] = "p-7421"
        headers = {"traceparent": f"00-{PARENT_TRACE}-{PARENT_SPAN}-01", "baggage": "who=p-7421"}
        assert at.web.post(SERVICE, json=body, headers=headers).status_code == 200
        *rounds, call = at.spans()
        passed_on = {name for seen in stub.seen for name in seen.headers}
    assert (call.trace_id, call.parent_id) == (PARENT_TRACE, PARENT_SPAN)
    assert rounds
    for one in rounds:
        assert (one.name, one.kind, one.trace_id, one.parent_id) == (
            "FHIR searches",
            CLIENT,
            PARENT_TRACE,
            call.span_id,
        )
        assert one.attributes.keys() == TOLD_OF_SEARCHES
    first = rounds[0]
    assert first.attributes["rls_cds.searches"] == len(first.attributes["rls_cds.resource_types"]) > 5
    assert first.attributes["rls_cds.problems"] == ["server busy or out of order"]
    assert first.is_fault
    assert not passed_on & {"traceparent", "tracestate", "baggage"}
    assert b"p-7421" not in b"".join(collector.bodies)


@pytest.mark.parametrize(
    "parent", ["", "no parent", f"00-{'0' * 32}-{PARENT_SPAN}-01", f"00-{PARENT_TRACE}-x-01"]
)
def test_a_context_that_is_none_begins_a_trace_of_its_own(collector: Collector, parent: str) -> None:
    at = Traced(collector)
    at.web.get("/healthz", headers={"traceparent": parent, "tracestate": "vendor=p-7421"})
    (call,) = at.spans()
    assert (call.name, call.parent_id) == ("GET /healthz", "")
    assert call.trace_id != PARENT_TRACE
    assert b"p-7421" not in collector.bodies[0]


def test_calls_of_one_thread_do_not_become_parts_of_each_other(collector: Collector) -> None:
    at = Traced(collector)
    for _ in range(3):
        at.web.get("/healthz")
    assert [span.parent_id for span in at.spans()] == [""] * 3
    assert len({span.trace_id for span in at.spans()}) == 3


@pytest.mark.parametrize("status", [400, 302])
def test_a_collector_that_refuses_is_not_the_callers_trouble(
    collector: Collector, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = status
    at = Traced(collector)
    with caplog.at_level(logging.ERROR):
        assert at.web.post(SERVICE, json=hook_request(prefetch(RECORD))).status_code == 200
        at.tracer.flush()
    assert len(collector.paths) == 1
    assert {record.name.partition(".")[0] for record in caplog.records} <= {"opentelemetry"}


def test_a_collector_out_of_reach_is_told_in_the_log_and_hinders_neither_call_nor_stop() -> None:
    with serving({"RLS_CDS_TRACES": "http://127.0.0.1:9", "RLS_CDS_WORKERS": "1"}) as at:
        assert version(at.port) == 200
        assert at.stop() == 0
    lines = [json.loads(line) for line in at.told.splitlines() if line.startswith("{")]
    assert any(line["event"].startswith("opentelemetry.") and line["level"] == "error" for line in lines)
    assert "127.0.0.1:9" not in at.told.replace(f"http://127.0.0.1:{at.port}", "")


def test_a_collector_that_says_nothing_hinders_neither_call_nor_stop() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with serving({"RLS_CDS_TRACES": address, "RLS_CDS_WORKERS": "1"}) as at:
            assert version(at.port) == 200
            before = time.monotonic()
            assert at.stop() == 0
            assert time.monotonic() - before < 10


def test_what_is_waiting_is_sent_when_the_server_stops(collector: Collector) -> None:
    address = collector.address + "/own/path"
    with serving(
        {"RLS_CDS_TRACES": address, "RLS_CDS_WORKERS": "1", "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    ) as at:
        assert version(at.port) == 200
        assert collector.bodies == []
        assert at.stop() == 0
    assert set(collector.paths) == {"/own/path"}
    assert "GET /version" in {span.name for span in collector.spans()}


def test_without_what_sends_them_traces_do_not_start(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cds_service.adapters.traces":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(
        SettingsError, match=r"RLS_CDS_TRACES needs the extra: pip install 'rls-iron-cds\[traces\]'"
    ):
        create_app(settings_of(collector))


def test_where_traces_are_off_their_library_is_never_loaded() -> None:
    code = (
        "import sys; from cds_service.app import warm_app; from cds_service.settings import Settings; "
        "warm_app(Settings()).test_client().get('/readyz'); "
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "text", ["http://collector.example.org:4318", "collector:4318", "https://u@x.example.org"]
)
def test_an_address_that_spans_must_not_go_to_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="RLS_CDS_TRACES: must be the address of a collector"):
        load_settings({"RLS_CDS_TRACES": text})
