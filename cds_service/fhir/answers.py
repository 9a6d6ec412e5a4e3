"""Which supplied value answers which question, and how far.

Found resources are always used, wherever they stand. "None on record" needs more: a value that answers
that very question, by our own key, by a key name or self link that shows the type, or by holding that
type. The iron results are three questions, since a client may configure them one by one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from cds_service.clinical.facts import IronSearch, MedicineKind, Need, NeedState
from cds_service.fhir.needs import TYPE_NEEDS
from cds_service.knowledge import Terminology

Question = Need | IronSearch | MedicineKind
"""A need, a part of the iron results, or (a kind of medicine record) a part of the iron treatments."""

OBSERVATION = "Observation"
LOINC = "http://loinc.org"
IRON_PARTS = frozenset(IronSearch)
OTHER_RESULTS = frozenset(
    {Need.CONTEXT_RESULTS, Need.METABOLIC_RESULTS, Need.SOCIAL_HISTORY, Need.SLEEP},
)
"""The needs beside the iron results that Observations answer."""
TREATMENT_PARTS = frozenset(MedicineKind)

GROUP_PARTS: Mapping[str, IronSearch] = {
    "ferritin": IronSearch.FERRITIN,
    "ferritin_molar": IronSearch.FERRITIN,
    "tsat": IronSearch.TSAT,
    "crp": IronSearch.CRP,
    "crp_hs": IronSearch.CRP,
    "crp_molar": IronSearch.CRP,
}
"""The iron question that a LOINC group answers."""

LABORATORY_GROUPS = frozenset(GROUP_PARTS) | {"iron_mass", "iron_molar", "tibc_mass", "tibc_molar"}
"""An Observation of one of these makes a mixed Bundle an answer for the iron results."""

_RANK = {NeedState.NOT_ASKED: 0, NeedState.ANSWERED: 1, NeedState.CUT_OFF: 2, NeedState.FAILED: 3}

_FERRITIN_NAME = re.compile("ferritin")
# Not the oxygen saturation.
_TSAT_NAME = re.compile(r"tsat|transferrin|(?<!oxygen)(?<!o2)(?<!ox)saturation")
_CRP_NAME = re.compile(r"crp|creactive")
# Part of other words: environment; available, label, labour, syllabus, collaborator.
_GENERAL_NAME = re.compile(r"(?<!env)iron|(?<!avai)(?<!syl)(?<!col)lab(?!el|ou?r(?!at)|ile)|observation")
# A name about iron that is not about results.
_NOT_RESULTS = re.compile(
    r"order|request|treat|therap|medication|medicine|drug|infus|allerg|administ|statement|supplement"
    r"|tablet|prescri|deficien|overload|condition|procedure|problem|diagnosis|diagnoses"
)
_KIND_WORDS: tuple[tuple[str, MedicineKind], ...] = (
    ("statement", MedicineKind.STATEMENT),
    ("request", MedicineKind.REQUEST),
    ("administration", MedicineKind.ADMINISTRATION),
)


@dataclass(frozen=True, slots=True)
class SelfLink:
    """What the self link of a Bundle shows: the searched type, the LOINC groups, the categories."""

    resource_type: str | None = None
    groups: frozenset[str] = frozenset()
    has_codes: bool = False
    has_category: bool = False
    is_other_category: bool = False


@dataclass(slots=True)
class Contents:
    """What one prefetch value turned out to hold.

    `held` are the types of its own resources (of this patient), `included` ones not counted;
    `is_mixed` when it holds several types; `has_laboratory` when a laboratory Observation is among them.
    """

    key: str
    # the stored value that is being read: the key itself, or one of the further pages
    page: str = ""
    self_link: SelfLink = field(default_factory=SelfLink)
    held: set[str] = field(default_factory=set)
    matches: int = 0
    total: int = 0
    # the link to the page after the last one that was read, "" when it has no address
    next_url: str | None = None
    has_laboratory: bool = False
    is_cut_off: bool = False
    is_failed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found by the search."""
        return self.matches == 0

    @property
    def state(self) -> NeedState:
        """How far this value answers what it answers."""
        if self.is_failed:
            return NeedState.FAILED
        return NeedState.CUT_OFF if self.is_cut_off else NeedState.ANSWERED


