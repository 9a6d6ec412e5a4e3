"""What real servers do: pages, posted searches, statuses, errors, missing types, tokens, deleted entries."""

import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from statistics import median
from typing import Any

import pytest
import requests

from tests.builders import OWN_KEYS, SEARCHED_TYPE, Fact
from tests.integration.charts import OLDER_RESULTS, chart, local_chart, referring_chart
from tests.integration.client import Service, fetched, filled
from tests.integration.hapi_server import FhirServer
from tests.integration.records import PatientRecord
from tests.integration.table import TABLE

pytestmark = pytest.mark.integration

Json = dict[str, Any]

FACES = ("fhir", "small", "slow")
TOKEN = "integration-token"  # noqa: S105 - the word that the guarded face of the test server wants
MEDIAN_BAR_MS = 400
# How often its own searches, sent all at once, a call may take where the machine is busy.
MOST_ROUNDS = 4
CALLS = 15


def cards(response: requests.Response) -> list[tuple[str, str]]:
    assert response.status_code == 200, response.text
    return [(card["source"]["topic"]["code"], card["indicator"]) for card in response.json()["cards"]]


def entries(bundle: Json) -> list[Json]:
    return [entry["resource"] for entry in bundle.get("entry", ())]


# ------------------------------------------------------------------------------------------- templates


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("key", OWN_KEYS)
def test_the_server_takes_each_of_our_templates(
    hapi: FhirServer, templates: Mapping[str, str], patients: Mapping[str, PatientRecord], key: str, face: str
) -> None:
    assert "readme-patient" in patients
    answer = fetched(templates[key], hapi, "readme-patient", face=face)
    assert answer["resourceType"] == ("Patient" if key == "patient" else "Bundle"), answer
    assert {resource["resourceType"] for resource in entries(answer)} <= {SEARCHED_TYPE.get(key)}


def test_the_templates_are_those_that_are_tested(templates: Mapping[str, str]) -> None:
    assert tuple(templates) == OWN_KEYS


def test_every_template_finds_what_it_is_for_and_nothing_else(
    hapi: FhirServer, templates: Mapping[str, str]
) -> None:
    facts: list[Fact] = [
        "RLS",
        {"ferritin": 60},
        {"haemoglobin": 13},
        {"takes": {"drug": "sertraline"}},
        {"prescribed": {"drug": "sertraline"}},
        {"takes": {"drug": "ferrous sulfate", "status": "completed"}},
        {"prescribed": {"drug": "ferrous sulfate", "status": "completed"}},
        {"takes": {"drug": "mirtazapine", "status": "stopped"}},
        {"prescribed": {"drug": "mirtazapine", "status": "cancelled"}},
        {"given": {"drug": "ferric carboxymaltose", "date": "2026-01-05"}},
        {"procedure": {"snomed": "265764009", "date": "2026-01-05"}},
        {"allergy": {"drug": "ferrous sulfate"}},
        {"order": {"test": "ferritin", "authored": "2026-11-20"}},
        {"order": {"test": "ferritin", "authored": "2026-11-20", "status": "revoked"}},
        {"family": {"relation": "mother"}},
        {"vitamin D": 30},
        {"smoking": "never smoker"},
        {"slept": [7]},
        {"device": {"snomed": "702172008"}},
        {"device use": {"displayed": "CPAP"}},
    ]
    hapi.load(chart("one-of-each", facts))
    found = {key: entries(fetched(templates[key], hapi, "one-of-each")) for key in OWN_KEYS[1:]}
    assert {key: len(resources) for key, resources in found.items()} == dict.fromkeys(OWN_KEYS[1:], 1)


def test_results_come_newest_first(hapi: FhirServer, templates: Mapping[str, str]) -> None:
    hapi.load(chart("many-results", ["RLS", *OLDER_RESULTS, {"ferritin": 60}]))
    found = entries(fetched(templates["ironResults"], hapi, "many-results"))
    days = [resource["effectiveDateTime"] for resource in found]
    assert len(days) == len(OLDER_RESULTS) + 1
    assert days == sorted(days, reverse=True)


