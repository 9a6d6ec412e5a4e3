"""Prefetch templates against the query subset of CDS Hooks 2.0.1."""

import re

import pytest

from cds_service.clinical.facts import Need
from cds_service.protocol.prefetch import PREFETCH_NEEDS, prefetch_templates

TEMPLATES = prefetch_templates({"ironResults": ("2276-4", "2502-3"), "contextResults": ("718-7",)})
# The R4 search parameters that are tokens, and the one date parameter to sort by, for each type asked for.
TOKENS = {
    "Observation": {"code"},
    "Condition": set(),
    "MedicationStatement": {"status"},
    "MedicationRequest": {"status"},
    "MedicationAdministration": {"status"},
    "Procedure": set(),
    "AllergyIntolerance": set(),
    "ServiceRequest": {"status"},
    "FamilyMemberHistory": set(),
    "DeviceUseStatement": set(),
    "Device": set(),
}
SORTS = {
    "Observation": "-date",
    "MedicationStatement": "-effective",
    "MedicationRequest": "-authoredon",
    "MedicationAdministration": "-effective-time",
    "Procedure": "-date",
    "ServiceRequest": "-authored",
}


def parameters(template: str) -> list[tuple[str, str]]:
    _, _, query = template.partition("?")
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]


def test_there_is_a_template_for_every_key_and_a_key_for_every_need() -> None:
    assert set(TEMPLATES) == set(PREFETCH_NEEDS)
    assert set(PREFETCH_NEEDS.values()) == {need.value for need in Need}


def test_the_patient_is_read_by_id() -> None:
    assert TEMPLATES["patient"] == "Patient/{{context.patientId}}"


@pytest.mark.parametrize("template", TEMPLATES.values())
def test_the_only_token_is_the_patient(template: str) -> None:
    assert re.findall(r"\{\{(.*?)\}\}", template) == ["context.patientId"]
    assert template.count("{") == template.count("}") == 2
    assert template.isascii()
    assert not re.search(r"[\s%+$\\]|^/", template)


@pytest.mark.parametrize("template", [text for key, text in TEMPLATES.items() if key != "patient"])
def test_searches_keep_to_the_subset(template: str) -> None:
    resource_type = template.partition("?")[0]
    named = parameters(template)
    names = [name for name, _ in named]
    assert len(set(names)) == len(names)
    assert set(names) <= {"patient", "_count", "_sort"} | TOKENS[resource_type]
    values = dict(named)
    assert values["patient"] == "{{context.patientId}}"
    assert 0 < int(values["_count"]) <= 200
    assert values.get("_sort") == SORTS.get(resource_type)


def test_observations_list_their_codes() -> None:
    assert (
        dict(parameters(TEMPLATES["ironResults"]))["code"]
        == "http://loinc.org|2276-4,http://loinc.org|2502-3"
    )
    assert dict(parameters(TEMPLATES["contextResults"]))["code"] == "http://loinc.org|718-7"


@pytest.mark.parametrize("key", ["conditions", "allergies", "familyHistory", "deviceUse", "devices"])
def test_what_matters_whatever_its_status_is_only_counted(key: str) -> None:
    assert {name for name, _ in parameters(TEMPLATES[key])} == {"patient", "_count"}


def test_medicines_are_asked_for_by_status() -> None:
    statuses = {
        key: dict(parameters(TEMPLATES[key])).get("status") for key in TEMPLATES if "?" in TEMPLATES[key]
    }
    assert statuses["medicationStatements"] == "active,unknown"
    assert statuses["medicationRequests"] == "active"
    assert {statuses[key] for key, need in PREFETCH_NEEDS.items() if need == "ironTreatments"} == {
        "completed"
    }
    assert statuses["ironOrders"] == "active,draft,on-hold"
