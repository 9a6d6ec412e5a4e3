"""Observations as results: which analyte, which status, which date, which value (docs/rules.md R8)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from functools import cache, partial

import msgspec

from cds_service.clinical.facts import (
    Analyte,
    Certainty,
    FamilyFact,
    IssueKind,
    PartialDate,
    Result,
    ResultNote,
    ResultStatus,
    Source,
    Unreadable,
)
from cds_service.fhir.coded_values import CODED, denies, read_answer
from cds_service.fhir.decoding import UNREADABLE, list_of
from cds_service.fhir.lean import ABSENT, CodeableConcept, Coding, Component, Resource
from cds_service.fhir.needs import Item, Salvaged
from cds_service.fhir.quantities import (
    Measured,
    NotANumber,
    SentValue,
    UnitLookup,
    is_given,
    measure,
    read_integer,
    read_quantity,
    read_range,
    read_text,
)
from cds_service.fhir.reading import LOINC, SNOMED_CT, Reading, label, words_of
from cds_service.knowledge.code_map import CodeKind
from cds_service.knowledge.terminology import OWN, RESULT_GROUPS

_TYPE = "Observation"
_PENDING = frozenset({ResultStatus.PRELIMINARY, ResultStatus.REGISTERED})
_FINISHED = frozenset(ResultStatus) - _PENDING
_STATUSES = {status.value: status for status in ResultStatus}
_OTHER_VALUES = ("valueBoolean", "valueRatio", "valueSampledData", "valueTime", "valuePeriod")
_ANSWERS = ("valueQuantity", "valueString", "valueCodeableConcept", "valueDateTime", "valueRange")
_RAW_ANSWERS = ("valueInteger", *_OTHER_VALUES)
_VALUES = frozenset((*_ANSWERS, *_RAW_ANSWERS))
# What was never a result, or is none any more.
_NO_RESULT = frozenset({"entered-in-error", "cancelled"})
# Codes of ferritin in serum, plasma or blood whose senders mean ng/mL where they leave the unit out.
_UNIT_MAY_BE_ASSUMED = frozenset({"2276-4", "20567-4", "24373-3"})

_GROUPS = {group: (Analyte(name), family) for group, (name, family) in RESULT_GROUPS.items()}
_BY_TEXT = {analyte.value: analyte for analyte in Analyte}
# A treatment goal is no result, whatever other code stands beside it.
_NEVER = "ferritin_EXCLUDE"


@dataclass(frozen=True, slots=True)
class Measurand:
    """What an Observation or a component measures, and how that was recognised.

    `site_unit` is the unit that the site's code map gives to results without one.
    """

    analyte: Analyte
    code_family: str | None = None
    may_assume_unit: bool = False
    site_unit: str | None = None
    certainty: Certainty = Certainty.CODED


class _Verdict(Enum):
    """What a code or a text is when it names no analyte."""

    NEVER = auto()
    OTHER_STANDARD = auto()
    OTHER = auto()
    FAMILY_HISTORY = auto()
    FAMILY_DENIED = auto()


_Judgement = Measurand | _Verdict


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What all results of one Observation share."""

    source: Source
    status: ResultStatus
    when: PartialDate | None
    issued: datetime | None
    notes: frozenset[ResultNote]


_ReadAnswer = Callable[[Resource | Component, Measurand, _Stamp], Result | None]


