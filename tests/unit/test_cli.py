"""The command line: what it prints, where it writes, and its exit codes."""

import gc
import json
import logging
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from socket import socketpair
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from gunicorn.http import errors
from hypothesis import given
from hypothesis import strategies as st

from cds_service.assess import Answer
from cds_service.cli import main
from cds_service.cli.commands import ProblemsFoundError, answer_text, report
from cds_service.cli.explain import cards_text, explain_text, line_width
from cds_service.cli.server import JsonErrorWorker, Server, error_answer, options
from cds_service.cli.shift import WRITTEN_FOR, shift_dates
from cds_service.clinical.assessment import Assessment, Outcome, RlsStatus
from cds_service.clinical.facts import Facts
from cds_service.explain.model import (
    Explanation,
    FactorTold,
    InputTold,
    IssueTold,
    KnowledgeTold,
    NotShown,
    RestlessLegs,
    Seen,
    SourceRef,
)
from cds_service.protocol.responses import Action, Card, Source, Suggestion
from cds_service.resources import fixtures_dir
from cds_service.settings import Settings


def run(*arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(
        main, arguments, input=stdin, env={"RLS_CDS_AS_OF": "2026-11-22", **(env or {})}
    )


def fixture(name: str) -> str:
    return str(fixtures_dir() / name / "request.json")


def age_on(day: date, birth: date) -> int:
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


# ------------------------------------------------------------------------------------------ evaluate


def test_evaluate_prints_the_cards() -> None:
    result = run("evaluate", fixture("readme-patient"))
    assert result.exit_code == 0
    assert re.match(r"\[(info|warning)\] ", result.stdout)


def test_evaluate_reads_standard_input_and_prints_the_answer_as_sent() -> None:
    body = Path(fixture("readme-patient")).read_bytes()
    result = run("evaluate", "-", "--json", stdin=body)
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert list(answer) == ["cards"]
    assert answer["cards"]


def test_evaluate_takes_the_day_of_assessment() -> None:
    on_time = run("evaluate", fixture("readme-patient"), "--as-of", "2026-11-22").stdout
    later = run("evaluate", fixture("readme-patient"), "--as-of", "2029-11-22").stdout
    assert on_time == run("evaluate", fixture("readme-patient")).stdout
    assert later != on_time


def test_evaluate_explains() -> None:
    result = run("evaluate", fixture("readme-patient"), "--explain")
    assert result.exit_code == 0
    for heading in (
        "Restless legs syndrome: documented; patient group: adult; contributing factors found",
        "Factors present",
        "Factors unknown",
        "Cards not shown",
    ):
        assert heading in result.stdout
    as_json = json.loads(run("evaluate", fixture("readme-patient"), "--explain", "--json").stdout)
    assert set(as_json) == {"cards", "extension"}
    told = as_json["extension"]["org.rls-iron-cds.explain"]
    assert (told["version"], told["restlessLegs"]["status"]) == (1, "documented")


def test_missing_data_is_exit_code_3() -> None:
    result = run("evaluate", fixture("sandbox-no-prefetch"))
    assert result.exit_code == 3
    assert "Required data is missing" in result.stderr
    assert result.stdout == ""
    explained = run("evaluate", fixture("sandbox-no-prefetch"), "--explain")
    assert explained.exit_code == 3
    assert "not asked" in explained.stdout
    as_sent = json.loads(run("evaluate", fixture("sandbox-no-prefetch"), "--json").stdout)
    assert as_sent["resourceType"] == "OperationOutcome"
    both = json.loads(run("evaluate", fixture("sandbox-no-prefetch"), "--json", "--explain").stdout)
    assert both["operationOutcome"] == as_sent
    told = both["extension"]["org.rls-iron-cds.explain"]
    assert (told["outcome"], told["missing"]) == (
        "required data missing",
        ["patient data", "laboratory results"],
    )
    assert {card["outcome"] for card in told["cardsNotShown"]} == {"not reached"}


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("evaluate", "-"), b""),
        (("evaluate", "-"), b"{}"),
        (("evaluate", "-"), b"\xff"),
        (("evaluate", fixture("sandbox-order-sign-r4")), b""),
        (("evaluate", "no-such-file.json"), b""),
        (("evaluate", "-", "--as-of", "yesterday"), b"{}"),
        (("evaluate",), b""),
        (("fixtures",), b""),
        (("no-such-command",), b""),
    ],
)
def test_unusable_input_is_exit_code_2(arguments: tuple[str, ...], stdin: bytes) -> None:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [("serve",), ("evaluate", "-"), ("fixtures", "--out", "x")])
def test_a_bad_setting_is_exit_code_2(command: tuple[str, ...], tmp_path: Path) -> None:
    arguments = tuple(str(tmp_path / part) if part == "x" else part for part in command)
    result = run(*arguments, env={"RLS_CDS_MAX_BODY": "much"})
    assert result.exit_code == 2
    assert "RLS_CDS_MAX_BODY" in result.stderr


