"""How many calls a client may make: a bucket of tokens for each, in the memory of this process."""

import math
import threading
import time
from collections.abc import Callable

BURST_SECONDS = 10
"""A bucket holds the calls of so many seconds."""
_MINUTE = 60


class TokenBuckets:
    """Lets each client make its share of calls: its calls a minute, divided by the number of processes."""

    def __init__(self, processes: int, *, now: Callable[[], float] = time.monotonic) -> None:
        """Keep among how many processes of this host calls are divided."""
        self._processes = processes
        self._now = now
        self._lock = threading.Lock()
        # What was left of each client's bucket, and when.
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, per_minute: int) -> float:
        """Return 0.0 and count a call of this client, or the seconds after which it may call again."""
        share = math.ceil(per_minute / self._processes)
        room = max(1.0, share * BURST_SECONDS / _MINUTE)
        with self._lock:
            now = self._now()
            left, at = self._buckets.get(name, (room, now))
            left = min(room, left + (now - at) * share / _MINUTE)
            may = left >= 1
            self._buckets[name] = (left - 1 if may else left, now)
        return 0.0 if may else (1 - left) * _MINUTE / share
