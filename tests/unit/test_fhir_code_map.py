"""A site's own codes wherever records carry codes: what the map says of them, and what it does not change."""

from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cds_service.clinical.facts import (
    Analyte,
    Certainty,
    Facts,
    Interval,
    IronSearch,
    NeedState,
    ResultNote,
    Unreadable,
)
from cds_service.fhir import open_record
from cds_service.knowledge import load
from cds_service.knowledge.code_map import CodeKind, CodeMap, MappedCode
from cds_service.knowledge.terminology import ATC, ICD_10_CM, LOINC, RXNORM, SNOMED_CT
from tests.unit.fhir_samples import OWN_KEYS, PATIENT, Json, bundle, subject

LAB, DRUGS, PROBLEMS = "urn:oid:2.999.1", "urn:oid:2.999.2", "urn:oid:2.999.3"
LABORATORY, ORDER, MEDICINE, PROBLEM = CodeKind
MAP = CodeMap.of(
    [
        MappedCode(LABORATORY, LAB, "FERR", LOINC, "2276-4"),
        MappedCode(LABORATORY, LAB, "FERM", LOINC, "14723-1", "pmol/L"),
        MappedCode(LABORATORY, LAB, "TSAT", LOINC, "2502-3", "%"),
        MappedCode(LABORATORY, LAB, "PREG", LOINC, "82810-3"),
        MappedCode(LABORATORY, "", "BARE", LOINC, "2276-4"),
        MappedCode(ORDER, LAB, "IRONP", LOINC, "50190-8"),
        MappedCode(MEDICINE, DRUGS, "81", RXNORM, "36437"),
        MappedCode(MEDICINE, DRUGS, "82", ATC, "N06AX11"),
        MappedCode(MEDICINE, DRUGS, "83", ATC, "B03AC02"),
        MappedCode(MEDICINE, DRUGS, "84", ATC, "D04AA32"),
        MappedCode(PROBLEM, PROBLEMS, "P77", ICD_10_CM, "G25.81"),
        MappedCode(PROBLEM, PROBLEMS, "P78", SNOMED_CT, "32914008"),
        MappedCode(PROBLEM, PROBLEMS, "P90", ICD_10_CM, "O26.891"),
        MappedCode(PROBLEM, PROBLEMS, "GRAV", SNOMED_CT, "77386006"),
        MappedCode(PROBLEM, PROBLEMS, "HD", SNOMED_CT, "302497006"),
        MappedCode(PROBLEM, PROBLEMS, "ANA", SNOMED_CT, "39579001"),
        MappedCode(PROBLEM, LAB, "FERR", ICD_10_CM, "E11.9"),
    ]
)


def facts_of(
    *resources: Json, key: str = "chart", code_map: CodeMap = MAP, links: list[Json] | None = None
) -> Facts:
    value = bundle(*resources) | ({"link": links} if links else {})
    record = open_record(
        msgspec.json.encode({"patient": PATIENT, key: value}),
        own_keys=OWN_KEYS,
        patient_id="p1",
        fhir_server=None,
        version_hint=None,
        knowledge=load().with_code_map(code_map),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    )
    return record.facts


def coding(system: str | None, code: str, display: str | None = None) -> Json:
    members = {"system": system, "code": code, "display": display}
    return {name: value for name, value in members.items() if value is not None}


def local(code: str, system: str | None = LAB, *others: Json, text: str | None = None) -> Json:
    made: Json = {"coding": [coding(system, code), *others]}
    return made if text is None else made | {"text": text}


def result(code: Json, value: float | None = 20, unit: str | None = "ng/mL", **members: Any) -> Json:
    quantity = {"value": value} | ({"unit": unit} if unit else {})
    return {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "subject": subject(),
        "effectiveDateTime": "2026-11-01",
        "code": code,
        "valueQuantity": quantity,
    } | members


def of_patient(resource_type: str, **members: Any) -> Json:
    return {"resourceType": resource_type, "id": "x1", "subject": subject()} | members


def taking(code: Json, resource_type: str = "MedicationStatement", **members: Any) -> Json:
    return (
        of_patient(resource_type, status="active", intent="order", medicationCodeableConcept=code) | members
    )


# ---------------------------------------------------------------------------------------------- results
@pytest.mark.parametrize("code", [local("FERR"), local(" FERR "), local("BARE", None), local("BARE", "")])
def test_a_mapped_laboratory_code_is_a_result(code: Json) -> None:
    (found,) = facts_of(result(code)).results
    assert (found.analyte, found.interval) == (Analyte.FERRITIN, Interval.exactly(Decimal(20)))
    assert (found.certainty, found.notes) == (Certainty.SITE_MAP, frozenset())


@pytest.mark.parametrize("code", [local("BARE"), local("FERR", None), local("FERR", DRUGS), local("ferr")])
def test_a_code_of_another_system_or_spelling_is_not_mapped(code: Json) -> None:
    assert facts_of(result(code)).results == ()


def test_without_a_map_a_bare_local_code_is_no_result() -> None:
    assert facts_of(result(local("FERR")), code_map=CodeMap()).results == ()