def test_help_and_version() -> None:
    assert "Exit codes" in run("--help").stdout
    assert run("--version").stdout.startswith("rls-cds, version ")


def test_knowledge_lint_finds_nothing() -> None:
    result = run("knowledge", "lint")
    assert result.exit_code == 0, result.stdout
    assert "nothing to mend" in result.stdout


def test_knowledge_review_lists_what_no_primary_source_was_read_for() -> None:
    result = run("knowledge", "review")
    assert result.exit_code == 0
    *lines, last = result.stdout.splitlines()
    assert (
        "V2 rule IRON-05: Adults: between 75 and 100 ng/mL iron by vein only; that 100 is included is a "
        "project rule [AASM25]"
    ) in lines
    assert any(line.startswith("M limit tsat.high: 45 %: ") for line in lines)
    assert any("(strong, certainty moderate) [AASM25]" in line for line in lines)
    assert any(line.startswith("M factor drug.tca: ") for line in lines)
    assert any(line.startswith("M drug class LITHIUM: ") and line.endswith("[no source]") for line in lines)
    assert all(line.startswith(("V2 ", "M ")) for line in lines)
    assert last.endswith(f"{len(lines)} await clinical review")


def test_problems_are_printed_and_are_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ProblemsFoundError, match="knowledge: 2 to mend") as caught:
        report(["threshold x: is not cited", "rule y: is missing"], "knowledge")
    assert caught.value.exit_code == 1
    assert capsys.readouterr().out.splitlines() == ["threshold x: is not cited", "rule y: is missing"]


# ----------------------------------------------------------------------------------------- explaining

