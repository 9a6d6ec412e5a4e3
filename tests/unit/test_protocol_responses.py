"""Answers: the conditional rules of the specification, and no member that is null or empty."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cds_service.protocol.outcome import Issue, operation_outcome
from cds_service.protocol.responses import (
    EXPLANATION,
    Action,
    Card,
    CardsResponse,
    Coding,
    Discovery,
    LinkModel,
    Service,
    Source,
    Suggestion,
    to_json,
    to_plain,
)

UUID = "3b8a2e0c-6d1f-5a6b-9a49-0d4f6f6a7c11"
OTHER_UUID = "6a6f0f3e-3c42-5d6e-8f70-7d5a5b1f2c22"
SOURCE = Source(label="RLS iron assessment")
ACTION = Action(type="create", description="Order ferritin", resource={"resourceType": "ServiceRequest"})
SUGGESTION = Suggestion(label="Order ferritin", uuid=OTHER_UUID, actions=(ACTION,))


def card(**changes: Any) -> Card:
    return Card(
        **{"uuid": UUID, "summary": "Ferritin 20 ng/mL", "indicator": "info", "source": SOURCE, **changes}
    )


def emptied(value: object) -> list[str]:
    """Return the places of null or empty members."""
    if isinstance(value, dict):
        return [f".{name}{place}" for name, member in value.items() for place in emptied(member)] or (
            [] if value else ["={}"]
        )
    if isinstance(value, list):
        return [f"[{i}]{place}" for i, item in enumerate(value) for place in emptied(item)] or (
            [] if value else ["=[]"]
        )
    return ["=empty"] if value is None or value == "" else []


def test_a_full_card_has_the_names_of_the_specification() -> None:
    full = card(
        detail="**20 ng/mL**",
        indicator="warning",
        source=Source(
            label="RLS iron assessment",
            url="https://doi.org/10.5664/jcsm.11390",
            topic=Coding(code="IRON03", system="https://rls-iron-cds.example.org/topic"),
        ),
        suggestions=(SUGGESTION,),
        selection_behavior="any",
        override_reasons=(
            Coding(code="declined", system="https://x.example.org", display="Patient declined"),
        ),
        links=(LinkModel(label="Guideline", url="https://doi.org/10.5664/jcsm.11390"),),
        extension={"org.example": {"kept": 1, "dropped": []}},
    )
    assert json.loads(to_json(CardsResponse(cards=(full,)))) == {
        "cards": [
            {
                "uuid": UUID,
                "summary": "Ferritin 20 ng/mL",
                "detail": "**20 ng/mL**",
                "indicator": "warning",
                "source": {
                    "label": "RLS iron assessment",
                    "url": "https://doi.org/10.5664/jcsm.11390",
                    "topic": {"code": "IRON03", "system": "https://rls-iron-cds.example.org/topic"},
                },
                "suggestions": [
                    {
                        "label": "Order ferritin",
                        "uuid": OTHER_UUID,
                        "actions": [
                            {
                                "type": "create",
                                "description": "Order ferritin",
                                "resource": {"resourceType": "ServiceRequest"},
                            },
                        ],
                    },
                ],
                "selectionBehavior": "any",
                "overrideReasons": [
                    {"code": "declined", "system": "https://x.example.org", "display": "Patient declined"},
                ],
                "links": [
                    {"label": "Guideline", "url": "https://doi.org/10.5664/jcsm.11390", "type": "absolute"}
                ],
                "extension": {"org.example": {"kept": 1}},
            },
        ],
    }


def test_the_member_of_the_explanation_has_the_name_that_is_documented() -> None:
    assert EXPLANATION == "org.rls-iron-cds.explain"


def test_the_names_of_the_specification_are_taken_as_arguments_too() -> None:
    given_in_json = card(suggestions=(SUGGESTION,), selectionBehavior="any", overrideReasons=())
    assert given_in_json == card(suggestions=(SUGGESTION,), selection_behavior="any")


def test_only_the_lists_of_cards_and_services_may_be_empty() -> None:
    assert to_json(CardsResponse(cards=())) == b'{"cards":[]}'
    assert to_json(Discovery(services=())) == b'{"services":[]}'
    assert to_plain(CardsResponse(cards=(card(),)))["cards"] == [
        {
            "uuid": UUID,
            "summary": "Ferritin 20 ng/mL",
            "indicator": "info",
            "source": {"label": "RLS iron assessment"},
        },
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=2),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    ),
)
def test_nothing_null_or_empty_is_sent(value: object) -> None:
    sent = json.loads(to_json(CardsResponse(cards=(card(extension={"org.example": value, "kept": False}),))))
    assert emptied(sent) == []
    assert sent["cards"][0]["extension"]["kept"] is False


def test_exact_numbers_stay_numbers() -> None:
    assert b'"value":74.80' in to_json(CardsResponse(cards=(card(extension={"value": Decimal("74.80")}),)))


@pytest.mark.parametrize("summary", ["x" * 139, "\N{GRINNING FACE}" * 69 + "x"])
def test_a_summary_may_have_139_characters(summary: str) -> None:
    assert card(summary=summary).summary == summary


@pytest.mark.parametrize(
    "summary", ["", " ", "x" * 140, "\N{GRINNING FACE}" * 70, "two\nlines", "end\n", "a\u2028b"]
)
def test_a_summary_is_one_short_line(summary: str) -> None:
    with pytest.raises(ValidationError):
        card(summary=summary)


@pytest.mark.parametrize(
    "changes",
    [
        {"indicator": "error"},
        {"uuid": "not-a-uuid"},
        {"uuid": UUID.upper()},
        {"detail": ""},
        {"suggestions": (SUGGESTION,)},
        {"selection_behavior": "any"},
        {"suggestions": (SUGGESTION,), "selection_behavior": "all"},
        {"override_reasons": (Coding(code="a", system="b"),)},
        {"unknown": 1},
    ],
)
def test_a_card_against_the_rules_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        card(**changes)


def test_only_one_of_exclusive_suggestions_is_recommended() -> None:
    two = tuple(
        Suggestion(label="x", uuid=uuid, is_recommended=True, actions=(ACTION,))
        for uuid in (UUID, OTHER_UUID)
    )
    assert card(suggestions=two, selection_behavior="any").suggestions == two
    one = (two[0], SUGGESTION)
    assert card(suggestions=one, selection_behavior="at-most-one").suggestions == one
    with pytest.raises(ValidationError):
        card(suggestions=two, selection_behavior="at-most-one")


def test_an_answer_is_not_changed_once_it_is_made() -> None:
    with pytest.raises(ValidationError):
        card().summary = "Ferritin 200 ng/mL"  # type: ignore[misc]  # that is what is tried


def test_two_cards_have_two_uuids() -> None:
    assert (
        len(CardsResponse(cards=(card(uuid=None), card(uuid=None), card(), card(uuid=OTHER_UUID))).cards) == 4
    )
    with pytest.raises(ValidationError):
        CardsResponse(cards=(card(), card()))


@pytest.mark.parametrize(
    "action",
    [
        {"type": "create", "description": "d"},
        {"type": "update", "description": "d", "resource_id": "ServiceRequest/1"},
        {"type": "create", "description": "d", "resource": {"a": 1}, "resource_id": "ServiceRequest/1"},
        {"type": "delete", "description": "d"},
        {"type": "delete", "description": "d", "resource": {"a": 1}},
        {"type": "delete", "description": "d", "resource": {"a": 1}, "resource_id": "ServiceRequest/1"},
        {"type": "create", "description": "", "resource": {"a": 1}},
        {"type": "patch", "description": "d", "resource": {"a": 1}},
    ],
)
def test_an_action_has_what_its_type_needs(action: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Action(**action)


def test_a_delete_names_the_resource() -> None:
    action = Action(type="delete", description="Remove", resource_id="ServiceRequest/1")
    assert to_plain(action) == {"type": "delete", "description": "Remove", "resourceId": "ServiceRequest/1"}


@pytest.mark.parametrize(
    "url", ["http://x.example.org", "ftp://x.example.org", "/path", "https://", "https://a b"]
)
def test_links_are_secure_addresses(url: str) -> None:
    with pytest.raises(ValidationError):
        LinkModel(label="x", url=url)


def test_only_apps_take_a_context() -> None:
    app = LinkModel(label="x", url="https://app.example.org/launch", type="smart", app_context="{}")
    assert to_plain(app)["appContext"] == "{}"
    with pytest.raises(ValidationError):
        LinkModel(label="x", url="https://app.example.org", app_context="{}")


@pytest.mark.parametrize("identifier", ["", "a b", "a/b", "ä"])
def test_a_service_id_is_safe_in_an_address(identifier: str) -> None:
    with pytest.raises(ValidationError):
        Service(hook="patient-view", title="t", description="d", id=identifier)


def test_an_error_of_a_model_does_not_repeat_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        card(summary="Zq7CANARYx" * 20)
    assert "CANARY" not in str(caught.value)


def test_an_outcome_lists_its_issues() -> None:
    body = operation_outcome([Issue("required", "hook is required."), Issue("processing", "d", "t")])
    assert json.loads(body) == {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": "required", "diagnostics": "hook is required."},
            {"severity": "error", "code": "processing", "details": {"text": "t"}, "diagnostics": "d"},
        ],
    }
