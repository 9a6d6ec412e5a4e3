"""CDS Hooks 2.0.1, statement by statement, on the real answers to all sample requests.

docs/conformance.csv names these tests beside each statement. What the models refuse is tested in
tests/unit/test_protocol_responses.py; here is what is really sent.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from cds_service.protocol.responses import Action, LinkModel, Suggestion, to_plain
from cds_service.resources import fixtures_dir
from tests.builders import Json
from tests.harness import Reply, service_in
from tests.http.requests import SERVICE, holds_nothing_empty

NAMES = sorted(path.parent.name for path in fixtures_dir().glob("*/request.json"))
# Type of each member by its name, those that the specification requires first.
CARD = {
    "summary": str,
    "indicator": str,
    "source": dict,
    "uuid": str,
    "detail": str,
    "suggestions": list,
    "selectionBehavior": str,
    "overrideReasons": list,
    "links": list,
}
CARD_REQUIRED = {"summary", "indicator", "source"}
FEWEST_CARDS = 25


@cache
def reply(name: str) -> Reply:
    """Return the service's answer to a sample request on the day for which it was written."""
    return service_in("UTC").send((fixtures_dir() / name / "request.json").read_bytes())


def cards() -> list[Json]:
    """Return all cards of all sample requests."""
    found = [card for name in NAMES for card in reply(name).cards]
    assert len(found) >= FEWEST_CARDS
    return found


def below(member: str) -> list[Json]:
    """Return the objects in a list of all cards."""
    found = [item for card in cards() for item in card.get(member, [])]
    assert found, member
    return found


def actions() -> list[Json]:
    return [action for suggestion in below("suggestions") for action in suggestion["actions"]]


