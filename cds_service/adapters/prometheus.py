"""Counters that Prometheus reads, added up over all worker processes.

Loaded only where `RLS_CDS_METRICS` is on. Several workers share the folder of `PROMETHEUS_MULTIPROC_DIR`,
which must stand in the environment before the library is loaded: `rls-cds serve` sees to that.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from cds_service.adapters.metrics import CATALOGUE, Family, series

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
WORKERS = "rls_cds_workers"
"""A gauge beside the catalogue: how many worker processes are alive."""

_workers = Gauge(WORKERS, "Worker processes that are alive", registry=None, multiprocess_mode="livesum")


class PrometheusMetrics:
    """Counts in the form that Prometheus reads."""

    def __init__(self) -> None:
        """Prepare every counter of the catalogue."""
        self._registry = CollectorRegistry()
        made = {name: self._made(family) for name, family in CATALOGUE.items()}
        self._counters = {name: one for name, one in made.items() if isinstance(one, Counter)}
        self._histograms = {name: one for name, one in made.items() if isinstance(one, Histogram)}

    def _made(self, family: Family) -> Counter | Histogram:
        names = tuple(family.labels)
        if family.buckets:
            return Histogram(
                family.published, family.told, names, buckets=family.buckets, registry=self._registry
            )
        return Counter(family.published, family.told, names, registry=self._registry)

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        _, pairs = series(name, labels)
        self._counters[name].labels(**dict(pairs)).inc()

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one measured value."""
        _, pairs = series(name, labels)
        self._histograms[name].labels(**dict(pairs)).observe(value)

    def page(self) -> tuple[bytes, str]:
        """Return all counters as text, and its media type: of every process where they share a folder."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library leaves it untyped
        return generate_latest(registry), CONTENT_TYPE_LATEST


def worker_began() -> None:
    """Count this process as a living worker."""
    _workers.set(1)


def worker_ended(process: int) -> None:
    """Count a process no more among the living; what it counted stays in the sums."""
    mark_process_dead(process)  # type: ignore[no-untyped-call] # the library leaves it untyped
