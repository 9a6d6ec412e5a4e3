"""The patient, procedures, allergies to iron, pending iron orders and family histories as facts."""

import re

from cds_service.clinical.facts import (
    AllergyFact,
    Certainty,
    FamilyFact,
    IssueKind,
    OrderFact,
    PatientFact,
    ProcedureFact,
    Sex,
    Verification,
)
from cds_service.fhir.conditions import is_active, verification
from cds_service.fhir.lean import CodeableConcept, Coding, Resource
from cds_service.fhir.needs import Item
from cds_service.fhir.products import coded_product, products_certainty
from cds_service.fhir.reading import STANDARD_SYSTEMS, Reading, codes_of, label, texts, words_of
from cds_service.knowledge import Terminology
from cds_service.knowledge.code_map import CodeKind

_PROCEDURE_DONE = frozenset({"completed", "in-progress"})
_ORDER_OPEN = frozenset({"active", "draft", "on-hold"})
_FAMILY_READ = frozenset({"completed", "partial"})
_REFUTED = frozenset({Verification.REFUTED, Verification.ENTERED_IN_ERROR})
_RLS = "rls"
_FERRITIN = "ferritin"
_IRON_PANEL = "iron panel"
_IRON_GROUPS = frozenset({"IV_IRON", "ORAL_IRON", "IRON_ANY"})
_IV_IRON = "IV_IRON"
_ADVERSE_EFFECT_OF_IRON = "adverse_effect_of_iron"
_IRON_REACTIONS = _IRON_GROUPS | {_ADVERSE_EFFECT_OF_IRON}
_ANAPHYLAXIS = "anaphylaxis_unspecified"
_ANAPHYLAXIS_WORD = re.compile(r"(?<!no )(?<!non)(?<!non-)(?<!not )\banaphyla", re.IGNORECASE)
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
_SEXES = {sex.value: sex for sex in Sex}


def read_patient(item: Item, reading: Reading) -> PatientFact:
    """Return the patient: administrative sex, birth date of any precision, whether deceased."""
    resource = item.resource
    gender = (resource.gender or "").strip().lower()
    if gender not in _SEXES and gender:
        reading.issues.add(IssueKind.CLEANED, "Patient", "gender: not a known code, taken as unknown")
    return PatientFact(
        source=item.source,
        sex=_SEXES.get(gender, Sex.UNKNOWN),
        birth=reading.date(resource.birthDate, "Patient", "birthDate"),
        is_deceased=bool(resource.deceasedBoolean or (resource.deceasedDateTime or "").strip()),
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


def read_allergy(item: Item, reading: Reading) -> AllergyFact | None:
    """Return an active, not refuted allergy or adverse reaction to an iron medicine."""
    resource = item.resource
    groups: frozenset[str] = frozenset()
    certainties: set[Certainty] = set()
    for substance in substances_of(resource):
        found, certainty = _substance_groups(substance, reading)
        groups |= found
        if found & _IRON_REACTIONS:
            certainties.add(certainty)
    if not certainties:
        return None
    name = "AllergyIntolerance"
    if verification(resource.verificationStatus, reading, name) in _REFUTED:
        return None
    if not is_active(resource.clinicalStatus, reading, name):
        return None
    return AllergyFact(
        source=item.source,
        display=label(resource.code, "iron"),
        # A reaction to iron that names no product may have been one to an infusion.
        is_to_iv_iron=bool(groups & {_IV_IRON, _ADVERSE_EFFECT_OF_IRON}),
        is_high_criticality=_code(resource.criticality) == "high",
        names_anaphylaxis=_names_anaphylaxis(resource, reading),
        certainty=next(one for one in Certainty if one in certainties),
    )


def substances_of(resource: Resource) -> list[CodeableConcept]:
    """Return what an allergy is to: its own code and the substances of its reactions."""
    named = (resource.code, *(reaction.substance for reaction in resource.reaction or ()))
    return [concept for concept in named if concept is not None]


def _substance_groups(concept: CodeableConcept, reading: Reading) -> tuple[frozenset[str], Certainty]:
    codings = concept.coding or ()
    products = [coded_product(reading, coding) for coding in codings]
    groups = reading.coded_groups(concept)
    certainty = reading.groups_certainty(codings) if groups else products_certainty(reading, codings)
    if not any(products) and not groups:
        products = [reading.terminology.drug_by_text(words) for words in texts(concept)]
        certainty = Certainty.BY_TEXT
    return groups.union(*(i.groups for p in products if p is not None for i in p.ingredients)), certainty


def _names_anaphylaxis(resource: Resource, reading: Reading) -> bool:
    manifestations = [m for r in resource.reaction or () for m in r.manifestation or ()]
    return any(
        _ANAPHYLAXIS in reading.coded_groups(concept)
        or any(_ANAPHYLAXIS_WORD.search(words) for words in texts(concept))
        for concept in (resource.code, *manifestations)
    )


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
