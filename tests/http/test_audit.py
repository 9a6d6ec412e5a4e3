"""What a call leaves in the audit log, over HTTP: one event for each call, search, refusal and feedback."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from cds_service.adapters.audit_check import verify
from cds_service.adapters.audit_fhir import ship
from cds_service.adapters.audit_log import chains
from cds_service.addresses import parse_address
from cds_service.app import create_app
from cds_service.cli import main
from cds_service.settings import Settings, SettingsError
from tests.builders import hook_request, prefetch
from tests.fakes.fhir_stub import FhirStub, Reply, Seen, fhir_stub
from tests.http.requests import SERVICE
from tests.http.test_auth import FEEDBACK, FEEDBACK_BODY
from tests.tokens import ISSUER, sign, site

BODY = hook_request(prefetch(["RLS", {"ferritin": 40}]))


def events(folder: Path) -> list[dict[str, Any]]:
    assert not any(checked.faults for checked in verify(folder))
    return [
        json.loads(line)["event"]
        for paths in chains(folder).values()
        for path in paths
        for line in path.read_text(encoding="ascii").splitlines()
    ]


def web_in(folder: Path) -> FlaskClient:
    return create_app(Settings(audit=folder)).test_client()


def test_a_call_is_one_event_with_its_cards_and_no_value(tmp_path: Path) -> None:
    answer = web_in(tmp_path).post(SERVICE, json=BODY).get_json()
    (event,) = events(tmp_path)
    assert (event["subtype"][0]["code"], event["outcome"]) == ("operation", "0")
    details = event["entity"][-1]["detail"]
    assert [one["valueString"] for one in details if one["type"] == "card"] == [answer["cards"][0]["uuid"]]
    assert event["entity"][0]["what"] == {"reference": f"Patient/{BODY['context']['patientId']}"}
    text = json.dumps(event)
    assert all(word not in text for word in ("ng/mL", "erritin", "IRON", "G25.81"))


def test_a_412_and_a_bad_request_are_events_of_failure(tmp_path: Path) -> None:
    web = web_in(tmp_path)
    assert web.post(SERVICE, json=hook_request(None)).status_code == 412
    assert web.post(SERVICE, json={}).status_code == 400
    assert [(event["outcome"], event["outcomeDesc"]) for event in events(tmp_path)] == [
        ("4", "answered with 412"),
        ("4", "answered with 400"),
    ]


def test_pages_and_discovery_are_no_events(tmp_path: Path) -> None:
    web = web_in(tmp_path)
    assert [web.get(path).status_code for path in ("/", "/healthz", "/cds-services")] == [200] * 3
    assert events(tmp_path) == []


def test_feedback_is_an_event_without_its_words(tmp_path: Path) -> None:
    entry = {**FEEDBACK_BODY["feedback"][0], "overrideReason": {"userComment": "canary"}}
    card = "3b8a2e0c-6d1f-5a6b-9a49-0d4f6f6a7c11"
    told = {"feedback": [{**entry, "card": card}, {**entry, "card": "canary of somebody"}]}
    assert web_in(tmp_path).post(FEEDBACK, json=told).status_code == 200
    (event,) = events(tmp_path)
    assert event["entity"][0]["detail"] == [
        {"type": "card", "valueString": card},
        *event["entity"][0]["detail"][1:],
    ]
    assert "canary" not in json.dumps(event)


def test_a_refusal_is_an_event_and_a_client_is_named(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    place = site(tmp_path)
    web = create_app(place.settings.model_copy(update={"audit": tmp_path / "audit"})).test_client()
    token = sign()
    for _ in range(2):
        web.post(SERVICE, json=BODY, headers={"Authorization": f"Bearer {token}"})
    called, refused = events(tmp_path / "audit")
    assert called["agent"][0]["who"] == {"display": "north"}
    assert (refused["type"]["code"], refused["outcomeDesc"]) == ("110114", "used before")
    assert refused["entity"][0]["detail"] == [{"type": "issuer named", "valueString": ISSUER}]
    assert token not in json.dumps([called, refused])


def test_a_flood_of_refusals_is_counted_and_not_written_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty a minute stand there by themselves; the others in one event with the first answer after it."""
    seconds = [0]
    start = datetime(2026, 11, 22, 10, tzinfo=UTC)
    monkeypatch.setattr("cds_service.app.moment", lambda: start + timedelta(seconds=seconds[0]))
    (tmp_path / "audit").mkdir()
    web = create_app(site(tmp_path).settings.model_copy(update={"audit": tmp_path / "audit"})).test_client()

    def refused(times: int) -> list[str]:
        for _ in range(times):
            assert web.post(SERVICE, json=BODY).status_code == 401
        return [event["outcomeDesc"] for event in events(tmp_path / "audit")]

    one_by_one = ["no token"] * 60
    assert refused(100) == one_by_one
    seconds[0] = 59
    assert refused(1) == one_by_one
    seconds[0] = 60
    assert web.get("/healthz").status_code == 200
    told = [*one_by_one, "41 more callers refused within a minute"]
    assert refused(0) == told
    assert refused(61) == told + one_by_one
    seconds[0] = 10  # the clock is set back
    assert refused(1) == [*told, *one_by_one, "1 more callers refused within a minute", "no token"]
    assert web.post(SERVICE, json=BODY, headers={"Authorization": f"Bearer {sign()}"}).status_code == 200


