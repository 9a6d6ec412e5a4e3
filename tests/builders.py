"""A small language for clinical facts, and the FHIR R4 resources, prefetch and requests built from it.

A record is a list of facts as the scenario files write them; tests/scenarios/README.md explains the
language to a reader. Examples: `"RLS"`, `{"ferritin": 60}`, `{"takes": {"drug": "sertraline"}}`.
"""

import itertools
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from tests.vocabulary import (
    ANSWERS,
    DIAGNOSES,
    ICD_10_CM,
    LABORATORY,
    LOINC,
    MEDICINES,
    NAMED_DIAGNOSES,
    ORDERS,
    PREGNANCY_STATUS,
    QUESTIONS,
    RELATIVES,
    RXNORM,
    SNOMED_CT,
    TERMINOLOGY,
    UCUM,
)

Json = dict[str, Any]
Fact = str | Mapping[str, Any]

TODAY = date(2026, 11, 22)
RESULT_DAY = "2026-11-01"
PATIENT_ID = "scenario-patient"
HOOK_INSTANCE = "2f0d7a5c-6c43-4a75-8d6b-0f4f3f6f1d11"
SERVICE = "/cds-services/rls-iron-assessment"

OWN_KEYS = (
    "patient",
    "ironResults",
    "contextResults",
    "conditions",
    "medicationStatements",
    "medicationRequests",
    "ironTreatmentStatements",
    "ironTreatmentRequests",
    "ironAdministrations",
    "procedures",
    "allergies",
    "ironOrders",
    "familyHistory",
    "metabolicResults",
    "socialHistory",
    "sleepDuration",
    "deviceUse",
    "devices",
)
"""The searches of the service, in the order of its discovery answer."""

SEARCHED_TYPE = {
    "ironResults": "Observation",
    "contextResults": "Observation",
    "conditions": "Condition",
    "medicationStatements": "MedicationStatement",
    "medicationRequests": "MedicationRequest",
    "ironTreatmentStatements": "MedicationStatement",
    "ironTreatmentRequests": "MedicationRequest",
    "ironAdministrations": "MedicationAdministration",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
    "ironOrders": "ServiceRequest",
    "familyHistory": "FamilyMemberHistory",
    "metabolicResults": "Observation",
    "socialHistory": "Observation",
    "sleepDuration": "Observation",
    "deviceUse": "DeviceUseStatement",
    "devices": "Device",
}


def text_of(value: Any) -> str:
    """Return a scalar of a scenario file as FHIR text (dates become ISO days)."""
    return value.isoformat() if isinstance(value, date) else str(value)


def _optional(fields: Mapping[str, Any], name: str, default: Any = None) -> Any:
    value = fields.get(name, default)
    return None if value == "none" else value


def concept(system: str | None, code: str | None, display: str | None, text: str | None = None) -> Json:
    """Return a CodeableConcept of at most one coding."""
    made: Json = {}
    coding = {"system": system, "code": code, "display": display}
    if code is not None:
        made["coding"] = [{name: value for name, value in coding.items() if value is not None}]
    if text is not None:
        made["text"] = text
    return made


def patient(
    born: Any = "1970-01-01", sex: str = "male", deceased: Any = None, patient_id: str = PATIENT_ID
) -> Json:
    """Return a Patient; `deceased` is a day or true."""
    made: Json = {"resourceType": "Patient", "id": patient_id, "gender": sex}
    if born not in (None, "none"):
        made["birthDate"] = text_of(born)
    if deceased is True:
        made["deceasedBoolean"] = True
    elif deceased is not None:
        made["deceasedDateTime"] = text_of(deceased)
    return made


