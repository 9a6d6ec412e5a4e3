"""What happens around every call: the preflight, the standing headers, one log line."""

import logging
from collections.abc import Callable, Sequence

from flask import Flask, Response, g, request

from cds_service.ports import Metrics, Tracer
from cds_service.profile import ClientProfile
from cds_service.web.http import add_standing_headers
from cds_service.web.logs import log_event

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FIRST_FAULT = 500


Origins = Callable[[ClientProfile | None], frozenset[str] | None]
"""Which web pages may read an answer to a client (None: not known yet); None for any page."""


def register_frame(
    app: Flask,
    *,
    knowledge_version: str,
    timer: Callable[[], float],
    origins: Origins,
    metrics: Metrics,
    tracer: Tracer,
) -> None:
    """Answer preflights, put the standing headers on every answer; log, count and trace it."""

    @app.before_request
    def begin() -> Response | None:
        g.began = timer()
        g.span = tracer.begin(parent=request.headers.get("traceparent", ""))
        # Before routing: a browser must get its preflight answered also where the call itself is refused.
        return _preflight() if request.method == "OPTIONS" else None

    @app.after_request
    def finish(response: Response) -> Response:
        client, seconds = g.get("client"), timer() - g.began
        route = request.url_rule.rule if request.url_rule else "unknown"
        told: dict[str, str | int | Sequence[str]] = {
            "method": request.method if request.method in _METHODS else "other",
            "route": route,
            "status": response.status_code,
            "cards": g.get("cards", []),
            "issues": g.get("issues", []),
            "knowledge": knowledge_version,
            "client": client.name if client is not None else "",
            **_particulars(),
        }
        log_event("call", logging.INFO, duration_ms=round(seconds * 1000, 2), **told)
        is_fault = response.status_code >= _FIRST_FAULT
        g.span.end(f"{told['method']} {route}", is_fault=is_fault, **told)
        metrics.count("call", route=route, status=str(response.status_code))
        metrics.observe("call_seconds", seconds, route=route)
        if "refusal" in g:
            metrics.count("refusal", cause=g.refusal)
        return add_standing_headers(response, origins(client))


def _particulars() -> dict[str, str | int]:
    """Return the fields of a log line that only some calls have."""
    names = ("refusal", "searches", "searches_failed")
    return {name: g.get(name) for name in names if name in g}


def _preflight() -> Response:
    """Return the answer to OPTIONS at any address; `Allow` only where something answers."""
    response = Response(status=204)
    if request.url_rule is not None:
        response.headers["Allow"] = ", ".join(sorted(request.url_rule.methods or ()))
    return response
