"""The fixture patients in other FHIR versions, rewritten by the converter of the HL7 validator."""

import json
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.integration.hapi_server import java_command

Json = dict[str, Any]


def converted(resources: Sequence[Json], version: str) -> list[Json | None]:
    """Return each R4 resource in another version, None where that version has no such resource."""
    lines = "".join(f"{json.dumps(resource)}\n" for resource in resources)
    result = subprocess.run(
        java_command("integration.Convert", version),
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    made: list[Json | None] = [json.loads(line) for line in result.stdout.splitlines()]
    if version == "R5":
        return [_r5(old, new) for old, new in zip(resources, made, strict=True)]
    if version == "STU3":
        return [new and {key: value for key, value in new.items() if key != "basedOn"} for new in made]
    if version == "DSTU2":
        return [_dstu2(old, new) for old, new in zip(resources, made, strict=True)]
    return made


def bundle(resources: Iterable[Json]) -> Json:
    """Return a searchset."""
    entries = [{"resource": resource, "search": {"mode": "match"}} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


# -------------------------------------------------------------------------------------------------- R5
# The converter keeps the status of an R4 MedicationStatement as an extension; R5 says it by the adherence.

_ADHERENCE = {"active": "taking", "completed": "stopped", "stopped": "stopped", "unknown": "unknown"}


def _r5(old: Json, new: Json | None) -> Json | None:
    if new is None or old["resourceType"] != "MedicationStatement" or old["status"] not in _ADHERENCE:
        return new
    system = "http://hl7.org/fhir/CodeSystem/medication-statement-adherence"
    coding = {"system": system, "code": _ADHERENCE[old["status"]]}
    kept = {key: value for key, value in new.items() if key != "extension"}
    return {**kept, "adherence": {"code": {"coding": [coding]}}}


# ------------------------------------------------------------------------------------------------ STU3
# In STU3 no ServiceRequest exists to which `basedOn` could refer, and the server looks.

# ----------------------------------------------------------------------------------------------- DSTU2
# The converter leaves out what it does not know in DSTU2: the statuses of a Condition, and whole resources.


def _dstu2(old: Json, new: Json | None) -> Json | None:
    writers: dict[str, Callable[[Json], Json]] = {
        "MedicationRequest": _order,
        "MedicationAdministration": _administration,
        "Procedure": _procedure,
        "ServiceRequest": _diagnostic_order,
    }
    kind = old["resourceType"]
    if new is not None and kind == "Condition":
        return {**new, **_statuses(old)}
    if kind in writers:
        return {"id": old["id"], "meta": old.get("meta", {}), **writers[kind](old)}
    return new


def _statuses(old: Json) -> Json:
    pairs = {name: old.get(name, {}).get("coding", [{}])[0].get("code") for name in _CONDITION_STATUSES}
    return {name: code for name, code in pairs.items() if code} | {
        "verificationStatus": pairs["verificationStatus"] or "unknown"
    }


_CONDITION_STATUSES = ("clinicalStatus", "verificationStatus")


def _medication(old: Json) -> Json:
    return {key: value for key, value in old.items() if key.startswith("medication")}


def _order(old: Json) -> Json:
    made = {"patient": old["subject"], "status": old["status"], "dateWritten": old.get("authoredOn")}
    made = {key: value for key, value in made.items() if value is not None}
    return {"resourceType": "MedicationOrder", **made, **_medication(old)}


def _administration(old: Json) -> Json:
    made = {"patient": old["subject"], "status": old["status"]}
    made["effectiveTimeDateTime"] = old["effectiveDateTime"]
    return {"resourceType": "MedicationAdministration", **made, **_medication(old)}


def _procedure(old: Json) -> Json:
    kept = ("subject", "status", "code", "performedDateTime")
    return {"resourceType": "Procedure", **{name: old[name] for name in kept}}


def _diagnostic_order(old: Json) -> Json:
    made = {"subject": old["subject"], "status": "requested", "item": [{"code": old["code"]}]}
    made["event"] = [{"status": "requested", "dateTime": old["authoredOn"]}]
    return {"resourceType": "DiagnosticOrder", **made}
