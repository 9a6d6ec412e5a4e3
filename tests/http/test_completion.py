"""What the call did not bring comes from its FHIR server: the same cards by every route, and no other way."""

import itertools
import json
import logging
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from cds_service.adapters.clock import FixedClock
from cds_service.addresses import ServerAddress
from cds_service.app import build_assess, create_app
from cds_service.assess import PatientView, fhir_access
from cds_service.completion import in_words_of, search
from cds_service.fhir import FhirVersion
from cds_service.knowledge import load
from cds_service.ports import FhirAccess, Search
from cds_service.profile import FhirPolicy
from cds_service.protocol.envelope import FhirAuthorization
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from cds_service.resources import fixtures_dir
from cds_service.settings import Settings
from cds_service.web.discovery import templates
from tests.fakes.fhir_stub import FhirStub, Json, Reply, Seen, fhir_stub, outcome, reply
from tests.http.requests import SERVICE, call_body

TOKEN = "cANARY-token.7q"  # noqa: S105 - made up, to be looked for where it must not be
TODAY = date(2026, 11, 22)
# A Patient that nobody has is no data in a prefetch (null), and a failed read on a server.
NAMES = sorted(
    path.parent.name
    for path in fixtures_dir().glob("*/request.json")
    if '"resourceType": "Patient"' in path.read_text(encoding="utf-8")
)
HALVES = (tuple(PREFETCH_NEEDS)[::2], tuple(PREFETCH_NEEDS)[1::2])
IRON = ("ironResults",)


@cache
def client(**settings: Any) -> FlaskClient:
    """The service on the day of the fixtures, in its development profile unless told otherwise.

    Its budget is far above what a search takes, so that a busy machine changes no answer.
    """
    clock = FixedClock(ZoneInfo("UTC"), TODAY)
    chosen = Settings.model_validate({"fhir_budget_ms": 20_000, **settings})
    return create_app(chosen, clock=clock).test_client()


@cache
def offline() -> FlaskClient:
    """Return a service that asks no server at all."""
    settings = Settings()
    clock = FixedClock(settings.zone, TODAY)
    return create_app(settings, assess=build_assess(settings, clock=clock)).test_client()


def authorization(**changes: Any) -> Json:
    granted = {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "Observation.Read (Labs) (R4)",
        "subject": "rls",
    }
    return {name: value for name, value in {**granted, **changes}.items() if value is not ...}


def resources_in(value: object) -> Iterator[Json]:
    """Yield the resources of a prefetch value, whatever Bundles they are in."""
    if isinstance(value, dict) and value.get("resourceType") == "Bundle":
        for entry in value.get("entry", []):
            yield from resources_in(entry.get("resource"))
    elif isinstance(value, dict) and "resourceType" in value:
        yield value


def fixture(name: str, base: str) -> tuple[Json, list[Json]]:
    """Return a sample request without its prefetch, and the resources that were in it, each once."""
    text = (fixtures_dir() / name / "request.json").read_text(encoding="utf-8")
    server = json.loads(text).get("fhirServer")
    request = json.loads(text.replace(server, base) if server else text)
    found = {}
    for number, resource in enumerate(
        itertools.chain.from_iterable(map(resources_in, request.pop("prefetch", {}).values()))
    ):
        found[resource["resourceType"], resource.setdefault("id", f"made-{number}")] = resource
    return {**request, "fhirServer": base}, list(found.values())


def searches(patient_id: str) -> Mapping[str, Search]:
    return {key: search(key, template, patient_id) for key, template in templates(load()).items()}


def supplied(stub: FhirStub, patient_id: str, keys: Any = tuple(PREFETCH_NEEDS)) -> Json:
    """Return the prefetch that a client makes of these keys."""
    found: Json = {}
    for key, query in searches(patient_id).items():
        if stub.unknown_types:
            query = in_words_of(FhirVersion.DSTU2, query)  # noqa: PLW2901 - the same query in other words
        if key in keys and query.resource_id is None:
            found[key] = stub.page(query.resource_type, dict(query.parameters))
        elif key in keys:
            patients = [one for one in stub.resources if one["resourceType"] == "Patient"]
            found[key] = next((one for one in patients if one["id"] == patient_id), None)
    return found


def post(web: FlaskClient, request: Json, **changes: Any) -> Any:
    body = {name: value for name, value in {**request, **changes}.items() if value is not ...}
    return web.post(SERVICE, data=json.dumps(body), content_type="application/json")


