"""L1, the second level of strictness: full validation of the resources that decide.

The one door to fhir.resources. Its R4B classes read FHIR R4 for our types; what they do not check (codes
of required value sets) is checked here. No message of the library is passed on: it holds what it refused.
"""

import importlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import fhir.resources.R4B
from pydantic import ValidationError

from cds_service.fhir import lean
from cds_service.fhir.cleanup import Json, clean

_PACKAGE = fhir.resources.R4B.__name__
_MOST_REPAIRS = 3

_READ_ELEMENTS = frozenset(lean.Resource.__struct_fields__) - {"name", "requester", "participant"}

_STATUS = frozenset({"unknown", "entered-in-error"})
_REQUEST_STATUS = _STATUS | {"draft", "active", "on-hold", "revoked", "completed"}
_INTENTS = frozenset(
    {
        "proposal",
        "plan",
        "order",
        "original-order",
        "reflex-order",
        "filler-order",
        "instance-order",
        "option",
    }
)

_CODES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "Patient": {"gender": frozenset({"male", "female", "other", "unknown"})},
    "Observation": {
        "status": _STATUS | {"registered", "preliminary", "final", "amended", "corrected", "cancelled"}
    },
    "MedicationStatement": {
        "status": _STATUS | {"active", "completed", "intended", "stopped", "on-hold", "not-taken"}
    },
    "MedicationRequest": {
        "status": _STATUS | {"active", "on-hold", "cancelled", "completed", "stopped", "draft"},
        "intent": _INTENTS,
    },
    "MedicationAdministration": {
        "status": _STATUS | {"in-progress", "not-done", "on-hold", "completed", "stopped"}
    },
    "Procedure": {
        "status": _STATUS | {"preparation", "in-progress", "not-done", "on-hold", "stopped", "completed"}
    },
    "ServiceRequest": {"status": _REQUEST_STATUS, "intent": _INTENTS | {"directive"}},
    "AllergyIntolerance": {"criticality": frozenset({"low", "high", "unable-to-assess"})},
    "FamilyMemberHistory": {
        "status": frozenset({"partial", "completed", "entered-in-error", "health-unknown", "unknown"})
    },
}
"""Elements with a required value set that the library does not check (FHIR R4)."""

_CONCEPT_CODES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "Condition": {
        "clinicalStatus": frozenset(
            {"active", "recurrence", "relapse", "inactive", "remission", "resolved", "unknown"}
        ),
        "verificationStatus": frozenset(
            {
                "unconfirmed",
                "provisional",
                "differential",
                "confirmed",
                "refuted",
                "entered-in-error",
                "unknown",
            }
        ),
    },
    "AllergyIntolerance": {
        "clinicalStatus": frozenset({"active", "inactive", "resolved", "unknown"}),
        "verificationStatus": frozenset(
            {"unconfirmed", "presumed", "confirmed", "refuted", "entered-in-error", "unknown"}
        ),
    },
}

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


def validate(text: bytes, resource_type: str, patient_id: str) -> Verdict:
    """Return the verdict on the JSON text of one resource of a type that we read."""
    try:
        resource = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return Verdict(is_valid=False, reason="not readable JSON")
    if not isinstance(resource, dict) or resource.get("resourceType") != resource_type:
        return Verdict(is_valid=False, reason="not the expected type")
    cleaned = clean(resource, patient_id)
    if cleaned.is_too_deep:
        return Verdict(is_valid=False, reason="nested too deeply")
    reason = _find_code_outside(cleaned.resource, resource_type) or _find_fault(
        cleaned.resource, resource_type, cleaned.counts
    )
    return Verdict(not reason, dict(+cleaned.counts), reason)


def warm_up() -> None:
    """Import and build every model once, so that no request pays for it."""
    for resource_type, sample in _WARM_UP.items():
        text = json.dumps({"resourceType": resource_type, **sample}).encode()
        if not validate(text, resource_type, "a").is_valid:
            raise RuntimeError(f"the model library refuses a minimal {resource_type}")


@cache
def _model(resource_type: str) -> Any:  # noqa: ANN401 - the library's declared types are not kept at run time
    module = importlib.import_module(f"{_PACKAGE}.{resource_type.lower()}")
    return getattr(module, resource_type)


def _find_code_outside(resource: Json, resource_type: str) -> str:
    """Return the element whose code is outside its value set, "" when there is none."""
    for element, codes in _CODES.get(resource_type, {}).items():
        code = resource.get(element)
        if code is not None and (not isinstance(code, str) or code not in codes):
            return f"{element}: code outside its value set"
    for element, codes in _CONCEPT_CODES.get(resource_type, {}).items():
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


def _find_fault(resource: Json, resource_type: str, counts: Counter[str]) -> str:
    """Return why the library refuses a resource, "" when it accepts it.

    An element that FHIR does not know is dropped, a single object where a list belongs is put into one,
    and a faulty element that is never read is left out: none of them changes what is read.
    """
    for _ in range(_MOST_REPAIRS):
        try:
            _model(resource_type).model_validate(resource)
        except ValidationError as error:
            errors = error.errors(include_input=False, include_url=False, include_context=False)
            repaired = [_repair(resource, one["type"], one["loc"], counts) for one in errors]
            if not all(repaired):
                return "does not fit its FHIR R4 definition"
        except (KeyError, RecursionError, TypeError, ValueError, AttributeError):
            return "cannot be validated"
        else:
            return ""
    return "does not fit its FHIR R4 definition"


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
