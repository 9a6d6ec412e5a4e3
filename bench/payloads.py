"""Seeded patient-view requests of any size, shaped like the answers of a US Core server.

Every request holds one adult with restless legs syndrome, a ferritin of 20 ng/mL of last week and a
current sertraline prescription among filler of the same types, so that exactly two cards are due.
The same size and day always give the same bytes. A resource takes about 1.9 kB.
"""

import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

Resource = dict[str, Any]

SERVER = "https://ehr.example.org/fhir/r4"
PATIENT = "bench-1"
EXPECTED_CARDS = ("IRON03", "DRUG01")
SEED = 20261122
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
# What a chart of a few hundred entries is made of; the key is the prefetch key that carries the type.
MIX = (
    ("ironResults", 0.04),
    ("contextResults", 0.08),
    ("laboratory", 0.38),
    ("conditions", 0.20),
    ("medicationRequests", 0.16),
    ("medicationStatements", 0.06),
    ("procedures", 0.06),
    ("allergies", 0.02),
)
LOINC = "http://loinc.org"
# Codes of common results that no rule reads, and of those that some rules read.
OTHER_TESTS = (
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 70, 180),
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 132, 146),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 3, 6),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 1, 2),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", 4, 11),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", 150, 400),
)
CONTEXT_TESTS = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 13, 16),
    ("1988-5", "C reactive protein [Mass/volume] in Serum or Plasma", "mg/L", 1, 4),
)
IRON_TESTS = (
    ("2276-4", "Ferritin [Mass/volume] in Serum or Plasma", "ng/mL", 60, 300),
    ("2502-3", "Iron saturation [Mass Fraction] in Serum or Plasma", "%", 21, 40),
)
# Mostly what no rule reads, and some that count as contributing factors, repeated as visits repeat them.
OTHER_CONDITIONS = (
    ("I10", "59621000", "Essential hypertension"),
    ("E78.5", "55822004", "Hyperlipidemia"),
    ("H25.9", "193570009", "Cataract"),
    ("H52.4", "41256004", "Presbyopia"),
    ("J30.9", "61582004", "Allergic rhinitis"),
    ("J45.909", "195967001", "Asthma"),
    ("K21.9", "235595009", "Gastroesophageal reflux disease"),
    ("L30.9", "43116000", "Eczema"),
    ("M17.9", "239873007", "Osteoarthritis of knee"),
    ("M54.50", "279039007", "Low back pain"),
    ("N39.0", "68566005", "Urinary tract infectious disease"),
    ("R05.9", "49727002", "Cough"),
)
OTHER_MEDICINES = (
    ("314076", "lisinopril 10 MG Oral Tablet"),
    ("617311", "atorvastatin 40 MG Oral Tablet"),
    ("860975", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"),
)
OTHER_PROCEDURES = (("73761001", "Colonoscopy"), ("80146002", "Excision of appendix"))


def request_body(size: int, today: date) -> bytes:
    """Return the JSON bytes of a patient-view call whose prefetch holds `size` resources."""
    dice = random.Random(SEED + size)  # noqa: S311 - a repeatable payload, nothing secret
    prefetch: dict[str, Any] = {"patient": _patient()}
    deciding = {"ironResults": 1, "conditions": 1, "medicationRequests": 1}
    left = size - 1 - sum(deciding.values())
    for name, share in MIX:
        count = round(left * share)
        entries = [_MAKERS[name](dice, today, f"{name}-{number}") for number in range(count)]
        entries.extend(_deciding(name, dice, today))
        dice.shuffle(entries)
        prefetch[name] = _bundle(entries)
    missing = size - _count(prefetch)
    for number in range(missing):
        _add(prefetch["laboratory"], _other_result(dice, today, f"extra-{number}"))
    for name in ("ironTreatmentStatements", "ironTreatmentRequests", "ironAdministrations", "ironOrders"):
        prefetch[name] = _bundle([])
    body = {
        "hook": "patient-view",
        "hookInstance": "0f3f1d9a-5a52-4d5d-8a83-2f0d4f9f7a11",
        "fhirServer": SERVER,
        "context": {"userId": "Practitioner/bench", "patientId": PATIENT},
        "prefetch": prefetch,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _count(prefetch: dict[str, Any]) -> int:
    return 1 + sum(len(value["entry"]) for value in prefetch.values() if value["resourceType"] == "Bundle")


def _bundle(resources: list[Resource]) -> Resource:
    bundle: Resource = {
        "resourceType": "Bundle",
        "id": "bench",
        "type": "searchset",
        "total": len(resources),
        "entry": [],
    }
    for resource in resources:
        _add(bundle, resource)
    return bundle


def _add(bundle: Resource, resource: Resource) -> None:
    full_url = f"{SERVER}/{resource['resourceType']}/{resource['id']}"
    bundle["entry"].append({"fullUrl": full_url, "resource": resource, "search": {"mode": "match"}})


def _common(kind: str, name: str, words: str, profile: str) -> Resource:
    """Return what servers put on every resource: versions, tags, a short narrative, identifiers."""
    number = {"coding": [_coding(f"{TERMINOLOGY}v2-0203", "FILL", "Filler Identifier")]}
    return {
        "resourceType": kind,
        "id": name,
        "meta": {
            "versionId": "3",
            "lastUpdated": "2026-10-01T08:15:30.000+00:00",
            "source": "#ZmlsbGVyLW9mLXRoZS1iZW5jaA",
            "profile": [f"http://hl7.org/fhir/us/core/StructureDefinition/{profile}"],
            "security": [_coding(f"{TERMINOLOGY}v3-Confidentiality", "N", "normal")],
        },
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'},
        "identifier": [
            {"use": "official", "type": number, "system": f"{SERVER}/id/{kind.lower()}", "value": name},
            {"use": "secondary", "system": f"{SERVER}/id/legacy", "value": f"L-{name}"},
        ],
    }


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


def _subject() -> dict[str, str]:
    return {"reference": f"Patient/{PATIENT}", "display": "Bench, Pat"}


def _day(dice: random.Random, today: date, oldest: int) -> date:
    return today - timedelta(days=dice.randint(30, oldest))


def _patient() -> Resource:
    patient = _common("Patient", PATIENT, "Pat Bench", "us-core-patient")
    patient["active"] = True
    patient["name"] = [{"use": "official", "family": "Bench", "given": ["Pat"]}]
    patient["gender"] = "male"
    patient["birthDate"] = "1970-01-01"
    patient["address"] = [{"use": "home", "line": ["1 Example Way"], "city": "Sampletown", "country": "US"}]
    return patient


def _result(name: str, test: tuple[str, str], value: float, unit: str, day: date) -> Resource:
    code, display = test
    result = _common("Observation", name, f"{display}: {value} {unit}", "us-core-observation-lab")
    category = _coding(f"{TERMINOLOGY}observation-category", "laboratory", "Laboratory")
    result["status"] = "final"
    result["category"] = [{"coding": [category], "text": "Laboratory"}]
    result["code"] = {
        "coding": [_coding(LOINC, code, display), _coding(f"{SERVER}/id/test", f"T{code[:4]}", "in-house")],
        "text": display,
    }
    result["subject"] = _subject()
    result["encounter"] = {"reference": "Encounter/bench-visit"}
    result["effectiveDateTime"] = f"{day.isoformat()}T08:30:00+00:00"
    result["issued"] = f"{day.isoformat()}T12:00:00.000+00:00"
    result["performer"] = [{"reference": "Organization/bench-laboratory", "display": "Bench laboratory"}]
    quantity: Resource = {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    result["valueQuantity"] = {"value": value, **quantity}
    normal = _coding(f"{TERMINOLOGY}v3-ObservationInterpretation", "N", "Normal")
    result["interpretation"] = [{"coding": [normal]}]
    result["specimen"] = {"reference": f"Specimen/{name}", "display": "Serum"}
    result["referenceRange"] = [{"low": {"value": 1, **quantity}, "high": {"value": 400, **quantity}}]
    return result


def _some_result(
    tests: tuple[tuple[str, str, str, int, int], ...], oldest: int
) -> Callable[[random.Random, date, str], Resource]:
    def make(dice: random.Random, today: date, name: str) -> Resource:
        code, display, unit, low, high = dice.choice(tests)
        value = round(dice.uniform(low, high), 1)
        return _result(name, (code, display), value, unit, _day(dice, today, oldest))

    return make


_other_result = _some_result(OTHER_TESTS, 1500)


def _condition(dice: random.Random, today: date, name: str) -> Resource:
    return _condition_of(name, dice.choice(OTHER_CONDITIONS), _day(dice, today, 3000))


def _condition_of(name: str, codes: tuple[str, str, str], day: date) -> Resource:
    icd, snomed, display = codes
    system = f"{TERMINOLOGY}condition-"
    condition = _common("Condition", name, display, "us-core-condition-problems-health-concerns")
    condition["clinicalStatus"] = {"coding": [_coding(f"{system}clinical", "active", "Active")]}
    condition["verificationStatus"] = {"coding": [_coding(f"{system}ver-status", "confirmed", "Confirmed")]}
    condition["category"] = [
        {"coding": [_coding(f"{system}category", "problem-list-item", "Problem List Item")]}
    ]
    condition["code"] = {
        "coding": [
            _coding("http://snomed.info/sct", snomed, display),
            _coding("http://hl7.org/fhir/sid/icd-10-cm", icd, display),
        ],
        "text": display,
    }
    condition["subject"] = _subject()
    condition["onsetDateTime"] = day.isoformat()
    condition["recordedDate"] = day.isoformat()
    condition["recorder"] = {"reference": "Practitioner/bench", "display": "Bench, Doctor"}
    return condition


def _medicine(kind: str, profile: str) -> Callable[[random.Random, date, str], Resource]:
    def make(dice: random.Random, today: date, name: str) -> Resource:
        return _medicine_of(kind, profile, name, dice.choice(OTHER_MEDICINES), _day(dice, today, 900))

    return make


def _medicine_of(kind: str, profile: str, name: str, drug: tuple[str, str], day: date) -> Resource:
    code, display = drug
    medicine = _common(kind, name, display, profile)
    rxnorm = _coding("http://www.nlm.nih.gov/research/umls/rxnorm", code, display)
    medicine["status"] = "active"
    medicine["medicationCodeableConcept"] = {"coding": [rxnorm], "text": display}
    medicine["subject"] = _subject()
    dosage = {
        "sequence": 1,
        "text": "Take one tablet by mouth every morning",
        "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
        "asNeededBoolean": False,
        "route": {"coding": [_coding("http://snomed.info/sct", "26643006", "Oral route")], "text": "Oral"},
        "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
    }
    if kind == "MedicationRequest":
        medicine["intent"] = "order"
        medicine["authoredOn"] = f"{day.isoformat()}T09:00:00+00:00"
        medicine["requester"] = {"reference": "Practitioner/bench", "display": "Bench, Doctor"}
        medicine["dosageInstruction"] = [dosage]
    else:
        medicine["effectivePeriod"] = {"start": day.isoformat()}
        medicine["dateAsserted"] = day.isoformat()
        medicine["dosage"] = [dosage]
    return medicine


_request = _medicine("MedicationRequest", "us-core-medicationrequest")


def _procedure(dice: random.Random, today: date, name: str) -> Resource:
    code, display = dice.choice(OTHER_PROCEDURES)
    procedure = _common("Procedure", name, display, "us-core-procedure")
    procedure["status"] = "completed"
    procedure["code"] = {"coding": [_coding("http://snomed.info/sct", code, display)], "text": display}
    procedure["subject"] = _subject()
    procedure["performedDateTime"] = f"{_day(dice, today, 3000).isoformat()}T10:00:00+00:00"
    procedure["note"] = [{"text": "Uneventful. " * 20}]
    return procedure


def _allergy(dice: random.Random, today: date, name: str) -> Resource:
    allergy = _common("AllergyIntolerance", name, "Penicillin", "us-core-allergyintolerance")
    system = f"{TERMINOLOGY}allergyintolerance-"
    allergy["clinicalStatus"] = {"coding": [_coding(f"{system}clinical", "active", "Active")]}
    allergy["verificationStatus"] = {"coding": [_coding(f"{system}verification", "confirmed", "Confirmed")]}
    rxnorm = _coding("http://www.nlm.nih.gov/research/umls/rxnorm", "7984", "penicillin V")
    allergy["code"] = {"coding": [rxnorm], "text": "Penicillin"}
    allergy["patient"] = _subject()
    allergy["recordedDate"] = _day(dice, today, 3000).isoformat()
    allergy["note"] = [{"text": "Rash after a course in childhood, details not known. " * 8}]
    return allergy


def _deciding(name: str, dice: random.Random, today: date) -> list[Resource]:
    recent = today - timedelta(days=7)
    if name == "ironResults":
        code, display, unit = IRON_TESTS[0][:3]
        return [_result("deciding-ferritin", (code, display), 20, unit, recent)]
    if name == "conditions":
        return [
            _condition_of("deciding-rls", ("G25.81", "32914008", "Restless legs"), _day(dice, today, 900))
        ]
    if name == "medicationRequests":
        drug = ("312941", "sertraline 50 MG Oral Tablet")
        profile = "us-core-medicationrequest"
        return [_medicine_of("MedicationRequest", profile, "deciding-sertraline", drug, recent)]
    return []


_MAKERS: dict[str, Callable[[random.Random, date, str], Resource]] = {
    "ironResults": _some_result(IRON_TESTS, 1500),
    "contextResults": _some_result(CONTEXT_TESTS, 1500),
    "laboratory": _other_result,
    "conditions": _condition,
    "medicationRequests": _request,
    "medicationStatements": _medicine("MedicationStatement", "us-core-medicationstatement"),
    "procedures": _procedure,
    "allergies": _allergy,
}
