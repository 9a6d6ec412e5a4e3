"""Records that must not be used: merged patients, other patients, access for another patient."""

from typing import Any

import msgspec
import pytest

from cds_service.fhir.lean import Resource
from cds_service.fhir.others import is_replaced
from tests.builders import hook_request, prefetch
from tests.harness import Reply, service_in

REPLACED_BY = {"type": "replaced-by", "other": {"reference": "Patient/kept"}}
REPLACED_LINE = "The patient record was merged into another one"
INACTIVE_LINE = "The patient record is marked as not in use"


def call(record: list[Any], **members: Any) -> Reply:
    """Return the answer for a record whose Patient has further members."""
    sent = prefetch(record)
    sent["patient"] |= members
    return service_in("UTC").call(hook_request(sent))


def topics(reply: Reply) -> list[str]:
    return [card["source"]["topic"]["code"] for card in reply.cards]


# ------------------------------------------------------------------------------------------------- merged
@pytest.mark.parametrize(
    "link",
    [
        REPLACED_BY,
        {"type": "replace", "other": {"reference": "Patient/kept"}},  # as DSTU2 spells it
        {"type": " Replaced-By "},
    ],
)
@pytest.mark.parametrize("active", [True, False])
def test_a_merged_patient_gets_data_01_alone_with_the_reason(link: dict[str, Any], *, active: bool) -> None:
    reply = call(["RLS", {"ferritin": 20}, {"takes": {"drug": "sertraline"}}], link=[link], active=active)
    assert topics(reply) == ["DATA01"]
    assert REPLACED_LINE in reply.cards[0]["detail"]
    assert INACTIVE_LINE not in reply.cards[0]["detail"]
    assert "20" not in reply.cards[0]["summary"]


def test_a_merged_patient_without_rls_is_412_with_the_reason() -> None:
    reply = call([{"ferritin": 20}], link=[REPLACED_BY])
    assert reply.status == 412
    assert [(one["code"], one["diagnostics"]) for one in reply.body["issue"]] == [
        ("processing", "Not available from prefetch or the FHIR server: patient data."),
        ("conflict", "Patient: replaced by another record."),
    ]


@pytest.mark.parametrize(
    "link",
    [
        {"type": "replaces", "other": {"reference": "Patient/old"}},  # the record that is to be used
        {"type": "seealso", "other": {"reference": "Patient/elsewhere"}},
        {"type": "refer", "other": {"reference": "Patient/main"}},
        None,
    ],
)
def test_every_other_link_changes_nothing(link: Any) -> None:
    assert topics(call(["RLS", {"ferritin": 20}], link=[link])) == ["IRON03"]


@pytest.mark.parametrize("link", [7, "replaced-by", None, {}, {"type": 7}, {"type": None}])
def test_a_link_that_cannot_be_read_says_nothing(link: Any) -> None:
    assert not is_replaced(msgspec.convert({"link": [msgspec.Raw(msgspec.json.encode(link))]}, Resource))


def test_of_two_versions_of_the_patient_a_merged_one_decides() -> None:
    sent = prefetch(["RLS", {"ferritin": 20}])
    merged = {**sent["patient"], "link": [REPLACED_BY]}
    sent["again"] = merged
    assert topics(service_in("UTC").call(hook_request(sent))) == ["DATA01"]


# ------------------------------------------------------------------------------------------------ inactive
@pytest.mark.parametrize("active", [False, "false"])
def test_an_inactive_patient_gets_its_cards_with_a_line(active: Any) -> None:
    reply = call(["RLS", {"ferritin": 20}, {"takes": {"drug": "sertraline"}}], active=active)
    assert topics(reply) == ["IRON03", "DRUG01"]
    assert all(INACTIVE_LINE in card["detail"] for card in reply.cards)


@pytest.mark.parametrize("members", [{"active": True}, {"active": None}, {"active": "no"}, {}])
def test_any_other_patient_gets_no_such_line(members: dict[str, Any]) -> None:
    reply = call(["RLS", {"ferritin": 20}], **members)
    assert topics(reply) == ["IRON03"]
    assert INACTIVE_LINE not in reply.cards[0]["detail"]