@pytest.fixture
def stub() -> Iterator[FhirStub]:
    with fhir_stub() as running:
        yield running


def load_fixture(stub: FhirStub, name: str) -> tuple[Json, str]:
    request, stub.resources = fixture(name, stub.base)
    if name.endswith("-dstu2"):
        stub.unknown_types = frozenset({"MedicationRequest", "ServiceRequest"})
    return request, request["context"]["patientId"]


# -------------------------------------------------------------------------------------- every route
@pytest.mark.parametrize("name", NAMES)
def test_the_same_cards_by_every_route(stub: FhirStub, name: str) -> None:
    request, patient_id = load_fixture(stub, name)
    request["hook"] = "patient-view"
    by_prefetch = post(client(), request, prefetch=supplied(stub, patient_id))
    routes = [
        post(client(), request),
        *(post(client(), request, prefetch=supplied(stub, patient_id, half)) for half in HALVES),
        post(client(), request, prefetch=supplied(stub, patient_id, IRON)),
        post(client(), request, prefetch={}, fhirAuthorization=authorization()),
    ]
    for route in routes:
        assert (route.status_code, route.data) == (by_prefetch.status_code, by_prefetch.data)


@pytest.mark.parametrize("size", [1, 2])
def test_the_same_cards_page_by_page(stub: FhirStub, size: int) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    whole = post(client(), request, prefetch=supplied(stub, patient_id))
    stub.page_size = size
    by_pages = post(client(), request)
    first_pages = post(client(), request, prefetch=supplied(stub, patient_id))
    assert whole.json["cards"]
    assert by_pages.data == first_pages.data == whole.data


def test_of_the_nights_only_the_newest_page_is_read(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "many-factors")
    stub.page_size = 2
    alone = post(client(), request)
    pages = [seen for seen in stub.seen if "93832-4" in seen.parameters.get("code", "")]
    assert len(pages) == 1
    stub.seen.clear()
    by_first_page = post(client(), request, prefetch=supplied(stub, patient_id))
    assert [seen for seen in stub.seen if "93832-4" in seen.parameters.get("code", "")] == []
    assert alone.data == by_first_page.data
    assert "sleep deprivation" not in alone.json["cards"][0]["detail"]


def test_a_page_that_is_out_of_reach_leaves_the_list_incomplete(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "never-tested")
    empty = supplied(stub, patient_id)
    whole = post(client(), request, prefetch=empty)
    link = {"relation": "next", "url": f"{stub.base}/Observation?page=2"}
    cut = {**empty, "ironResults": {"resourceType": "Bundle", "type": "searchset", "link": [link]}}
    offline = post(client(), request, prefetch=cut, fhirServer="https://ehr.example.org/fhir")
    stub.behaviour = lambda seen: outcome(500) if seen.parameters.get("page") == "2" else None
    stub.seen.clear()
    failed = post(client(), request, prefetch=cut)
    assert stub.paths() == ["Observation"]
    assert failed.status_code == offline.status_code
    assert failed.data != whole.data
    stub.behaviour = lambda _seen: reply({"resourceType": "Bundle", "type": "searchset"})
    assert post(client(), request, prefetch=cut).data == whole.data


# ------------------------------------------------------------------------------------- what is asked
@pytest.mark.parametrize("missing", PREFETCH_NEEDS)
def test_exactly_the_missing_key_is_asked_for(stub: FhirStub, missing: str) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    prefetch = supplied(stub, patient_id)
    del prefetch[missing]
    assert post(client(), request, prefetch=prefetch).status_code == 200
    (seen,) = stub.searches()
    query = searches(patient_id)[missing]
    assert seen.path == query.resource_type + (f"/{query.resource_id}" if query.resource_id else "")
    assert seen.parameters == dict(query.parameters)


def error(severity: str) -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "exception"}]}


NO_DATA = (
    None,
    {"resourceType": "Bundle", "type": "searchset", "total": 0},
    error("warning"),
)


@pytest.mark.parametrize(
    "value",
    [
        {"resourceType": "Bundle", "type": "searchset", "total": 7},
        error("error"),
        {"resourceType": "Bundle", "entry": [{"resource": error("fatal"), "search": {"mode": "outcome"}}]},
    ],
)
def test_a_search_that_failed_at_the_client_is_not_tried_again(stub: FhirStub, value: object) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    prefetch = {**supplied(stub, patient_id), "ironResults": value}
    reached = post(client(), request, prefetch=prefetch)
    assert stub.seen == []
    unreached = post(offline(), request, prefetch=prefetch)
    assert (reached.status_code, reached.data) == (unreached.status_code, unreached.data)