def test_every_search_is_an_event(tmp_path: Path) -> None:
    with fhir_stub() as stub:
        stub.behaviour = lambda seen: Reply(404) if seen.path.startswith("/Procedure") else None
        body = hook_request(None, fhirServer=stub.base)
        web_in(tmp_path).post(SERVICE, json=body)
        asked = [seen for seen in stub.seen if seen.path != "/metadata"]
    found = events(tmp_path)
    searches = [event for event in found if event["subtype"][0]["code"] in {"search-type", "read"}]
    assert len(searches) >= len({seen.path for seen in asked})
    assert {event["agent"][1]["who"]["display"] for event in searches} == {stub.base}
    assert any(event["outcomeDesc"] == "not found" for event in searches if "outcomeDesc" in event)
    assert found[-1]["subtype"][0]["code"] == "operation"


def test_a_call_of_ten_mebibytes_leaves_a_bounded_trace(tmp_path: Path) -> None:
    """Neither identifiers nor the link to a next page multiply in the events of the searches."""
    long = "\N{BROKEN HEART}" * 1024
    with fhir_stub() as stub:
        link = {"relation": "next", "url": f"{stub.base}/Condition?x={'y' * 5_000_000}"}
        web = web_in(tmp_path)
        for record in ({}, {"conditions": {"resourceType": "Bundle", "type": "searchset", "link": [link]}}):
            body = hook_request(record, fhirServer=stub.base, hookInstance=long)
            body["context"]["userId"] = long
            web.post(SERVICE, json=body)
        assert len(events(tmp_path)) > 20
        size = sum(path.stat().st_size for path in tmp_path.glob("*.ndjson"))
        assert size < 2_000_000
        body["context"]["userId"] = "Practitioner/" + "x" * 5_000_000
        assert web.post(SERVICE, json=body).status_code == 400
    assert sum(path.stat().st_size for path in tmp_path.glob("*.ndjson")) < size + 2000


