"""`/knowledge/` over the wire: a page for people, a Bundle for programs, each resource at its own address."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest

from cds_service.adapters.metrics import InProcessMetrics
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.http.conftest import FakeAssess, Web
from tests.http.requests import check_headers, outcome

FHIR_JSON = "application/fhir+json"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PLAN = "/knowledge/PlanDefinition/rls-iron-assessment"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """One application for all tests of this file: the resources are made once."""
    assess, metrics = FakeAssess(), InProcessMetrics()
    yield Web(create_app(Settings(), assess=assess, metrics=metrics).test_client(), assess, metrics)
    assert assess.calls == []


@pytest.mark.parametrize("accept", [None, "*/*", FHIR_JSON, "application/json", "image/png"])
@pytest.mark.parametrize("path", ["/knowledge", "/knowledge/"])
def test_a_program_gets_a_bundle_of_all_resources(web: Web, path: str, accept: str | None) -> None:
    answer = web.client.get(path, headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.content_type) == (200, FHIR_JSON)
    check_headers(answer)
    bundle = json.loads(answer.data)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    kinds = {one["resource"]["resourceType"] for one in bundle["entry"]}
    assert kinds >= {"PlanDefinition", "ActivityDefinition", "Library", "CodeSystem", "ValueSet"}


def test_every_entry_of_the_bundle_is_served_at_its_own_address(web: Web) -> None:
    entries = json.loads(web.client.get("/knowledge/").data)["entry"]
    assert len(entries) > 200
    for entry in entries:
        resource = entry["resource"]
        answer = web.client.get(f"/knowledge/{resource['resourceType']}/{resource['id']}")
        assert (answer.status_code, answer.content_type) == (200, FHIR_JSON)
        assert json.loads(answer.data) == resource


@pytest.mark.parametrize("path", ["/knowledge", "/knowledge/"])
def test_a_reader_gets_a_page_whose_links_lead_to_every_resource(web: Web, path: str) -> None:
    answer = web.client.get(path, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    check_headers(answer)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    linked = {urljoin(path, link) for link in re.findall(r'href="([^"#]+)"', answer.text)}
    entries = json.loads(web.client.get("/knowledge/").data)["entry"]
    served = {f"/knowledge/{one['resource']['resourceType']}/{one['resource']['id']}" for one in entries}
    assert linked == served | {"/", "/basis"}
    assert web.client.get("/basis").status_code == 200


def test_the_start_page_leads_to_it(web: Web) -> None:
    assert 'href="knowledge/"' in web.client.get("/").text


@pytest.mark.parametrize(
    "path",
    [
        "/knowledge/ValueSet/no-such",
        "/knowledge/NoType/rls",
        "/knowledge/ValueSet",
        "/knowledge/ValueSet/",
        "/knowledge/ValueSet/../../healthz",
        f"/knowledge/ValueSet/{'r' * 5000}",
    ],
)
def test_anything_else_is_not_found(web: Web, path: str) -> None:
    assert outcome(web.client.get(path), 404)[0]["code"] == "not-found"


def test_it_is_only_read(web: Web) -> None:
    assert outcome(web.client.post(PLAN, json={}), 405)[0]["code"] == "not-supported"
    assert web.client.head(PLAN).status_code == 200
    preflight = web.client.options(PLAN)
    assert preflight.status_code == 204
    check_headers(preflight)


def test_settings_decide_base_and_licence() -> None:
    app = create_app(Settings(canonical_base="https://cds.example.net/rls", snomed=False))
    bundle = app.test_client().get("/knowledge/").data
    assert b'"https://cds.example.net/rls/PlanDefinition/rls-iron-assessment"' in bundle
    assert b"snomed.info" not in bundle


def test_a_start_and_a_call_load_nothing_of_it() -> None:
    script = """
import json, sys
from cds_service.app import warm_app
from cds_service.resources import fixtures_dir
from cds_service.settings import Settings
client = warm_app(Settings()).test_client()
body = (fixtures_dir() / "readme-patient" / "request.json").read_bytes()
answer = client.post("/cds-services/rls-iron-assessment", data=body, content_type="application/json")
assert answer.get_json()["cards"], answer.text
print(sorted(name for name in sys.modules if name.startswith(("cds_service.published", "cds_service.basis"))))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")