@pytest.mark.parametrize("value", NO_DATA)
@pytest.mark.parametrize("key", [key for key in PREFETCH_NEEDS if key not in {"patient", "ironResults"}])
def test_no_data_at_the_client_stands(stub: FhirStub, key: str, value: object) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    prefetch = {**supplied(stub, patient_id), key: value}
    reached = post(client(), request, prefetch=prefetch)
    assert stub.seen == []
    assert reached.data == post(offline(), request, prefetch=prefetch).data


def test_a_need_that_a_foreign_key_answers_is_not_asked_for(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    prefetch = supplied(stub, patient_id)
    prefetch["labs"] = prefetch.pop("ironResults")
    post(client(), request, prefetch=prefetch)
    assert stub.seen == []


def reference(resource_id: str) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": f"request-{resource_id}",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/example-001"},
        "authoredOn": "2026-11-01",
        "medicationReference": {"reference": f"Medication/{resource_id}"},
    }


def test_referenced_medications_are_read_in_one_search(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    stub.resources = [one for one in stub.resources if not one["resourceType"].startswith("Medication")]
    without = post(client(), request).json["cards"]
    stub.resources += [reference("m1"), reference("m2"), reference("m,3")]
    for medication_id, name in (("m1", "sertraline 50 MG Oral Tablet"), ("m2", "metformin 500 MG")):
        code = {"text": name}
        stub.resources.append({"resourceType": "Medication", "id": medication_id, "code": code})
    stub.seen.clear()
    cards = post(client(), request).json["cards"]
    assert len(cards) == len(without) + 1
    assert "sertraline" in cards[-1]["summary"]
    asked = [seen.parameters for seen in stub.seen if seen.path == "Medication"]
    assert asked == [{"_id": "m1,m2", "_count": "2"}]
    # The same where only the medicines were supplied.
    stub.seen.clear()
    assert post(client(), request, prefetch=supplied(stub, patient_id)).json["cards"] == cards
    assert stub.paths() == ["Medication"]


def test_an_id_that_would_change_a_search_is_never_asked_for(stub: FhirStub) -> None:
    for patient_id in ("a,b", "..", "a/../b", "a&b=c", "a|b", "a b", "x" * 200):
        body = call_body(
            prefetch=..., fhirServer=stub.base, context={"patientId": patient_id, "userId": "Practitioner/u"}
        )
        assert post(client(), body).status_code == 412
    assert stub.seen == []


# ------------------------------------------------------------------------ results that no code search finds
def is_laboratory_list(seen: Seen) -> bool:
    return seen.parameters.get("category") == "laboratory"


def rename_ferritin(stub: FhirStub, code: Json) -> None:
    """Put another code in the place of the code of ferritin."""
    for resource in stub.resources:
        if any(coding.get("code") == "2276-4" for coding in resource.get("code", {}).get("coding", ())):
            resource["code"] = code


WORDS = {"text": "Ferritin, serum"}
LOCAL = {"coding": [{"system": "urn:oid:1.2.3.4", "code": "FER", "display": "FERRITIN SERUM"}]}


@pytest.mark.parametrize("code", [WORDS, LOCAL])
def test_a_ferritin_without_a_code_of_loinc_is_found_among_the_laboratory_results(
    stub: FhirStub, code: Json
) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    coded = post(client(), request)
    assert not any(map(is_laboratory_list, stub.seen))
    rename_ferritin(stub, code)
    stub.seen.clear()
    named = post(client(), request)
    (asked,) = filter(is_laboratory_list, stub.seen)
    assert asked.parameters == {
        "patient": patient_id,
        "category": "laboratory",
        "_sort": "-date",
        "_count": "200",
    }
    summaries = [[card["summary"] for card in answer.json["cards"]] for answer in (coded, named)]
    assert summaries[0] == summaries[1]
    # The same where the client's own searches by code found nothing.
    stub.seen.clear()
    by_prefetch = post(client(), request, prefetch=supplied(stub, patient_id))
    assert stub.paths() == ["Observation"]
    assert is_laboratory_list(stub.seen[0])
    assert by_prefetch.data == named.data


def test_a_ferritin_by_name_counts_though_another_is_ordered(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "pending-order")
    assert post(client(), request).json["cards"] == []
    stub.resources.append(
        {
            "resourceType": "Observation",
            "id": "by-name",
            "status": "final",
            "category": [{"coding": [{"code": "laboratory"}]}],
            "code": WORDS,
            "subject": {"reference": f"Patient/{patient_id}"},
            "effectiveDateTime": "2026-11-10",
            "valueQuantity": {"value": 20, "unit": "ng/mL"},
        }
    )
    summaries = [card["summary"] for card in post(client(), request).json["cards"]]
    assert [summary[:17] for summary in summaries] == ["Ferritin 20 ng/mL"]


@pytest.mark.parametrize("value", NO_DATA)
def test_the_search_by_code_is_the_clients_own(stub: FhirStub, value: object) -> None:
    request, patient_id = load_fixture(stub, "never-tested")
    prefetch = {**supplied(stub, patient_id), "ironResults": value}
    reached = post(client(), request, prefetch=prefetch)
    assert [is_laboratory_list(seen) for seen in stub.seen] == [True]
    assert reached.data == post(offline(), request, prefetch=prefetch).data


@pytest.mark.parametrize(
    "answer",
    [
        outcome(400),
        outcome(403),
        outcome(404),
        outcome(500),
        outcome(200),
        outcome(200, "warning"),
        Reply(body=b"nonsense"),
        reply({"resourceType": "Bundle", "type": "searchset"}),
        reply({"resourceType": "Bundle", "type": "searchset", "total": 700}),
    ],
)
def test_a_laboratory_list_that_fails_changes_nothing(stub: FhirStub, answer: Reply) -> None:
    request, patient_id = load_fixture(stub, "never-tested")
    prefetch = supplied(stub, patient_id)
    unreached = post(offline(), request, prefetch=prefetch)
    assert [card["source"]["topic"]["code"] for card in unreached.json["cards"]] == ["IRON01"]
    stub.behaviour = lambda seen: answer if is_laboratory_list(seen) else None
    assert post(client(), request).data == unreached.data
    assert post(client(), request, prefetch=prefetch).data == unreached.data
    assert sum(map(is_laboratory_list, stub.seen)) == 2


def test_a_late_laboratory_list_changes_nothing(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "never-tested")
    prefetch = supplied(stub, patient_id)
    unreached = post(offline(), request, prefetch=prefetch)
    stub.behaviour = lambda seen: time.sleep(6) if is_laboratory_list(seen) else None
    started = time.monotonic()
    assert post(client(fhir_budget_ms=300), request, prefetch=prefetch).data == unreached.data
    assert time.monotonic() - started < 5


def test_the_laboratory_list_is_read_for_a_few_pages(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "never-tested")
    prefetch = supplied(stub, patient_id)
    other = {"resourceType": "Observation", "category": [{"text": "laboratory"}], "code": {"text": "Sodium"}}
    subject = {"reference": f"Patient/{patient_id}"}
    stub.resources += [{**other, "id": f"s{number}", "subject": subject} for number in range(5)]
    stub.page_size = 1
    post(client(), request, prefetch=prefetch)
    assert len(stub.seen) == 3


@pytest.mark.parametrize("name", ["good-values", "ruled-out", "sandbox-empty"])
def test_where_a_ferritin_would_change_no_card_the_list_is_not_asked_for(stub: FhirStub, name: str) -> None:
    request, _ = load_fixture(stub, name)
    assert post(client(), request).json["cards"] == []
    assert stub.seen
    assert not any(map(is_laboratory_list, stub.seen))


# ------------------------------------------------------------------------------------ who may be asked
@pytest.mark.parametrize(
    "server",
    [
        "http://2130706433:{port}/fhir",
        "http://0x7f000001:{port}/fhir",
        "http://0177.0.0.1:{port}/fhir",
        "http://127.1:{port}/fhir",
        "http://[::ffff:127.0.0.1]:{port}/fhir",
        "http://user@127.0.0.1:{port}/fhir",
        "http://ehr.example.org@127.0.0.1:{port}/fhir",
        "http://127.0.0.1:{port}/fhir#x",
        "http://127.0.0.1:{port}/x/../fhir",
        "http://localhost.:{port}/fhir",
        "http://0.0.0.0:{port}/fhir",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/fhir",
        "https://ehr.example.org/fhir",
        "file:///etc/passwd",
        "127.0.0.1:{port}/fhir",
        "http://127.0.0.1:{port}\\@ehr.example.org/fhir",
    ],
)
def test_any_other_server_counts_as_none(stub: FhirStub, server: str) -> None:
    port = stub.base.split(":")[2].split("/")[0]
    body = call_body(
        prefetch=..., fhirServer=server.replace("{port}", port), fhirAuthorization=authorization()
    )
    response = post(client(), body)
    assert response.status_code == 412
    assert response.data == post(offline(), {**body, "fhirServer": "https://x.example.org"}).data
    assert stub.seen == []


@pytest.mark.parametrize("expires_in", [0, -1, "0"])
def test_a_token_that_has_run_out_is_not_used(stub: FhirStub, expires_in: object) -> None:
    request, _ = load_fixture(stub, "readme-patient")
    late = authorization(expires_in=expires_in)
    assert post(client(), request, fhirAuthorization=late).status_code == 412
    assert stub.seen == []


def test_an_open_server_is_asked_in_development_only() -> None:
    call = PatientView("rls", "1", "p1", None, fhir_server="https://ehr.example.org/fhir")
    granted = replace(call, authorization=FhirAuthorization(TOKEN, 300, "", "", None))
    address = ServerAddress("https", "ehr.example.org", 443, "/fhir")
    strict = FhirPolicy(servers=(address,))
    assert fhir_access(call, strict) is None
    assert fhir_access(granted, strict) == FhirAccess(address, TOKEN, call.identity)
    assert fhir_access(call, replace(strict, is_open_allowed=True)) == FhirAccess(address, call=call.identity)
    assert fhir_access(granted, FhirPolicy()) is None
    assert TOKEN not in repr(granted)


def test_a_token_without_a_known_end_is_used(stub: FhirStub) -> None:
    request, _ = load_fixture(stub, "readme-patient")
    stub.token = TOKEN
    assert post(client(), request, fhirAuthorization=authorization(expires_in=...)).status_code == 200
    wrong = authorization(access_token=TOKEN[:-1])
    assert post(client(), request, fhirAuthorization=wrong).status_code == 412


# -------------------------------------------------------------------------------------------- releases
IN_R5 = {
    "resourceType": "MedicationStatement",
    "id": "in-r5",
    "status": "recorded",
    "subject": {"reference": "Patient/example-004"},
    "medication": {
        "concept": {
            "coding": [
                {
                    "system": "http://www.nlm.nih.gov/research/umls/rxnorm",
                    "code": "312941",
                    "display": "sertraline 50 MG Oral Tablet",
                }
            ]
        }
    },
    "adherence": {"code": {"coding": [{"code": "taking"}]}},
}


def slow_version(_seen: Seen) -> None:
    if _seen.path == "metadata":
        time.sleep(1)


@pytest.mark.parametrize("version", ["5.0.0", None, "late"])
def test_a_medicine_of_an_r5_server_is_found(stub: FhirStub, version: str | None) -> None:
    request, patient_id = load_fixture(stub, "never-tested")
    assert patient_id == "example-004"
    without = [card["summary"] for card in post(client(), request).json["cards"]]
    stub.fhir_version = version
    if version == "late":
        stub.behaviour = slow_version
    stub.resources.append(IN_R5)
    summaries = [card["summary"] for card in post(client(), request).json["cards"]]
    assert summaries[:-1] == without
    assert "sertraline" in summaries[-1]


# ------------------------------------------------------------------------------------------- failures
def is_iron(seen: Seen) -> bool:
    return "2276-4" in seen.parameters.get("code", "")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 429, 500, 502, 503])
