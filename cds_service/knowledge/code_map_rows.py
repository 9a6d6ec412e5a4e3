"""The rows of a code map as its file states them, CSV or ConceptMap of FHIR R4; nothing is looked up yet.

Faults are told by their place and never by their value: a line, in a ConceptMap the path of the element.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

REQUIRED = ("kind", "system", "code", "target_system", "target_code")
OPTIONAL = ("unit", "display")

_JSON_BEGINS = "{"
_BYTE_ORDER_MARK = "\ufeff"
_CONCEPT_MAP = "ConceptMap"
_SAME_OR_WIDER = frozenset({"equal", "equivalent", "wider", "subsumes"})
_NARROWER = frozenset({"narrower", "specializes"})
# What would make a mapping hold only under conditions, or mean something else than its row.
_CONDITIONS = {
    _CONCEPT_MAP: ("modifierExtension", "implicitRules"),
    "group": ("modifierExtension", "unmapped"),
    "element": ("modifierExtension",),
    "target": ("modifierExtension", "dependsOn", "product"),
}


class MapRow(NamedTuple):
    """One row with its place; `kind` is None in a ConceptMap, where the target tells it."""

    place: str
    kind: str | None
    system: str
    code: str
    target_system: str
    target_code: str
    unit: str = ""


def read_rows(text: str, faults: list[str]) -> Iterator[MapRow]:
    """Yield the rows of a text, without surrounding blanks; what is wrong with its form joins `faults`."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    is_json = text.lstrip().startswith(_JSON_BEGINS)
    return _ConceptMapReader(faults).rows(text) if is_json else _csv_rows(text, faults)


# -------------------------------------------------------------------------------------------------- CSV
def _csv_rows(text: str, faults: list[str]) -> Iterator[MapRow]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        if not _is_header(columns, faults):
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"line {reader.line_num}"
            if len(cells) == len(columns):
                stated = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
                yield MapRow(place, unit=stated.get("unit", ""), **{name: stated[name] for name in REQUIRED})
            else:
                faults.append(f"{place}: has {len(cells)} cells where the header has {len(columns)}")
    except csv.Error as error:
        faults.append(f"line {reader.line_num}: not CSV: {error}")


def _is_header(columns: Sequence[str], faults: list[str]) -> bool:
    """Whether the first line names the columns: all that are required, none twice, none that is unknown."""
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [number for number, name in enumerate(columns, 1) if name not in (*REQUIRED, *OPTIONAL)]
    if missing:
        faults.append(f"line 1: the header lacks {', '.join(missing)}; commas part its columns")
    elif unknown:
        faults.append(f"line 1: no column is called like number {', '.join(map(str, unknown))}")
    elif len(set(columns)) < len(columns):
        faults.append("line 1: a column stands there twice")
    return not faults


# ------------------------------------------------------------------------------------------- ConceptMap
class _ConceptMapReader:
    """Reads a ConceptMap strictly: what is not understood in full is a fault."""

    def __init__(self, faults: list[str]) -> None:
        self._faults = faults

    def rows(self, text: str) -> Iterator[MapRow]:
        """Yield a row for each target."""
        try:
            resource = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            line = f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
            self._faults.append(f"{line}not JSON")
            return
        if resource.get("resourceType") != _CONCEPT_MAP:
            self._faults.append("resourceType: must be ConceptMap")
            return
        if resource.get("status") == "retired":
            self._faults.append("status: a retired ConceptMap is not used")
        self._refuse_conditions(resource, _CONCEPT_MAP, "")
        for place, group in self._parts(resource, "group", ""):
            system, target_system = (self._text(group, name, place) for name in ("source", "target"))
            for at, element in self._parts(group, "element", place):
                code = self._text(element, "code", at)
                for where, target in self._parts(element, "target", at):
                    if self._is_taken(target, where):
                        target_code = self._text(target, "code", where)
                        yield MapRow(where, None, system, code, target_system, target_code)

    def _parts(self, holder: dict[str, Any], name: str, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
        path = f"{place}.{name}".lstrip(".")
        parts = holder.get(name)
        if not isinstance(parts, list) or not parts:
            self._faults.append(f"{path}: is missing or no list")
            return
        for number, part in enumerate(parts):
            if isinstance(part, dict):
                self._refuse_conditions(part, name, f"{path}[{number}].")
                yield f"{path}[{number}]", part
            else:
                self._faults.append(f"{path}[{number}]: is no object")

    def _refuse_conditions(self, holder: dict[str, Any], kind: str, place: str) -> None:
        for name in _CONDITIONS[kind]:
            if name in holder:
                self._faults.append(f"{place}{name}: is not understood, so that its mappings cannot be used")

    def _text(self, holder: dict[str, Any], name: str, place: str) -> str:
        value = holder.get(name, "")
        if isinstance(value, str):
            return value.strip()
        self._faults.append(f"{place}.{name}: is no text")
        return ""

    def _is_taken(self, target: dict[str, Any], place: str) -> bool:
        """Whether the local code is the same as its target or narrower (R4: the target is wider)."""
        equivalence = target.get("equivalence")
        if equivalence in _SAME_OR_WIDER:
            return True
        if equivalence in _NARROWER:
            reason = "the target is narrower, so that the local code may mean something else"
        elif isinstance(equivalence, str):
            reason = "does not say that the local code is the same as its target or narrower"
        else:
            reason = "is missing (FHIR R4 is read)"
        self._faults.append(f"{place}.equivalence: {reason}")
        return False
