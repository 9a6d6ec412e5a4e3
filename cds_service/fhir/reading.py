"""What every extractor of this room shares: the knowledge, the zone, the log of clean-ups, code look-ups.

One `Reading` lives for one request. Its memos answer a repeated code or text by one dict look-up, so
that a resource which says nothing to the rules costs next to nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from zoneinfo import ZoneInfo

from cds_service.clinical.facts import Certainty, DataIssue, IssueKind, PartialDate
from cds_service.fhir.dates import DateReading, read_date
from cds_service.fhir.lean import CodeableConcept, Coding, Period, Reference, Resource
from cds_service.fhir.needs import Item
from cds_service.knowledge import Terminology
from cds_service.knowledge.code_map import CodeKind, Meaning

LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"

STANDARD_SYSTEMS = frozenset({LOINC, SNOMED_CT, ICD_10_CM, RXNORM, ATC})

_LONGEST_TEXT = 120
_NOTHING: frozenset[str] = frozenset()


class IssueLog:
    """Counts what was cleaned up or skipped; never sees a value or an id."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counts: Counter[tuple[IssueKind, str, str]] = Counter()

    def add(self, kind: IssueKind, resource_type: str, detail: str, count: int = 1) -> None:
        """Count one more clean-up or skipped resource."""
        self._counts[kind, resource_type, detail] += count

    def issues(self) -> tuple[DataIssue, ...]:
        """Return one issue per kind, resource type and detail, in a fixed order."""
        return tuple(DataIssue(*key, count) for key, count in sorted(self._counts.items()))