def codings(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the codings below: override reasons, topics, and those inside orders."""
    if isinstance(value, dict):
        if "code" in value and isinstance(value["code"], str):
            yield value
        for member in value.values():
            yield from codings(member)
    elif isinstance(value, list):
        for item in value:
            yield from codings(item)


def is_address(value: object) -> bool:
    return isinstance(value, str) and value.startswith("https://") and not value.endswith("//")


def check_members(value: Json, types: Mapping[str, type], required: set[str]) -> None:
    """Check that an object has the required members, no others than the known ones, each of its type."""
    assert required <= value.keys() <= types.keys()
    assert {name: type(member) for name, member in value.items()} == {name: types[name] for name in value}


# ------------------------------------------------------------------------------------------- all answers
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_json(name: str) -> None:
    raw = (fixtures_dir() / name / "request.json").read_bytes()
    response = service_in("UTC").client.post(SERVICE, data=raw, content_type="application/json")
    assert response.mimetype == "application/json"
    text = response.data.decode("utf-8", errors="strict")
    assert isinstance(json.loads(text, parse_constant=pytest.fail), dict)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_sent_is_null_or_empty(name: str) -> None:
    body = reply(name).body
    assert holds_nothing_empty(body) or body == {"cards": []}


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_does_anything_by_itself(name: str) -> None:
    """No system action, no extension, no change of what is there, nothing that starts without a click."""
    answer = reply(name)
    text = answer.raw.decode()
    assert answer.body.keys() in ({"cards"}, {"resourceType", "issue"})
    assert '"extension"' not in text
    assert '"autolaunchable"' not in text
    listed = [a for c in answer.cards for s in c.get("suggestions", []) for a in s["actions"]]
    assert {action["type"] for action in listed} <= {"create"}


def test_an_answer_takes_less_than_half_a_second_of_work() -> None:
    """Work, not waiting: the processor time of this process, so that a busy machine changes nothing."""
    service = service_in("UTC")
    raw = (fixtures_dir() / "readme-patient" / "request.json").read_bytes()
    assert len(service.send(raw).cards) == 2
    spent = []
    for _ in range(5):
        began = time.process_time()
        service.send(raw)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.5


# --------------------------------------------------------------------------------------------- discovery
def test_discovery_has_the_members_and_types_of_the_specification() -> None:
    body = service_in("UTC").client.get("/cds-services").get_json()
    check_members(body, {"services": list}, {"services"})
    types = {
        "hook": str,
        "title": str,
        "description": str,
        "id": str,
        "prefetch": dict,
        "usageRequirements": str,
    }
    for service in body["services"]:
        check_members(service, types, {"hook", "title", "description", "id"})
        assert all(isinstance(query, str) for query in service["prefetch"].values())


# ------------------------------------------------------------------------------------------------- cards
def test_a_card_has_the_members_and_types_of_the_specification() -> None:
    for card in cards():
        check_members(card, CARD, CARD_REQUIRED)
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in {"info", "warning", "critical"}
        assert str(uuid.UUID(card["uuid"])) == card["uuid"]


def test_a_source_has_the_members_and_types_of_the_specification() -> None:
    for card in cards():
        source = card["source"]
        check_members(source, {"label": str, "url": str, "topic": dict}, {"label"})
        assert is_address(source["url"])
        check_members(source["topic"], {"code": str, "system": str, "display": str}, {"code", "system"})


def test_a_source_is_the_same_for_every_patient() -> None:
    assert {card["source"]["url"] for card in cards()} == {"https://doi.org/10.5664/jcsm.11390"}


def test_the_reasons_to_decline_are_codings_with_words() -> None:
    for card in cards():
        assert card["overrideReasons"]
        for reason in card["overrideReasons"]:
            check_members(reason, {"code": str, "system": str, "display": str}, {"code", "system", "display"})


def test_every_coding_has_code_and_system() -> None:
    found = [coding for card in cards() for coding in codings(card)]
    assert len(found) > FEWEST_CARDS
    for coding in found:
        assert isinstance(coding["system"], str)
        assert coding["code"]


def test_a_link_has_the_members_and_types_of_the_specification() -> None:
    for link in below("links"):
        check_members(link, {"label": str, "url": str, "type": str}, {"label", "url", "type"})
        assert link["type"] == "absolute"
        assert is_address(link["url"])
    for kind in ("relative", ""):
        with pytest.raises(ValidationError):
            LinkModel(label="x", url="https://x.example.org", type=kind)  # type: ignore[arg-type]  # that is the test


def test_a_suggestion_has_the_members_and_types_of_the_specification() -> None:
    types = {"label": str, "uuid": str, "actions": list}
    for suggestion in below("suggestions"):
        check_members(suggestion, types, {"label", "actions"})
        # One action each, so that taking a suggestion and taking all of its actions are the same.
        assert len(suggestion["actions"]) == 1
    for card in cards():
        assert ("suggestions" in card) is ("selectionBehavior" in card)
        assert card.get("selectionBehavior", "any") in {"any", "at-most-one"}


def test_an_action_has_the_members_and_types_of_the_specification() -> None:
    types = {"type": str, "description": str, "resource": dict}
    for action in actions():
        check_members(action, types, {"type", "description", "resource"})
        assert action["type"] == "create"
        assert action["resource"]["resourceType"] == "ServiceRequest"
        assert "id" not in action["resource"]


def test_the_models_ask_for_no_more_than_the_specification() -> None:
    assert to_plain(Suggestion(label="Order ferritin")) == {"label": "Order ferritin"}
    action = Action(type="update", description="Change", resource={"resourceType": "ServiceRequest"})
    assert to_plain(Suggestion(label="Change", actions=(action,)))["actions"][0]["type"] == "update"


@pytest.mark.parametrize("value", [True, False])
def test_a_recommendation_is_true_or_false(*, value: bool) -> None:
    assert to_plain(Suggestion(label="x", is_recommended=value)) == {"label": "x", "isRecommended": value}
    with pytest.raises(ValidationError):
        Suggestion(label="x", is_recommended="perhaps")  # type: ignore[arg-type]  # that is the test
