"""The file of a site's code map: what it maps, and that any fault refuses the whole of it by its place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cds_service.knowledge import load
from cds_service.knowledge.code_map import EMPTY, CodeKind, CodeMap, MappedCode
from cds_service.knowledge.code_map_file import CodeMapError, read_code_map, target_name
from cds_service.knowledge.terminology import ATC, ICD_10_CM, LOINC, RXNORM, SNOMED_CT

TERMS = load().terminology
LABORATORY, ORDER, MEDICINE, PROBLEM = CodeKind
LAB, DRUGS, PROBLEMS = "urn:oid:2.999.1", "urn:oid:2.999.2", "https://north.example.org/problems"
LEVODOPA_WITH_CARBIDOPA = "197443"  # a clinical drug
HEADER = "kind,system,code,target_system,target_code,unit,display\n"
DOCUMENT = Path(__file__).parents[2] / "docs" / "code-map.md"

CODES = (
    MappedCode(LABORATORY, LAB, "FERR", LOINC, "2276-4", "ug/L"),
    MappedCode(LABORATORY, "", "TSAT", LOINC, "2502-3"),
    MappedCode(ORDER, LAB, "IRONP", LOINC, "50190-8"),
    MappedCode(MEDICINE, DRUGS, "8812", ATC, "N06AB06"),
    MappedCode(MEDICINE, DRUGS, "8813", RXNORM, "36437"),
    MappedCode(PROBLEM, PROBLEMS, "P77", ICD_10_CM, "G25.81"),
    MappedCode(PROBLEM, PROBLEMS, "P78", SNOMED_CT, "32914008"),
    MappedCode(PROBLEM, PROBLEMS, "P90", ICD_10_CM, "O80"),
)
ROWS = f"""\
laboratory,{LAB},FERR,LOINC,2276-4,ug/L,"Ferritin, serum"
laboratory,,TSAT,http://loinc.org,2502-3,,
order,{LAB},IRONP,LOINC,50190-8,,

medicine,{DRUGS},8812,atc,N06AB06,,Sertraline
medicine,{DRUGS},8813,RxNorm,36437,,
problem,{PROBLEMS},P77,ICD-10-CM,G25.81,,
problem, {PROBLEMS} , P78 ,SNOMED CT,32914008,,
problem,{PROBLEMS},P90,urn:oid:2.16.840.1.113883.6.90,O80,,
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(CodeMapError) as caught:
        read_code_map(text, TERMS)
    assert str(caught.value) == "; ".join(caught.value.faults)
    return list(caught.value.faults)


def row(
    kind: str = "laboratory",
    system: str = LAB,
    code: str = "X",
    target_system: str = "LOINC",
    target_code: str = "2276-4",
    unit: str = "",
) -> str:
    return f"{HEADER}{kind},{system},{code},{target_system},{target_code},{unit},\n"


