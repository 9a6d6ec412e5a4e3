"""What a page of another origin can do with the service, and what the browser lets it read."""

import json
from typing import Any

import pytest

from cds_service.resources import fixtures_dir
from tests.browser.client import Client, Json
from tests.browser.conftest import MAX_BODY, Service
from tests.http.requests import sandbox_feedback

pytestmark = pytest.mark.browser

ID = "rls-iron-assessment"
README_HEADS = [
    "warning: Ferritin 28 ng/mL (2026-11-10): low for RLS, iron treatment is usually indicated",
    "info: May worsen RLS: sertraline. Review need or alternatives",
]


def request_of(name: str) -> Json:
    """Return a sample request."""
    value: Json = json.loads((fixtures_dir() / name / "request.json").read_text(encoding="utf-8"))
    return value


def outcome(answer: Json, status: int) -> list[Json]:
    """Return the issues of an error that the page could read."""
    assert answer.get("status") == status, answer
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["body"]["resourceType"] == "OperationOutcome"
    issues: list[Json] = answer["body"]["issue"]
    return issues


def test_discovery_is_read_after_a_preflight(client: Client, service: Service) -> None:
    answer = client.get(service.discovery)
    assert answer["status"] == 200
    assert [one["id"] for one in answer["body"]["services"]] == [ID]
    assert client.preflights == [(service.discovery, "GET", "authorization")]


def test_a_call_is_read_after_a_preflight(client: Client, service: Service) -> None:
    called = f"{service.discovery}/{ID}"
    answer = client.post(called, request_of("readme-patient"))
    assert answer["status"] == 200
    assert [f"{card['indicator']}: {card['summary']}" for card in answer["body"]["cards"]] == README_HEADS
    assert client.preflights == [(called, "POST", "authorization,content-type")]


def test_only_harmless_headers_are_shown_to_the_page(client: Client, service: Service) -> None:
    assert set(client.get(service.discovery)["headers"]) == {
        "cache-control",
        "content-length",
        "content-type",
    }


def test_the_browser_does_not_ask_before_every_call(client: Client, service: Service) -> None:
    for _ in range(3):
        assert client.get(service.discovery)["status"] == 200
    assert len(client.preflights) == 1


def test_missing_data_is_read_as_a_reason(client: Client, service: Service) -> None:
    request = request_of("readme-patient")
    del request["prefetch"], request["fhirServer"]
    issues = outcome(client.post(f"{service.discovery}/{ID}", request), 412)
    assert any("patient" in issue["diagnostics"].lower() for issue in issues)


@pytest.mark.parametrize("body", ["{", '{"hook": "order-sign"}', "[]", ""])
def test_a_wrong_request_is_read_as_a_reason(client: Client, service: Service, body: str) -> None:
    assert outcome(client.send(f"{service.discovery}/{ID}", body), 400)


@pytest.mark.parametrize(
    ("below", "method", "status"),
    [("/no-such-service", "POST", 404), (f"/{ID}", "GET", 405), ("", "POST", 405)],
)
def test_a_wrong_address_is_read_as_a_reason(
    client: Client, service: Service, below: str, method: str, status: int
) -> None:
    options: dict[str, Any] = {"method": method} | ({"body": "{}"} if method == "POST" else {})
    assert outcome(client.get(f"{service.discovery}{below}", **options), status)


def test_a_wrong_content_type_is_read_as_a_reason(client: Client, service: Service) -> None:
    assert outcome(client.send(f"{service.discovery}/{ID}", "{}", type="text/plain"), 415)


@pytest.mark.parametrize("size", [MAX_BODY + 1, 40 * MAX_BODY])
def test_a_body_that_is_too_large_is_read_as_a_reason(client: Client, service: Service, size: int) -> None:
    assert outcome(client.send(f"{service.discovery}/{ID}", " " * size), 413)


@pytest.mark.parametrize("number", range(3))
def test_feedback_is_taken(client: Client, service: Service, number: int) -> None:
    told = f"{service.discovery}/{ID}/feedback"
    answer = client.post(told, sandbox_feedback()[number])
    assert (answer["status"], answer["body"]) == (200, {})
    assert client.preflights == [(told, "POST", "authorization,content-type")]


def test_wrong_feedback_is_read_as_a_reason(client: Client, service: Service) -> None:
    assert outcome(client.post(f"{service.discovery}/{ID}/feedback", {"feedback": [{"card": "x"}]}), 400)


def test_a_slash_at_the_end_of_the_discovery_address_changes_nothing(
    client: Client, service: Service
) -> None:
    base = f"{service.discovery}/"
    answers = [
        client.get(base),
        client.post(f"{base}/{ID}", request_of("readme-patient")),
        client.post(f"{base}/{ID}/feedback", sandbox_feedback()[0]),
    ]
    assert [answer["status"] for answer in answers] == [200, 200, 200]
    assert not any(answer["isRedirected"] for answer in answers)


def test_no_page_can_send_a_user_s_cookies_along(client: Client, service: Service) -> None:
    assert client.get(service.discovery, credentials="include") == {"refused": "TypeError"}


def test_a_page_without_an_origin_is_answered_too(client: Client, service: Service) -> None:
    frame = client.sandboxed_frame()
    script = "async (url) => (await fetch(url, { headers: { Authorization: 'Bearer x' } })).status"
    assert frame.evaluate("() => self.origin") == "null"
    assert frame.evaluate(script, service.discovery) == 200


def test_nothing_that_a_page_sent_stands_in_the_log(client: Client, service: Service) -> None:
    client.post(f"{service.discovery}/{ID}", request_of("readme-patient"))
    log = service.log.read_text(encoding="utf-8")
    assert '"method":"OPTIONS"' in log
    for sent in ("a-token-that-nobody-checks", "example-001", "Fictional"):
        assert sent not in log
