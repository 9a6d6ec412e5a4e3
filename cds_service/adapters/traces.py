"""Traces of single calls, sent to a collector (OpenTelemetry, OTLP over HTTP).

Loaded only where `RLS_CDS_TRACES` is set. What a span tells is what the log line tells: this service's own
names and counts. Of a caller's context only the ids are taken: `tracestate` and `baggage` may hold any text,
and nothing of it is passed on to FHIR servers.
"""

from collections.abc import Sequence
from contextvars import Token
from threading import Lock

import requests
from opentelemetry import context
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cds_service.addresses import ServerAddress
from cds_service.ports import Span

_PATH = "/v1/traces"  # of the OTLP specification, where an address has no path
_SECONDS = 3.0
_CALLERS_CONTEXT = TraceContextTextMapPropagator()
_Value = str | float | Sequence[str]


class OtlpTracer:
    """Sends what each process measured, in its own time; what a collector does never reaches a caller."""

    def __init__(
        self, collector: ServerAddress, version: str, *, exporter: SpanExporter | None = None
    ) -> None:
        """Keep where to send it and the version to tell; the thread that sends starts with the first span."""
        self._collector = collector
        self._version = version
        self._exporter = exporter
        self._lock = Lock()
        self._provider: TracerProvider | None = None

    def begin(self, *, parent: str = "", is_outgoing: bool = False) -> Span:
        """Begin a span and make it the one that this thread works on."""
        # Without a parent of its own it belongs to what the thread works on.
        above = _CALLERS_CONTEXT.extract({"traceparent": parent}, context.Context()) if parent else None
        kind = otel.SpanKind.CLIENT if is_outgoing else otel.SpanKind.SERVER
        span = self._running().get_tracer("cds_service", self._version).start_span("", above, kind)
        return _Span(span, context.attach(otel.set_span_in_context(span, above)))

    def flush(self) -> None:
        """Send what is waiting, now."""
        self._running().force_flush()

    def _running(self) -> TracerProvider:
        # Not before the fork: a thread of the parent does not live on in its children.
        with self._lock:
            if self._provider is None:
                told = {"service.name": "rls-cds", "service.version": self._version}
                self._provider = TracerProvider(resource=Resource.create(told))
                exporter = self._exporter or _exporter(self._collector)
                self._provider.add_span_processor(BatchSpanProcessor(exporter))
            return self._provider


class _Span:
    """One span; `end` must be called by the thread that began it."""

    def __init__(self, span: otel.Span, token: Token[context.Context]) -> None:
        self._span = span
        self._token = token

    def end(self, name: str, *, is_fault: bool = False, **attributes: _Value) -> None:
        """End it, and go back to the one around it."""
        self._span.update_name(name)
        for key, value in attributes.items():
            self._span.set_attribute(f"rls_cds.{key}", value)
        if is_fault:
            self._span.set_status(otel.StatusCode.ERROR)
        self._span.end()
        context.detach(self._token)


def _exporter(collector: ServerAddress) -> SpanExporter:
    """Return what sends spans: to the address that was set, past no proxy and after no redirect."""
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    endpoint = f"{collector.origin}{collector.path or _PATH}"
    return OTLPSpanExporter(endpoint=endpoint, timeout=_SECONDS, session=session)