class _Fields(dict[str, Any]):
    """The fields of one fact; it knows which of them nobody asked for, so that no typing error passes."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Start with nothing asked for."""
        super().__init__(given)
        self._asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field or the default."""
        self._asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self._asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._asked.add(str(name))
        return super().__contains__(name)

    def refuse_leftovers(self, kind: str) -> None:
        """Raise when a field was never asked for."""
        if left := sorted(str(name) for name in self if name not in self._asked):
            message = f"{kind} has fields that nobody reads: {left}"
            raise ValueError(message)


class RecordBuilder:
    """Turns facts into resources of one patient and sorts them by the search that would find them."""

    def __init__(self, patient_id: str = PATIENT_ID) -> None:
        """Start with an empty record."""
        self._subject = {"reference": f"Patient/{patient_id}"}
        self._numbers = itertools.count(1)
        self.found: dict[str, list[Json]] = {}

    def add(self, fact: Fact) -> None:
        """Add one fact of a scenario."""
        if isinstance(fact, str):
            self._add_named(fact, {})
            return
        ((kind, fields),) = fact.items()
        self._add_named(kind, fields)

    def _add_named(self, kind: str, fields: Any) -> None:
        makers: dict[str, Callable[[Any], None]] = {
            "diagnosis": self._diagnosis,
            "takes": self._statement,
            "prescribed": self._request,
            "given": self._administration,
            "order": self._order,
            "family": self._family,
            "pregnancy status": self._pregnancy_status,
            "delivery date": self._delivery_date,
            "procedure": self._procedure,
            "slept": self._slept,
            "device": self._device,
            "device use": self._device_use,
            "allergy": self._allergy,
            "resource": self._resource,
        }
        given = _Fields(fields) if isinstance(fields, Mapping) and kind != "resource" else fields
        if kind in LABORATORY:
            self._result(kind, given)
        elif kind in QUESTIONS:
            self._question(kind, given)
        elif kind in NAMED_DIAGNOSES:
            self._condition(NAMED_DIAGNOSES[kind], given)
        else:
            makers[kind](given)
        if isinstance(given, _Fields):
            given.refuse_leftovers(kind)

    def _put(self, search: str, resource_type: str, **members: Any) -> None:
        made: Json = {"resourceType": resource_type, "id": f"r{next(self._numbers)}"}
        made |= {name: value for name, value in members.items() if value is not None}
        self.found.setdefault(search, []).append(made)

    def _result(self, kind: str, fields: Any) -> None:
        usual_code, usual_display, unit, search = LABORATORY[kind]
        given = fields if isinstance(fields, Mapping) else {"value": fields}
        code = given.get("loinc", usual_code)
        display = usual_display if code == usual_code else None
        coded = concept(LOINC, None if code == "none" else code, display, given.get("name"))
        self._put(
            search,
            "Observation",
            status=_optional(given, "status", "final"),
            category=[concept(f"{TERMINOLOGY}/observation-category", "laboratory", None)],
            code=coded,
            subject=self._subject,
            effectiveDateTime=_day(given.get("date", RESULT_DAY)),
            issued=_day(given.get("issued")),
            **_value(given, unit),
        )

    def _question(self, kind: str, fields: Any) -> None:
        """Add an answer: a number, one of `ANSWERS`, or words (`said` as a concept, `told` as a text)."""
        usual_code, text, unit, search = QUESTIONS[kind]
        given = fields if isinstance(fields, Mapping) else {"value": fields}
        code = given.get("loinc", usual_code)
        value = given.get("value")
        if value in ANSWERS:
            answer: Json = {"valueCodeableConcept": concept(*ANSWERS[value])}
        elif "said" in given:
            answer = {"valueCodeableConcept": {"text": given["said"]}}
        elif "told" in given:
            answer = {"valueString": given["told"]}
        else:
            answer = _value(given, unit or "1")
        self._put(
            search,
            "Observation",
            status=given.get("status", "final"),
            category=[concept(f"{TERMINOLOGY}/observation-category", "social-history", None)],
            code=concept(LOINC, code, None if code is None else text, text if code is None else None),
            subject=self._subject,
            effectiveDateTime=_day(given.get("date", RESULT_DAY)),
            **answer,
        )

    def _slept(self, fields: Any) -> None:
        """Add one sleep duration for each night, the last one first: hours, or `unit` and `nights`."""
        given = fields if isinstance(fields, Mapping) else {"nights": fields}
        last = given.get("last", date(2026, 11, 21))
        for number, hours in enumerate(given["nights"]):
            self._put(
                "sleepDuration",
                "Observation",
                status="final",
                code=concept(LOINC, "93832-4", "Sleep duration"),
                subject=self._subject,
                effectiveDateTime=text_of(last - timedelta(days=number)),
                **_value({"value": hours}, given.get("unit", "h")),
            )

    def _device(self, given: Mapping[str, Any]) -> None:
        self._put(
            "devices",
            "Device",
            status=given.get("status", "active"),
            type=concept(SNOMED_CT, given.get("snomed"), None, given.get("text")),
            patient=None if given.get("without patient") else self._subject,
        )

    def _device_use(self, given: Mapping[str, Any]) -> None:
        reference = {"reference": given.get("device"), "display": given.get("displayed")}
        self._put(
            "deviceUse",
            "DeviceUseStatement",
            status=given.get("status", "active"),
            subject=self._subject,
            timingPeriod=_period(given.get("since"), given.get("until")),
            recordedOn=_day(given.get("recorded")),
            device={name: value for name, value in reference.items() if value is not None},
        )

    def _pregnancy_status(self, fields: Mapping[str, Any]) -> None:
        coding = PREGNANCY_STATUS.get(fields["value"])
        value = concept(SNOMED_CT, *coding) if coding else concept(None, None, None, fields["value"])
        self._put(
            "contextResults",
            "Observation",
            status="final",
            code=concept(LOINC, "82810-3", "Pregnancy status"),
            subject=self._subject,
            effectiveDateTime=_day(fields["date"]),
            valueCodeableConcept=value,
        )

    def _delivery_date(self, day: Any) -> None:
        self._put(
            "contextResults",
            "Observation",
            status="final",
            code=concept(LOINC, "11778-8", "Delivery date Estimated"),
            subject=self._subject,
            effectiveDateTime=RESULT_DAY,
            valueDateTime=text_of(day),
        )

    def _diagnosis(self, fields: Any) -> None:
        given = fields if isinstance(fields, Mapping) else {"code": fields}
        coding: tuple[str | None, str | None, str | None] = (None, None, None)
        if "snomed" in given:
            coding = (SNOMED_CT, given["snomed"], given.get("display"))
        elif "code" in given:
            coding = (given.get("system", ICD_10_CM), given["code"], DIAGNOSES.get(given["code"]))
        self._condition(coding, given)

    def _condition(self, coding: tuple[str | None, str | None, str | None], fields: Any) -> None:
        given: Mapping[str, Any] = fields or {}
        system, code, display = coding
        if given.get("no text"):
            display = None
        self._put(
            "conditions",
            "Condition",
            clinicalStatus=_status("condition-clinical", _optional(given, "status", "active")),
            verificationStatus=_status("condition-ver-status", _optional(given, "verification", "confirmed")),
            code=concept(given.get("system", system), code, display, given.get("text")),
            subject=self._subject,
            onsetDateTime=_day(given.get("onset")),
            recordedDate=_day(given.get("recorded")),
            abatementDateTime=_day(given.get("abated")),
        )

    def _medicine(self, given: Mapping[str, Any]) -> Json:
        if "missing reference" in given:
            return {"medicationReference": {"reference": given["missing reference"]}}
        if "displayed" in given:
            named = {"reference": "Medication/elsewhere", "display": given["displayed"]}
            return {"medicationReference": named}
        if "text" in given:
            return {"medicationCodeableConcept": {"text": given["text"]}}
        if "atc" in given:
            return {"medicationCodeableConcept": concept("http://www.whocc.no/atc", given["atc"], None)}
        code, display = MEDICINES[given["drug"]]
        return {"medicationCodeableConcept": concept(given.get("system", RXNORM), code, display)}

    def _statement(self, fields: Any) -> None:
        given = fields if isinstance(fields, Mapping) else {"drug": fields}
        status = given.get("status", "active")
        self._put(
            "ironTreatmentStatements" if status == "completed" else "medicationStatements",
            "MedicationStatement",
            status=status,
            subject=self._subject,
            effectivePeriod=_period(given.get("since"), given.get("until")),
            effectiveDateTime=_day(given.get("date")),
            dateAsserted=_day(given.get("asserted")),
            dosage=_dosage(given),
            **self._medicine(given),
        )

    def _request(self, fields: Any) -> None:
        given = fields if isinstance(fields, Mapping) else {"drug": fields}
        status = given.get("status", "active")
        until = _day(given.get("until"))
        self._put(
            "ironTreatmentRequests" if status == "completed" else "medicationRequests",
            "MedicationRequest",
            status=status,
            intent=given.get("intent", "order"),
            doNotPerform=given.get("do not perform"),
            subject=self._subject,
            authoredOn=_day(given.get("authored", "2026-10-01")),
            dispenseRequest={"validityPeriod": {"end": until}} if until else None,
            dosageInstruction=_dosage(given),
            **self._medicine(given),
        )

    def _administration(self, given: Mapping[str, Any]) -> None:
        self._put(
            "ironAdministrations",
            "MedicationAdministration",
            status=given.get("status", "completed"),
            subject=self._subject,
            effectiveDateTime=_day(given["date"]),
            **self._medicine(given),
        )

    def _order(self, given: Mapping[str, Any]) -> None:
        code, display = ORDERS[given["test"]]
        self._put(
            "ironOrders",
            "ServiceRequest",
            status=given.get("status", "active"),
            intent=given.get("intent", "order"),
            code=concept(LOINC, code, display),
            subject=self._subject,
            authoredOn=_day(given.get("authored")),
        )

    def _family(self, given: Mapping[str, Any]) -> None:
        relation, said = given["relation"], given.get("text")
        code = given.get("diagnosis", "G25.81")
        condition = concept(None, None, None, said) if said else concept(ICD_10_CM, code, DIAGNOSES[code])
        self._put(
            "familyHistory",
            "FamilyMemberHistory",
            status=given.get("status", "completed"),
            patient=self._subject,
            relationship=concept(f"{TERMINOLOGY}/v3-RoleCode", RELATIVES[relation], relation),
            condition=[{"code": condition}],
        )

    def _procedure(self, given: Mapping[str, Any]) -> None:
        self._put(
            "procedures",
            "Procedure",
            status=given.get("status", "completed"),
            code=concept(SNOMED_CT, given.get("snomed"), given.get("display"), given.get("text")),
            subject=self._subject,
            performedDateTime=_day(given["date"]),
        )

    def _allergy(self, given: Mapping[str, Any]) -> None:
        code, display = MEDICINES[given["drug"]]
        self._put(
            "allergies",
            "AllergyIntolerance",
            clinicalStatus=_status("allergyintolerance-clinical", given.get("status", "active")),
            verificationStatus=_status("allergyintolerance-verification", "confirmed"),
            criticality=given.get("criticality"),
            code=concept(RXNORM, code, display),
            patient=self._subject,
        )

    def _resource(self, fields: Mapping[str, Any]) -> None:
        made = dict(fields)
        resource_type = made.pop("resourceType")
        owner = "patient" if resource_type in {"AllergyIntolerance", "FamilyMemberHistory"} else "subject"
        made.setdefault(owner, self._subject)
        search = made.pop("search", None) or next(k for k, t in SEARCHED_TYPE.items() if t == resource_type)
        if made.pop("without subject", False):
            made.pop(owner)
        self._put(search, resource_type, **made)


def _day(value: Any) -> str | None:
    return None if value in (None, "none") else text_of(value)


def _status(system: str, code: str | None) -> Json | None:
    return None if code is None else concept(f"{TERMINOLOGY}/{system}", code, None)


def _period(since: Any, until: Any) -> Json | None:
    made = {"start": _day(since), "end": _day(until)}
    return {name: value for name, value in made.items() if value is not None} or None


def _dosage(given: Mapping[str, Any]) -> list[Json] | None:
    made: Json = {}
    if "as needed" in given:
        made["asNeededBoolean"] = given["as needed"]
    if "dose mg" in given:
        times = given.get("times a day", 1)
        made["timing"] = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
        made["doseAndRate"] = [
            {"doseQuantity": {"value": given["dose mg"], "unit": "mg", "system": UCUM, "code": "mg"}},
        ]
    return [made] if made else None


def _value(given: Mapping[str, Any], default_unit: str) -> Json:
    if "value text" in given:
        return {"valueString": given["value text"]}
    value = given.get("value")
    if value is None:
        return {}
    quantity: Json = {}
    if isinstance(value, str):
        comparator = value.rstrip("0123456789.")
        value = float(value[len(comparator) :]) if "." in value else int(value[len(comparator) :])
        quantity["comparator"] = comparator
    quantity["value"] = value
    unit = _optional(given, "unit", default_unit)
    if unit is not None:
        quantity["unit"] = unit
        if not given.get("uncoded unit"):
            quantity |= {"system": UCUM, "code": unit}
    return {"valueQuantity": quantity}


def bundle(resource_type: str, resources: Iterable[Json], *, has_next: bool = False) -> Json:
    """Return a searchset of matches; with `has_next` it names a further page."""
    entries = [{"resource": resource, "search": {"mode": "match"}} for resource in resources]
    base = f"https://fhir.example.org/r4/{resource_type}"
    links = [{"relation": "self", "url": base}]
    if has_next:
        links.append({"relation": "next", "url": f"{base}?page=2"})
    made: Json = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if not has_next:
        made["total"] = len(entries)
    return made | ({"entry": entries} if entries else {})


def outcome(severity: str, code: str = "exception") -> Json:
    """Return an OperationOutcome of one issue."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def no_match(resource_type: str) -> Json:
    """Return an empty search as one large vendor sends it: total 0 and a warning among the entries."""
    made = bundle(resource_type, [])
    warning = outcome("warning", "processing")
    return made | {"entry": [{"resource": warning, "search": {"mode": "outcome"}}]}


