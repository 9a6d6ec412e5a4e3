"""From FHIR R5 to the R4 shape: what R5 says in other elements and other codes (docs/fhir-versions.md)."""

from collections.abc import Mapping

from cds_service.fhir.convert_parts import (
    ENTERED_IN_ERROR,
    Change,
    Json,
    code_of,
    codes_in,
    convert_contained,
    convert_each,
    of_reference_text,
    rename,
    translate_status,
)

READ_ELEMENTS = frozenset(
    {
        "adherence",
        "occurenceDateTime",
        "occurencePeriod",
        "occurrenceDateTime",
        "occurrencePeriod",
        "doseForm",
    }
)
"""Elements that R4 does not have and that are read."""

# A statement is only "recorded" in R5: that the medicine is taken stands in `adherence` alone.
_BY_ADHERENCE: Mapping[str, str] = {
    "taking": "active",
    "taking-as-directed": "active",
    "taking-not-as-directed": "active",
    "not-taking": "not-taken",
    "on-hold": "on-hold",
    "on-hold-as-directed": "on-hold",
    "on-hold-not-as-directed": "on-hold",
    "stopped": "stopped",
    "stopped-as-directed": "stopped",
    "stopped-not-as-directed": "stopped",
    "unknown": "unknown",
}
# The most telling first.
_NOT_TAKING = {"stopped": 0, "on-hold": 1, "not-taken": 2}
_RECORDED = "recorded"
_DRAFT = "draft"
_NAMED_HERE = "named-here"


def to_r4(resource: Json) -> list[Json]:
    """Return an R5 resource as R4 has it."""
    convert = _BY_TYPE.get(str(resource.get("resourceType")))
    if convert is None:
        return [resource]
    converted = dict(resource)
    convert(converted)
    convert_contained(converted, to_r4)
    return [converted]


def _statement(resource: Json) -> None:
    _medication(resource)
    convert_each(resource, "dosage", _dosage)
    status = code_of(resource.get("status"))
    if status == _RECORDED:
        resource["status"] = _status_by_adherence(resource.get("adherence"))
    elif status == _DRAFT:
        # Nobody stands behind it yet.
        resource["status"] = ENTERED_IN_ERROR
    resource.pop("adherence", None)


def _status_by_adherence(adherence: object) -> str:
    """Return what the adherence says; none, an unknown code or codes that disagree leave it open.

    "On hold" and "stopped" are kinds of "not taking" in its code system and may stand beside it.
    """
    concept = adherence.get("code") if isinstance(adherence, dict) else None
    told = {_BY_ADHERENCE[code] for code in codes_in(concept) if code in _BY_ADHERENCE}
    if told and told <= _NOT_TAKING.keys():
        return min(told, key=_NOT_TAKING.__getitem__)
    return told.pop() if len(told) == 1 else "unknown"


def _request(resource: Json) -> None:
    _medication(resource)
    convert_each(resource, "dosageInstruction", _dosage)
    translate_status(resource, {"ended": "completed"})


def _administration(resource: Json) -> None:
    _medication(resource)
    # R5 lost an r in these names.
    for stem in ("occurence", "occurrence"):
        rename(resource, {f"{stem}DateTime": "effectiveDateTime", f"{stem}Period": "effectivePeriod"})


def _medication(resource: Json) -> None:
    named = resource.get("medication")
    if not isinstance(named, dict):
        return
    parts = {"medicationCodeableConcept": named.get("concept"), "medicationReference": named.get("reference")}
    del resource["medication"]
    resource.update({name: part for name, part in parts.items() if part is not None})


def _dosage(dosage: Json) -> Json:
    converted = dict(dosage)
    rename(converted, {"asNeeded": "asNeededBoolean"})
    reasons = converted.pop("asNeededFor", None)
    if isinstance(reasons, list) and reasons:
        converted.setdefault("asNeededCodeableConcept", reasons[0])
    return converted


def _condition(resource: Json) -> None:
    resource.pop("participant", None)
    _leave_out_unknown(resource, "clinicalStatus")


def _leave_out_unknown(resource: Json, element: str) -> None:
    """R5 requires a status and has a code for "not known", which R4 says by leaving the element out."""
    if "unknown" in set(codes_in(resource.get(element))):
        del resource[element]


def _procedure(resource: Json) -> None:
    rename(
        resource,
        {
            "occurrenceDateTime": "performedDateTime",
            "occurrencePeriod": "performedPeriod",
            "occurrenceString": "performedString",
            "occurrenceAge": "performedAge",
            "occurrenceRange": "performedRange",
        },
    )


def _allergy(resource: Json) -> None:
    resource.pop("participant", None)
    if isinstance(resource.get("type"), dict):
        code = next(codes_in(resource.pop("type")), None)
        if code is not None:
            resource["type"] = code
    convert_each(resource, "reaction", _reaction)


def _reaction(reaction: Json) -> Json:
    converted = dict(reaction)
    convert_each(converted, "manifestation", _concept_of)
    return converted


def _order(resource: Json) -> None:
    convert_each(resource, "code", _concept_of)


def _concept_of(referred: Json) -> Json:
    """Return the concept of a CodeableReference: its own, else the words of what it refers to."""
    if not referred.keys() & {"concept", "reference"}:
        return referred
    concept = referred.get("concept")
    return concept if isinstance(concept, dict) else of_reference_text(referred.get("reference")) or {}


def _product(resource: Json) -> None:
    rename(resource, {"doseForm": "form"})


def _device_usage(resource: Json) -> None:
    resource["resourceType"] = "DeviceUseStatement"
    rename(resource, {"patient": "subject", "dateAsserted": "recordedOn"})
    referred = resource.get("device")
    if not isinstance(referred, dict):
        return
    concept, reference = referred.get("concept"), referred.get("reference")
    if isinstance(concept, dict):
        # R4 has no words for a device in its use; a contained Device takes them.
        resource["contained"] = [{"resourceType": "Device", "id": _NAMED_HERE, "type": concept}]
        reference = {"reference": f"#{_NAMED_HERE}"}
    resource["device"] = reference


def _device(resource: Json) -> None:
    kinds = resource.get("type")
    if isinstance(kinds, list):
        resource["type"] = next((kind for kind in kinds if isinstance(kind, dict)), None)
    names = resource.pop("name", None)
    if isinstance(names, list):
        resource["deviceName"] = [
            {"name": name.get("value"), "type": "other"} for name in names if isinstance(name, dict)
        ]


_BY_TYPE: Mapping[str, Change] = {
    "MedicationStatement": _statement,
    "MedicationRequest": _request,
    "MedicationAdministration": _administration,
    "Medication": _product,
    "Condition": _condition,
    "Procedure": _procedure,
    "AllergyIntolerance": _allergy,
    "ServiceRequest": _order,
    "DeviceUsage": _device_usage,
    "Device": _device,
}