class ObservationReader:
    """Reads the Observations of one request; remembers each code and each text that it has judged.

    `family` collects the family histories of restless legs that came as Observations.
    """

    def __init__(self, reading: Reading) -> None:
        """Start with nothing judged."""
        self._reading = reading
        self._codes: dict[tuple[str | None, str | None], _Judgement] = {}
        self._words: dict[tuple[str, bool], _Judgement] = {}
        self._units: dict[Analyte, UnitLookup] = {}
        self._readable_answers = SNOMED_CT if reading.terminology.has_snomed else ""
        self._unmeasured: dict[Analyte, _ReadAnswer] = {
            Analyte.PREGNANCY_STATUS: self._coded_result,
            Analyte.DELIVERY_DATE: self._day_result,
            **dict.fromkeys(CODED, self._answer_result),
        }
        self.family: list[FamilyFact] = []

    def read(self, item: Item) -> tuple[Result, ...]:
        """Return the results of one Observation: its own value and those of its components."""
        resource = item.resource
        verdict = self.judge(resource.code)
        found = verdict if isinstance(verdict, Measurand) else None
        parts: list[tuple[Component, Measurand]] = []
        if resource.component:
            parts = [
                (part, judged)
                for part in resource.component
                if isinstance(judged := self.judge(part.code), Measurand)
            ]
        if found is None and not parts:
            if verdict in {_Verdict.FAMILY_HISTORY, _Verdict.FAMILY_DENIED}:
                self._add_family(resource, item.source, is_denied=verdict is _Verdict.FAMILY_DENIED)
            return ()
        stamp = self._stamp(resource, item.source)
        if stamp is None:
            return ()
        measurands = [measurand for _, measurand in parts] if found is None else [found]
        if not _is_known_status(resource.status):
            return tuple(_invalid(measurand, stamp) for measurand in measurands)
        results = [self._result(part, measurand, stamp) for part, measurand in parts]
        if found is not None:
            results.append(self._result(resource, found, stamp) or self._without_value(found, stamp, parts))
        readable = tuple(r for r in results if r is not None)
        if any(r.analyte is Analyte.GENE for r in readable) and denies(resource, self._reading):
            # The components name the gene, the value itself says that no variant of it was found.
            readable = tuple(r for r in readable if r.analyte is not Analyte.GENE)
        if not readable and has_unknown_value(self._reading.text(item)):
            return tuple(_invalid(measurand, stamp) for measurand in measurands)
        return readable

    def read_invalid(self, salvaged: Salvaged) -> Result | None:
        """Return an unreadable result for an Observation that is not valid but names an analyte."""
        measurand = self.judge(salvaged.code)
        status = _result_status(salvaged.status)
        if not isinstance(measurand, Measurand) or status is None:
            return None
        when = self._reading.date(salvaged.when, _TYPE, "effective")
        return _invalid(measurand, _Stamp(salvaged.source, status, when, None, frozenset()))

    def judge(self, concept: CodeableConcept | None) -> Measurand | _Verdict:
        """Return what a concept measures: by LOINC, else by its words when no coding is a LOINC code."""
        if concept is None:
            return _Verdict.OTHER
        found: Measurand | None = None
        is_standard = False
        for coding in concept.coding or ():
            key = (coding.system, coding.code)
            judged = self._codes.get(key)
            if judged is None:
                judged = self._codes[key] = self._judge_code(coding)
            if judged is _Verdict.NEVER:
                return judged
            if isinstance(judged, Measurand):
                # What the sender coded comes before what the site's map makes of its other codes.
                if found is None or _is_better(judged, found):
                    found = judged
            elif judged is _Verdict.OTHER_STANDARD:
                is_standard = True
        if found is not None:
            return _Verdict.OTHER_STANDARD if self._is_contradicted(found, concept) else found
        return self._judge_words(concept, is_standard=is_standard)

    def _is_contradicted(self, found: Measurand, concept: CodeableConcept) -> bool:
        # Only the binding capacity has words that take its code back.
        is_asked = found.analyte is Analyte.TIBC
        return is_asked and self._reading.terminology.is_observation_contradicted("tibc", words_of(concept))

    def _judge_code(self, coding: Coding) -> _Judgement:
        system, code, is_mapped, unit = self._reading.meaning(CodeKind.LABORATORY, coding)
        if not code or system not in {LOINC, OWN}:
            return _Verdict.OTHER
        group = self._reading.terminology.observation_group(system, code)
        if group == _NEVER:
            return _Verdict.NEVER
        if group is None or group not in _GROUPS:
            return _Verdict.OTHER_STANDARD
        analyte, code_family = _GROUPS[group]
        certainty = Certainty.SITE_MAP if is_mapped else Certainty.CODED
        return Measurand(analyte, code_family, code in _UNIT_MAY_BE_ASSUMED, unit, certainty)

    def _judge_words(self, concept: CodeableConcept, *, is_standard: bool) -> _Judgement:
        # All words together: "goal" in the text speaks also for the display "Ferritin".
        words = words_of(concept)
        key = (words, is_standard)
        judged = self._words.get(key)
        if judged is None:
            judged = self._words[key] = self._judge_text(words, is_standard=is_standard)
        return judged

    def _judge_text(self, words: str, *, is_standard: bool) -> _Judgement:
        """Return what words name; beside a LOINC code they can only tell of relatives, never of a test."""
        terminology = self._reading.terminology
        if words and terminology.is_family_history_text_of_rls(words):
            return _Verdict.FAMILY_HISTORY
        if words and terminology.is_family_history_of_rls_denied(words):
            return _Verdict.FAMILY_DENIED
        if is_standard or not words:
            return _Verdict.OTHER
        analyte = _BY_TEXT.get(terminology.observation_group_by_text(words) or "")
        return Measurand(analyte, certainty=Certainty.BY_TEXT) if analyte is not None else _Verdict.OTHER

    def _add_family(self, resource: Resource, source: Source, *, is_denied: bool) -> None:
        # A question with neither a plain yes nor a plain no ("unknown", a comment) says nothing.
        is_answered = any(getattr(resource, name) is not None for name in _ANSWERS) or any(
            is_given(getattr(resource, name)) for name in _RAW_ANSWERS
        )
        is_yes = bytes(resource.valueBoolean).strip() == b"true"
        is_no = not is_denied and denies(resource, self._reading)
        if _result_status(resource.status) in _FINISHED and (is_yes or is_no or not is_answered):
            self.family.append(
                FamilyFact(
                    source,
                    label(resource.code, _TYPE),
                    is_first_degree=False,
                    certainty=Certainty.BY_TEXT,
                    is_denied=is_denied or is_no,
                )
            )

    def _stamp(self, resource: Resource, source: Source) -> _Stamp | None:
        status = _result_status(resource.status)
        if status is None:
            self._reading.issues.add(IssueKind.SKIPPED, _TYPE, "status: not one of a result")
            return None
        issued = self._reading.date(resource.issued, _TYPE, "issued")
        when = self._effective(resource)
        notes: frozenset[ResultNote] = frozenset()
        if when is None and issued is not None and not _has_effective(resource):
            when, notes = issued, frozenset({ResultNote.DATE_OF_ISSUE})
        return _Stamp(source, status, when, issued.instant if issued else None, notes)

    def _effective(self, resource: Resource) -> PartialDate | None:
        read = self._reading.date
        start, end = self._reading.period(resource.effectivePeriod, _TYPE, "effectivePeriod")
        return (
            read(resource.effectiveDateTime, _TYPE, "effectiveDateTime")
            or read(resource.effectiveInstant, _TYPE, "effectiveInstant")
            or end
            or start
        )

    def _without_value(
        self, measurand: Measurand, stamp: _Stamp, parts: Sequence[tuple[Component, Measurand]]
    ) -> Result | None:
        """Return a pending result, which has no value yet; a finished one without a value is no result."""
        if stamp.status in _PENDING:
            return _result_of(measurand, stamp, Measured(shown=""))
        if not any(m.analyte is measurand.analyte for _, m in parts):
            self._reading.issues.add(IssueKind.SKIPPED, _TYPE, "value: missing")
        return None

    def _result(self, valued: Resource | Component, measurand: Measurand, stamp: _Stamp) -> Result | None:
        if valued.dataAbsentReason is not None and (
            valued.dataAbsentReason.coding or valued.dataAbsentReason.text
        ):
            return None
        read = self._unmeasured.get(measurand.analyte)
        if read is not None:
            return read(valued, measurand, stamp)
        lookup = self._lookup(measurand.analyte)
        sent = _sent_value(valued, lookup)
        if sent is None:
            return None
        if isinstance(sent, NotANumber):
            return _result_of(measurand, stamp, Measured(sent.shown, unreadable=Unreadable.NOT_A_NUMBER))
        for cleanup in sent.cleanups:
            self._reading.issues.add(IssueKind.CLEANED, _TYPE, f"value: {cleanup}")
        measured = measure(
            sent,
            measurand.analyte,
            lookup,
            code_family=measurand.code_family,
            may_assume_unit=measurand.may_assume_unit,
            site_unit=measurand.site_unit,
        )
        return _result_of(measurand, stamp, measured)

    def _lookup(self, analyte: Analyte) -> UnitLookup:
        found = self._units.get(analyte)
        if found is None:
            # A chart repeats a few spellings; each is looked up once per request.
            found = self._units[analyte] = cache(partial(self._reading.terminology.unit, analyte.value))
        return found

    def _coded_result(
        self, valued: Resource | Component, measurand: Measurand, stamp: _Stamp
    ) -> Result | None:
        concept = valued.valueCodeableConcept
        if concept is None:
            return self._other_value(valued, measurand, stamp)
        groups: frozenset[str] = frozenset()
        is_coded = False
        for coding in concept.coding or ():
            system, code, *_ = self._reading.meaning(CodeKind.PROBLEM, coding)
            if code and system in {SNOMED_CT, LOINC}:
                found = self._reading.terminology.coded_value_groups(system, code)
                # Of LOINC's answers only "pregnant" is known here; the others leave the question open.
                # Where SNOMED CT is switched off, none of its answers is known: that is no "not pregnant".
                is_coded = is_coded or bool(found) or system == self._readable_answers
                groups |= found
        # Words and codes that the knowledge base does not list are neither "pregnant" nor "not pregnant".
        unreadable = None if is_coded else Unreadable.NOT_A_NUMBER
        measured = Measured(label(concept, ""), unreadable=unreadable)
        return replace(_result_of(measurand, stamp, measured), code=groups)

    def _answer_result(
        self, valued: Resource | Component, measurand: Measurand, stamp: _Stamp
    ) -> Result | None:
        answer = read_answer(valued, measurand.analyte, self._reading)
        if answer is None:
            return None
        unreadable = None if answer.groups else Unreadable.NOT_A_NUMBER
        measured = Measured(answer.shown, unreadable=unreadable)
        return replace(_result_of(measurand, stamp, measured), code=answer.groups)

    def _day_result(self, valued: Resource | Component, measurand: Measurand, stamp: _Stamp) -> Result | None:
        if not valued.valueDateTime:
            return self._other_value(valued, measurand, stamp)
        day = self._reading.date(valued.valueDateTime, _TYPE, "valueDateTime")
        unreadable = None if day else Unreadable.NOT_A_NUMBER
        measured = Measured(day.shown if day else "", unreadable=unreadable)
        return replace(_result_of(measurand, stamp, measured), day_value=day)

    def _other_value(
        self, valued: Resource | Component, measurand: Measurand, stamp: _Stamp
    ) -> Result | None:
        sent = _sent_value(valued, lambda _: None)
        if sent is None:
            return None
        return _result_of(measurand, stamp, Measured(sent.shown, unreadable=Unreadable.NOT_A_NUMBER))


