"""The service on the day of the scenarios, called in process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from flask.testing import FlaskClient

from cds_service.adapters.clock import FixedClock
from cds_service.app import build_assess, create_app
from cds_service.assess import Answer, PatientView
from cds_service.settings import Settings
from tests.builders import SERVICE, TODAY, Json


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    raw: bytes
    body: Any

    @property
    def cards(self) -> list[Json]:
        """The cards, none on an error."""
        listed: list[Json] = self.body.get("cards", []) if self.status == 200 else []
        return listed


@dataclass(frozen=True)
class Service:
    """The service with a fixed day, over HTTP and as the use case."""

    client: FlaskClient
    assess: Callable[[PatientView], Answer]

    def send(self, raw: bytes, path: str = SERVICE) -> Reply:
        """Return the answer to a body of any bytes."""
        response = self.client.post(path, data=raw, content_type="application/json")
        return Reply(response.status_code, response.data, json.loads(response.data or b"{}"))

    def call(self, body: Mapping[str, Any]) -> Reply:
        """Return the answer to a request."""
        return self.send(json.dumps(body).encode())

    def view(self, body: Mapping[str, Any], *, is_explained: bool = False) -> Answer:
        """Return the answer of the use case to the same request."""
        raw = json.dumps(body["prefetch"]).encode() if "prefetch" in body else None
        return self.assess(
            PatientView(
                service_id=SERVICE.rsplit("/", 1)[-1],
                hook_instance=body["hookInstance"],
                patient_id=body["context"]["patientId"],
                prefetch=raw,
                fhir_server=body.get("fhirServer"),
                version_hint=None,
                is_explained=is_explained,
            ),
        )


def service_with(settings: Settings, today: date = TODAY) -> Service:
    """Return the service as it runs with these settings, by default on the day of the scenarios."""
    clock = FixedClock(settings.zone, today)
    return Service(
        client=create_app(settings, clock=clock).test_client(),
        assess=build_assess(settings, clock=clock),
    )


@cache
def service_in(zone: str, *, is_screening_on: bool = True, today: date = TODAY) -> Service:
    """Return the service as it runs in one zone."""
    # A budget far above what a search takes, so that a busy machine changes no answer.
    settings = Settings(zone=ZoneInfo(zone), screening=is_screening_on, fhir_budget_ms=20_000)
    return service_with(settings, today)
