"""A site's code map from its file: every row checked against the knowledge base, all taken or none.

docs/code-map.md tells the site what stands in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cds_service.knowledge.code_map import CodeKind, CodeMap, MappedCode
from cds_service.knowledge.code_map_rows import MapRow, read_rows
from cds_service.knowledge.terminology import (
    ATC,
    ICD_10_CM,
    LOINC,
    OWN,
    RESULT_GROUPS,
    RXNORM,
    SNOMED_CT,
    Terminology,
)

_LONGEST = 200
_NAMES = {"loinc": LOINC, "snomed ct": SNOMED_CT, "icd-10-cm": ICD_10_CM, "rxnorm": RXNORM, "atc": ATC}
_STANDARD = frozenset(_NAMES.values())
_NAMES["rls-iron-cds"] = OWN
_KINDS = {kind.value: kind for kind in CodeKind}


class _Targets(NamedTuple):
    systems: frozenset[str]
    names: str
    read_as: str


_TARGETS: Mapping[CodeKind, _Targets] = {
    CodeKind.LABORATORY: _Targets(
        frozenset({LOINC, OWN}), "LOINC or rls-iron-cds", "the result of a test that is read"
    ),
    CodeKind.ORDER: _Targets(frozenset({LOINC}), "LOINC", "an order of ferritin or of the iron panel"),
    CodeKind.MEDICINE: _Targets(frozenset({RXNORM, ATC}), "RxNorm or ATC", "a medicine of its lists"),
    CodeKind.PROBLEM: _Targets(
        frozenset({SNOMED_CT, ICD_10_CM}), "SNOMED CT or ICD-10-CM", "a problem or procedure that is read"
    ),
}


class CodeMapError(ValueError):
    """A code map that cannot be used; `faults` tells of each its place and what is wrong, never its value."""

    def __init__(self, faults: Iterable[str]) -> None:
        """Keep every fault."""
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


def read_code_map(text: str, terminology: Terminology) -> CodeMap:
    """Return the map of a CSV or ConceptMap text; raises `CodeMapError` with every fault of it."""
    faults: list[str] = []
    known: dict[tuple[str, ...], tuple[str, MappedCode]] = {}
    for row in read_rows(text, faults):
        code = _checked(row, terminology, faults)
        if code is not None:
            place, earlier = known.setdefault((code.kind, *code.key), (row.place, code))
            if earlier != code:
                faults.append(f"{row.place}: maps the code of {place} to something else")
    if not known and not faults:
        faults.append("nothing is mapped")
    if faults:
        raise CodeMapError(faults)
    return CodeMap.of(code for _, code in known.values())


def target_name(kind: CodeKind, system: str, code: str, terminology: Terminology) -> str | None:
    """Return what a standard code names in the knowledge base, None when it names nothing of this kind."""
    if system not in _TARGETS[kind].systems:
        return None
    if kind is CodeKind.LABORATORY:
        return RESULT_GROUPS.get(terminology.observation_group(system, code) or "", (None,))[0]
    if kind is CodeKind.ORDER:
        return terminology.is_order_code(system, code)
    if kind is CodeKind.MEDICINE:
        product = (terminology.drug_by_rxnorm if system == RXNORM else terminology.drug_by_atc)(code)
        return " / ".join(part.name for part in product.ingredients) if product is not None else None
    return ", ".join(sorted(terminology.condition_groups(system, code))) or None


def _checked(row: MapRow, terminology: Terminology, faults: list[str]) -> MappedCode | None:
    """Return what a row maps, None when something is wrong with it."""
    target_system = _NAMES.get(row.target_system.lower(), terminology.normalise_system(row.target_system))
    row = row._replace(
        system=terminology.normalise_system(row.system) if row.system else "", target_system=target_system
    )
    found = list(_coding_faults(row))
    kind = _kind(row, terminology)
    if kind is None:
        found.append(
            f"kind: must be one of {', '.join(_KINDS)}"
            if row.kind is not None
            else "target: is no code that the knowledge base reads"
        )
    else:
        found += _target_faults(row, kind, terminology)
    faults += (f"{row.place}: {one}" for one in found)
    if kind is None or found:
        return None
    return MappedCode(kind, row.system, row.code, row.target_system, row.target_code, row.unit or None)


def _kind(row: MapRow, terminology: Terminology) -> CodeKind | None:
    if row.kind is not None:
        return _KINDS.get(row.kind)
    target = (row.target_system, row.target_code, terminology)
    return next((kind for kind in CodeKind if target_name(kind, *target) is not None), None)


def _coding_faults(row: MapRow) -> Iterator[str]:
    if row.system in _STANDARD:
        yield "system: a code of a standard system means what that system says; map codes of your own"
    if not row.code:
        yield "code: is empty"
    if any(len(cell or "") > _LONGEST for cell in row):
        yield f"a cell is longer than {_LONGEST} characters"


def _target_faults(row: MapRow, kind: CodeKind, terminology: Terminology) -> Iterator[str]:
    targets = _TARGETS[kind]
    if row.target_system not in targets.systems:
        yield f"target_system: must be {targets.names} for kind {kind}"
        return
    name = target_name(kind, row.target_system, row.target_code, terminology)
    if name is None:
        yield f"target_code: is not known to the knowledge base as {targets.read_as}"
    elif row.unit:
        yield from _unit_faults(row, kind, terminology)


def _unit_faults(row: MapRow, kind: CodeKind, terminology: Terminology) -> Iterator[str]:
    if kind is not CodeKind.LABORATORY:
        yield f"unit: a code of kind {kind} has none"
        return
    group = terminology.observation_group(row.target_system, row.target_code)
    analyte, family = RESULT_GROUPS[group or ""]
    factor = terminology.unit(analyte, row.unit)
    if factor is None:
        labels = dict.fromkeys(one.label for one in terminology.units.get(analyte, {}).values())
        yield f"unit: must be one of {', '.join(labels)}" if labels else f"unit: {analyte} has none"
    elif family is not None and factor.family != family:
        yield f"unit: does not fit the target_code, which stands for {family} concentrations"