def _is_better(one: Measurand, other: Measurand) -> bool:
    return one.certainty is Certainty.CODED and other.certainty is Certainty.SITE_MAP


def _result_status(status: str | None) -> ResultStatus | None:
    """Return None for what says that there is no result; a code of no value set says nothing."""
    code = (status or "").strip().lower()
    return None if code in _NO_RESULT else _STATUSES.get(code, ResultStatus.UNKNOWN)


def _is_known_status(status: str | None) -> bool:
    return status in _STATUSES or (status or "").strip().lower() in {"", *_STATUSES}


def _invalid(measurand: Measurand, stamp: _Stamp) -> Result:
    """Return a result that exists and cannot be used, so that nobody concludes that there is none."""
    result = _result_of(measurand, stamp, Measured(shown=""))
    return replace(result, unreadable=Unreadable.INVALID_RESOURCE)


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def has_unknown_value(text: bytes) -> bool:
    """Whether an Observation, or a component of it, has a value[x] of a kind that R4 does not know."""
    try:
        members = _members.decode(text)
        parts = [members, *(_members.decode(one) for one in list_of(members.get("component", ABSENT)))]
    except UNREADABLE:
        return True
    return any(
        name.lower().startswith("value") and name not in _VALUES and bytes(raw) not in (b"null", b'""', b"{}")
        for part in parts
        for name, raw in part.items()
    )