def test_what_cannot_be_written_down_is_not_answered(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    web = web_in(folder)
    folder.rmdir()
    response = web.post(SERVICE, json=BODY)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "cards" not in response.get_json()
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_a_search_that_cannot_be_written_down_ends_the_call(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    web = web_in(folder)
    folder.rmdir()
    with fhir_stub() as stub:
        assert web.post(SERVICE, json=hook_request(None, fhirServer=stub.base)).status_code == 503


@pytest.mark.parametrize("name", ["none", "file"])
def test_a_folder_that_is_none_stops_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x", encoding="ascii")
    with pytest.raises(SettingsError, match="RLS_CDS_AUDIT: no folder"):
        create_app(Settings(audit=tmp_path / name))


# --------------------------------------------------------------------------------------------- to a server
class Receiver:
    """A FHIR server that takes AuditEvents until it has `room` for no more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken: list[dict[str, Any]] = []

    def __call__(self, seen: Seen) -> Reply:
        if len(self.taken) >= self.room:
            return Reply(503)
        assert (seen.method, seen.path.strip("/")) == ("POST", "AuditEvent")
        self.taken.append({**json.loads(seen.body), "token": seen.headers.get("authorization")})
        return Reply(201)


def shipping(folder: Path, stub: FhirStub) -> tuple[int, str]:
    server = parse_address(stub.base)
    assert server is not None
    done = ship(folder, server, "secret")
    return done.count, done.reason


def test_events_are_sent_once_and_in_order(tmp_path: Path) -> None:
    web = web_in(tmp_path)
    for _ in range(3):
        web.post(SERVICE, json=BODY)
    with fhir_stub() as stub:
        receiver = Receiver(room=2)
        stub.behaviour = receiver
        assert shipping(tmp_path, stub) == (2, "answered with 503")
        receiver.room = 9
        assert shipping(tmp_path, stub) == (1, "")
        assert shipping(tmp_path, stub) == (0, "")
    assert [event["entity"][-1]["detail"][0]["valueString"][-2:] for event in receiver.taken] == [
        ":1",
        ":2",
        ":3",
    ]
    assert {event["token"] for event in receiver.taken} == {"Bearer secret"}
    assert not any(checked.faults for checked in verify(tmp_path))


def test_a_server_that_is_gone_loses_nothing(tmp_path: Path) -> None:
    web_in(tmp_path).post(SERVICE, json=BODY)
    with fhir_stub() as stub:
        server = parse_address(stub.base)
    assert server is not None
    assert ship(tmp_path, server, None).count == 0
    assert ship(tmp_path, server, None).reason


@pytest.mark.parametrize("status", [400, 422])
def test_an_event_that_a_server_calls_invalid_goes_aside_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    web = web_in(tmp_path)
    for user in ("Practitioner/7", "odd one", "Practitioner/8"):
        web.post(SERVICE, json={**BODY, "context": {**BODY["context"], "userId": user}})
    monkeypatch.setenv("RLS_CDS_AUDIT", str(tmp_path))
    receiver = Receiver(room=9)
    with fhir_stub() as stub:
        stub.behaviour = lambda seen: Reply(status) if b"odd one" in seen.body else receiver(seen)
        sent = CliRunner().invoke(main, ["audit", "ship", stub.base])
        again = CliRunner().invoke(main, ["audit", "ship", stub.base])
    aside = tmp_path / "refused.ndjson"
    assert (sent.exit_code, "2 events sent." in sent.output) == (1, True)
    assert f"refused 1 as invalid: {aside}." in sent.output
    assert (again.exit_code, again.output) == (0, "0 events sent.\n")
    (kept,) = (json.loads(line) for line in aside.read_text("ascii").splitlines())
    assert (kept["n"], kept["status"]) == (2, status)
    assert kept["event"]["agent"][2]["who"] == {"identifier": {"value": "odd one"}}
    assert aside.stat().st_mode & 0o777 == 0o600
    assert len(receiver.taken) == 2
    assert not any(checked.faults for checked in verify(tmp_path))


def test_an_event_that_cannot_be_put_aside_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web_in(tmp_path).post(SERVICE, json=BODY)
    (tmp_path / "refused.ndjson").mkdir()
    monkeypatch.setenv("RLS_CDS_AUDIT", str(tmp_path))
    with fhir_stub() as stub:
        stub.behaviour = lambda _seen: Reply(400)
        failed = CliRunner().invoke(main, ["audit", "ship", stub.base])
        assert (failed.exit_code, "the audit log cannot be written" in failed.output) == (2, True)
        stub.behaviour = Receiver(room=9)
        assert shipping(tmp_path, stub) == (1, "")


def test_the_command_sends_and_says_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web_in(tmp_path).post(SERVICE, json=BODY)
    monkeypatch.setenv("RLS_CDS_AUDIT", str(tmp_path))
    (tmp_path / "token").write_text("secret\n", encoding="ascii")
    with fhir_stub() as stub:
        stub.behaviour = Receiver(room=0)
        left = CliRunner().invoke(main, ["audit", "ship", stub.base, "--token-file", str(tmp_path / "token")])
        assert (left.exit_code, "0 events sent." in left.output) == (1, True)
        stub.behaviour = Receiver(room=9)
        sent = CliRunner().invoke(main, ["audit", "ship", stub.base])
        assert (sent.exit_code, sent.output) == (0, "1 events sent.\n")
    for arguments in (["http://audit.example.org"], ["https://x.example.org", "--token-file", "/none"]):
        assert CliRunner().invoke(main, ["audit", "ship", *arguments]).exit_code == 2
