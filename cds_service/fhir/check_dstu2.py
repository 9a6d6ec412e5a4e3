"""Full validation of DSTU2, for which no model library exists: an own checker of the elements that are read.

Per type it knows the kind of each element, which ones are required, and of which only one may be there
(`value[x]`). Elements that are never read are not looked at. The codes are checked elsewhere (`releases`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
Check = Callable[[object], bool]

_CODE = re.compile(r"\S+( \S+)*")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_ZONE = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?" + _ZONE)
_COMPARATORS = frozenset({"<", "<=", ">=", ">"})


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _code(value: object) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _boolean(value: object) -> bool:
    return isinstance(value, bool) or value in ("true", "false")


def _date(value: object) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


def _instant(value: object) -> bool:
    return isinstance(value, str) and _INSTANT.fullmatch(value) is not None


def _moment(value: object) -> bool:
    return _date(value) or _instant(value)


def _number(value: object) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _object(value: object) -> bool:
    return isinstance(value, dict)


def _comparator(value: object) -> bool:
    return value in _COMPARATORS


def _of(**parts: Check) -> Check:
    """Return the check of an object whose known parts are of their kinds."""

    def check(value: object) -> bool:
        return isinstance(value, dict) and all(
            kind(value[name]) for name, kind in parts.items() if name in value
        )

    return check


def _list_of(kind: Check) -> Check:
    def check(value: object) -> bool:
        return isinstance(value, list) and all(kind(one) for one in value)

    return check


_coding = _of(system=_text, code=_code, display=_text)
_concept = _of(coding=_list_of(_coding), text=_text)
_reference = _of(reference=_text, display=_text)
_quantity = _of(value=_number, comparator=_comparator, unit=_text, system=_text, code=_code)
_range = _of(low=_quantity, high=_quantity)
_period = _of(start=_moment, end=_moment)
_repeat = _of(boundsPeriod=_period, count=_number, frequency=_number, period=_number, periodUnits=_code)
_timing = _of(repeat=_repeat, code=_concept)
_dose: Mapping[str, Check] = {
    "text": _text,
    "timing": _timing,
    "asNeededBoolean": _boolean,
    "asNeededCodeableConcept": _concept,
    "route": _concept,
}
_dosage = _of(**_dose, quantityQuantity=_quantity, quantityRange=_range)
_instruction = _of(**_dose, doseQuantity=_quantity, doseRange=_range)
_given = _of(text=_text, route=_concept, quantity=_quantity)
_event = _of(status=_code, dateTime=_moment)

_VALUES: Mapping[str, Check] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": _concept,
    "valueString": _text,
    "valueRange": _range,
    "valueRatio": _object,
    "valueSampledData": _object,
    "valueAttachment": _object,
    "valueTime": _text,
    "valueDateTime": _moment,
    "valuePeriod": _period,
}
_MEDICATION: Mapping[str, Check] = {
    "medicationCodeableConcept": _concept,
    "medicationReference": _reference,
}
_TEST = _of(code=_concept, status=_code, event=_list_of(_event))


@dataclass(frozen=True, slots=True)
class _Shape:
    """The elements of a type that are read; of each group in `choices` at most one may be there."""

    elements: Mapping[str, Check]
    required: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    required_choices: tuple[str, ...] = field(default=())


_SHAPES: Mapping[str, _Shape] = {
    "Patient": _Shape(
        {"gender": _code, "birthDate": _date, "deceasedBoolean": _boolean, "deceasedDateTime": _moment},
        choices=("deceased",),
    ),
    "Observation": _Shape(
        {
            "status": _code,
            "code": _concept,
            "category": _concept,
            "subject": _reference,
            "effectiveDateTime": _moment,
            "effectivePeriod": _period,
            "issued": _instant,
            "dataAbsentReason": _concept,
            **_VALUES,
            "component": _list_of(_of(code=_concept, dataAbsentReason=_concept, **_VALUES)),
        },
        required=("status", "code"),
        choices=("value", "effective"),
    ),
    "Condition": _Shape(
        {
            "patient": _reference,
            "code": _concept,
            "dateRecorded": _date,
            "clinicalStatus": _code,
            "verificationStatus": _code,
            "onsetDateTime": _moment,
            "onsetPeriod": _period,
            "abatementDateTime": _moment,
            "abatementPeriod": _period,
            "abatementQuantity": _quantity,
            "abatementBoolean": _boolean,
            "abatementRange": _range,
            "abatementString": _text,
        },
        required=("patient", "code"),
        choices=("onset", "abatement"),
    ),
    "MedicationStatement": _Shape(
        {
            "patient": _reference,
            "status": _code,
            "wasNotTaken": _boolean,
            "dateAsserted": _moment,
            "effectiveDateTime": _moment,
            "effectivePeriod": _period,
            **_MEDICATION,
            "dosage": _list_of(_dosage),
        },
        required=("patient", "status"),
        choices=("effective",),
        required_choices=("medication",),
    ),
    "MedicationOrder": _Shape(
        {
            "patient": _reference,
            "status": _code,
            "dateWritten": _moment,
            "dateEnded": _moment,
            **_MEDICATION,
            "dosageInstruction": _list_of(_instruction),
            "dispenseRequest": _of(validityPeriod=_period),
        },
        required_choices=("medication",),
    ),
    "MedicationAdministration": _Shape(
        {
            "patient": _reference,
            "status": _code,
            "wasNotGiven": _boolean,
            "effectiveTimeDateTime": _moment,
            "effectiveTimePeriod": _period,
            **_MEDICATION,
            "dosage": _given,
        },
        required=("patient", "status"),
        required_choices=("medication", "effectiveTime"),
    ),
    "Procedure": _Shape(
        {
            "subject": _reference,
            "status": _code,
            "code": _concept,
            "notPerformed": _boolean,
            "performedDateTime": _moment,
            "performedPeriod": _period,
        },
        required=("subject", "status", "code"),
        choices=("performed",),
    ),
    "AllergyIntolerance": _Shape(
        {
            "patient": _reference,
            "substance": _concept,
            "status": _code,
            "criticality": _code,
            "recordedDate": _moment,
            "reaction": _list_of(_of(substance=_concept, manifestation=_list_of(_concept))),
        },
        required=("patient", "substance"),
    ),
    "DiagnosticOrder": _Shape(
        {"subject": _reference, "status": _code, "item": _list_of(_TEST), "event": _list_of(_event)},
        required=("subject",),
    ),
    "ProcedureRequest": _Shape(
        {"subject": _reference, "status": _code, "code": _concept, "orderedOn": _moment},
        required=("subject", "code"),
    ),
    "ReferralRequest": _Shape(
        {"patient": _reference, "status": _code, "serviceRequested": _list_of(_concept)},
        required=("status",),
    ),
    "DeviceUseStatement": _Shape(
        {
            "subject": _reference,
            "device": _reference,
            "whenUsed": _period,
            "recordedOn": _moment,
            "timingPeriod": _period,
            "timingDateTime": _moment,
        },
        required=("subject", "device"),
        choices=("timing",),
    ),
    "Device": _Shape({"type": _concept, "status": _code, "patient": _reference}, required=("type",)),
    "FamilyMemberHistory": _Shape(
        {
            "patient": _reference,
            "status": _code,
            "relationship": _concept,
            "condition": _list_of(_of(code=_concept)),
        },
        required=("patient", "status", "relationship"),
    ),
}


def find_fault(resource: Json, resource_type: str) -> str:
    """Return why a cleaned DSTU2 resource is not valid, "" when it is; never with a value of it."""
    shape = _SHAPES.get(resource_type)
    if shape is None:
        return "not a type that is read"
    for name in shape.required:
        if name not in resource:
            return f"{name}: missing"
    for name, check in shape.elements.items():
        if name in resource and not check(resource[name]):
            return f"{name}: not of its kind"
    for stem in (*shape.choices, *shape.required_choices):
        if sum(_is_form_of(stem, name) for name in resource) > 1:
            return f"{stem}[x]: more than one"
    for stem in shape.required_choices:
        if not any(_is_form_of(stem, name) for name in resource):
            return f"{stem}[x]: missing"
    return ""


def _is_form_of(stem: str, name: str) -> bool:
    """Whether an element is one of the forms of a choice: `valueQuantity` of `value`."""
    return name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper()
