"""Local codes that only words told: which are listed, under which name, and that none holds free text."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cds_service.fhir import Record, UnmappedCode, open_record, unmapped_codes
from cds_service.knowledge import load
from cds_service.knowledge.code_map import EMPTY, CodeKind, CodeMap, MappedCode
from tests.unit.fhir_samples import ICD_10_CM, LOINC, OWN_KEYS, PATIENT, RXNORM, Json, bundle, subject

LAB, DRUGS, PROBLEMS = "urn:oid:1.2.36.1.1", "urn:oid:1.2.36.1.2", "urn:oid:1.2.36.1.3"
LABORATORY, ORDER, MEDICINE, PROBLEM = CodeKind


def record_of(*resources: Json, code_map: CodeMap = EMPTY) -> Record:
    return open_record(
        msgspec.json.encode({"chart": bundle(PATIENT, *resources)}),
        own_keys=OWN_KEYS,
        patient_id="p1",
        fhir_server=None,
        version_hint=None,
        knowledge=load().with_code_map(code_map),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    )


def coded(*codings: tuple[str | None, str, str | None], text: str | None = None) -> Json:
    made: Json = {
        "coding": [
            {name: value for name, value in zip(("system", "code", "display"), one, strict=True) if value}
            for one in codings
        ]
    }
    return made if text is None else made | {"text": text}


def result(code: Json, resource_id: str = "o1", **members: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": resource_id,
        "status": "final",
        "subject": subject(),
        "effectiveDateTime": "2026-11-01",
        "valueQuantity": {"value": 20, "unit": "ng/mL"},
        "code": code,
    } | members


def of_patient(resource_type: str, **members: Any) -> Json:
    return {"resourceType": resource_type, "id": "x1", "subject": subject()} | members


def test_the_same_code_of_several_results_is_one_line_with_its_count() -> None:
    first = result(coded((LAB, "FER", "Ferritin")), "o1")
    second = result(coded((LAB, "FER", "Ferritin (serum)")), "o2")
    other = result(coded((None, "TSAT", None), text="Transferrin saturation"), "o3")
    assert unmapped_codes(record_of(first, other, second)) == (
        UnmappedCode(LABORATORY, LAB, "FER", "ferritin", 2, "ferritin"),
        UnmappedCode(LABORATORY, "", "TSAT", "tsat", 1, "tsat"),
    )


@pytest.mark.parametrize(
    ("resource", "listed"),
    [
        (
            of_patient("Condition", code=coded((PROBLEMS, "P77", "Restless legs syndrome"))),
            (PROBLEM, PROBLEMS, "P77", "rls", "rls"),
        ),
        (
            of_patient("Procedure", status="completed", code=coded((PROBLEMS, "HD", "Haemodialysis"))),
            (PROBLEM, PROBLEMS, "HD", "dialysis", "dialysis"),
        ),
        (
            of_patient(
                "MedicationStatement",
                status="active",
                medicationCodeableConcept=coded((DRUGS, "81", "Sertraline 50 mg tablets")),
            ),
            (MEDICINE, DRUGS, "81", "sertraline", "SSRI"),
        ),
        (
            of_patient(
                "MedicationRequest",
                status="active",
                intent="order",
                contained=[
                    {"resourceType": "Medication", "id": "m", "code": coded((DRUGS, "82", "Mirtazapine"))}
                ],
                medicationReference={"reference": "#m"},
            ),
            (MEDICINE, DRUGS, "82", "mirtazapine", "NASSA"),
        ),
        (
            of_patient("ServiceRequest", status="active", code=coded((LAB, "FER", "Ferritin"))),
            (ORDER, LAB, "FER", "ferritin", "ferritin"),
        ),
        (
            of_patient("ServiceRequest", status="active", code=coded((LAB, "FEP", "Iron studies"))),
            (ORDER, LAB, "FEP", "iron panel", "iron panel"),
        ),
        (
            {
                "resourceType": "AllergyIntolerance",
                "id": "a1",
                "patient": subject(),
                "code": coded((DRUGS, "9", "Iron sucrose")),
            },
            (MEDICINE, DRUGS, "9", "iron sucrose", "IV_IRON"),
        ),
        (
            {
                "resourceType": "FamilyMemberHistory",
                "id": "f1",
                "status": "completed",
                "patient": subject(),
                "relationship": {"text": "mother"},
                "condition": [{"code": coded((PROBLEMS, "P77", "Restless legs syndrome"))}],
            },
            (PROBLEM, PROBLEMS, "P77", "rls", "rls"),
        ),
    ],
    ids=lambda value: value.get("resourceType", "") if isinstance(value, dict) else "",
)
def test_every_kind_of_resource_is_looked_at(resource: Json, listed: tuple[Any, ...]) -> None:
    kind, system, code, looks_like, group = listed
    assert unmapped_codes(record_of(resource)) == (UnmappedCode(kind, system, code, looks_like, 1, group),)


def test_a_panel_names_the_code_of_each_part_apart() -> None:
    panel = result(
        coded((LAB, "PANEL", "Blood tests")),
        valueQuantity=None,
        component=[
            {"code": coded((LAB, "F", "Ferritin")), "valueQuantity": {"value": 20, "unit": "ng/mL"}},
            {"code": coded((LAB, "C", "CRP")), "valueQuantity": {"value": 2, "unit": "mg/L"}},
            {"code": coded((LAB, "G", "Glucose")), "valueQuantity": {"value": 90, "unit": "mg/dL"}},
        ],
    )
    assert {(one.code, one.looks_like) for one in unmapped_codes(record_of(panel))} == {
        ("F", "ferritin"),
        ("C", "crp"),
    }


def test_a_result_that_is_not_valid_fhir_is_listed_too() -> None:
    broken = result(coded((LAB, "FER", "Ferritin")), valueQuantity="20 ng/mL")
    assert [one.code for one in unmapped_codes(record_of(broken))] == ["FER"]


@pytest.mark.parametrize(
    "resource",
    [
        result(coded((LOINC, "2276-4", "Ferritin"), (LAB, "FER", "Ferritin"))),
        result({"text": "Ferritin"}),
        result(coded((LAB, "GLU", "Glucose"))),
        of_patient("Condition", code=coded((ICD_10_CM, "G25.81", None), (PROBLEMS, "P77", "Restless legs"))),
        of_patient("Condition", code=coded((ICD_10_CM, "R29.898", "Restless legs syndrome"))),
        of_patient(
            "MedicationStatement",
            status="active",
            medicationCodeableConcept=coded((RXNORM, "36437", None), (DRUGS, "81", "Sertraline")),
        ),
        of_patient(
            "ServiceRequest", status="active", code=coded((LOINC, "2276-4", None), (LAB, "F", "Ferritin"))
        ),
    ],
)
def test_what_a_standard_code_tells_or_no_local_code_carries_is_not_listed(resource: Json) -> None:
    assert unmapped_codes(record_of(resource)) == ()


def test_what_the_map_names_is_not_listed() -> None:
    code_map = CodeMap.of([MappedCode(LABORATORY, LAB, "FER", LOINC, "2276-4")])
    record = record_of(result(coded((LAB, "FER", "Ferritin"))), code_map=code_map)
    assert unmapped_codes(record) == ()


@pytest.mark.parametrize("code", ["ferritin of Jane Roe", "x" * 61, "Größe"])
def test_what_does_not_look_like_a_code_is_counted_without_being_told(code: str) -> None:
    listed = unmapped_codes(record_of(result(coded((LAB, code, "Ferritin")))))
    assert listed == (UnmappedCode(LABORATORY, "", "", "ferritin", 1, "ferritin"),)


def test_of_a_reaction_on_the_problem_list_the_problem_is_listed() -> None:
    problem = of_patient("Condition", code=coded((PROBLEMS, "A1", "Allergy to iron dextran")))
    (found,) = unmapped_codes(record_of(problem))
    assert (found.kind, found.code, found.looks_like) == (PROBLEM, "A1", "adverse_effect_of_iron")


def test_of_an_allergy_the_substance_that_words_name_is_listed() -> None:
    reaction = {
        "resourceType": "AllergyIntolerance",
        "id": "a1",
        "patient": subject(),
        "code": coded((DRUGS, "7", "Reaction to an infusion")),
        "reaction": [{"substance": coded((DRUGS, "9", "Iron sucrose")), "manifestation": [{"text": "rash"}]}],
    }
    assert [one.code for one in unmapped_codes(record_of(reaction))] == ["9"]