SEEN = Seen(
    text="ferritin 20 ng/mL", source=SourceRef(resource_type="Observation", id="f1"), date="2026-11-01"
)
TOLD = Explanation(
    day=date(2026, 11, 22),
    outcome="answered",
    knowledge=KnowledgeTold(version="2026.11.0", hash="0123456789ab"),
    restless_legs=RestlessLegs(status="possible"),
    group="adult",
    data={
        "patient": "answered",
        "ironResults": "failed",
        "conditions": "not asked",
        "allergies": "not asked",
    },
    iron_results={"ferritin": "failed"},
    cards_not_shown=(
        NotShown(card="IRON-01", topic_code="IRON01", outcome="not met", reason="a ferritin is on record"),
        NotShown(card="GATE-01", topic_code="GATE01", outcome="not reached", reason="RLS is on record"),
        NotShown(card="IRON-02", topic_code="IRON02", outcome="not met", reason="a ferritin is on record"),
    ),
    factors=(
        FactorTold(
            id="iron.low",
            name="low ferritin",
            presence="present",
            weight="A",
            check="V1",
            awaits_review=False,
            evidence=(SEEN,),
        ),
        FactorTold(
            id="drug.ssri",
            name="SSRI",
            presence="present",
            weight="A",
            check="V1",
            awaits_review=False,
            evidence=(
                Seen(
                    text="sertraline",
                    source=SourceRef(resource_type="MedicationStatement"),
                    recognised="by text",
                    is_possible=True,
                ),
            ),
        ),
        FactorTold(
            id="neuropathy",
            name="neuropathy",
            presence="absent",
            weight="B",
            check="M",
            awaits_review=True,
        ),
        FactorTold(
            id="pregnancy",
            name="pregnancy",
            presence="unknown",
            weight="A",
            check="V1",
            awaits_review=False,
            reason="Conditions were not read",
        ),
    ),
    rules=(),
    inputs=(
        InputTold(name="ferritin", presence="present", value="20 ng/mL", evidence=(SEEN,)),
        InputTold(name="pregnancy", presence="unknown"),
        InputTold(name="iron by mouth", presence="absent"),
        InputTold(name="iron by vein", presence="absent"),
    ),
    limits=(),
    issues=(
        IssueTold(resource_type="Observation", kind="skipped", detail="status", count=2),
        IssueTold(resource_type="Condition", kind="search failed"),
    ),
)
ASSESSMENT = Assessment(
    rls=RlsStatus.POSSIBLE,
    is_plmd_only=False,
    outcome=Outcome.ANSWERED,
    cards=(),
    withheld=(),
    factors=(),
    sources=frozenset(),
)
ANSWER = Answer((), ASSESSMENT, Facts(None, {}, {}), explanation=TOLD)


EXPLANATION = """\
Restless legs syndrome: possible; patient group: adult

Data
----
  answered:   patient
  failed:     ironResults
  not asked:  conditions, allergies

Factors present
---------------
  low ferritin [iron.low, weight A]
      ferritin 20 ng/mL, 2026-11-01 (Observation/f1)
  SSRI [drug.ssri, weight A]
      sertraline, by text, possible (MedicationStatement/(no id))

Factors absent (looked for and not there)
-----------------------------------------
  neuropathy

Factors unknown (not read, or not decidable)
--------------------------------------------
  pregnancy [pregnancy, weight A]: Conditions were not read

What the rules read
-------------------
  ferritin: 20 ng/mL
      ferritin 20 ng/mL, 2026-11-01 (Observation/f1)
  absent: iron by mouth, iron by vein
  unknown: pregnancy

Cards not shown
---------------
  IRON-01, IRON-02
      not met: a ferritin is on record
  GATE-01
      not reached: RLS is on record

Cleaned up or skipped while reading
-----------------------------------
  Observation: skipped (status), 2 times
  Condition: search failed"""


def test_an_explanation_reads_as_it_should() -> None:
    assert explain_text(TOLD, 80) == EXPLANATION


def test_an_explanation_without_findings_says_none() -> None:
    bare = TOLD.model_copy(update={"factors": (), "inputs": (), "cards_not_shown": (), "issues": ()})
    text = explain_text(bare, 80)
    assert text.count("  none") == 5
    assert "Cleaned up" not in text


def test_an_answer_is_printed_with_the_explanation_that_it_has() -> None:
    assert answer_text(ANSWER).startswith(
        "No card: the service has nothing to say.\n\nRestless legs syndrome:"
    )
    assert answer_text(replace(ANSWER, explanation=None)) == "No card: the service has nothing to say."


