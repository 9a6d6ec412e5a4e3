"""The patient, procedures, pending iron orders and family histories as facts."""

import re

import msgspec

from cds_service.clinical.facts import (
    Certainty,
    FamilyFact,
    IssueKind,
    OrderFact,
    PatientFact,
    ProcedureFact,
    Sex,
)
from cds_service.fhir.decoding import UNREADABLE
from cds_service.fhir.lean import CodeableConcept, Coding, Resource
from cds_service.fhir.needs import Item
from cds_service.fhir.reading import STANDARD_SYSTEMS, Reading, codes_of, label, words_of
from cds_service.knowledge import Terminology
from cds_service.knowledge.code_map import CodeKind

_PROCEDURE_DONE = frozenset({"completed", "in-progress"})
_ORDER_OPEN = frozenset({"active", "draft", "on-hold"})
_FAMILY_READ = frozenset({"completed", "partial"})
_RLS = "rls"
_FERRITIN = "ferritin"
_IRON_PANEL = "iron panel"
_IRON_PANEL_WORDS = re.compile(
    r"\biron (?:panel|studies|profile|(?:and|\+|&) (?:tibc|iron binding))", re.IGNORECASE
)

# v3-RoleCode: first degree, natural and half variants included (docs/rules.md R9.5); twins are siblings.
_FIRST_DEGREE = frozenset(
    {
        *("MTH", "FTH", "PRN", "NMTH", "NFTH", "NPRN"),
        *("SIS", "BRO", "SIB", "NSIS", "NBRO", "NSIB", "HSIS", "HBRO", "HSIB"),
        *("TWIN", "TWINBRO", "TWINSIS", "FTWIN", "FTWINBRO", "FTWINSIS", "ITWIN", "ITWINBRO", "ITWINSIS"),
        *("CHILD", "NCHILD", "DAU", "DAUC", "SON", "SONC"),
    }
)
# Relatives without common blood: by marriage, adoption or fostering.
_NOT_BLOOD = re.compile(r"INLAW|STP|ADOPT|FOST|SPS|SPOUSE|HUSB|WIFE|DOMPART|GESTM|SIGOTHR|ROOM|NBOR|FRND")
_FIRST_DEGREE_WORDS = re.compile(
    r"\b(?:mother|father|parent|sister|brother|sibling|twin|son|daughter|child)\b", re.IGNORECASE
)
_FARTHER_WORDS = re.compile(r"\b(?:grand|great)|\bgrand\w+", re.IGNORECASE)
_NOT_BLOOD_WORDS = re.compile(
    r"\bstep|\badopt|\bfoster|in-law|\bin law\b|\bspouse\b|\bhusband\b|\bwife\b|\bpartner\b", re.IGNORECASE
)
# Patient.link.type: "replace" in DSTU2.
_REPLACED = frozenset({"replaced-by", "replace"})
_FALSE = frozenset({b"false", b'"false"'})


class _Link(msgspec.Struct, gc=False):
    type: str | None = None


_link = msgspec.json.Decoder(_Link)
_SEXES = {sex.value: sex for sex in Sex}


def is_replaced(resource: Resource) -> bool:
    """Whether a Patient was merged into another one ("must no longer be used", Patient.link)."""
    for raw in resource.link or ():
        try:
            link = _link.decode(raw)
        except UNREADABLE:
            continue
        if _code(link.type) in _REPLACED:
            return True
    return False


def read_patient(item: Item, reading: Reading) -> PatientFact:
    """Return the patient: administrative sex, birth date of any precision, whether deceased or inactive."""
    resource = item.resource
    gender = (resource.gender or "").strip().lower()
    if gender not in _SEXES and gender:
        reading.issues.add(IssueKind.CLEANED, "Patient", "gender: not a known code, taken as unknown")
    return PatientFact(
        source=item.source,
        sex=_SEXES.get(gender, Sex.UNKNOWN),
        birth=reading.date(resource.birthDate, "Patient", "birthDate"),
        is_deceased=bool(resource.deceasedBoolean or (resource.deceasedDateTime or "").strip()),
        is_inactive=bytes(resource.active) in _FALSE,
    )


