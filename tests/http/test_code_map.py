"""Over the wire: a patient's local codes count as the map of the client says, and of no other client."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cds_service.adapters.clock import FixedClock
from cds_service.adapters.metrics import InProcessMetrics
from cds_service.app import create_app
from cds_service.resources import fixtures_dir
from cds_service.settings import Settings
from tests.builders import SERVICE, TODAY, Fact, Json, hook_request, prefetch
from tests.fakes.fhir_stub import FhirStub, fhir_stub

PATIENT = fixtures_dir() / "local-codes"
LAB, DRUGS = "urn:oid:2.999.36.1.1", "urn:oid:2.999.36.1.2"
CODES = f"""kind,system,code,target_system,target_code,unit
laboratory,{LAB},FERR,LOINC,14723-1,pmol/L
laboratory,{LAB},TSAT,LOINC,2502-3,
"""


def client_of(metrics: InProcessMetrics | None = None, clients: Path | None = None) -> FlaskClient:
    settings = Settings(clients=clients)
    return create_app(settings, clock=FixedClock(settings.zone, TODAY), metrics=metrics).test_client()


def answer(client: FlaskClient, body: bytes) -> Json:
    response = client.post(SERVICE, data=body, content_type="application/json")
    assert response.status_code == 200
    cards: Json = response.get_json()
    return cards


def heads(body: Json) -> list[tuple[str, str]]:
    return [(card["source"]["topic"]["code"], card["summary"]) for card in body["cards"]]


def test_a_patient_with_local_codes_only_gets_the_cards_of_the_standard_codes() -> None:
    request = (PATIENT / "request.json").read_bytes()
    body = answer(client_of(clients=PATIENT / "clients.toml"), request)
    assert heads(body) == [
        (
            "IRON03",
            "Ferritin 28 ng/mL (2026-11-10): low for RLS, iron treatment is usually indicated",
        ),
        ("DRUG01", "May worsen RLS: sertraline. Review need or alternatives"),
    ]
    detail = body["cards"][0]["detail"]
    assert "no unit was sent, the one of the site's code map is assumed" in detail
    assert "recognised by" not in detail + body["cards"][1]["detail"]


@pytest.mark.parametrize(
    "change", [(b"fhir.example.org/r4", b"fhir.example.org/r5"), (LAB.encode(), b"urn:oid:2.999.37")]
)
def test_the_map_is_that_of_the_client_and_of_the_system(change: tuple[bytes, bytes]) -> None:
    request = (PATIENT / "request.json").read_bytes().replace(*change)
    body = answer(client_of(clients=PATIENT / "clients.toml"), request)
    assert body["cards"][0]["source"]["topic"]["code"] == "IRON01"


def test_without_a_map_nobody_sees_them() -> None:
    body = answer(client_of(), (PATIENT / "request.json").read_bytes())
    assert [key for key, _ in heads(body)] == ["IRON01"]


def test_codes_that_only_words_tell_are_counted_without_being_named(caplog: pytest.LogCaptureFixture) -> None:
    metrics = InProcessMetrics()
    records: tuple[Fact, ...] = (
        "RLS",
        local_result("FERR-X9", "Ferritin"),
        local_result("FERR-X9", "Ferritin"),
        local_result("FE-X9", "Ferritin, serum"),
        {
            "resource": {
                "resourceType": "MedicationStatement",
                "id": "m9",
                "status": "active",
                "subject": {"reference": "Patient/scenario-patient"},
                "medicationCodeableConcept": {
                    "coding": [{"system": DRUGS, "code": "DRUG-X9", "display": "Sertraline"}]
                },
            }
        },
    )
    with caplog.at_level(logging.INFO):
        response = client_of(metrics).post(SERVICE, json=hook_request(prefetch(list(records))))
    assert response.status_code == 200
    assert metrics.value("unmapped_code", kind="laboratory", group="ferritin") == 2
    assert metrics.value("unmapped_code", kind="medicine", group="SSRI") == 1
    assert "X9" not in caplog.text


def test_they_are_counted_also_where_required_data_is_missing() -> None:
    metrics = InProcessMetrics()
    sent = prefetch([local_result("TSAT-X9", "Transferrin saturation")])
    del sent["patient"]
    response = client_of(metrics).post(SERVICE, json=hook_request(sent))
    assert response.status_code == 412
    assert metrics.value("unmapped_code", kind="laboratory", group="tsat") == 1


def test_what_the_map_names_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text(CODES, encoding="utf-8")
    (tmp_path / "clients.toml").write_text('[[clients]]\nname = "a"\ncode_map = "codes.csv"\n', "utf-8")
    metrics = InProcessMetrics()
    client = client_of(metrics, tmp_path / "clients.toml")
    body = hook_request(prefetch(["RLS", local_result("FERR", "Ferritin", unit=None, value=157.29)]))
    assert client.post(SERVICE, json=body).get_json()["cards"][0]["summary"].startswith("Ferritin 70 ng/mL")
    assert metrics.value("unmapped_code", kind="laboratory", group="ferritin") == 0


# ------------------------------------------------------------------------------------- FHIR server
def served(stub: FhirStub, folder: Path, codes: str | None) -> tuple[FlaskClient, Json]:
    """Return the service whose client asks this server, and a call without prefetch for its patient."""
    request = json.loads((PATIENT / "request.json").read_text(encoding="utf-8"))
    supplied = request.pop("prefetch")
    stub.resources = [supplied.pop("patient")]
    stub.resources += [e["resource"] for value in supplied.values() for e in value.get("entry", ())]
    entry = f"[[clients]]\nname = 'site'\nfhir = {{ servers = ['{stub.base}'], budget_ms = 20000 }}\n"
    if codes is not None:
        (folder / "codes.csv").write_text(codes, encoding="utf-8")
        entry += "code_map = 'codes.csv'\n"
    (folder / "clients.toml").write_text(entry, encoding="utf-8")
    return client_of(clients=folder / "clients.toml"), {**request, "fhirServer": stub.base}


@pytest.fixture
def stub() -> Iterator[FhirStub]:
    with fhir_stub() as running:
        yield running


def codes_asked(stub: FhirStub) -> list[list[str]]:
    searches = (seen.parameters.get("code") for seen in stub.seen if seen.path == "Observation")
    return sorted(value.split(",") for value in searches if value is not None)


def test_the_server_is_asked_for_the_local_codes_too(stub: FhirStub, tmp_path: Path) -> None:
    codes = (PATIENT / "codes.csv").read_text(encoding="utf-8")
    more = "laboratory,,HB,LOINC,718-7,,\norder,urn:oid:2.999.36.1.1,PANEL,LOINC,50190-8,,\n"
    client, call = served(stub, tmp_path, codes + more)
    body = answer(client, json.dumps(call).encode())
    assert [key for key, _ in heads(body)] == ["IRON03", "DRUG01"]
    added = [
        [code for code in asked if not code.startswith("http://loinc.org|")] for asked in codes_asked(stub)
    ]
    assert sorted(filter(None, added)) == [["HB"], [f"{LAB}|FERR"]]


def test_without_a_map_it_is_asked_for_standard_codes_alone(stub: FhirStub, tmp_path: Path) -> None:
    client, call = served(stub, tmp_path, None)
    body = answer(client, json.dumps(call).encode())
    assert [key for key, _ in heads(body)] == ["IRON01"]
    assert len(codes_asked(stub)) == 5
    assert all(code.startswith("http://loinc.org|") for asked in codes_asked(stub) for code in asked)


def local_result(code: str, display: str, value: float = 28, unit: str | None = "ng/mL") -> Json:
    quantity: Json = {"value": value} | ({"unit": unit} if unit else {})
    return {
        "resource": {
            "resourceType": "Observation",
            "id": f"{code}-{display[-5:]}",
            "status": "final",
            "subject": {"reference": "Patient/scenario-patient"},
            "category": [{"coding": [{"code": "laboratory"}]}],
            "code": {"coding": [{"system": LAB, "code": code, "display": display}]},
            "effectiveDateTime": "2026-11-01",
            "valueQuantity": quantity,
        }
    }
