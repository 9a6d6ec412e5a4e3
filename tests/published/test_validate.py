"""The run of the validator fails on what it must fail on; `make validate-fhir` is the run itself."""

import pytest

from tests.published.validate import SUPPRESSED, Message, Suppression, report, samples, suppressions

ONE = Message("WARNING", "ValueSet-rls.json", "ValueSet", "", "A system is not here")


def entry(**changes: str) -> Suppression:
    row = {"severity": "WARNING", "file": "ValueSet-.*", "message": "A system is not here", "reason": "why"}
    text = "\n".join(f"{name} = '{value}'" for name, value in (row | changes).items())
    return suppressions(f"[[suppressed]]\n{text}")[0]


def test_a_listed_message_is_counted_and_told_with_its_reason() -> None:
    lines, faults = report([ONE, ONE], [entry()])
    assert faults == []
    assert lines == ["suppressed 2 x WARNING A system is not here\n    because why"]


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": "ERROR"},
        {"file": "ValueSet-osa.*"},
        {"message": "A system"},
    ],
)
def test_any_other_message_and_an_entry_without_one_are_faults(changes: dict[str, str]) -> None:
    _, faults = report([ONE], [entry(**changes)])
    assert faults[0] == "WARNING ValueSet-rls.json ValueSet: A system is not here"
    assert faults[1].startswith("no longer occurs: ")


def test_a_broken_file_that_is_not_refused_is_a_fault() -> None:
    refused = Message("ERROR", "broken-a.json", "", "", "no")
    warned = Message("WARNING", "broken-b.json", "", "", "hm")
    _, faults = report([refused, warned], [], ["broken-a.json", "broken-b.json"])
    assert faults == ["broken-b.json was not refused"]


def test_every_entry_of_the_list_has_a_reason_of_some_length() -> None:
    known = suppressions(SUPPRESSED.read_text(encoding="utf-8"))
    assert known
    assert all(len(one.reason) > 20 for one in known)


def test_an_audit_event_of_every_kind_is_validated() -> None:
    names = [name for name, _ in samples()]
    assert len(set(names)) == len(names) == 16
