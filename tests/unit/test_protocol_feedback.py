"""Feedback as the specification, the public sandbox and Epic send it."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cds_service.protocol.errors import BadRequest
from cds_service.protocol.feedback import MAX_ENTRIES, FeedbackEntry, FeedbackRequest, parse_feedback
from tests.footprint import peak_of

CANARY = "Zq7CANARYx"
CARD = "4e0a3a1e-3283-4575-ab82-028d55fe2719"
SUGGESTION = "e56e1945-20b3-4393-8503-a1a20fd73152"


def accepted(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "card": CARD,
        "outcome": "accepted",
        "acceptedSuggestions": [{"id": SUGGESTION}],
        "outcomeTimestamp": "2026-11-22T08:48:20.329Z",
    }
    return {name: value for name, value in {**entry, **changes}.items() if value is not ...}


def overridden(**changes: Any) -> dict[str, Any]:
    return accepted(**{"outcome": "overridden", "acceptedSuggestions": ..., **changes})


def parse(*entries: object) -> FeedbackRequest:
    return parse_feedback(json.dumps({"feedback": entries}).encode())


def test_an_accepted_suggestion_is_read() -> None:
    (entry,) = parse(accepted()).feedback
    assert (entry.card, entry.outcome) == (CARD, "accepted")
    assert entry.accepted_suggestions is not None
    assert [suggestion.id for suggestion in entry.accepted_suggestions] == [SUGGESTION]
    assert entry.outcome_timestamp == datetime(2026, 11, 22, 8, 48, 20, 329_000, UTC)


def test_many_entries_also_twice_for_a_card_and_none_are_taken() -> None:
    assert len(parse(accepted(), overridden(), accepted()).feedback) == 3
    assert parse().feedback == ()


@pytest.mark.parametrize(
    ("name", "reason", "code"),
    [
        ("overrideReason", {"reason": {"code": "declined", "system": "https://x.example.org/r"}}, "declined"),
        (
            "overrideReason",
            {"reason": {"code": "c", "system": "s", "display": "d"}, "userComment": "no"},
            "c",
        ),
        ("overrideReasons", {"reason": {"code": "c", "system": "https://x.example.org/over ride"}}, "c"),
        ("overrideReasons", {"extension": {"com.epic.cdshooks.feedback.overrideReason.id": 3}}, None),
        ("overrideReason", {}, None),
    ],
)
def test_reasons_are_read_as_vendors_send_them(name: str, reason: object, code: str | None) -> None:
    (entry,) = parse(overridden(**{name: reason})).feedback
    assert entry.override_reason is not None
    assert (entry.override_reason.reason.code if entry.override_reason.reason else None) == code


def test_an_override_needs_no_reason_and_unknown_members_are_ignored() -> None:
    (entry,) = parse(overridden(overrideReason=None, more=[1], acceptedSuggestions=None)).feedback
    assert entry.override_reason is None


def test_a_long_comment_is_cut_and_never_shown() -> None:
    comment = CANARY + "x" * 9000
    (entry,) = parse(overridden(overrideReason={"userComment": comment})).feedback
    assert entry.override_reason is not None
    assert entry.override_reason.user_comment == comment[:4096]
    assert CANARY not in repr(entry)


@pytest.mark.parametrize(
    "entry",
    [
        accepted(card=...),
        accepted(card=""),
        accepted(card="  "),
        accepted(card=5),
        accepted(outcome=...),
        accepted(outcome=CANARY),
        accepted(outcomeTimestamp=...),
        accepted(acceptedSuggestions=...),
        accepted(acceptedSuggestions=[]),
        accepted(acceptedSuggestions=None),
        accepted(acceptedSuggestions=[{}]),
        accepted(acceptedSuggestions=[{"id": 5}]),
        accepted(acceptedSuggestions={"id": CANARY}),
        overridden(overrideReason=CANARY),
        overridden(overrideReason={"reason": {"code": CANARY}}),
        overridden(overrideReason={"userComment": [CANARY]}),
        CANARY,
        None,
    ],
)
def test_a_wrong_entry_refuses_the_call_without_repeating_it(entry: object) -> None:
    with pytest.raises(BadRequest, match=r"Not as CDS Hooks asks: feedback\.1") as caught:
        parse(accepted(), entry)
    assert CANARY not in str(caught.value)


def test_what_was_told_is_not_changed_and_what_is_free_text_is_not_shown() -> None:
    (entry,) = parse(overridden(overrideReason={"extension": {"a": CANARY}})).feedback
    assert entry.override_reason is not None
    assert entry.override_reason.extension == {"a": CANARY}
    assert CANARY not in repr(entry)
    with pytest.raises(ValidationError):
        entry.card = "another"  # type: ignore[misc]  # that is what is tried


def test_an_error_of_a_model_does_not_repeat_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        FeedbackEntry.model_validate(accepted(outcome=CANARY))
    assert CANARY not in str(caught.value)


def test_members_have_the_names_of_the_specification_alone() -> None:
    with pytest.raises(BadRequest, match=r"feedback\.0\.outcomeTimestamp\.$"):
        parse(accepted(outcomeTimestamp=..., outcome_timestamp="2026-11-22T08:48:20Z"))


def test_a_repeated_member_is_told_with_its_place() -> None:
    with pytest.raises(BadRequest, match=r"^A member of the request is repeated\.$"):
        parse_feedback(b'{"feedback": [], "feedback": []}')


def test_the_first_five_wrong_members_are_told_and_no_more() -> None:
    named = "feedback.1.acceptedSuggestions.0.id, feedback.1.acceptedSuggestions.1.id, feedback.1.card, "
    wrong = {"outcome": "no", "outcomeTimestamp": "no"}
    with pytest.raises(BadRequest) as caught:
        parse(accepted(), accepted(card="", acceptedSuggestions=[{}, {}], overrideReason=5, **wrong))
    assert str(caught.value) == (
        f"Not as CDS Hooks asks: {named}feedback.1.outcome, feedback.1.outcomeTimestamp."
    )


@pytest.mark.parametrize(
    "entry_of",
    [
        lambda name: accepted(card=name),
        lambda name: accepted(acceptedSuggestions=[{"id": name}]),
        lambda name: overridden(overrideReason={"reason": {"code": name, "system": "s"}}),
        lambda name: overridden(overrideReason={"reason": {"code": "c", "system": name}}),
    ],
    ids=["card", "suggestion", "code", "system"],
)
def test_a_name_has_1_to_1024_characters(entry_of: Callable[[str], dict[str, Any]]) -> None:
    assert len(parse(entry_of("n"), entry_of("n" * 1024)).feedback) == 2
    for name in ("", "n" * 1025):
        with pytest.raises(BadRequest):
            parse(entry_of(name))


def test_so_many_cards_and_suggestions_are_taken_and_no_more() -> None:
    many = [{"id": SUGGESTION}] * MAX_ENTRIES
    assert len(parse(*[accepted(acceptedSuggestions=many)] * MAX_ENTRIES).feedback) == MAX_ENTRIES
    with pytest.raises(BadRequest, match="more than 100 cards"):
        parse(*[accepted()] * (MAX_ENTRIES + 1))
    with pytest.raises(BadRequest, match=r"feedback\.0\.acceptedSuggestions\.$"):
        parse(accepted(acceptedSuggestions=[*many, {"id": SUGGESTION}]))


MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize("value", [b"{}", b"0", b"[{}]", b'"x"'])
@pytest.mark.parametrize("place", [b'{"feedback":[@]}', b'{"feedback":[],"x":[@]}'])
@pytest.mark.parametrize("size", [MEBIBYTE // 4, 10 * MEBIBYTE])
def test_a_body_of_many_values_costs_neither_time_nor_memory(value: bytes, place: bytes, size: int) -> None:
    body = place.replace(b"@", b",".join([value] * (size // (len(value) + 1))))
    began = time.process_time()
    with peak_of() as peak:
        refused = is_refused(body)
    # A member that nobody knows is passed over, as long as it is small.
    assert refused is (b'"x"' not in place or size > MEBIBYTE)
    assert time.process_time() - began < 1
    assert peak.bytes < 150 * MEBIBYTE


def is_refused(body: bytes) -> bool:
    try:
        parse_feedback(body)
    except BadRequest:
        return True
    return False


def test_a_card_of_many_wrong_suggestions_costs_no_time() -> None:
    began = time.process_time()
    with pytest.raises(BadRequest, match="acceptedSuggestions"):
        parse(accepted(acceptedSuggestions=[{}] * 60_000))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"feedback": {}}', b'{"feedback": null}', b"1", b'"x"', b"null"]
)
def test_a_wrong_shape_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="Not as CDS Hooks asks: feedback"):
        parse_feedback(body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"feedback": [], "x": NaN}', b'{"feedback": [], "feedback": []}']
)
def test_feedback_is_strict_json(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_feedback(body)
    assert caught.value.code == "structure"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("1985-04-12T23:20:50.52Z", datetime(1985, 4, 12, 23, 20, 50, 520_000, UTC)),
        ("2026-11-22t08:33:16z", datetime(2026, 11, 22, 8, 33, 16, tzinfo=UTC)),
        ("2026-11-22 08:33:16+00:00", datetime(2026, 11, 22, 8, 33, 16, tzinfo=UTC)),
        ("2026-11-22T09:33:16.1234567+01:00", datetime(2026, 11, 22, 8, 33, 16, 123_456, UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_timestamps_are_read_in_utc(sent: str, read: datetime) -> None:
    assert parse(overridden(outcomeTimestamp=sent)).feedback[0].outcome_timestamp == read


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "2026-11-22",
        "2026-11-22T08:33:16",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "2026-11-22T24:00:00Z",
        "2026-11-22T08:33:61Z",
        "2026-11-22T08:33:16+99:00",
        "٢٠٢٦-11-22T08:33:16Z",
        1795337594,
        None,
        [],
    ],
)
def test_what_is_no_timestamp_is_refused(sent: object) -> None:
    with pytest.raises(BadRequest, match="outcomeTimestamp"):
        parse(overridden(outcomeTimestamp=sent))


@given(
    st.text(max_size=30)
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})")
)
def test_any_timestamp_is_read_or_refused(sent: str) -> None:
    try:
        read = parse(overridden(outcomeTimestamp=sent)).feedback[0].outcome_timestamp
    except BadRequest:
        return
    assert read.tzinfo is UTC
