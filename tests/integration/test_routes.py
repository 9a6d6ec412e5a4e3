"""Every fixture patient gets the same answer, whichever way the record reaches the service."""

import json
import random
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import requests

from cds_service.resources import fixtures_dir
from tests.builders import OWN_KEYS
from tests.integration.client import Service, filled
from tests.integration.hapi_server import FhirServer
from tests.integration.records import PatientRecord, r4_names
from tests.integration.table import TABLE

pytestmark = pytest.mark.integration

NAMES = r4_names()
# Its ferritin has a name and no code: our templates, which search by code, do not bring it; the service looks
# for it among the laboratory results of a server (docs/fhir-server.md).
WITHOUT_CODE = "words-only"
# One of its habits has no standard code: a client can send it, and no search for codes finds it.
HABIT_WITHOUT_CODE = "many-factors"
OPTIONAL_KEYS = frozenset(
    {"familyHistory", "metabolicResults", "socialHistory", "sleepDuration", "deviceUse", "devices"}
)
# What the client says about its own searches stands, beside a server or not.
ANSWERED_BY_THE_CLIENT = (
    "epic-failed-laboratory-search",
    "epic-result-of-another-patient",
    "failed-laboratory-search",
    "paged-results",
    "sandbox-searches-failed",
)
BRINGING = [name for name in NAMES if name not in ANSWERED_BY_THE_CLIENT]
SUBSETS = 4
SEED = 2026
FEWEST = 30

Json = dict[str, Any]


def answer(response: requests.Response) -> Json:
    """Return what must be equal: the status, and every byte of the cards or of the OperationOutcome."""
    return {"status": response.status_code, "body": response.json()}


def label(given: Json) -> str:
    """Return the answer in a few words."""
    if given["status"] != 200:
        return str(given["status"])
    cards = given["body"]["cards"]
    keys = [f"{card['source']['topic']['code']} {card['indicator']}" for card in cards]
    return ", ".join(keys) or "no card"


@pytest.fixture(scope="module")
def routes(
    hapi: FhirServer,
    service: Service,
    templates: Mapping[str, str],
    patients: Mapping[str, PatientRecord],
) -> "Routes":
    return Routes(hapi, service, templates, patients)


class Routes:
    """The ways by which one patient's record can come."""

    def __init__(
        self,
        hapi: FhirServer,
        service: Service,
        templates: Mapping[str, str],
        patients: Mapping[str, PatientRecord],
    ) -> None:
        self.hapi = hapi
        self.service = service
        self.patients = patients
        self.prefetch = cache(lambda name: filled(templates, hapi, name))
        self.expected = cache(lambda name: answer(service.call(name, self.whole(name))))

    def whole(self, name: str) -> Json:
        """Return a prefetch that brings everything: ours, or the client's own where ours finds too little."""
        return self.patients[name].request["prefetch"] if name == WITHOUT_CODE else self.prefetch(name)

    def check(self, name: str, route: str, response: requests.Response) -> None:
        """Compare an answer with the answer to the whole prefetch, and note it in the table."""
        expected = self.expected(name)
        given = answer(response)
        TABLE.answers[name] = label(self.expected(name))
        TABLE.note(name, route, is_same=given == expected)
        assert given == expected, f"{name} by {route}: {label(given)}, not {label(expected)}"

    def part(self, name: str, keys: frozenset[str]) -> Json:
        """Return only some keys of the patient's prefetch."""
        return {key: value for key, value in self.prefetch(name).items() if key in keys}


def written(name: str) -> str:
    """Return the hand-written answer of a fixture in the same few words."""
    expected = json.loads((fixtures_dir() / name / "expected.json").read_text(encoding="utf-8"))
    if expected["status"] != 200:
        return str(expected["status"])
    keys = [f"{card['key'].replace('-', '')} {card['indicator']}" for card in expected["cards"]]
    return ", ".join(keys) or "no card"


