"""Every failure as an OperationOutcome: the status that fits, a sentence of ours, nothing that was sent."""

import logging
import math
import traceback
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from flask import Flask, Response, g
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from cds_service.assess import RequiredDataMissing
from cds_service.audit import AuditKind
from cds_service.clinical.facts import DataIssue, IssueKind
from cds_service.ports import (
    AuditUnavailableError,
    CallerRefusedError,
    Declined,
    StoreUnavailableError,
    TooManyCallsError,
)
from cds_service.protocol.errors import BadRequest
from cds_service.protocol.outcome import Issue, operation_outcome
from cds_service.protocol.prefetch import prefetch_templates
from cds_service.web.http import json_response, outcome_response
from cds_service.web.logs import log_event

_ISSUES = {
    400: Issue("structure", "The request cannot be read."),
    404: Issue("not-found", "There is nothing at this address; GET /cds-services lists the services."),
}
# What can leave required data unread, and how an OperationOutcome calls it.
_OBSTACLES: Mapping[IssueKind, str] = {
    IssueKind.UNKNOWN_VERSION: "not-supported",
    IssueKind.SEARCH_FAILED: "incomplete",
    IssueKind.CUT_OFF: "incomplete",
    IssueKind.OTHER_PATIENT: "conflict",
    IssueKind.REPLACED: "conflict",
    IssueKind.WRONG_SHAPE: "structure",
    IssueKind.FAILED_VALIDATION: "structure",
}
_KNOWN_TYPES = frozenset(
    template.partition("?")[0].partition("/")[0] for template in prefetch_templates({}).values()
)
_REFUSED = Issue("login", "A valid token of a known client is needed.")
_OTHER = Issue("processing", "The request was not answered.")


def register_errors(app: Flask, *, max_body: int) -> None:
    """Let the application answer every failure as JSON; `max_body` is named where a body is too large."""
    app.register_error_handler(BadRequest, bad_request)
    app.register_error_handler(RequiredDataMissing, required_data_missing)
    app.register_error_handler(CallerRefusedError, caller_refused)
    app.register_error_handler(TooManyCallsError, too_many_calls)
    app.register_error_handler(StoreUnavailableError, store_unavailable)
    app.register_error_handler(AuditUnavailableError, audit_unavailable)
    app.register_error_handler(RequestEntityTooLarge, too_large(max_body))
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unexpected)


def bad_request(error: BadRequest) -> Response:
    """Return 400 with what is wrong."""
    return outcome_response(400, [Issue(error.code, error.diagnostics)])


def caller_refused(error: CallerRefusedError) -> Response:
    """Return 401, the same for every cause; the log alone gets the cause, and the issuer if it is known."""
    g.refusal, g.audit_kind, g.issuer = error.refusal.value, AuditKind.REFUSAL, error.issuer or ""
    log_event("caller refused", logging.WARNING, refusal=error.refusal.value, issuer=g.issuer)
    response = outcome_response(401, [_REFUSED])
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def too_many_calls(error: TooManyCallsError) -> Response:
    """Return 429: the client is known, and calls more often than its entry allows."""
    g.refusal, g.audit_kind = Declined.TOO_MANY.value, AuditKind.CALL
    response = outcome_response(429, [Issue("throttled", "This client has made too many calls.")])
    response.headers["Retry-After"] = str(math.ceil(error.seconds))
    return response


def store_unavailable(error: StoreUnavailableError) -> Response:
    """Return 503: who calls cannot be decided now, and nobody is let in meanwhile."""
    log_event("store or keys out of reach", logging.ERROR, fault=str(error))
    response = outcome_response(503, [Issue("transient", "The service cannot check callers at the moment.")])
    response.headers["Retry-After"] = "5"
    return response


def audit_unavailable(error: AuditUnavailableError) -> Response:
    """Return 503: what cannot be written down is not done."""
    log_event("audit log out of reach", logging.ERROR, fault=str(error))
    response = outcome_response(503, [Issue("transient", "The service cannot keep its audit log.")])
    response.headers["Retry-After"] = "5"
    return response


def required_data_missing(error: RequiredDataMissing) -> Response:
    """Return 412 with one issue for each missing part of the record, and what stood in the way of reading."""
    return json_response(missing_outcome(error), 412)


def missing_outcome(error: RequiredDataMissing) -> bytes:
    """Return the OperationOutcome that says which parts of the record are missing."""
    return operation_outcome(
        [
            *(
                Issue(
                    "processing",
                    f"Not available from prefetch or the FHIR server: {name}.",
                    "Required data is missing.",
                )
                for name in error.missing or ("the patient's data",)
            ),
            *(
                Issue(_OBSTACLES[issue.kind], _obstacle(issue), severity="warning")
                for issue in error.answer.facts.issues
                if issue.kind in _OBSTACLES
            ),
        ],
    )


def _obstacle(issue: DataIssue) -> str:
    """Return what hindered reading; a resource type is repeated only if it is one that we ask for."""
    name = issue.resource_type if issue.resource_type in _KNOWN_TYPES else "Prefetch"
    hint = " (FHIR R4 is read)" if issue.kind is IssueKind.UNKNOWN_VERSION else ""
    return f"{name}: {issue.kind.value}{hint}."


def too_large(limit: int) -> Callable[[RequestEntityTooLarge], Response]:
    """Return the handler that answers 413 with the limit of this process."""
    issue = Issue("too-long", f"The body is larger than {limit} bytes.")

    def handle(_error: RequestEntityTooLarge) -> Response:
        return outcome_response(413, [issue])

    return handle


def http_error(error: HTTPException) -> Response:
    """Return the answer to what Flask itself refuses."""
    status = error.code or 500
    if isinstance(error, InternalServerError):
        # What went wrong outside of a view, as while an answer was finished, comes wrapped into this.
        return unexpected(error.original_exception or error)
    if isinstance(error, UnsupportedMediaType):
        return outcome_response(status, [Issue("not-supported", error.description or "")])
    if isinstance(error, MethodNotAllowed):
        methods = ", ".join(sorted(error.valid_methods or ()))
        response = outcome_response(status, [Issue("not-supported", f"This address answers {methods}.")])
        response.headers["Allow"] = methods
        return response
    return outcome_response(status, [_ISSUES.get(status, _OTHER)])


def unexpected(error: BaseException) -> Response:
    """Return 500 with an incident id; the log gets the same id, the kind of error and the place in the code.

    Never the error's text nor the traceback's: both can repeat what a record holds.
    """
    incident = str(uuid.uuid4())  # noqa: TID251 - an incident is no part of an answer's cards
    log_event(
        "unexpected error",
        logging.ERROR,
        incident=incident,
        exception=type(error).__qualname__,
        place=place_of(error),
    )
    diagnostics = (
        f"The request could not be assessed because of a fault in this service. Incident {incident}."
    )
    return outcome_response(500, [Issue("exception", diagnostics)])


def place_of(error: BaseException) -> str:
    """Return file name and line of the frames of an exception, innermost first, at most three."""
    frames = [
        (Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return " < ".join(f"{path.parent.name}/{path.name}:{line}" for path, line in reversed(frames[-3:]))
