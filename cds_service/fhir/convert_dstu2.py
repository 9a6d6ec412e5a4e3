"""From FHIR DSTU2 to the R4 shape: orders, `wasNotTaken`, `patient`, plain codes (docs/fhir-versions.md)."""

from collections.abc import Iterator, Mapping
from typing import Any

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
from cds_service.fhir.convert_stu3 import device_use, split_referral

READ_ELEMENTS = frozenset(
    {
        "abatementQuantity",
        "dateEnded",
        "dateRecorded",
        "effectiveTimeDateTime",
        "effectiveTimePeriod",
        "event",
        "item",
        "orderedOn",
        "product",
        "serviceRequested",
        "whenUsed",
    }
)
"""Elements that R4 does not have and that are read."""

# "The condition status is unknown" is no confirmation.
_VERIFICATIONS = {"unknown": "unconfirmed"}
_ALLERGY_CLINICAL = {
    "active": "active",
    "unconfirmed": "active",
    "confirmed": "active",
    "inactive": "inactive",
    "resolved": "resolved",
}
_ALLERGY_VERIFICATION = {
    "unconfirmed": "unconfirmed",
    "confirmed": "confirmed",
    "refuted": "refuted",
    ENTERED_IN_ERROR: ENTERED_IN_ERROR,
}
_CRITICALITIES = {"critl": "low", "crith": "high", "critu": "unable-to-assess"}
_ORDER_STATUSES = {
    "proposed": "draft",
    "planned": "draft",
    "requested": "active",
    "received": "active",
    "accepted": "active",
    "in-progress": "active",
    "review": "active",
    "suspended": "on-hold",
    "cancelled": "revoked",
    "rejected": "revoked",
    "failed": "revoked",
    "aborted": "revoked",
}
_PLACED = "requested"


def to_r4(resource: Json) -> list[Json]:
    """Return a DSTU2 resource as R4 has it; an order of several tests becomes one request for each."""
    resource_type = str(resource.get("resourceType"))
    convert = _BY_TYPE.get(resource_type)
    if convert is None:
        return [resource]
    converted = dict(resource)
    convert(converted)
    convert_contained(converted, to_r4)
    if resource_type == "DiagnosticOrder":
        return list(_split_order(converted))
    return split_referral(converted) if resource_type == "ReferralRequest" else [converted]


def _patient(resource: Json) -> None:
    convert_each(resource, "name", _name)


def _name(name: Json) -> Json:
    family = name.get("family")
    if not isinstance(family, list):
        return name
    return name | {"family": " ".join(part for part in family if isinstance(part, str))}


def _observation(resource: Json) -> None:
    to_list(resource, "category")


def _condition(resource: Json) -> None:
    rename(
        resource,
        {"patient": "subject", "dateRecorded": "recordedDate", "abatementQuantity": "abatementAge"},
    )
    to_list(resource, "category")
    to_concept(resource, "clinicalStatus", CONDITION_CLINICAL, {})
    to_concept(resource, "verificationStatus", CONDITION_VERIFICATION, _VERIFICATIONS)


def _statement(resource: Json) -> None:
    rename(resource, {"patient": "subject"})
    if is_true(resource.pop("wasNotTaken", None)):
        _deny(resource, "not-taken")
    convert_each(resource, "dosage", convert_old_dosage)


def _prescription(resource: Json) -> None:
    resource["resourceType"] = "MedicationRequest"
    rename(resource, {"patient": "subject", "dateWritten": "authoredOn"})
    if not code_of(resource.get("intent")):
        resource["intent"] = "order"
    to_list(resource, "category")
    ended = resource.pop("dateEnded", None)
    if isinstance(ended, str) and ended.strip():
        resource["dispenseRequest"] = _ended(resource.get("dispenseRequest"), ended.strip())
    convert_each(resource, "dosageInstruction", convert_old_dosage)


def _ended(dispense: Any, ended: str) -> Any:  # noqa: ANN401 - a part of unexpected shape goes on as it came
    """Return the dispense request with the end of the prescription, unless it ends sooner by itself."""
    if dispense is not None and not isinstance(dispense, dict):
        return dispense
    dispense = dispense or {}
    validity = dispense.get("validityPeriod") or {}
    if not isinstance(validity, dict):
        return dispense
    valid_until = validity.get("end")
    is_sooner = isinstance(valid_until, str) and "" < valid_until.strip() < ended
    return dispense if is_sooner else dispense | {"validityPeriod": validity | {"end": ended}}


