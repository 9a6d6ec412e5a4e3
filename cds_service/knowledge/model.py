"""The shapes of the knowledge base: dated, cited values that the rules look up by id."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from cds_service.knowledge.code_map import CodeMap
from cds_service.knowledge.terminology import Terminology

_DAY = "d"
# How a reader says a unit of UCUM; any other stands as it is.
_UNIT_WORDS = {"d": " days", "a": " years", "h": " hours", "1": ""}


class Check(StrEnum):
    """How far a fact was verified."""

    V1 = "V1"  # primary source read
    V2 = "V2"  # secondary source only
    M = "M"  # from memory
    P = "P"  # project rule: no source gives it

    @property
    def awaits_review(self) -> bool:
        """Whether a clinician has to confirm the fact before it is treated as settled."""
        return self in {Check.V2, Check.M}


@dataclass(frozen=True, slots=True)
class Citation:
    """A published source with its official address."""

    id: str
    reference: str
    url: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit or a look-back: exact value, unit, since when it applies, and what it rests on.

    `local` is the range of days, both ends included, in which a site may set a look-back; None where it
    may not. `is_set_locally` tells that it did.
    """

    id: str
    value: Decimal
    unit: str
    valid_from: date
    citations: tuple[str, ...]
    check: Check
    text: str
    local: tuple[int, int] | None = None
    is_set_locally: bool = False

    @property
    def words(self) -> str:
        """Return the value as texts name it ("365 days")."""
        unit = _UNIT_WORDS.get(self.unit, f" {self.unit}")
        return f"{self.value}{unit.removesuffix('s') if self.value == 1 else unit}"

    @property
    def awaits_review(self) -> bool:
        """Whether the value waits for clinical review."""
        return self.check.awaits_review


@dataclass(frozen=True, slots=True)
class FactorDefinition:
    """A factor: the groups that show it, its weight (A to D), and the line that cards print.

    `action` says what a clinician can do, `detected` how a record shows it; `look_backs` are the thresholds
    that say how old what shows it may be, none for what stays true. `is_opening`: on the closed list that
    opens a record whose problem list was not read.
    """

    id: str
    name: str
    weight: str
    groups: frozenset[str]
    drug_groups: frozenset[str]
    ingredients: frozenset[str]
    is_opening: bool
    line: str
    action: str
    detected: str
    look_backs: tuple[str, ...]
    citations: tuple[str, ...]
    check: Check

    @property
    def awaits_review(self) -> bool:
        """Whether the factor waits for clinical review."""
        return self.check.awaits_review


@dataclass(frozen=True, slots=True)
class DrugClass:
    """A drug class, by the group of its value set."""

    group: str
    name: str
    is_flagged: bool
    factor_id: str
    why: str
    alternative: str
    taper_caution: bool
    citations: tuple[str, ...]
    check: Check


@dataclass(frozen=True, slots=True)
class Ingredient:
    """An ingredient; `is_inactive_alone` for one that only supports another."""

    name: str
    groups: frozenset[str]
    is_flagged: bool
    is_strongest: bool
    is_inactive_alone: bool


@dataclass(frozen=True, slots=True)
class RuleDefinition:
    """The rule behind a card, or a project rule that a card names.

    `wording` is the text as the data file has it, with the look-backs that it names in braces.
    """

    id: str
    text: str
    citations: tuple[str, ...]
    check: Check
    wording: str = ""

    @property
    def awaits_review(self) -> bool:
        """Whether the rule waits for clinical review."""
        return self.check.awaits_review


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The whole knowledge base; `hash` covers every data file."""

    version: str
    date: date
    hash: str
    citations: Mapping[str, Citation]
    thresholds: Mapping[str, Threshold]
    factors: Mapping[str, FactorDefinition]
    drug_classes: Mapping[str, DrugClass]
    ingredients: Mapping[str, Ingredient]
    rules: Mapping[str, RuleDefinition]
    terminology: Terminology

    def with_code_map(self, code_map: CodeMap) -> "Knowledge":
        """Return the knowledge as it reads the records of a client with codes of its own."""
        if not code_map:
            return self
        return replace(self, terminology=self.terminology.with_code_map(code_map))

    def threshold(self, threshold_id: str) -> Decimal:
        """Return the value of a threshold in its own unit; raises KeyError for an unknown id."""
        return self.thresholds[threshold_id].value

    @property
    def windows(self) -> Mapping[str, str]:
        """Return every look-back in words, by its id."""
        return {i: found.words for i, found in self.thresholds.items() if found.unit == _DAY}

    def days(self, threshold_id: str) -> int:
        """Return the value of a look-back in days; raises KeyError for an unknown id."""
        return int(self.thresholds[threshold_id].value)
