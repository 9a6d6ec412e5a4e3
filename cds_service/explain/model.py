"""The explanation as it goes out: version 1 of what docs/explain.md describes.

A field is added without a new version; one that changes its meaning or goes away raises it. Empty fields are
left out of the answer, so every field that can be empty has a default.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

VERSION: Literal[1] = 1

Presence = Literal["present", "absent", "unknown"]
Check = Literal["V1", "V2", "M", "P"]
State = Literal["answered", "cut off", "failed", "not asked"]
Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class _Told(BaseModel):
    """Base of all parts: frozen, nothing unknown, camel case in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class SourceRef(_Told):
    """The resource that something was read from; of the Patient the type alone."""

    resource_type: str
    id: str | None = None


class Seen(_Told):
    """One piece of evidence: what the record says, when, and how it was recognised, if not by code."""

    text: str
    source: SourceRef
    date: str | None = None
    recognised: Literal["by code (site map)", "by text"] | None = None
    is_possible: bool = False


class FactorTold(_Told):
    """One factor of the knowledge base."""

    id: str
    name: str
    presence: Presence
    weight: Literal["A", "B", "C", "D"]
    check: Check
    awaits_review: bool
    citations: tuple[str, ...] = ()
    action: str = ""
    reason: str = ""
    evidence: tuple[Seen, ...] = ()


class InputTold(_Told):
    """Something that rules read, by its name."""

    name: str
    presence: Presence
    value: str = ""
    evidence: tuple[Seen, ...] = ()


class LimitTold(_Told):
    """A limit or look-back that a rule of this explanation names."""

    id: str
    value: Number
    unit: str
    check: Check
    valid_from: date


class RuleTold(_Told):
    """One rule of the knowledge base: that of a card, or a project rule that cards name."""

    id: str
    text: str
    outcome: Literal["shown", "held back", "not met", "not reached"]
    check: Check
    awaits_review: bool
    citations: tuple[str, ...] = ()
    reason: str = ""
    conditions: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


class CardTold(_Told):
    """A card of the answer: its key, its code, and what decided it."""

    card: str
    topic_code: str
    indicator: Literal["info", "warning", "critical"]
    form: str
    rules: tuple[str, ...]


class NotShown(_Told):
    """A card that is not in the answer, and why."""

    card: str
    topic_code: str
    outcome: Literal["held back", "not met", "not reached"]
    reason: str


class IssueTold(_Told):
    """Something that was cleaned up or skipped while the record was read; it holds no value."""

    resource_type: str
    kind: str
    detail: str = ""
    count: int = 1


class RestlessLegs(_Told):
    """What the record says about restless legs syndrome."""

    status: Literal["documented", "possible", "ruled out", "unknown", "not recorded"]
    is_limb_movements_alone: bool = False
    presentation: str = ""
    sources: tuple[SourceRef, ...] = ()


class KnowledgeTold(_Told):
    """Which knowledge base decided."""

    version: str
    hash: str


class Explanation(_Told):
    """Why an answer is as it is."""

    version: Literal[1] = VERSION
    day: date
    outcome: Literal["answered", "required data missing"]
    knowledge: KnowledgeTold
    restless_legs: RestlessLegs
    group: Literal["adult", "child", "pregnant", "esrd", "open"]
    missing: tuple[str, ...] = ()
    data: dict[str, State]
    iron_results: dict[str, State]
    cards: tuple[CardTold, ...] = ()
    cards_not_shown: tuple[NotShown, ...] = ()
    factors: tuple[FactorTold, ...]
    rules: tuple[RuleTold, ...]
    inputs: tuple[InputTold, ...]
    limits: tuple[LimitTold, ...]
    issues: tuple[IssueTold, ...] = ()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an explanation; fields that a later release may add pass."""
    made = Explanation.model_json_schema()
    for part in (made, *made["$defs"].values()):
        part.pop("additionalProperties", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:rls-iron-cds:explain:{VERSION}",
        **made,
    }