def test_a_parameter_that_the_server_does_not_know_is_an_operation_outcome(hapi: FhirServer) -> None:
    answer = hapi.get("Observation?patient=readme-patient&_sort=-nonsense")
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


# ----------------------------------------------------------------------------------------------- pages


def test_pages_of_three_give_the_answer_of_one_page(
    hapi: FhirServer, service: Service, templates: Mapping[str, str]
) -> None:
    diagnoses: list[Fact] = [{"diagnosis": code} for code in ("I10", "J44.9", "E11.42", "G47.33")]
    facts: list[Fact] = ["RLS", *OLDER_RESULTS, {"ferritin": 60}, *diagnoses]
    medicines = ("gabapentin", "fexofenadine", "loratadine", "sertraline")
    hapi.load(chart("paged", [*facts, *({"takes": {"drug": drug}} for drug in medicines)]))
    whole = service.call("paged", filled(templates, hapi, "paged"))
    assert cards(whole)
    first = filled(templates, hapi, "paged", face="small")
    assert any(link["relation"] == "next" for link in first["ironResults"]["link"])
    assert len(first["ironResults"]["entry"]) == 3
    read_on = service.call("paged", first, fhir_server=hapi.base("small"))
    assert read_on.json() == whole.json()
    assert service.call("paged", fhir_server=hapi.base("small")).json() == whole.json()
    cut_off = service.call("paged", first)
    assert cut_off.status_code == 200


@pytest.mark.parametrize("face", ["small", "slow"])
def test_every_fixture_patient_on_another_face(
    hapi: FhirServer,
    service: Service,
    templates: Mapping[str, str],
    patients: Mapping[str, PatientRecord],
    face: str,
) -> None:
    # One has a ferritin without a code, which our templates do not bring. Of sleep only the newest page is
    # read: with small pages too few nights for a mean.
    others = {"words-only"} | ({"many-factors"} if face == "small" else set())
    for name in sorted(set(patients) - others):
        whole = service.call(name, filled(templates, hapi, name))
        alone = service.call(name, fhir_server=hapi.base(face))
        assert (alone.status_code, alone.json()) == (whole.status_code, whole.json()), name


# ------------------------------------------------------------------------------------ posted searches


def test_the_server_answers_a_posted_search_as_the_same_search_by_get(
    hapi: FhirServer, templates: Mapping[str, str], patients: Mapping[str, PatientRecord]
) -> None:
    assert "readme-patient" in patients
    path, _, query = templates["ironResults"].partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    form = {name: value.replace("{{context.patientId}}", "readme-patient") for name, _, value in pairs}
    posted = requests.post(f"{hapi.base()}/{path}/_search", data=form, timeout=60)
    assert posted.status_code == 200
    got = fetched(templates["ironResults"], hapi, "readme-patient")
    assert [r["id"] for r in entries(posted.json())] == [r["id"] for r in entries(got)]
    assert entries(got)


@pytest.mark.parametrize("medicines", [2, 60], ids=["in a URL", "posted"])
def test_medicines_behind_references_are_read(hapi: FhirServer, service: Service, medicines: int) -> None:
    name = f"referring-{medicines}"
    hapi.load(referring_chart(name, medicines=medicines))
    given = cards(service.call(name, fhir_server=hapi.base()))
    assert [key for key, _ in given] == ["DRUG01"]


def test_references_in_a_prefetch_are_read_from_the_server(
    hapi: FhirServer, service: Service, templates: Mapping[str, str]
) -> None:
    hapi.load(referring_chart("referring", medicines=1))
    prefetch = filled(templates, hapi, "referring")
    assert cards(service.call("referring", prefetch)) == []
    assert cards(service.call("referring", prefetch, fhir_server=hapi.base())) != []


