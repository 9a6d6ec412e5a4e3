"""The crosscheck finds what it is there for; whether the two implementations agree is `make crosscheck`."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.crosscheck import build_codes, charts, generator, run, service, worked
from tests.crosscheck.probes import THRESHOLDS
from tests.crosscheck.run import CARDS, LEAST, Question

ASKED = [
    Question("worked case 1", {}, True, ["IRON-01:info"]),
    Question("seed 1 patient 1", {}, True),
]


def test_what_is_answered_alike_is_no_disagreement() -> None:
    said = {"worked case 1": ["IRON-01:info"], "seed 1 patient 1": ["DRUG-01:info", "IRON-03:warning"]}
    other = said | {"seed 1 patient 1": ["IRON-03:warning", "DRUG-01:info"]}
    assert run.disagreements(ASKED, said, other) == []


@pytest.mark.parametrize("theirs", [[], ["IRON-01:warning"], ["IRON-02:info"], ["error: no such element"]])
def test_another_card_indicator_or_an_error_is_a_disagreement(theirs: list[str]) -> None:
    said = {"worked case 1": ["IRON-01:info"], "seed 1 patient 1": ["IRON-01:info"]}
    (line,) = run.disagreements(ASKED, said, said | {"seed 1 patient 1": theirs})
    assert line.startswith("seed 1 patient 1: service ['IRON-01:info'], twin ")


def test_a_worked_case_that_both_answer_wrongly_is_a_disagreement() -> None:
    said = {"worked case 1": ["IRON-02:info"], "seed 1 patient 1": []}
    (line,) = run.disagreements(ASKED, said, said)
    assert line.endswith("written ['IRON-01:info']")


def test_counts_below_the_least_and_unknown_cards_fall_short() -> None:
    enough = Counter(dict.fromkeys(CARDS, LEAST))
    limits = {"ferritin 50, adult": (LEAST, LEAST, LEAST)}
    assert run.report_counts(enough, limits) == []
    assert run.report_counts(enough | {"HTTP 412": 1}, limits) == []
    short = run.report_counts(enough - Counter({"IRON-10": 1}) | {"IRON-99": 1}, limits)
    assert short == [f"IRON-10: {LEAST - 1} patients", "IRON-99: not a card of patient-view"]
    assert run.report_counts(enough, {"ferritin 50, adult": (LEAST, LEAST, LEAST - 1)})


def test_both_sides_of_each_threshold_are_counted() -> None:
    limit = THRESHOLDS[0]
    asked = [
        Question("a", {}, True, None, limit.name, limit.before),
        Question("b", {}, True, None, limit.name, limit.beyond),
    ]
    apart = run.threshold_counts(asked, {"a": ["IRON-03:warning"], "b": ["IRON-04:warning"]})
    alike = run.threshold_counts(asked, {"a": ["IRON-03:warning"], "b": ["IRON-03:warning"]})
    assert (apart[limit.name], alike[limit.name]) == ((1, 1, 1), (1, 1, 0))


def test_one_seed_makes_one_set_of_patients() -> None:
    numbers = (0, 1, generator.probes_total() + 7)
    made = [json.dumps(generator.patient(5, number).request) for number in numbers]
    assert made == [json.dumps(generator.patient(5, number).request) for number in numbers]
    assert made != [json.dumps(generator.patient(6, number).request) for number in numbers]


def test_the_two_sides_of_a_threshold_differ_in_little_else() -> None:
    for pair in range(0, generator.probes_total(), 2 * generator.PAIRS):
        before, beyond = (
            json.dumps(generator.patient(5, pair + side).request, indent=0).splitlines() for side in (0, 1)
        )
        differing = set(before) ^ set(beyond)
        assert 0 < len(differing) < len(before) / 2, THRESHOLDS[pair // 2 // generator.PAIRS].name


def test_every_worked_case_is_asked_or_left_out_for_a_reason() -> None:
    asked = {case.number.rstrip("abcd") for case in worked.cases()}
    assert asked | set(worked.LEFT_OUT) == {str(number) for number in range(1, 151)}
    assert not asked & set(worked.LEFT_OUT)
    assert all(worked.LEFT_OUT.values())


def test_the_driver_answers_as_the_written_cases_do() -> None:
    by_number = {case.number: case for case in worked.cases()}
    for number in ("3", "117", "105"):
        case = by_number[number]
        assert service.answer(case.request, is_screening_on=case.is_screening_on) == case.expected


def test_a_chart_says_what_was_not_read() -> None:
    failed = {"resourceType": "OperationOutcome", "issue": []}
    told = charts.chart_of("1", {"prefetch": {"ironResults": failed, "conditions": None}})["parameters"]
    assert told["Iron Search Complete"] is False
    assert told["Conditions Complete"] is True
    assert told["Patient Read"] is False


def test_a_chart_names_code_systems_one_way_and_holds_nothing_inside_others() -> None:
    inside = {
        "resourceType": "Medication",
        "id": "m",
        "code": {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.88"}]},
    }
    statement = {
        "resourceType": "MedicationStatement",
        "id": "s",
        "contained": [inside],
        "medicationReference": {"reference": "#m"},
    }
    sent = {"resourceType": "Bundle", "entry": [{"resource": statement}]}
    entries = charts.chart_of("1", {"prefetch": {"medicationStatements": sent}})["bundle"]["entry"]
    _, medication, taken = (entry["resource"] for entry in entries)
    assert medication["code"]["coding"] == [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm"}]
    assert taken["medicationReference"]["reference"] == f"Medication/{medication['id']}"


def test_classes_follow_route_dose_and_ingredient() -> None:
    row = {"system": build_codes.RXNORM, "display": "", "route": "oral", "ingredients_matched": ""}
    cream = row | {
        "group": "TCA",
        "display": "doxepin hydrochloride 50 MG/ML Topical Cream",
        "route": "topical",
    }
    tablet = row | {"group": "TCA", "display": "doxepin 3 MG Oral Tablet"}
    both = row | {
        "group": "ANTIPSYCH_ATYPICAL;SSRI",
        "display": "fluoxetine 25 MG / olanzapine 12 MG Oral Capsule",
    }
    carbidopa = row | {"group": "RLS_LEVODOPA", "display": "carbidopa 25 MG Oral Tablet"}
    spray = row | {"group": "DA_ANTIEMETIC", "display": "metoclopramide spray", "route": "nasal_inhaled"}
    drops = row | {
        "system": build_codes.ATC,
        "group": "ANTIHIST_SEDATING",
        "code": "S01GX08",
        "display": "ketotifen",
    }
    found = [list(build_codes.classes_of(one)) for one in (cream, tablet, both, carbidopa, spray, drops)]
    assert found == [[], ["ANTIHIST_SEDATING"], ["ANTIPSYCH_ATYPICAL", "SSRI"], [], ["DA_ANTIEMETIC"], []]


def test_the_lock_file_names_no_registry() -> None:
    lock = (Path(run.__file__).parent / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock
    assert '"integrity"' in lock