def prefetch(
    record: Sequence[Fact],
    *,
    of: Mapping[str, Any] | None = None,
    sends: Mapping[str, str] | None = None,
    sends_only: Sequence[str] | None = None,
) -> Json:
    """Return the prefetch of a record: by default every own key, each answered in full.

    `of` describes the patient.
    """
    builder = RecordBuilder()
    for fact in record:
        builder.add(fact)
    keys = list(OWN_KEYS if sends_only is None else sends_only)
    unsent = set(builder.found) - set(keys)
    if unsent:
        message = f"the record holds resources that no search sends: {sorted(unsent)}"
        raise ValueError(message)
    how = dict(sends or {})
    sent = {key: _answer(key, builder.found.get(key, []), how.pop(key, "answered"), of) for key in keys}
    if how:
        message = f"'sends' names searches that are not sent: {sorted(how)}"
        raise ValueError(message)
    return {key: value for key, value in sent.items() if value != "not sent"}


def _answer(key: str, found: list[Json], how: str | None, of: Mapping[str, Any] | None) -> Any:
    if how == "failed":
        return outcome("error")
    if how == "not sent":
        return how
    if how in (None, "null"):
        return None
    if key == "patient":
        return patient(**(of or {}))
    if how == "no match":
        return no_match(SEARCHED_TYPE[key])
    if how not in ("answered", "first page"):
        message = f"unknown answer of a search: {how}"
        raise ValueError(message)
    return bundle(SEARCHED_TYPE[key], found, has_next=how == "first page")


