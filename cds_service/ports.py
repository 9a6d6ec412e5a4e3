"""The outside world, as the core sees it."""

from datetime import date
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """What day it is, in the zone that calendar days are counted in."""

    @property
    def zone(self) -> ZoneInfo:
        """The configured zone."""

    def today(self) -> date:
        """Return the current calendar day in `zone`."""


class Quiet(Protocol):
    """What is known about earlier answers and the Encounter (cards.md section 2, rules 4, 6 and 8)."""

    def is_quiet(self, *, client: str, patient_id: str, card_key: str, fingerprint: str) -> bool:
        """Whether this advice was turned down lately; False when nothing is known."""


class Metrics(Protocol):
    """Counters without patient data."""

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
