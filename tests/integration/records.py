"""Requests as records that a server can hold: each patient under an own id, whatever the request said."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cds_service.resources import fixtures_dir

Json = dict[str, Any]

TAG_SYSTEM = "https://rls-iron-cds.example.org/integration"

# What a FHIR search of ours can bring; a fixture's users, and messages about failed searches, are no records.
LOADED = frozenset(
    {
        "AllergyIntolerance",
        "Condition",
        "Device",
        "DeviceUseStatement",
        "FamilyMemberHistory",
        "Medication",
        "MedicationAdministration",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Patient",
        "Procedure",
        "ServiceRequest",
    }
)
# A hospital's server finds a result by the address of LOINC though it answers with its OID; HAPI takes both
# as they are written, so the records are loaded with the address.
_LOINC = {"urn:oid:2.16.840.1.113883.6.1": "http://loinc.org"}
_OTHER_VERSION = re.compile(r"-(?:r5|stu3|dstu2)\b")


@dataclass(frozen=True)
class PatientRecord:
    """One patient: the id on the server, what to load, and the request with the same new ids."""

    name: str
    request: Json
    resources: tuple[Json, ...]

    @property
    def patient_id(self) -> str:
        return self.name


def r4_names() -> list[str]:
    """Return the fixtures that bring a patient's R4 record for `patient-view`."""
    return [name for name, request in _requests() if not _OTHER_VERSION.search(name) and _has_record(request)]


def record(name: str) -> PatientRecord:
    """Return one fixture's record."""
    request = json.loads((fixtures_dir() / name / "request.json").read_text(encoding="utf-8"))
    return record_of(name, request)


def record_of(name: str, request: Json) -> PatientRecord:
    """Return the record of a request, its ids made unique and its links made relative."""
    renamed = _renamed(request, name)
    found: dict[tuple[str, str], Json] = {}
    for resource in _resources(renamed["prefetch"]):
        if resource.get("resourceType") in LOADED:
            tagged = {**resource, "meta": {**resource.get("meta", {}), "tag": [_tag(name)]}}
            found.setdefault((resource["resourceType"], resource["id"]), tagged)
    return PatientRecord(name, renamed, tuple(found.values()))


def _requests() -> Iterator[tuple[str, Json]]:
    for path in sorted(fixtures_dir().glob("*/request.json")):
        yield path.parent.name, json.loads(path.read_text(encoding="utf-8"))


def _has_record(request: Json) -> bool:
    kinds = {resource.get("resourceType") for resource in _resources(request.get("prefetch") or {})}
    return request["hook"] == "patient-view" and "Patient" in kinds


def _tag(name: str) -> Json:
    return {"system": TAG_SYSTEM, "code": name}


def _resources(prefetch: Json) -> Iterator[Json]:
    for value in prefetch.values():
        if value and value.get("resourceType") == "Bundle":
            yield from (entry["resource"] for entry in value.get("entry", ()) if "resource" in entry)
        elif value:
            yield value


def _renamed(request: Json, name: str) -> Json:
    """Give the patient the fixture's name as id, and every other resource a number after that name."""
    known = sorted({(r["resourceType"], r["id"]) for r in _resources(request["prefetch"]) if "id" in r})
    ids = {pair: f"{name}-{number}" for number, pair in enumerate(known)}
    ids["Patient", request["context"]["patientId"]] = name
    request["context"]["patientId"] = name
    base = request.get("fhirServer", "")
    renamed: Json = _walk(request, ids, f"{base}/")
    return renamed


def _walk(value: Any, ids: dict[tuple[str, str], str], base: str) -> Any:
    if isinstance(value, list):
        return [_walk(item, ids, base) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _walk(item, ids, base) for key, item in value.items()}
    kind, own = value.get("resourceType"), value.get("id")
    if isinstance(kind, str) and isinstance(own, str) and (kind, own) in ids:
        changed["id"] = ids[kind, own]
    if isinstance(value.get("system"), str):
        changed["system"] = _LOINC.get(value["system"], value["system"])
    for key in ("reference", "fullUrl"):
        if isinstance(value.get(key), str):
            changed[key] = _reference(value[key].removeprefix(base), ids)
    return changed


def _reference(text: str, ids: dict[tuple[str, str], str]) -> str:
    kind, _, own = text.partition("/")
    return f"{kind}/{ids[kind, own]}" if (kind, own) in ids else text
