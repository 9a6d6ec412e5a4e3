"""Requests and checks that the wire tests share."""

import json
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from cds_service.resources import fixtures_dir

SERVICE = "/cds-services/rls-iron-assessment"
FEEDBACK = f"{SERVICE}/feedback"
CANARY = "Zq7CANARYx"

_HERE = Path(__file__).parent


def sandbox_request(name: str) -> Any:
    """Return a hook request that the public sandbox sent."""
    return json.loads((fixtures_dir() / f"sandbox-{name}" / "request.json").read_text(encoding="utf-8"))


def sandbox_feedback() -> Any:
    """Return three feedback bodies that the public sandbox sent: accepted, with a reason, without one."""
    return json.loads((_HERE / "sandbox_feedback.json").read_text(encoding="utf-8"))


def call_body(**changes: Any) -> dict[str, Any]:
    """Return a patient-view request; `...` as a value leaves a member out."""
    body: dict[str, Any] = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"patientId": "p1", "userId": "Practitioner/u1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


def check_headers(response: TestResponse) -> None:
    """Check what stands on every answer."""
    headers = response.headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert {"authorization", "content-type"} <= set(
        headers["Access-Control-Allow-Headers"].lower().split(", ")
    )
    assert {"GET", "POST", "OPTIONS"} <= set(headers["Access-Control-Allow-Methods"].split(", "))
    assert int(headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def outcome(response: TestResponse, status: int) -> list[dict[str, Any]]:
    """Return the issues of an error answer after checking that it is one."""
    assert response.status_code == status
    assert response.mimetype == "application/json"
    check_headers(response)
    body = json.loads(response.data)
    assert body["resourceType"] == "OperationOutcome"
    issues: list[dict[str, Any]] = body["issue"]
    assert issues
    assert issues[0]["severity"] == "error"
    assert all(issue["severity"] in {"error", "warning"} for issue in issues)
    assert all(issue["code"] and issue["diagnostics"] for issue in issues)
    assert "Traceback" not in response.text
    assert CANARY not in response.text
    return issues


def holds_nothing_empty(value: object) -> bool:
    """Whether no member below is null, "", [] or {}."""
    if isinstance(value, dict):
        return bool(value) and all(holds_nothing_empty(member) for member in value.values())
    if isinstance(value, list):
        return bool(value) and all(holds_nothing_empty(item) for item in value)
    return value is not None and value != ""
