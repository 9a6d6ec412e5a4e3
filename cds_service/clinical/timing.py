"""Calendar arithmetic of the rules: of a look-back, its last day still counts and the next one does not."""

from datetime import date, timedelta
from enum import StrEnum

from cds_service.clinical.facts import PartialDate


class AgeClass(StrEnum):
    """Adult, child, or open because the birth date is missing or too coarse."""

    ADULT = "adult"
    CHILD = "child"
    NEAR_LIMIT = "age near 18"
    NOT_RECORDED = "age not recorded"

    @property
    def is_open(self) -> bool:
        """Whether both readings, adult and child, are possible."""
        return self in {AgeClass.NEAR_LIMIT, AgeClass.NOT_RECORDED}


def age_class(birth: PartialDate | None, today: date, adult_from: int) -> AgeClass:
    """Return the age class on `today`; `adult_from` in years."""
    if birth is None or birth.earliest > today:
        return AgeClass.NOT_RECORDED
    if years_between(birth.latest, today) >= adult_from:
        return AgeClass.ADULT
    if years_between(birth.earliest, today) < adult_from:
        return AgeClass.CHILD
    return AgeClass.NEAR_LIMIT


def years_between(birth: date, today: date) -> int:
    """Return the completed years of life on `today` (someone born on 29 February ages on 1 March)."""
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def may_be_aged(birth: PartialDate | None, today: date, youngest: int, oldest: int) -> bool:
    """Whether the age in years may lie between `youngest` and `oldest`, both included."""
    if birth is None:
        return True
    return years_between(birth.earliest, today) >= youngest and years_between(birth.latest, today) <= oldest


def days_since(day: PartialDate, today: date) -> int:
    """Return the age in days, counted from the first day that the date may mean; negative in the future."""
    return (today - day.earliest).days


def is_future(day: PartialDate, today: date) -> bool:
    """Whether a result of this date is as if absent: a clock ahead by one day is tolerated."""
    return days_since(day, today) < -1


def is_within(day: PartialDate, today: date, days: int) -> bool:
    """Whether the date lies at most `days` days back and not in the future."""
    return not is_future(day, today) and days_since(day, today) <= days


def add_days(day: date, days: int) -> date:
    """Return the day that many days later, at most the last day that the calendar knows."""
    return day + timedelta(days=min(days, (date.max - day).days))