# -------------------------------------------------------------------------------------------------- CSV
@pytest.mark.parametrize(
    "change", [str, lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")]
)
def test_a_csv_file_maps_each_row(change: Any) -> None:
    assert read_code_map(change(HEADER + ROWS), TERMS).codes == CODES


def test_columns_stand_in_any_order_and_the_optional_ones_may_be_left_out() -> None:
    text = f"target_code,target_system,code,system,kind\n2276-4,LOINC,FERR,{LAB},laboratory\n"
    assert read_code_map(text, TERMS).codes == (MappedCode(LABORATORY, LAB, "FERR", LOINC, "2276-4"),)


def test_the_same_row_twice_is_one() -> None:
    line = f"laboratory,{LAB},FERR,LOINC,2276-4,ug/L,\n"
    assert len(read_code_map(HEADER + line + line, TERMS).codes) == 1


def test_one_code_may_be_a_test_an_order_and_a_medicine() -> None:
    text = (
        f"{HEADER}laboratory,{LAB},7,LOINC,2498-4,,\n"
        f"order,{LAB},7,LOINC,50190-8,,\nmedicine,{LAB},7,ATC,N06AB06,,\n"
    )
    found = read_code_map(text, TERMS)
    targets = [one and one.target_code for one in (found.find(k, LAB, "7") for k in CodeKind)]
    assert targets == ["2498-4", "50190-8", "N06AB06", None]


HEADER_LACKS = "line 1: the header lacks {}; commas part its columns"
OWN_ALONE = "line 2: system: a code of a standard system means what that system says; map codes of your own"
UNKNOWN = "line 2: target_code: is not known to the knowledge base as "
NO_RESULT = UNKNOWN + "the result of a test that is read"
NO_SYSTEM = "line 2: target_system: must be LOINC or rls-iron-cds for kind laboratory"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", HEADER_LACKS.format("kind, system, code, target_system, target_code")),
        (
            "kind;system;code;target_system;target_code\n",
            HEADER_LACKS.format("kind, system, code, target_system, target_code"),
        ),
        ("kind,system,code,target_system\n", HEADER_LACKS.format("target_code")),
        (HEADER.replace("display", "note"), "line 1: no column is called like number 7"),
        (HEADER.replace("display", "unit"), "line 1: a column stands there twice"),
        (HEADER, "nothing is mapped"),
        (HEADER + "laboratory,x\n", "line 2: has 2 cells where the header has 7"),
        (HEADER + 'laboratory,"x\n', "line 2: not CSV: unexpected end of data"),
        (row(kind="lab"), "line 2: kind: must be one of laboratory, order, medicine, problem"),
        (row(kind=""), "line 2: kind: must be one of laboratory, order, medicine, problem"),
        (row(code=""), "line 2: code: is empty"),
        (row(code="9" * 201), "line 2: a cell is longer than 200 characters"),
        (row(system=LOINC), OWN_ALONE),
        (row(system="urn:oid:2.16.840.1.113883.6.1"), OWN_ALONE),
        (
            row(target_system="RxNorm", target_code="36437"),
            NO_SYSTEM,
        ),
        (row(target_system=""), NO_SYSTEM),
        (row(target_system="rls-iron-cds", target_code="2276-4"), NO_RESULT),
        (
            row(target_system="rls-iron-cds", target_code="caffeine-intake", unit="cups"),
            "line 2: unit: caffeine intake has none",
        ),
        (
            row(kind="order", target_system="ATC", target_code="N06AB06"),
            "line 2: target_system: must be LOINC for kind order",
        ),
        (row(kind="medicine"), "line 2: target_system: must be RxNorm or ATC for kind medicine"),
        (row(kind="problem"), "line 2: target_system: must be SNOMED CT or ICD-10-CM for kind problem"),
        (row(target_code=""), NO_RESULT),
        (row(target_code="2276-5"), NO_RESULT),
        # a goal, a panel, a test that is not read
        (row(target_code="86914-9"), NO_RESULT),
        (row(target_code="50190-8"), NO_RESULT),
        (row(kind="order", target_code="2502-3"), UNKNOWN + "an order of ferritin or of the iron panel"),
        (
            row(kind="medicine", target_system="ATC", target_code="A10BA02"),
            UNKNOWN + "a medicine of its lists",
        ),
        (row(kind="medicine", target_system="RxNorm", target_code="1"), UNKNOWN + "a medicine of its lists"),
        (
            row(kind="problem", target_system="ICD-10-CM", target_code="J06.9"),
            UNKNOWN + "a problem or procedure that is read",
        ),
        (row(unit="mmol"), "line 2: unit: must be one of ng/mL, ug/L, ug/dL, mg/L, pmol/L, nmol/L"),
        (
            row(unit="pmol/L"),
            "line 2: unit: does not fit the target_code, which stands for mass concentrations",
        ),
        (row(target_code="82810-3", unit="1"), "line 2: unit: pregnancy status has none"),
        (row(kind="order", unit="ug/L"), "line 2: unit: a code of kind order has none"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, fault: str) -> None:
    (told,) = faults_of(text)
    assert told == fault


def test_every_fault_of_every_row_is_told_and_nothing_is_half_loaded() -> None:
    text = HEADER + ROWS + f"laboratory,{LOINC},,LOINC,1,,\nother,,,,,,\n"
    assert [fault.split(": ")[:2] for fault in faults_of(text)] == [
        ["line 11", "system"],
        ["line 11", "code"],
        ["line 11", "target_code"],
        ["line 12", "code"],
        ["line 12", "kind"],
    ]


@pytest.mark.parametrize("other", ["LOINC,20567-4,ug/L,", "LOINC,2276-4,ng/mL,", "LOINC,2276-4,,"])
def test_two_rows_that_contradict_each_other_are_refused(other: str) -> None:
    text = f"{HEADER}laboratory,{LAB},FERR,LOINC,2276-4,ug/L,\nlaboratory,{LAB},FERR,{other}\n"
    assert faults_of(text) == ["line 3: maps the code of line 2 to something else"]


def test_a_cell_of_200_characters_is_taken() -> None:
    (code,) = read_code_map(row(code="9" * 200), TERMS).codes
    assert code.code == "9" * 200


def test_a_row_with_a_fault_contradicts_no_other() -> None:
    text = row(unit="cups") + f"laboratory,{LAB},X,LOINC,2276-4,ug/L,\n"
    assert [fault.partition(";")[0].split(": ")[:2] for fault in faults_of(text)] == [["line 2", "unit"]]


def test_no_fault_repeats_what_the_file_holds() -> None:
    text = HEADER + "Jane Roe,Jane Roe,Jane Roe,Jane Roe,Jane Roe,Jane Roe,\n"
    assert "Jane" not in "".join(faults_of(text))


@pytest.mark.parametrize("unit", ["%", "1"])
def test_a_unit_of_the_analyte_is_taken(unit: str) -> None:
    (code,) = read_code_map(row(target_code="2502-3", unit=unit), TERMS).codes
    assert code.unit == unit


# ------------------------------------------------------------------------------------------- ConceptMap
def concept_map(**target: Any) -> dict[str, Any]:
    one = {"code": "2276-4", "equivalence": "equivalent"} | target
    element = {"code": "FERR", "target": [one]}
    return {
        "resourceType": "ConceptMap",
        "status": "active",
        "group": [{"source": LAB, "target": LOINC, "element": [element]}],
    }


@pytest.mark.parametrize("equivalence", ["equal", "equivalent", "wider", "subsumes"])
def test_a_concept_map_maps_what_is_the_same_or_narrower(equivalence: str) -> None:
    text = json.dumps(concept_map(equivalence=equivalence))
    assert read_code_map(text, TERMS).codes == (MappedCode(LABORATORY, LAB, "FERR", LOINC, "2276-4"),)


@pytest.mark.parametrize(
    ("system", "code", "kind"),
    [
        (LOINC, "2276-4", LABORATORY),
        (LOINC, "50190-8", ORDER),
        (RXNORM, "36437", MEDICINE),
        (ATC, "N06AB06", MEDICINE),
        (ICD_10_CM, "G25.81", PROBLEM),
        (SNOMED_CT, "32914008", PROBLEM),
    ],
)
def test_the_target_of_a_concept_map_tells_the_kind(system: str, code: str, kind: CodeKind) -> None:
    resource = concept_map(code=code)
    resource["group"][0]["target"] = system
    (found,) = read_code_map(json.dumps(resource), TERMS).codes
    assert (found.kind, found.target_system, found.target_code) == (kind, system, code)


def test_a_group_without_a_source_is_for_codings_without_a_system() -> None:
    resource = concept_map()
    del resource["group"][0]["source"]
    assert read_code_map(json.dumps(resource), TERMS).find(LABORATORY, "", "FERR") is not None


def with_member(path: str, name: str, value: Any) -> str:
    resource = concept_map()
    places = {
        "": resource,
        "group": resource["group"][0],
        "element": resource["group"][0]["element"][0],
        "target": resource["group"][0]["element"][0]["target"][0],
    }
    places[path][name] = value
    return json.dumps(resource)


TARGET = "group[0].element[0].target[0]"
NOT_UNDERSTOOD = "is not understood, so that its mappings cannot be used"
NARROWER = "the target is narrower, so that the local code may mean something else"
NOT_SAID = "does not say that the local code is the same as its target or narrower"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "line 1: not JSON"),
        ('{"a":\n\n', "line 3: not JSON"),
        ('{"a":' + "[" * 100_000, "not JSON"),
        ("{}", "resourceType: must be ConceptMap"),
        (with_member("", "status", "retired"), "status: a retired ConceptMap is not used"),
        (with_member("", "implicitRules", "x"), f"implicitRules: {NOT_UNDERSTOOD}"),
        (with_member("", "modifierExtension", [{}]), f"modifierExtension: {NOT_UNDERSTOOD}"),
        (with_member("group", "modifierExtension", [{}]), f"group[0].modifierExtension: {NOT_UNDERSTOOD}"),
        (with_member("target", "modifierExtension", [{}]), f"{TARGET}.modifierExtension: {NOT_UNDERSTOOD}"),
        (with_member("group", "unmapped", {"mode": "provided"}), f"group[0].unmapped: {NOT_UNDERSTOOD}"),
        (
            with_member("element", "modifierExtension", [{}]),
            f"group[0].element[0].modifierExtension: {NOT_UNDERSTOOD}",
        ),
        (with_member("target", "dependsOn", [{}]), f"{TARGET}.dependsOn: {NOT_UNDERSTOOD}"),
        (with_member("target", "product", [{}]), f"{TARGET}.product: {NOT_UNDERSTOOD}"),
        (with_member("", "group", []), "group: is missing or no list"),
        (with_member("", "group", [1]), "group[0]: is no object"),
        (with_member("group", "element", {}), "group[0].element: is missing or no list"),
        (with_member("element", "target", None), "group[0].element[0].target: is missing or no list"),
        (with_member("element", "code", ""), f"{TARGET}: code: is empty"),
        (with_member("target", "code", "1"), f"{TARGET}: target: is no code that the knowledge base reads"),
        (with_member("target", "equivalence", "narrower"), f"{TARGET}.equivalence: {NARROWER}"),
        (with_member("target", "equivalence", "specializes"), f"{TARGET}.equivalence: {NARROWER}"),
        *(
            (with_member("target", "equivalence", word), f"{TARGET}.equivalence: {NOT_SAID}")
            for word in ("relatedto", "inexact", "unmatched", "disjoint", "same")
        ),
        (with_member("target", "equivalence", None), f"{TARGET}.equivalence: is missing (FHIR R4 is read)"),
    ],
)
def test_a_fault_of_a_concept_map_is_told_with_its_place(text: str, fault: str) -> None:
    (told,) = faults_of(text)
    assert told == fault