def test_a_search_that_fails_is_never_an_absence(stub: FhirStub, status: int) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    stub.behaviour = lambda seen: outcome(status) if is_iron(seen) else None
    failed = post(client(), request)
    by_prefetch = post(
        client(), request, prefetch={**supplied(stub, patient_id), "ironResults": error("error")}
    )
    assert [card["source"]["topic"]["code"] for card in failed.json["cards"]] == ["DATA01"]
    assert failed.data == by_prefetch.data


def test_a_server_that_sorts_nothing_gives_the_same_cards(stub: FhirStub) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    whole = post(client(), request, prefetch=supplied(stub, patient_id))
    stub.behaviour = lambda seen: outcome(400) if "_sort" in seen.parameters else None
    assert post(client(), request).data == whole.data


def test_without_medication_statements_the_answer_stands(stub: FhirStub) -> None:
    """Many US Core servers have no MedicationStatement."""
    request, _ = load_fixture(stub, "us-core-oral-iron")
    assert not any(one["resourceType"] == "MedicationStatement" for one in stub.resources)
    whole = [card["summary"] for card in post(client(), request).json["cards"]]
    stub.behaviour = lambda seen: outcome(404) if "MedicationStatement" in seen.path else None
    assert whole
    assert [card["summary"] for card in post(client(), request).json["cards"]] == whole