class Reading:
    """The reading of one patient's record."""

    def __init__(
        self,
        *,
        terminology: Terminology,
        zone: ZoneInfo,
        today: date,
        resolve: Callable[[Reference, Item], Resource | None],
        text: Callable[[Item], bytes] = lambda _: b"{}",
    ) -> None:
        """Start with empty memos and nothing logged."""
        self.terminology = terminology
        self.zone = zone
        self.today = today
        self.resolve = resolve
        self.text = text
        self.issues = IssueLog()
        self._groups: dict[tuple[str | None, str | None], frozenset[str]] = {}
        self._text_groups: dict[str, frozenset[str]] = {}
        self._family_texts: dict[str, bool] = {}
        self._systems: dict[str, str] = {}
        self._meanings: dict[tuple[CodeKind, str | None, str | None], Meaning] = {}
        self._dates: dict[str, DateReading | None] = {}

    def date(self, text: str | None, resource_type: str, element: str) -> PartialDate | None:
        """Return a date, None when it is missing or unreadable; clean-ups are logged."""
        if not text:
            return None
        # The results of one draw, and those of one report, share their dates.
        if text not in self._dates:
            self._dates[text] = read_date(text, self.zone)
        reading = self._dates[text]
        if reading is None:
            self.issues.add(IssueKind.SKIPPED, resource_type, f"{element}: not a date")
            return None
        for cleanup in reading.cleanups:
            self.issues.add(IssueKind.CLEANED, resource_type, f"{element}: {cleanup}")
        return reading.value

    def period(
        self, period: Period | None, resource_type: str, element: str
    ) -> tuple[PartialDate | None, PartialDate | None]:
        """Return start and end of a period, each None when missing or unreadable."""
        if period is None:
            return None, None
        return (
            self.date(period.start, resource_type, f"{element}.start"),
            self.date(period.end, resource_type, f"{element}.end"),
        )

    def system(self, uri: str | None) -> str:
        """Return the canonical URL of a code system, "" when none is given."""
        if not uri:
            return ""
        found = self._systems.get(uri)
        if found is None:
            found = self._systems[uri] = self.terminology.normalise_system(uri.strip())
        return found

    def meaning(self, kind: CodeKind, coding: Coding) -> Meaning:
        """Return what a coding stands for, in the words of the site's code map where it is there."""
        key = (kind, coding.system, coding.code)
        found = self._meanings.get(key)
        if found is None:
            found = self._meanings[key] = self.terminology.meaning(*key)
        return found

    def code_groups(self, system: str | None, code: str | None) -> frozenset[str]:
        """Return the concept groups of one coding."""
        key = (system, code)
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = self._look_up(system, code)
        return found

    def _look_up(self, system: str | None, code: str | None) -> frozenset[str]:
        if not code:
            return _NOTHING
        meaning = self.terminology.meaning(CodeKind.PROBLEM, system, code)
        return self.terminology.condition_groups(meaning.system, meaning.code)

    def coded_groups(self, concept: CodeableConcept | None) -> frozenset[str]:
        """Return the concept groups of all codings, whatever their order."""
        if concept is None or not concept.coding:
            return _NOTHING
        if len(concept.coding) == 1:
            coding = concept.coding[0]
            return self.code_groups(coding.system, coding.code)
        return _NOTHING.union(*(self.code_groups(c.system, c.code) for c in concept.coding))

    def certainty(
        self, kind: CodeKind, codings: Iterable[Coding], tells: Callable[[Coding], object]
    ) -> Certainty:
        """Return how codings tell what `tells` finds: by a code of their own, or by the site's map alone."""
        if not self.terminology.code_map:
            return Certainty.CODED
        mapped = [self.meaning(kind, coding).is_mapped for coding in codings if tells(coding)]
        return Certainty.SITE_MAP if mapped and all(mapped) else Certainty.CODED

    def groups_certainty(self, codings: Iterable[Coding]) -> Certainty:
        """Return how codings tell their concept groups."""
        return self.certainty(CodeKind.PROBLEM, codings, self._tells_problem)

    def _tells_problem(self, coding: Coding) -> bool:
        meaning = self.meaning(CodeKind.PROBLEM, coding)
        is_obstetric = self.terminology.is_obstetric(meaning.system, meaning.code)
        return is_obstetric or bool(self.code_groups(coding.system, coding.code))

    def text_groups(self, concept: CodeableConcept | None) -> frozenset[str]:
        """Return the concept groups that the words name, text and displays taken together.

        Together, because "RLS" needs a second cue, and because a text that denies ("no ...") must not be
        overruled by the display of a code.
        """
        words = words_of(concept)
        if not words:
            return _NOTHING
        found = self._text_groups.get(words)
        if found is None:
            found = self._text_groups[words] = self.terminology.condition_groups_by_text(words)
        return found

    def is_family_history(self, concept: CodeableConcept | None) -> bool:
        """Whether the words of a concept name restless legs syndrome in a relative."""
        words = words_of(concept)
        if not words:
            return False
        found = self._family_texts.get(words)
        if found is None:
            found = self._family_texts[words] = self.terminology.is_family_history_text_of_rls(words)
        return found

    def is_family_denied(self, concept: CodeableConcept | None) -> bool:
        """Whether the words of a concept say that no relative has restless legs syndrome."""
        words = words_of(concept)
        return bool(words) and self.terminology.is_family_history_of_rls_denied(words)

    def is_local(self, system: str | None) -> bool:
        """Whether a coding has no code system or one that is not among the standard ones."""
        return self.system(system) not in STANDARD_SYSTEMS


def texts(concept: CodeableConcept | None) -> Iterator[str]:
    """Yield the words of a concept: its text, then the displays of its codings."""
    if concept is None:
        return
    if concept.text and concept.text.strip():
        yield concept.text
    for coding in concept.coding or ():
        if coding.display and coding.display.strip():
            yield coding.display


def words_of(concept: CodeableConcept | None) -> str:
    """Return all words of a concept together, "" when it has none."""
    return "; ".join(texts(concept))


def label(concept: CodeableConcept | None, default: str) -> str:
    """Return a bounded text of a concept for the reader."""
    return bounded(next(texts(concept), default))


def bounded(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return record text on one line and not longer than a card can bear."""
    line = " ".join(text[: 4 * longest].split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def is_switched_off(concept: CodeableConcept | None, terminology: Terminology) -> bool:
    """Whether a concept has nothing but codes of SNOMED CT, and the site reads none."""
    if terminology.has_snomed or concept is None or words_of(concept):
        return False
    systems = {terminology.normalise_system(c.system or "") for c in concept.coding or () if c.code}
    return systems == {SNOMED_CT}


def codes_of(concept: CodeableConcept | str | None) -> Iterator[str]:
    """Yield the codes of a status-like concept in lower case, then its text."""
    if isinstance(concept, str):
        yield concept.strip().lower()
    elif concept is not None:
        for coding in concept.coding or ():
            if coding.code:
                yield coding.code.strip().lower()
        if concept.text:
            yield concept.text.strip().lower()
