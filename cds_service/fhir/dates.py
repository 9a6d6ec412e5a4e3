"""FHIR dates of any precision as intervals of calendar days in the configured zone.

FHIR R4 datatypes: date, dateTime, instant. Senders also leave out the zone or the seconds, write a
blank for the `T`, or give the hour 24; such a value is still a date, and what was done to it is said.
"""

import calendar
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from cds_service.clinical.facts import PartialDate

_YEAR_LENGTH = 4
_MONTH_LENGTH = 7
_DAY_LENGTH = 10
# The longest honest date-time has about 35 characters; more is not looked at.
_LONGEST = 64
_LAST_HOUR = 23
_LAST_SECOND = 59
_YEAR = re.compile(r"[0-9]{4}\Z")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIME = re.compile(
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"\s?(?P<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?\Z"
)

# The form that the specification asks for, and that nearly every sender keeps to.
_PLAIN_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})\Z"
)

CLEANED_BLANKS = "blanks around a date removed"
CLEANED_SEPARATOR = "blank between date and time"
CLEANED_TIME = "time of day not readable, date kept"
CLEANED_NO_ZONE = "date-time without zone"
CLEANED_NO_SECONDS = "date-time without seconds"


@dataclass(frozen=True, slots=True)
class DateReading:
    """A date that could be read, and how it had to be cleaned up for that."""

    value: PartialDate
    cleanups: tuple[str, ...] = ()


def read_date(text: str, zone: ZoneInfo) -> DateReading | None:
    """Return the days that a FHIR date, dateTime or instant may mean, None when it is not readable."""
    if _PLAIN_MOMENT.match(text):
        # An hour 24 or a second 60 is read piece by piece below.
        with suppress(ValueError):
            return DateReading(_at(datetime.fromisoformat(text), zone))
    stripped = text.strip()
    if not stripped or len(stripped) > _LONGEST or not stripped.isascii():
        return None
    cleanups = () if stripped == text else (CLEANED_BLANKS,)
    if len(stripped) <= _DAY_LENGTH:
        value = _read_days(stripped, zone)
        return DateReading(value, cleanups) if value is not None else None
    return _read_moment(stripped, zone, cleanups)


def _read_days(text: str, zone: ZoneInfo) -> PartialDate | None:
    try:
        if len(text) == _DAY_LENGTH and _DAY.match(text):
            first = last = date.fromisoformat(text)
        elif len(text) == _MONTH_LENGTH and _MONTH.match(text):
            first = date(int(text[:4]), int(text[5:]), 1)
            last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        elif len(text) == _YEAR_LENGTH and _YEAR.match(text):
            first, last = date(int(text), 1, 1), date(int(text), 12, 31)
        else:
            return None
    except ValueError:
        return None
    return PartialDate(first, last, midnight(first, zone), text)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a calendar day in a zone, as an instant in UTC."""
    return _to_utc(datetime(day.year, day.month, day.day, tzinfo=zone))


def _to_utc(moment: datetime) -> datetime:
    # Instants of one zone object are compared by wall clock, which is wrong when clocks go back.
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def _read_moment(text: str, zone: ZoneInfo, cleanups: tuple[str, ...]) -> DateReading | None:
    day = _read_days(text[:_DAY_LENGTH], zone)
    separator = text[_DAY_LENGTH]
    if day is None or separator not in "Tt ":
        return None
    if separator == " ":
        cleanups = (*cleanups, CLEANED_SEPARATOR)
    parts = _TIME.match(text[_DAY_LENGTH + 1 :])
    moment = _moment(day.earliest, parts, zone) if parts is not None else None
    if parts is None or moment is None:
        return DateReading(day, (*cleanups, CLEANED_TIME))
    if parts["zone"] is None:
        cleanups = (*cleanups, CLEANED_NO_ZONE)
    if parts["second"] is None:
        cleanups = (*cleanups, CLEANED_NO_SECONDS)
    return DateReading(_at(moment, zone), cleanups)


def _moment(day: date, parts: re.Match[str], zone: ZoneInfo) -> datetime | None:
    hour, second = int(parts["hour"]), min(int(parts["second"] or 0), _LAST_SECOND + 1)
    if hour > _LAST_HOUR:
        return None
    microsecond = int((parts["fraction"] or "0")[:6].ljust(6, "0"))
    try:
        return datetime(
            day.year,
            day.month,
            day.day,
            hour,
            int(parts["minute"]),
            # FHIR allows the leap second 60, Python's calendar does not know it.
            min(second, _LAST_SECOND),
            microsecond,
            tzinfo=_offset(parts["zone"], zone),
        )
    except ValueError:
        return None


def _offset(text: str | None, zone: ZoneInfo) -> timezone | ZoneInfo:
    if text is None:
        return zone
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _at(moment: datetime, zone: ZoneInfo) -> PartialDate:
    try:
        day = moment.astimezone(zone).date()
    except OverflowError:
        # The first and the last days of the calendar stand for "always" and "never" in some records.
        day = moment.date()
    return PartialDate(day, day, _to_utc(moment), day.isoformat())