@pytest.mark.parametrize("answer", [outcome(200, "warning"), outcome(200, "error")])
def test_an_outcome_instead_of_a_bundle_is_understood(stub: FhirStub, answer: Reply) -> None:
    request, patient_id = load_fixture(stub, "readme-patient")
    stub.behaviour = lambda seen: answer if is_iron(seen) else None
    by_server = post(client(), request)
    told = json.loads(answer.body)
    by_prefetch = post(client(), request, prefetch={**supplied(stub, patient_id), "ironResults": told})
    assert (by_server.status_code, by_server.data) == (by_prefetch.status_code, by_prefetch.data)


def test_required_data_that_stays_out_of_reach_is_412(stub: FhirStub) -> None:
    stub.behaviour = lambda _seen: outcome(500)
    response = post(client(), call_body(prefetch=..., fhirServer=stub.base))
    assert response.status_code == 412
    issues = [issue["diagnostics"] for issue in response.json["issue"]]
    assert any(text.startswith("Observation:") for text in issues)
    assert any(text.startswith("Patient:") for text in issues)


def test_a_slow_server_does_not_hold_the_call(stub: FhirStub) -> None:
    request, _ = load_fixture(stub, "readme-patient")
    web = client(fhir_budget_ms=300)
    stub.latency = 3
    started = time.monotonic()
    assert post(web, request).status_code == 412
    assert time.monotonic() - started < 1.2


