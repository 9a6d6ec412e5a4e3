"""From the table of needs to the facts that the rules read: the one way out of this room."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo

from cds_service.clinical.facts import (
    ConditionFact,
    DataIssue,
    DeviceFact,
    Facts,
    FamilyFact,
    IssueKind,
    MedicineFact,
    MedicineKind,
    Need,
    NeedState,
    PatientFact,
    Result,
)
from cds_service.fhir.allergies import read_allergy, read_allergy_problem
from cds_service.fhir.conditions import read_condition
from cds_service.fhir.devices import DeviceReader
from cds_service.fhir.medicines import MedicineReader
from cds_service.fhir.needs import Item, NeedsTable
from cds_service.fhir.observations import ObservationReader
from cds_service.fhir.others import (
    is_replaced,
    read_family,
    read_order,
    read_patient,
    read_procedure,
)
from cds_service.fhir.reading import Reading, is_switched_off
from cds_service.knowledge import Knowledge

_Fact = TypeVar("_Fact")

_CODED_IN_SNOMED = {"Condition": Need.CONDITIONS, "Procedure": Need.PROCEDURES}


def extract_facts(table: NeedsTable, *, knowledge: Knowledge, zone: ZoneInfo, today: date) -> Facts:
    """Return every fact of the table.

    `zone` turns instants into calendar days; `today` only tells a current medicine without a name from a
    past one. Nothing is chosen or left out for its date: that is for the rules.
    """
    reading = Reading(
        terminology=knowledge.terminology,
        zone=zone,
        today=today,
        resolve=table.resolve,
        text=lambda item: table.store.text(item.place),
    )
    observations = ObservationReader(reading)
    medicines = MedicineReader(reading)
    results = tuple(_results(table, observations))
    named = tuple(_medicines(table, medicines))
    conditions, family = _conditions(table.items("Condition"), reading)
    family += (*_each(read_family, table.items("FamilyMemberHistory"), reading), *observations.family)
    return Facts(
        patient=_patient(table.items("Patient"), reading),
        needs=_without_what_is_switched_off(table, reading),
        iron_searches=table.iron_searches,
        results=results,
        conditions=conditions,
        medicines=named,
        procedures=_each(read_procedure, table.items("Procedure"), reading),
        devices=tuple(_devices(table, reading)),
        allergies=(
            *_each(read_allergy, table.items("AllergyIntolerance"), reading),
            *_each(read_allergy_problem, table.items("Condition"), reading),
        ),
        orders=_each(read_order, table.items("ServiceRequest"), reading),
        family=tuple(one for one in family if not one.is_denied),
        family_denials=tuple(one for one in family if one.is_denied),
        unreadable_medicines=medicines.unreadable,
        issues=merge_issues(table.issues, reading.issues.issues()),
    )


def _without_what_is_switched_off(table: NeedsTable, reading: Reading) -> Mapping[Need, NeedState]:
    """Return the states of the needs; a list with codes that this site may not read is not all there is."""
    if reading.terminology.has_snomed:
        return table.states
    states = dict(table.states)
    for resource_type, need in _CODED_IN_SNOMED.items():
        hidden = [
            i for i in table.items(resource_type) if is_switched_off(i.resource.code, reading.terminology)
        ]
        if hidden:
            reading.issues.add(
                IssueKind.SKIPPED, resource_type, "code: SNOMED CT is switched off", len(hidden)
            )
            states[need] = NeedState.CUT_OFF if states[need] is NeedState.ANSWERED else states[need]
    return states


def _results(table: NeedsTable, reader: ObservationReader) -> Iterator[Result]:
    for item in table.items("Observation"):
        yield from reader.read(item)
    for salvaged in table.salvaged:
        if salvaged.source.resource_type == "Observation":
            result = reader.read_invalid(salvaged)
            if result is not None:
                yield result


def _medicines(table: NeedsTable, reader: MedicineReader) -> Iterator[MedicineFact]:
    for kind in MedicineKind:
        for item in table.items(kind.value):
            fact = reader.read(item, kind)
            if fact is not None:
                yield fact
        for salvaged in table.salvaged:
            if salvaged.source.resource_type == kind.value:
                reader.count_invalid(salvaged, kind)


def _conditions(
    items: Sequence[Item], reading: Reading
) -> tuple[tuple[ConditionFact, ...], tuple[FamilyFact, ...]]:
    facts = [read_condition(item, reading) for item in items]
    return (
        tuple(f for f in facts if isinstance(f, ConditionFact)),
        tuple(f for f in facts if isinstance(f, FamilyFact)),
    )


def _devices(table: NeedsTable, reading: Reading) -> Iterator[DeviceFact]:
    reader = DeviceReader(reading, table.items("Device"))
    for read, resource_type in ((reader.read_use, "DeviceUseStatement"), (reader.read_device, "Device")):
        for item in table.items(resource_type):
            fact = read(item)
            if fact is not None:
                yield fact


def _patient(items: Sequence[Item], reading: Reading) -> PatientFact | None:
    """Return the patient; None where the record was merged into another, which alone must be used then."""
    if any(is_replaced(item.resource) for item in items):
        reading.issues.add(IssueKind.REPLACED, "Patient", "link: replaced by another Patient")
        return None
    return read_patient(items[0], reading) if items else None


def _each(
    read: Callable[[Item, Reading], _Fact | None], items: Iterable[Item], reading: Reading
) -> tuple[_Fact, ...]:
    found = (read(item, reading) for item in items)
    return tuple(fact for fact in found if fact is not None)


def merge_issues(*groups: Iterable[DataIssue]) -> tuple[DataIssue, ...]:
    """Return the issues with equal ones counted together, in a fixed order."""
    counts: Counter[tuple[str, str, str]] = Counter()
    kinds = {}
    for issue in (i for group in groups for i in group):
        kinds[issue.kind.value] = issue.kind
        counts[issue.kind.value, issue.resource_type, issue.detail] += issue.count
    return tuple(
        DataIssue(kinds[kind], resource_type, detail, count)
        for (kind, resource_type, detail), count in sorted(counts.items())
    )