# ------------------------------------------------------------------------------ statuses and deletions


# Each change is made before the patient is first asked for: a server may keep what it found, and no answer
# here hangs on whether it does.


def test_a_result_entered_in_error_is_no_result(hapi: FhirServer, service: Service) -> None:
    hapi.load(chart("still-valid", ["RLS", {"ferritin": 20}]))
    assert cards(service.call("still-valid", fhir_server=hapi.base())) == [("IRON03", "warning")]
    name = "entered-in-error"
    hapi.load(chart(name, ["RLS", {"ferritin": 20}]))
    hapi.load(chart(name, ["RLS", {"ferritin": {"value": 20, "status": "entered-in-error"}}]))
    assert cards(service.call(name, fhir_server=hapi.base())) == [("IRON01", "info")]


def test_a_condition_entered_in_error_is_no_condition(hapi: FhirServer, service: Service) -> None:
    name = "wrong-condition"
    hapi.load(
        chart(name, [{"diagnosis": {"code": "G25.81", "verification": "entered-in-error"}}, {"ferritin": 20}])
    )
    assert "IRON03" not in dict(cards(service.call(name, fhir_server=hapi.base())))


def test_a_deleted_result_is_gone(hapi: FhirServer, service: Service) -> None:
    name = "result-deleted"
    made = chart(name, ["RLS", {"ferritin": 20}])
    hapi.load(made)
    result = next(resource for resource in made if resource["resourceType"] == "Observation")
    assert requests.delete(f"{hapi.base()}/Observation/{result['id']}", timeout=60).status_code == 200
    assert cards(service.call(name, fhir_server=hapi.base())) == [("IRON01", "info")]


def test_a_deleted_patient_is_gone(hapi: FhirServer, service: Service) -> None:
    name = "deleted"
    hapi.load(chart(name, ["RLS", {"ferritin": 20}]))
    assert requests.delete(f"{hapi.base()}/Patient/{name}", timeout=60).status_code == 200
    assert hapi.get(f"Patient/{name}").status_code == 410
    gone = service.call(name, fhir_server=hapi.base())
    # Whether the Conditions of a deleted patient are still found is the server's business: then RLS is on
    # record, and a card says that the patient is gone.
    assert gone.status_code == 412 or cards(gone) == [("DATA01", "info")], gone.json()


def test_a_patient_that_the_server_does_not_know(hapi: FhirServer, service: Service) -> None:
    assert hapi.get("Patient/nobody").status_code == 404
    answer = service.call("nobody", fhir_server=hapi.base())
    assert answer.status_code == 412
    assert answer.json()["resourceType"] == "OperationOutcome"


# ------------------------------------------------------------------------- results without a known code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("by-name", {"text": "Ferritin, serum"}),
        ("by-local-code", {"coding": [{"system": "urn:oid:1.2.3.4", "code": "FER", "display": "Ferritin"}]}),
    ],
)
def test_a_ferritin_without_a_known_code_is_found_among_the_laboratory_results(
    hapi: FhirServer, service: Service, templates: Mapping[str, str], name: str, code: Json
) -> None:
    hapi.load(local_chart(name, code=code))
    assert entries(fetched(templates["ironResults"], hapi, name)) == []
    for face in FACES:
        assert cards(service.call(name, fhir_server=hapi.base(face))) == [("IRON03", "warning")]
    beside = service.call(name, filled(templates, hapi, name), fhir_server=hapi.base())
    assert cards(beside) == [("IRON03", "warning")]


def test_a_result_of_another_category_is_not_looked_for(hapi: FhirServer, service: Service) -> None:
    hapi.load(local_chart("not-laboratory", code={"text": "Ferritin"}, is_laboratory=False))
    assert cards(service.call("not-laboratory", fhir_server=hapi.base())) == [("IRON01", "info")]


# -------------------------------------------------------------------------------- errors of the server


