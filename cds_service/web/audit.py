"""One audit event for each call, refusal and feedback; an answer that cannot be written down is not given."""

from collections.abc import Callable
from datetime import datetime

from flask import Flask, Response, g

from cds_service.audit import AuditFact, AuditKind, AuditOutcome
from cds_service.ports import Audit, AuditUnavailableError
from cds_service.web.errors import audit_unavailable

_FIRST_ERROR, _FIRST_FAULT = 400, 500


def register_audit(app: Flask, audit: Audit, *, now: Callable[[], datetime], versions: str) -> None:
    """Write down how each call ended; register this after what must see the final answer."""

    @app.after_request
    def write(response: Response) -> Response:
        fact = _fact(response, now(), versions)
        if fact is None:
            return response
        try:
            audit.record(fact)
        except AuditUnavailableError as error:
            return audit_unavailable(error)
        return response


def _fact(response: Response, recorded: datetime, versions: str) -> AuditFact | None:
    """Return what happened; None where nothing was asked about anybody (pages, discovery, broken bodies)."""
    refusal, identity = g.get("refusal"), g.get("identity")
    if refusal is not None:
        return AuditFact(AuditKind.REFUSAL, recorded, AuditOutcome.SERIOUS_FAILURE, reason=refusal)
    kind = g.get("audit_kind")
    if kind is None:
        return None
    status = response.status_code
    return AuditFact(
        kind=kind,
        recorded=recorded,
        outcome=_outcome(status),
        call=identity,
        cards=tuple(g.get("card_uuids", ())),
        reason="" if status < _FIRST_ERROR else f"answered with {status}",
        versions=versions,
    )


def _outcome(status: int) -> AuditOutcome:
    if status < _FIRST_ERROR:
        return AuditOutcome.SUCCESS
    return AuditOutcome.MINOR_FAILURE if status < _FIRST_FAULT else AuditOutcome.SERIOUS_FAILURE