def test_cards_are_wrapped_and_their_suggestions_listed() -> None:
    action = Action(type="create", description="d", resource={"resourceType": "ServiceRequest"})
    card = Card(
        summary="Ferritin 20 ng/mL: low for RLS",
        detail="First line of the detail that is long enough to be wrapped.\n\n- an item, long enough also",
        indicator="warning",
        source=Source(label="s"),
        suggestions=(Suggestion(label="Order ferritin", actions=(action,)),),
        selection_behavior="any",
    )
    assert cards_text(replace(ANSWER, cards=(card,)), 40).splitlines() == [
        "[warning] Ferritin 20 ng/mL: low for RLS",
        "",
        "    First line of the detail that is",
        "    long enough to be wrapped.",
        "",
        "    - an item, long enough also",
        "",
        "    > Order ferritin",
    ]
    bare = Card(summary="Ferritin 20 ng/mL", indicator="info", source=Source(label="s"))
    assert cards_text(replace(ANSWER, cards=(bare,)), 80) == "[info] Ferritin 20 ng/mL"
    assert cards_text(replace(ANSWER, cards=()), 80) == "No card: the service has nothing to say."
    unread = replace(
        ASSESSMENT,
        outcome=Outcome.REQUIRED_DATA_MISSING,
        missing=("patient data", "laboratory results"),
    )
    told = cards_text(Answer((), unread, ANSWER.facts), 80)
    assert told == "No assessment: not available were patient data and laboratory results."
    assert 60 <= line_width() <= 100


# ------------------------------------------------------------------------------------------- fixtures


def test_fixtures_are_written_with_their_dates_moved(tmp_path: Path) -> None:
    result = run("fixtures", "--as-of", "2029-11-22", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0
    written = sorted((tmp_path / "out").rglob("*.json"))
    assert len(written) >= 25
    assert result.stdout.startswith(f"{len(written)} sample requests written to ")
    for path in written:
        assert json.loads(path.read_text(encoding="utf-8"))["hookInstance"]


@pytest.mark.parametrize("day", ["2029-11-22", "2028-02-29", "2026-01-01"])
@pytest.mark.parametrize("name", ["readme-patient", "us-core-child", "iv-iron-recheck", "stale-result"])
def test_a_moved_fixture_gives_the_same_cards_on_its_day(tmp_path: Path, name: str, day: str) -> None:
    run("fixtures", "--as-of", day, "--out", str(tmp_path))
    moved = json.loads(
        run("evaluate", str(tmp_path / name / "request.json"), "--as-of", day, "--json").stdout
    )
    original = json.loads(run("evaluate", fixture(name), "--json").stdout)
    assert [(card["indicator"], card["source"]["topic"]["code"]) for card in moved["cards"]] == [
        (card["indicator"], card["source"]["topic"]["code"]) for card in original["cards"]
    ]


def test_fixtures_stay_as_they_are_on_their_own_day(tmp_path: Path) -> None:
    run("fixtures", "--as-of", WRITTEN_FOR.isoformat(), "--out", str(tmp_path))
    for path in tmp_path.rglob("*.json"):
        assert path.read_bytes() == (fixtures_dir() / path.relative_to(tmp_path)).read_bytes()


def test_a_folder_that_cannot_be_written_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "readme-patient").write_text("", encoding="utf-8")
    assert run("fixtures", "--out", str(tmp_path)).exit_code == 2


