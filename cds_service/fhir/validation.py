"""L1, the second level of strictness: full validation of the resources that decide, as they were sent.

The one door to fhir.resources. Its R4B classes read FHIR R4 for our types, its plain ones R5, and it has
STU3; for DSTU2 there is an own checker. What the library does not check (codes of required value sets) is
checked here. No message of the library is passed on: it holds what it refused.
"""

import importlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import fhir.resources.R4B
from pydantic import ValidationError

from cds_service.fhir import check_dstu2, convert_r5, convert_stu3, lean
from cds_service.fhir.bounds import OutOfBounds, load_bounded
from cds_service.fhir.cleanup import Json, clean
from cds_service.fhir.releases import RELEASES, Release
from cds_service.fhir.versions import FhirVersion

_PACKAGES = {
    FhirVersion.R4: fhir.resources.R4B.__name__,
    FhirVersion.R5: fhir.resources.__name__,
    FhirVersion.STU3: f"{fhir.resources.__name__}.STU3",
}
"""The model packages; those of R5 and STU3 are imported when the first such resource decides something."""
_MOST_REPAIRS = 3
# A resource with more is not untidy.
_MOST_FAULTS = 100

_READ_ELEMENTS = (
    frozenset(lean.Resource.__struct_fields__) - {"name", "requester", "participant"}
    | convert_r5.READ_ELEMENTS
    | convert_stu3.READ_ELEMENTS
)

_ALWAYS_KEPT = _READ_ELEMENTS | {"id", "resourceType"}
# Of a choice, an element of a kind that is not read may still contradict the one that is.
_CHOICE = re.compile(r"_?(?:value|effective|onset|abatement|medication|performed|occurrence|deceased)[A-Z]")

