"""The worked cases of the scenario files: a server's record gives the same answer by prefetch and alone."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.builders import OWN_KEYS, PATIENT_ID
from tests.integration.client import Service, filled
from tests.integration.hapi_server import FhirServer
from tests.integration.records import record_of
from tests.scenarios import test_scenarios as scenarios

pytestmark = pytest.mark.integration

Json = dict[str, Any]


# A result of another patient is not found by a search for this one, and a broken entry no server takes.
NOT_ON_A_SERVER = {"own-10", "own-13"}
# A result known by its name only is found by the service, and not by a client that searches for codes.
WITHOUT_CODE = {"own-35"}


def has_record(scenario: "scenarios.Scenario") -> bool:
    """Tell whether the case is about a whole record, and not about what a call may leave out or garble."""
    prefetch = scenario.body.get("prefetch") or {}
    return (
        scenario.is_screening_on
        and scenario.status == 200
        and scenario.case not in NOT_ON_A_SERVER
        and scenario.body["context"]["patientId"] == PATIENT_ID
        and set(prefetch) == set(OWN_KEYS)
        and (prefetch["patient"] or {}).get("id") == PATIENT_ID
        and all(is_whole(value) for key, value in prefetch.items() if key != "patient")
    )


def is_whole(value: Json | None) -> bool:
    """Tell whether a search of the case succeeded and has no further page."""
    links = (value or {}).get("link", ())
    return (value or {}).get("resourceType") == "Bundle" and all(link["relation"] != "next" for link in links)


CASES = [scenario for scenario in scenarios.SCENARIOS if has_record(scenario)]
FEWEST = 150


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= FEWEST


@pytest.mark.parametrize("scenario", CASES, ids=str)
def test_the_server_alone_answers_as_its_prefetch(
    hapi: FhirServer, service: Service, templates: Mapping[str, str], scenario: "scenarios.Scenario"
) -> None:
    record = record_of(f"case-{scenario.case}", scenario.body)
    hapi.load(list(record.resources))
    by_prefetch = service.call(record.name, filled(templates, hapi, record.name))
    alone = service.call(record.name, fhir_server=hapi.base())
    is_same = (alone.status_code, alone.json()) == (by_prefetch.status_code, by_prefetch.json())
    assert is_same is (scenario.case not in WITHOUT_CODE)
    keys = [card["source"]["topic"]["code"] for card in alone.json().get("cards", ())]
    assert keys == [key.replace("-", "") for key in scenario.cards], scenario.file
