"""What is counted, and counters inside the process; each worker of a server has its own."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from cds_service.clinical.assessment import CardKey
from cds_service.clinical.facts import IssueKind
from cds_service.knowledge.code_map import CodeKind
from cds_service.ports import Declined, FetchProblem, Refusal

OTHER = "other"
"""Stands for a label that is none of its list."""


@dataclass(frozen=True, slots=True)
class Family:
    """One counter or histogram: the name under which it is published, what it counts, its labels.

    A label has a closed list of values, or none where the list is one of ours that grows with a release
    (addresses of this service, names of the knowledge base). A record never gives a label.
    """

    published: str
    told: str
    labels: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


def _values(*lists: Iterable[str]) -> frozenset[str]:
    return frozenset(str(value) for listed in lists for value in listed)


CATALOGUE: Mapping[str, Family] = {
    "call": Family(
        "rls_cds_calls_total",
        "Answers to any request, by the pattern of the address and the status",
        {"route": None, "status": _values([str(code) for code in range(100, 600)])},
    ),
    "call_seconds": Family(
        "rls_cds_call_seconds",
        "Seconds from the request to its answer, by the pattern of the address (histogram)",
        {"route": None},
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0),
    ),
    "card": Family("rls_cds_cards_total", "Cards, by key", {"service": None, "card": _values(CardKey)}),
    "silent": Family(
        "rls_cds_silent_answers_total",
        "Answers without their cards, to clients in silent mode",
        {"service": None},
    ),
    "data_issue": Family(
        "rls_cds_data_issues_total",
        "Calls in which this kind of data issue was met",
        {"kind": _values(IssueKind)},
    ),
    "unmapped_code": Family(
        "rls_cds_unmapped_codes_total",
        "Local codes that only words told, by kind and group of the knowledge base",
        {"kind": _values(CodeKind), "group": None},
    ),
    "search": Family(
        "rls_cds_searches_total",
        "Searches on clients' FHIR servers, by how they ended",
        {"outcome": _values(["answered"], FetchProblem)},
    ),
    "refusal": Family(
        "rls_cds_refusals_total",
        "Callers that were refused, and data of calls that was not used, by cause",
        {"cause": _values(Refusal, Declined)},
    ),
    "feedback": Family(
        "rls_cds_feedback_total",
        "Feedback on cards, by outcome",
        {"service": None, "outcome": _values(["accepted", "overridden"])},
    ),
}
"""Everything that is counted, by the name that the code gives it."""

Series = tuple[str, tuple[tuple[str, str], ...]]


def series(name: str, labels: Mapping[str, str]) -> Series:
    """Return what a count adds to: a label outside its list becomes `OTHER`.

    Raises `ValueError` for a name or for labels that are not in the catalogue.
    """
    family = CATALOGUE.get(name)
    if family is None or labels.keys() != family.labels.keys():
        raise ValueError(f"{name} with {sorted(labels)} is not in the catalogue of metrics")
    return name, tuple((label, _listed(family.labels[label], labels[label])) for label in family.labels)


def _listed(values: frozenset[str] | None, value: str) -> str:
    return value if values is None or value in values else OTHER


class InProcessMetrics:
    """Counts in memory, for tests and where nobody asks."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counts: Counter[Series] = Counter()
        self._seen: defaultdict[Series, list[float]] = defaultdict(lambda: [0, 0.0])
        self._lock = Lock()

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        key = series(name, labels)
        with self._lock:
            self._counts[key] += 1

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one measured value."""
        key = series(name, labels)
        with self._lock:
            seen = self._seen[key]
            seen[0] += 1
            seen[1] += value

    def value(self, name: str, **labels: str) -> int:
        """Return how often exactly these labels were counted."""
        with self._lock:
            return self._counts[series(name, labels)]

    def observed(self, name: str, **labels: str) -> tuple[int, float]:
        """Return how many values were measured, and their sum."""
        with self._lock:
            number, total = self._seen[series(name, labels)]
            return int(number), total
