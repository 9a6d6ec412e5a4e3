"""The pages of the public basis as values: rules, limits, sources and how far they were verified."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

from cds_service.clinical.assessment import CardKey
from cds_service.knowledge import Check, Citation, DrugClass, FactorDefinition, Knowledge, Threshold
from cds_service.knowledge.basis import Basis, CardBasis, Change, Statement, basis_of
from cds_service.rendering.templates import Templates, packaged_templates

AWAITS = "awaiting clinical review"
_CHECKED: Mapping[Check, str] = {
    Check.V1: "read in the primary source",
    Check.V2: f"{AWAITS}: read in a secondary source only",
    Check.M: f"{AWAITS}: general knowledge, no source was read",
    Check.P: "rule of this project; no source gives it",
}
_WINDOW = "window."
_MEDICINE_CLASSES: Mapping[CardKey, tuple[str, ...]] = {CardKey.DA_01: ("RLS_DA", "RLS_LEVODOPA")}


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a fact was verified, in words, and its sources."""

    words: str
    awaits_review: bool
    citations: tuple[Citation, ...]


class _Told(Protocol):
    """What every part of a page has."""

    @property
    def verified(self) -> Verified: ...


@dataclass(frozen=True, slots=True)
class RuleShown:
    """A rule in words with its verification."""

    id: str
    text: str
    verified: Verified


@dataclass(frozen=True, slots=True)
class LimitShown:
    """A limit or look-back with its verification."""

    threshold: Threshold
    verified: Verified


@dataclass(frozen=True, slots=True)
class StatementShown:
    """A recommendation or another fact with its verification."""

    statement: Statement
    verified: Verified


@dataclass(frozen=True, slots=True)
class MedicineShown:
    """A drug class with its verification and its ingredients."""

    drug_class: DrugClass
    ingredients: tuple[str, ...]
    verified: Verified


@dataclass(frozen=True, slots=True)
class FactorShown:
    """A factor with its verification and its look-backs."""

    factor: FactorDefinition
    look_backs: tuple[Threshold, ...]
    verified: Verified


@dataclass(frozen=True, slots=True)
class CardPage:
    """Everything that the page of one card shows."""

    key: CardKey
    subject: str
    rule: RuleShown
    project_rules: tuple[RuleShown, ...]
    basis: CardBasis
    limits: tuple[LimitShown, ...]
    look_backs: tuple[LimitShown, ...]
    recommendations: tuple[StatementShown, ...]
    statements: tuple[StatementShown, ...]
    medicines: tuple[MedicineShown, ...]
    factors: tuple[FactorShown, ...]
    changes: tuple[Change, ...]

    @property
    def awaits_review(self) -> bool:
        """Whether the rule, or a statement on the card, awaits clinical review."""
        told: tuple[_Told, ...] = (self.rule, *self.recommendations, *self.statements)
        return any(one.verified.awaits_review for one in told)

    @property
    def sources(self) -> tuple[Citation, ...]:
        """Return every source that the page cites, in the order in which it cites them."""
        told: tuple[_Told, ...] = (
            self.rule,
            *self.project_rules,
            *self.recommendations,
            *self.statements,
            *self.limits,
            *self.look_backs,
            *self.medicines,
            *self.factors,
        )
        return tuple(dict.fromkeys(citation for one in told for citation in one.verified.citations))


@dataclass(frozen=True, slots=True)
class Library:
    """The knowledge base, the wording and the basis, from which every page is drawn."""

    knowledge: Knowledge
    basis: Basis
    templates: Templates
    about: Mapping[str, Any]

    def card(self, name: str) -> CardPage | None:
        """Return the page of a card by its key or topic code, None for any other name."""
        key = next((key for key in CardKey if name in {key.value, key.topic_code}), None)
        return None if key is None else self._page(key)

    def cards(self) -> tuple[CardPage, ...]:
        """Return the pages of all cards, in the order of their keys."""
        return tuple(map(self._page, CardKey))

    def limits(self) -> tuple[LimitShown, ...]:
        """Return every limit and look-back."""
        return self._limits(self.knowledge.thresholds)

    def factors(self) -> tuple[FactorShown, ...]:
        """Return every factor."""
        limits = self.knowledge.thresholds
        return tuple(
            FactorShown(
                one, tuple(limits[i] for i in one.look_backs), self._verified(one.check, one.citations)
            )
            for one in self.knowledge.factors.values()
        )

    def medicines(self) -> tuple[MedicineShown, ...]:
        """Return every drug class that a medicine card flags."""
        classes = self.knowledge.drug_classes
        return tuple(self._medicine(group) for group, found in classes.items() if found.is_flagged)

    def _page(self, key: CardKey) -> CardPage:
        basis = self.basis.cards[key]
        statements = tuple(self._statement(one) for one in self.basis.statements_of(key))
        limits = self._limits(basis.limits)
        return CardPage(
            key=key,
            subject=self.templates.cards[key].topic,
            rule=self._rule(key),
            project_rules=tuple(map(self._rule, basis.rules)),
            basis=basis,
            limits=tuple(one for one in limits if not _is_look_back(one)),
            look_backs=tuple(one for one in limits if _is_look_back(one)),
            recommendations=tuple(one for one in statements if one.statement.strength),
            statements=tuple(one for one in statements if not one.statement.strength),
            medicines=tuple(self._medicines_of(key)),
            factors=tuple(self._factors_of(key)),
            changes=self.basis.changes_of(key),
        )

    def _rule(self, rule_id: str) -> RuleShown:
        rule = self.knowledge.rules[rule_id]
        return RuleShown(rule_id, rule.text, self._verified(rule.check, rule.citations))

    def _limits(self, ids: Iterable[str]) -> tuple[LimitShown, ...]:
        found = (self.knowledge.thresholds[limit] for limit in ids)
        return tuple(LimitShown(one, self._verified(one.check, one.citations)) for one in found)

    def _statement(self, one: Statement) -> StatementShown:
        return StatementShown(one, self._verified(one.check, one.citations))

    def _medicine(self, group: str) -> MedicineShown:
        found = self.knowledge.drug_classes[group]
        names = sorted(
            one.name
            for one in self.knowledge.ingredients.values()
            if group in one.groups and (one.is_flagged or not found.is_flagged) and not one.is_inactive_alone
        )
        return MedicineShown(found, tuple(names), self._verified(found.check, found.citations))

    def _medicines_of(self, key: CardKey) -> Iterator[MedicineShown]:
        if key is CardKey.DRUG_01:
            yield from self.medicines()
        yield from (self._medicine(group) for group in _MEDICINE_CLASSES.get(key, ()))

    def _factors_of(self, key: CardKey) -> Iterator[FactorShown]:
        """Yield the closed list, where the rule of a card counts findings."""
        if key is CardKey.SCREEN_01:
            yield from (one for one in self.factors() if one.factor.is_opening)

    def _verified(self, check: Check, citations: Iterable[str]) -> Verified:
        sources = tuple(self.knowledge.citations[name] for name in citations)
        return Verified(_CHECKED[check], check.awaits_review, sources)


def _is_look_back(limit: LimitShown) -> bool:
    return limit.threshold.id.startswith(_WINDOW)


def load_library(knowledge: Knowledge) -> Library:
    """Return the library of a knowledge base, with the packaged wording."""
    text = files("cds_service.basis").joinpath("about.toml").read_text(encoding="utf-8")
    return Library(knowledge, basis_of(knowledge), packaged_templates(), tomllib.loads(text))
