"""Made-up records for the examination of a server, with words in them that must never leave it."""

from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
LOCAL = "urn:oid:2.999.36.1.1"
CANARIES = ("Zq7CANARY", "2931-07", "555-0199", "31.4159", "canary@example.org")
"""Parts of names, dates, numbers and notes of the records below."""


def patient(identity: str) -> Json:
    return {
        "resourceType": "Patient",
        "id": identity,
        "name": [{"family": "Zq7CANARYname", "given": ["Zq7CANARYgiven"]}],
        "telecom": [{"system": "phone", "value": "555-0199"}, {"value": "canary@example.org"}],
        "gender": "female",
        "birthDate": "1970-05-05",
    }


def condition(identity: str, number: int = 1, code: str = "G25.81") -> Json:
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code, "display": "Zq7CANARYdisplay"}
    return {
        "resourceType": "Condition",
        "id": f"{identity}-condition-{number}",
        "subject": {"reference": f"Patient/{identity}", "display": "Zq7CANARYsubject"},
        "code": {"coding": [coding]},
        "note": [{"text": "Zq7CANARYnote"}],
    }


def laboratory(
    identity: str,
    coding: Json,
    value: float,
    *,
    unit: str = "ng/mL",
    number: int = 1,
    text: str | None = None,
) -> Json:
    concept: Json = {"coding": [coding]}
    if text is not None:
        concept["text"] = text
    return {
        "resourceType": "Observation",
        "id": f"{identity}-result-{number}",
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": concept,
        "subject": {"reference": f"Patient/{identity}"},
        "effectiveDateTime": "2026-11-10",
        "valueQuantity": {"value": value, "unit": unit},
        "note": [{"text": "Zq7CANARYcomment 2931-07"}],
    }


def ferritin(identity: str, value: float = 31.4159, **how: Any) -> Json:
    return laboratory(identity, {"system": LOINC, "code": "2276-4"}, value, **how)


def local_ferritin(identity: str, value: float = 31.4159, **how: Any) -> Json:
    coding = {"system": LOCAL, "code": "FERR", "display": "Ferritin"}
    return laboratory(identity, coding, value, text="Ferritin (Zq7CANARYlab)", **how)


def medicine(identity: str) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": f"{identity}-order",
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{identity}"},
        "authoredOn": "2026-10-01",
        "medicationCodeableConcept": {"text": "Sertraline 50 mg tablets Zq7CANARYdose"},
    }


def charts(*identities: str, result: Any = ferritin) -> list[Json]:
    """Return patients with restless legs, a ferritin and a medicine that worsens them."""
    return [
        made
        for identity in identities
        for made in (patient(identity), condition(identity), result(identity), medicine(identity))
    ]
