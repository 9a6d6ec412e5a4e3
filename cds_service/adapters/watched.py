"""The same access to FHIR servers, with somebody looking on: for those who set a connection up.

The service itself never uses it. What is seen holds statuses, times and codes, nothing of a record.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext

import msgspec
import requests
import urllib3

from cds_service.adapters.egress import Deadline
from cds_service.adapters.fhir_server import HttpRecordSource, Request, Session
from cds_service.ports import FetchedPages, FhirAccess, Query

_FIRST_ERROR = 400
_MOST = 64 * 1024
_CODE = re.compile(r"[a-z][a-z-]{1,30}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}")
_VERSION = "metadata"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request: the key of its query, the method, the status and media type of the answer.

    `outcome` holds the issues of an OperationOutcome that came with an error, as "severity code".
    """

    key: str
    method: str
    status: int
    media_type: str = ""
    outcome: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """A query that came to its end, however: its key and the seconds that it took, pages included."""

    key: str
    seconds: float


Watch = Callable[[Exchange | Finished], None]


class _Issue(msgspec.Struct):
    severity: str | None = None
    code: str | None = None


class _Outcome(msgspec.Struct):
    issue: list[_Issue] = []


_outcome = msgspec.json.Decoder(_Outcome)


class WatchedSource(HttpRecordSource):
    """Reads FHIR servers and tells each exchange to `watch`, from several threads."""

    def __init__(self, watch: Watch, tls: SSLContext | None = None) -> None:
        """Keep who is told."""
        super().__init__(tls)
        self._watch = watch

    def session(self, access: FhirAccess, deadline: Deadline, tls: SSLContext) -> Session:
        """Return a session that is looked at."""
        return _WatchedSession(access, deadline, tls, self._watch)


class _WatchedSession(Session):
    def __init__(self, access: FhirAccess, deadline: Deadline, tls: SSLContext, watch: Watch) -> None:
        super().__init__(access, deadline, tls)
        self._watch = watch
        # Each query runs from its first to its last page in one thread.
        self._here = threading.local()

    def _run(self, query: Query) -> FetchedPages:
        self._here.key = query.key
        start = time.monotonic()
        try:
            return super()._run(query)
        finally:
            self._watch(Finished(query.key, time.monotonic() - start))
            del self._here.key

    def _send_once(self, method: str, request: Request) -> requests.Response:
        response = super()._send_once(method, request)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._watch(
            Exchange(
                getattr(self._here, "key", _VERSION),
                method,
                response.status_code,
                media_type if _MEDIA_TYPE.fullmatch(media_type) else "",
                outcome_of(_error_body(response)),
            )
        )
        return response


def _error_body(response: requests.Response) -> bytes:
    """Return the beginning of the body of an error, which nobody else reads; b"" for a good answer."""
    if response.status_code < _FIRST_ERROR:
        return b""
    try:
        return response.raw.read(_MOST) or b""
    except (urllib3.exceptions.HTTPError, OSError):
        return b""


def outcome_of(body: bytes) -> tuple[str, ...]:
    """Return the issues of an OperationOutcome as "severity code", without any of its words."""
    try:
        issues = _outcome.decode(body).issue
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    told = (f"{issue.severity} {issue.code}" for issue in issues)
    return tuple(dict.fromkeys(one for one in told if all(_CODE.fullmatch(part) for part in one.split(" "))))
