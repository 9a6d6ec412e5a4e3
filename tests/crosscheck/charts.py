"""What both sides are asked: a request for the service, and the same record as a chart for the CQL twin."""

from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

TODAY = "2026-11-22"
SYSTEMS = {
    "urn:oid:2.16.840.1.113883.6.1": "http://loinc.org",
    "urn:oid:2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "urn:oid:2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "urn:oid:2.16.840.1.113883.6.73": "http://www.whocc.no/atc",
}
"""Code systems that records also name by their OID; CQL compares the name, so it is made one beforehand."""
NOBODY = {"resourceType": "Patient", "id": "not-sent"}
"""Stands in the Bundle where no Patient was sent, since the engine answers by patient."""


def is_complete(answer: Any) -> bool:
    """Answer whether a search was answered to its last page; `null` is an answer, a failure is none."""
    if answer is None:
        return True
    is_cut_off = any(link["relation"] == "next" for link in answer.get("link", []))
    return answer["resourceType"] == "Bundle" and not is_cut_off


def resources(prefetch: Mapping[str, Any]) -> Iterator[Json]:
    """Yield every resource that a prefetch brings, leaving out what tells of a failure."""
    for answer in prefetch.values():
        if answer is None:
            continue
        found = (
            [entry["resource"] for entry in answer.get("entry", [])]
            if answer["resourceType"] == "Bundle"
            else [answer]
        )
        yield from (resource for resource in found if resource["resourceType"] != "OperationOutcome")


def with_one_name(value: Any) -> Any:
    """Return the value with every code system under its URL."""
    if isinstance(value, dict):
        return {name: with_one_name(member) for name, member in value.items()}
    if isinstance(value, list):
        return [with_one_name(item) for item in value]
    return SYSTEMS.get(value, value) if isinstance(value, str) else value


def beside(resource: Json) -> Iterator[Json]:
    """Yield the resource and those that it contains side by side: the engine reads none inside others."""
    if not (contained := resource.get("contained")):
        yield resource
        return
    for inner in contained:
        yield inner | {"id": f"{resource['id']}-{inner['id']}"}
    reference = resource["medicationReference"]["reference"].removeprefix("#")
    yield resource | {"medicationReference": {"reference": f"Medication/{resource['id']}-{reference}"}}


def chart_of(number: str, request: Mapping[str, Any], *, is_screening_on: bool = True) -> Json:
    """Return the chart of a request whose prefetch uses the service's own keys."""
    prefetch = request.get("prefetch") or {}
    found = [with_one_name(one) for resource in resources(prefetch) for one in beside(resource)]
    is_patient_read = any(resource["resourceType"] == "Patient" for resource in found)
    return {
        "id": number,
        "parameters": {
            "Today": TODAY,
            "Screening": is_screening_on,
            "Patient Read": is_patient_read,
            "Iron Search Complete": "ironResults" in prefetch and is_complete(prefetch["ironResults"]),
            "Conditions Complete": "conditions" in prefetch and is_complete(prefetch["conditions"]),
        },
        "bundle": {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": resource} for resource in ([] if is_patient_read else [NOBODY]) + found],
        },
    }
