"""R4 records rewritten as the other FHIR releases write them: the opposite way of what the service does.

Written from the specifications of R5, STU3 and DSTU2, apart from the code of the service. What a release
cannot say has no counterpart: `has_counterpart` names the few such cases.
"""

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
Write = Callable[[Json], Json]


def rewritten(body: Json, version: str) -> Json:
    """Return a request whose prefetch is written in another release."""
    if "prefetch" not in body:
        return body
    values = {key: _value(value, version) for key, value in body["prefetch"].items()}
    return {**body, "prefetch": values}


def has_counterpart(body: Json, version: str) -> bool:
    """Whether another release can say what the records of a request say."""
    return all(
        _can_say(one, version) for value in (body.get("prefetch") or {}).values() for one in _all(value)
    )


def _all(value: Any) -> list[Json]:
    if not isinstance(value, dict):
        return []
    if value.get("resourceType") != "Bundle":
        return [value]
    entries = value.get("entry")
    listed = entries if isinstance(entries, list) else []
    return [one for entry in listed if isinstance(entry, dict) for one in _all(entry.get("resource"))]


def _can_say(resource: Json, version: str) -> bool:
    kind, status = resource.get("resourceType"), resource.get("status")
    sayable = _STATUSES.get(version, {}).get(str(kind))
    if sayable is not None and status not in sayable:
        return False
    if kind == "Device" and version == "R5":
        # whose device it is stands in another resource there
        return False
    if kind == "DeviceUseStatement" and version == "DSTU2":
        return "timingPeriod" in resource
    if version == "DSTU2":
        return not resource.keys() & {"valueInteger", "valueBoolean"}
    return True


_STATUSES: Mapping[str, Mapping[str, frozenset[str | None]]] = {
    # A statement of R5 is recorded, draft or an error; plans and past courses are told by dates.
    "R5": {
        "MedicationStatement": frozenset(
            {"active", "unknown", "not-taken", "on-hold", "stopped", "entered-in-error"}
        )
    },
    "DSTU2": {
        "MedicationStatement": frozenset(
            {"active", "completed", "intended", "not-taken", "entered-in-error"}
        ),
        "MedicationRequest": frozenset(
            {"active", "on-hold", "completed", "entered-in-error", "stopped", "draft"}
        ),
    },
}


def _value(value: Any, version: str) -> Any:
    if not isinstance(value, dict):
        return value
    if value.get("resourceType") == "Bundle":
        if not isinstance(value.get("entry"), list):
            return value
        return {**value, "entry": [_entry(one, version) for one in value["entry"]]}
    return to_version(value, version)


def _entry(entry: Any, version: str) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {**entry, "resource": _value(entry["resource"], version)}


def to_version(resource: Json, version: str) -> Json:
    """Return one R4 resource as another release writes it."""
    write = _WRITERS[version].get(str(resource.get("resourceType")))
    # The profiles of R4 are none of other releases.
    made = {name: value for name, value in resource.items() if name != "meta"}
    made = write(made) if write is not None else made
    if "contained" in made:
        made["contained"] = [to_version(one, version) for one in made["contained"]]
    return {name: value for name, value in made.items() if value is not None}


def _renamed(resource: Json, **names: str) -> Json:
    return {names.get(name, name): value for name, value in resource.items()}


def _first_code(concept: Any) -> str | None:
    """Return the code of a status concept, or its text where it has no coding."""
    if not isinstance(concept, dict):
        return None
    coded = next((one["code"] for one in concept.get("coding", []) if "code" in one), None)
    return coded or str(concept.get("text", "")).lower() or None


def _coded(resource: Json, element: str, **meanings: str) -> None:
    if element in resource:
        code = _first_code(resource[element])
        resource[element] = meanings.get(code.replace("-", "_"), code) if code is not None else None


def _single(resource: Json, element: str, system: str | None = None) -> None:
    """Keep the one concept that an older release allows, under the system of that time."""
    listed = resource.get(element)
    if not isinstance(listed, list) or not listed:
        return
    kept = listed[0]
    if system is not None and isinstance(kept, dict):
        kept = {**kept, "coding": [{**one, "system": system} for one in kept.get("coding", [])]}
    resource[element] = kept


# ----------------------------------------------------------------------------------------------------- R5
_ADHERENCE = {"active": "taking", "not-taken": "not-taking", "on-hold": "on-hold", "stopped": "stopped"}


def _referring(resource: Json) -> Json:
    made = dict(resource)
    named: Json = {}
    if "medicationCodeableConcept" in made:
        named["concept"] = made.pop("medicationCodeableConcept")
    if "medicationReference" in made:
        named["reference"] = made.pop("medicationReference")
    if named:
        made["medication"] = named
    for element in ("dosage", "dosageInstruction"):
        if isinstance(made.get(element), list):
            made[element] = [_as_needed(one) for one in made[element]]
    return made


def _as_needed(dosage: Json) -> Json:
    made = _renamed(dosage, asNeededBoolean="asNeeded")
    if "asNeededCodeableConcept" in made:
        made["asNeededFor"] = [made.pop("asNeededCodeableConcept")]
    return made


