"""A chart opened in the browser: discovery, prefetch from a FHIR server, call, cards on the screen."""

import pytest

from tests.browser.client import Client
from tests.browser.conftest import Service
from tests.browser.test_cross_origin import README_HEADS

pytestmark = pytest.mark.browser

PATIENT = "example-001"


def shown(client: Client) -> list[str]:
    """Return the cards as they stand on the screen."""
    return client.page.locator("#cards li").all_inner_texts()


@pytest.mark.parametrize("version", ["r4", "dstu2"])
def test_a_chart_gives_its_cards(client: Client, service: Service, fhir: str, version: str) -> None:
    client.open_chart(discovery=service.discovery, fhir=f"{fhir}/{version}", patient=PATIENT)
    assert shown(client) == README_HEADS


@pytest.mark.parametrize("version", ["r4", "dstu2"])
def test_a_client_that_does_not_prefetch_gets_the_same_cards(
    client: Client, service: Service, fhir: str, version: str
) -> None:
    client.open_chart(
        discovery=service.discovery, fhir=f"{fhir}/{version}", patient=PATIENT, hasPrefetch=False
    )
    assert shown(client) == README_HEADS


def test_a_chart_with_good_values_shows_nothing(client: Client, service: Service, fhir: str) -> None:
    told = client.open_chart(discovery=service.discovery, fhir=f"{fhir}/r4", patient="example-006")
    assert told["answer"]["status"] == 200
    assert told["answer"]["body"] == {"cards": []}


def test_a_dstu2_server_does_not_know_every_search(client: Client, service: Service, fhir: str) -> None:
    told = client.open_chart(discovery=service.discovery, fhir=f"{fhir}/dstu2", patient=PATIENT)
    named_alike = ["allergies", "conditions", "deviceUse", "devices", "familyHistory", "patient"]
    assert told["prefetched"] == named_alike
    assert told["answer"]["status"] == 200
