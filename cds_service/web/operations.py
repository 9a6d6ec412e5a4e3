"""For those who run the service: is it ready, what runs here, what was counted."""

import logging
from collections.abc import Callable, Mapping
from threading import Lock

import msgspec
from flask import Blueprint, Response

from cds_service.web.errors import place_of
from cds_service.web.http import json_response
from cds_service.web.logs import log_event

Page = Callable[[], tuple[bytes, str]]
"""Returns all counters, and their media type."""

KEPT_SECONDS = 1.0
"""Strangers may ask too: a check is made anew after so many seconds at the earliest."""


class Readiness:
    """Whether each part that a call needs is in order."""

    def __init__(self, parts: Mapping[str, Callable[[], None]], timer: Callable[[], float]) -> None:
        """Keep the checks by the name of their part; each raises whatever is wrong."""
        self._parts = parts
        self._timer = timer
        self._lock = Lock()
        self._states: dict[str, bool] = {}
        self._checked_at: float | None = None

    def states(self) -> Mapping[str, bool]:
        """Return whether each part is in order; why one is not goes to the log alone."""
        with self._lock:
            now = self._timer()
            if self._checked_at is None or now - self._checked_at >= KEPT_SECONDS:
                self._states = {name: _is_ready(name, check) for name, check in self._parts.items()}
                self._checked_at = now
            return self._states


def _is_ready(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is not ready, and it is told
        kind = type(error).__qualname__
        log_event("not ready", logging.ERROR, part=name, exception=kind, place=place_of(error))
        return False
    return True


def operations_blueprint(
    versions: Mapping[str, str], readiness: Readiness, metrics: Page | None
) -> Blueprint:
    """Return `/readyz`, `/version`, and `/metrics` where there is a page of them."""
    blueprint = Blueprint("operations", __name__)
    told = msgspec.json.encode(versions)

    @blueprint.get("/readyz")
    def readyz() -> Response:
        states = readiness.states()
        is_ready = all(states.values())
        body = {
            "status": "ready" if is_ready else "not ready",
            "parts": {name: "ok" if state else "fault" for name, state in states.items()},
        }
        return json_response(msgspec.json.encode(body), 200 if is_ready else 503)

    @blueprint.get("/version")
    def version() -> Response:
        return json_response(told)

    if metrics is not None:

        @blueprint.get("/metrics")
        def counted() -> Response:
            text, media_type = metrics()
            return Response(text, content_type=media_type)

    return blueprint
