"""Conditions as facts: status, certainty, dates and concept groups (docs/rules.md R8.9)."""

from cds_service.clinical.facts import (
    Certainty,
    ConditionFact,
    FamilyFact,
    IssueKind,
    PartialDate,
    Verification,
)
from cds_service.fhir.lean import CodeableConcept, Resource
from cds_service.fhir.needs import Item
from cds_service.fhir.quantities import is_given
from cds_service.fhir.reading import ICD_10_CM, Reading, codes_of, label, words_of
from cds_service.knowledge.code_map import CodeKind

_TYPE = "Condition"
_ACTIVE = frozenset({"active", "recurrence", "relapse"})
_NOT_ACTIVE = frozenset({"inactive", "remission", "resolved"})
_VERIFICATIONS = {
    "confirmed": Verification.CONFIRMED,
    "unconfirmed": Verification.UNCERTAIN,
    "provisional": Verification.UNCERTAIN,
    "differential": Verification.UNCERTAIN,
    "refuted": Verification.REFUTED,
    "entered-in-error": Verification.ENTERED_IN_ERROR,
}
_RLS = frozenset({"rls"})
# Z82.0 covers epilepsy and other nervous diseases too: it says something only beside the word "restless".
_UNSPECIFIC_FAMILY_HISTORY = "family_history_nervous_system_nonspecific"
_RLS_WORD = "restless"
# F15 holds stimulants of all kinds: only the word tells that it is caffeine.
_STIMULANTS, _CAFFEINE, _CAFFEINE_WORD = "stimulant_or_caffeine_disorder", "caffeine_disorder", "caffeine"
# "Sleep apnoea, on CPAP" says more than its code.
_SLEEP_APNOEA, _TREATED = "osa", frozenset({"positive_airway_pressure"})


def read_condition(item: Item, reading: Reading) -> ConditionFact | FamilyFact | None:
    """Return the fact of one Condition, None when it belongs to no concept group.

    Codes decide, in any order and number; words only where no code is known to the knowledge base. A
    Condition that names a family history of restless legs is a `FamilyFact`.
    """
    concept = item.resource.code
    if concept is None:
        return None
    groups = reading.coded_groups(concept)
    codes = _icd10_codes(concept, reading)
    certainty = reading.groups_certainty(concept.coding or ())
    if not groups and not any(reading.terminology.is_obstetric(ICD_10_CM, code) for code in codes):
        if reading.is_family_history(concept) or reading.is_family_denied(concept):
            return _family(item, reading)
        groups, certainty = _by_local_code_or_words(concept, reading)
        if not groups:
            return None
    elif _UNSPECIFIC_FAMILY_HISTORY in groups and _mentions_rls(concept):
        return _family(item, reading)
    return _fact(item, reading, groups | _told_by_words(groups, concept, reading), certainty, codes)


def _told_by_words(groups: frozenset[str], concept: CodeableConcept, reading: Reading) -> frozenset[str]:
    """Return what the words beside a code tell, where the code leaves it open."""
    if _SLEEP_APNOEA in groups:
        return reading.text_groups(concept) & _TREATED
    if _STIMULANTS in groups and _CAFFEINE_WORD in words_of(concept).casefold():
        return frozenset({_CAFFEINE})
    return frozenset()


def _icd10_codes(concept: CodeableConcept, reading: Reading) -> tuple[str, ...]:
    meanings = (reading.meaning(CodeKind.PROBLEM, coding) for coding in concept.coding or ())
    return tuple(one.code.upper() for one in meanings if one.code and one.system == ICD_10_CM)


def _by_local_code_or_words(concept: CodeableConcept, reading: Reading) -> tuple[frozenset[str], Certainty]:
    for coding in concept.coding or ():
        # Sites list the ICD code of RLS, often without its dot, under a system of their own.
        if coding.code and reading.is_local(coding.system):
            found = reading.code_groups(ICD_10_CM, coding.code) & _RLS
            if found:
                return found, Certainty.CODED
    return reading.text_groups(concept), Certainty.BY_TEXT


def _mentions_rls(concept: CodeableConcept) -> bool:
    return _RLS_WORD in words_of(concept).casefold()


def _family(item: Item, reading: Reading) -> FamilyFact | None:
    """Return a family history, or its denial: in words, or refuted; None where it says neither."""
    status = verification(item.resource.verificationStatus, reading, _TYPE)
    is_denied = reading.is_family_denied(item.resource.code)
    if status is Verification.ENTERED_IN_ERROR or (is_denied and status is not Verification.CONFIRMED):
        return None
    return FamilyFact(
        item.source,
        label(item.resource.code, _TYPE),
        is_first_degree=False,
        certainty=Certainty.BY_TEXT,
        is_denied=is_denied or status is Verification.REFUTED,
    )


def _fact(
    item: Item,
    reading: Reading,
    groups: frozenset[str],
    certainty: Certainty,
    codes: tuple[str, ...],
) -> ConditionFact:
    resource = item.resource
    onset = reading.date(resource.onsetDateTime, _TYPE, "onsetDateTime")
    if onset is None:
        onset, _ = reading.period(resource.onsetPeriod, _TYPE, "onsetPeriod")
    return ConditionFact(
        source=item.source,
        groups=groups,
        display=label(resource.code, _code_of(resource.code)),
        is_clinically_active=is_active(resource.clinicalStatus, reading, _TYPE),
        verification=verification(resource.verificationStatus, reading, _TYPE),
        certainty=certainty,
        has_abatement=_has_abatement(resource),
        abated=_abated(resource, reading),
        onset=onset,
        recorded=reading.date(resource.recordedDate, _TYPE, "recordedDate"),
        icd10_codes=codes,
    )


def _code_of(concept: CodeableConcept | None) -> str:
    codings = (concept.coding if concept is not None else None) or ()
    return next((c.code for c in codings if c.code), _TYPE)


def is_active(status: CodeableConcept | str | None, reading: Reading, resource_type: str) -> bool:
    """Whether a clinicalStatus is active, recurrence, relapse or absent.

    A status that is none of the codes says nothing, so it counts as absent; that is logged.
    """
    codes = list(codes_of(status))
    for code in codes:
        if code in _ACTIVE or code in _NOT_ACTIVE:
            return code in _ACTIVE
    if any(codes):
        reading.issues.add(IssueKind.CLEANED, resource_type, "clinicalStatus: not a known code, left out")
    return True


def verification(status: CodeableConcept | str | None, reading: Reading, resource_type: str) -> Verification:
    """Return the verificationStatus; absent is confirmed, a code that nobody knows is uncertain."""
    codes = list(codes_of(status))
    for code in codes:
        known = _VERIFICATIONS.get(code)
        if known is not None:
            return known
    if not any(codes):
        return Verification.CONFIRMED
    reading.issues.add(IssueKind.CLEANED, resource_type, "verificationStatus: not a known code")
    return Verification.UNCERTAIN


def _has_abatement(resource: Resource) -> bool:
    period = resource.abatementPeriod
    return bool(
        resource.abatementDateTime
        or (period is not None and (period.start or period.end))
        or is_given(resource.abatementAge)
        or is_given(resource.abatementRange)
        or resource.abatementString
        or resource.abatementBoolean
    )


def _abated(resource: Resource, reading: Reading) -> PartialDate | None:
    _, end = reading.period(resource.abatementPeriod, _TYPE, "abatementPeriod")
    return reading.date(resource.abatementDateTime, _TYPE, "abatementDateTime") or end
