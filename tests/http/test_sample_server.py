"""The sample FHIR server: its patients get the same cards from R4 and DSTU2, with a prefetch and without."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from cds_service.knowledge import load
from cds_service.web.discovery import templates
from tests.browser.conftest import DAY, running
from tests.browser.fhir_stub import Stub, bases, sample_records
from tests.harness import service_in

RECORDS = sample_records(DAY)
PATIENTS = sorted(one["id"] for one in RECORDS if one["resourceType"] == "Patient")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The origin of the server."""
    with running(Stub(0, bases(RECORDS))) as origin:
        yield origin


def prefetched(base: str, patient: str) -> dict[str, Any]:
    """Return what a client gets for our queries; a search that failed is left out."""
    found = {}
    for key, template in templates(load()).items():
        target = quote(template.replace("{{context.patientId}}", patient), safe="/?&=,:")
        try:
            with urlopen(f"{base}/{target}", timeout=10) as answer:  # noqa: S310 - our own server
                found[key] = json.load(answer)
        except HTTPError as error:
            error.close()
    return found


def told(base: str, patient: str, prefetch: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Return the cards as a clinician reads them."""
    request = {
        "hook": "patient-view",
        "hookInstance": "2f0d7a5c-6c43-4a75-8d6b-0f4f3f6f1d11",
        "fhirServer": base,
        "context": {"patientId": patient, "userId": "Practitioner/example"},
    }
    reply = service_in("UTC").call(request if prefetch is None else {**request, "prefetch": prefetch})
    assert reply.status == 200
    return [(card["indicator"], card["summary"], card["detail"]) for card in reply.cards]


@pytest.mark.parametrize("patient", PATIENTS)
def test_a_sample_patient_gets_the_same_cards_by_every_route(server: str, patient: str) -> None:
    new, old = f"{server}/r4", f"{server}/dstu2"
    by_prefetch = prefetched(new, patient)
    expected = told(new, patient, by_prefetch)
    assert len(by_prefetch) == len(templates(load()))
    assert told(new, patient, None) == expected
    assert told(old, patient, prefetched(old, patient)) == expected
    assert told(old, patient, None) == expected