class Answers:
    """Collects, per question, the worst state that a value gave it."""

    def __init__(self, own_keys: Mapping[str, str], terminology: Terminology) -> None:
        self._own_keys = own_keys
        self._terminology = terminology
        self._states: dict[Question, NeedState] = {}

    def add(self, questions: Iterable[Question], state: NeedState) -> None:
        """Record that these questions were answered that far."""
        for question in questions:
            known = self._states.get(question, NeedState.NOT_ASKED)
            if _RANK[state] > _RANK[known]:
                self._states[question] = state

    def add_value(self, contents: Contents) -> None:
        """Record what one value answers."""
        questions: set[Question] = set()
        if contents.is_empty or contents.is_failed:
            questions |= self.questions_of_key(contents.key, contents.self_link)
        for resource_type in contents.held:
            questions |= self.questions_of_type(resource_type, contents)
        self.add(questions, contents.state)

    def questions_of_key(self, key: str, self_link: SelfLink) -> set[Question]:
        """Return what a key asks when its value holds nothing that would tell."""
        own = self._own_key(key)
        if own is not None:
            return own
        types = _types_in(key)
        iron = self._iron_questions(key, self_link)
        if types <= {"Patient"} and iron and self_link.resource_type in {None, OBSERVATION}:
            types = {OBSERVATION}
        # A name of several types does not tell which of them was searched.
        types = types if len(types) == 1 else set()
        if self_link.resource_type:
            types = {self_link.resource_type}
        questions: set[Question] = set()
        for resource_type in types:
            questions |= self._questions_by_name(resource_type, key, self_link)
        return questions

    def questions_of_type(self, resource_type: str, contents: Contents) -> set[Question]:
        """Return what a value answers by holding this type."""
        own = self._own_need(contents.key)
        if own is not None and resource_type in _types_of_need(own):
            return self._own_key(contents.key) or set()
        questions = self._questions_by_name(resource_type, contents.key, contents.self_link)
        if len(contents.held) > 1:
            questions |= _questions_of_mixed(resource_type, has_laboratory=contents.has_laboratory)
        return questions

    def questions_of_damage(self, resource_type: str, contents: Contents) -> set[Question]:
        """Return what can no longer be denied once a resource of this type under this key is unreadable."""
        questions = self.questions_of_type(resource_type, contents)
        if questions:
            return questions
        if resource_type == OBSERVATION:
            return {*OTHER_RESULTS, *IRON_PARTS}
        if resource_type in TYPE_NEEDS:
            return _questions_of_mixed(resource_type, has_laboratory=False)
        return self.questions_of_key(contents.key, contents.self_link)

    def asks_results(self, contents: Contents) -> bool:
        """Whether a value was asked for results: by our own key, a key name or a self link."""
        own = self._own_need(contents.key)
        if own is not None:
            return own is Need.IRON_RESULTS or own in OTHER_RESULTS
        return bool(self._iron_questions(contents.key, contents.self_link))

    def is_open(self, key: str) -> bool:
        """Whether nothing answered one of the questions of our own key."""
        return any(question not in self._states for question in self._own_key(key) or ())

    def states(self) -> dict[Need, NeedState]:
        """Return the state of every need."""
        states = {need: self._states.get(need, NeedState.NOT_ASKED) for need in Need}
        # Whether there is a ferritin is the question; the other two are answered beside it.
        states[Need.IRON_RESULTS] = self._states.get(IronSearch.FERRITIN, NeedState.NOT_ASKED)
        states[Need.IRON_TREATMENTS] = self._treatments()
        return states

    def iron_searches(self) -> dict[IronSearch, NeedState]:
        """Return the state of every part of the iron results."""
        return {part: self._states.get(part, NeedState.NOT_ASKED) for part in IronSearch}

    def _treatments(self) -> NeedState:
        parts = [self._states.get(kind, NeedState.NOT_ASKED) for kind in MedicineKind]
        worst = max(parts, key=lambda state: _RANK[state])
        if worst is NeedState.ANSWERED and NeedState.NOT_ASKED in parts:
            return NeedState.NOT_ASKED
        return worst

    def _own_need(self, key: str) -> Need | None:
        value = self._own_keys.get(key)
        return Need(value) if value is not None else None

    def _own_key(self, key: str) -> set[Question] | None:
        need = self._own_need(key)
        if need is None:
            return None
        if need is Need.IRON_RESULTS:
            return set(IRON_PARTS)
        if need is Need.IRON_TREATMENTS:
            kinds = {kind for word, kind in _KIND_WORDS if word in key.lower()}
            return set(kinds or TREATMENT_PARTS)
        return {need}

    def _questions_by_name(self, resource_type: str, key: str, self_link: SelfLink) -> set[Question]:
        if resource_type == OBSERVATION:
            questions = self._iron_questions(key, self_link)
            is_whole = questions == IRON_PARTS and not (self_link.has_codes or self_link.has_category)
            has_name = "observation" in _plain(key)
            return questions | (OTHER_RESULTS if is_whole and has_name else set())
        if resource_type == "MedicationAdministration":
            return {MedicineKind.ADMINISTRATION}
        need = TYPE_NEEDS.get(resource_type)
        return {need} if need else set()

    def _iron_questions(self, key: str, self_link: SelfLink) -> set[Question]:
        """Return the parts of the iron results that a foreign key name or a self link shows."""
        by_codes: set[Question] = {GROUP_PARTS[group] for group in self_link.groups if group in GROUP_PARTS}
        if self._own_need(key) is not None:
            return set()
        name = _plain(key)
        if _NOT_RESULTS.search(name):
            return by_codes
        by_name: set[Question] = {
            part
            for part, pattern in (
                (IronSearch.FERRITIN, _FERRITIN_NAME),
                (IronSearch.TSAT, _TSAT_NAME),
                (IronSearch.CRP, _CRP_NAME),
            )
            if pattern.search(name)
        }
        if by_name or self_link.has_codes or self_link.is_other_category:
            # A search for named codes or for vital signs answers no more than that, whatever its key.
            return by_name | by_codes
        return set(IRON_PARTS) if _GENERAL_NAME.search(name) else set()


