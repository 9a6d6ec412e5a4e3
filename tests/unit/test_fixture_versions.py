"""The sample patients and the patients of the scenarios give the same cards in every FHIR release."""

import json
from typing import Any

import pytest

from cds_service.resources import fixtures_dir
from tests.builders import Json
from tests.downgrade import VERSIONS, has_counterpart, rewritten
from tests.harness import service_in
from tests.scenarios.test_scenarios import Scenario, load_scenarios


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


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_patient_gives_the_same_cards(name: str, version: str) -> None:
    body = _request(name)
    assert has_counterpart(body, version)
    assert _cards(rewritten(body, version)) == _cards(body)


# What a release cannot say (tests/downgrade.py) has nothing to compare with; that is a handful.
MOST_WITHOUT_COUNTERPART = 16


@pytest.mark.parametrize("version", VERSIONS)
def test_the_patients_of_the_scenarios_give_the_same_cards(version: str) -> None:
    scenarios = load_scenarios()
    compared = [one for one in scenarios if has_counterpart(one.body, version)]
    assert len(scenarios) - len(compared) <= MOST_WITHOUT_COUNTERPART
    assert [str(one) for one in compared if _differs(one, version)] == []


def _differs(scenario: Scenario, version: str) -> bool:
    service = service_in("UTC", is_screening_on=scenario.is_screening_on)
    wanted, got = service.call(scenario.body), service.call(rewritten(scenario.body, version))
    return (got.status, got.cards) != (wanted.status, wanted.cards)