def test_a_member_of_another_type_is_a_fault_of_its_own() -> None:
    assert faults_of(with_member("group", "source", 5)) == ["group[0].source: is no text"]
    assert faults_of(with_member("element", "code", 5)) == [
        "group[0].element[0].code: is no text",
        f"{TARGET}: code: is empty",
    ]


def test_a_target_that_is_not_taken_is_not_looked_up() -> None:
    text = with_member("target", "equivalence", "narrower").replace("2276-4", "1")
    assert faults_of(text) == [f"{TARGET}.equivalence: {NARROWER}"]


# ------------------------------------------------------------------------------------- what is mapped
@pytest.mark.parametrize(
    ("kind", "system", "code", "name"),
    [
        (LABORATORY, LOINC, "14723-1", "ferritin"),
        (LABORATORY, LOINC, "11778-8", "estimated delivery date"),
        (LABORATORY, SNOMED_CT, "2276-4", None),
        (ORDER, LOINC, "2276-4", "ferritin"),
        (MEDICINE, ATC, "N06AB06", "sertraline"),
        (MEDICINE, RXNORM, LEVODOPA_WITH_CARBIDOPA, "carbidopa / levodopa"),
        (PROBLEM, ICD_10_CM, "G25.81", "rls"),
        (PROBLEM, ICD_10_CM, "O99.01", "anemia_in_pregnancy, pregnancy_chapter"),
        (PROBLEM, ICD_10_CM, "A00", None),
    ],
)
def test_a_target_is_named_in_the_words_of_the_knowledge_base(
    kind: CodeKind, system: str, code: str, name: str | None
) -> None:
    assert target_name(kind, system, code, TERMS) == name


