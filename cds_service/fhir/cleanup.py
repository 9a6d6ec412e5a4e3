"""Clean-up of one resource before its validation: what senders get wrong without meaning anything else.

Works on the parsed JSON and changes a copy. Each change is counted under a short name, never with what
was there. What is left and still wrong makes the resource invalid.
"""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from cds_service.fhir.releases import RELEASES, Release
from cds_service.fhir.versions import FhirVersion

Json = dict[str, Any]

MAX_DEPTH = 64
_DAY_LENGTH = len("2000-01-01")

# Narrative is never shown, and contained resources of types that we do not read have models of their own.
_UNREAD = frozenset({"text", "meta", "language"})
_READ_CONTAINED = frozenset({"Medication"})

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_DATE_TIME = re.compile(
    r"\d{4}(-\d\d(-\d\d(T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00)))?)?)?"
)
_DATE_NAME = re.compile(
    r"(?:.*DateTime|.*Date|date[A-Z].*|authoredOn|orderedOn|start|end|recorded|date|event)"
)
# An unreadable one of these is as if it were missing, which says less and nothing wrong: the age stays open.
_DATES_TO_MISS = frozenset({"birthDate", "onsetDateTime", "recordedDate", "dateAsserted"})
_INSTANT_NAME = re.compile(r"(?:.*Instant|issued|lastUpdated)")
_COMPARED = re.compile(r"\s*(<=|>=|<|>)?\s*([+-]?\d+(?:\.\d+)?)\s*")
_COMPARATORS = frozenset({"<", "<=", ">=", ">"})
_KEPT_WORDS = frozenset({"div"})
_NOT_KNOWN = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    ]
}


@dataclass(slots=True)
class Cleaned:
    """A cleaned resource and how often each kind of clean-up was made."""

    resource: Json
    counts: Counter[str] = field(default_factory=Counter)
    is_too_deep: bool = False


def clean(resource: Json, patient_id: str, release: Release = RELEASES[FhirVersion.R4]) -> Cleaned:
    """Return a copy of a resource that is as tidy as it can be made without guessing."""
    result = Cleaned({})
    resource_type = str(resource.get("resourceType"))
    top = {name: value for name, value in resource.items() if name not in _UNREAD}
    if "contained" in top:
        top["contained"] = _read_contained(top["contained"])
    cleaned = _member(top, "", result, 0)
    result.resource = cleaned if isinstance(cleaned, dict) else {}
    _complete(result, release, resource_type, patient_id)
    return result


def _read_contained(contained: object) -> list[object]:
    if not isinstance(contained, list):
        return []
    return [
        {name: value for name, value in one.items() if name not in _UNREAD}
        for one in contained
        if isinstance(one, dict) and one.get("resourceType") in _READ_CONTAINED
    ]


def _complete(result: Cleaned, release: Release, resource_type: str, patient_id: str) -> None:
    """Fill in what a missing member means."""
    resource = result.resource
    for name, filling in release.fillings.get(resource_type, {}).items():
        if name not in resource and f"_{name}" not in resource:
            resource[name] = filling
            result.counts[f"{name} missing, read as unknown"] += 1
    member = release.subjects.get(resource_type)
    if member is not None and member not in resource:
        resource[member] = {"reference": f"Patient/{patient_id}"}


def _member(value: object, name: str, result: Cleaned, depth: int) -> object:
    """Return the cleaned value of a member, None when nothing is left of it."""
    if depth > MAX_DEPTH:
        result.is_too_deep = True
        return None
    if isinstance(value, dict):
        return _object(value, name, result, depth)
    if isinstance(value, list):
        return _array(value, name, result, depth)
    if isinstance(value, str):
        return _text(value, name, result)
    return value


def _object(value: Json, name: str, result: Cleaned, depth: int) -> Json | None:
    cleaned: Json = {}
    for key, part in value.items():
        # No extension is read; beside a primitive, one may only stand in for a value that is not known.
        if key == "extension":
            continue
        if key.startswith("_"):
            if key[1:] not in value and isinstance(part, dict) and part.get("extension"):
                cleaned[key] = _NOT_KNOWN
            continue
        if key == "id" and not _is_id(part):
            result.counts["id of other characters"] += 1
            continue
        kept = _member(part, key, result, depth + 1)
        if kept is not None:
            cleaned[key] = kept
        elif part is not None:
            result.counts["empty or unusable member"] += part in ("", [], {})
    if isinstance(cleaned.get("value"), str) and not name.startswith("identifier"):
        _split_number(cleaned, result)
    if name != "telecom" and "comparator" in cleaned and cleaned["comparator"] not in _COMPARATORS:
        result.counts["comparator not understood"] += 1
        del cleaned["comparator"]
    return cleaned or None


def _array(value: list[object], name: str, result: Cleaned, depth: int) -> list[object] | None:
    cleaned = [_member(part, name, result, depth + 1) for part in value]
    kept = [part for part in cleaned if part is not None]
    if len(kept) < len(value):
        result.counts["empty or unusable member"] += 1
    return kept or None


def _text(value: str, name: str, result: Cleaned) -> str | None:
    if name in _KEPT_WORDS:
        return value
    text = value.strip()
    if text != value:
        result.counts["blanks around a text"] += 1
    if not text:
        return None
    if _INSTANT_NAME.fullmatch(name):
        return _instant(text, result)
    if _DATE_NAME.fullmatch(name):
        return _date(text, name, result)
    return text


def _date(text: str, name: str, result: Cleaned) -> str | None:
    day = re.split(r"[T ]", text, maxsplit=1)[0]
    if not _is_day(day):
        if name not in _DATES_TO_MISS:
            return text
        result.counts["unreadable date left out"] += 1
        return None
    if _DATE_TIME.fullmatch(text):
        return text
    result.counts["time without zone or seconds, day kept"] += 1
    return day


def _is_day(text: str) -> bool:
    """Whether a text is a date of the calendar, of any precision."""
    if not _DATE.fullmatch(text):
        return False
    with suppress(ValueError):
        return len(text) < _DAY_LENGTH or bool(date.fromisoformat(text))
    return False


def _instant(text: str, result: Cleaned) -> str | None:
    """An instant cannot be a day alone; without its zone it is no instant."""
    if "T" in text and _DATE_TIME.fullmatch(text):
        return text
    result.counts["instant without zone or seconds"] += 1
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _split_number(quantity: Json, result: Cleaned) -> None:
    """Read a quoted number, with its comparator if it has one, as what it is."""
    if not quantity.keys() & {"unit", "code", "comparator"} and not quantity.keys() <= {"value"}:
        return
    match = _COMPARED.fullmatch(quantity["value"])
    if match is None:
        return
    result.counts["number sent as text"] += 1
    quantity["value"] = match[2]
    if match[1] and "comparator" not in quantity:
        quantity["comparator"] = match[1]
