"""What those who run the service see: readiness, versions, counters, limits; and nothing about a patient."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service import __version__
from cds_service.adapters.audit_log import chains
from cds_service.adapters.metrics import InProcessMetrics
from cds_service.app import create_app
from cds_service.knowledge import load
from cds_service.rendering import CardLibrary
from cds_service.settings import Settings
from tests.builders import SERVICE, hook_request, prefetch
from tests.fakes.fhir_stub import Reply, fhir_stub
from tests.http.requests import CANARY, check_headers, outcome
from tests.tokens import entry, sign, site

BODY = hook_request(prefetch(["RLS", {"ferritin": 20}, {"takes": {"drug": "sertraline"}}]))
FEEDBACK = f"{SERVICE}/feedback"


def settings_of(folder: Path, text: str | None = None, **more: Any) -> Settings:
    """Return the settings of a site with trust and an audit log."""
    (folder / "audit").mkdir()
    return site(folder, text).settings.model_copy(update={"audit": folder / "audit", **more})


def events(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)["event"]
        for paths in chains(folder / "audit").values()
        for path in paths
        for line in path.read_text(encoding="ascii").splitlines()
    ]


def called(web: FlaskClient, body: Any = BODY) -> Any:
    return web.post(SERVICE, json=body, headers={"Authorization": f"Bearer {sign()}"})


# -------------------------------------------------------------------------------------------------- ready
def test_the_development_profile_is_ready_by_its_answer_to_a_made_up_patient() -> None:
    response = create_app(Settings()).test_client().get("/readyz")
    assert (response.status_code, response.get_json()) == (
        200,
        {"status": "ready", "parts": {"assessment": "ok"}},
    )
    check_headers(response)


def test_a_site_is_ready_when_every_part_is(tmp_path: Path) -> None:
    response = create_app(settings_of(tmp_path)).test_client().get("/readyz")
    parts = {"assessment": "ok", "clients": "ok", "store": "ok", "audit": "ok"}
    assert (response.status_code, response.get_json()) == (200, {"status": "ready", "parts": parts})


def broken_clients(folder: Path) -> None:
    (folder / "clients.toml").write_text(f'[[clients]]\nname = "{CANARY}"\n', encoding="utf-8")


def store_damaged(folder: Path) -> None:
    (folder / "store.db").write_bytes(b"x" * 8192)


def store_without_tables(folder: Path) -> None:
    (folder / "store.db").write_bytes(b"")


def audit_gone(folder: Path) -> None:
    (folder / "audit").rmdir()


@pytest.mark.parametrize(
    ("part", "break_it"),
    [
        ("clients", broken_clients),
        ("store", store_damaged),
        ("store", store_without_tables),
        ("audit", audit_gone),
    ],
)
def test_a_part_that_is_out_of_order_is_named_and_nothing_else(
    tmp_path: Path, part: str, break_it: Any, caplog: pytest.LogCaptureFixture
) -> None:
    web = create_app(settings_of(tmp_path), timer=iter(range(10_000)).__next__).test_client()
    assert web.get("/readyz").status_code == 200
    break_it(tmp_path)
    until = time.monotonic() + 10
    while (response := web.get("/readyz")).status_code == 200 and time.monotonic() < until:
        time.sleep(0.05)
    assert response.status_code == 503
    body = response.get_json()
    assert body["status"] == "not ready"
    assert {name for name, state in body["parts"].items() if state != "ok"} == {part}
    assert set(body["parts"].values()) == {"ok", "fault"}
    told = [record.fields for record in caplog.records if record.getMessage() == "not ready"]  # type: ignore[attr-defined] # set by the service's own log
    assert {one["part"] for one in told} == {part}
    assert CANARY not in response.text + str(told)


def test_rules_that_fail_are_not_ready() -> None:
    def assess(_call: object) -> Any:
        raise ZeroDivisionError(CANARY)

    response = create_app(Settings(), assess=assess).test_client().get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["parts"] == {"assessment": "fault"}


def test_readiness_is_checked_once_a_second_at_most(tmp_path: Path) -> None:
    seconds = [100.0]
    web = create_app(settings_of(tmp_path), timer=lambda: seconds[0]).test_client()
    assert web.get("/readyz").status_code == 200
    audit_gone(tmp_path)
    seconds[0] += 0.9
    assert web.get("/readyz").status_code == 200
    seconds[0] += 0.1
    assert web.get("/readyz").status_code == 503


# ------------------------------------------------------------------------------------------------ version
@pytest.mark.parametrize("snomed", [True, False])
def test_version_names_service_knowledge_and_cards(*, snomed: bool) -> None:
    found = create_app(Settings(snomed=snomed)).test_client().get("/version").get_json()
    off = {} if snomed else {"snomed": "off"}
    knowledge, cards = load(), CardLibrary.load()
    if snomed:
        assert found["knowledge_hash"] == knowledge.hash
    assert found == {
        "service": __version__,
        "knowledge": found["knowledge"],
        "knowledge_hash": found["knowledge_hash"],
        "cards": cards.version,
        "cards_hash": cards.hash,
        **off,
    }
    assert found["knowledge"].startswith(knowledge.version)


# ------------------------------------------------------------------------------------------------ metrics
def page(web: FlaskClient) -> dict[str, float]:
    response = web.get("/metrics")
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    pairs = (line.rpartition(" ") for line in response.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs if "_created" not in name}


def test_metrics_are_off_unless_a_site_turns_them_on() -> None:
    outcome(create_app(Settings()).test_client().get("/metrics"), 404)


def test_a_call_is_counted_in_every_respect() -> None:
    web = create_app(Settings(metrics=True)).test_client()
    assert len(web.post(SERVICE, json=BODY).get_json()["cards"]) == 2
    assert web.post(SERVICE, json=hook_request(None)).status_code == 412
    assert web.post(SERVICE, json={}).status_code == 400
    assert web.get(f"/{CANARY}").status_code == 404
    other = {"resourceType": "Patient", "id": "somebody-else"}
    assert web.post(SERVICE, json=hook_request({"patient": other})).status_code == 412
    told = {"card": "c1", "outcome": "accepted", "acceptedSuggestions": [{"id": "s1"}]}
    at = {"outcomeTimestamp": "2026-11-22T08:33:16.416Z"}
    assert web.post(FEEDBACK, json={"feedback": [{**told, **at}] * 2}).status_code == 200
    found = page(web)
    calls = {name: value for name, value in found.items() if name.startswith("rls_cds_calls_total")}
    assert calls == {
        f'rls_cds_calls_total{{route="{SERVICE}",status="200"}}': 1,
        f'rls_cds_calls_total{{route="{SERVICE}",status="412"}}': 2,
        f'rls_cds_calls_total{{route="{SERVICE}",status="400"}}': 1,
        f'rls_cds_calls_total{{route="{FEEDBACK}",status="200"}}': 1,
        'rls_cds_calls_total{route="unknown",status="404"}': 1,
    }
    assert found[f'rls_cds_call_seconds_count{{route="{SERVICE}"}}'] == 4
    label = 'service="rls-iron-assessment"'
    assert found[f'rls_cds_cards_total{{card="IRON-03",{label}}}'] == 1
    assert found[f'rls_cds_cards_total{{card="DRUG-01",{label}}}'] == 1
    assert found[f'rls_cds_feedback_total{{outcome="accepted",{label}}}'] == 2
    assert found['rls_cds_data_issues_total{kind="belongs to another patient"}'] == 1
    refused = 'rls_cds_refusals_total{cause="Patient of another id than the context\'s"}'
    assert found[refused] == 1
    assert page(web)['rls_cds_calls_total{route="/metrics",status="200"}'] == 1
    assert CANARY not in str(found)


def test_searches_are_counted_by_how_they_ended_and_logged_by_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="cds_service")
    metrics = InProcessMetrics()
    web = create_app(Settings(fhir_budget_ms=20_000), metrics=metrics).test_client()
    with fhir_stub() as stub:
        stub.behaviour = lambda seen: Reply(404) if seen.path.startswith("/Procedure") else None
        web.post(SERVICE, json=hook_request(None, fhirServer=stub.base))
    (line,) = [record.fields for record in caplog.records if record.getMessage() == "call"]  # type: ignore[attr-defined] # set by the service's own log
    assert line["searches_failed"] == metrics.value("search", outcome="not found") == 1
    assert line["searches"] == metrics.value("search", outcome="answered") + 1
    assert line["searches"] >= 10


def test_a_silent_answer_and_a_refused_caller_are_counted(tmp_path: Path) -> None:
    web = create_app(settings_of(tmp_path, entry(more="silent = true\n"), metrics=True)).test_client()
    assert called(web).get_json() == {"cards": []}
    assert web.post(SERVICE, json=BODY).status_code == 401
    found = page(web)
    assert found['rls_cds_silent_answers_total{service="rls-iron-assessment"}'] == 1
    assert found['rls_cds_cards_total{card="IRON-03",service="rls-iron-assessment"}'] == 1
    assert found['rls_cds_refusals_total{cause="no token"}'] == 1


# ------------------------------------------------------------------------------------------- limit of calls
def test_a_client_above_its_limit_is_told_when_to_come_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="cds_service")
    web = create_app(settings_of(tmp_path, entry(more="rate_limit = 2\n"), metrics=True)).test_client()
    assert called(web).status_code == 200
    limited = called(web)
    assert limited.status_code == 429
    issue = limited.get_json()["issue"][0]
    assert (issue["severity"], issue["code"]) == ("error", "throttled")
    # A half of two calls a minute is one; the next one comes after a minute.
    assert 55 <= int(limited.headers["Retry-After"]) <= 60
    assert page(web)['rls_cds_refusals_total{cause="too many calls"}'] == 1
    first, second = events(tmp_path)
    assert (first["outcome"], second["outcome"], second["outcomeDesc"]) == ("0", "4", "too many calls")
    assert second["agent"][0]["who"] == {"display": "north"}
    lines = [record.fields for record in caplog.records if record.getMessage() == "call"]  # type: ignore[attr-defined] # set by the service's own log
    assert [(line["status"], line.get("refusal")) for line in lines[:2]] == [
        (200, None),
        (429, "too many calls"),
    ]


def test_discovery_and_feedback_count_as_calls_and_a_bad_token_does_not(tmp_path: Path) -> None:
    web = create_app(settings_of(tmp_path, entry(more="rate_limit = 2\n"))).test_client()
    for _ in range(3):
        assert web.post(SERVICE, json=BODY, headers={"Authorization": "Bearer x.y.z"}).status_code == 401
    assert called(web).status_code == 200
    told = {"Authorization": f"Bearer {sign()}"}
    assert web.post(FEEDBACK, json={"feedback": []}, headers=told).status_code == 429


def test_nobody_is_limited_where_nobody_is_known() -> None:
    web = create_app(Settings()).test_client()
    assert {web.get("/cds-services").status_code for _ in range(50)} == {200}


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", '"many"', "10000000"])
def test_an_impossible_limit_stops_the_start(tmp_path: Path, limit: str) -> None:
    with pytest.raises(ValueError, match="rate_limit"):
        create_app(settings_of(tmp_path, entry(more=f"rate_limit = {limit}\n")))


# ------------------------------------------------------------------------------------- patients of others
def test_another_patient_in_the_prefetch_is_not_used_and_is_audited(tmp_path: Path) -> None:
    web = create_app(settings_of(tmp_path)).test_client()
    sent = prefetch(["RLS", {"ferritin": 20}])
    sent["patient"] = {**sent["patient"], "id": "somebody-else"}
    response = called(web, hook_request(sent))
    assert [card["source"]["topic"]["code"] for card in response.get_json()["cards"]] == ["DATA01"]
    (event,) = events(tmp_path)
    assert (event["outcome"], event["outcomeDesc"]) == ("4", "Patient of another id than the context's")
    assert event["entity"][0]["what"] == {"reference": "Patient/scenario-patient"}


def test_access_for_another_patient_is_not_used_and_is_audited(tmp_path: Path) -> None:
    granted = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "", "subject": "s"}
    with fhir_stub() as stub:
        more = f'[clients.fhir]\nservers = ["{stub.base}"]\n'
        web = create_app(settings_of(tmp_path, entry(trust=more))).test_client()
        body = hook_request(None, fhirServer=stub.base)
        response = called(web, {**body, "fhirAuthorization": {**granted, "patient": "somebody-else"}})
        assert response.status_code == 412
        assert not any(
            seen.headers.get("authorization", "").removeprefix("Bearer ") == "t" for seen in stub.seen
        )
    (event,) = [one for one in events(tmp_path) if one["subtype"][0]["code"] == "operation"]
    assert (event["outcome"], event["outcomeDesc"]) == ("4", "access granted for another patient")


def test_a_relative_beside_the_patient_is_no_mismatch(tmp_path: Path) -> None:
    web = create_app(settings_of(tmp_path)).test_client()
    sent = prefetch(["RLS", {"ferritin": 20}])
    sent["more"] = {**sent["patient"], "id": "somebody-else"}
    assert [
        card["source"]["topic"]["code"] for card in called(web, hook_request(sent)).get_json()["cards"]
    ] == ["IRON03"]
    (event,) = events(tmp_path)
    assert (event["outcome"], "outcomeDesc" in event) == ("0", False)