def test_types_that_the_server_does_not_have_are_not_taken_for_an_empty_record(
    hapi: FhirServer, service: Service, templates: Mapping[str, str]
) -> None:
    name = "on-a-sparse-server"
    hapi.load(chart(name, ["RLS", {"ferritin": 60}, {"takes": {"drug": "sertraline"}}]))
    missing = hapi.get(f"MedicationStatement?patient={name}", "sparse")
    assert missing.status_code == 404
    assert missing.json()["resourceType"] == "OperationOutcome"
    alone = service.call(name, fhir_server=hapi.base("sparse"))
    assert cards(alone) == [("IRON04", "warning")]
    by_prefetch = service.call(name, filled(templates, hapi, name, face="sparse"))
    assert alone.json() == by_prefetch.json()
    # A client that had the medicines sends them; the server without that type is not asked for them.
    part = filled(templates, hapi, name, keys=frozenset({"medicationStatements"}))
    mixed = service.call(name, part, fhir_server=hapi.base("sparse"))
    assert "DRUG01" in dict(cards(mixed))


def test_the_token_opens_the_server_and_a_refused_type_is_not_an_empty_one(
    hapi: FhirServer, service: Service
) -> None:
    name = "guarded"
    hapi.load(chart(name, ["RLS", {"ferritin": 60}]))
    assert hapi.get(f"Patient/{name}", "guarded").status_code == 401
    base = hapi.base("guarded")
    assert service.call(name, fhir_server=base).status_code == 412
    assert service.call(name, fhir_server=base, token=TOKEN[1:]).status_code == 412
    assert cards(service.call(name, fhir_server=base, token=TOKEN)) == [("IRON04", "warning")]


def test_a_server_that_is_not_there_costs_the_answer_only_what_it_would_have_brought(
    service: Service, hapi: FhirServer, templates: Mapping[str, str], patients: Mapping[str, PatientRecord]
) -> None:
    assert "readme-patient" in patients
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}/fhir"
        prefetch = filled(templates, hapi, "readme-patient")
        whole = service.call("readme-patient", prefetch)
        assert service.call("readme-patient", prefetch, fhir_server=nowhere).json() == whole.json()
        assert service.call("readme-patient", fhir_server=nowhere).status_code == 412
        del prefetch["allergies"]
        assert cards(service.call("readme-patient", prefetch, fhir_server=nowhere))


# ------------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize("name", ["readme-patient", "never-tested"])
def test_fifty_milliseconds_a_search_leave_the_answer_within_its_time(
    hapi: FhirServer,
    service: Service,
    templates: Mapping[str, str],
    patients: Mapping[str, PatientRecord],
    name: str,
) -> None:
    assert name in patients
    pairs = [(searching(hapi, templates, name), calling(service, hapi, name)) for _ in range(CALLS)]
    searches, calls = (median(times) for times in zip(*pairs, strict=True))
    # Where the machine is busy, the server does not answer in fifty milliseconds: the bar moves with it.
    bar = max(MEDIAN_BAR_MS, MOST_ROUNDS * searches)
    TABLE.figures.append(
        f"{name} without prefetch, 50 ms a search: {calls:.0f} ms at the median "
        f"(all searches beside each other: {searches:.0f} ms; bar {bar:.0f} ms)"
    )
    assert calls < bar


def calling(service: Service, hapi: FhirServer, name: str) -> float:
    """Return the milliseconds of one call without prefetch that is answered with cards."""
    start = time.perf_counter()
    answer = service.call(name, fhir_server=hapi.base("slow"))
    passed = (time.perf_counter() - start) * 1000
    assert cards(answer)
    return passed


def searching(hapi: FhirServer, templates: Mapping[str, str], name: str) -> float:
    """Return the milliseconds that the server takes for our searches, sent at once."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(templates)) as senders:
        list(senders.map(lambda template: fetched(template, hapi, name, face="slow"), templates.values()))
    return (time.perf_counter() - start) * 1000
