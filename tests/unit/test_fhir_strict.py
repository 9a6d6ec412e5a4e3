"""Full validation tells element paths and kinds of faults, and no word of the resource."""

import json
from typing import Any

import pytest

from cds_service.fhir.strict import strict_faults
from cds_service.fhir.versions import FhirVersion

R4, R5, STU3, DSTU2 = FhirVersion.R4, FhirVersion.R5, FhirVersion.STU3, FhirVersion.DSTU2
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "Zq7CANARY"}}


def faults(resource: Any, resource_type: str = "Observation", version: FhirVersion = R4) -> tuple[str, ...]:
    return strict_faults(json.dumps(resource).encode(), resource_type, version)


@pytest.mark.parametrize("version", [R4, R5, STU3, DSTU2])
def test_a_valid_resource_has_no_fault(version: FhirVersion) -> None:
    assert faults(OBSERVATION, version=version) == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"effectiveDateTime": "Zq7CANARY"}, ("effectiveDateTime: value error",)),
        ({"Zq7CANARY": 1}, ("(any): element that FHIR does not know",)),
        ({"valueQuantity": {"Zq7CANARY": 1}}, ("valueQuantity.(any): element that FHIR does not know",)),
        ({"status": "Zq7CANARY"}, ("status: code outside its value set",)),
        ({"component": [{"code": {}}, {}, {}]}, ("component.code: missing",)),
        ({"code": None}, ("code: missing",)),
    ],
)
def test_a_fault_is_told_once_by_its_element(change: dict[str, Any], told: tuple[str, ...]) -> None:
    resource = {name: value for name, value in {**OBSERVATION, **change}.items() if value is not None}
    assert faults(resource) == told


def test_a_resource_of_dstu2_is_held_against_the_own_checker() -> None:
    assert faults({**OBSERVATION, "code": 1}, version=DSTU2) == ("code: not of its kind",)
    assert faults({"resourceType": "Account"}, "Account", DSTU2) == ("not a type that is read",)


@pytest.mark.parametrize(
    ("text", "resource_type", "told"),
    [
        (b"[]", "Observation", "the resource: not a resource"),
        (b"{}", "zq7", "the resource: not a resource"),
        (b'{"resourceType": "Nothing"}', "Nothing", "the resource: no type of FHIR R4"),
    ],
)
def test_what_is_no_resource_is_told(text: bytes, resource_type: str, told: str) -> None:
    assert strict_faults(text, resource_type, R4) == (told,)


def test_a_resource_beyond_all_bounds_is_told() -> None:
    deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
    (told,) = strict_faults(deep, "Observation", R4)
    assert told.startswith("the resource: ")
