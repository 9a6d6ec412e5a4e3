"""The fixture patients in R5, STU3 and DSTU2: by prefetch, and on a server of that version."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.builders import OWN_KEYS
from tests.integration.client import Service, fetched, filled
from tests.integration.hapi_server import FhirServer, running
from tests.integration.records import PatientRecord, r4_names
from tests.integration.table import TABLE
from tests.integration.versions import bundle, converted

pytestmark = pytest.mark.integration

Json = dict[str, Any]

NAMES = r4_names()
VERSIONS = ("R5", "STU3", "DSTU2")

NUMBERS: Mapping[str, str] = {"R5": "5.0.", "STU3": "3.0.", "DSTU2": "1.0."}

# What each version does not take of our searches, which are R4: R5 sorts administrations otherwise, calls the
# use of a device by another name and does not say there whose a device is, STU3 has
# no ServiceRequest, DSTU2 knows another form of `_sort` and other types.
REFUSED: Mapping[str, set[str]] = {
    "R5": {"ironAdministrations", "deviceUse", "devices"},
    "STU3": {"ironOrders"},
    "DSTU2": set(OWN_KEYS) - {"patient", "conditions", "allergies", "familyHistory", "deviceUse", "devices"},
}


def said(response: requests.Response) -> Any:
    """Return what a clinician sees of an answer: each card's key, weight and heading."""
    if response.status_code != 200:
        return response.status_code
    cards = response.json()["cards"]
    return [(card["source"]["topic"]["code"], card["indicator"], card["summary"]) for card in cards]


@dataclass(frozen=True)
class Version:
    """All patients in one FHIR version: as prefetch, and on a server."""

    server: FhirServer
    prefetch: Mapping[str, Json]


@pytest.fixture(scope="module")
def in_r4(
    hapi: FhirServer, templates: Mapping[str, str], patients: Mapping[str, PatientRecord]
) -> Mapping[str, Json]:
    """What our templates bring of each patient from the R4 server."""
    return {name: filled(templates, hapi, name) for name in patients}


@pytest.fixture(scope="module", params=VERSIONS)
def version(
    request: pytest.FixtureRequest,
    in_r4: Mapping[str, Json],
    patients: Mapping[str, PatientRecord],
) -> Iterator[Version]:
    """One version at a time: the server, loaded, and the same prefetch rewritten."""
    chosen: str = request.param
    with running(chosen) as server:
        for name, rewritten in _records(patients, chosen).items():
            assert rewritten, name
            server.load(rewritten)
        yield Version(server, _prefetch(in_r4, chosen))


def _records(patients: Mapping[str, PatientRecord], version: str) -> dict[str, list[Json]]:
    flat = [(name, resource) for name, one in patients.items() for resource in one.resources]
    made = converted([resource for _, resource in flat], version)
    found: dict[str, list[Json]] = {name: [] for name in patients}
    for (name, _), resource in zip(flat, made, strict=True):
        if resource is not None:
            found[name].append(resource)
    return found


def _prefetch(in_r4: Mapping[str, Json], version: str) -> dict[str, Json]:
    flat = [
        (name, key, resource)
        for name, prefetch in in_r4.items()
        for key, value in prefetch.items()
        for resource in _contents(value)
    ]
    made = iter(converted([resource for _, _, resource in flat], version))
    found: dict[str, Json] = {name: {key: bundle([]) for key in prefetch} for name, prefetch in in_r4.items()}
    for (name, key), group in itertools.groupby(flat, key=lambda row: (row[0], row[1])):
        rewritten = [resource for _ in group if (resource := next(made)) is not None]
        found[name][key] = rewritten[0] if key == "patient" else bundle(rewritten)
    return found


def _contents(value: Json) -> list[Json]:
    if value["resourceType"] != "Bundle":
        return [value]
    return [entry["resource"] for entry in value.get("entry", ())]


def test_what_the_server_says_of_its_version(version: Version) -> None:
    named = version.server.get("metadata?_elements=fhirVersion").json()["fhirVersion"]
    assert named.startswith(NUMBERS[version.server.version])


def test_which_of_our_searches_a_server_of_another_version_takes(
    version: Version, templates: Mapping[str, str]
) -> None:
    chosen = version.server
    refused = {key for key in templates if "issue" in fetched(templates[key], chosen, "readme-patient")}
    assert refused == REFUSED[chosen.version]


@pytest.mark.parametrize("name", NAMES)
def test_the_prefetch_in_another_version(
    version: Version, service: Service, in_r4: Mapping[str, Json], name: str
) -> None:
    wanted = said(service.call(name, in_r4[name]))
    given = said(service.call(name, version.prefetch[name]))
    TABLE.note(name, f"{version.server.version} prefetch", is_same=given == wanted)
    assert given == wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_server_of_another_version(version: Version, service: Service, hapi: FhirServer, name: str) -> None:
    wanted = said(service.call(name, fhir_server=hapi.base()))
    given = said(service.call(name, fhir_server=version.server.base()))
    TABLE.note(name, f"{version.server.version} server", is_same=given == wanted)
    assert given == wanted
