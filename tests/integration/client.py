"""The service in its own process, and a CDS client that fills our prefetch templates from a FHIR server."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from tests.builders import SERVICE, TODAY
from tests.integration.hapi_server import BUILD, FhirServer, ServerError

Json = dict[str, Any]

HOOK_INSTANCE = "6f0f3f9a-52cc-5a3f-8a39-6a1c6ad0a001"
_START_SECONDS = 60
_PATIENT = "{{context.patientId}}"


@dataclass(frozen=True)
class Service:
    """The service as a user starts it."""

    base: str

    def templates(self) -> Mapping[str, str]:
        """Return the prefetch templates that discovery offers."""
        listed = requests.get(f"{self.base}/cds-services", timeout=10).json()["services"]
        templates: Mapping[str, str] = next(
            service["prefetch"] for service in listed if service["id"] == SERVICE.rsplit("/", 1)[-1]
        )
        return templates

    def call(
        self,
        patient_id: str,
        prefetch: Json | None = None,
        *,
        fhir_server: str | None = None,
        token: str | None = None,
    ) -> requests.Response:
        """Return the answer to one `patient-view`; each way of asking is a call with the same identity."""
        body: Json = {
            "hook": "patient-view",
            "hookInstance": HOOK_INSTANCE,
            "context": {"patientId": patient_id, "userId": "Practitioner/1"},
        }
        if prefetch is not None:
            body["prefetch"] = prefetch
        if fhir_server is not None:
            body["fhirServer"] = fhir_server
        if token is not None:
            body["fhirAuthorization"] = {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": "patient/*.read",
                "subject": "integration",
            }
        return requests.post(f"{self.base}{SERVICE}", json=body, timeout=60)


def filled(
    templates: Mapping[str, str],
    server: FhirServer,
    patient_id: str,
    *,
    face: str = "fhir",
    keys: frozenset[str] | None = None,
) -> Json:
    """Return the prefetch that a client would send: one request for each key, the first page of each."""
    wanted = {key: template for key, template in templates.items() if keys is None or key in keys}
    return {key: fetched(template, server, patient_id, face=face) for key, template in wanted.items()}


def fetched(template: str, server: FhirServer, patient_id: str, *, face: str = "fhir") -> Json:
    """Return what the server answers to one template, an OperationOutcome included."""
    path = quote(template.replace(_PATIENT, patient_id), safe="/?=&,:|-_.")
    answer: Json = server.get(path, face).json()
    return answer


@contextmanager
def service_running() -> Iterator[Service]:
    """Start the service in its development profile on the day of the fixtures."""
    from tests.serving import free_port, is_up  # noqa: PLC0415 - only where a port is opened

    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RLS_CDS_")},
        "PORT": str(port),
        "RLS_CDS_AS_OF": TODAY.isoformat(),
        "RLS_CDS_SCREENING": "true",
        # Far above what a search takes, so that a busy machine changes no answer; the time has its own test.
        "RLS_CDS_FHIR_BUDGET_MS": "20000",
    }
    command = [sys.executable, "-c", "from cds_service.cli import main; main()", "serve"]
    log = BUILD / "service.log"
    with (
        log.open("wb") as said,
        subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        deadline = time.monotonic() + _START_SECONDS
        while not is_up(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"The service did not start; see {log}")
            time.sleep(0.1)
        yield Service(f"http://127.0.0.1:{port}")
        process.terminate()
        process.wait(timeout=20)