def test_nothing_fetched_is_kept(stub: FhirStub) -> None:
    request, _ = load_fixture(stub, "readme-patient")
    assert post(client(), request).status_code == 200
    first = len(stub.seen)
    stub.resources = []
    assert post(client(), request).status_code == 412
    assert len(stub.seen) > first


# -------------------------------------------------------------------------------------------- secrecy
def test_the_token_goes_to_the_server_and_nowhere_else(
    stub: FhirStub, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    request, _ = load_fixture(stub, "readme-patient")
    with fhir_stub() as other:
        answers = [post(client(), request, fhirAuthorization=authorization())]
        for behaviour in (
            lambda _seen: outcome(401),
            lambda _seen: outcome(307, Location=f"{other.base}/Patient"),
            lambda _seen: reply(
                {"resourceType": "Bundle", "link": [{"relation": "next", "url": f"{other.base}/x"}]}
            ),
            lambda seen: reply({"resourceType": "OperationOutcome", "id": seen.headers["authorization"]}),
        ):
            stub.behaviour = behaviour
            answers.append(post(client(), request, fhirAuthorization=authorization()))
        evil = {"fhirServer": other.base.replace("127.0.0.1", "127.1")}
        answers.append(post(client(), request, fhirAuthorization=authorization(), **evil))
        assert other.seen == []
    assert {seen.headers["authorization"] for seen in stub.seen} == {f"Bearer {TOKEN}"}
    printed = capfd.readouterr()
    for text in (caplog.text, printed.out, printed.err, *(answer.text for answer in answers)):
        assert TOKEN not in text
    assert "example-001" not in caplog.text + printed.err


# ----------------------------------------------------------------------------------------------- time
@pytest.mark.parametrize(
    ("name", "cards", "release"),
    [
        ("readme-patient", 2, "4.0.1"),
        # one round more each: the list of laboratory results; the question whether the server is of R5
        ("never-tested", 1, "4.0.1"),
        ("never-tested", 1, None),
    ],
)
def test_a_call_without_prefetch_is_answered_in_time(
    stub: FhirStub,
    record_property: Any,
    capsys: pytest.CaptureFixture[str],
    name: str,
    cards: int,
    release: str | None,
) -> None:
    """Each search takes 50 ms; the goal is 400 ms for the whole call, at the median of 7."""
    request, _ = load_fixture(stub, name)
    stub.fhir_version = release
    stub.latency = 0.05
    web = client()
    # A moment in which the machine does something else is not the service's: one of three series counts.
    for _ in range(3):
        seconds = []
        for _ in range(7):
            started = time.perf_counter()
            assert len(post(web, request).json["cards"]) == cards
            seconds.append(time.perf_counter() - started)
        median = statistics.median(seconds) * 1000
        if median <= 400:
            break
    record_property("median_ms", median)
    with capsys.disabled():
        print(f" [{name}, 50 ms a search: median {median:.0f} ms of 7 calls] ", end="")  # noqa: T201 - a figure that is worth seeing
    assert median <= 400
