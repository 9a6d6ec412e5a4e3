"""The searches of all visits in one table: what was asked, what came, and what had to be tried next."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from cds_service.adapters.watched import Exchange, outcome_of
from cds_service.onboarding.onlooker import Seen
from cds_service.onboarding.report import SearchRow
from cds_service.onboarding.resources import sent_resources
from cds_service.onboarding.server import ServerFacts
from cds_service.onboarding.sheet import query_of
from cds_service.onboarding.visits import Visit
from cds_service.ports import FetchedPages, Search
from cds_service.protocol.prefetch import PATIENT_TOKEN

# After these a search is tried in its other form, as the adapter does it.
_GET_REFUSED, _POST_REFUSED = frozenset({405, 414, 431}), frozenset({404, 405, 415, 501})
_BUSY = frozenset({502, 503, 504})
_MILLISECONDS = 1000


class _Asked(NamedTuple):
    """What was asked under one key of one patient, from the first to the last try."""

    patient_id: str
    queries: tuple[Search, ...]
    answer: FetchedPages
    exchanges: tuple[Exchange, ...]
    seconds: float


def search_rows(visits: Sequence[Visit], server: ServerFacts) -> tuple[SearchRow, ...]:
    """Return one row for each key, in the order in which they were first asked."""
    own: dict[str, list[_Asked]] = {}
    extra: dict[str, list[_Asked]] = {}
    for visit in visits:
        for table, seen in ((own, visit.seen), (extra, visit.extra)):
            for key, asked in _asked(visit, seen):
                table.setdefault(key, []).append(asked)
    rows = [_row(key, found, server, by_service=True) for key, found in own.items()]
    # A call asks for the laboratory list too, where it must.
    rows += [_row(key, found, server, by_service=False) for key, found in extra.items() if key not in own]
    return tuple(rows)


def _asked(visit: Visit, seen: Seen) -> Iterator[tuple[str, _Asked]]:
    found: dict[str, list[tuple[Search, FetchedPages]]] = {}
    for query, answer in seen.asked:
        if isinstance(query, Search):
            found.setdefault(query.key, []).append((query, answer))
    for key, pairs in found.items():
        times = [one.seconds for one in seen.finished if one.key == key]
        yield (
            key,
            _Asked(
                visit.record.patient_id,
                tuple(query for query, _ in pairs),
                pairs[-1][1],
                tuple(one for one in seen.exchanges if one.key == key),
                # What did not come to its end took all the time there was.
                sum(times) if times else visit.seconds,
            ),
        )


def _row(key: str, found: Sequence[_Asked], server: ServerFacts, *, by_service: bool) -> SearchRow:
    last = found[-1].queries[-1]
    times = [_ms(one.seconds) for one in found]
    return SearchRow(
        key=key,
        query=shown_query(last, found[-1].patient_id),
        declared=_declared(last, server),
        by_service=by_service,
        patients=len(found),
        statuses=_counted(str(one.status) for asked in found for one in asked.exchanges),
        problems=_counted(
            asked.answer.problem.value for asked in found if asked.answer.problem and not _is_bounded(asked)
        ),
        outcomes=_counted(told for asked in found for told in _outcomes(asked)),
        fallbacks=_counted(told for asked in found for told in _fallbacks(asked)),
        entries=sum(sum(1 for _ in sent_resources(asked.answer.pages)) for asked in found),
        most_pages=max(len(asked.answer.pages) for asked in found),
        median_ms=round(median(times)),
        max_ms=max(times),
    )


def _ms(seconds: float) -> int:
    return round(seconds * _MILLISECONDS)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _is_bounded(asked: _Asked) -> bool:
    """Whether no more pages were wanted than came."""
    most = asked.queries[-1].most_pages
    return most is not None and len(asked.answer.pages) == most


def shown_query(query: Search, patient_id: str) -> str:
    """Return a search with a token for the patient, without ids, and its codes counted."""
    parts = {
        "_id": lambda value: f"({len(value.split(','))} ids)",
        "code": lambda value: f"({len(value.split(','))} codes)",
    }
    parameters = tuple(
        (name, PATIENT_TOKEN if value == patient_id else parts.get(name, str)(value))
        for name, value in query.parameters
    )
    resource_id = PATIENT_TOKEN if query.resource_id is not None else None
    return query_of(Search(query.key, query.resource_type, parameters, resource_id))


def _declared(query: Search, server: ServerFacts) -> str:
    if not server.types:
        return "not said"
    found = server.types.get(query.resource_type)
    if found is None:
        return "no"
    return "yes" if found.is_searchable or query.resource_id is not None else "no search"


def _outcomes(asked: _Asked) -> Iterator[str]:
    for exchange in asked.exchanges:
        yield from exchange.outcome
    for page in asked.answer.pages:
        yield from outcome_of(page)


def _fallbacks(asked: _Asked) -> Iterator[str]:
    """Yield what was tried after a first answer that did not do."""
    first, last = asked.queries[0], asked.queries[-1]
    if first.resource_type != last.resource_type:
        yield f"asked as {last.resource_type}"
    before, after = dict(first.parameters), dict(last.parameters)
    if before.get("_sort") != after.get("_sort"):
        yield "other sort order" if "_sort" in after else "without a sort order"
    if before.get("status") != after.get("status"):
        yield "status words of the release"
    yield from _other_ways(asked.exchanges)


def _other_ways(exchanges: Sequence[Exchange]) -> Iterator[str]:
    tries = [(one.method, one.status) for one in exchanges]
    if any(method == "GET" and status in _GET_REFUSED for method, status in tries):
        yield "posted to _search"
    if any(method == "POST" and status in _POST_REFUSED for method, status in tries):
        yield "asked by GET, _search being refused"
    if any(one.status in _BUSY for one in exchanges):
        yield "asked a second time, the server being busy"
