"""Over the wire: the order codes of a suggestion are those of the client whose FHIR server the call names."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cds_service.adapters.clock import FixedClock
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.builders import SERVICE, TODAY

FILE = """
[[clients]]
name = "north"
[clients.fhir]
servers = ["https://north.example.org/fhir"]
[[clients.orders.ferritin]]
system = "urn:com.epic.cdshooks.action.code.system.preference-list-item"
code = "4711"
display = "Ferritin"

[[clients]]
name = "south"
[clients.fhir]
servers = ["https://south.example.org/fhir"]
"""


@pytest.mark.parametrize(
    ("server", "ferritin"),
    [
        ("https://north.example.org/fhir", "4711"),
        ("https://south.example.org/fhir", "2276-4"),
        ("https://else.example.org/fhir", "2276-4"),
    ],
)
def test_orders_carry_the_codes_of_the_client(server: str, ferritin: str, tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    file.write_text(FILE, encoding="utf-8")
    app = create_app(
        Settings(clients=file), clock=FixedClock(ZoneInfo("UTC"), date.fromisoformat(str(TODAY)))
    )
    body = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": server,
        "context": {"patientId": "p", "userId": "Practitioner/1"},
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1970-01-01"},
            "ironResults": {"resourceType": "Bundle", "type": "searchset", "total": 0},
            "conditions": {
                "resourceType": "Condition",
                "subject": {"reference": "Patient/p"},
                "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G25.81"}]},
            },
        },
    }
    card = app.test_client().post(SERVICE, json=body).get_json()["cards"][0]
    orders = [
        action["resource"]["code"]["coding"][0]["code"]
        for suggestion in card["suggestions"]
        for action in suggestion["actions"]
    ]
    assert orders == [ferritin, "50190-8"]
