"""Which of a site's own codes the searches by code ask for."""

from cds_service.clinical.facts import Analyte
from cds_service.knowledge import load
from cds_service.knowledge.code_map import EMPTY, CodeKind, CodeMap, MappedCode
from cds_service.knowledge.terminology import LOINC, RESULT_GROUPS

LAB = "urn:oid:1.2.3.4"


def test_every_result_that_is_read_is_an_analyte_and_every_analyte_is_one() -> None:
    assert {Analyte(name) for name, _ in RESULT_GROUPS.values()} == set(Analyte)


def test_the_local_codes_of_results_are_sorted_by_what_they_measure() -> None:
    kinds = (
        (CodeKind.LABORATORY, LAB, "FER", "2276-4"),
        (CodeKind.LABORATORY, "", "FERM", "14723-1"),
        (CodeKind.LABORATORY, LAB, "HB", "718-7"),
        (CodeKind.ORDER, LAB, "PANEL", "50190-8"),
    )
    code_map = CodeMap.of(
        MappedCode(kind, system, code, LOINC, target) for kind, system, code, target in kinds
    )
    terminology = load().with_code_map(code_map).terminology
    assert terminology.local_results() == {
        "ferritin": [(LAB, "FER"), ("", "FERM")],
        "haemoglobin": [(LAB, "HB")],
    }
    assert load().with_code_map(EMPTY).terminology.local_results() == {}