@pytest.mark.parametrize(
    ("written", "to", "moved"),
    [
        ('{"effectiveDateTime": "2026-11-01"}', date(2026, 11, 23), '{"effectiveDateTime": "2026-11-02"}'),
        (
            '{"issued":"2026-10-30T08:15:00.5+01:00"}',
            date(2026, 11, 20),
            '{"issued":"2026-10-28T08:15:00.5+01:00"}',
        ),
        (
            '{"event": ["2026-11-01", "2026-11-02 08:00"]}',
            date(2026, 11, 30),
            '{"event": ["2026-11-09", "2026-11-10 08:00"]}',
        ),
        ('{"onsetDateTime": "2026-10"}', date(2029, 8, 18), '{"onsetDateTime": "2029-07"}'),
        ('{"onsetDateTime": "2026-12"}', date(2026, 12, 1), '{"onsetDateTime": "2027-01"}'),
        ('{"start": "2024"}', date(2029, 8, 18), '{"start": "2027"}'),
        ('{"birthDate": "2008-11"}', date(2029, 8, 18), '{"birthDate": "2011-08"}'),
        ('{"authoredOn": "2026-02-30"}', date(2029, 8, 18), '{"authoredOn": "2026-02-30"}'),
        ('{"authoredOn": "2026-13"}', date(2029, 8, 18), '{"authoredOn": "2026-13"}'),
        ('{"authoredOn": "9999-12-31"}', date(2029, 8, 18), '{"authoredOn": "9999-12-31"}'),
        (
            '{"value": 2024, "code": "2024", "id": "2026-10"}',
            date(2029, 8, 18),
            '{"value": 2024, "code": "2024", "id": "2026-10"}',
        ),
        ('["2024", "2024-10"]', date(2029, 8, 18), '["2024", "2024-10"]'),
        (
            '{"text": "since 2026-11-01", "a": "[\\"2026-11-01\\"]"}',
            date(2029, 8, 18),
            '{"text": "since 2026-11-01", "a": "[\\"2026-11-01\\"]"}',
        ),
        ('{"value": 74.80, "code": "2276-4"}', date(2029, 8, 18), '{"value": 74.80, "code": "2276-4"}'),
    ],
)
def test_dates_move_and_nothing_else(written: str, to: date, moved: str) -> None:
    assert shift_dates(written, to) == moved


@given(
    st.dates(date(1900, 1, 1), WRITTEN_FOR),
    st.dates(date(2020, 1, 1), date(2060, 12, 31)),
)
def test_a_birth_date_keeps_the_age(birth: date, to: date) -> None:
    moved = date.fromisoformat(
        json.loads(shift_dates(json.dumps({"birthDate": birth.isoformat()}), to))["birthDate"]
    )
    assert age_on(to, moved) == age_on(WRITTEN_FOR, birth)


@given(st.dates(date(1990, 1, 1), date(2027, 1, 1)), st.dates(date(2020, 1, 1), date(2060, 12, 31)))
def test_a_day_keeps_its_distance(day: date, to: date) -> None:
    moved = json.loads(shift_dates(json.dumps({"date": day.isoformat()}), to))["date"]
    assert (to - date.fromisoformat(moved)) == (WRITTEN_FOR - day)


# --------------------------------------------------------------------------------------------- server


@pytest.mark.parametrize(("host", "bind"), [("127.0.0.1", "127.0.0.1:8080"), ("::1", "[::1]:8080")])
def test_the_server_is_configured_by_the_settings(host: str, bind: str) -> None:
    chosen = options(Settings(host=host, workers=3))
    assert (chosen["bind"], chosen["workers"], chosen["preload_app"]) == (bind, 3, True)


def test_an_error_outside_the_application_is_a_whole_answer() -> None:
    head, _, body = error_answer(RuntimeError("Zq7CANARYx"), Settings()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"CANARY" not in body
    assert json.loads(body)["resourceType"] == "OperationOutcome"


WORKER = SimpleNamespace(app=SimpleNamespace(settings=Settings()))


def test_no_page_may_read_an_error_outside_the_application_in_production() -> None:
    assert b"Access-Control-Allow-Origin: *" in error_answer(RuntimeError(), Settings())
    answer = error_answer(RuntimeError(), Settings.model_construct(environment="production"))
    assert b"Access-Control" not in answer
    assert b"Cache-Control: no-store" in answer


def test_the_server_takes_the_options_and_builds_the_application_once() -> None:
    built = []

    def build() -> Flask:
        built.append(Flask("built"))
        return built[-1]

    server = Server(Settings(port=8099, threads=3), build)
    assert (server.cfg.address, server.cfg.threads) == ([("127.0.0.1", 8099)], 3)
    try:
        assert server.wsgi() is server.wsgi() is built[0]
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
    assert len(built) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequestLine("Zq7CANARYx"), b"400 Bad Request"),
        (errors.LimitRequestLine(5, 4), b"414 URI Too Long"),
        (errors.LimitRequestHeaders("x"), b"431 Request Header Fields Too Large"),
        (errors.UnsupportedTransferCoding("x"), b"501 Not Implemented"),
    ],
)
def test_what_is_no_http_is_answered_in_json(error: Exception, status: bytes) -> None:
    ours, theirs = socketpair()
    with ours, theirs:
        JsonErrorWorker.handle_error(WORKER, None, ours, None, error)
        answer = theirs.recv(4096)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert b"Access-Control-Allow-Origin: *" in answer
    assert b"CANARY" not in answer


