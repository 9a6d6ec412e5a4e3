"""The door of this room: from the prefetch to facts, and on to facts that rest on valid resources."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from zoneinfo import ZoneInfo

import msgspec

from cds_service.clinical.facts import (
    Analyte,
    DataIssue,
    Facts,
    IssueKind,
    MedicineKind,
    Need,
    NeedState,
    Source,
)
from cds_service.fhir.answers import OBSERVATION, OTHER_RESULTS
from cds_service.fhir.decoding import Call, Fetched
from cds_service.fhir.extract import extract_facts, merge_issues
from cds_service.fhir.needs import TYPE_NEEDS, Item, NeedsTable, Salvaged
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.salvage import remains_of
from cds_service.fhir.validation import Verdict, validate
from cds_service.knowledge import Knowledge

_LOST_NEEDS: Mapping[str, tuple[Need, ...]] = {
    **{resource_type: (need,) for resource_type, need in TYPE_NEEDS.items()},
    "MedicationStatement": (Need.MEDICATION_STATEMENTS, Need.IRON_TREATMENTS),
    "MedicationRequest": (Need.MEDICATION_REQUESTS, Need.IRON_TREATMENTS),
    # A laboratory result that is not valid stays in view as an unreadable one.
    OBSERVATION: tuple(sorted(OTHER_RESULTS)),
}
"""The needs that a dropped resource of this type may have answered."""

_MOST_OF_A_KIND, _MOST_OF_A_CALL = 500, 2000
"""How many resources are validated at most once some of them are not valid."""
_NOT_VALIDATED = Verdict(is_valid=False, reason="not validated")


@dataclass(frozen=True, slots=True)
class Reader:
    """What turns a table into facts: the knowledge, the zone, the day."""

    knowledge: Knowledge
    zone: ZoneInfo
    today: date

    def facts(self, table: NeedsTable) -> Facts:
        """Return the facts of a table."""
        return extract_facts(table, knowledge=self.knowledge, zone=self.zone, today=self.today)


@dataclass(frozen=True, slots=True)
class Record:
    """One patient's record as supplied, with the facts read from it."""

    extracted: Facts
    table: NeedsTable
    reader: Reader
    patient_id: str
    prefetch: bytes | msgspec.Raw | None
    call: Call
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """The facts, with the clean-ups that their validated resources took among the issues."""
        cleanups = self._cleanups()
        if not cleanups:
            return self.extracted
        return replace(self.extracted, issues=merge_issues(self.extracted.issues, cleanups))

    def completed(self, fetched: Iterable[Fetched]) -> "Record":
        """Return the record read anew with what the FHIR server added; nothing of it is kept elsewhere.

        Something fetched twice under one key counts as the last one says.
        """
        latest = {one.key: one for one in (*self.call.fetched, *fetched)}
        call = replace(self.call, fetched=tuple(latest.values()))
        return _read(self.prefetch, call, self.reader)

    def unresolved_medications(self) -> tuple[str, ...]:
        """Return the ids of the Medications that medicines refer to and nobody supplied, in a fixed order."""
        ids = {
            found
            for kind in MedicineKind
            for item in self.table.items(kind.value)
            if (found := self._unresolved_medication(item)) is not None
        }
        return tuple(sorted(ids))

    def _unresolved_medication(self, item: Item) -> str | None:
        reference = item.resource.medicationReference
        if reference is None or not reference.reference:
            return None
        resource_id = self.table.references.id_on_server(reference.reference, "Medication")
        if resource_id is None or self.table.resolve(reference, item) is not None:
            return None
        return resource_id

    def without_invalid(self, sources: Iterable[Source]) -> "Record | None":
        """Return the record without those of `sources` that are not valid FHIR, None when all are valid.

        Each is validated once. Where one is not valid, the others of its kind are validated in the same step,
        so that a record full of faults takes a few steps and not one for each fault. A dropped one is named
        in `facts.issues`; a result that is not valid stays as an unreadable result, and any other need that
        the resource answered becomes cut off, so that nobody concludes the absence of what was dropped.
        """
        items = {item.number: item for group in self.table.items_by_type.values() for item in group}
        asked = [items[key] for key in sorted({source.key for source in sources}) if key in items]
        analytes = {result.source.key: result.analyte for result in self.extracted.results}
        cited = _by_group(asked, analytes)
        faulty = [
            group
            for group, members in cited.items()
            if not all(self._verdict(item).is_valid for item in members)
        ]
        if not faulty:
            return None
        kept = _by_group(items.values(), analytes)
        dropped = [item for group in faulty for item in self._invalid(cited[group], kept[group])]
        table = _without(self.table, dropped, self.verdicts)
        return replace(self, extracted=self.reader.facts(table), table=table)

    def _invalid(self, cited: Sequence[Item], kept: Sequence[Item]) -> Iterator[Item]:
        """Yield what is not valid of one kind: of what decides, then of the others, latest first.

        Beyond a bound nothing more is validated; what is left counts as not valid.
        """
        numbers = {item.number for item in cited}
        others = [item for item in kept if item.number not in numbers]
        others.sort(key=lambda item: remains_of(item.resource).when or "", reverse=True)
        left = min(_MOST_OF_A_KIND, _MOST_OF_A_CALL - len(self.verdicts))
        for item in (*cited, *others):
            if item.number not in self.verdicts:
                left -= 1
                if left < 0:
                    yield item
                    continue
            if not self._verdict(item).is_valid:
                yield item

    def _cleanups(self) -> list[DataIssue]:
        kept = {
            item.number: resource_type
            for resource_type, group in self.table.items_by_type.items()
            for item in group
        }
        return [
            DataIssue(IssueKind.CLEANED, kept[number], detail, count)
            for number, verdict in self.verdicts.items()
            if number in kept
            for detail, count in verdict.cleanups.items()
        ]

    def _verdict(self, item: Item) -> Verdict:
        verdict = self.verdicts.get(item.number)
        if verdict is None:
            # A rewritten resource is judged as it was sent.
            origin = self.table.store.origin(item.place)
            if origin is None:
                text = self.table.store.text(item.place)
                verdict = validate(text, item.source.resource_type, self.patient_id)
            else:
                text = bytes(origin.text)
                verdict = validate(text, origin.resource_type, self.patient_id, origin.version)
            self.verdicts[item.number] = verdict
        return verdict


