"""What day it is."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock, read in the configured zone."""

    zone: ZoneInfo

    def today(self) -> date:
        """Return the current calendar day in `zone`."""
        return datetime.now(self.zone).date()


@dataclass(frozen=True, slots=True)
class FixedClock:
    """A day of assessment that never changes (`RLS_CDS_AS_OF`, `rls-cds evaluate --as-of`)."""

    zone: ZoneInfo
    day: date

    def today(self) -> date:
        """Return the fixed day."""
        return self.day
