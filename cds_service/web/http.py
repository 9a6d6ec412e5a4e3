"""What every answer and every body has in common: headers for browser clients, JSON types, limits."""

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence

from flask import Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from cds_service.protocol.errors import BadRequest
from cds_service.protocol.outcome import Issue, operation_outcome

JSON = "application/json"

_ALLOWED_ORIGIN = "Access-Control-Allow-Origin"

CORS: Mapping[str, str] = {
    _ALLOWED_ORIGIN: "*",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Max-Age": "600",
}
"""Any page may call, none can send a user's cookies along: credentials are never allowed with `*`."""

STANDING: Mapping[str, str] = {
    **CORS,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_JSON_TYPES = frozenset({JSON, "application/fhir+json", "application/json+fhir"})
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})


def add_standing_headers(response: Response, origins: frozenset[str] | None) -> Response:
    """Return the response with the headers that stand on every answer, errors and preflights included.

    `origins` are the web pages that may read it, None for any.
    """
    for name, value in STANDING.items():
        response.headers[name] = value
    if origins is not None:
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin", "")
        if origin in origins:
            response.headers[_ALLOWED_ORIGIN] = origin
        else:
            for name in CORS:
                del response.headers[name]
    return response


def json_response(body: bytes, status: int = 200) -> Response:
    """Return a JSON answer of ready bytes."""
    return Response(body, status=status, content_type=JSON)


def outcome_response(status: int, issues: Sequence[Issue]) -> Response:
    """Return an error answer with an OperationOutcome."""
    return json_response(operation_outcome(issues), status)


def read_json_body(limit: int) -> bytes:
    """Return the raw body of the request.

    Raises `UnsupportedMediaType`, `BadRequest`, or `RequestEntityTooLarge` above `limit` bytes.

    A missing Content-Type is refused like a wrong one (the specification is silent): every client of CDS
    Hooks sends it, and the message says what to send.
    """
    media_type = request.mimetype
    if media_type not in _JSON_TYPES and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType("Send the request as Content-Type: application/json.")
    if request.mimetype_params.get("charset", "utf-8").lower() not in _CHARSETS:
        raise UnsupportedMediaType("Send the request in the charset utf-8.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("Send the request without Content-Encoding.")
    # A body without a length (chunked) is cut off by Werkzeug where its limit is, without a word: one byte
    # more is read than is allowed, so that a longer body is seen.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 - what a server raises for a broken or cut-off body is its own affair
        raise BadRequest("structure", "The body could not be read to its end.") from None
    if len(body) > limit:
        raise RequestEntityTooLarge
    # Some systems put it there; RFC 8259 lets a reader pass over it.
    return body.removeprefix(BOM_UTF8)