def hook_request(
    prefetched: Mapping[str, Any] | None, *, patient_id: str = PATIENT_ID, **members: Any
) -> Json:
    """Return the body of a patient-view call; None leaves out `prefetch`."""
    body: Json = {
        "hook": "patient-view",
        "hookInstance": HOOK_INSTANCE,
        "context": {"userId": "Practitioner/fictional-clinician", "patientId": patient_id},
    }
    if prefetched is not None:
        body["prefetch"] = dict(prefetched)
    return body | members


def new_hook_instance(number: int) -> str:
    """Return a hook instance that depends on nothing but the number."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://example.org/hook-instance/{number}"))


# ------------------------------------------------------------------------------------ shapes of a request
FHIR_SERVER = "https://fhir.example.org/api/FHIR/R4"

_OIDS = {
    LOINC: "urn:oid:2.16.840.1.113883.6.1",
    SNOMED_CT: "urn:oid:2.16.840.1.113883.6.96",
    ICD_10_CM: "urn:oid:2.16.840.1.113883.6.90",
    RXNORM: "urn:oid:2.16.840.1.113883.6.88",
}
_FOREIGN_NAMES = {
    "patient": "pat-user",
    "ironResults": "labs-user",
    "contextResults": "other-labs-user",
    "conditions": "problems",
    "medicationStatements": "reported-meds",
    "medicationRequests": "ordered-meds",
    "ironTreatmentStatements": "past-reported-meds",
    "ironTreatmentRequests": "past-ordered-meds",
    "ironAdministrations": "administered",
    "procedures": "done",
    "allergies": "intolerances",
    "ironOrders": "lab-orders",
    "familyHistory": "relatives",
    "metabolicResults": "chemistry",
    "socialHistory": "habits",
    "sleepDuration": "nights",
    "deviceUse": "aids",
    "devices": "things",
}


def _mapped(value: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _mapped(member, change, key) for key, member in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change, name) for item in value]
    return change(name, value)


def with_absolute_references(prefetched: Json) -> Json:
    """Return the prefetch with every relative reference made absolute on `FHIR_SERVER`."""

    def absolute(name: str, value: Any) -> Any:
        is_relative = name == "reference" and isinstance(value, str) and not value.startswith(("#", "http"))
        return f"{FHIR_SERVER}/{value}" if is_relative else value

    made: Json = _mapped(prefetched, absolute)
    return made


def with_oid_systems(prefetched: Json) -> Json:
    """Return the prefetch with the code systems named by their OIDs."""

    def as_oid(name: str, value: Any) -> Any:
        return _OIDS.get(value, value) if name == "system" else value

    made: Json = _mapped(prefetched, as_oid)
    return made


def with_foreign_names(prefetched: Json) -> Json:
    """Return the prefetch under key names that are not ours."""
    return {_FOREIGN_NAMES.get(key, f"{key}-user"): value for key, value in prefetched.items()}


def resources_of(prefetched: Json) -> list[Json]:
    """Return every resource of a prefetch, those of Bundles included."""
    found: list[Json] = []
    for value in prefetched.values():
        if isinstance(value, dict) and value.get("resourceType") == "Bundle":
            found += [entry["resource"] for entry in value.get("entry", [])]
        elif isinstance(value, dict):
            found.append(value)
    return found


def in_one_bundle(prefetched: Json) -> Json:
    """Return the prefetch as one Bundle of everything under a name that says nothing."""
    made = bundle("Patient", resources_of(prefetched))
    del made["link"]
    return {"everything": made}


SHAPES: dict[str, Callable[[Json], Json]] = {
    "absolute references": with_absolute_references,
    "OID systems": with_oid_systems,
    "foreign names": with_foreign_names,
    "one bundle": in_one_bundle,
}
"""The shapes that a scenario can ask for."""
