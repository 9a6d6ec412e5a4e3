"""The sample patients and the patients of the scenarios give the same cards in every FHIR release."""

import json
from functools import cache
from typing import Any

import pytest

from cds_service.resources import fixtures_dir
from tests.builders import Json
from tests.downgrade import VERSIONS, has_counterpart, rewritten
from tests.harness import service_in
from tests.scenarios.test_scenarios import load_scenarios

# Which lines run is known from the tests of the conversions and of the scenarios.
pytestmark = pytest.mark.no_cover


def _request(name: str) -> Json:
    body: Json = json.loads((fixtures_dir() / name / "request.json").read_text(encoding="utf-8"))
    return body


def _is_r4_patient(name: str) -> bool:
    expected = json.loads((fixtures_dir() / name / "expected.json").read_text(encoding="utf-8"))
    is_r4 = not name.endswith(("-dstu2", "-stu3", "-r5"))
    return is_r4 and expected["status"] == 200 and "prefetch" in _request(name)


NAMES = sorted(p.parent.name for p in fixtures_dir().glob("*/request.json") if _is_r4_patient(p.parent.name))


def _cards(body: Json) -> Any:
    reply = service_in("UTC").call(body)
    assert reply.status == 200, reply.body
    return reply.cards


@cache
def _at_home(name: str) -> Any:
    return _cards(_request(name))


SCENARIOS = load_scenarios()


@cache
def _wanted(number: int) -> Any:
    scenario = SCENARIOS[number]
    reply = service_in("UTC", is_screening_on=scenario.is_screening_on).call(scenario.body)
    return reply.status, reply.cards


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_patient_gives_the_same_cards(name: str, version: str) -> None:
    body = _request(name)
    assert has_counterpart(body, version)
    assert _cards(rewritten(body, version)) == _at_home(name)


# What a release cannot say (tests/downgrade.py) has nothing to compare with; that is a handful.
MOST_WITHOUT_COUNTERPART = 16


@pytest.mark.parametrize("version", VERSIONS)
def test_the_patients_of_the_scenarios_give_the_same_cards(version: str) -> None:
    compared = [number for number, one in enumerate(SCENARIOS) if has_counterpart(one.body, version)]
    assert len(SCENARIOS) - len(compared) <= MOST_WITHOUT_COUNTERPART
    assert [str(SCENARIOS[number]) for number in compared if _differs(number, version)] == []


def _differs(number: int, version: str) -> bool:
    scenario = SCENARIOS[number]
    service = service_in("UTC", is_screening_on=scenario.is_screening_on)
    got = service.call(rewritten(scenario.body, version))
    return (got.status, got.cards) != _wanted(number)
