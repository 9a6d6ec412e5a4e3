"""Discovery, the start page and the health check."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from cds_service.app import warm_app
from cds_service.settings import Settings
from tests.http.conftest import Web
from tests.http.requests import check_headers, holds_nothing_empty

_MEMBERS = {"hook", "title", "description", "id", "prefetch", "usageRequirements"}


@pytest.mark.parametrize("path", ["/cds-services", "/cds-services/"])
def test_discovery_is_answered_directly(web: Web, path: str) -> None:
    response = web.client.get(path, headers={"Authorization": "Bearer a.b.c", "Accept": "application/json"})
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    check_headers(response)
    body = response.get_json()
    assert list(body) == ["services"]
    assert holds_nothing_empty(body)


def test_the_service_is_described(web: Web) -> None:
    (service,) = web.client.get("/cds-services").get_json()["services"]
    assert set(service) == _MEMBERS
    assert (service["hook"], service["id"]) == ("patient-view", "rls-iron-assessment")
    for said in ("clinicians, who decide", "Not clinically validated", "not CE marked"):
        assert said in service["description"]
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert "http://loinc.org|2276-4" in service["prefetch"]["ironResults"]


def test_the_service_that_is_offered_answers(web: Web) -> None:
    (service,) = web.client.get("/cds-services").get_json()["services"]
    assert web.client.post(f"/cds-services/{service['id']}").status_code != 404


def test_head_is_answered_like_get_without_a_body(web: Web) -> None:
    response = web.client.head("/cds-services")
    assert (response.status_code, response.data) == (200, b"")
    check_headers(response)


def test_an_application_is_ready_when_it_is_warm() -> None:
    assert warm_app(Settings()).test_client().get("/healthz").status_code == 200


def test_health(web: Web) -> None:
    response = web.client.get("/healthz")
    assert response.get_json()["status"] == "ok"
    assert holds_nothing_empty(response.get_json())
    check_headers(response)


class Outline(HTMLParser):
    """What a screen reader meets."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append(tag)
        if tag == "html":
            self.attributes = dict(attrs)
        if tag == "a":
            self.links.append(dict(attrs)["href"])


def test_the_start_page_is_plain_and_states_the_intended_use(web: Web) -> None:
    response = web.client.get("/")
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    check_headers(response)
    page = Outline()
    page.feed(response.text)
    assert page.attributes["lang"] == "en"
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1
    assert "script" not in page.tags
    assert set(page.links) == {
        "cds-services",
        "basis",
        "knowledge/",
        "healthz",
        "https://doi.org/10.5664/jcsm.11390",
    }
    for said in ("clinicians, who decide", "Not clinically validated", "not CE marked"):
        assert said in response.text
    for path in ("cds-services", "basis", "healthz"):
        assert web.client.get(f"/{path}").status_code == 200


def test_the_start_page_allows_nothing_but_its_own_style(web: Web) -> None:
    response = web.client.get("/")
    policy = response.headers["Content-Security-Policy"]
    found = re.search(r"<style>(.*?)</style>", response.text, re.DOTALL)
    assert found is not None
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert response.headers["Referrer-Policy"] == "no-referrer"