def open_record(
    prefetch: bytes | msgspec.Raw | None,
    *,
    own_keys: Mapping[str, str],
    patient_id: str,
    fhir_server: str | None,
    version_hint: str | None,
    knowledge: Knowledge,
    zone: ZoneInfo,
    today: date,
) -> Record:
    """Return the record that a prefetch object supplies about one patient.

    `own_keys` maps the prefetch keys of our templates to the need that each fills. Raises
    PrefetchUnreadable when the prefetch is not a JSON object; nothing in it raises anything else.
    """
    call = Call(own_keys, patient_id, fhir_server, version_hint)
    return _read(prefetch, call, Reader(knowledge, zone, today))


def _read(prefetch: bytes | msgspec.Raw | None, call: Call, reader: Reader) -> Record:
    table = read_prefetch(prefetch, call, reader.knowledge.terminology)
    return Record(reader.facts(table), table, reader, call.patient_id, prefetch, call)


def _by_group(
    items: Iterable[Item], analytes: Mapping[int, Analyte]
) -> dict[tuple[str, Analyte | None], list[Item]]:
    """Return the items by resource type, Observations also by what they measure."""
    groups: dict[tuple[str, Analyte | None], list[Item]] = {}
    for item in items:
        group = (item.resource.resourceType or "", analytes.get(item.number))
        groups.setdefault(group, []).append(item)
    return groups


def _without(table: NeedsTable, dropped: list[Item], verdicts: Mapping[int, Verdict]) -> NeedsTable:
    numbers = {item.number for item in dropped}
    issues = Counter(
        (item.source.resource_type, verdicts.get(item.number, _NOT_VALIDATED).reason) for item in dropped
    )
    states = dict(table.states)
    for resource_type in {item.source.resource_type for item in dropped}:
        _lose(states, resource_type)
    return replace(
        table,
        states=states,
        items_by_type={
            resource_type: [item for item in group if item.number not in numbers]
            for resource_type, group in table.items_by_type.items()
        },
        issues=(
            *table.issues,
            *(DataIssue(IssueKind.FAILED_VALIDATION, *key, count) for key, count in sorted(issues.items())),
        ),
        salvaged=(*table.salvaged, *(salvaged for item in dropped for salvaged in _remains(item))),
    )


def _lose(states: dict[Need, NeedState], resource_type: str) -> None:
    for need in _LOST_NEEDS[resource_type]:
        if states[need] is NeedState.ANSWERED:
            states[need] = NeedState.FAILED if need is Need.PATIENT else NeedState.CUT_OFF


def _remains(item: Item) -> tuple[Salvaged, ...]:
    remains = remains_of(item.resource)
    if remains.code is None:
        return ()
    return (Salvaged(item.source, remains.code, remains.status, remains.when),)