def _has_effective(resource: Resource) -> bool:
    period = resource.effectivePeriod
    return bool(
        resource.effectiveDateTime
        or resource.effectiveInstant
        or (period is not None and (period.start or period.end))
        or is_given(resource.effectiveTiming)
    )


def _sent_value(valued: Resource | Component, lookup: UnitLookup) -> SentValue | NotANumber | None:
    """Return the first value[x] that is there; one that no number can be read from is `NotANumber`."""
    if valued.valueQuantity is not None:
        sent = read_quantity(valued.valueQuantity, lookup)
        if sent is not None:
            return sent
    if valued.valueRange is not None:
        sent = read_range(valued.valueRange, lookup)
        if sent is not None:
            return sent
    sent = read_integer(valued.valueInteger)
    if sent is None and valued.valueString:
        sent = read_text(valued.valueString, lookup)
    if sent is not None:
        return sent
    if valued.valueCodeableConcept is not None:
        return NotANumber(label(valued.valueCodeableConcept, ""))
    if valued.valueDateTime or any(is_given(getattr(valued, name)) for name in _OTHER_VALUES):
        return NotANumber("")
    return None


def _result_of(measurand: Measurand, stamp: _Stamp, measured: Measured) -> Result:
    notes = stamp.notes | measured.notes
    if measurand.certainty is Certainty.BY_TEXT:
        notes |= {ResultNote.BY_TEXT}
    unreadable = Unreadable.NO_DATE if stamp.when is None else measured.unreadable
    return Result(
        source=stamp.source,
        analyte=measurand.analyte,
        status=stamp.status,
        when=stamp.when,
        interval=measured.interval if unreadable is None else None,
        shown=measured.shown,
        shown_canonical=measured.shown_canonical,
        issued=stamp.issued,
        unreadable=unreadable,
        notes=notes,
        sources=(stamp.source,),
        certainty=measurand.certainty,
    )
