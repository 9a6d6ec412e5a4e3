"""Calls in the manner of the EHRs that are known, over the real application: the answer is the plain one."""

from typing import Any

import pytest

from tests.builders import FHIR_SERVER, Fact, Json, hook_request, outcome, prefetch, with_absolute_references
from tests.harness import Reply, service_in

RECORD: list[Fact] = [
    "RLS",
    {"ferritin": 40},
    {"prescribed": {"drug": "sertraline", "authored": "2026-10-01"}},
]
TRIGGER = "com.epic.cdshooks.request.bpa-trigger-action"
VERSION = "com.epic.cdshooks.request.fhir-version"
SCOPE = "Observation.Read (Labs) (R4) Condition.Search (Problems) (R4) launch"


def call(prefetched: Json, **members: Any) -> Reply:
    return service_in("UTC").call(hook_request(prefetched, **members))


def topics(reply: Reply) -> list[str]:
    return [card["source"]["topic"]["code"] for card in reply.cards]


@pytest.mark.parametrize("trigger", ["60", "18", "23", "6", "7"])
def test_a_call_in_epic_s_manner_gets_the_plain_answer(trigger: str) -> None:
    plain = prefetch(RECORD)
    epic = with_absolute_references(plain) | {"-user": {"resourceType": "Practitioner", "id": "u1"}}
    reply = call(
        epic,
        fhirServer=FHIR_SERVER,
        fhirAuthorization={
            "access_token": "a-token",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": SCOPE,
            "subject": "a-client",
        },
        extension={TRIGGER: trigger, VERSION: "R4"},
    )
    assert topics(reply) == ["IRON03", "DRUG01"]
    assert reply.cards == call(plain).cards


def test_a_request_in_epic_s_manner_is_read() -> None:
    request = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "category": {"coding": [{"code": "outpatient", "display": "Outpatient"}], "text": "Outpatient"},
        "authoredOn": "2026-10-01",
        "medicationReference": {
            "reference": f"{FHIR_SERVER}/Medication/eMed",
            "display": "diphenhydrAMINE 25 MG PO TABS",
        },
        "dosageInstruction": [{"asNeededBoolean": True, "route": {"text": "Oral"}}],
    }
    reply = call(prefetch(["RLS", {"ferritin": 40}, {"resource": request}]))
    assert topics(reply) == ["IRON03", "DRUG01"]
    assert "as needed" in reply.cards[1]["detail"]


def test_a_client_without_statements_gets_its_requests_judged() -> None:
    sent = {key: value for key, value in prefetch(RECORD).items() if "Statement" not in key}
    reply = call(sent)
    assert topics(reply) == ["IRON03", "DRUG01"]
    assert "current iron" in reply.cards[0]["detail"]


@pytest.mark.parametrize("code", ["not-found", "not-supported", "exception"])
def test_a_failed_search_for_statements_spoils_nothing_else(code: str) -> None:
    reply = call(prefetch(RECORD) | {"medicationStatements": outcome("error", code)})
    assert topics(reply) == ["IRON03", "DRUG01"]
    assert "was not read in full" in reply.cards[0]["detail"]
