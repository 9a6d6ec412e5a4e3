"""The client's FHIR server as a source of records, over HTTP.

One session serves one call: it shares no connection, cookie or token with another, and keeps nothing.
"""

import http.cookiejar
import logging
import re
import threading
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from ssl import SSLContext
from urllib.parse import quote, urlencode

import requests
import urllib3

from cds_service import __version__
from cds_service.adapters.egress import (
    AddressRefusedError,
    Deadline,
    Dialer,
    Ip,
    PinnedAdapter,
    mute_http_library,
    resolve,
    tls_context,
)
from cds_service.adapters.fhir_answers import (
    MAX_PAGE_BYTES,
    Failed,
    check_head,
    check_length,
    pause_of,
    read_page,
)
from cds_service.addresses import ServerAddress
from cds_service.ports import FetchedPages, FetchProblem, FhirAccess, Query, RecordSession, Search

PARALLEL = 19
"""Exchanges of one call at a time: all of our keys, and the server's version beside them."""
MOST_LOOKUPS = 32
"""Names of servers that a process looks up at a time."""
MAX_PAGES = 10
MAX_RESOURCES = 5_000
MAX_BYTES = 20 * 1024 * 1024
MAX_URL = 1_900
"""Longer ones are refused by common servers and proxies; the search is then posted."""
MAX_STATEMENT = 256 * 1024
"""How much of a CapabilityStatement is read; whole ones have megabytes, the version stands near the top."""

