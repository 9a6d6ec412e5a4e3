"""How the rules write values for the card templates (cards/README.md): plain strings, nothing neutralised."""

from datetime import date

from cds_service.clinical.assessment import Deciding
from cds_service.clinical.facts import PartialDate, Result, ResultNote
from cds_service.clinical.results import age_in_days

_COMPARATORS = (("<=", "at most "), (">=", "at least "), ("<", "below "), (">", "above "))
_DAYS_IN_WORDS = 730
_DAYS_A_YEAR = 365


def value_words(result: Result) -> str:
    """Return the value in its canonical unit, the comparator in words ("below 10 ng/mL")."""
    text = result.shown_canonical or result.shown
    for sign, words in _COMPARATORS:
        if text.startswith(sign):
            return words + text.removeprefix(sign).strip()
    return text


def original_words(result: Result) -> str | None:
    """Return the text as sent when the value was converted, else None."""
    is_converted = bool(result.notes & {ResultNote.CONVERTED, ResultNote.CONVERTED_MOLAR})
    return result.shown if is_converted and result.shown != result.shown_canonical else None


def date_words(day: PartialDate | date | None) -> str:
    """Return the calendar day, or the coarse date as it came."""
    if day is None:
        return "date not recorded"
    if isinstance(day, PartialDate):
        return day.earliest.isoformat() if day.is_exact else day.shown
    return day.isoformat()


def age_words(result: Result, today: date) -> str:
    """Return the age of a result in words: days up to two years, then years."""
    days = age_in_days(result, today)
    if days < _DAYS_IN_WORDS:
        return f"{days} days"
    return f"{days // _DAYS_A_YEAR} years"


def result_values(result: Result, name: str) -> dict[str, str]:
    """Return the template values of a result under `name` ("value", "tsat", "crp") with its date."""
    date_key = "date" if name == "value" else f"{name}_date"
    original_key = "original" if name == "value" else f"{name}_original"
    values = {name: value_words(result), date_key: date_words(result.when)}
    original = original_words(result)
    return values | {original_key: original} if original else values


def deciding(kind: str, result: Result) -> Deciding:
    """Return what goes into the fingerprint of a card that this result decided."""
    value, _, unit = value_words(result).rpartition(" ")
    return Deciding(kind, value, unit, date_words(result.when))
