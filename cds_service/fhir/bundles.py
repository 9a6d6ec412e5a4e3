"""What the wrapping of resources says: links, total and entries of a Bundle, the severity of an outcome."""

import re
from collections.abc import Sequence

import msgspec

from cds_service.clinical.facts import NeedState
from cds_service.fhir import lean
from cds_service.fhir.answers import Contents, read_self_link
from cds_service.fhir.decoding import (
    UNREADABLE,
    Head,
    HeadEntry,
    Place,
    ResourceStore,
    list_of,
    text_of,
)
from cds_service.fhir.quantities import parse_number
from cds_service.knowledge import Terminology

_NO_DATA = frozenset({"warning", "information", "success"})
# Warnings that something was left out or not looked at (FHIR IssueType).
_INCOMPLETE = frozenset(
    {
        *("incomplete", "suppressed", "too-costly", "timeout", "throttled"),
        *("forbidden", "security", "lock-error", "transient"),
    }
)
_MOST = 1_000_000_000
_GOOD = re.compile(r"\s*2\d\d(?!\d)")
_ENTRY_NAMES = frozenset({"entry", "entries", "entrys"})


class _Response(msgspec.Struct, gc=False):
    status: str | None = None
    outcome: msgspec.Raw = lean.ABSENT


_link = msgspec.json.Decoder(lean.Link)
_outcome_issues = msgspec.json.Decoder(list[lean.OutcomeIssue])
_outcome = msgspec.json.Decoder(Head | None)
_response = msgspec.json.Decoder(_Response | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_given(raw: msgspec.Raw) -> bool:
    """Whether a raw element is there and neither null nor empty."""
    return bytes(raw) not in (b"", b"null", b'""')


def modifier_of(bundle: Head) -> str:
    """Return the element by which a Bundle may mean something else than it says, "" for none."""
    if is_given(bundle.implicitRules):
        return "implicitRules"
    extension = bytes(bundle.modifierExtension)
    is_empty = extension in (b"", b"null") or (extension[:1] == b"[" and not extension[1:-1].strip())
    return "" if is_empty else "modifierExtension"


def degrade(contents: Contents, state: NeedState) -> None:
    """Note that a value answers no further than `state`."""
    contents.is_failed |= state is NeedState.FAILED
    contents.is_cut_off |= state is NeedState.CUT_OFF


def read_links(bundle: Head, contents: Contents, terminology: Terminology) -> None:
    """Note what the links of a Bundle show: the search behind it, and whether another page follows."""
    raw = bundle.link
    # What cannot be read may have been the link to the next page.
    contents.is_cut_off |= is_given(raw) and bytes(raw)[:1] != b"["
    for one in list_of(raw):
        try:
            link = _link.decode(one)
        except UNREADABLE:
            contents.is_cut_off = True
            continue
        relation = (link.relation or "").strip().lower()
        if relation == "next":
            contents.next_url = link.url or ""
        elif relation == "self":
            contents.self_link = read_self_link(link.url, terminology)


def entries_of(
    bundle: Head, contents: Contents, store: ResourceStore, place: Place
) -> Sequence[HeadEntry | None]:
    """Return the entries of the Bundle at `place`, after a look for some under a misspelt name."""
    if not bundle.entry and _has_misnamed_entries(store.text(place)):
        contents.is_cut_off = True
    return bundle.entry or ()


def outcome_state(outcome: Head) -> NeedState:
    """Return how far a search was answered that brought this OperationOutcome.

    Error, fatal and nothing readable mean failed. A warning that something was left out means cut off;
    any other says no more than "nothing found".
    """
    try:
        issues = _outcome_issues.decode(outcome.issue)
    except UNREADABLE:
        return NeedState.FAILED
    severities = {(issue.severity or "").lower() for issue in issues}
    if not severities or not severities <= _NO_DATA:
        return NeedState.FAILED
    codes = {(issue.code or "").strip().lower() for issue in issues}
    return NeedState.CUT_OFF if codes & _INCOMPLETE else NeedState.ANSWERED


def response_state(raw: msgspec.Raw) -> NeedState:
    """Return how far an entry was answered by the response that it reports (batch-response, history)."""
    try:
        response = _response.decode(raw)
        outcome = _outcome.decode(response.outcome) if response and is_given(response.outcome) else None
    except UNREADABLE:
        return NeedState.FAILED
    if response is None:
        return NeedState.ANSWERED
    if response.status is not None and not _GOOD.match(response.status):
        return NeedState.FAILED
    return NeedState.ANSWERED if outcome is None else outcome_state(outcome)


def total_of(bundle: Head) -> int | None:
    """Return how many matches a Bundle announces, 0 when it does not say, None when that is unreadable."""
    if not is_given(bundle.total):
        return 0
    text = text_of(bundle.total)
    number = parse_number(bytes(bundle.total).decode("utf-8", "replace") if text is None else text.strip())
    if number is None or number < 0 or number != number.to_integral_value():
        return None
    return _MOST if number > _MOST else int(number)


def _has_misnamed_entries(raw: bytes) -> bool:
    try:
        members = _members.decode(raw)
    except UNREADABLE:
        return False
    return any(name != "entry" and name.strip().lower() in _ENTRY_NAMES for name in members)