def _administration(resource: Json) -> None:
    rename(
        resource,
        {
            "patient": "subject",
            "effectiveTimeDateTime": "effectiveDateTime",
            "effectiveTimePeriod": "effectivePeriod",
        },
    )
    if is_true(resource.pop("wasNotGiven", None)):
        _deny(resource, "not-done")
    convert_each(resource, "dosage", _given_dosage)


def _given_dosage(dosage: Json) -> Json:
    converted = dict(dosage)
    rename(converted, {"quantity": "dose"})
    return converted


def _product(resource: Json) -> None:
    product = resource.get("product")
    if isinstance(product, dict) and isinstance(product.get("form"), dict):
        resource.setdefault("form", product["form"])


def _procedure(resource: Json) -> None:
    translate_status(resource, {"aborted": "stopped"})
    if is_true(resource.pop("notPerformed", None)):
        _deny(resource, "not-done")


def _deny(resource: Json, status: str) -> None:
    if code_of(resource.get("status")) != ENTERED_IN_ERROR:
        resource["status"] = status


def _allergy(resource: Json) -> None:
    rename(resource, {"substance": "code"})
    status = code_of(resource.pop("status", None))
    for element, codes, system in (
        ("clinicalStatus", _ALLERGY_CLINICAL, ALLERGY_CLINICAL),
        ("verificationStatus", _ALLERGY_VERIFICATION, ALLERGY_VERIFICATION),
    ):
        if status in codes and resource.get(element) is None:
            resource[element] = codes[status]
        to_concept(resource, element, system, {})
    criticality = code_of(resource.get("criticality"))
    if criticality in _CRITICALITIES:
        resource["criticality"] = _CRITICALITIES[criticality]


def _order(resource: Json) -> None:
    resource["resourceType"] = "ServiceRequest"
    rename(resource, {"patient": "subject", "orderedOn": "authoredOn"})
    if not code_of(resource.get("intent")):
        resource["intent"] = "order"
    translate_status(resource, _ORDER_STATUSES)


def _split_order(resource: Json) -> Iterator[Json]:
    """Yield a request for each test of an order; a test has its own status or that of the order."""
    items = resource.pop("item", None)
    events = resource.pop("event", None)
    tests = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    for test in tests or [{}]:
        request = dict(resource)
        request.update({name: test[name] for name in ("code", "status") if test.get(name) is not None})
        translate_status(request, _ORDER_STATUSES)
        placed = _placed(test.get("event")) or _placed(events)
        if placed is not None:
            request.setdefault("authoredOn", placed)
        yield request


def _placed(events: object) -> str | None:
    """Return when an order was placed: its event "requested", else its first event."""
    listed = [one for one in events if isinstance(one, dict)] if isinstance(events, list) else []
    dated = [one for one in listed if isinstance(one.get("dateTime"), str)]
    placed = [one for one in dated if code_of(one.get("status")) == _PLACED]
    return next((str(one["dateTime"]) for one in placed or dated), None)


def _device_use(resource: Json) -> None:
    device_use(resource)
    period = resource.get("timingPeriod")
    if isinstance(period, dict):
        # DSTU2 has no status here: a use without an end goes on.
        resource.setdefault("status", "completed" if period.get("end") else "active")


def _device(resource: Json) -> None:
    # "available" and "not-available" are R4's active and inactive.
    translate_status(resource, {"available": "active", "not-available": "inactive"})


_BY_TYPE: Mapping[str, Change] = {
    "Patient": _patient,
    "Observation": _observation,
    "Condition": _condition,
    "MedicationStatement": _statement,
    "MedicationOrder": _prescription,
    "MedicationRequest": _prescription,
    "MedicationAdministration": _administration,
    "Medication": _product,
    "Procedure": _procedure,
    "AllergyIntolerance": _allergy,
    "DiagnosticOrder": _order,
    "ProcedureRequest": _order,
    "ReferralRequest": _order,
    "DeviceUseStatement": _device_use,
    "Device": _device,
}