def test_a_map_without_codes_is_false_and_knows_nothing() -> None:
    assert not EMPTY
    assert EMPTY.find(LABORATORY, LAB, "FERR") is None
    assert list(EMPTY.of_kind(LABORATORY)) == []
    assert load().with_code_map(EMPTY) is load()
    assert TERMS.with_code_map(EMPTY) is TERMS


def test_a_laboratory_code_is_also_the_order_of_its_test() -> None:
    code_map = CodeMap.of(CODES)
    assert code_map
    assert code_map.find(ORDER, LAB, "FERR") == CODES[0]
    assert code_map.find(LABORATORY, LAB, "IRONP") is None
    assert code_map.find(LABORATORY, "", "FERR") is None
    assert code_map.find(PROBLEM, LAB, "FERR") is None


def test_a_coding_means_what_the_map_says_under_its_kind_alone() -> None:
    terms = TERMS.with_code_map(CodeMap.of(CODES))
    assert terms.meaning(LABORATORY, f" {LAB} ", " FERR ") == (LOINC, "2276-4", True, "ug/L")
    assert terms.meaning(MEDICINE, LAB, "FERR") == (LAB, "FERR", False, None)
    assert terms.meaning(LABORATORY, None, "TSAT") == (LOINC, "2502-3", True, None)
    assert terms.meaning(LABORATORY, LAB, "TSAT") == (LAB, "TSAT", False, None)
    assert terms.meaning(LABORATORY, "urn:oid:2.16.840.1.113883.6.1", "2276-4") == (
        LOINC,
        "2276-4",
        False,
        None,
    )
    assert terms.meaning(LABORATORY, None, None) == ("", "", False, None)


@pytest.mark.parametrize(
    ("token", "group"),
    [
        ("http://loinc.org|2276-4", "ferritin"),
        ("2276-4", "ferritin"),
        ("|2276-4", "ferritin"),
        (f"{LAB}|FERR", "ferritin"),
        ("FERR", "ferritin"),
        ("TSAT", "tsat"),
        (f"{DRUGS}|FERR", None),
        ("GLUC", None),
    ],
)
def test_a_search_token_names_a_group_also_by_a_local_code(token: str, group: str | None) -> None:
    assert TERMS.with_code_map(CodeMap.of(CODES)).searched_group(token) == group


# -------------------------------------------------------------------------------------------- examples
def test_the_examples_of_the_document_are_valid_and_map_the_same_codes() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    (table,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    (resource,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    by_csv = {(one.kind, one.key, one.target_code) for one in read_code_map(table, TERMS).codes}
    by_resource = {(one.kind, one.key, one.target_code) for one in read_code_map(resource, TERMS).codes}
    assert len(by_resource) > 1
    assert by_resource < by_csv
