"""The FHIR server behind the port, against a real server on the loopback address."""

import ipaddress
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from cds_service.adapters import egress, fhir_answers, fhir_server
from cds_service.adapters.egress import AddressRefusedError, Deadline, Dialer, is_callable, resolve
from cds_service.adapters.fhir_answers import pause_of
from cds_service.adapters.fhir_server import HttpRecordSource
from cds_service.addresses import ServerAddress, parse_address
from cds_service.ports import FetchedPages, FetchProblem, FhirAccess, NextPage, Query, Search
from tests.fakes.fhir_stub import FHIR_JSON, FhirStub, Json, Reply, Seen, fhir_stub, outcome, reply

TOKEN = "cANARY-token.7q"  # noqa: S105 - made up, to be looked for where it must not be
PATIENT: Json = {"resourceType": "Patient", "id": "p1"}
READ = Search("patient", "Patient", resource_id="p1")
CONDITIONS = Search("conditions", "Condition", (("patient", "p1"), ("_count", "200")))
EMPTY: Json = {"resourceType": "Bundle", "type": "searchset"}


def condition(number: int) -> Json:
    return {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": "Patient/p1"}}


@pytest.fixture
def stub() -> Iterator[FhirStub]:
    with fhir_stub([PATIENT, *(condition(number) for number in range(5))]) as running:
        yield running


def address_of(url: str) -> ServerAddress:
    address = parse_address(url)
    assert address is not None
    return address


def fetch(
    stub: FhirStub | str, *queries: Query, token: str | None = TOKEN, budget: float = 2.0
) -> tuple[FetchedPages, ...]:
    base = stub if isinstance(stub, str) else stub.base
    with HttpRecordSource().open(FhirAccess(address_of(base), token), budget_seconds=budget) as session:
        return session.fetch(queries)


def only(stub: FhirStub | str, query: Query = CONDITIONS, **how: Any) -> FetchedPages:
    (answer,) = fetch(stub, query, **how)
    assert answer.key == query.key
    return answer


def always(answer: Reply) -> Callable[[Seen], Reply]:
    return lambda _seen: answer


def in_turn(*answers: Reply | None) -> Callable[[Seen], Reply | None]:
    left = list(answers)
    return lambda _seen: left.pop(0) if left else None


# --------------------------------------------------------------------------------------- what is sent
def test_a_read_and_a_search_carry_token_and_media_type(stub: FhirStub) -> None:
    stub.token = TOKEN
    read, found = fetch(stub, READ, CONDITIONS)
    assert [json.loads(page) for page in read.pages] == [PATIENT]
    assert [entry["resource"]["id"] for entry in json.loads(found.pages[0])["entry"]] == [
        "c0",
        "c1",
        "c2",
        "c3",
        "c4",
    ]
    assert read.problem is found.problem is None
    for seen in stub.seen:
        assert seen.method == "GET"
        assert seen.headers["accept"].startswith("application/fhir+json")
        assert seen.headers["accept-encoding"] == "identity"
        assert seen.headers["cache-control"] == "no-cache"
        assert seen.headers["host"] == stub.base.split("/")[2]
        assert seen.headers["user-agent"].startswith("rls-iron-cds/")
        assert "cookie" not in seen.headers


def test_an_open_server_gets_no_authorization(stub: FhirStub) -> None:
    assert only(stub, token=None).problem is None
    assert all("authorization" not in seen.headers for seen in stub.seen)


def test_parameters_are_encoded_once(stub: FhirStub) -> None:
    code = "http://loinc.org|2276-4,http://loinc.org|2502-3"
    only(stub, Search("iron", "Observation", (("patient", "p1"), ("code", code), ("x", "a b&c=d+e"))))
    (seen,) = stub.seen
    assert seen.parameters == {"patient": "p1", "code": code, "x": "a b&c=d+e"}
    assert "%7C" in seen.target
    assert "|" not in seen.target


def test_nothing_comes_from_the_environment(
    stub: FhirStub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    stub.token = TOKEN
    assert only(stub).problem is None


def test_cookies_are_not_kept(stub: FhirStub) -> None:
    stub.behaviour = always(reply(EMPTY, headers={"Set-Cookie": "session=1; Path=/"}))
    with HttpRecordSource().open(FhirAccess(address_of(stub.base)), budget_seconds=2) as session:
        session.fetch([CONDITIONS])
        session.fetch([READ])
    assert all("cookie" not in seen.headers for seen in stub.seen)


@pytest.mark.parametrize("token", ["two words", "line\r\nX-Evil: 1", "", "schlüssel"])
def test_a_token_that_is_no_token_is_not_sent(stub: FhirStub, token: str) -> None:
    assert only(stub, token=token).problem is FetchProblem.REFUSED
    assert stub.seen == []


def test_connections_are_used_again_within_a_call(stub: FhirStub, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[object] = []
    dial = Dialer.dial
    monkeypatch.setattr(Dialer, "dial", lambda self: dialled.append(self) or dial(self))
    with HttpRecordSource().open(FhirAccess(address_of(stub.base)), budget_seconds=2) as session:
        for _ in range(3):
            session.fetch([READ])
    assert len(dialled) == 1
    fetch(stub, READ)
    assert len(dialled) == 2


# ------------------------------------------------------------------------------------- long searches
LONG = Search("iron", "Condition", (("patient", "p1"), ("_id", ",".join(f"c{n}" for n in range(600)))))


def test_a_long_search_is_posted(stub: FhirStub) -> None:
    assert len(json.loads(only(stub, LONG).pages[0])["entry"]) == 5
    (seen,) = stub.seen
    assert (seen.method, seen.path) == ("POST", "Condition/_search")
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert seen.parameters["patient"] == "p1"
    assert "?" not in seen.target


@pytest.mark.parametrize("status", [405, 414, 431])
def test_a_search_that_is_refused_as_get_is_posted(stub: FhirStub, status: int) -> None:
    stub.behaviour = lambda seen: outcome(status) if seen.method == "GET" else None
    assert only(stub).problem is None
    assert [seen.method for seen in stub.seen] == ["GET", "POST"]


@pytest.mark.parametrize("status", [404, 405, 415, 501])
def test_a_search_that_cannot_be_posted_is_tried_as_get(stub: FhirStub, status: int) -> None:
    stub.behaviour = lambda seen: outcome(status) if seen.method == "POST" else None
    assert only(stub, LONG).problem is None
    assert [seen.method for seen in stub.seen] == ["POST", "GET"]


def test_a_search_that_is_taken_in_no_form_fails(stub: FhirStub) -> None:
    stub.behaviour = always(outcome(405))
    assert only(stub).problem is FetchProblem.UNEXPECTED_STATUS
    assert len(stub.seen) == 2


def test_a_read_is_never_posted(stub: FhirStub) -> None:
    stub.behaviour = always(outcome(405))
    assert only(stub, READ).problem is FetchProblem.UNEXPECTED_STATUS
    assert len(stub.seen) == 1


# --------------------------------------------------------------------------------------------- pages
def test_every_page_is_read(stub: FhirStub) -> None:
    stub.page_size = 2
    answer = only(stub)
    ids = [entry["resource"]["id"] for page in answer.pages for entry in json.loads(page)["entry"]]
    assert ids == ["c0", "c1", "c2", "c3", "c4"]
    assert answer.problem is None


def test_pages_are_read_on_from_a_link(stub: FhirStub) -> None:
    stub.page_size = 2
    answer = only(stub, NextPage("conditions", f"{stub.base}/Condition?patient=p1&_start=2"))
    assert [len(json.loads(page)["entry"]) for page in answer.pages] == [2, 1]


def bundle(*urls: str, entries: int = 0) -> Json:
    return {
        **EMPTY,
        "link": [{"relation": "next", "url": url} for url in urls],
        "entry": [{"resource": condition(number)} for number in range(entries)],
    }


def test_a_loop_of_links_ends(stub: FhirStub) -> None:
    stub.behaviour = lambda seen: reply(
        bundle(f"{stub.base}/Condition?page={'b' if seen.target.endswith('a') else 'a'}")
    )
    answer = only(stub)
    assert answer.problem is FetchProblem.TOO_MANY_PAGES
    assert len(answer.pages) == len(stub.seen) == 3


def test_pages_without_end_are_bounded(stub: FhirStub) -> None:
    stub.behaviour = lambda _seen: reply(bundle(f"{stub.base}/Condition?page={len(stub.seen)}"))
    answer = only(stub)
    assert answer.problem is FetchProblem.TOO_MANY_PAGES
    assert len(answer.pages) == len(stub.seen) == fhir_server.MAX_PAGES


def test_a_search_may_bring_its_own_bound_of_pages(stub: FhirStub) -> None:
    stub.page_size = 1
    found = only(stub, replace(CONDITIONS, most_pages=2))
    assert (len(found.pages), found.problem) == (2, FetchProblem.TOO_MANY_PAGES)
    assert len(only(stub, replace(CONDITIONS, most_pages=5)).pages) == 5


def test_resources_are_bounded(stub: FhirStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir_server, "MAX_RESOURCES", 3)
    stub.page_size = 2
    answer = only(stub)
    assert answer.problem is FetchProblem.TOO_MANY_PAGES
    assert len(answer.pages) == 2


def test_a_page_that_fails_leaves_the_earlier_ones(stub: FhirStub) -> None:
    stub.page_size = 2
    stub.behaviour = lambda seen: outcome(500) if "_start" in seen.parameters else None
    answer = only(stub)
    assert answer.problem is FetchProblem.UNEXPECTED_STATUS
    assert len(answer.pages) == 1


@pytest.mark.parametrize(
    "links",
    [
        [{"relation": "self", "url": "x"}],
        [{"relation": "next"}],
        [{"relation": "next", "url": ""}],
        [{"relation": "next", "url": 5}],
        "next",
        None,
    ],
)
def test_odd_links_lead_nowhere(stub: FhirStub, links: object) -> None:
    stub.behaviour = always(reply({**EMPTY, "link": links}))
    answer = only(stub)
    assert (len(answer.pages), answer.problem) == (1, None)


def test_no_page_of_another_server_is_read(stub: FhirStub) -> None:
    with fhir_stub([PATIENT]) as other:
        elsewhere = [
            f"{other.base}/Condition?page=2",
            f"http://x@{stub.base.removeprefix('http://')}/Condition?page=2",
            stub.base.replace("127.0.0.1", "localhost") + "/Condition?page=2",
            stub.base.replace("http:", "https:") + "/Condition?page=2",
            stub.base.replace("/fhir", "/admin") + "/Condition?page=2",
            f"{stub.base}/../admin?page=2",
            f"//{other.base.removeprefix('http://')}/Condition?page=2",
        ]
        for url in elsewhere:
            stub.behaviour = always(reply(bundle(url)))
            assert only(stub).problem is FetchProblem.PAGE_ELSEWHERE
            assert only(stub, NextPage("conditions", url)).problem is FetchProblem.PAGE_ELSEWHERE
        assert other.seen == []
        assert len(stub.seen) == len(elsewhere)


# ------------------------------------------------------------------------------------------ failures
@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (201, FetchProblem.UNEXPECTED_STATUS),
        (204, FetchProblem.UNEXPECTED_STATUS),
        (206, FetchProblem.UNEXPECTED_STATUS),
        (400, FetchProblem.UNEXPECTED_STATUS),
        (401, FetchProblem.REFUSED),
        (403, FetchProblem.REFUSED),
        (404, FetchProblem.NOT_FOUND),
        (410, FetchProblem.NOT_FOUND),
        (429, FetchProblem.BUSY),
        (500, FetchProblem.UNEXPECTED_STATUS),
        (502, FetchProblem.BUSY),
        (503, FetchProblem.BUSY),
        (504, FetchProblem.BUSY),
    ],
)
def test_a_status_that_is_not_ok_is_a_failure(stub: FhirStub, status: int, problem: FetchProblem) -> None:
    stub.behaviour = always(outcome(status))
    assert only(stub) == FetchedPages("conditions", problem=problem)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_no_redirect_is_followed(stub: FhirStub, status: int) -> None:
    with fhir_stub([PATIENT]) as other:
        stub.behaviour = always(outcome(status, Location=f"{other.base}/Condition"))
        assert only(stub).problem is FetchProblem.REDIRECTED
        assert other.seen == []
        assert len(stub.seen) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_is_briefly_out_of_order_is_asked_twice(stub: FhirStub, status: int) -> None:
    stub.behaviour = in_turn(outcome(status))
    assert only(stub).problem is None
    assert len(stub.seen) == 2


def test_it_is_not_asked_a_third_time(stub: FhirStub) -> None:
    stub.behaviour = in_turn(outcome(503), outcome(503))
    assert only(stub).problem is FetchProblem.BUSY
    assert len(stub.seen) == 2


def test_retry_after_is_kept_within_the_budget(stub: FhirStub) -> None:
    stub.behaviour = in_turn(outcome(503, Retry_After="1"))
    started = time.monotonic()
    assert only(stub, budget=5).problem is None
    assert 1 <= time.monotonic() - started < 2


def test_retry_after_never_leads_past_the_budget(stub: FhirStub) -> None:
    stub.behaviour = in_turn(outcome(503, Retry_After="60"))
    started = time.monotonic()
    assert only(stub, budget=1).problem is FetchProblem.BUSY
    assert time.monotonic() - started < 0.5
    assert len(stub.seen) == 1


NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        (None, 0.05),
        ("", 0.05),
        ("0", 0.05),
        ("3", 3),
        ("-1", 0.05),
        ("soon", 0.05),
        ("9" * 400, 999_999_999),
        (format_datetime(NOW + timedelta(seconds=7), usegmt=True), 7),
        (format_datetime(NOW - timedelta(seconds=7), usegmt=True), 0.05),
        ("Sun, 22 Nov 2026 12:00:02 -0000", 2),
        ("Sun, 22 Nov 2026 12:00:02 +99999999999999999999", 0.05),
        ("Sun, 99999999999999999999 Nov 2026 12:00:02 GMT", 0.05),
    ],
)
def test_retry_after_is_seconds_or_a_moment(header: str | None, pause: float) -> None:
    assert pause_of(header, NOW) == pause


