"""Prefetch templates against the query subset of CDS Hooks 2.0.1."""

import re

import pytest

from cds_service.clinical.facts import Need
from cds_service.protocol.prefetch import PREFETCH_NEEDS, prefetch_templates

CODES = {
    "ironResults": ("2276-4", "2502-3"),
    "contextResults": ("718-7",),
    "metabolicResults": ("4548-4",),
    "socialHistory": ("72166-2",),
    "sleepDuration": ("93832-4",),
}
TEMPLATES = prefetch_templates(CODES)
# Every query as it is asked, `~` for the patient and `|` for the system of LOINC.
ASKED = {
    "patient": "Patient/~",
    "ironResults": "Observation?~&code=|2276-4,|2502-3&_sort=-date&_count=100",
    "contextResults": "Observation?~&code=|718-7&_sort=-date&_count=100",
    "conditions": "Condition?~&_count=200",
    "medicationStatements": "MedicationStatement?~&status=active,unknown&_sort=-effective&_count=200",
    "medicationRequests": "MedicationRequest?~&status=active&_sort=-authoredon&_count=200",
    "ironTreatmentStatements": "MedicationStatement?~&status=completed&_sort=-effective&_count=100",
    "ironTreatmentRequests": "MedicationRequest?~&status=completed&_sort=-authoredon&_count=100",
    "ironAdministrations": ("MedicationAdministration?~&status=completed&_sort=-effective-time&_count=200"),
    "procedures": "Procedure?~&_sort=-date&_count=100",
    "allergies": "AllergyIntolerance?~&_count=100",
    "ironOrders": "ServiceRequest?~&status=active,draft,on-hold&_sort=-authored&_count=100",
    "familyHistory": "FamilyMemberHistory?~&_count=100",
    "metabolicResults": "Observation?~&code=|4548-4&_sort=-date&_count=100",
    "socialHistory": "Observation?~&code=|72166-2&_sort=-date&_count=100",
    "sleepDuration": "Observation?~&code=|93832-4&_sort=-date&_count=100",
    "deviceUse": "DeviceUseStatement?~&_count=100",
    "devices": "Device?~&_count=100",
}
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


def test_each_key_asks_what_the_table_says() -> None:
    asked = {
        key: text.replace("patient={{context.patientId}}", "~")
        .replace("/{{context.patientId}}", "/~")
        .replace("http://loinc.org|", "|")
        for key, text in TEMPLATES.items()
    }
    assert asked == ASKED


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


@pytest.mark.parametrize("key", ["conditions", "allergies", "familyHistory", "deviceUse", "devices"])
def test_what_matters_whatever_its_status_is_only_counted(key: str) -> None:
    assert {name for name, _ in parameters(TEMPLATES[key])} == {"patient", "_count"}
