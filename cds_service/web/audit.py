"""One audit event for each call, refusal and feedback; an answer that cannot be written down is not given."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask, Response, g

from cds_service.audit import AuditFact, AuditKind, AuditOutcome
from cds_service.ports import Audit, AuditUnavailableError
from cds_service.web.errors import audit_unavailable

_FIRST_ERROR, _FIRST_FAULT = 400, 500


MOST_REFUSALS = 60
"""Refused callers of a process that are written down one by one within a minute: anybody can be refused."""
_MINUTE = timedelta(minutes=1)


class Refusals:
    """How many refused callers of this minute were written down, and how many were only counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = datetime.min.replace(tzinfo=UTC)
        self._written = 0
        self._more = 0

    def is_written(self, now: datetime) -> bool:
        """Count one; return whether it is to be written down by itself."""
        with self._lock:
            if self._is_over(now) and not self._more:
                self._begun, self._written = now, 0
            is_one = self._written < MOST_REFUSALS
            self._written += is_one
            self._more += not is_one
            return is_one

    def left(self, now: datetime) -> int:
        """Return, once, how many of a minute that is over were only counted."""
        if not self._more:  # the usual case, without a lock
            return 0
        with self._lock:
            found = self._more if self._is_over(now) else 0
            self._more -= found
            return found

    def _is_over(self, now: datetime) -> bool:
        # A clock that was set back ends a minute, too.
        return not self._begun <= now < self._begun + _MINUTE


def register_audit(app: Flask, audit: Audit, *, now: Callable[[], datetime], versions: str) -> None:
    """Write down how each call ended; register this after what must see the final answer."""
    refusals = Refusals()

    @app.after_request
    def write(response: Response) -> Response:
        moment = now()
        try:
            left = refusals.left(moment)
            if left:
                audit.record(_counted(left, moment))
            fact = _fact(response, moment, versions)
            if fact is not None and (fact.kind is not AuditKind.REFUSAL or refusals.is_written(moment)):
                audit.record(fact)
        except AuditUnavailableError as error:
            return audit_unavailable(error)
        return response


def _counted(number: int, recorded: datetime) -> AuditFact:
    """Return the one event for callers that were refused in a minute with too many of them."""
    told = f"{number} more callers refused within a minute"
    return AuditFact(AuditKind.REFUSAL, recorded, AuditOutcome.SERIOUS_FAILURE, reason=told)


def _fact(response: Response, recorded: datetime, versions: str) -> AuditFact | None:
    """Return what happened; None where nothing was asked about anybody (pages, discovery, broken bodies)."""
    kind, refusal, client = g.get("audit_kind"), g.get("refusal"), g.get("client")
    if kind is None:
        return None
    if kind is AuditKind.REFUSAL:
        failure = AuditOutcome.SERIOUS_FAILURE
        return AuditFact(kind, recorded, failure, reason=refusal, issuer=g.get("issuer", ""))
    status = response.status_code
    return AuditFact(
        kind=kind,
        recorded=recorded,
        outcome=_outcome(status, refusal),
        call=g.get("identity"),
        client=client.name if client is not None else "",
        cards=tuple(g.get("card_uuids", ())),
        reason=refusal or ("" if status < _FIRST_ERROR else f"answered with {status}"),
        versions=versions,
    )


def _outcome(status: int, refusal: str | None) -> AuditOutcome:
    """Return how a call ended; one of whose data something was refused did not end well."""
    if status < _FIRST_ERROR and refusal is None:
        return AuditOutcome.SUCCESS
    return AuditOutcome.MINOR_FAILURE if status < _FIRST_FAULT else AuditOutcome.SERIOUS_FAILURE