def read_procedure(item: Item, reading: Reading) -> ProcedureFact | None:
    """Return a completed or ongoing Procedure of a concept group, dated by its end, else its start."""
    resource = item.resource
    groups = reading.coded_groups(resource.code)
    certainty = reading.groups_certainty((resource.code.coding if resource.code else None) or ())
    if not groups:
        groups, certainty = reading.text_groups(resource.code), Certainty.BY_TEXT
    if not groups:
        return None
    if _code(resource.status) not in _PROCEDURE_DONE:
        reading.issues.add(IssueKind.SKIPPED, "Procedure", "status: not completed or in progress")
        return None
    start, end = reading.period(resource.performedPeriod, "Procedure", "performedPeriod")
    when = reading.date(resource.performedDateTime, "Procedure", "performedDateTime") or end or start
    return ProcedureFact(item.source, groups, label(resource.code, "Procedure"), when, certainty)


def _code(status: str | None) -> str:
    return (status or "").strip().lower()


def read_order(item: Item, reading: Reading) -> OrderFact | None:
    """Return an open order of ferritin or of the iron panel."""
    resource = item.resource
    status = _code(resource.status)
    if status not in _ORDER_OPEN or resource.doNotPerform:
        return None
    certainty = _order_certainty(resource.code, reading)
    if certainty is None:
        return None
    authored = reading.date(resource.authoredOn, "ServiceRequest", "authoredOn")
    return OrderFact(item.source, status, authored, certainty)


def _order_certainty(concept: CodeableConcept | None, reading: Reading) -> Certainty | None:
    """Return how an order of ferritin or of the iron panel was recognised, None when it is none."""
    if concept is None:
        return None
    codings = [coding for coding in concept.coding or () if coding.code]

    def tells(coding: Coding) -> bool:
        meaning = reading.meaning(CodeKind.ORDER, coding)
        return reading.terminology.is_order_code(meaning.system, meaning.code) is not None

    if any(tells(coding) for coding in codings):
        return reading.certainty(CodeKind.ORDER, codings, tells)
    if any(reading.meaning(CodeKind.ORDER, coding).system in STANDARD_SYSTEMS for coding in codings):
        return None
    return Certainty.BY_TEXT if order_in_words(words_of(concept), reading.terminology) else None


def order_in_words(words: str, terminology: Terminology) -> str | None:
    """Return "ferritin" or "iron panel" when words name an order of it."""
    if not words:
        return None
    if _IRON_PANEL_WORDS.search(words) is not None:
        return _IRON_PANEL
    return _FERRITIN if terminology.observation_group_by_text(words) == _FERRITIN else None


def read_family(item: Item, reading: Reading) -> FamilyFact | None:
    """Return restless legs syndrome in a blood relative, None when the history names none."""
    resource = item.resource
    certainty = _rls_certainty(resource, reading)
    if certainty is None:
        return None
    if _code(resource.status) not in _FAMILY_READ:
        reading.issues.add(IssueKind.SKIPPED, "FamilyMemberHistory", "status: not completed or partial")
        return None
    codes = [code.upper() for code in codes_of(resource.relationship)]
    words = words_of(resource.relationship)
    if any(_NOT_BLOOD.search(code) for code in codes) or _NOT_BLOOD_WORDS.search(words):
        return None
    is_close = any(code in _FIRST_DEGREE for code in codes) or (
        _FIRST_DEGREE_WORDS.search(words) is not None and _FARTHER_WORDS.search(words) is None
    )
    return FamilyFact(
        item.source, label(resource.relationship, "relative"), is_first_degree=is_close, certainty=certainty
    )


def _rls_certainty(resource: Resource, reading: Reading) -> Certainty | None:
    concepts = [c.code for c in resource.condition or ()]
    coded = [c for c in concepts if c is not None and _RLS in reading.coded_groups(c)]
    if coded:
        return reading.groups_certainty(coding for c in coded for coding in c.coding or ())
    is_named = any(
        not reading.coded_groups(c) and (_RLS in reading.text_groups(c) or reading.is_family_history(c))
        for c in concepts
    )
    return Certainty.BY_TEXT if is_named else None
