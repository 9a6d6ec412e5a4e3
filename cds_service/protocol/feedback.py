"""What became of a card, as the client tells it (CDS Hooks 2.0.1, "Feedback").

Real senders differ from the text: the public sandbox leaves out `display`, Epic names the reasons
`overrideReasons`, gives some of them as extensions only, and has systems with a blank inside.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from cds_service.protocol.errors import BadRequest
from cds_service.protocol.jsonio import load_json, refuse_repeated

MAX_COMMENT = 4096
"""Characters kept of a comment; the rest is cut off, since a long comment must not lose the feedback."""
MAX_ENTRIES = 100
"""Cards of which one call may tell, and suggestions of a card; an answer of ours has two cards."""

_RFC_3339 = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<minute>[0-9]{2}:[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?P<fraction>\.[0-9]+)?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})",
)
_LEAP_SECOND = "60"


def _instant(value: object) -> datetime:
    """Return an RFC 3339 timestamp in UTC; raises ValueError."""
    match = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not an RFC 3339 timestamp")
    second = "59" if match["second"] == _LEAP_SECOND else match["second"]
    zone = match["zone"].upper()
    try:
        instant = datetime.fromisoformat(f"{match['day']}T{match['minute']}:{second}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not an RFC 3339 timestamp") from None
    return instant.replace(microsecond=int((match["fraction"] or ".0")[1:7].ljust(6, "0")))


def _cut_comment(value: object) -> object:
    return value[:MAX_COMMENT] if isinstance(value, str) else value


def _few(value: object) -> object:
    """Return a list of bounded length; raises ValueError before anything in a longer one is looked at."""
    if isinstance(value, list | tuple) and len(value) > MAX_ENTRIES:
        raise ValueError("too many")
    return value


Name = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"\S")]
Comment = Annotated[str, BeforeValidator(_cut_comment)]
Instant = Annotated[datetime, BeforeValidator(_instant)]


class _Told(BaseModel):
    """Base of what clients tell: unknown members are ignored, errors never repeat a value."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class AcceptedSuggestion(_Told):
    """A suggestion that was taken, by its uuid."""

    id: Name


class ReasonCoding(_Told):
    """The coded reason of an override; the system is not checked, blanks in it are real."""

    code: Name
    system: Name
    display: str | None = None


class OverrideReason(_Told):
    """Why a card was turned down; `reason` is missing where a vendor uses an extension in its place."""

    reason: ReasonCoding | None = None
    user_comment: Comment | None = Field(default=None, alias="userComment", repr=False)
    extension: object = Field(default=None, repr=False)


class FeedbackEntry(_Told):
    """What became of one card."""

    card: Name
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Instant = Field(alias="outcomeTimestamp")
    accepted_suggestions: Annotated[tuple[AcceptedSuggestion, ...] | None, BeforeValidator(_few)] = Field(
        default=None, alias="acceptedSuggestions"
    )
    override_reason: OverrideReason | None = Field(
        default=None,
        validation_alias=AliasChoices("overrideReason", "overrideReasons"),
    )

    @model_validator(mode="after")
    def _accepted_means_a_suggestion(self) -> Self:
        if self.outcome == "accepted" and not self.accepted_suggestions:
            raise ValueError("accepted needs acceptedSuggestions")
        return self


class FeedbackRequest(_Told):
    """One call of the feedback endpoint; it may tell of many cards, also twice of one."""

    feedback: tuple[FeedbackEntry, ...]


def parse_feedback(body: bytes) -> FeedbackRequest:
    """Return the checked feedback; raises `BadRequest`. The first wrong entry refuses the whole call.

    That nothing is taken from a refused call lets the client correct it and send it again as it is.
    """
    value = load_json(body)
    refuse_repeated(value, "the request")
    told = value.get("feedback") if isinstance(value, dict) else None
    if not isinstance(told, list):
        raise BadRequest("value", "Not as CDS Hooks asks: feedback.")
    if len(told) > MAX_ENTRIES:
        raise BadRequest("value", f"feedback tells of more than {MAX_ENTRIES} cards.")
    return FeedbackRequest(feedback=tuple(_entry(entry, place) for place, entry in enumerate(told)))


def _entry(entry: object, place: int) -> FeedbackEntry:
    try:
        return FeedbackEntry.model_validate(entry)
    except ValidationError as error:
        raise BadRequest("value", _where(error, place)) from None


def _where(error: ValidationError, place: int) -> str:
    """Return which known members are wrong; places and kinds only, never what was sent."""
    found = {".".join(str(part) for part in ("feedback", place, *item["loc"])) for item in error.errors()}
    return f"Not as CDS Hooks asks: {', '.join(sorted(found)[:5])}."
