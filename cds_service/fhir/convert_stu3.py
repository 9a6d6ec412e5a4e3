"""From FHIR STU3 to the R4 shape: `taken`, plain status codes, older names (docs/fhir-versions.md)."""

from collections.abc import Mapping

from cds_service.fhir.convert_parts import (
    ALLERGY_CLINICAL,
    ALLERGY_VERIFICATION,
    CONDITION_CLINICAL,
    CONDITION_VERIFICATION,
    ENTERED_IN_ERROR,
    Change,
    Json,
    code_of,
    convert_contained,
    convert_each,
    convert_old_dosage,
    is_true,
    rename,
    to_concept,
    to_list,
    translate_status,
)

READ_ELEMENTS = frozenset({"assertedDate", "notDone", "notGiven", "taken", "serviceRequested", "whenUsed"})
"""Elements that R4 does not have and that are read."""

# "The condition status is unknown" is no confirmation.
_VERIFICATIONS = {"unknown": "unconfirmed"}
_PROCEDURE_STATUSES = {"suspended": "on-hold", "aborted": "stopped"}
_ORDER_STATUSES = {"suspended": "on-hold", "cancelled": "revoked"}


def to_r4(resource: Json) -> list[Json]:
    """Return an STU3 resource as R4 has it; a referral for several things becomes one request for each."""
    convert = _BY_TYPE.get(str(resource.get("resourceType")))
    if convert is None:
        return [resource]
    converted = dict(resource)
    convert(converted)
    convert_contained(converted, to_r4)
    return split_referral(converted) if resource["resourceType"] == "ReferralRequest" else [converted]


def split_referral(resource: Json) -> list[Json]:
    """Return one request for each thing that a referral asks for."""
    requested = resource.pop("serviceRequested", None)
    codes = [one for one in requested if isinstance(one, dict)] if isinstance(requested, list) else []
    return [{**resource, "code": code} for code in codes] or [resource]


def _observation(resource: Json) -> None:
    rename(resource, {"context": "encounter"})


def _condition(resource: Json) -> None:
    rename(resource, {"context": "encounter", "assertedDate": "recordedDate"})
    to_concept(resource, "clinicalStatus", CONDITION_CLINICAL, {})
    to_concept(resource, "verificationStatus", CONDITION_VERIFICATION, _VERIFICATIONS)


def _statement(resource: Json) -> None:
    status, taken = code_of(resource.get("status")), code_of(resource.pop("taken", None))
    resource["status"] = _status_by_taken(status, taken)
    convert_each(resource, "dosage", convert_old_dosage)


def _status_by_taken(status: str, taken: str) -> str:
    """Return the R4 status; an active medicine of which nobody says that it is taken is possibly taken."""
    if status == ENTERED_IN_ERROR:
        return status
    if taken == "n":
        return "not-taken"
    return "unknown" if status in {"active", ""} and taken != "y" else status or "unknown"


def _request(resource: Json) -> None:
    rename(resource, {"context": "encounter"})
    _requester(resource)
    to_list(resource, "category")
    convert_each(resource, "dosageInstruction", convert_old_dosage)


def _requester(resource: Json) -> None:
    requester = resource.get("requester")
    if isinstance(requester, dict) and "agent" in requester:
        resource["requester"] = requester["agent"]


def _administration(resource: Json) -> None:
    if is_true(resource.pop("notGiven", None)):
        _deny(resource, "not-done")


def _procedure(resource: Json) -> None:
    rename(resource, {"context": "encounter"})
    translate_status(resource, _PROCEDURE_STATUSES)
    if is_true(resource.pop("notDone", None)):
        _deny(resource, "not-done")


def _deny(resource: Json, status: str) -> None:
    if code_of(resource.get("status")) != ENTERED_IN_ERROR:
        resource["status"] = status


def _allergy(resource: Json) -> None:
    rename(resource, {"assertedDate": "recordedDate"})
    to_concept(resource, "clinicalStatus", ALLERGY_CLINICAL, {})
    to_concept(resource, "verificationStatus", ALLERGY_VERIFICATION, {})


def _order(resource: Json) -> None:
    resource["resourceType"] = "ServiceRequest"
    rename(resource, {"context": "encounter"})
    _requester(resource)
    translate_status(resource, _ORDER_STATUSES)


def _family(resource: Json) -> None:
    if is_true(resource.pop("notDone", None)):
        _deny(resource, "health-unknown")


def device_use(resource: Json) -> None:
    """Rename what STU3 and DSTU2 call the time of use."""
    rename(resource, {"whenUsed": "timingPeriod"})


_BY_TYPE: Mapping[str, Change] = {
    "Observation": _observation,
    "Condition": _condition,
    "MedicationStatement": _statement,
    "MedicationRequest": _request,
    "MedicationAdministration": _administration,
    "Procedure": _procedure,
    "AllergyIntolerance": _allergy,
    "ProcedureRequest": _order,
    "ReferralRequest": _order,
    "FamilyMemberHistory": _family,
    "DeviceUseStatement": device_use,
}
