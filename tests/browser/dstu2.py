"""FHIR R4 resources of the samples, rewritten in the shapes of DSTU2 (1.0.2).

Only what the samples hold is covered; a type without a counterpart here is left out.
"""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def to_dstu2(resource: Json) -> Json | None:
    """Return a resource as a DSTU2 server would hold it, None where there is no counterpart."""
    rewrite = _REWRITES.get(resource["resourceType"])
    # The profiles that an R4 resource claims do not exist in DSTU2.
    return rewrite({name: value for name, value in resource.items() if name != "meta"}) if rewrite else None


def _patient(resource: Json) -> Json:
    names = [
        name | ({"family": [name["family"]]} if "family" in name else {}) for name in resource.get("name", [])
    ]
    return resource | ({"name": names} if names else {})


def _observation(resource: Json) -> Json:
    return resource | {"category": _first(resource.get("category"), "observation-category")}


def _condition(resource: Json) -> Json:
    return _without(
        resource,
        "subject",
        "recordedDate",
        patient=resource["subject"],
        category=_first(resource.get("category"), "condition-category"),
        clinicalStatus=_code(resource.get("clinicalStatus")),
        verificationStatus=_code(resource.get("verificationStatus")) or "unknown",
        dateRecorded=(resource.get("recordedDate") or "")[:10],
    )


def _statement(resource: Json) -> Json:
    return _without(resource, "subject", patient=resource["subject"], wasNotTaken=False)


def _request(resource: Json) -> Json:
    return _without(
        resource,
        "subject",
        "authoredOn",
        "intent",
        "requester",
        resourceType="MedicationOrder",
        patient=resource["subject"],
        dateWritten=resource.get("authoredOn"),
    )


def _administration(resource: Json) -> Json:
    moment = {
        name.replace("effective", "effectiveTime"): value
        for name, value in resource.items()
        if name.startswith("effective")
    }
    rest = {name: value for name, value in resource.items() if not name.startswith("effective")}
    return _without(rest, "subject", patient=resource["subject"], wasNotGiven=False, **moment)


def _procedure(resource: Json) -> Json:
    return resource | {"notPerformed": False}


def _allergy(resource: Json) -> Json:
    return _without(resource, "code", "clinicalStatus", "verificationStatus", substance=resource.get("code"))


def _order(resource: Json) -> Json:
    return {
        "resourceType": "DiagnosticOrder",
        "id": resource["id"],
        "status": "requested" if resource["status"] == "active" else resource["status"],
        "subject": resource["subject"],
        "item": [{"code": resource["code"]}],
        "event": [{"status": "requested", "dateTime": resource.get("authoredOn")}],
    }


def _first(concepts: list[Json] | None, system: str) -> Json | None:
    """Return the one category that DSTU2 allows, under its system of that time."""
    if not concepts:
        return None
    codings = [
        coding | {"system": f"http://hl7.org/fhir/{system}"} for coding in concepts[0].get("coding", [])
    ]
    return concepts[0] | {"coding": codings}


def _code(concept: Json | None) -> str | None:
    return concept["coding"][0]["code"] if concept else None


def _without(resource: Json, *names: str, **changed: Any) -> Json:
    """Return the resource without some members and with others changed; an empty one is left out."""
    kept = {name: value for name, value in resource.items() if name not in names} | changed
    return {name: value for name, value in kept.items() if value not in (None, "")}


_REWRITES: dict[str, Callable[[Json], Json]] = {
    "Patient": _patient,
    "Observation": _observation,
    "Condition": _condition,
    "MedicationStatement": _statement,
    "MedicationRequest": _request,
    "MedicationAdministration": _administration,
    "Procedure": _procedure,
    "AllergyIntolerance": _allergy,
    "ServiceRequest": _order,
}
