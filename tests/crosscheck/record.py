"""Builds made-up records as the prefetch of a request, from coded facts alone: no names, no texts."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from tests.crosscheck.charts import TODAY, Json

LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
PATIENT_ID = "made-up"
SUBJECT = {"reference": f"Patient/{PATIENT_ID}"}

SEARCHES = {
    "ironResults": "Observation",
    "contextResults": "Observation",
    "conditions": "Condition",
    "medicationStatements": "MedicationStatement",
    "medicationRequests": "MedicationRequest",
    "ironTreatmentStatements": "MedicationStatement",
    "ironTreatmentRequests": "MedicationRequest",
    "ironAdministrations": "MedicationAdministration",
    "procedures": "Procedure",
    "ironOrders": "ServiceRequest",
    "familyHistory": "FamilyMemberHistory",
}
"""The searches that bring the coded facts, and the type that each of them asks for."""

Code = tuple[str, str]


def day(ago: int) -> str:
    """Return the calendar day so many days before today; a negative number lies ahead."""
    return (date.fromisoformat(TODAY) - timedelta(days=ago)).isoformat()


def concept(*codes: Code) -> Json:
    """Return a CodeableConcept of codings without displays."""
    return {"coding": [{"system": system, "code": code} for system, code in codes]}


def number(value: Decimal) -> int | float:
    """Return a JSON number that prints as the decimal does."""
    return int(value) if value == value.to_integral_value() else float(value)


def quantity(
    value: Decimal, unit: str | None, *, comparator: str | None = None, is_coded: bool = True
) -> Json:
    """Return a Quantity; a unit that is not coded stands in `unit` alone."""
    made: Json = {"value": number(value)}
    if comparator:
        made["comparator"] = comparator
    if unit is not None:
        made["unit"] = unit
        if is_coded:
            made |= {"system": UCUM, "code": unit}
    return made


def without_none(members: Mapping[str, Any]) -> Json:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


class Record:
    """A patient's record that grows fact by fact and ends as a request."""

    def __init__(self, born: str | None = "1970-01-01", gender: str | None = "male") -> None:
        """Start with a patient and nothing else; every search is answered in full."""
        self.patient: Json = without_none(
            {"resourceType": "Patient", "id": PATIENT_ID, "birthDate": born, "gender": gender}
        )
        self.found: dict[str, list[Json]] = {key: [] for key in SEARCHES}
        self.answers: dict[str, str] = {}
        self.is_screening_on = True
        self._numbers = count(1)

    def add(self, search: str, resource_type: str, **members: Any) -> None:
        """Add a resource to what a search finds; members without a value are left out."""
        made = {"resourceType": resource_type, "id": f"r{next(self._numbers)}"}
        self.found[search].append(made | without_none(members))

    def condition(
        self,
        *codes: Code,
        clinical: str | None = "active",
        verification: str | None = "confirmed",
        onset: str | None = None,
        **members: Any,
    ) -> None:
        """Add a diagnosis."""
        self.add(
            "conditions",
            "Condition",
            clinicalStatus=clinical and concept((f"{TERMINOLOGY}/condition-clinical", clinical)),
            verificationStatus=verification
            and concept((f"{TERMINOLOGY}/condition-ver-status", verification)),
            code=concept(*codes),
            subject=SUBJECT,
            onsetDateTime=onset,
            **members,
        )

    def observation(
        self,
        loinc: str,
        at: str | None,
        *,
        status: str | None = "final",
        search: str = "ironResults",
        inside: str | None = None,
        **members: Any,
    ) -> None:
        """Add a result; `inside` names the panel whose component it is."""
        value = {name: members.pop(name) for name in list(members) if name.startswith("value")}
        measured = {"code": concept((LOINC, loinc)), **value}
        held = {"code": concept((LOINC, inside)), "component": [measured]} if inside else measured
        self.add(search, "Observation", status=status, subject=SUBJECT, **held, **self._moment(at, members))

    @staticmethod
    def _moment(at: str | None, members: Json) -> Json:
        return (
            members
            if any(name.startswith("effective") for name in members)
            else {"effectiveDateTime": at} | members
        )

    def statement(self, *codes: Code, status: str = "active", **members: Any) -> None:
        """Add a medicine that the patient is said to take."""
        search = "ironTreatmentStatements" if status == "completed" else "medicationStatements"
        members = self._medicine(codes, members)
        self.add(search, "MedicationStatement", status=status, subject=SUBJECT, **members)

    def prescription(
        self, *codes: Code, status: str = "active", intent: str = "order", **members: Any
    ) -> None:
        """Add a medicine that was ordered."""
        search = "ironTreatmentRequests" if status == "completed" else "medicationRequests"
        members = self._medicine(codes, members)
        self.add(search, "MedicationRequest", status=status, intent=intent, subject=SUBJECT, **members)

    def _medicine(self, codes: tuple[Code, ...], members: Json) -> Json:
        how = members.pop("held", "in place")
        if how == "in place":
            return {"medicationCodeableConcept": concept(*codes)} | members
        medication = {"resourceType": "Medication", "id": f"m{next(self._numbers)}", "code": concept(*codes)}
        if how == "contained":
            return {
                "contained": [medication],
                "medicationReference": {"reference": f"#{medication['id']}"},
            } | members
        self.found["medicationStatements"].append(medication)
        return {"medicationReference": {"reference": f"Medication/{medication['id']}"}} | members

    def administration(self, *codes: Code, at: str, status: str = "completed") -> None:
        """Add a medicine that was given."""
        self.add(
            "ironAdministrations",
            "MedicationAdministration",
            status=status,
            medicationCodeableConcept=concept(*codes),
            subject=SUBJECT,
            effectiveDateTime=at,
        )

    def order(
        self, loinc: str, authored: str | None, *, status: str = "active", intent: str = "order"
    ) -> None:
        """Add a laboratory order."""
        self.add(
            "ironOrders",
            "ServiceRequest",
            status=status,
            intent=intent,
            code=concept((LOINC, loinc)),
            subject=SUBJECT,
            authoredOn=authored,
        )

    def procedure(self, snomed: str, at: str, *, status: str = "completed") -> None:
        """Add something that was done."""
        self.add(
            "procedures",
            "Procedure",
            status=status,
            code=concept((SNOMED_CT, snomed)),
            subject=SUBJECT,
            performedDateTime=at,
        )

    def relative(self, relation: str, *codes: Code, status: str = "completed") -> None:
        """Add a diagnosis of a relative."""
        self.add(
            "familyHistory",
            "FamilyMemberHistory",
            status=status,
            patient=SUBJECT,
            relationship=concept((f"{TERMINOLOGY}/v3-RoleCode", relation)),
            condition=[{"code": concept(*codes)}],
        )

    def request(self, number_of: int) -> Json:
        """Return the request that a client with this record would send."""
        keys = ["patient", *(key for key in SEARCHES if key != "familyHistory" or self.found[key])]
        sent = {key: self._answer(key, self.answers.get(key, "answered")) for key in keys}
        return {
            "hook": "patient-view",
            "hookInstance": f"00000000-0000-4000-8000-{number_of:012d}",
            "context": {"userId": "Practitioner/made-up", "patientId": PATIENT_ID},
            "prefetch": {key: value for key, value in sent.items() if value != "not asked"},
        }

    def _answer(self, key: str, how: str) -> Any:
        if how == "not asked":
            return how
        if how == "failed":
            issue = {"severity": "error", "code": "exception"}
            return {"resourceType": "OperationOutcome", "issue": [issue]}
        if how == "null":
            return None
        if key == "patient":
            return self.patient
        base = f"https://fhir.example.org/r4/{SEARCHES[key]}"
        links = [{"relation": "self", "url": base}]
        if how == "cut off":
            links.append({"relation": "next", "url": f"{base}?page=2"})
        return without_none(
            {
                "resourceType": "Bundle",
                "type": "searchset",
                "link": links,
                "entry": [{"resource": resource} for resource in self.found[key]] or None,
            }
        )
