"""A fault at any stage of a call is a 500 with an incident id, never an empty list of cards."""

import json
import logging
import re
from typing import Any

import pytest

from cds_service.adapters.metrics import InProcessMetrics
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.builders import SERVICE, hook_request, prefetch
from tests.fakes.fhir_stub import fhir_stub
from tests.http.requests import CANARY, outcome

RECORD = ["RLS", {"ferritin": 20}, {"takes": {"drug": "sertraline"}}]


class Fault(Exception):
    """Nobody expects this one."""


def fail(*_args: object, **_kwargs: object) -> Any:
    raise Fault(CANARY)


STAGES = {
    "reading the envelope": "cds_service.web.service.parse_hook_request",
    "choosing the client": "cds_service.app.profile_for",
    "reading the record": "cds_service.assess.open_record",
    "decoding a resource": "cds_service.fhir.record.read_prefetch",
    "extracting facts": "cds_service.fhir.record.extract_facts",
    "completion": "cds_service.assess.complete",
    "searching": "cds_service.adapters.fhir_server.Session.fetch",
    "rules": "cds_service.assess.evaluate",
    "a rule": "cds_service.clinical.evaluate.iron_choice",
    "validation": "cds_service.fhir.record.validate",
    "memory": "cds_service.adapters.quiet.NothingKnown.is_quiet",
    "rendering": "cds_service.rendering.CardLibrary.render",
    "a text": "cds_service.rendering.detail.DetailWriter.write",
    "a suggestion": "cds_service.rendering.suggestions",
    "counting": "cds_service.adapters.metrics.InProcessMetrics.count",
    "serialising": "cds_service.web.service.to_json",
    "answering": "cds_service.web.service.json_response",
}
"""Every stage of a call, by the function in which the fault is placed once the service has started."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_is_500_with_the_incident_that_the_log_names(
    stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="cds_service")
    client = create_app(Settings(fhir_budget_ms=20_000)).test_client()
    with fhir_stub() as stub:
        body = hook_request(prefetch(RECORD), fhirServer=stub.base)
        # One question is left open, so that the server is asked.
        del body["prefetch"]["procedures"]
        assert client.post(SERVICE, json=body).status_code == 200
        caplog.clear()
        monkeypatch.setattr(STAGES[stage], fail)
        response = client.post(SERVICE, json=body)
    (issue,) = outcome(response, 500) if stage != "counting" else response.get_json()["issue"]
    assert response.status_code == 500
    assert "cards" not in response.get_json()
    incident = re.search(r"Incident ([0-9a-f-]{36})\.", issue["diagnostics"])
    assert incident is not None
    told = [r.fields for r in caplog.records if r.getMessage() == "unexpected error"]  # type: ignore[attr-defined] # set by the service's own log
    assert incident[1] in {one["incident"] for one in told}
    assert {one["exception"] for one in told} == {"Fault"}
    assert CANARY not in json.dumps(told) + response.text


def test_a_fault_while_the_answer_is_finished_is_500_too(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = InProcessMetrics()
    client = create_app(Settings(), metrics=metrics).test_client()
    monkeypatch.setattr(metrics, "observe", fail)
    response = client.post(SERVICE, json=hook_request(prefetch(RECORD)))
    assert response.status_code == 500
    (issue,) = response.get_json()["issue"]
    assert issue["code"] == "exception"
    assert "Incident" in issue["diagnostics"]
    assert CANARY not in response.text
