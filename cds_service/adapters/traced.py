"""The time of each round of searches on a client's FHIR server, as part of the call's trace."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from cds_service.ports import (
    FetchedPages,
    FhirAccess,
    Query,
    RecordSession,
    RecordSource,
    Search,
    Tracer,
)


class NoTraces:
    """Measures nothing."""

    def begin(self, *, parent: str = "", is_outgoing: bool = False) -> "NoTraces":  # noqa: ARG002 - the port's
        """Return itself."""
        return self

    def end(self, name: str, *, is_fault: bool = False, **attributes: str | float | Sequence[str]) -> None:
        """Do nothing."""


class TracedSource:
    """A source of records whose answers are timed."""

    def __init__(self, source: RecordSource, tracer: Tracer) -> None:
        """Keep the source itself and where the times go."""
        self._source = source
        self._tracer = tracer

    def open(self, access: FhirAccess, *, budget_seconds: float) -> AbstractContextManager[RecordSession]:
        """Return a session of the source, each round of its queries timed."""
        return self._opened(access, budget_seconds)

    @contextmanager
    def _opened(self, access: FhirAccess, budget_seconds: float) -> Iterator[RecordSession]:
        with self._source.open(access, budget_seconds=budget_seconds) as session:
            yield _Session(session, self._tracer)


class _Session:
    def __init__(self, session: RecordSession, tracer: Tracer) -> None:
        self._session = session
        self._tracer = tracer

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        """Return what came of each query; the span tells their resource types and what hindered them."""
        span = self._tracer.begin(is_outgoing=True)
        answers: tuple[FetchedPages, ...] = ()
        try:
            answers = self._session.fetch(queries)
        finally:
            problems = [answer.problem.value for answer in answers if answer.problem is not None]
            span.end(
                "FHIR searches",
                is_fault=bool(problems) or len(answers) < len(queries),
                searches=len(queries),
                resource_types=[_type(query) for query in queries],
                problems=problems,
            )
        return answers

    def ask_version(self) -> Callable[[], str | None]:
        """Start to ask for the server's version, which no span tells of: it runs beside the searches."""
        return self._session.ask_version()


def _type(query: Query) -> str:
    return query.resource_type if isinstance(query, Search) else "next page"
