"""What was asked of a FHIR server, and what came: the access of the service, with a note of each step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cds_service.adapters.watched import Exchange, Finished, Watch
from cds_service.ports import FetchedPages, FhirAccess, Query, RecordSession, RecordSource


@dataclass(slots=True)
class Seen:
    """The queries of one patient with their answers, as they were asked, and each request."""

    asked: list[tuple[Query, FetchedPages]] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)

    def see(self, event: Exchange | Finished) -> None:
        """Note a request, or the end of a query."""
        if isinstance(event, Exchange):
            self.exchanges.append(event)
        else:
            self.finished.append(event)


class Onlooker:
    """A record source that notes what it is asked; `make_source` builds the real one around a watch."""

    def __init__(self, make_source: Callable[[Watch], RecordSource]) -> None:
        """Start with nothing seen."""
        self._seen = Seen()
        self._source = make_source(self._see)

    def take(self) -> Seen:
        """Return what was seen since the last time."""
        seen, self._seen = self._seen, Seen()
        return seen

    def _see(self, event: Exchange | Finished) -> None:
        self._seen.see(event)

    @contextmanager
    def open(self, access: FhirAccess, *, budget_seconds: float) -> Iterator[RecordSession]:
        """Yield a session of the real source whose queries are noted."""
        with self._source.open(access, budget_seconds=budget_seconds) as session:
            yield _NotedSession(session, self._seen)


class _NotedSession:
    def __init__(self, session: RecordSession, seen: Seen) -> None:
        self._session = session
        self._seen = seen

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        """Return what came of each query, and note it."""
        answers = self._session.fetch(queries)
        self._seen.asked.extend(zip(queries, answers, strict=True))
        return answers

    def ask_version(self) -> Callable[[], str | None]:
        """Pass the question for the version on."""
        return self._session.ask_version()
