"""Every search on a client's FHIR server, written down: what was asked of which server, and how it ended."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from urllib.parse import urlencode

from cds_service.audit import AuditFact, AuditKind, AuditOutcome
from cds_service.ports import Audit, FetchedPages, FhirAccess, Query, RecordSession, RecordSource, Search

_LONGEST = 4096


class AuditedSource:
    """A source of records that writes down what it is asked."""

    def __init__(self, source: RecordSource, audit: Audit, now: Callable[[], datetime]) -> None:
        """Keep the source itself, and where and when it is written down."""
        self._source = source
        self._audit = audit
        self._now = now

    def open(self, access: FhirAccess, *, budget_seconds: float) -> AbstractContextManager[RecordSession]:
        """Return a session of the source, each of its queries written down."""
        return self._opened(access, budget_seconds)

    @contextmanager
    def _opened(self, access: FhirAccess, budget_seconds: float) -> Iterator[RecordSession]:
        with self._source.open(access, budget_seconds=budget_seconds) as session:
            yield _Session(session, access, self._audit, self._now)


class _Session:
    def __init__(
        self, session: RecordSession, access: FhirAccess, audit: Audit, now: Callable[[], datetime]
    ) -> None:
        self._session = session
        self._access = access
        self._audit = audit
        self._now = now

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        """Return what came of each query; raises `AuditUnavailableError` when that cannot be written down."""
        answers = self._session.fetch(queries)
        # A key set is read for nobody.
        if self._access.call is not None:
            for query, answer in zip(queries, answers, strict=True):
                self._audit.record(self._fact(query, answer))
        return answers

    def ask_version(self) -> Callable[[], str | None]:
        """Start to ask for the server's version; that tells of no patient and is not written down."""
        return self._session.ask_version()

    def _fact(self, query: Query, answer: FetchedPages) -> AuditFact:
        is_read = isinstance(query, Search) and query.resource_id is not None
        address = self._access.address
        return AuditFact(
            kind=AuditKind.READ if is_read else AuditKind.SEARCH,
            recorded=self._now(),
            outcome=AuditOutcome.SUCCESS if answer.problem is None else AuditOutcome.MINOR_FAILURE,
            call=self._access.call,
            server=f"{address.origin}{address.path}",
            query=_asked(query),
            reason=answer.problem.value if answer.problem is not None else "",
        )


def _asked(query: Query) -> str:
    """Return a query as it is asked, relative to the server."""
    if not isinstance(query, Search):
        # A link of a caller's record may have any length; ours have some hundred characters.
        return query.url[:_LONGEST]
    if query.resource_id is not None:
        return f"{query.resource_type}/{query.resource_id}"
    return f"{query.resource_type}?{urlencode(query.parameters)}"
