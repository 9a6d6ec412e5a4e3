"""What goes back to the client: discovery and cards, with the conditional rules of the specification.

Attributes have Python names here and the specification's names in JSON; both are taken as arguments.
"""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

MAX_SUMMARY = 139
"""Characters of a card's summary, counted as UTF-16 units since clients count as JavaScript does."""

EXPLANATION = "org.rls-iron-cds.explain"
"""The member of `extension` under which an answer carries its explanation (docs/explain.md)."""

_MAY_BE_EMPTY = frozenset({"cards", "services"})
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def _is_uuid(value: str) -> str:
    if str(uuid.UUID(value)) != value:
        raise ValueError("is not a lower-case UUID")
    return value


def _fits_summary(value: str) -> str:
    if len(value.encode("utf-16-le")) // 2 > MAX_SUMMARY:
        raise ValueError(f"is longer than {MAX_SUMMARY} characters")
    if value.splitlines() != [value]:
        raise ValueError("has more than one line")
    return value


Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$")]
SecureUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+(/\S*)?$")]
Uuid = Annotated[str, AfterValidator(_is_uuid)]
Summary = Annotated[Text, AfterValidator(_fits_summary)]


class _Wire(BaseModel):
    """Base of all answers: frozen, nothing unknown, camel case in JSON."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Coding(_Wire):
    """A code of a system; an override reason needs `display` as well."""

    code: Text
    system: Text
    display: Text | None = None


class Source(_Wire):
    """Where the advice of a card comes from; `topic` is what clients lock a card out by."""

    label: Text
    url: Url | None = None
    icon: Url | None = None
    topic: Coding | None = None


class Action(_Wire):
    """One change of the record that a suggestion offers."""

    type: Literal["create", "update", "delete"]
    description: Text
    resource: Mapping[str, Any] | None = None
    resource_id: Text | None = None

    @model_validator(mode="after")
    def _has_its_resource(self) -> Self:
        is_delete = self.type == "delete"
        if is_delete is (self.resource is not None) or is_delete is (self.resource_id is None):
            raise ValueError(
                "create and update need a resource, delete needs a resourceId, and neither has both"
            )
        return self


class Suggestion(_Wire):
    """Something that the reader may accept with one click."""

    label: Text
    uuid: Uuid | None = None
    is_recommended: bool | None = None
    actions: tuple[Action, ...] = ()


class LinkModel(_Wire):
    """A link of a card; only a SMART app takes a context."""

    label: Text
    url: SecureUrl
    type: Literal["absolute", "smart"] = "absolute"
    app_context: Text | None = None

    @model_validator(mode="after")
    def _context_only_for_apps(self) -> Self:
        if self.app_context is not None and self.type != "smart":
            raise ValueError("appContext belongs to links of type smart")
        return self


class Card(_Wire):
    """One card; `detail` is GitHub-Flavored Markdown."""

    uuid: Uuid | None = None
    summary: Summary
    detail: Text | None = None
    indicator: Literal["info", "warning", "critical"]
    source: Source
    suggestions: tuple[Suggestion, ...] = ()
    selection_behavior: Literal["at-most-one", "any"] | None = None
    override_reasons: tuple[Coding, ...] = ()
    links: tuple[LinkModel, ...] = ()
    extension: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _keeps_the_conditions(self) -> Self:
        if bool(self.suggestions) is (self.selection_behavior is None):
            raise ValueError("selectionBehavior stands beside suggestions and only there")
        recommended = sum(1 for suggestion in self.suggestions if suggestion.is_recommended)
        if self.selection_behavior == "at-most-one" and recommended > 1:
            raise ValueError("only one of several exclusive suggestions can be recommended")
        if any(reason.display is None for reason in self.override_reasons):
            raise ValueError("an override reason needs a display")
        return self


class CardsResponse(_Wire):
    """The answer of a hook; an empty list says that there is nothing to say."""

    cards: tuple[Card, ...]
    extension: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _tells_cards_apart(self) -> Self:
        known = [card.uuid for card in self.cards if card.uuid is not None]
        if len(set(known)) != len(known):
            raise ValueError("two cards have the same uuid")
        return self


class Service(_Wire):
    """One service in the discovery answer."""

    hook: Text
    title: Text
    description: Text
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]+$")]
    prefetch: Mapping[str, str] = Field(default_factory=dict)
    usage_requirements: Text | None = None


class Discovery(_Wire):
    """The answer of the discovery endpoint."""

    services: tuple[Service, ...]


def to_json(model: BaseModel) -> bytes:
    """Return the JSON of an answer without null or empty members, but for `cards` and `services`."""
    return _ENCODER.encode(to_plain(model))


def to_plain(model: BaseModel) -> dict[str, Any]:
    """Return the answer as plain dictionaries and lists, pruned as in `to_json`."""
    dumped = model.model_dump(by_alias=True)
    return {**{name: [] for name in _MAY_BE_EMPTY if name in dumped}, **_pruned(dumped)}


def _pruned(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = ((name, _pruned(member)) for name, member in value.items())
        return {name: member for name, member in members if not _is_empty(member)}
    if isinstance(value, list | tuple):
        return [item for item in map(_pruned, value) if not _is_empty(item)]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | dict | list) and not value)