def test_a_client_that_is_gone_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socketpair()
    theirs.close()
    ours.close()
    worker = SimpleNamespace(log=logging.getLogger("test"), app=WORKER.app)
    caplog.set_level(logging.DEBUG, "test")
    JsonErrorWorker.handle_error(worker, None, ours, None, errors.InvalidRequestLine("x"))
    assert "gone" in caplog.text


@pytest.mark.parametrize("arguments", [["serve"], ["evaluate", "-"]])
def test_a_clients_file_with_a_fault_ends_the_command(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clients.toml"
    file.write_text('[[clients]]\nname = "x"\nmore = 1\n', encoding="utf-8")
    monkeypatch.setenv("RLS_CDS_CLIENTS", str(file))
    result = CliRunner().invoke(main, arguments, input="{}")
    assert result.exit_code == 2
    assert "RLS_CDS_CLIENTS: clients[0].more" in result.output


# --------------------------------------------------------------------------------------------- codes
CODES = """kind,system,code,target_system,target_code,unit
laboratory,urn:oid:2.999.1,FERR,LOINC,2276-4,ug/L
laboratory,urn:oid:2.999.1,FERR2,LOINC,2276-4,
laboratory,,TSAT,LOINC,2502-3,
medicine,urn:oid:2.999.2,8812,ATC,N06AB06,
"""


def test_codes_check_tells_what_a_code_map_maps(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text(CODES, encoding="utf-8")
    result = run("codes", "check", str(file))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "laboratory: 3",
        "  ferritin (2276-4)  2",
        "  tsat (2502-3)      1",
        "medicine: 1",
        "  sertraline (N06AB06)  1",
        "with a unit for results that carry none: 1",
        "without a system, for codings that have none: 1",
        f"{file}: nothing to mend",
    ]


def test_codes_check_names_only_what_there_is(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("kind,system,code,target_system,target_code\norder,urn:x,P,LOINC,50190-8\n", "utf-8")
    result = run("codes", "check", str(file))
    assert result.stdout.splitlines() == [
        "order: 1",
        "  iron panel (50190-8)  1",
        f"{file}: nothing to mend",
    ]


def test_codes_check_tells_every_fault_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text(CODES.replace("TSAT", "").replace("N06AB06", "?"), encoding="utf-8")
    result = run("codes", "check", str(file))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "line 4: code: is empty",
        "line 5: target_code: is not known to the knowledge base as a medicine of its lists",
    ]
    assert "2 to mend" in result.stderr


def test_codes_check_of_a_file_that_cannot_be_read_is_unusable(tmp_path: Path) -> None:
    result = run("codes", "check", str(tmp_path / "none.csv"))
    assert result.exit_code == 2
    assert "cannot be read (FileNotFoundError)" in result.stderr


def test_evaluate_explains_what_the_code_map_told() -> None:
    clients = str(fixtures_dir() / "local-codes" / "clients.toml")
    result = run("evaluate", "--explain", fixture("local-codes"), env={"RLS_CDS_CLIENTS": clients})
    told = " ".join(result.stdout.split())
    assert "ferritin 28 ng/mL, 2026-11-10, by code (site map) (Observation/example-local-01)" in told
    assert "sertraline, 2026-02-01, by code (site map) (MedicationStatement/example-local-02)" in told
    assert "restless legs syndrome (condition/example-local-01)" in told.lower()
