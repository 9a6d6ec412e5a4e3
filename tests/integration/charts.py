"""Patients of our own making, for what the fixtures do not show: many pages, wrong entries, references."""

from collections.abc import Sequence
from typing import Any

from tests.builders import Fact, RecordBuilder, patient

Json = dict[str, Any]

OLDER_RESULTS: list[Fact] = [
    {"ferritin": {"value": 20 + day, "date": f"2026-08-{day:02}"}} for day in range(1, 21)
]


def chart(name: str, facts: Sequence[Fact], *, is_female: bool = False) -> list[Json]:
    """Return a patient's resources from facts as the scenario files write them."""
    builder = RecordBuilder(name)
    for fact in facts:
        builder.add(fact)
    made = [patient(sex="female" if is_female else "male", patient_id=name)]
    made += [
        {**resource, "id": f"{name}-{resource['id']}"}
        for resources in builder.found.values()
        for resource in resources
    ]
    return made


def referring_chart(name: str, *, medicines: int) -> list[Json]:
    """Return a patient with RLS whose medicines are references; the last one worsens RLS."""
    made = chart(name, ["RLS", {"ferritin": 300}])
    for number in range(medicines):
        is_last = number == medicines - 1
        # As long as an id may be, so that a search for all of them outgrows a URL.
        own = f"{name}-{number}".ljust(64, "m")
        coding = (
            {"code": "312941", "display": "sertraline 50 MG Oral Tablet"}
            if is_last
            else {"code": "310798", "display": "hydrochlorothiazide 25 MG Oral Tablet"}
        )
        system = "http://www.nlm.nih.gov/research/umls/rxnorm"
        made.append(
            {"resourceType": "Medication", "id": own, "code": {"coding": [{"system": system, **coding}]}}
        )
        made.append(
            {
                "resourceType": "MedicationRequest",
                "id": f"{name}-order-{number}",
                "status": "active",
                "intent": "order",
                "subject": {"reference": f"Patient/{name}"},
                "authoredOn": "2026-10-01",
                "medicationReference": {"reference": f"Medication/{own}"},
            }
        )
    return made


def local_chart(name: str, *, code: Json, is_laboratory: bool = True) -> list[Json]:
    """Return a patient with RLS whose low ferritin has another code than those of LOINC."""
    made = chart(name, ["RLS", {"ferritin": 20}])
    for resource in made:
        if resource["resourceType"] == "Observation":
            resource["code"] = code
            kind = "laboratory" if is_laboratory else "vital-signs"
            system = "http://terminology.hl7.org/CodeSystem/observation-category"
            resource["category"] = [{"coding": [{"system": system, "code": kind}]}]
    return made
