"""The audit log: valid events without a word of the record, in a chain that shows every change."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fhir.resources.R4B.auditevent import AuditEvent

from cds_service.adapters.audit_check import purge, verify
from cds_service.adapters.audit_log import START, ChainedLog, Head, chains, line_hash
from cds_service.audit import AuditFact, AuditKind, AuditOutcome, CallIdentity, audit_event
from cds_service.cli import main
from cds_service.ports import AuditUnavailableError

WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
CALL = CallIdentity("hook-1", "p1", "Practitioner/7", "north")
KEY = b"k" * 32
SERVER = "https://e.example.org/fhir"


def fact(kind: AuditKind = AuditKind.CALL, when: datetime = WHEN) -> AuditFact:
    return AuditFact(kind, when, AuditOutcome.SUCCESS, CALL, cards=("card-1",), versions="v1")


def quiet(head: Head) -> None:
    """Take a head and tell nobody."""
    assert head.number > 0


def written(folder: Path, count: int = 3, key: bytes = b"") -> list[Head]:
    heads: list[Head] = []
    log = ChainedLog(folder, key=key, told=heads.append)
    for _ in range(count):
        log.record(fact())
    return heads


def only_file(folder: Path) -> Path:
    ((path,),) = chains(folder).values()
    return path


# ------------------------------------------------------------------------------------------------ events
@pytest.mark.parametrize("kind", list(AuditKind))
@pytest.mark.parametrize("call", [CALL, None, CallIdentity("h", "p", "dr. who", "")])
def test_every_event_is_valid_fhir(kind: AuditKind, call: CallIdentity | None) -> None:
    made = AuditFact(
        kind, WHEN, AuditOutcome.MINOR_FAILURE, call, "https://e.example.org/fhir", "Patient/p", reason="x"
    )
    event = AuditEvent.model_validate(audit_event(made))
    assert event.outcome == "4"
    assert event.recorded == WHEN


def test_a_search_names_patient_query_and_both_sides() -> None:
    made = audit_event(
        AuditFact(
            AuditKind.SEARCH,
            WHEN,
            AuditOutcome.SUCCESS,
            CALL,
            "https://e.example.org/fhir",
            "Observation?patient=p1",
        )
    )
    assert made["subtype"][0]["code"] == "search-type"
    assert [agent["who"] for agent in made["agent"]] == [
        {"display": "rls-iron-cds"},
        {"display": "https://e.example.org/fhir"},
        {"reference": "Practitioner/7"},
    ]
    patient, request, query = made["entity"]
    assert patient["what"] == {"reference": "Patient/p1"}
    assert request["what"]["identifier"]["value"] == "hook-1"
    assert query["query"] == "T2JzZXJ2YXRpb24/cGF0aWVudD1wMQ=="


def test_a_call_names_the_client_and_its_cards() -> None:
    made = audit_event(fact())
    assert made["agent"][0]["who"] == {"display": "north"}
    assert made["entity"][-1]["detail"] == [
        {"type": "card", "valueString": "card-1"},
        {"type": "versions", "valueString": "v1"},
    ]


def test_a_refusal_names_nobody() -> None:
    made = audit_event(AuditFact(AuditKind.REFUSAL, WHEN, AuditOutcome.SERIOUS_FAILURE, reason="expired"))
    assert (made["type"]["code"], made["outcome"], made["outcomeDesc"]) == ("110114", "8", "expired")
    assert "entity" not in made


def test_a_refusal_tells_whose_token_it_would_have_been() -> None:
    failure = AuditOutcome.SERIOUS_FAILURE
    made = audit_event(AuditFact(AuditKind.REFUSAL, WHEN, failure, reason="expired", issuer="https://e.org"))
    AuditEvent.model_validate(made)
    assert made["agent"][0]["who"] == {"display": "not authenticated"}
    assert made["entity"][0]["detail"] == [{"type": "issuer named", "valueString": "https://e.org"}]


# ------------------------------------------------------------------------------------------------- chain
@pytest.mark.parametrize("key", [b"", KEY])
def test_an_untouched_chain_is_whole(tmp_path: Path, key: bytes) -> None:
    (head,) = written(tmp_path, 3, key)
    (checked,) = verify(tmp_path, key=key)
    assert (checked.first, checked.head.number, checked.faults) == (1, 3, ())
    assert (head.number, head.chain) == (1, checked.head.chain)
    assert only_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_head_is_told_again_and_again(tmp_path: Path) -> None:
    assert [head.number for head in written(tmp_path, 201)] == [1, 101, 201]


@pytest.mark.parametrize("place", range(3))
def test_one_changed_byte_is_seen(tmp_path: Path, place: int) -> None:
    written(tmp_path)
    path = only_file(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[place] = lines[place].replace(b'"outcome":"0"', b'"outcome":"8"')
    path.write_bytes(b"".join(lines))
    (checked,) = verify(tmp_path)
    assert any(f"line {place + 1}: not as it was written" in fault for fault in checked.faults)


@pytest.mark.parametrize("change", ["cut", "swap", "double", "garbage", "first"])
def test_a_line_that_is_gone_moved_doubled_or_broken_is_seen(tmp_path: Path, change: str) -> None:
    written(tmp_path)
    path = only_file(tmp_path)
    one, two, three = path.read_bytes().splitlines(keepends=True)
    kept = {
        "cut": [one, three],
        "swap": [one, three, two],
        "double": [one, two, two, three],
        "garbage": [one, b"x\n", three],
        "first": [json.dumps({**json.loads(one), "previous": "1" * 64}).encode() + b"\n", two, three],
    }[change]
    path.write_bytes(b"".join(kept))
    assert verify(tmp_path)[0].faults


def test_a_rewritten_line_is_seen_by_who_holds_the_key(tmp_path: Path) -> None:
    written(tmp_path, 1, KEY)
    path = only_file(tmp_path)
    line = {**json.loads(path.read_bytes()), "event": {}}
    path.write_text(json.dumps({**line, "hash": line_hash(line, b"")}), encoding="ascii")
    assert verify(tmp_path, key=KEY)[0].faults
    assert not verify(tmp_path, key=b"")[0].faults


def test_a_chain_goes_on_through_the_days_and_may_lose_old_ones(tmp_path: Path) -> None:
    log = ChainedLog(tmp_path, told=quiet)
    for day in (20, 21, 22):
        log.record(fact(when=WHEN.replace(day=day)))
    ((*_, last),) = chains(tmp_path).values()
    assert json.loads(last.read_bytes())["n"] == 3
    removed = purge(tmp_path, today=date(2026, 11, 22), days=1)
    assert [path.name[-17:-7] for path in removed] == ["2026-11-20"]
    checked, removals = verify(tmp_path)
    assert (checked.first, checked.head.number, checked.faults) == (2, 3, ())
    assert (removals.head.chain, removals.head.number, removals.faults) == ("purged", 1, ())


def test_each_process_writes_a_chain_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ChainedLog(tmp_path, told=quiet)
    log.record(fact())
    monkeypatch.setattr("os.getpid", lambda: -1)
    log.record(fact())
    log.record(fact())
    assert sorted(checked.head.number for checked in verify(tmp_path)) == [1, 2]
    assert not any(checked.faults for checked in verify(tmp_path))


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    log = ChainedLog(tmp_path / "gone", told=quiet)
    with pytest.raises(AuditUnavailableError, match="FileNotFoundError"):
        log.record(fact())


def test_half_a_line_on_a_full_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    log = ChainedLog(tmp_path, told=quiet)
    log.record(fact())
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda descriptor, line: whole(descriptor, line[:50]))
        with pytest.raises(AuditUnavailableError, match="no room"):
            log.record(fact())
    log.record(fact())
    (checked,) = verify(tmp_path)
    assert (checked.head.number, checked.faults) == (2, ())


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path)
    path = only_file(tmp_path)
    (tmp_path / "notes.txt").write_text("x", encoding="ascii")
    assert len(verify(tmp_path)) == 1
    assert purge(tmp_path, today=date(2030, 1, 1), days=1) == [path]
    assert sorted(left.name for left in tmp_path.iterdir()) == ["notes.txt", "purged.ndjson"]


# ------------------------------------------------------------- heads that were noted, and retention
Lines = list[dict[str, Any]]


def lines_in(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def rewrite(path: Path, lines: Lines, key: bytes) -> None:
    """Write lines as somebody would who can compute their hashes."""
    previous, made = lines[0]["previous"], []
    for line in lines:
        whole = {**line, "previous": previous}
        previous = line_hash(whole, key)
        made.append(json.dumps({**whole, "hash": previous}) + "\n")
    path.write_text("".join(made), "ascii")


@pytest.mark.parametrize("key", [b"", KEY])
@pytest.mark.parametrize("heads_noted", [True, False])
def test_events_that_were_taken_from_the_beginning_are_missed(
    tmp_path: Path, key: bytes, *, heads_noted: bool
) -> None:
    heads = written(tmp_path, 150, key)
    path = only_file(tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[120:]))
    faults = " ".join(verify(tmp_path, key=key, heads=heads if heads_noted else ())[0].faults)
    assert "line 1: begins at event 121; retention removed none after 0" in faults
    for number in (1, 101):
        assert (f"event {number} was noted and is missing" in faults) is heads_noted


@pytest.mark.parametrize("key", [b"", KEY])
def test_a_log_that_was_written_anew_has_other_hashes_than_were_noted(tmp_path: Path, key: bytes) -> None:
    heads = written(tmp_path, 150, key)
    path = only_file(tmp_path)
    changed = json.loads(path.read_text("ascii").replace("\n", ",").rstrip(",").join("[]"))
    for line in changed:
        line["event"]["agent"][2]["who"] = {"reference": "Practitioner/8"}
    rewrite(path, changed, key)
    assert verify(tmp_path, key=key)[0].faults == ()
    (checked,) = verify(tmp_path, key=key, heads=heads)
    told = [f"{checked.head.chain}: event {n} has another hash than was noted" for n in (1, 101)]
    assert list(checked.faults) == told


def over_days(folder: Path, key: bytes = b"") -> list[Head]:
    """Write one event on each of three days, and return all heads."""
    log = ChainedLog(folder, key=key, told=quiet)
    for day in (20, 21, 22):
        log.record(fact(when=WHEN.replace(day=day)))
    return [
        Head(line["chain"], line["n"], line["hash"]) for one in day_files(folder) for line in lines_in(one)
    ]


def day_files(folder: Path) -> list[Path]:
    ((_, paths),) = chains(folder).items()
    return paths


@pytest.mark.parametrize("key", [b"", KEY])
def test_what_retention_removed_is_not_missed_and_nothing_else(tmp_path: Path, key: bytes) -> None:
    heads = over_days(tmp_path, key)
    purge(tmp_path, today=date(2026, 11, 22), days=1, key=key)
    assert not any(one.faults for one in verify(tmp_path, key=key, heads=heads))
    day_files(tmp_path)[0].unlink()
    checked, _ = verify(tmp_path, key=key)
    assert "begins at event 3; retention removed none after 1" in checked.faults[0]
    noted, _ = verify(tmp_path, key=key, heads=heads[1:])
    assert not any("event 2" in fault for fault in noted.faults)  # its hash stands in the line after it
    day_files(tmp_path)[0].unlink()
    _, gone = verify(tmp_path, key=key, heads=heads)
    assert gone.faults == tuple(f"{heads[0].chain}: ends at event 1, event {n} was noted" for n in (2, 3))


def test_a_chain_that_retention_removed_whole_is_not_missed(tmp_path: Path) -> None:
    heads = over_days(tmp_path)
    purge(tmp_path, today=date(2026, 11, 23), days=1)
    purge(tmp_path, today=date(2026, 11, 30), days=1)
    removals, checked = verify(tmp_path, heads=heads)
    assert (removals.head.number, removals.faults) == (2, ())
    assert (checked.first, checked.head, checked.faults) == (0, heads[-1], ())


@pytest.mark.parametrize("change", ["other hash", "other number", "nonsense", "cut"])
def test_what_retention_removed_is_a_chain_itself(tmp_path: Path, change: str) -> None:
    heads = over_days(tmp_path, KEY)
    purge(tmp_path, today=date(2026, 11, 22), days=1, key=KEY)
    path = tmp_path / "purged.ndjson"
    (line,) = lines_in(path)
    event = {
        "other hash": {**line["event"], "hash": START},
        "other number": {**line["event"], "number": 2},
        "nonsense": {"chain": 1},
        "cut": {},
    }[change]
    path.write_text(json.dumps({**line, "event": event}) + "\n" if change != "cut" else "", "ascii")
    faults = " ".join(fault for one in verify(tmp_path, key=KEY, heads=heads) for fault in one.faults)
    assert ("purged.ndjson, line 1: not as it was written" in faults) is (change != "cut")
    assert {"other hash": "event 1 has another hash", "other number": "event 2 has another hash"}.get(
        change, "begins at event 2; retention removed none after 0"
    ) in faults


@pytest.mark.parametrize("member", ["n", "chain", "previous", "hash", "event"])
@pytest.mark.parametrize("value", [None, True, [], "x", 1.5])
def test_a_line_of_any_shape_is_a_fault_and_no_crash(tmp_path: Path, member: str, value: object) -> None:
    written(tmp_path, 2)
    path = only_file(tmp_path)
    one, two = lines_in(path)
    broken = {**one, member: value}
    lines = [
        json.dumps({**broken, "hash": line_hash(broken, b"")} if member != "hash" else broken),
        json.dumps(two),
    ]
    path.write_text("\n".join([*lines, "[" * 100_000]) + "\n", "ascii")
    (checked,) = verify(tmp_path)
    assert any("line 1: " in fault for fault in checked.faults)
    assert any("line 3: not as it was written" in fault for fault in checked.faults)
    del broken[member]
    path.write_text(json.dumps(broken) + "\n", "ascii")
    assert verify(tmp_path)[0].faults


def test_events_in_another_order_than_their_times_stay_one_chain(tmp_path: Path) -> None:
    log = ChainedLog(tmp_path, told=quiet)
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    for milliseconds in (-2000, 1, -1, 1000):
        log.record(fact(when=midnight + timedelta(milliseconds=milliseconds)))
    log.record(fact(when=midnight - timedelta(days=3)))
    (checked,) = verify(tmp_path)
    assert (checked.head.number, checked.faults) == (5, ())
    assert [len(lines_in(path)) for path in day_files(tmp_path)] == [1, 4]


# ---------------------------------------------------------------------------------------------- commands
@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RLS_CDS_AUDIT", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", *arguments])


def test_the_command_verifies_and_compares_noted_heads(folder: Path) -> None:
    (noted,) = written(folder, 2)
    (checked,) = verify(folder)
    good = run("verify", "--head", str(noted), "--head", str(checked.head))
    assert good.exit_code == 0
    assert f"{checked.head.chain}: events 1 to 2, head {checked.head}" in good.output
    later = run("verify", "--head", f"{checked.head.chain}:3:{START}")
    assert (later.exit_code, "ends at event 2, event 3 was noted" in later.output) == (1, True)
    other = run("verify", "--head", f"{checked.head.chain}:2:{START}")
    assert (other.exit_code, "event 2 has another hash than was noted" in other.output) == (1, True)
    lost = run("verify", "--head", f"{'0' * 32}:1:{START}")
    assert (lost.exit_code, "ends at event 0" in lost.output) == (1, True)
    assert run("verify", "--head", "nonsense").exit_code == 2


def test_a_folder_in_which_nothing_can_be_noted_is_not_purged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder)
    (folder / "purged.ndjson").mkdir()
    monkeypatch.setenv("RLS_CDS_AS_OF", "2030-01-01")
    result = run("purge")
    assert (result.exit_code, "nothing can be removed" in result.output) == (2, True)
    assert only_file(folder).exists()


def test_the_command_finds_a_change(folder: Path) -> None:
    written(folder)
    path = only_file(folder)
    path.write_bytes(path.read_bytes().replace(b"card-1", b"card-2", 1))
    result = run("verify")
    assert (result.exit_code, "not as it was written" in result.output) == (1, True)


def test_the_command_removes_what_is_past_its_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder)
    monkeypatch.setenv("RLS_CDS_AS_OF", "2026-11-24")
    monkeypatch.setenv("RLS_CDS_AUDIT_DAYS", "2")
    assert "0 files removed" in run("purge").output
    monkeypatch.setenv("RLS_CDS_AUDIT_DAYS", "1")
    assert "1 files removed, older than 1 days." in run("purge").output
    assert chains(folder) == {}


@pytest.mark.parametrize(
    ("value", "reason"), [("", "names no folder"), ("/no/such/folder", "no such folder")]
)
def test_a_command_without_its_folder_says_so(
    value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLS_CDS_AUDIT", value)
    result = run("verify")
    assert (result.exit_code, reason in result.output) == (2, True)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "FileNotFoundError"), (b"short", "at least 32 bytes")]
)
def test_a_key_that_is_none_is_refused(
    content: bytes | None, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = folder / "key"
    if content is not None:
        key.write_bytes(content)
    monkeypatch.setenv("RLS_CDS_AUDIT_KEY_FILE", str(key))
    result = run("verify")
    assert (result.exit_code, reason in result.output) == (2, True)


def test_a_keyed_log_is_verified_with_its_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder, 2, KEY)
    (folder / "key").write_bytes(KEY + b"\n")
    assert run("verify").exit_code == 1
    monkeypatch.setenv("RLS_CDS_AUDIT_KEY_FILE", str(folder / "key"))
    assert run("verify").exit_code == 0
