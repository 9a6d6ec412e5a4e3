"""Which codes and units of the records mean something to the rules, and which local ones should be mapped.

Nothing here leaves with a word of a record: what is shown is a name of the knowledge base, a code system, a
unit, or a code. Displays and texts are never shown, in however many records they stand.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from cds_service.clinical.facts import Facts, Unreadable
from cds_service.fhir import UnmappedCode, unmapped_codes
from cds_service.fhir.lean import CodeableConcept, Coding, Quantity
from cds_service.fhir.needs import Item
from cds_service.fhir.reading import ATC, RXNORM, STANDARD_SYSTEMS
from cds_service.fhir.record import Record
from cds_service.knowledge import Terminology
from cds_service.knowledge.code_map import CodeKind
from cds_service.knowledge.drugs import UNKNOWN, Drugs
from cds_service.knowledge.terminology import RESULT_GROUPS
from cds_service.onboarding.report import CodeSystemRow, MapRow, ReadRow, UnitRow, UnreadableRow
from cds_service.onboarding.resources import Sent

_NONE, _HIDDEN = "(none)", "(not shown)"
# A part of a unit as laboratories write them; anything else may be a word of somebody's.
_ATOM = (
    r"(?:[dcmunpfkMGµμ]?(?:g|gm|mol|l|L|U|u|IU|iu|kat|[eE]q|m2|m)|mcg|gr|mm3|10\*?\d{1,2}|1\.73 ?m2|%|ratio"
    r"|min|h|hr|d|s|sec|1)"
)
_UNIT = re.compile(rf"\[?{_ATOM}\]?(?:[./*]{_ATOM})*")
_LONGEST_SYSTEM = 100
_SYSTEM = re.compile(r"(?:https?://[A-Za-z0-9.-]+(?:/[A-Za-z0-9._~-]+)*/?|urn:oid:[0-9.]+)")
_CODE_LIKE = re.compile(r"[!-~]{1,60}")
_MANY = 2
"""A code that nothing recognised is shown only where so many patients carry it."""

_KINDS = {
    "Observation": CodeKind.LABORATORY,
    "Condition": CodeKind.PROBLEM,
    "Procedure": CodeKind.PROBLEM,
    "AllergyIntolerance": CodeKind.MEDICINE,
    "Medication": CodeKind.MEDICINE,
    "MedicationStatement": CodeKind.MEDICINE,
    "MedicationRequest": CodeKind.MEDICINE,
    "MedicationOrder": CodeKind.MEDICINE,
    "MedicationAdministration": CodeKind.MEDICINE,
    "ServiceRequest": CodeKind.ORDER,
    "ProcedureRequest": CodeKind.ORDER,
    "DiagnosticOrder": CodeKind.ORDER,
}


class _Coded(msgspec.Struct):
    """The members that say what a resource is about, in any release."""

    code: msgspec.Raw = msgspec.Raw(b"")
    substance: msgspec.Raw = msgspec.Raw(b"")
    medicationCodeableConcept: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - as FHIR spells it
    medication: msgspec.Raw = msgspec.Raw(b"")


_coded = msgspec.json.Decoder(_Coded)
_concept = msgspec.json.Decoder(CodeableConcept | None)


# --------------------------------------------------------------------------------------- what was read
def read_rows(records: Sequence[Record]) -> tuple[ReadRow, ...]:
    """Return what the rules could read, by a name of the knowledge base and how it was recognised."""
    entries: Counter[tuple[str, str, str]] = Counter()
    patients: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for number, record in enumerate(records):
        for key in _read(record):
            entries[key] += 1
            patients[key].add(number)
    return tuple(
        ReadRow(kind=kind, name=name, certainty=certainty, entries=count, patients=len(patients[key]))
        for key, count in sorted(entries.items())
        for kind, name, certainty in [key]
    )


def _read(record: Record) -> Iterator[tuple[str, str, str]]:
    facts = record.extracted
    for result in facts.results:
        yield "result", result.analyte.value, result.certainty.value
    for condition in facts.conditions:
        for group in condition.groups:
            yield "condition", group, condition.certainty.value
    for medicine in facts.medicines:
        for part in medicine.ingredients:
            yield "medicine", part.name, part.certainty.value
    yield from _read_of_others(facts)


def _read_of_others(facts: Facts) -> Iterator[tuple[str, str, str]]:
    for procedure in facts.procedures:
        for group in procedure.groups:
            yield "procedure", group, procedure.certainty.value
    for device in facts.devices:
        for group in device.groups:
            yield "device", group, device.certainty.value
    for allergy in facts.allergies:
        yield "allergy", "iron", allergy.certainty.value
    for order in facts.orders:
        yield "order", "iron test", order.certainty.value
    for relative in facts.family:
        yield "relative", "rls", relative.certainty.value


# --------------------------------------------------------------------------------------------- units
def unit_rows(records: Iterable[Record]) -> tuple[UnitRow, ...]:
    """Return the units of the results that have a number, and whether they were understood."""
    counts: Counter[tuple[str, str, bool]] = Counter()
    for record in records:
        items = _items(record)
        for result in record.extracted.results:
            unit = _unit_of(items.get(result.source.key))
            if unit is not None:
                is_understood = result.unreadable not in {Unreadable.UNIT, Unreadable.UNIT_MISSING}
                counts[result.analyte.value, unit, is_understood] += 1
    return tuple(
        UnitRow(analyte=analyte, unit=unit, understood=is_understood, entries=count)
        for (analyte, unit, is_understood), count in sorted(counts.items())
    )


def unreadable_rows(records: Iterable[Record]) -> tuple[UnreadableRow, ...]:
    """Return why results that exist could not be used."""
    found = Counter(
        (result.analyte.value, result.unreadable.value)
        for record in records
        for result in record.extracted.results
        if result.unreadable is not None
    )
    return tuple(
        UnreadableRow(analyte=analyte, reason=reason, entries=count)
        for (analyte, reason), count in sorted(found.items())
    )


def _unit_of(item: Item | None) -> str | None:
    quantity = _quantity(item)
    if quantity is None:
        return None
    unit = (quantity.code or quantity.unit or "").strip()
    if not unit:
        return _NONE
    return unit if _UNIT.fullmatch(unit) else _HIDDEN


def _quantity(item: Item | None) -> Quantity | None:
    return item.resource.valueQuantity if item is not None else None


def _items(record: Record) -> dict[int, Item]:
    return {item.number: item for group in record.table.items_by_type.values() for item in group}


# ------------------------------------------------------------------------------------- code systems
class _Use(NamedTuple):
    kind: CodeKind
    resource_type: str
    system: str
    code: str


def system_rows(sent: Sequence[Sequence[Sent]], terminology: Terminology) -> tuple[CodeSystemRow, ...]:
    """Return the code systems of each resource type; `sent` holds the resources of each patient."""
    codes: dict[tuple[str, str], set[str]] = defaultdict(set)
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    entries: Counter[tuple[str, str]] = Counter()
    for resources in sent:
        for use in _uses(resources, terminology):
            row = (use.resource_type, _shown_system(use.system))
            codes[row].add(use.code)
            entries[row] += 1
            if _is_known(use, terminology):
                known[row].add(use.code)
    return tuple(
        CodeSystemRow(
            resource_type=resource_type,
            system=system,
            codes=len(codes[resource_type, system]),
            known=len(known[resource_type, system]),
            entries=count,
        )
        for (resource_type, system), count in sorted(entries.items())
    )


def _uses(resources: Iterable[Sent], terminology: Terminology) -> Iterator[_Use]:
    for one in resources:
        kind = _KINDS.get(one.resource_type)
        if kind is None:
            continue
        for coding in _codings(one.text):
            if coding.code:
                system = terminology.normalise_system((coding.system or "").strip())
                yield _Use(kind, one.resource_type, system, coding.code.strip())


def _codings(text: bytes) -> Iterator[Coding]:
    try:
        coded = _coded.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    for raw in (coded.code, coded.substance, coded.medicationCodeableConcept, coded.medication):
        concept = _decoded(raw)
        if concept is not None and concept.coding is None:
            concept = _decoded(concept.concept)  # R5 wraps it
        yield from (concept.coding if concept is not None else None) or ()


def _decoded(raw: msgspec.Raw) -> CodeableConcept | None:
    try:
        return _concept.decode(raw) if raw else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_known(use: _Use, terminology: Terminology) -> bool:
    meaning = terminology.meaning(use.kind, use.system, use.code)
    system, code = meaning.system, meaning.code
    match use.kind:
        case CodeKind.LABORATORY:
            return terminology.observation_group(system, code) is not None
        case CodeKind.ORDER:
            return terminology.is_order_code(system, code) is not None
        case CodeKind.PROBLEM:
            return bool(terminology.condition_groups(system, code)) or terminology.is_obstetric(system, code)
        case CodeKind.MEDICINE:
            look_up = {RXNORM: terminology.drug_by_rxnorm, ATC: terminology.drug_by_atc}.get(system)
            return look_up is not None and look_up(code) is not None


def _shown_system(system: str) -> str:
    if not system:
        return _NONE
    return system if len(system) <= _LONGEST_SYSTEM and _SYSTEM.fullmatch(system) else _HIDDEN


# --------------------------------------------------------------------------------------- local codes
def map_rows(records: Sequence[Record]) -> tuple[MapRow, ...]:
    """Return the local codes that words alone told, each with the standard code that it may count as."""
    entries: Counter[tuple[CodeKind, str, str, str]] = Counter()
    patients: Counter[tuple[CodeKind, str, str, str]] = Counter()
    targets: dict[tuple[CodeKind, str, str, str], tuple[str, str]] = {}
    for record in records:
        for one in unmapped_codes(record):
            key = (one.kind, one.system, one.code, one.looks_like)
            entries[key] += one.count
            patients[key] += 1
            targets[key] = _target(one, record)
    return tuple(
        MapRow(
            kind=kind.value,
            system=system,
            code=code,
            looks_like=looks_like,
            target_system=targets[key][0],
            target_code=targets[key][1],
            entries=count,
            patients=patients[key],
        )
        for key, count in sorted(entries.items(), key=lambda pair: (-pair[1], pair[0]))
        for kind, system, code, looks_like in [key]
    )


def _target(one: UnmappedCode, record: Record) -> tuple[str, str]:
    """Return the first code of what a local code looks like, ("", "") where there is no single one."""
    terminology = record.reader.knowledge.terminology
    name = one.looks_like
    if one.kind is CodeKind.MEDICINE:
        return _ingredient(name, terminology.drugs)
    if one.kind is CodeKind.LABORATORY or (one.kind is CodeKind.ORDER and name == "ferritin"):
        family = _family(one, record)
        groups = [
            group
            for group, (analyte, told) in RESULT_GROUPS.items()
            if analyte == name and (told is None or told == family)
        ]
        name = groups[0] if groups else name
    elif one.kind is CodeKind.ORDER:
        name = "order_iron_panel"
    codes = terminology.codes.get(name, ())
    return codes[0] if codes else ("", "")


def _ingredient(name: str, drugs: Drugs) -> tuple[str, str]:
    """Return the code of an ingredient, ("", "") for a combination of several."""
    for system, codes in ((RXNORM, drugs.by_rxnorm), (ATC, drugs.by_atc)):
        for code, product in codes.items():
            # A clinical drug has a route, an ingredient as such has none.
            if product.route == UNKNOWN and product.name == name == product.ingredients[0].name:
                return system, code
    return "", ""


def _family(one: UnmappedCode, record: Record) -> str:
    """Return "molar" where results under the code have a molar unit, else "mass"."""
    items = _items(record)
    for result in record.extracted.results:
        item = items.get(result.source.key)
        if item is not None and result.analyte.value == one.looks_like and _has_code(item, one.code):
            factor = record.reader.knowledge.terminology.unit(one.looks_like, _raw_unit(item))
            if factor is not None and factor.family == "molar":
                return "molar"
    return "mass"


def _has_code(item: Item, code: str) -> bool:
    concept = item.resource.code
    return any((coding.code or "").strip() == code for coding in (concept.coding if concept else None) or ())


def _raw_unit(item: Item) -> str:
    quantity = _quantity(item)
    return (quantity.code or quantity.unit or "") if quantity is not None else ""


def unknown_laboratory_codes(
    sent: Sequence[Sequence[Sent]], terminology: Terminology, listed: Iterable[MapRow]
) -> tuple[MapRow, ...]:
    """Return local laboratory codes that nothing recognised, where several patients carry them."""
    named = {(row.system, row.code) for row in listed}
    entries: Counter[tuple[str, str]] = Counter()
    patients: dict[tuple[str, str], set[int]] = defaultdict(set)
    for number, resources in enumerate(sent):
        observations = [one for one in resources if one.resource_type == "Observation"]
        for use in _uses(observations, terminology):
            if use.system in STANDARD_SYSTEMS or _is_known(use, terminology):
                continue
            key = (use.system, use.code)
            entries[key] += 1
            patients[key].add(number)
    return tuple(
        MapRow(
            kind=CodeKind.LABORATORY.value,
            system=_shown_system(system) if system else "",
            code=code,
            looks_like="",
            target_system="",
            target_code="",
            entries=count,
            patients=len(patients[system, code]),
        )
        for (system, code), count in entries.most_common()
        if len(patients[system, code]) >= _MANY and (system, code) not in named and _CODE_LIKE.fullmatch(code)
    )
