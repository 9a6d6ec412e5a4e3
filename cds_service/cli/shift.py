"""Sample requests whose dates move along with the calendar, so that a fresh result stays fresh.

The samples are written for one day. For another day every FHIR date or dateTime moves by whole days and
keeps its time, zone and spelling; a partial date keeps its precision and its distance in months or years;
a birth date keeps the age, which leap days would otherwise change. Only the text of the dates is replaced:
numbers, order and layout of a file stay as they are.
"""

import re
from datetime import date, timedelta
from pathlib import Path

WRITTEN_FOR = date(2026, 11, 22)
"""The day of assessment that the sample requests were written for."""

_DATE = re.compile(
    r'(?P<lead>(?:"(?P<name>[^"\\]*)"\s*:|[\[,])\s*")'
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})(?P<rest>[T ][^\"\\]{0,40})?)?)?"
    r'(?=")',
)
_IS_DATE_MEMBER = re.compile(r"^(?:date|start|end|issued|event)$|(?:[dD]ate|DateTime|On|Asserted|Updated)$")
_MONTHS = 12


def shift_dates(text: str, to: date) -> str:
    """Return the JSON text with all dates moved from the day that it was written for to `to`."""
    return _DATE.sub(lambda match: match["lead"] + _shifted(match, to), text)


def write_shifted(folder: Path, out: Path, to: date) -> list[Path]:
    """Return the files written to `out`, one for each sample request in `folder`; raises OSError."""
    written = []
    for source in sorted(folder.rglob("*.json")):
        text = source.read_text(encoding="utf-8")
        if not is_request(text):
            continue
        target = out / source.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(shift_dates(text, to), encoding="utf-8")
        written.append(target)
    return written


def is_request(text: str) -> bool:
    """Whether a JSON text is a call of a hook, and not, say, an expected answer."""
    return re.search(r'"hookInstance"\s*:', text) is not None


def _shifted(match: re.Match[str], to: date) -> str:
    name, year, month, day = (match[part] for part in ("name", "year", "month", "day"))
    written = match[0].removeprefix(match["lead"])
    try:
        if day is not None:
            moved = date(int(year), int(month), int(day))
            shifted = _same_age(moved, to) if name == "birthDate" else moved + (to - WRITTEN_FOR)
            return shifted.isoformat() + (match["rest"] or "")
        if name is None or not _IS_DATE_MEMBER.search(name):
            return written
        if month is not None:
            return _same_months_ago(date(int(year), int(month), 1), to)
        return f"{int(year) + to.year - WRITTEN_FOR.year:04}"
    except (ValueError, OverflowError):
        return written  # no such day: samples hold mistakes on purpose


def _same_age(birth: date, to: date) -> date:
    """Return the birth date of somebody who is as many years and days old on `to` as on the written day."""
    years = WRITTEN_FOR.year - birth.year - ((WRITTEN_FOR.month, WRITTEN_FOR.day) < (birth.month, birth.day))
    since_birthday = (WRITTEN_FOR - _in_year(birth, birth.year + years)).days
    return _in_year(to - timedelta(days=since_birthday), (to - timedelta(days=since_birthday)).year - years)


def _in_year(day: date, year: int) -> date:
    """Return the same day of another year, 28 February for a leap day where there is none."""
    is_lost = (day.month, day.day) == (2, 29) and not _is_leap(year)
    return date(year, day.month, 28 if is_lost else day.day)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _same_months_ago(month: date, to: date) -> str:
    months_ago = (WRITTEN_FOR.year - month.year) * _MONTHS + WRITTEN_FOR.month - month.month
    moved = to.year * _MONTHS + to.month - 1 - months_ago
    return date(moved // _MONTHS, moved % _MONTHS + 1, 1).isoformat()[:7]