def _r5_statement(resource: Json) -> Json:
    made = _referring(resource)
    status = made.get("status")
    if status in _ADHERENCE:
        made["adherence"] = {"code": {"coding": [{"code": _ADHERENCE[status]}]}}
    if status != "entered-in-error":
        made["status"] = "recorded"
    return made


def _r5_administration(resource: Json) -> Json:
    return _renamed(
        _referring(resource), effectiveDateTime="occurenceDateTime", effectivePeriod="occurencePeriod"
    )


def _r5_procedure(resource: Json) -> Json:
    return _renamed(resource, performedDateTime="occurrenceDateTime", performedPeriod="occurrencePeriod")


def _r5_allergy(resource: Json) -> Json:
    made = dict(resource)
    if "type" in made:
        made["type"] = {"coding": [{"code": made["type"]}]}
    if "reaction" in made:
        made["reaction"] = [
            {**one, "manifestation": [{"concept": part} for part in one.get("manifestation", [])]}
            for one in made["reaction"]
        ]
    return made


def _r5_order(resource: Json) -> Json:
    return {**resource, "code": {"concept": resource["code"]}} if "code" in resource else resource


def _r5_device_use(resource: Json) -> Json:
    made = _renamed(resource, subject="patient", recordedOn="dateAsserted")
    named = {"text": made["device"].get("display")}
    made["device"] = {"reference": made["device"]} if "reference" in made["device"] else {"concept": named}
    return {**made, "resourceType": "DeviceUsage"}


# --------------------------------------------------------------------------------------------------- STU3
_TAKEN = {"active": ("active", "y"), "unknown": ("active", "unk"), "not-taken": ("active", "n")}


def _old_doses(resource: Json, element: str, quantity: str, unit: str) -> None:
    if isinstance(resource.get(element), list):
        resource[element] = [_old_dose(one, quantity, unit) for one in resource[element]]


def _old_dose(dosage: Json, quantity: str, unit: str) -> Json:
    made = dict(dosage)
    for dose in made.pop("doseAndRate", [])[:1]:
        made.update({name.replace("dose", quantity): value for name, value in dose.items()})
    repeat = made.get("timing", {}).get("repeat")
    if repeat is not None:
        made["timing"] = {**made["timing"], "repeat": _renamed(repeat, periodUnit=unit)}
    return made


def _stu3_observation(resource: Json) -> Json:
    return {**_renamed(resource, encounter="context"), "context": {"reference": "Encounter/e1"}}


def _stu3_condition(resource: Json) -> Json:
    made = _renamed(resource, encounter="context", recordedDate="assertedDate")
    _coded(made, "clinicalStatus", relapse="recurrence")
    _coded(made, "verificationStatus", unconfirmed="provisional")
    return made


def _stu3_statement(resource: Json) -> Json:
    made = dict(resource)
    status, taken = _TAKEN.get(str(made.get("status")), (made.get("status"), "y"))
    made.update(status=status, taken=taken)
    _old_doses(made, "dosage", "dose", "periodUnit")
    return made


def _stu3_request(resource: Json) -> Json:
    made = _renamed(resource, encounter="context")
    if "requester" in made:
        made["requester"] = {"agent": made["requester"]}
    _single(made, "category")
    _old_doses(made, "dosageInstruction", "dose", "periodUnit")
    return made


def _stu3_administration(resource: Json) -> Json:
    return _denied(resource, "not-done", "notGiven", "completed")


def _denied(resource: Json, status: str, element: str, instead: str) -> Json:
    is_denied = resource.get("status") == status
    return {**resource, "status": instead if is_denied else resource.get("status"), element: is_denied}


def _stu3_procedure(resource: Json) -> Json:
    made = _denied(_renamed(resource, encounter="context"), "not-done", "notDone", "completed")
    made["status"] = {"stopped": "aborted", "on-hold": "suspended"}.get(made["status"], made["status"])
    return made


def _stu3_allergy(resource: Json) -> Json:
    made = _renamed(resource, recordedDate="assertedDate")
    _coded(made, "clinicalStatus")
    _coded(made, "verificationStatus")
    return made


def _stu3_order(resource: Json) -> Json:
    made = _renamed(resource, encounter="context")
    status = {"on-hold": "suspended", "revoked": "cancelled"}.get(made["status"], made["status"])
    return {**made, "resourceType": "ProcedureRequest", "status": status}


def _stu3_device_use(resource: Json) -> Json:
    return _renamed(resource, timingPeriod="whenUsed")


# -------------------------------------------------------------------------------------------------- DSTU2
_CRITICALITIES = {"low": "CRITL", "high": "CRITH", "unable-to-assess": "CRITU"}
_ORDERED = {"active": "requested", "on-hold": "suspended", "revoked": "cancelled"}


def _dstu2_patient(resource: Json) -> Json:
    made = dict(resource)
    if isinstance(made.get("name"), list):
        made["name"] = [
            {**one, "family": [one["family"]]} if "family" in one else one for one in made["name"]
        ]
    return made