# How long a call may stay beyond its budget to collect what ends when its sockets are shut down.
_GRACE = 0.05
_CHUNK = 64 * 1024
# How long a version that is not here yet is waited for once all searches are answered.
_PATIENCE = 0.3
_TOKEN = re.compile(r"[!-~]+")
_RETRIED = frozenset({502, 503, 504})
# What a server answers that does not take a search in this form; another form may do.
_OTHER_WAY = {"GET": frozenset({405, 414, 431}), "POST": frozenset({404, 405, 415, 501})}
# Servers that know `_elements` answer in a few hundred bytes; to the others it is no parameter of theirs.
_VERSION_TARGET = "/metadata?_elements=fhirVersion"
_VERSION = re.compile(rb'"fhirVersion"\s*:\s*"([!-~]{1,40}?)"')
_HEADERS = {
    "Accept": "application/fhir+json, application/json+fhir;q=0.9, application/json;q=0.8",
    # A compressed answer could be any size once it is opened.
    "Accept-Encoding": "identity",
    # Some servers answer a repeated search from a cache of their own; a result of a minute ago counts.
    "Cache-Control": "no-cache",
    "User-Agent": f"rls-iron-cds/{__version__}",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One exchange: path and query for a GET, and how the same search is posted if it can be."""

    target: str
    post_target: str | None = None
    form: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """The ways to ask, the better one first."""
        if self.post_target is None:
            return ("GET",)
        return ("POST", "GET") if len(self.target) > MAX_URL else ("GET", "POST")


class HttpRecordSource:
    """Reads FHIR servers with `requests`."""

    def __init__(self, tls: SSLContext | None = None) -> None:
        """Prepare the TLS settings once; connections are opened by each session anew."""
        self._given = tls
        mute_http_library()

    @cached_property
    def _tls(self) -> SSLContext:
        return self._given or tls_context()

    def session(self, access: FhirAccess, deadline: Deadline, tls: SSLContext) -> "Session":
        """Return a session until a deadline; `open` closes it."""
        return Session(access, deadline, tls)

    def warm_up(self) -> None:
        """Load the TLS settings, so that no call waits for them."""
        _ = self._tls

    @contextmanager
    def open(self, access: FhirAccess, *, budget_seconds: float) -> Iterator[RecordSession]:
        """Yield a session with one server whose time starts now."""
        session = self.session(access, Deadline(budget_seconds), self._tls)
        try:
            yield session
        finally:
            session.close()


class Session:
    """One call's searches on one server."""

    def __init__(self, access: FhirAccess, deadline: Deadline, tls: SSLContext) -> None:
        self._access = access
        self._deadline = deadline
        self._tls = tls
        self._workers = ThreadPoolExecutor(PARALLEL, thread_name_prefix="fhir")
        self._ended = threading.Event()
        self._dialer: Dialer | None = None
        self._http: requests.Session | None = None
        self._problem: FetchProblem | None = None
        self._quota = _Quota(MAX_BYTES)

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        """Return what came of each query, in their order."""
        problem = self._connect()
        if problem is not None:
            return tuple(FetchedPages(query.key, problem=problem) for query in queries)
        tasks = [self._workers.submit(self._run, query) for query in queries]
        _, late = wait(tasks, self._deadline.remaining)
        if late:
            self._end()
            wait(late, _GRACE)
        return tuple(_outcome(task, query) for task, query in zip(tasks, queries, strict=True))

    def ask_version(self) -> Callable[[], str | None]:
        """Start to ask for the server's FHIR version; what is returned waits for it a moment."""
        if self._connect() is not None:
            return lambda: None
        return partial(self._told, self._workers.submit(self._version))

    def close(self) -> None:
        """End everything; a name service that still does not answer is left to itself."""
        self._end()
        self._workers.shutdown(wait=False, cancel_futures=True)
        if self._http is not None:
            self._http.close()

    def _end(self) -> None:
        self._ended.set()
        if self._dialer is not None:
            self._dialer.end()

    # ------------------------------------------------------------------------------- connection
    def _connect(self) -> FetchProblem | None:
        """Resolve the server's name, once; return why it cannot be asked."""
        if self._http is None and self._problem is None:
            self._problem = self._prepare()
        return self._problem

    def _prepare(self) -> FetchProblem | None:
        token = self._access.token
        if token is not None and not _TOKEN.fullmatch(token):
            return FetchProblem.REFUSED
        address = self._access.address
        looking = self._workers.submit(_looked_up, address)
        try:
            found = looking.result(self._deadline.remaining)
        except AddressRefusedError:
            return FetchProblem.FORBIDDEN_ADDRESS
        except TimeoutError:
            return FetchProblem.TIMED_OUT
        except (OSError, UnicodeError):
            return FetchProblem.NAME_UNKNOWN
        self._dialer = Dialer(found, address.port, self._deadline)
        self._http = http_session(
            PinnedAdapter(address, self._dialer, connections=PARALLEL, tls=self._tls), token
        )
        return None

    # ---------------------------------------------------------------------------------- version
    def _version(self) -> str | None:
        """Return the FHIR version of the server's CapabilityStatement, read no further than need be."""
        head = b""
        try:
            with self._send_once("GET", Request(f"{self._access.address.path}{_VERSION_TARGET}")) as response:
                check_head(response)
                for part in self._parts(response):
                    head += part
                    found = _VERSION.search(head)
                    if found is not None or len(head) > MAX_STATEMENT:
                        return found[1].decode() if found is not None else None
        except Failed:
            return None
        return None

    def _told(self, asking: Future[str | None]) -> str | None:
        wait([asking], min(_PATIENCE, self._deadline.remaining))
        return asking.result() if asking.done() and asking.exception() is None else None

    # ------------------------------------------------------------------------------------ pages
    def _run(self, query: Query) -> FetchedPages:
        pages: list[bytes] = []
        try:
            pages.extend(self._pages(query))
        except Failed as failed:
            return FetchedPages(query.key, tuple(pages), failed.problem)
        return FetchedPages(query.key, tuple(pages))

    def _pages(self, query: Query) -> Iterator[bytes]:
        """Yield one page after the other; raises `Failed` where one is missing."""
        request = self._first(query)
        seen = {request.target}
        resources = 0
        most = query.most_pages if isinstance(query, Search) else None
        for _ in range(min(MAX_PAGES, most or MAX_PAGES)):
            body = self._body_of(request)
            next_url, count = read_page(body)
            yield body
            resources += count
            if next_url is None:
                return
            target = self._access.address.below(next_url)
            if target is None:
                raise Failed(FetchProblem.PAGE_ELSEWHERE)
            if target in seen or resources > MAX_RESOURCES:
                break
            seen.add(target)
            request = Request(target)
        raise Failed(FetchProblem.TOO_MANY_PAGES)

    def _first(self, query: Query) -> Request:
        address = self._access.address
        if not isinstance(query, Search):
            target = address.below(query.url)
            if target is None:
                raise Failed(FetchProblem.PAGE_ELSEWHERE)
            return Request(target)
        path = f"{address.path}/{quote(query.resource_type, safe='')}"
        if query.resource_id is not None:
            return Request(f"{path}/{quote(query.resource_id, safe='')}")
        form = urlencode(query.parameters, safe=":/,", quote_via=quote)
        return Request(f"{path}?{form}", f"{path}/_search", form)

    # --------------------------------------------------------------------------------- exchange
    def _body_of(self, request: Request) -> bytes:
        """Return the body of a good answer, asked for in the other way if the first one is not taken."""
        *others, last = request.methods
        for method in others:
            response = self._send(method, request)
            if response.status_code not in _OTHER_WAY[method]:
                return self._body(response)
            response.close()
        return self._body(self._send(last, request))

    def _send(self, method: str, request: Request) -> requests.Response:
        """Return the response to one request, sent a second time if the server is briefly out of order."""
        response = self._send_once(method, request)
        if response.status_code not in _RETRIED:
            return response
        pause = pause_of(response.headers.get("Retry-After"), datetime.now(UTC))
        response.close()
        if pause >= self._deadline.remaining or self._ended.wait(pause):
            raise Failed(FetchProblem.BUSY)
        return self._send_once(method, request)

    def _send_once(self, method: str, request: Request) -> requests.Response:
        remaining = self._deadline.remaining
        if self._http is None or not remaining:
            raise Failed(FetchProblem.TIMED_OUT)
        is_post = method == "POST" and request.post_target is not None
        target = request.post_target if is_post else request.target
        try:
            return self._http.request(
                method,
                f"{self._access.address.origin}{target}",
                data=request.form if is_post else None,
                headers={"Content-Type": "application/x-www-form-urlencoded"} if is_post else None,
                timeout=(remaining, remaining),
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(error) from None

    def _body(self, response: requests.Response) -> bytes:
        """Return the body of an answer in strict JSON, read no further than the caps; raises `Failed`."""
        with response:
            check_head(response)
            check_length(response)
            parts: list[bytes] = []
            size = 0
            for part in self._parts(response):
                size += len(part)
                if size > MAX_PAGE_BYTES:
                    raise Failed(FetchProblem.TOO_LARGE)
                parts.append(part)
        # A body without a length ends as well where its socket was shut down.
        if self._ended.is_set():
            raise Failed(FetchProblem.TIMED_OUT)
        return b"".join(parts).removeprefix(BOM_UTF8)

    def _parts(self, response: requests.Response) -> Iterator[bytes]:
        """Yield a body piece by piece within the quota of the call; raises `Failed`."""
        try:
            for part in response.iter_content(_CHUNK):
                if not self._quota.take(len(part)):
                    raise Failed(FetchProblem.TOO_LARGE)
                yield part
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> Failed:
        if self._ended.is_set() or self._deadline.is_over:
            return Failed(FetchProblem.TIMED_OUT)
        is_tls = isinstance(error, requests.exceptions.SSLError)
        return Failed(FetchProblem.NOT_TRUSTED if is_tls else FetchProblem.UNREACHABLE)


_LOOKUPS = threading.Semaphore(MOST_LOOKUPS)


def _looked_up(address: ServerAddress) -> tuple[Ip, ...]:
    """Return the addresses of a host, as `resolve`; raises OSError while too many names are waited for.

    Nothing can end a lookup that hangs: it would leave a thread for each call.
    """
    if address.ip is None and not _LOOKUPS.acquire(blocking=False):
        raise OSError
    try:
        return resolve(address)
    finally:
        if address.ip is None:
            _LOOKUPS.release()


class _Quota:
    """The bytes that all searches of a call may bring together."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there was room for so many more."""
        with self._lock:
            self._left -= size
            return self._left >= 0


def _outcome(task: Future[FetchedPages], query: Query) -> FetchedPages:
    if not task.done():
        return FetchedPages(query.key, problem=FetchProblem.TIMED_OUT)
    error = task.exception()
    if error is None:
        return task.result()
    # Whatever a server can do to its reader, it brought nothing. The kind of the error alone is told: its
    # text may repeat what the server sent.
    kind = {"exception": type(error).__qualname__}
    logging.getLogger("cds_service").error("search broke off", extra={"fields": kind})
    return FetchedPages(query.key, problem=FetchProblem.NOT_FHIR)


def http_session(adapter: PinnedAdapter, token: str | None) -> requests.Session:
    """Return a session that takes nothing from the environment and keeps no cookie."""
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update(_HEADERS)
    if token is not None:
        session.headers["Authorization"] = f"Bearer {token}"
    session.adapters.clear()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
