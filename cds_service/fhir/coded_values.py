"""Answers in codes and words: smoking status, pregnancy test, gene, caffeine intake (docs/rules.md R9.6).

An answer that is not understood, or that says two things, is unreadable: neither yes nor no.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cds_service.clinical.facts import Analyte
from cds_service.fhir.lean import Component, Resource
from cds_service.fhir.quantities import (
    SentValue,
    is_given,
    read_integer,
    read_quantity,
)
from cds_service.fhir.reading import LOINC, SNOMED_CT, Reading, bounded, texts, words_of

CODED = frozenset({Analyte.SMOKING, Analyte.PREGNANCY_TEST, Analyte.GENE, Analyte.CAFFEINE})
"""What is answered by a code or in words, not measured."""

_YES, _NO, _NEGATIVE = "yes", "no", "negative"
_ANSWERS: Mapping[Analyte, frozenset[str]] = {
    Analyte.SMOKING: frozenset({"current_smoker", "former_smoker", "never_smoker"}),
    Analyte.PREGNANCY_TEST: frozenset({"positive", _NEGATIVE}),
    Analyte.CAFFEINE: frozenset({_YES, _NO}),
}
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it reads, and what it says: one group, or several genes; none when not understood."""

    shown: str
    groups: frozenset[str]


def read_answer(valued: Resource | Component, analyte: Analyte, reading: Reading) -> Answered | None:
    """Return the answer of an Observation or component, None when it has none."""
    if analyte is Analyte.GENE:
        return _gene(valued, reading)
    number = _number(valued) if analyte is Analyte.CAFFEINE else None
    if number is not None:
        return number
    words = list(_words(valued))
    concept = valued.valueCodeableConcept
    has_code = concept is not None and any(coding.code for coding in concept.coding or ())
    if not words and not has_code:
        return None
    found = _by_code(valued, analyte, reading) or _by_words(words, analyte, reading)
    return Answered(bounded(next(iter(words), "")), found if len(found) == 1 else _NOTHING)


def _gene(valued: Resource | Component, reading: Reading) -> Answered | None:
    """Return the genes that a result is about, unless it says that there is no variant."""
    words = list(_words(valued))
    genes = reading.terminology.genes_by_text("; ".join((words_of(valued.code), *words)))
    if not genes or denies(valued, reading):
        return None
    return Answered(", ".join(sorted(genes)), genes)


def denies(valued: Resource | Component, reading: Reading) -> bool:
    """Whether the value of a result says in so many words that nothing was found."""
    answers = reading.terminology.answer_groups_by_text
    return any(answers(text) & {_NEGATIVE, _NO} for text in _words(valued))


def _by_code(valued: Resource | Component, analyte: Analyte, reading: Reading) -> frozenset[str]:
    found = _NOTHING
    concept = valued.valueCodeableConcept
    for coding in (concept.coding if concept is not None else None) or ():
        system = reading.system(coding.system)
        if coding.code and system in {SNOMED_CT, LOINC}:
            found |= reading.terminology.coded_value_groups(system, coding.code.strip())
    return found & _ANSWERS[analyte]


def _by_words(words: list[str], analyte: Analyte, reading: Reading) -> frozenset[str]:
    answers = reading.terminology.answer_groups_by_text
    return _NOTHING.union(*(answers(text) for text in words)) & _ANSWERS[analyte]


def _words(valued: Resource | Component) -> Iterator[str]:
    """Yield the answer in words: of a concept, of a text, or yes and no for a boolean."""
    yield from texts(valued.valueCodeableConcept)
    if valued.valueString and valued.valueString.strip():
        yield valued.valueString
    if is_given(valued.valueBoolean):
        yield _YES if bytes(valued.valueBoolean).strip() == b"true" else _NO


def _number(valued: Resource | Component) -> Answered | None:
    """Return a number of whatever is counted: none at all, or some of it."""
    quantity = valued.valueQuantity
    sent = read_quantity(quantity, lambda _: None) if quantity is not None else None
    if sent is None:
        sent = read_integer(valued.valueInteger)
    if sent is None:
        return None
    if not isinstance(sent, SentValue):
        return Answered(sent.shown, _NOTHING)
    low, high = sent.interval.low, sent.interval.high
    groups = frozenset({_YES}) if low is not None and low > 0 else _NOTHING
    if low is not None and low == high == 0:
        groups = frozenset({_NO})
    return Answered(f"{sent.shown} {bounded(sent.shown_unit, 30)}".rstrip(), groups)