def read_self_link(url: str | None, terminology: Terminology) -> SelfLink:
    """Return what a Bundle's self link shows of the search behind it."""
    if not url:
        return SelfLink()
    try:
        parts = urlsplit(url[:_LONGEST_LINK])
        query = parse_qsl(parts.query, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return SelfLink()
    resource_type = _searched_type(parts.path)
    codes = [
        token for name, value in query if name.split(":")[0] in _CODE_NAMES for token in value.split(",")
    ]
    groups = {terminology.searched_group(token) for token in codes}
    categories = [value.lower() for name, value in query if name.split(":")[0] == "category"]
    return SelfLink(
        resource_type,
        frozenset(group for group in groups if group) if resource_type == OBSERVATION else frozenset(),
        has_codes=bool(codes),
        has_category=bool(categories),
        is_other_category=any("lab" not in category for category in categories),
    )


_LONGEST_LINK = 20_000
_MOST_PARAMETERS = 200
_CODE_NAMES = frozenset({"code", "combo-code"})
# What DSTU2 and R5 search where R4 searches the other; the ProcedureRequest of DSTU2 holds no orders of
# a laboratory.
_OLD_TYPES = {
    "MedicationOrder": "MedicationRequest",
    "DiagnosticOrder": "ServiceRequest",
    "DeviceUsage": "DeviceUseStatement",
}


def _searched_type(path: str) -> str | None:
    segments = [segment for segment in path.split("/") if segment]
    if segments and segments[-1] == "_search":
        segments.pop()
    last = segments[-1] if segments else ""
    last = _OLD_TYPES.get(last, last)
    return last if last in TYPE_NEEDS or last == OBSERVATION else None


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _types_in(key: str) -> set[str]:
    """Return the resource types that a key names, in any case and number."""
    name = _plain(key)
    types = {resource_type for resource_type in (*TYPE_NEEDS, OBSERVATION) if resource_type.lower() in name}
    types |= {resource_type for old, resource_type in _OLD_TYPES.items() if old.lower() in name}
    # "patientConditions" is about conditions, and the use of a device is more than a device.
    if len(types) > 1:
        types.discard("Patient")
    if "DeviceUseStatement" in types:
        types.discard("Device")
    return types


def _types_of_need(need: Need) -> frozenset[str]:
    return _NEED_TYPES[need]


_NEED_TYPES: Mapping[Need, frozenset[str]] = {
    **{need: frozenset({resource_type}) for resource_type, need in TYPE_NEEDS.items()},
    Need.IRON_RESULTS: frozenset({OBSERVATION}),
    **dict.fromkeys(OTHER_RESULTS, frozenset({OBSERVATION})),
    Need.IRON_TREATMENTS: frozenset(kind.value for kind in MedicineKind),
}


def _questions_of_mixed(resource_type: str, *, has_laboratory: bool) -> set[Question]:
    """Return what a Bundle of several types answers by holding one of them."""
    if resource_type == OBSERVATION:
        return {*OTHER_RESULTS, *(IRON_PARTS if has_laboratory else ())}
    questions: set[Question] = set()
    if resource_type in TYPE_NEEDS and resource_type != "MedicationAdministration":
        questions.add(TYPE_NEEDS[resource_type])
    if resource_type in _NEED_TYPES[Need.IRON_TREATMENTS]:
        questions.add(MedicineKind(resource_type))
    return questions