def _dstu2_observation(resource: Json) -> Json:
    made = dict(resource)
    _single(made, "category", "http://hl7.org/fhir/observation-category")
    return made


def _dstu2_condition(resource: Json) -> Json:
    made = _renamed(
        resource, subject="patient", recordedDate="dateRecorded", abatementAge="abatementQuantity"
    )
    if "dateRecorded" in made:
        made["dateRecorded"] = made["dateRecorded"][:10]
    _single(made, "category", "http://hl7.org/fhir/condition-category")
    _coded(made, "clinicalStatus", recurrence="relapse", inactive="resolved")
    _coded(made, "verificationStatus", unconfirmed="provisional")
    return made


def _dstu2_statement(resource: Json) -> Json:
    made = _renamed(resource, subject="patient")
    is_not_taken = made.get("status") == "not-taken"
    made["wasNotTaken"] = is_not_taken
    made["status"] = "active" if is_not_taken else made.get("status")
    _old_doses(made, "dosage", "quantity", "periodUnits")
    return made


def _dstu2_order(resource: Json) -> Json:
    made = _renamed(resource, subject="patient", authoredOn="dateWritten")
    made["resourceType"] = "MedicationOrder"
    intent = made.pop("intent", None)
    if intent not in {None, "order"}:
        made["intent"] = intent
    made.pop("reportedBoolean", None)
    _old_doses(made, "dosageInstruction", "dose", "periodUnits")
    return made


def _dstu2_administration(resource: Json) -> Json:
    names = {"effectiveDateTime": "effectiveTimeDateTime", "effectivePeriod": "effectiveTimePeriod"}
    made = _denied(_renamed(resource, subject="patient", **names), "not-done", "wasNotGiven", "completed")
    if isinstance(made.get("dosage"), dict):
        made["dosage"] = _renamed(made["dosage"], dose="quantity")
    return made


def _dstu2_procedure(resource: Json) -> Json:
    made = _denied(resource, "not-done", "notPerformed", "completed")
    made["status"] = {"stopped": "aborted", "preparation": "in-progress"}.get(made["status"], made["status"])
    return made


def _dstu2_allergy(resource: Json) -> Json:
    made = _renamed(resource, code="substance")
    clinical = _first_code(made.pop("clinicalStatus", None)) or "active"
    verification = _first_code(made.pop("verificationStatus", None))
    made["status"] = verification if clinical == "active" and verification else clinical
    if verification in {"refuted", "entered-in-error"}:
        made["status"] = verification
    if "criticality" in made:
        made["criticality"] = _CRITICALITIES[made["criticality"]]
    return made


def _dstu2_diagnostic_order(resource: Json) -> Json:
    made: Json = {
        "resourceType": "DiagnosticOrder",
        "id": resource.get("id"),
        "subject": resource.get("subject"),
    }
    made["status"] = _ORDERED.get(resource["status"], resource["status"])
    made["item"] = [{"code": {"text": "blood count"}}, {"code": resource["code"]}]
    if "authoredOn" in resource:
        made["event"] = [{"status": "requested", "dateTime": resource["authoredOn"]}]
    return made


def _dstu2_device_use(resource: Json) -> Json:
    made = _stu3_device_use(resource)
    del made["status"]
    return made


def _dstu2_device(resource: Json) -> Json:
    statuses = {"active": "available", "inactive": "not-available"}
    return {**resource, "status": statuses.get(resource["status"], resource["status"])}


_WRITERS: Mapping[str, Mapping[str, Write]] = {
    "R5": {
        "MedicationStatement": _r5_statement,
        "MedicationRequest": _referring,
        "MedicationAdministration": _r5_administration,
        "Medication": lambda resource: _renamed(resource, form="doseForm"),
        "Procedure": _r5_procedure,
        "AllergyIntolerance": _r5_allergy,
        "ServiceRequest": _r5_order,
        "DeviceUseStatement": _r5_device_use,
    },
    "STU3": {
        "Observation": _stu3_observation,
        "Condition": _stu3_condition,
        "MedicationStatement": _stu3_statement,
        "MedicationRequest": _stu3_request,
        "MedicationAdministration": _stu3_administration,
        "Procedure": _stu3_procedure,
        "AllergyIntolerance": _stu3_allergy,
        "ServiceRequest": _stu3_order,
        "DeviceUseStatement": _stu3_device_use,
    },
    "DSTU2": {
        "Patient": _dstu2_patient,
        "Observation": _dstu2_observation,
        "Condition": _dstu2_condition,
        "MedicationStatement": _dstu2_statement,
        "MedicationRequest": _dstu2_order,
        "MedicationAdministration": _dstu2_administration,
        "Medication": lambda resource: {
            **{name: value for name, value in resource.items() if name != "form"},
            **({"product": {"form": resource["form"]}} if "form" in resource else {}),
        },
        "Procedure": _dstu2_procedure,
        "AllergyIntolerance": _dstu2_allergy,
        "ServiceRequest": _dstu2_diagnostic_order,
        "DeviceUseStatement": _dstu2_device_use,
        "Device": _dstu2_device,
    },
}
VERSIONS = tuple(_WRITERS)
