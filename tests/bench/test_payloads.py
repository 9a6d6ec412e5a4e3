"""The requests of the bench are what they claim to be, or its figures would mean nothing."""

import json
from datetime import date
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from bench.payloads import EXPECTED_CARDS, request_body
from tests.builders import TODAY
from tests.harness import service_in

SIZES = (60, 300)


def resources(body: bytes) -> list[dict[str, Any]]:
    values = json.loads(body)["prefetch"].values()
    bundles = [value for value in values if value["resourceType"] == "Bundle"]
    entries = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]
    return [*(value for value in values if value["resourceType"] != "Bundle"), *entries]


@pytest.mark.parametrize("size", SIZES)
def test_a_request_has_the_number_of_resources_that_it_is_named_after(size: int) -> None:
    body = request_body(size, TODAY)
    assert len(resources(body)) == size
    assert 1800 <= len(body) / size <= 2000


def test_the_same_size_and_day_give_the_same_bytes() -> None:
    assert request_body(60, TODAY) == request_body(60, TODAY)
    assert request_body(60, TODAY) != request_body(60, date(2026, 11, 23))


def test_every_resource_is_valid_fhir() -> None:
    made = list(resources(request_body(300, TODAY)))
    for resource in made:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    assert len(made) == 300


@pytest.mark.parametrize("size", SIZES)
def test_every_request_yields_its_two_cards(size: int) -> None:
    reply = service_in("UTC").send(request_body(size, TODAY))
    assert tuple(card["source"]["topic"]["code"] for card in reply.cards) == EXPECTED_CARDS