_WARM_UP: Mapping[str, Json] = {
    "Patient": {"name": [{"family": "A"}], "birthDate": "2000-01-01"},
    "Observation": {
        "status": "final",
        "code": {"coding": [{"code": "a"}], "text": "a"},
        "effectiveDateTime": "2000-01-01",
        "valueQuantity": {"value": 1},
        "referenceRange": [{"low": {"value": 1}}],
        "component": [{"code": {"text": "a"}}],
        "note": [{"text": "a"}],
    },
    "Condition": {"code": {"text": "a"}, "onsetPeriod": {"start": "2000"}},
    "MedicationStatement": {
        "medicationCodeableConcept": {"text": "a"},
        "dosage": [{"timing": {"repeat": {"count": 1}}, "doseAndRate": [{"doseQuantity": {"value": 1}}]}],
    },
    "MedicationRequest": {
        "intent": "order",
        "medicationReference": {"reference": "#a"},
        "contained": [{"resourceType": "Medication", "id": "a"}],
        "dispenseRequest": {"validityPeriod": {"start": "2000"}},
    },
    "MedicationAdministration": {
        "medicationCodeableConcept": {"text": "a"},
        "effectiveDateTime": "2000",
        "dosage": {"dose": {"value": 1}},
    },
    "Procedure": {"code": {"text": "a"}},
    "AllergyIntolerance": {"reaction": [{"manifestation": [{"text": "a"}]}]},
    "ServiceRequest": {"intent": "order"},
    "FamilyMemberHistory": {"relationship": {"text": "a"}, "condition": [{"code": {"text": "a"}}]},
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a resource is valid, and the clean-ups that it took; neither holds a value."""

    is_valid: bool
    cleanups: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""


def validate(
    text: bytes, resource_type: str, patient_id: str, version: FhirVersion = FhirVersion.R4
) -> Verdict:
    """Return the verdict on the JSON text of one resource of a type that we read, in the release it is in."""
    try:
        resource = load_bounded(text)
    except OutOfBounds as error:
        return Verdict(is_valid=False, reason=str(error))
    if not isinstance(resource, dict) or resource.get("resourceType") != resource_type:
        return Verdict(is_valid=False, reason="not the expected type")
    release = RELEASES[version]
    unknown = 0
    if version is not FhirVersion.DSTU2:
        resource, unknown = _read_part(resource, resource_type, version)
    cleaned = clean(resource, patient_id, release)
    cleaned.counts["unknown element"] += unknown
    if cleaned.is_too_deep:
        return Verdict(is_valid=False, reason="nested too deeply")
    reason = find_code_outside(cleaned.resource, resource_type, release)
    if not reason and version is FhirVersion.DSTU2:
        reason = check_dstu2.find_fault(cleaned.resource, resource_type)
    elif not reason:
        reason = _find_fault(cleaned.resource, resource_type, version, cleaned.counts)
    return Verdict(not reason, dict(+cleaned.counts), reason)


def warm_up() -> None:
    """Import and build the models once, so that no request pays for it.

    Devices decide for few patients: their models are built when the first of them does.
    """
    for resource_type, sample in _WARM_UP.items():
        text = json.dumps({"resourceType": resource_type, **sample}).encode()
        if not validate(text, resource_type, "a").is_valid:
            raise RuntimeError(f"the model library refuses a minimal {resource_type}")


@cache
def model_of(resource_type: str, version: FhirVersion) -> Any:  # noqa: ANN401 - the library's declared types are not kept at run time
    """Return the model of a resource type in a release; raises ModuleNotFoundError where it has none."""
    module = importlib.import_module(f"{_PACKAGES[version]}.{resource_type.lower()}")
    return getattr(module, resource_type)


@cache
def _element_names(resource_type: str, version: FhirVersion) -> frozenset[str]:
    fields = model_of(resource_type, version).model_fields
    return frozenset({str(part.alias or name) for name, part in fields.items()} | {"resourceType"})


def _read_part(resource: Json, resource_type: str, version: FhirVersion) -> tuple[Json, int]:
    """Return what is read of a resource, and how many of its elements FHIR does not know.

    Whatever the rest holds and however much it is, it decides nothing.
    """
    known = _element_names(resource_type, version)
    part = {
        name: value
        for name, value in resource.items()
        if name in known and (name.removeprefix("_") in _ALWAYS_KEPT or _CHOICE.match(name))
    }
    return part, sum(name not in known for name in resource)


def find_code_outside(resource: Json, resource_type: str, release: Release) -> str:
    """Return the element whose code is outside its value set, "" when there is none."""
    for element, codes in release.codes.get(resource_type, {}).items():
        code = resource.get(element)
        if code is not None and (not isinstance(code, str) or code not in codes):
            return f"{element}: code outside its value set"
    for element, codes in release.concepts.get(resource_type, {}).items():
        found = _codes_of(resource.get(element))
        if found and not found & codes:
            return f"{element}: code outside its value set"
    return ""


def _codes_of(concept: object) -> set[object]:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    if not isinstance(codings, list):
        return set()
    codes = (coding.get("code") for coding in codings if isinstance(coding, dict))
    return {code for code in codes if isinstance(code, str)}


def _find_fault(resource: Json, resource_type: str, version: FhirVersion, counts: Counter[str]) -> str:
    """Return why the library refuses a resource, "" when it accepts it.

    An element that FHIR does not know is dropped, a single object where a list belongs is put into one,
    and a faulty element that is never read is left out: none of them changes what is read.
    """
    for _ in range(_MOST_REPAIRS):
        try:
            model_of(resource_type, version).model_validate(resource)
        except ValidationError as error:
            if error.error_count() > _MOST_FAULTS:
                return f"does not fit its FHIR {version} definition"
            errors = error.errors(include_input=False, include_url=False, include_context=False)
            repaired = [_repair(resource, one["type"], one["loc"], counts) for one in errors]
            if not all(repaired):
                return f"does not fit its FHIR {version} definition"
        except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
            return "cannot be validated"
        else:
            return ""
    return f"does not fit its FHIR {version} definition"


def _repair(resource: Json, kind: str, path: tuple[int | str, ...], counts: Counter[str]) -> bool:
    parent: Any = resource
    is_unknown = kind == "extra_forbidden"
    if not is_unknown and path and path[0] in resource and path[0] not in _READ_ELEMENTS:
        del resource[str(path[0])]
        counts["faulty element that is not read"] += 1
        return True
    try:
        for step in path[:-1]:
            parent = parent[step]
        value = parent[path[-1]]
        if is_unknown:
            del parent[path[-1]]
            counts["unknown element"] += 1
            return True
        if kind == "list_type" and isinstance(value, dict):
            parent[path[-1]] = [value]
            counts["single object where a list belongs"] += 1
            return True
    except (KeyError, IndexError, TypeError):
        return False
    return False
