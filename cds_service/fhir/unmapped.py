"""Local codes whose words name something that the rules read, although no code says what they are.

Each is worth a row in the site's code map: words are read with care, so that some are missed, and a result
that was recognised by its name carries a remark on the card.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, TypeVar

from cds_service.clinical.facts import (
    Certainty,
    ConditionFact,
    IngredientFact,
    MedicineFact,
    ProcedureFact,
    Result,
    Source,
)
from cds_service.fhir.allergies import ADVERSE_EFFECT_OF_IRON, substances_of
from cds_service.fhir.lean import CodeableConcept
from cds_service.fhir.needs import Item
from cds_service.fhir.others import order_in_words
from cds_service.fhir.products import concepts_of
from cds_service.fhir.reading import STANDARD_SYSTEMS, texts, words_of
from cds_service.fhir.record import Record
from cds_service.knowledge import ProductIngredient, Terminology
from cds_service.knowledge.code_map import CodeKind

# What holds a blank, or more characters than this, may be somebody's free text.
_CODE_LIKE = re.compile(r"[!-~]{1,60}")
_SYSTEM_LIKE = re.compile(r"(?:[!-~]{1,200})?")
_RLS = "rls"
_OTHER = "other"


class _Recognised(Protocol):
    @property
    def certainty(self) -> Certainty: ...


_Fact = TypeVar("_Fact", bound=_Recognised)


@dataclass(frozen=True, slots=True)
class UnmappedCode:
    """A local code that was recognised by its words alone.

    `looks_like` is a word of the knowledge base: an analyte, ingredients, a group of conditions. `group` is
    the shorter list under which it is counted: the analyte, the class of medicines, the group of conditions.
    `system` is "" when the coding has none. `code` and `system` are "" when they do not look like a code and
    so may hold anything. `count` is the number of resources that carry the code.
    """

    kind: CodeKind
    system: str
    code: str
    looks_like: str
    count: int
    group: str


class _Suspect(NamedTuple):
    """A fact that rests on words, and the concepts of its resource that may hold them."""

    kind: CodeKind
    looks_like: str
    group: str
    concepts: Sequence[CodeableConcept | None]


def unmapped_codes(record: Record) -> tuple[UnmappedCode, ...]:
    """Return the local codes of a record that its site's code map should name, most frequent first."""
    terminology = record.reader.knowledge.terminology
    counts: Counter[tuple[_Local, str, str]] = Counter()
    for suspect in _Suspects(record).all():
        counts.update(
            (local, suspect.looks_like, suspect.group) for local in _local_codes(suspect, terminology)
        )
    found = [
        UnmappedCode(*local, looks_like, count, group) for (local, looks_like, group), count in counts.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.count, one.kind, one.looks_like, one.system, one.code)))


_Local = tuple[CodeKind, str, str]


def _local_codes(suspect: _Suspect, terminology: Terminology) -> set[_Local]:
    found = set()
    for concept in suspect.concepts:
        for coding in (concept.coding if concept is not None else None) or ():
            meaning = terminology.meaning(suspect.kind, coding.system, coding.code)
            if meaning.code and not meaning.is_mapped and meaning.system not in STANDARD_SYSTEMS:
                is_plain = _CODE_LIKE.fullmatch(meaning.code) and _SYSTEM_LIKE.fullmatch(meaning.system)
                found.add((suspect.kind, *((meaning.system, meaning.code) if is_plain else ("", ""))))
    return found


class _Suspects:
    """Finds the facts that words told; a record without one costs only the look at its facts."""

    def __init__(self, record: Record) -> None:
        self._facts = record.extracted
        self._table = record.table
        self._knowledge = record.reader.knowledge

    def all(self) -> Iterator[_Suspect]:
        """Yield one for each fact, or for each of its names."""
        facts = self._facts
        for result in _by_words(facts.results):
            yield self._result(result)
        for condition in _by_words(facts.conditions):
            yield self._problem(condition)
        for procedure in _by_words(facts.procedures):
            yield self._problem(procedure)
        for order in _by_words(facts.orders):
            yield self._order(order.source)
        for medicine in facts.medicines:
            if all(part.certainty is Certainty.BY_TEXT for part in medicine.ingredients):
                yield self._medicine(medicine)
        for allergy in _by_words(facts.allergies):
            yield from self._allergy(allergy.source)
        for relative in _by_words(facts.family):
            yield self._family(relative.source)

    def _result(self, result: Result) -> _Suspect:
        name = result.analyte.value
        by_text = self._knowledge.terminology.observation_group_by_text
        concepts = [c for c in self._measured(result.source) if by_text(words_of(c)) == name]
        return _Suspect(CodeKind.LABORATORY, name, name, concepts)

    def _measured(self, source: Source) -> list[CodeableConcept | None]:
        item = self._items.get(source.key)
        if item is None:
            return [one.code for one in self._table.salvaged if one.source == source]
        return [item.resource.code, *(part.code for part in item.resource.component or ())]

    def _problem(self, fact: ConditionFact | ProcedureFact) -> _Suspect:
        group = min(fact.groups)
        return _Suspect(CodeKind.PROBLEM, group, group, [self._code(fact.source)])

    def _order(self, source: Source) -> _Suspect:
        code = self._code(source)
        name = order_in_words(words_of(code), self._knowledge.terminology) or _OTHER
        return _Suspect(CodeKind.ORDER, name, name, [code])

    def _medicine(self, medicine: MedicineFact) -> _Suspect:
        item = self._items[medicine.source.key]
        reference = item.resource.medicationReference
        medication = self._table.resolve(reference, item) if reference is not None else None
        return self._drug(medicine.ingredients, concepts_of(item.resource, medication))

    def _allergy(self, source: Source) -> Iterator[_Suspect]:
        if source.resource_type == "Condition":
            # No code of a problem says to which iron: a map can only name the reaction.
            group = ADVERSE_EFFECT_OF_IRON
            yield _Suspect(CodeKind.PROBLEM, group, group, [self._code(source)])
            return
        for substance in substances_of(self._items[source.key].resource):
            product = next(
                filter(None, map(self._knowledge.terminology.drug_by_text, texts(substance))), None
            )
            if product is not None:
                yield self._drug(product.ingredients, [substance])

    def _drug(
        self,
        ingredients: Sequence[IngredientFact] | Sequence[ProductIngredient],
        concepts: Sequence[CodeableConcept],
    ) -> _Suspect:
        groups = {group for part in ingredients for group in part.groups}
        classes = groups & self._knowledge.drug_classes.keys()
        name = " / ".join(sorted(part.name for part in ingredients))
        return _Suspect(CodeKind.MEDICINE, name, min(classes or groups, default=_OTHER), concepts)

    def _family(self, source: Source) -> _Suspect:
        conditions = self._items[source.key].resource.condition or ()
        return _Suspect(CodeKind.PROBLEM, _RLS, _RLS, [one.code for one in conditions])

    def _code(self, source: Source) -> CodeableConcept | None:
        return self._items[source.key].resource.code

    @cached_property
    def _items(self) -> dict[int, Item]:
        return {item.number: item for group in self._table.items_by_type.values() for item in group}


def _by_words(facts: Iterable[_Fact]) -> Iterator[_Fact]:
    return (fact for fact in facts if fact.certainty is Certainty.BY_TEXT)