def test_a_mapped_component_is_a_result() -> None:
    panel = of_patient(
        "Observation",
        status="final",
        effectiveDateTime="2026-11-01",
        code=local("PANEL"),
        component=[{"code": local("TSAT"), "valueQuantity": {"value": 18, "unit": "%"}}],
    )
    (found,) = facts_of(panel).results
    assert (found.analyte, found.certainty) == (Analyte.TSAT, Certainty.SITE_MAP)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_standard_code_beside_it_comes_first(*, is_first: bool) -> None:
    both = [coding(LOINC, "2502-3"), coding(LAB, "FERR")]
    (found,) = facts_of(result({"coding": both if is_first else both[::-1]}, 18, "%")).results
    assert (found.analyte, found.certainty) == (Analyte.TSAT, Certainty.CODED)


def test_a_mapped_code_comes_before_words() -> None:
    (found,) = facts_of(result(local("FERR", text="Iron"))).results
    assert (found.analyte, found.certainty) == (Analyte.FERRITIN, Certainty.SITE_MAP)


def test_a_treatment_goal_is_no_result_whatever_the_map_says() -> None:
    assert facts_of(result(local("FERR", LAB, coding(LOINC, "86914-9")))).results == ()


@pytest.mark.parametrize(
    ("code", "value", "unit", "canonical", "note"),
    [
        # 60 pmol/L / 2.247 = 26.70 ng/mL
        ("FERM", 60, None, Decimal("26.70"), ResultNote.UNIT_OF_SITE),
        ("FERM", 60, "pmol/L", Decimal("26.70"), None),
        ("FERM", 60, "ng/mL", Decimal(60), None),
        ("TSAT", 18, None, Decimal(18), ResultNote.UNIT_OF_SITE),
        # No unit in the map: the usual one of the LOINC code.
        ("FERR", 60, None, Decimal(60), ResultNote.UNIT_ASSUMED),
    ],
)
def test_a_unit_of_the_map_is_assumed_where_none_was_sent(
    code: str, value: Any, unit: str | None, canonical: Decimal, note: ResultNote | None
) -> None:
    (found,) = facts_of(result(local(code), float(value), unit)).results
    assert found.interval is not None
    assert found.interval.low is not None
    assert round(found.interval.low, 2) == round(canonical, 2)
    assert found.notes & {ResultNote.UNIT_OF_SITE, ResultNote.UNIT_ASSUMED} == ({note} if note else set())


def test_a_saturation_that_is_a_fraction_whatever_the_site_says_is_not_read() -> None:
    (found,) = facts_of(result(local("TSAT"), 0.3, None)).results
    assert found.unreadable is Unreadable.FRACTION


def test_a_unit_that_was_sent_and_not_understood_is_not_replaced() -> None:
    (found,) = facts_of(result(local("FERM"), 60, "mg/dose")).results
    assert found.unreadable is Unreadable.UNIT


def test_a_mapped_answer_is_a_coded_value() -> None:
    pregnant = result(local("PREG"), valueCodeableConcept=local("GRAV", PROBLEMS))
    del pregnant["valueQuantity"]
    (found,) = facts_of(pregnant).results
    assert (found.analyte, found.unreadable) == (Analyte.PREGNANCY_STATUS, None)
    assert "pregnancy" in found.code


def test_a_result_that_is_not_valid_fhir_stays_in_view() -> None:
    (found,) = facts_of(result(local("FERR"), valueQuantity="20 ng/mL")).results
    assert (found.analyte, found.unreadable) == (Analyte.FERRITIN, Unreadable.INVALID_RESOURCE)


# -------------------------------------------------------------------------------------- what is answered
def self_link(query: str) -> list[Json]:
    return [{"relation": "self", "url": f"https://ehr.example.org/fhir/Observation?{query}"}]


@pytest.mark.parametrize(
    ("query", "ferritin", "tsat"),
    [
        (f"code={LAB}|FERR", NeedState.ANSWERED, NeedState.NOT_ASKED),
        (f"code={LAB}%7CFERR,{LAB}%7CTSAT", NeedState.ANSWERED, NeedState.ANSWERED),
        ("code=TSAT", NeedState.NOT_ASKED, NeedState.ANSWERED),
        (f"code={LAB}|GLUC", NeedState.NOT_ASKED, NeedState.NOT_ASKED),
    ],
)
def test_an_empty_search_for_local_codes_answers_their_question(
    query: str, ferritin: NeedState, tsat: NeedState
) -> None:
    searches = facts_of(key="blood", links=self_link(query)).iron_searches
    assert (searches[IronSearch.FERRITIN], searches[IronSearch.TSAT]) == (ferritin, tsat)


def test_a_mixed_bundle_with_a_mapped_result_has_laboratory_results() -> None:
    facts = facts_of(result(local("TSAT"), 30, "%"), of_patient("Condition", code=local("P1", PROBLEMS)))
    assert facts.iron_searches[IronSearch.FERRITIN] is NeedState.ANSWERED


