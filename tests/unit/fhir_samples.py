"""Small records for the tests of reading: builders of resources, and a terminology of a dozen codes."""

import json
from typing import Any, ClassVar

from cds_service.clinical.facts import IronSearch, Need, NeedState
from cds_service.fhir.needs import NeedsTable
from cds_service.fhir.prefetch import Call, read_prefetch
from cds_service.knowledge.code_map import CodeKind, Meaning

Json = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SERVER = "https://ehr.example.org/fhir"
LAB_SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"
OLD_LAB_SYSTEM = "http://hl7.org/fhir/observation-category"

OWN_KEYS = {
    "patient": "patient",
    "ironResults": "ironResults",
    "contextResults": "contextResults",
    "conditions": "conditions",
    "medicationStatements": "medicationStatements",
    "medicationRequests": "medicationRequests",
    "ironTreatmentStatements": "ironTreatments",
    "ironTreatmentRequests": "ironTreatments",
    "ironAdministrations": "ironTreatments",
    "procedures": "procedures",
    "allergies": "allergies",
    "ironOrders": "ironOrders",
    "familyHistory": "familyHistory",
    "metabolicResults": "metabolicResults",
    "socialHistory": "socialHistory",
    "sleepDuration": "sleepDuration",
    "deviceUse": "deviceUse",
    "devices": "devices",
}

ANSWERED, CUT_OFF = NeedState.ANSWERED, NeedState.CUT_OFF
FAILED, NOT_ASKED = NeedState.FAILED, NeedState.NOT_ASKED
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1971-03-02"}


class SmallTerminology:
    """The part of the knowledge base's terminology that reading asks, with a few codes."""

    _observations: ClassVar[dict[str, str | None]] = {
        "2276-4": "ferritin",
        "14723-1": "ferritin_molar",
        "86914-9": "ferritin_EXCLUDE",
        "2502-3": "tsat",
        "2498-4": "iron_mass",
        "1988-5": "crp",
        "718-7": "hemoglobin",
        "82810-3": "pregnancy_status",
        "2951-2": None,
        "8302-2": "vitals_context",
    }

    def normalise_system(self, uri: str) -> str:
        oids = {"urn:oid:2.16.840.1.113883.6.1": LOINC, "urn:oid:2.16.840.1.113883.6.90": ICD_10_CM}
        return oids.get(uri, uri)

    has_snomed = True

    def meaning(self, _kind: CodeKind, system: str | None, code: str | None) -> Meaning:
        return Meaning(self.normalise_system(system or ""), (code or "").strip())

    def searched_group(self, token: str) -> str | None:
        system, _, code = token.rpartition("|")
        return self.observation_group(self.normalise_system(system) or LOINC, code)

    def is_obstetric(self, system: str, code: str) -> bool:
        return system == ICD_10_CM and code.startswith(("O", "Z37", "Z39"))

    def observation_group(self, system: str, code: str) -> str | None:
        return self._observations.get(code) if system == LOINC else None

    def observation_group_by_text(self, text: str) -> str | None:
        return "ferritin" if "ferritin" in text.lower() else None

    def condition_groups(self, system: str, code: str) -> frozenset[str]:
        if system == ICD_10_CM and code.replace(".", "").startswith("G2581"):
            return frozenset({"rls"})
        return frozenset({"diabetes"}) if (system, code) == (SNOMED_CT, "73211009") else frozenset()

    def condition_groups_by_text(self, text: str) -> frozenset[str]:
        return frozenset({"rls"}) if "restless leg" in text.lower() else frozenset()

    def is_family_history_text_of_rls(self, text: str) -> bool:
        return text.lower().startswith("family history of restless")

    def is_family_history_of_rls_denied(self, text: str) -> bool:
        return text.lower().startswith("no family history of restless")

    def is_order_code(self, system: str, code: str) -> str | None:
        return "ferritin" if (system, code) == (LOINC, "2276-4") else None

    def drug_by_rxnorm(self, code: str) -> str | None:
        return "sertraline" if code == "36437" else None

    def drug_by_atc(self, code: str) -> str | None:
        return "sertraline" if code == "N06AB06" else None

    def drug_by_text(self, text: str) -> str | None:
        return "sertraline" if "sertraline" in text.lower() else None

    def is_medicine_readable(self, text: str) -> bool:
        return bool(text.strip())


def concept(system: str, code: str, text: str | None = None) -> Json:
    coded: Json = {"coding": [{"system": system, "code": code}]}
    return coded if text is None else coded | {"text": text}


def subject(patient: str = "p1") -> Json:
    return {"reference": f"Patient/{patient}"}


def observation(loinc: str = "2276-4", resource_id: str | None = "o1", **members: Any) -> Json:
    resource = {
        "resourceType": "Observation",
        "id": resource_id,
        "status": "final",
        "code": concept(LOINC, loinc),
        "subject": subject(),
        "effectiveDateTime": "2026-11-01",
        "valueQuantity": {"value": 20, "unit": "ng/mL"},
    }
    return _without_none(resource | members)


def laboratory(system: str = LAB_SYSTEM) -> list[Json]:
    return [{"coding": [{"system": system, "code": "laboratory"}]}]


def condition(icd: str = "G25.81", resource_id: str | None = "c1", **members: Any) -> Json:
    resource = {
        "resourceType": "Condition",
        "id": resource_id,
        "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "code": concept(ICD_10_CM, icd),
        "subject": subject(),
    }
    return _without_none(resource | members)


def medicine(kind: str = "MedicationStatement", resource_id: str | None = "m1", **members: Any) -> Json:
    resource = {
        "resourceType": kind,
        "id": resource_id,
        "status": "active",
        "medicationCodeableConcept": concept(RXNORM, "36437", "sertraline 50 MG"),
        "subject": subject(),
    }
    return _without_none(resource | members)


def bundle(*resources: Any, **members: Any) -> Json:
    """A searchset with one entry for each resource; other members as given."""
    entries = [
        {"fullUrl": f"{SERVER}/{r.get('resourceType')}/{r.get('id')}", "resource": r}
        if isinstance(r, dict)
        else r
        for r in resources
    ]
    filled = {"resourceType": "Bundle", "type": "searchset", "entry": entries} | members
    return _without_none(filled if entries or "entry" in members else filled | {"entry": None})


def outcome(*severities: str) -> Json:
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": "processing"} for severity in severities],
    }


def link(relation: str, url: str) -> Json:
    return {"relation": relation, "url": url}


def read(prefetch: Json | None, hint: str | None = None, server: str | None = SERVER) -> NeedsTable:
    body = None if prefetch is None else json.dumps(prefetch).encode()
    return read_prefetch(body, Call(OWN_KEYS, "p1", server, hint), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it


def state(prefetch: Json | None, need: Need) -> NeedState:
    return read(prefetch).states[need]


def iron(prefetch: Json) -> tuple[NeedState, NeedState, NeedState]:
    """The states of ferritin, transferrin saturation and CRP."""
    searches = read(prefetch).iron_searches
    return searches[IronSearch.FERRITIN], searches[IronSearch.TSAT], searches[IronSearch.CRP]


def _without_none(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if value is not None}