@pytest.mark.parametrize(
    "answer",
    [
        Reply(body=b"<html>Log in</html>", content_type="text/html"),
        Reply(body=b"{}", content_type=None),
        Reply(body=b"{}", content_type="application/fhir+xml"),
        Reply(body=b"{}", content_type="application/xml+jsonx"),
        Reply(body=b"{", content_type=FHIR_JSON),
        Reply(body=b"[]", content_type=FHIR_JSON),
        Reply(body=b"null", content_type=FHIR_JSON),
        Reply(body=b"", content_type=FHIR_JSON),
        Reply(body=b'{"a":NaN}', content_type=FHIR_JSON),
        Reply(body=b'{"a":"\xff"}', content_type=FHIR_JSON),
        Reply(body=b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", content_type=FHIR_JSON),
        Reply(body=b"{}", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_not_fhir_json_is_a_failure(stub: FhirStub, answer: Reply) -> None:
    stub.behaviour = always(answer)
    assert only(stub) == FetchedPages("conditions", problem=FetchProblem.NOT_FHIR)


@pytest.mark.parametrize(
    "content_type",
    ["application/fhir+json", "application/json+fhir; charset=UTF-8", "application/json", "text/json"],
)
def test_fhir_json_by_any_of_its_names_is_taken(stub: FhirStub, content_type: str) -> None:
    stub.behaviour = always(reply(EMPTY, content_type=content_type))
    assert only(stub).problem is None


def test_a_byte_order_mark_is_passed_over(stub: FhirStub) -> None:
    plain = json.dumps(EMPTY).encode()
    stub.behaviour = always(Reply(body=b"\xef\xbb\xbf" + plain, content_type=FHIR_JSON))
    assert only(stub) == FetchedPages("conditions", (plain,))


@pytest.mark.parametrize("has_length", [True, False])
def test_a_huge_body_is_not_read_to_its_end(stub: FhirStub, has_length: bool) -> None:
    huge = b'{"a":"' + b"x" * fhir_answers.MAX_PAGE_BYTES + b'"}'
    stub.behaviour = always(Reply(body=huge, has_length=has_length))
    assert only(stub) == FetchedPages("conditions", problem=FetchProblem.TOO_LARGE)


def test_all_answers_together_are_bounded(stub: FhirStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir_server, "MAX_BYTES", 250_000)
    stub.behaviour = always(reply({**EMPTY, "id": "x" * 100_000}))
    answers = fetch(stub, *(Search(str(number), "Condition") for number in range(4)))
    assert [answer.problem for answer in answers].count(FetchProblem.TOO_LARGE) >= 2


def test_a_server_that_hangs_up_is_a_failure(stub: FhirStub) -> None:
    stub.behaviour = always(Reply(body=b'{"resourceType":"Bundle"}', is_hung_up=True))
    assert only(stub).problem is FetchProblem.UNREACHABLE


def test_a_server_that_is_not_there_is_a_failure() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert only(f"http://127.0.0.1:{port}/fhir").problem is FetchProblem.UNREACHABLE


# ---------------------------------------------------------------------------------------------- time
LATE = 0.6
"""The budget of these tests and what they may take beyond it on a busy machine."""


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a version as long as a busy machine needs."""
    monkeypatch.setattr(fhir_server, "_PATIENCE", 20.0)


def version_of(stub: FhirStub | str, *, budget: float = 20.0, token: str | None = TOKEN) -> str | None:
    """Return what a server says of its version while a search is under way."""
    base = stub if isinstance(stub, str) else stub.base
    with HttpRecordSource().open(FhirAccess(address_of(base), token), budget_seconds=budget) as session:
        version = session.ask_version()
        session.fetch([CONDITIONS])
        return version()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("version", ["1.0.2", "3.0.2", "4.0.1", "5.0.0", "5.0.0-ballot"])
def test_a_server_says_its_version(stub: FhirStub, version: str) -> None:
    stub.fhir_version = version
    assert version_of(stub) == version
    (seen,) = (one for one in stub.seen if one.path == "metadata")
    assert seen.target == "/fhir/metadata?_elements=fhirVersion"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"


def statement(text: str, **how: Any) -> Reply:
    return Reply(body=text.encode(), **how)


@pytest.mark.parametrize(
    "answer",
    [
        outcome(404),
        outcome(503),
        outcome(302, Location="/fhir/metadata2"),
        statement("{}"),
        statement("nonsense"),
        statement('{"fhirVersion": 5}'),
        statement('{"text": "\\"fhirVersion\\": \\"5.0.0\\""}'),
        statement('{"fhirVersion": "5.0.0"}', content_type="text/html"),
        statement('{"fhirVersion": "' + "5" * 60 + '"}'),
        statement('{"fhirVersion"', is_hung_up=True),
    ],
)
def test_a_server_that_says_nothing_usable_has_no_version(stub: FhirStub, answer: Reply) -> None:
    stub.behaviour = lambda seen: answer if seen.path == "metadata" else None
    assert version_of(stub) is None
    assert [seen.path for seen in stub.seen].count("metadata") == 1


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("has_length", [True, False])
def test_a_huge_statement_is_read_no_further_than_its_version(stub: FhirStub, has_length: bool) -> None:
    rest = ' "rest": "' + "x" * 8_000_000 + '"}'
    huge = statement('{"fhirVersion" : "5.0.0",' + rest, has_length=has_length)
    stub.behaviour = lambda seen: huge if seen.path == "metadata" else None
    assert version_of(stub) == "5.0.0"
    late = statement("{" + rest.removesuffix("}") + ', "fhirVersion": "5.0.0"}', has_length=has_length)
    stub.behaviour = lambda seen: late if seen.path == "metadata" else None
    assert version_of(stub) is None


def test_a_late_version_is_waited_for_a_moment_only(stub: FhirStub) -> None:
    stub.behaviour = lambda seen: time.sleep(6) if seen.path == "metadata" else None
    started = time.monotonic()
    assert version_of(stub, budget=20) is None
    assert time.monotonic() - started < 5


def test_a_server_that_may_not_be_asked_has_no_version(stub: FhirStub) -> None:
    assert version_of(stub, token="a b") is None  # noqa: S106 - made up, and no token
    assert stub.seen == []
    assert version_of("http://127.0.0.1:1/fhir") is None


def test_searches_run_beside_each_other(stub: FhirStub) -> None:
    stub.latency = 0.3
    started = time.monotonic()
    answers = fetch(stub, *(Search(str(number), "Condition") for number in range(18)), budget=3)
    assert time.monotonic() - started < 1.5
    assert all(answer.problem is None for answer in answers)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(body=json.dumps(EMPTY).encode(), drip=0.1),
        Reply(body=json.dumps(EMPTY).encode(), drip=0.1, has_length=False),
        Reply(body=b"5\r\n" * 50, drip=0.1, headers={"Transfer-Encoding": "chunked"}, has_length=False),
        Reply(body=json.dumps(EMPTY).encode(), head_drip=0.1),
    ],
    ids=["body", "body without length", "chunks", "head"],
)
def test_a_dripping_server_does_not_hold_the_call(stub: FhirStub, answer: Reply) -> None:
    stub.behaviour = always(answer)
    before = threading.active_count()
    started = time.monotonic()
    assert only(stub, budget=0.5) == FetchedPages("conditions", problem=FetchProblem.TIMED_OUT)
    assert time.monotonic() - started < 0.5 + LATE
    # Nor do its threads stay: those of the client end, whatever the server goes on sending.
    until = time.monotonic() + 2
    while any(thread.name.startswith("fhir_") for thread in threading.enumerate()):
        assert time.monotonic() < until, before
        time.sleep(0.01)


def test_pages_that_came_in_time_are_kept(stub: FhirStub) -> None:
    stub.page_size = 2

    def behave(seen: Seen) -> Reply | None:
        if "_start" in seen.parameters:
            time.sleep(2)
        return None

    stub.behaviour = behave
    slow, quick = fetch(stub, CONDITIONS, READ, budget=0.5)
    assert (len(slow.pages), slow.problem) == (1, FetchProblem.TIMED_OUT)
    assert (len(quick.pages), quick.problem) == (1, None)


def test_the_budget_counts_for_all_rounds_together(stub: FhirStub) -> None:
    stub.latency = 0.8
    with HttpRecordSource().open(FhirAccess(address_of(stub.base)), budget_seconds=1.5) as session:
        assert session.fetch([READ])[0].problem is None
        started = time.monotonic()
        assert session.fetch([READ])[0].problem is FetchProblem.TIMED_OUT
        assert session.fetch([READ])[0].problem is FetchProblem.TIMED_OUT
        assert time.monotonic() - started < 0.7 + LATE


def test_a_retry_does_not_outlast_the_budget(stub: FhirStub) -> None:
    stub.behaviour = in_turn(outcome(503, Retry_After="1"))
    stub.latency = 0.2
    started = time.monotonic()
    assert only(stub, budget=0.5).problem is FetchProblem.BUSY
    assert time.monotonic() - started < 0.5 + LATE


def test_a_slow_name_service_does_not_hold_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: release.wait(5) and [])
    started = time.monotonic()
    try:
        assert only("https://ehr.example.org/fhir", budget=0.3).problem is FetchProblem.TIMED_OUT
        assert time.monotonic() - started < 0.3 + LATE
    finally:
        release.set()


def test_lookups_that_hang_leave_a_bounded_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: release.wait(5) and [])
    monkeypatch.setattr(fhir_server, "_LOOKUPS", threading.Semaphore(2))
    before = threading.active_count()
    try:
        problems = [only("https://ehr.example.org/fhir", budget=0.1).problem for _ in range(6)]
        assert problems == [FetchProblem.TIMED_OUT] * 2 + [FetchProblem.NAME_UNKNOWN] * 4
        ended = time.monotonic() + LATE
        while threading.active_count() - before > 2:
            assert time.monotonic() < ended
            time.sleep(0.01)
        with fhir_stub() as stub:  # figures are looked up nowhere
            assert only(stub).problem is None
    finally:
        release.set()


# ----------------------------------------------------------------------------------------- addresses
def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let the name service give these answers, one after the other; return the names it was asked for."""
    asked: list[str] = []
    left = list(answers)

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        texts = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    monkeypatch.setattr(egress.socket, "getaddrinfo", look_up)
    return asked


FORBIDDEN = [
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104 - an address that must be refused
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_a_name_may_not_lead_to_a_forbidden_address(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    names(monkeypatch, ["203.0.113.5", text])
    with pytest.raises(AddressRefusedError):
        resolve(address_of("https://ehr.example.org/fhir"))
    assert only("https://ehr.example.org/fhir").problem is FetchProblem.FORBIDDEN_ADDRESS


@pytest.mark.parametrize("text", ["203.0.113.5", "10.1.2.3", "192.168.7.7", "2001:db8::1", "fd12:3456::1"])
def test_a_named_server_may_have_a_public_or_private_address(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    names(monkeypatch, [text])
    if text == "2001:db8::1":
        assert is_callable(ipaddress.ip_address("2620:fe::9"), is_loopback_named=False)
    else:
        assert resolve(address_of("https://ehr.example.org/fhir")) == (ipaddress.ip_address(text),)


def test_localhost_must_be_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    address = address_of("http://localhost/fhir")
    names(monkeypatch, ["127.0.0.1", "::1"])
    assert len(resolve(address)) == 2
    names(monkeypatch, ["203.0.113.5"])
    with pytest.raises(AddressRefusedError):
        resolve(address)


def test_a_name_that_nobody_knows_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(egress.socket, "getaddrinfo", fail)
    assert only("https://ehr.example.org/fhir").problem is FetchProblem.NAME_UNKNOWN


def test_the_name_is_resolved_once_and_no_second_answer_counts(
    stub: FhirStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = names(monkeypatch, ["127.0.0.1"], ["203.0.113.5"])
    stub.page_size = 1
    base = stub.base.replace("127.0.0.1", "localhost")
    stub.base = base
    with HttpRecordSource().open(FhirAccess(address_of(base), TOKEN), budget_seconds=2) as session:
        assert len(session.fetch([CONDITIONS])[0].pages) == 5
        assert session.fetch([READ])[0].problem is None
    assert asked == ["localhost"]
    assert {seen.headers["host"] for seen in stub.seen} == {base.split("/")[2]}


def test_a_dead_address_costs_half_a_second_at_most(stub: FhirStub) -> None:
    port = int(stub.base.split(":")[2].split("/")[0])
    addresses = [ipaddress.ip_address("::1"), ipaddress.ip_address("127.0.0.1")]
    dialer = Dialer(addresses, port, Deadline(2))
    made = dialer.dial()
    assert made.getpeername()[0] == "127.0.0.1"
    made.close()
    dialer.end()


def test_no_connection_is_opened_after_the_end(stub: FhirStub) -> None:
    port = int(stub.base.split(":")[2].split("/")[0])
    address = [ipaddress.ip_address("127.0.0.1")]
    dialer = Dialer(address, port, Deadline(2))
    dialer.end()
    dialer.end()
    with pytest.raises(TimeoutError):
        dialer.dial()
    with pytest.raises(TimeoutError):
        Dialer(address, port, Deadline(0)).dial()
    with pytest.raises(OSError, match="no address"):
        Dialer([], port, Deadline(2)).dial()


def test_the_adapter_sends_nothing_to_another_server(stub: FhirStub) -> None:
    dialer = Dialer([ipaddress.ip_address("127.0.0.1")], 1, Deadline(2))
    adapter = egress.PinnedAdapter(
        address_of(stub.base), dialer, connections=1, tls=ssl.create_default_context()
    )
    request = requests.Request("GET", "http://ehr.example.org/fhir/Patient").prepare()
    with pytest.raises(requests.exceptions.InvalidURL):
        adapter.send(request)


# ----------------------------------------------------------------------------------------------- TLS
@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that only this test trusts, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


@pytest.fixture
def tls_port(certificate: Path) -> Iterator[int]:
    """The port of a server that answers every request with an empty Bundle over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", FHIR_JSON)
            self.end_headers()
            self.wfile.write(json.dumps({**EMPTY, "id": self.headers["Host"].split(":")[0]}).encode())

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    class Server(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: a client that does not trust hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(5)


def fetch_by_tls(source: HttpRecordSource, base: str) -> FetchedPages:
    with source.open(FhirAccess(address_of(base), TOKEN), budget_seconds=2) as session:
        return session.fetch([CONDITIONS])[0]


def test_tls_proves_the_name_and_not_the_pinned_address(certificate: Path, tls_port: int) -> None:
    trusting = HttpRecordSource(ssl.create_default_context(cafile=str(certificate)))
    answer = fetch_by_tls(trusting, f"https://localhost:{tls_port}/fhir")
    assert answer.problem is None
    assert json.loads(answer.pages[0])["id"] == "localhost"
    assert fetch_by_tls(trusting, f"https://127.0.0.1:{tls_port}/fhir").problem is FetchProblem.NOT_TRUSTED


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tls_port: int) -> None:
    source = HttpRecordSource()
    source.warm_up()
    assert fetch_by_tls(source, f"https://localhost:{tls_port}/fhir").problem is FetchProblem.NOT_TRUSTED


def test_a_handshake_that_drips_does_not_hold_the_call() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        base = f"https://localhost:{listener.getsockname()[1]}/fhir"
        started = time.monotonic()
        assert only(base, budget=0.4).problem is FetchProblem.TIMED_OUT
        assert time.monotonic() - started < 0.4 + LATE


# ------------------------------------------------------------------------------------------- secrecy
def test_neither_token_nor_patient_get_into_logs_or_texts(
    stub: FhirStub, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.behaviour = in_turn(None, outcome(500), outcome(301, Location="http://127.0.0.2/"), outcome(503))
    for _ in range(4):
        assert TOKEN not in repr(fetch(stub, Search("conditions", "Condition", (("patient", "pCANARYx"),))))
    assert fetch(stub, READ, token=f"{TOKEN}\r\n")[0].problem is FetchProblem.REFUSED
    assert TOKEN not in repr(FhirAccess(address_of(stub.base), TOKEN))
    printed = capfd.readouterr()
    for text in (caplog.text, printed.out, printed.err):
        assert TOKEN not in text
        assert "pCANARYx" not in text