# ---------------------------------------------------------------------------------------------- problems
@pytest.mark.parametrize("code", ["P77", "P78"])
def test_a_mapped_problem_is_a_condition(code: str) -> None:
    (found,) = facts_of(of_patient("Condition", code=local(code, PROBLEMS))).conditions
    assert (found.groups, found.certainty) == ({"rls"}, Certainty.SITE_MAP)


def test_a_mapped_icd_code_is_one_of_the_codes_of_the_condition() -> None:
    (found,) = facts_of(of_patient("Condition", code=local("P90", PROBLEMS))).conditions
    assert (found.icd10_codes, found.certainty) == (("O26.891",), Certainty.SITE_MAP)


def test_a_condition_with_a_standard_code_too_is_by_code() -> None:
    code = local("P77", PROBLEMS, coding(SNOMED_CT, "32914008"))
    (found,) = facts_of(of_patient("Condition", code=code)).conditions
    assert found.certainty is Certainty.CODED


def test_a_code_of_another_kind_says_nothing_of_a_problem() -> None:
    assert facts_of(of_patient("Condition", code=local("TSAT"))).conditions == ()
    (found,) = facts_of(of_patient("Condition", code=local("FERR"))).conditions
    assert "diabetes" in found.groups


def test_a_mapped_procedure_is_one() -> None:
    done = of_patient(
        "Procedure", status="completed", performedDateTime="2026-11-01", code=local("HD", PROBLEMS)
    )
    (found,) = facts_of(done).procedures
    assert (found.groups, found.certainty) == ({"dialysis_procedure"}, Certainty.SITE_MAP)


def test_a_mapped_problem_of_a_relative_is_family_history() -> None:
    history = of_patient(
        "FamilyMemberHistory",
        patient=subject(),
        status="completed",
        relationship={"coding": [{"code": "MTH"}]},
        condition=[{"code": local("P77", PROBLEMS)}],
    )
    (found,) = facts_of(history).family
    assert (found.is_first_degree, found.certainty) == (True, Certainty.SITE_MAP)


# ---------------------------------------------------------------------------------------------- medicines
@pytest.mark.parametrize(
    "resource_type", ["MedicationStatement", "MedicationRequest", "MedicationAdministration"]
)
@pytest.mark.parametrize(("code", "name"), [("81", "sertraline"), ("82", "mirtazapine")])
def test_a_mapped_medicine_is_one(resource_type: str, code: str, name: str) -> None:
    (found,) = facts_of(taking(local(code, DRUGS), resource_type)).medicines
    assert [(part.name, part.certainty) for part in found.ingredients] == [(name, Certainty.SITE_MAP)]


def test_a_medication_resource_with_a_mapped_code_names_the_medicine() -> None:
    statement = taking(
        {},
        contained=[{"resourceType": "Medication", "id": "m", "code": local("81", DRUGS)}],
        medicationReference={"reference": "#m"},
    )
    del statement["medicationCodeableConcept"]
    facts = facts_of(statement)
    assert [part.name for medicine in facts.medicines for part in medicine.ingredients] == ["sertraline"]
    assert facts.unreadable_medicines == 0


def test_a_medicine_with_a_standard_code_too_is_by_code() -> None:
    (found,) = facts_of(taking(local("81", DRUGS, coding(RXNORM, "36437")))).medicines
    assert {part.certainty for part in found.ingredients} == {Certainty.CODED}


def test_a_mapped_atc_code_tells_the_route() -> None:
    (found,) = facts_of(taking(local("84", DRUGS))).medicines
    assert found.route.value == "topical"


# ------------------------------------------------------------------------------------ orders, allergies
@pytest.mark.parametrize("code", ["FERR", "FERM", "IRONP"])
def test_a_mapped_order_is_one(code: str) -> None:
    (found,) = facts_of(of_patient("ServiceRequest", status="active", code=local(code))).orders
    assert found.certainty is Certainty.SITE_MAP


def test_an_order_of_another_mapped_test_is_none_though_its_words_say_ferritin() -> None:
    order = of_patient("ServiceRequest", status="active", code=local("TSAT", text="Ferritin"))
    assert facts_of(order).orders == ()


def test_an_order_with_a_standard_code_too_is_by_code() -> None:
    order = of_patient("ServiceRequest", status="active", code=local("FERR", LAB, coding(LOINC, "2276-4")))
    (found,) = facts_of(order).orders
    assert found.certainty is Certainty.CODED


def allergy(code: Json, **members: Any) -> Json:
    return {"resourceType": "AllergyIntolerance", "id": "a1", "patient": subject(), "code": code} | members


def test_an_allergy_to_a_mapped_iron_is_one_with_its_mapped_manifestation() -> None:
    (found,) = facts_of(
        allergy(local("83", DRUGS), reaction=[{"manifestation": [local("ANA", PROBLEMS)]}])
    ).allergies
    assert (found.is_to_iv_iron, found.names_anaphylaxis) == (True, True)
    assert found.certainty is Certainty.SITE_MAP


def test_an_allergy_to_another_mapped_medicine_is_none_of_ours() -> None:
    assert facts_of(allergy(local("81", DRUGS))).allergies == ()
