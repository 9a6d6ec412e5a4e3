"""Feedback over HTTP: answered, counted, and nothing of it logged."""

import json
import logging

import pytest

from tests.http.conftest import Web
from tests.http.requests import CANARY, FEEDBACK, check_headers, outcome, sandbox_feedback

ID = "rls-iron-assessment"


def send(web: Web, body: object, path: str = FEEDBACK) -> tuple[int, bytes]:
    response = web.client.post(path, data=json.dumps(body), content_type="application/json")
    check_headers(response)
    return response.status_code, response.data


@pytest.mark.parametrize("path", [FEEDBACK, f"/cds-services//{ID}/feedback"])
def test_what_the_sandbox_sends_is_taken_and_counted(web: Web, path: str) -> None:
    for body in sandbox_feedback():
        assert send(web, body, path) == (200, b"{}")
    assert web.metrics.value("feedback", service=ID, outcome="accepted") == 1
    assert web.metrics.value("feedback", service=ID, outcome="overridden") == 2


def test_a_batch_in_epic_s_manner_is_taken(web: Web) -> None:
    body = {
        "feedback": [
            {
                "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
                "outcome": "overridden",
                "overrideReasons": {
                    "reason": {"code": "declined", "system": "https://x.example.org/over ride"},
                    "userComment": CANARY,
                },
                "outcomeTimestamp": "2026-11-22T08:48:20Z",
            },
            {
                "card": "4e0a3a1e-3283-4575-ab82-028d55fe2720",
                "outcome": "overridden",
                "overrideReasons": {"extension": {"com.epic.cdshooks.feedback.overrideReason.id": "3"}},
                "outcomeTimestamp": "2026-11-22T08:48:20Z",
            },
        ],
    }
    assert send(web, body) == (200, b"{}")
    assert web.metrics.value("feedback", service=ID, outcome="overridden") == 2


def test_one_wrong_entry_refuses_all_and_nothing_is_counted(web: Web) -> None:
    body = sandbox_feedback()[0]
    body["feedback"].append({"card": CANARY})
    response = web.client.post(FEEDBACK, data=json.dumps(body), content_type="application/json")
    assert outcome(response, 400)[0]["code"] == "value"
    assert web.metrics.value("feedback", service=ID, outcome="accepted") == 0


def test_a_comment_is_not_logged(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = sandbox_feedback()[1]
    body["feedback"][0]["overrideReason"]["userComment"] = CANARY
    assert send(web, body)[0] == 200
    assert CANARY not in caplog.text
