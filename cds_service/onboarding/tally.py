"""The visits counted together: needs, cards, issues, time, validation."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from cds_service.clinical.assessment import CardKey, Outcome
from cds_service.clinical.facts import Analyte, Facts, MedicineKind, Need, NeedState
from cds_service.fhir import FhirVersion
from cds_service.fhir.prefetch import READ_TYPES
from cds_service.fhir.references import REFERABLE_TYPES
from cds_service.fhir.strict import strict_faults
from cds_service.fhir.versions import FOREIGN_TYPES
from cds_service.onboarding.card_needs import CARD_NEEDS, REQUIRED
from cds_service.onboarding.report import CardRow, FaultRow, IssueRow, NeedRow, TimePart, ValidationPart
from cds_service.onboarding.resources import Sent, sent_resources
from cds_service.onboarding.visits import Visit
from cds_service.profile import ClientProfile
from cds_service.protocol.prefetch import PREFETCH_NEEDS

IRON = frozenset({Analyte.FERRITIN, Analyte.TSAT, Analyte.IRON, Analyte.TIBC, Analyte.CRP})
METABOLIC = frozenset(
    {Analyte.HBA1C, Analyte.B12, Analyte.FOLATE, Analyte.VITAMIN_D, Analyte.TSH, Analyte.PHOSPHATE},
)
SOCIAL = frozenset(
    {
        Analyte.SMOKING,
        Analyte.ALCOHOL_SCORE,
        Analyte.DRINKS,
        Analyte.CAFFEINE,
        Analyte.SEVERITY,
        Analyte.GENE,
    },
)
SLEEP = frozenset({Analyte.SLEEP})
CONTEXT = frozenset(Analyte) - IRON - METABOLIC - SOCIAL - SLEEP
"""Which results each search of Observations asks for."""
ASKED: tuple[Need, ...] = tuple(dict.fromkeys(Need(value) for value in PREFETCH_NEEDS.values()))
"""The needs that a search of ours asks for."""

_TYPES = READ_TYPES | REFERABLE_TYPES | frozenset(FOREIGN_TYPES)
_MILLISECONDS = 1000


def time_part(visits: Sequence[Visit], budget_ms: int) -> TimePart:
    """Return how long the patients took."""
    times = [round(visit.seconds * _MILLISECONDS) for visit in visits]
    return TimePart(
        budget_ms=budget_ms,
        median_ms=round(median(times)),
        max_ms=max(times),
        over_budget=sum(time > budget_ms for time in times),
    )


# ---------------------------------------------------------------------------------------- needs, cards
def need_rows(visits: Sequence[Visit]) -> tuple[NeedRow, ...]:
    """Return how far each need was answered."""
    rows = []
    for need in ASKED:
        states = Counter(visit.record.facts.needs[need] for visit in visits)
        rows.append(
            NeedRow(
                need=need.value,
                answered=states[NeedState.ANSWERED],
                cut_off=states[NeedState.CUT_OFF],
                failed=states[NeedState.FAILED],
                not_asked=states[NeedState.NOT_ASKED],
                found=sum(need in set(_found(visit.record.extracted)) for visit in visits),
            )
        )
    return tuple(rows)


def _found(facts: Facts) -> Iterator[Need]:
    """Yield the needs for which the rules read anything."""
    kinds = {medicine.kind for medicine in facts.medicines}
    analytes = {result.analyte for result in facts.results}
    courses = any(m.status == "completed" or m.kind is MedicineKind.ADMINISTRATION for m in facts.medicines)
    has = {
        Need.PATIENT: facts.patient is not None,
        Need.IRON_RESULTS: not analytes.isdisjoint(IRON),
        Need.CONTEXT_RESULTS: not analytes.isdisjoint(CONTEXT),
        Need.CONDITIONS: bool(facts.conditions),
        Need.MEDICATION_STATEMENTS: MedicineKind.STATEMENT in kinds,
        Need.MEDICATION_REQUESTS: MedicineKind.REQUEST in kinds,
        Need.IRON_TREATMENTS: courses,
        Need.PROCEDURES: bool(facts.procedures),
        Need.ALLERGIES: bool(facts.allergies),
        Need.IRON_ORDERS: bool(facts.orders),
        Need.FAMILY_HISTORY: bool(facts.family),
        Need.METABOLIC_RESULTS: not analytes.isdisjoint(METABOLIC),
        Need.SOCIAL_HISTORY: not analytes.isdisjoint(SOCIAL),
        Need.SLEEP: not analytes.isdisjoint(SLEEP),
        Need.DEVICE_USE: any(device.source.resource_type != "Device" for device in facts.devices),
        Need.DEVICES: any(device.source.resource_type == "Device" for device in facts.devices),
    }
    return (need for need, is_there in has.items() if is_there)


def card_rows(
    visits: Sequence[Visit], needs: Iterable[NeedRow], profile: ClientProfile
) -> tuple[CardRow, ...]:
    """Return for each card whether it can come, what it misses, and how many patients would get it."""
    by_need = {row.need: row for row in needs}
    shown = Counter(card.key for visit in visits for card in visit.assessment.cards)
    return tuple(_card_row(key, by_need, shown[key], profile) for key in CardKey)


def _card_row(key: CardKey, needs: Mapping[str, NeedRow], patients: int, profile: ClientProfile) -> CardRow:
    rows = [needs[need.value] for need in CARD_NEEDS[key]]
    missing = tuple(row.need for row in rows if row.cut_off or row.failed or row.not_asked)
    is_barred = key is not CardKey.DATA_01 and any(
        needs[need.value].answered + needs[need.value].cut_off == 0 for need in REQUIRED
    )
    is_off = key in profile.cards_off or (key is CardKey.SCREEN_01 and not profile.is_screening_on)
    state = "limited" if missing else "can come"
    if is_off or is_barred:
        state = "switched off" if is_off else "cannot come"
    return CardRow(
        card=key.value,
        state=state,  # type: ignore[arg-type]  # one of the four words, by the lines above
        needs=tuple(row.need for row in rows),
        missing=missing,
        patients=patients,
    )


def count_without_card(visits: Iterable[Visit]) -> tuple[int, int]:
    """Return how many patients get no card, and for how many no assessment is made (412)."""
    endings = [(visit.assessment.outcome, bool(visit.assessment.cards)) for visit in visits]
    missing = sum(outcome is Outcome.REQUIRED_DATA_MISSING for outcome, _ in endings)
    return sum(not has_cards for _, has_cards in endings) - missing, missing


# ------------------------------------------------------------------------------------------- resources
def issue_rows(visits: Sequence[Visit]) -> tuple[IssueRow, ...]:
    """Return what was cleaned up or skipped while reading."""
    counts: Counter[tuple[str, str, str]] = Counter()
    patients: Counter[tuple[str, str, str]] = Counter()
    for visit in visits:
        for issue in visit.record.facts.issues:
            key = (issue.kind.value, issue.resource_type, issue.detail)
            counts[key] += issue.count
            patients[key] += 1
    return tuple(
        IssueRow(kind=kind, resource_type=resource_type, detail=detail, count=count, patients=patients[key])
        for key, count in sorted(counts.items())
        for kind, resource_type, detail in [key]
    )


def sent_to(visit: Visit) -> tuple[Sent, ...]:
    """Return every resource that came for a patient, once."""
    found: dict[tuple[str, str, bytes], Sent] = {}
    for _, answer in (*visit.seen.asked, *visit.extra.asked):
        for sent in sent_resources(answer.pages):
            found.setdefault(
                (sent.resource_type, sent.resource_id, b"" if sent.resource_id else sent.text), sent
            )
    return tuple(found.values())


def validation_part(sent: Iterable[Sequence[Sent]], release: FhirVersion) -> ValidationPart:
    """Return the faults of all resources against their release, each resource held against it whole."""
    counts: Counter[tuple[str, str]] = Counter()
    resources = valid = 0
    for one in (one for group in sent for one in group):
        faults = strict_faults(one.text, one.resource_type, release)
        counts.update((_known_type(one.resource_type), fault) for fault in faults)
        resources += 1
        valid += not faults
    return ValidationPart(
        release=release.value,
        resources=resources,
        valid=valid,
        faults=tuple(
            FaultRow(resource_type=resource_type, fault=fault, count=count)
            for (resource_type, fault), count in counts.most_common()
        ),
    )


def _known_type(name: str) -> str:
    """Return a resource type that we know; any other may be a word of the sender's."""
    return name if name in _TYPES else "(other)"
