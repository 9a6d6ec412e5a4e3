"""The values that a measurement may have: a number, or all that a comparator or a range leaves open."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Interval:
    """The values that a measurement may have, in the analyte's canonical unit.

    `low` None means unbounded below (but above zero), `high` None unbounded above. A plain number has
    `low == high` with both ends included; `<10` is `high=10, includes_high=False`.
    """

    low: Decimal | None
    high: Decimal | None
    includes_low: bool = True
    includes_high: bool = True

    @classmethod
    def exactly(cls, value: Decimal) -> "Interval":
        """Return the interval that holds one value only."""
        return cls(value, value)

    @property
    def is_exact(self) -> bool:
        """Whether a single value is known."""
        return self.low is not None and self.low == self.high

    def is_certainly_below(self, limit: Decimal) -> bool:
        """Whether every possible value is < `limit`."""
        if self.high is None:
            return False
        return self.high < limit or (self.high == limit and not self.includes_high)

    def is_certainly_at_most(self, limit: Decimal) -> bool:
        """Whether every possible value is <= `limit`."""
        return self.high is not None and self.high <= limit

    def is_certainly_above(self, limit: Decimal) -> bool:
        """Whether every possible value is > `limit`."""
        if self.low is None:
            return False
        return self.low > limit or (self.low == limit and not self.includes_low)

    def is_certainly_at_least(self, limit: Decimal) -> bool:
        """Whether every possible value is >= `limit`."""
        return self.low is not None and self.low >= limit
