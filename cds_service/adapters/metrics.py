"""Counters inside the process; each worker of a server has its own."""

from collections import Counter
from threading import Lock


class InProcessMetrics:
    """Counts events by name and labels; labels must come from closed lists, never from a record."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._lock = Lock()

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._counts[key] += 1

    def value(self, name: str, **labels: str) -> int:
        """Return how often exactly these labels were counted."""
        with self._lock:
            return self._counts[(name, tuple(sorted(labels.items())))]
