"""Whole calls with records made to mislead or to keep the service busy: no card denies what may be there."""

import json
import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.app import warm_app
from cds_service.settings import load_settings
from tests.http.requests import SERVICE, call_body, outcome

LOINC = "http://loinc.org"
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1960-01-01"}
RLS = {
    "resourceType": "Condition",
    "id": "c1",
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G25.81"}]},
    "subject": {"reference": "Patient/p1"},
}
MOST_SECONDS = 2.0

Json = dict[str, Any]


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """The whole service on a fixed day."""
    return warm_app(load_settings({"RLS_CDS_AS_OF": "2026-11-22"})).test_client()


def ferritin(**members: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": "f1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "2276-4"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-11-01",
        "valueQuantity": {"value": 20, "unit": "ng/mL"},
    } | members


def bundle(*resources: Json, **members: Any) -> Json:
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": one} for one in resources],
    } | members


def record(iron_results: object) -> Json:
    empty = ("contextResults", "medicationStatements", "medicationRequests", "procedures", "allergies")
    treatments = ("ironTreatmentStatements", "ironTreatmentRequests", "ironAdministrations", "ironOrders")
    return {key: bundle() for key in (*empty, *treatments)} | {
        "patient": PATIENT,
        "conditions": bundle(RLS),
        "ironResults": iron_results,
    }


def summaries(client: FlaskClient, body: bytes) -> list[str]:
    response = client.post(SERVICE, data=body, content_type="application/json")
    assert response.status_code == 200
    return [card["summary"] for card in json.loads(response.data)["cards"]]


def asked(client: FlaskClient, iron_results: object) -> list[str]:
    return summaries(client, json.dumps(call_body(prefetch=record(iron_results))).encode())


def test_an_empty_answer_is_no_ferritin_and_a_result_is_one(client: FlaskClient) -> None:
    assert "no ferritin found" in asked(client, bundle())[0]
    assert asked(client, bundle(ferritin()))[0].startswith("Ferritin 20 ng/mL")


OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "incomplete"}]}


@pytest.mark.parametrize(
    "iron_results",
    [
        bundle(entry=[None]),
        bundle(entry=[ferritin()]),
        bundle(entry=[{"fullUrl": "http://x/Observation/1"}]),
        bundle(entry=[{"response": {"status": "403 Forbidden"}}], type="batch-response"),
        bundle(link={"relation": "next", "url": "http://x?p=2"}),
        bundle(link=[{"relation": "Next", "url": "http://x?p=2"}]),
        bundle(total="5"),
        bundle(total=5.0),
        {"resourceType": "Bundle", "entries": [{"resource": ferritin()}]},
        OUTCOME,
        bundle(ferritin(), modifierExtension=[{"url": "http://x"}]),
        bundle(ferritin(focus=[{"reference": "RelatedPerson/donor"}])),
        bundle(ferritin(subject={"type": "Group", "display": "herd"})),
        bundle(ferritin(subject={"identifier": {"system": "urn:mrn", "value": "other"}})),
        bundle(ferritin(subject={"reference": "urn:uuid:7"})),
        bundle(ferritin(subject={"reference": "Patient/p1/_history/2/../../p2"})),
        bundle(ferritin(patient={"reference": "Patient/p2"})),
        bundle(ferritin(code=None)),
        bundle(ferritin(status="banana")),
        bundle(ferritin(valueQuantity=None, valueAttachment={"url": "http://x"})),
        bundle(ferritin(valueQuantity={"value": 20, "unit": "ng/mL", "modifierExtension": [{"url": "u"}]})),
    ],
)
def test_what_may_hide_a_ferritin_is_never_called_none(client: FlaskClient, iron_results: object) -> None:
    words = " ".join(asked(client, iron_results))
    assert "no ferritin" not in words
    assert "20 ng/mL" not in words


def test_a_repeated_key_is_never_the_last_value_only(client: FlaskClient) -> None:
    body = json.dumps(call_body(prefetch=record(bundle(ferritin()))))
    doubled = body.replace('"ironResults"', f'"ironResults": {json.dumps(bundle())}, "ironResults"', 1)
    last_empty = body[:-2] + f', "ironResults": {json.dumps(bundle())}}}}}'
    for one in (doubled, last_empty):
        assert json.loads(one)
        assert "no ferritin" not in " ".join(summaries(client, one.encode()))


@pytest.mark.parametrize("number", ["1e99999999", "-1e99999999", "1e99999999999999999999", "1" * 5000])
@pytest.mark.parametrize(
    "members",
    [
        {"valueQuantity": None, "valueInteger": "@"},
        {"extension": [{"url": "http://x", "valueInteger": "@"}]},
        {"referenceRange": [{"age": {"low": {"value": "@"}}}]},
    ],
)
def test_an_absurd_number_costs_no_time(client: FlaskClient, members: Json, number: str) -> None:
    body = json.dumps(call_body(prefetch=record(bundle(ferritin(**members))))).replace('"@"', number)
    began = time.process_time()
    words = " ".join(summaries(client, body.encode()))
    assert time.process_time() - began < MOST_SECONDS
    assert "no ferritin" not in words


@pytest.mark.parametrize(
    "make",
    [
        lambda n: ferritin(id=f"f{n}", valueString="x", issued=f"2026-11-01T00:{n // 60:02}:{n % 60:02}Z"),
        lambda n: RLS | {"id": f"c{n}", "onsetDateTime": "2020", "onsetPeriod": {"start": "2020"}},
        lambda n: {
            "resourceType": "MedicationStatement",
            "id": f"m{n}",
            "status": "active",
            "medicationCodeableConcept": {"text": "sertraline"},
            "medicationReference": {"reference": "Medication/x"},
            "subject": {"reference": "Patient/p1"},
        },
    ],
)
def test_hundreds_of_invalid_resources_cost_little(client: FlaskClient, make: Any) -> None:
    body = json.dumps(call_body(prefetch=record(bundle(ferritin(), *(make(n) for n in range(800))))))
    began = time.process_time()
    summaries(client, body.encode())
    assert time.process_time() - began < MOST_SECONDS


def test_a_patient_without_id_is_not_the_patient_none(client: FlaskClient) -> None:
    patient = {name: value for name, value in PATIENT.items() if name != "id"}
    body = call_body(
        context={"patientId": "None", "userId": "Practitioner/u1"},
        prefetch={"patient": patient, "ironResults": bundle(ferritin(subject={}))},
    )
    response = client.post(SERVICE, json=body)
    assert "patient data" in outcome(response, 412)[0]["diagnostics"]
