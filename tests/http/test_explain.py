"""Over the wire: an explanation comes where the client asked for it, changes no card, and is in no log."""

import json
import logging
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from cds_service.adapters.clock import FixedClock
from cds_service.app import create_app
from cds_service.settings import Settings
from cds_service.web.logs import JsonLines
from tests.builders import SERVICE, TODAY, Json, hook_request, prefetch
from tests.http.requests import CANARY, outcome

KEY = "org.rls-iron-cds.explain"
FILE = """
[[clients]]
name = "north"
explain = true
[clients.fhir]
servers = ["https://north.example.org/fhir"]

[[clients]]
name = "south"
[clients.fhir]
servers = ["https://south.example.org/fhir"]
"""
NORTH, SOUTH = "https://north.example.org/fhir", "https://south.example.org/fhir"
RECORD = ["RLS", {"ferritin": 40}, {"diagnosis": {"code": "N18.4", "text": f"Kidney disease {CANARY}"}}]


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    file = tmp_path / "clients.toml"
    file.write_text(FILE, encoding="utf-8")
    clock = FixedClock(ZoneInfo("UTC"), date.fromisoformat(str(TODAY)))
    return create_app(Settings(clients=file), clock=clock).test_client()


def ask(client: FlaskClient, server: str | None, record: list[object] = RECORD) -> Json:
    members = {"fhirServer": server} if server else {}
    body: Json = client.post(SERVICE, json=hook_request(prefetch(record), **members)).get_json()
    return body


@pytest.mark.parametrize("server", [SOUTH, "https://else.example.org/fhir", None])
def test_an_answer_carries_no_explanation_by_default(client: FlaskClient, server: str | None) -> None:
    assert set(ask(client, server)) == {"cards"}


def test_a_client_that_asked_for_it_gets_the_explanation(client: FlaskClient) -> None:
    answer = ask(client, NORTH)
    assert set(answer) == {"cards", "extension"}
    assert set(answer["extension"]) == {KEY}
    told = answer["extension"][KEY]
    assert told["version"] == 1
    assert [card["card"] for card in told["cards"]] == ["IRON-03"]
    assert {one["id"]: one["value"] for one in told["limits"]}["ferritin.symptom.adult"] == 50
    kidney = next(factor for factor in told["factors"] if factor["id"] == "kidney.disease")
    assert kidney["evidence"][0]["text"] == f"Kidney disease {CANARY}"


def test_the_cards_are_those_without_an_explanation(client: FlaskClient) -> None:
    without_uuids = [
        [{**card, "uuid": "", "suggestions": len(card["suggestions"])} for card in ask(client, one)["cards"]]
        for one in (NORTH, SOUTH)
    ]
    assert without_uuids[0] == without_uuids[1] != []


def test_an_empty_answer_is_explained_too(client: FlaskClient) -> None:
    answer = ask(client, NORTH, ["RLS", {"ferritin": 140}, {"TSAT": 30}])
    assert answer["cards"] == []
    assert len(answer["extension"][KEY]["cardsNotShown"]) == 20


def test_an_error_carries_no_explanation(client: FlaskClient) -> None:
    body = hook_request(prefetch([], sends={"ironResults": "failed"}), fhirServer=NORTH)
    response = client.post(SERVICE, json=body)
    assert outcome(response, 412)
    assert "extension" not in response.get_json()


def test_an_explanation_is_in_no_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("cds_service")
    logger.propagate = True
    with caplog.at_level(logging.DEBUG):
        answer = ask(client, NORTH)
    assert CANARY in json.dumps(answer["extension"])
    lines = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert '"cards": ["IRON-03"]' in lines.replace('":["', '": ["')
    assert CANARY not in lines
    assert CANARY not in caplog.text
    assert KEY not in lines
