"""Answers in codes and words: what is understood, and what stays neither yes nor no."""

import json
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.clinical.facts import Analyte, Facts, Result, Unreadable
from cds_service.clinical.interval import Interval
from cds_service.fhir import open_record
from cds_service.knowledge import Knowledge, load
from cds_service.knowledge.code_map_file import read_code_map
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from tests.unit.fhir_samples import LOINC, SNOMED_CT, Json, bundle, concept, observation


def facts_of(*resources: Json, knowledge: Knowledge | None = None) -> Facts:
    return open_record(
        json.dumps({"socialHistory": bundle(*resources)}).encode(),
        own_keys=PREFETCH_NEEDS,
        patient_id="p1",
        fhir_server=None,
        version_hint=None,
        knowledge=knowledge or load(),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    ).facts


def answer(code: Json | str, **value: Any) -> Result | None:
    resource = observation(code=concept(LOINC, code) if isinstance(code, str) else code, valueQuantity=None)
    found = facts_of(resource | value).results
    assert len(found) <= 1
    return found[0] if found else None


def says(result: Result | None) -> set[str]:
    assert result is not None
    assert (result.unreadable is None) is bool(result.code)
    return set(result.code)


SMOKING, CAFFEINE, GENE = "72166-2", {"text": "Caffeine intake"}, "48018-6"


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ({"valueCodeableConcept": concept(SNOMED_CT, "449868002")}, {"current_smoker"}),
        ({"valueCodeableConcept": concept(LOINC, "LA18977-1")}, {"current_smoker"}),
        ({"valueCodeableConcept": concept(LOINC, "LA15920-4")}, {"former_smoker"}),
        ({"valueCodeableConcept": {"text": "Never smoker"}}, {"never_smoker"}),
        ({"valueString": " Former smoker. "}, {"former_smoker"}),
        # The code decides before the words.
        ({"valueCodeableConcept": concept(SNOMED_CT, "8517006", "Current smoker")}, {"former_smoker"}),
        ({"valueCodeableConcept": concept(SNOMED_CT, "266927001")}, set()),
        ({"valueCodeableConcept": concept("urn:site", "7")}, set()),
        ({"valueString": "smokes at weekends, used to smoke more"}, set()),
        ({"valueString": "x" * 300}, set()),
        (
            {
                "valueCodeableConcept": {
                    "coding": [
                        {"system": SNOMED_CT, "code": "449868002"},
                        {"system": SNOMED_CT, "code": "266919005"},
                    ]
                }
            },
            set(),
        ),
    ],
)
def test_smoking(value: Json, meaning: set[str]) -> None:
    assert says(answer(SMOKING, **value)) == meaning


@pytest.mark.parametrize("value", [{}, {"valueString": "  "}, {"valueCodeableConcept": {}}])
def test_no_answer_is_no_result(value: Json) -> None:
    assert answer(SMOKING, **value) is None


@pytest.mark.parametrize(
    ("value", "meaning", "shown"),
    [
        ({"valueQuantity": {"value": 3, "unit": "cups/day"}}, {"yes"}, "3 cups/day"),
        ({"valueQuantity": {"value": 0, "unit": "mg/d"}}, {"no"}, "0 mg/d"),
        ({"valueQuantity": {"value": 1, "comparator": "<"}}, set(), "<1"),
        ({"valueQuantity": {"value": "a lot"}}, set(), "a lot"),
        ({"valueInteger": 2}, {"yes"}, "2"),
        ({"valueBoolean": True}, {"yes"}, "yes"),
        ({"valueBoolean": False}, {"no"}, "no"),
        ({"valueCodeableConcept": {"text": "Denies"}}, {"no"}, "Denies"),
        ({"valueString": "coffee, sometimes"}, set(), "coffee, sometimes"),
    ],
)
def test_caffeine_of_any_unit_or_in_words(value: Json, meaning: set[str], shown: str) -> None:
    found = answer(CAFFEINE, **value)
    assert says(found) == meaning
    assert found is not None
    assert found.shown == shown


@pytest.mark.parametrize("words", ["Positive", "POS", "Detected", "positive (qualifier value)"])
def test_a_positive_pregnancy_test(words: str) -> None:
    assert says(answer("2106-3", valueCodeableConcept={"text": words})) == {"positive"}


@pytest.mark.parametrize("words", ["Negative", "not detected"])
def test_a_negative_pregnancy_test(words: str) -> None:
    assert says(answer("2106-3", valueString=words)) == {"negative"}


@pytest.mark.parametrize("words", ["false positive suspected", "invalid", "see comment"])
def test_a_pregnancy_test_in_other_words(words: str) -> None:
    found = answer("2106-3", valueString=words)
    assert found is not None
    assert found.unreadable is Unreadable.NOT_A_NUMBER


def test_a_gene_by_its_code_and_by_its_name() -> None:
    coded = answer(
        GENE, valueCodeableConcept=concept("http://www.genenames.org/geneId", "HGNC:7013", "MEIS1")
    )
    named = answer({"text": "BTBD9 rs3923809"}, valueString="A/A")
    assert says(coded) == {"MEIS1"}
    assert says(named) == {"BTBD9"}
    assert coded is not None
    assert (coded.analyte, coded.shown) == (Analyte.GENE, "MEIS1")


@pytest.mark.parametrize("words", ["Negative", "Absent", "not detected"])
def test_a_gene_without_a_variant_is_no_finding(words: str) -> None:
    assert answer({"text": "MEIS1 variant"}, valueString=words) is None


def test_a_gene_in_a_component() -> None:
    component = [{"code": concept(LOINC, GENE), "valueCodeableConcept": {"text": "MAP2K5"}}]
    code: Json = {"text": "Genetic variant assessment"}
    assert says(answer(code, component=component, valueCodeableConcept={"text": "Present"})) == {"MAP2K5"}
    assert answer(code, component=component, valueCodeableConcept={"text": "Absent"}) is None


def test_a_site_maps_its_own_codes_to_what_has_no_standard_code() -> None:
    rows = "kind,system,code,target_system,target_code,unit,display\n" + "".join(
        f"laboratory,urn:oid:2.999.1,{code},rls-iron-cds,{target},,\n"
        for code, target in (("CAF", "caffeine-intake"), ("IRLS", "irls-total"))
    )
    knowledge = load().with_code_map(read_code_map(rows, load().terminology))
    coffee = observation("x", "o1", code=concept("urn:oid:2.999.1", "CAF"), valueQuantity={"value": 2})
    score = observation("x", "o2", code=concept("urn:oid:2.999.1", "IRLS"), valueQuantity={"value": 24})
    found = {one.analyte: one for one in facts_of(coffee, score, knowledge=knowledge).results}
    assert found[Analyte.CAFFEINE].code == {"yes"}
    assert found[Analyte.SEVERITY].interval == Interval.exactly(Decimal(24))
    assert {one.certainty.value for one in found.values()} == {"by code (site map)"}
    assert facts_of(coffee, score).results == ()