def is_complete(name: str) -> bool:
    """Tell whether the fixture itself brings all keys that decide cards, none of them failed or cut off."""
    request = json.loads((fixtures_dir() / name / "request.json").read_text(encoding="utf-8"))
    prefetch = request["prefetch"]
    bundles = [value for value in prefetch.values() if value]
    return (
        name != HABIT_WITHOUT_CODE
        and set(OWN_KEYS) - OPTIONAL_KEYS <= set(prefetch) <= set(OWN_KEYS)
        and len(bundles) == len(prefetch)
        and all(value["resourceType"] != "OperationOutcome" for value in bundles)
        and all(link["relation"] != "next" for value in bundles for link in value.get("link", ()))
    )


def test_there_are_enough_patients() -> None:
    assert len(NAMES) >= FEWEST
    assert sum(is_complete(name) for name in NAMES) >= 20


@pytest.mark.parametrize("name", [name for name in NAMES if is_complete(name)])
def test_the_prefetch_of_the_fixture_and_the_prefetch_from_the_server(routes: Routes, name: str) -> None:
    request = routes.patients[name].request
    routes.check(name, "fixture", routes.service.call(name, request["prefetch"]))
    assert label(routes.expected(name)) == written(name)


@pytest.mark.parametrize("name", NAMES)
def test_prefetch_with_a_server_beside_it_that_adds_nothing(routes: Routes, name: str) -> None:
    base = routes.hapi.base()
    routes.check(name, "prefetch", routes.service.call(name, routes.prefetch(name), fhir_server=base))


@pytest.mark.parametrize("name", ANSWERED_BY_THE_CLIENT)
def test_what_the_client_says_of_its_own_searches_stands(routes: Routes, name: str) -> None:
    request = routes.patients[name].request
    beside = routes.service.call(name, request["prefetch"], fhir_server=routes.hapi.base())
    assert label(answer(beside)) == written(name)


def test_a_result_without_a_code_is_not_found_by_our_templates(routes: Routes) -> None:
    prefetch = routes.prefetch(WITHOUT_CODE)
    assert prefetch["ironResults"]["total"] == 0
    assert label(answer(routes.service.call(WITHOUT_CODE, prefetch))) == "IRON01 info, DRUG01 warning"
    assert label(routes.expected(WITHOUT_CODE)) == written(WITHOUT_CODE) == "IRON03 warning, DRUG01 warning"


@pytest.mark.parametrize("name", [name for name in BRINGING if name != HABIT_WITHOUT_CODE])
def test_the_keys_of_the_fixture_with_a_server_beside_them(routes: Routes, name: str) -> None:
    request = routes.patients[name].request
    base = routes.hapi.base()
    routes.check(name, "fixture + server", routes.service.call(name, request["prefetch"], fhir_server=base))


@pytest.mark.parametrize("name", NAMES)
def test_the_server_alone(routes: Routes, name: str) -> None:
    base = routes.hapi.base()
    routes.check(name, "server", routes.service.call(name, fhir_server=base))
    routes.check(name, "server", routes.service.call(name, {}, fhir_server=base))


@pytest.mark.parametrize("name", NAMES)
def test_the_server_for_each_key_that_is_missing(routes: Routes, name: str) -> None:
    for key in OWN_KEYS:
        part = routes.part(name, frozenset(OWN_KEYS) - {key})
        routes.check(name, "one key less", routes.service.call(name, part, fhir_server=routes.hapi.base()))


@pytest.mark.parametrize("name", NAMES)
def test_the_server_for_a_random_part(routes: Routes, name: str) -> None:
    dice = random.Random(f"{SEED} {name}")  # noqa: S311 - a choice that repeats, not a secret
    for _ in range(SUBSETS):
        keys = frozenset(dice.sample(OWN_KEYS, dice.randrange(1, len(OWN_KEYS))))
        part = routes.part(name, keys)
        routes.check(name, "random part", routes.service.call(name, part, fhir_server=routes.hapi.base()))
