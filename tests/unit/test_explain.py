"""Explanations: every rule with its outcome, every card that is not shown with its reason."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cds_service.assess import RequiredDataMissing
from cds_service.clinical.assessment import CardKey, Policy
from cds_service.clinical.inputs import INPUTS
from cds_service.explain import explain
from cds_service.explain.model import Explanation, json_schema
from cds_service.knowledge import load
from cds_service.knowledge.basis import basis_of
from cds_service.protocol.responses import CardsResponse, to_json
from tests.builders import TODAY, Fact, hook_request, prefetch
from tests.harness import service_in
from tests.scenarios.test_scenarios import SCENARIO, SCENARIOS, Scenario

RESULTS_ONLY = ["patient", "ironResults"]


def told(
    record: Sequence[Fact], *, of: Mapping[str, Any] | None = None, screening: bool = True, **how: Any
) -> Explanation:
    """Return the explanation of a record on the day of the scenarios."""
    body = hook_request(prefetch(record, of=of, **how))
    return explained(body, is_screening_on=screening)


def explained(body: Mapping[str, Any], *, is_screening_on: bool = True) -> Explanation:
    service = service_in("UTC", is_screening_on=is_screening_on)
    try:
        answer = service.view(body, is_explained=True)
    except RequiredDataMissing as error:
        answer = error.answer
    assert answer.explanation is not None
    return answer.explanation


def outcomes(explanation: Explanation) -> dict[str, str]:
    return {rule.id: rule.outcome for rule in explanation.rules}


def reasons(explanation: Explanation) -> dict[str, str]:
    return {card.card: card.reason for card in explanation.cards_not_shown}


def inputs(explanation: Explanation) -> dict[str, tuple[str, str]]:
    return {one.name: (one.presence, one.value) for one in explanation.inputs}


def plain(explanation: Explanation) -> Any:
    """Return an explanation as it goes over the wire."""
    sent = to_json(CardsResponse(cards=(), extension={"told": explanation.model_dump(by_alias=True)}))
    return json.loads(sent)["extension"]["told"]


# ---------------------------------------------------------------------------------- outcomes, by hand
CASES: list[tuple[str, Explanation, dict[str, str]]] = [
    (
        "a low saturation goes before the band of the ferritin",
        told(["RLS", {"ferritin": 80}, {"TSAT": "19.9"}]),
        {
            "IRON-11": "shown",
            "IRON-05": "held back",
            "IRON-04": "not met",
            "IRON-10": "not met",
            "IRON-14": "not met",
            "IRON-07": "not reached",
            "DRUG-01": "not met",
            "GATE-01": "not reached",
        },
    ),
    (
        "iron by mouth of 38 days ends the search",
        told(
            [
                "RLS",
                {"takes": {"drug": "ferrous sulfate", "since": "2026-10-15"}},
                {"ferritin": {"value": 40, "date": "2026-10-10"}},
            ]
        ),
        {"IRON-12": "not met", "IRON-12b": "not met", "IRON-03": "not reached", "IRON-01": "not reached"},
    ),
    (
        "overload goes before everything",
        told(["RLS", {"ferritin": 40}, {"TSAT": 46}]),
        {"IRON-14": "shown", "IRON-03": "held back"},
    ),
    (
        "an awaited test holds back the advice to test",
        told(["RLS", {"order": {"test": "ferritin", "authored": "2026-11-15"}}]),
        {"IRON-01": "held back", "IRON-02": "not met"},
    ),
    (
        "the problem list was not read and nothing opens the question",
        told([{"ferritin": 120}, {"TSAT": 30}], sends_only=RESULTS_ONLY),
        {"IRON-05": "not reached", "DRUG-01": "not reached", "SCREEN-01": "not reached"},
    ),
    (
        "the problem list was not read, and a low ferritin opens the question",
        told([{"ferritin": 40}], sends_only=RESULTS_ONLY),
        {"IRON-03": "shown", "DRUG-01": "not met", "DA-01": "not reached", "GATE-01": "not reached"},
    ),
    (
        "a proxy medicine goes before screening",
        told([{"takes": {"drug": "pramipexole"}}, {"ferritin": 12}]),
        {"GATE-01": "shown", "SCREEN-01": "held back", "IRON-03": "not reached"},
    ),
    (
        "screening is off",
        told([{"ferritin": 12}], screening=False),
        {"GATE-01": "not met", "SCREEN-01": "not reached"},
    ),
    (
        "limb movements alone have no medicine card",
        told(["PLMD", {"ferritin": 40}, {"takes": {"drug": "sertraline"}}]),
        {"IRON-03": "shown", "DRUG-01": "not reached", "DA-01": "not reached"},
    ),
    (
        "two values decide together in kidney failure",
        told(["RLS", {"diagnosis": "N18.6"}, {"ferritin": 60}, {"TSAT": 22}]),
        {"IRON-09": "not met", "IRON-04": "not reached"},
    ),
    (
        "a child",
        told(["RLS", {"ferritin": 40}], of={"born": "2015-01-01"}),
        {"IRON-07": "shown", "IRON-03": "not reached"},
    ),
    (
        "age near 18",
        told(["RLS", {"ferritin": 60}], of={"born": "2008-11"}),
        {"IRON-16": "shown", "IRON-03": "not met", "IRON-11": "not reached"},
    ),
    (
        "the patient is deceased",
        told(["RLS", {"ferritin": 12}], of={"deceased": "2026-10-02"}),
        {key.value: "not reached" for key in CardKey},
    ),
    (
        "refuted",
        told([{"RLS": {"verification": "refuted"}}, {"ferritin": 12}]),
        {key.value: "not reached" for key in CardKey},
    ),
    (
        "required data is missing and the diagnosis is on record",
        told(["RLS"], sends={"ironResults": "failed"}),
        {"DATA-01": "shown", "IRON-01": "not reached", "DRUG-01": "not reached"},
    ),
    (
        "required data is missing and no diagnosis is on record: status 412",
        told([], sends={"ironResults": "failed"}),
        {key.value: "not reached" for key in CardKey},
    ),
    (
        "a saturation that was not read would have decided, but a medicine card is there",
        told(
            ["RLS", {"ferritin": {"value": 120}}, {"takes": {"drug": "sertraline"}}],
            sends={"ironResults": "first page"},
        ),
        {"DRUG-01": "shown", "DATA-01": "held back"},
    ),
]


@pytest.mark.parametrize(("case", "explanation", "wanted"), CASES, ids=[case for case, *_ in CASES])
def test_a_rule_comes_out_as_it_must(case: str, explanation: Explanation, wanted: dict[str, str]) -> None:
    found = outcomes(explanation)
    assert {key: found[key] for key in wanted} == wanted, case


def test_the_reason_is_that_of_the_card_or_of_the_answer() -> None:
    told_ = told(["RLS", {"takes": {"drug": "ferrous sulfate", "since": "2026-10-15"}}])
    assert "oral iron for 38 days" in reasons(told_)["IRON-03"]
    assert reasons(told_)["IRON-12"] == "not all of its conditions hold"
    assert reasons(told_)["DA-01"] == "no current dopamine agonist or levodopa was found"
    assert reasons(told_)["GATE-01"] == "asked only where RLS is not recorded: it is documented"
    child = told(["RLS", {"ferritin": 60}], of={"born": "2015-01-01"})
    assert reasons(child)["IRON-04"] == "made for others: the patient's group is child"


# ------------------------------------------------------------------------------------------- inputs
def test_what_the_rules_read_is_told_by_name() -> None:
    found = inputs(
        told(
            [
                "RLS",
                {"ferritin": 140},
                {"CRP": {"value": 30, "date": "2026-11-03"}},
                {"takes": {"drug": "sertraline"}},
                {"order": {"test": "ferritin", "authored": "2026-11-15"}},
                {"diagnosis": "N18.4"},
            ]
        )
    )
    assert found["RLS status"] == ("present", "documented")
    assert found["patient group"] == ("present", "adult")
    assert found["ferritin"] == ("present", "140 ng/mL")
    assert found["transferrin saturation"] == ("absent", "")
    assert found["C-reactive protein"] == ("present", "30 mg/L")
    assert found["flagged medicines"] == ("present", "sertraline")
    assert found["iron test awaited"] == ("present", "1 awaited")
    assert found["linked findings"] == ("present", "SSRI antidepressant, kidney disease")
    assert found["iron by vein"] == ("absent", "")
    assert found["low phosphate"] == ("absent", "")


def test_what_was_not_read_is_unknown_and_never_absent() -> None:
    found = inputs(told([{"ferritin": 40}], sends_only=RESULTS_ONLY))
    assert {name for name, (presence, _) in found.items() if presence == "absent"} == {
        "transferrin saturation",
        "transferrin saturation of any time",
        "C-reactive protein",
        "pregnancy",
    }
    missing = inputs(told([], sends_only=["conditions"]))
    assert missing["required data"] == ("unknown", "not available: patient data, laboratory results")
    assert missing["ferritin"] == missing["C-reactive protein"] == ("unknown", "")


def test_a_result_known_by_its_name_alone_is_told_as_such() -> None:
    explanation = told(["RLS", {"ferritin": {"value": 60, "loinc": "none", "name": "Ferritin, serum"}}])
    (ferritin,) = (one for one in explanation.inputs if one.name == "ferritin")
    assert [seen.recognised for seen in ferritin.evidence] == ["by text"]


def test_treatment_skipped_results_and_safety_facts_are_inputs() -> None:
    explanation = told(
        [
            "RLS",
            {"given": {"drug": "ferric carboxymaltose", "date": "2026-09-20"}},
            {"ferritin": {"value": 60, "unit": "mmol/L", "date": "2026-11-18"}},
            {"ferritin": {"value": 50, "date": "2026-09-01", "status": "none"}},
            {"allergy": {"drug": "ferric carboxymaltose"}},
            {"allergy": {"drug": "ferrous sulfate"}},
            "PLMD",
        ]
    )
    found = inputs(explanation)
    assert found["iron by vein"] == ("present", "63 days ago")
    assert found["ferritin"] == ("unknown", "none readable")
    assert found["ferritin of any time"] == ("present", "50 ng/mL")
    assert found["allergy to iron by vein"] == ("present", "1 on record")
    assert found["allergy to iron by mouth"] == ("present", "1 on record")
    evidence = {one.name: [seen.text for seen in one.evidence] for one in explanation.inputs}
    assert evidence["ferritin of any time"] == [
        "ferritin 50 ng/mL, status unknown",
        "ferritin, skipped: unit not understood",
    ]
    assert evidence["iron by vein"] == ["ferric carboxymaltose, 2026-09-20"]


def test_the_inputs_of_the_knowledge_files_are_those_that_the_rules_have() -> None:
    named = {name for card in basis_of(load()).cards.values() for name in card.inputs}
    assert named <= set(INPUTS)
    assert set(INPUTS) - named == set()


# --------------------------------------------------------------------------------- of every scenario
# Walking the schema takes most of the time, and learns little from the seven others of eight.
HELD_AGAINST_SCHEMA = {scenario.case for scenario in SCENARIOS[::8]}


@SCENARIO
def test_every_explanation_is_whole_and_fits_its_schema(scenario: Scenario) -> None:
    explanation = explained(scenario.body, is_screening_on=scenario.is_screening_on)
    sent = plain(explanation)
    if scenario.case in HELD_AGAINST_SCHEMA:
        VALIDATOR.validate(sent)
    rules, knowledge = outcomes(explanation), load()
    assert set(rules) == set(knowledge.rules)
    assert len(explanation.rules) == len(rules)
    shown = list(scenario.cards)
    assert [card.card for card in explanation.cards] == shown
    assert {key for key in rules if key in set(CardKey) and rules[key] == "shown"} == set(shown)
    assert {card.card for card in explanation.cards_not_shown} == set(map(str, CardKey)) - set(shown)
    assert all(card.reason for card in explanation.cards_not_shown)
    assert [factor.id for factor in explanation.factors] == list(knowledge.factors)
    named = {name for rule in explanation.rules for name in rule.inputs}
    assert named == {one.name for one in explanation.inputs}
    assert {name for card in explanation.cards for name in card.rules} <= set(rules)
    assert {limit for rule in explanation.rules for limit in rule.limits} == {
        limit.id for limit in explanation.limits
    }


@pytest.mark.no_cover
def test_every_input_is_present_in_one_patient_or_another() -> None:
    found: set[str] = set()
    for scenario in SCENARIOS:
        explanation = explained(scenario.body, is_screening_on=scenario.is_screening_on)
        found |= {one.name for one in explanation.inputs if one.presence == "present"}
    assert set(INPUTS) - found == set()


SCHEMA = json.loads(files("cds_service.explain").joinpath("schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_shipped_schema_is_sound_and_current() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json_schema() == SCHEMA


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"group": "cat"},
        {"day": None},
        {"factors": [{"id": "iron.low"}]},
        {"limits": [{"id": "x", "value": "75", "unit": "", "check": "V1", "validFrom": "2026-11-22"}]},
    ],
)
def test_the_schema_refuses_what_is_no_explanation(change: Mapping[str, Any]) -> None:
    assert not VALIDATOR.is_valid(plain(told(["RLS"])) | dict(change))


def test_a_reader_of_the_schema_is_not_stopped_by_a_field_of_a_later_release() -> None:
    assert VALIDATOR.is_valid(plain(told(["RLS"])) | {"more": 1})


def properties(schema: Any) -> Iterator[str]:
    for part in (schema, *schema["$defs"].values()):
        yield from part["properties"]


def test_every_field_is_described() -> None:
    document = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    assert [name for name in properties(SCHEMA) if f"`{name}`" not in document] == []


# ------------------------------------------------------------------------------------- what it may tell
def test_text_of_the_record_is_made_harmless_and_cut() -> None:
    condition = {
        "diagnosis": {"code": "N18.4", "text": "<script>alert(1)</script> https://x.example " + "a" * 200}
    }
    sent = json.dumps(plain(told(["RLS", condition])), ensure_ascii=False)
    assert "<script" not in sent
    assert "https://x.example" not in sent
    assert "a" * 81 not in sent


def test_of_the_patient_no_id_is_told() -> None:
    sent = json.dumps(plain(told(["RLS", {"ferritin": 40}], of={"sex": "female"})))
    assert "scenario-patient" not in sent


def test_a_card_that_was_turned_down_is_not_shown_and_says_so() -> None:
    answer = service_in("UTC").view(hook_request(prefetch(["RLS", {"ferritin": 40}])))
    explanation = explain(
        answer.facts,
        answer.assessment,
        load(),
        today=TODAY,
        policy=Policy(),
        quiet={CardKey.IRON_03},
    )
    assert explanation.cards == ()
    assert outcomes(explanation)["IRON-03"] == "held back"
    assert reasons(explanation)["IRON-03"] == "this advice was turned down lately"


def test_project_rules_have_the_outcome_of_the_cards_that_name_them() -> None:
    explanation = told(["RLS", {"diagnosis": "N18.6"}])
    rules = {rule.id: rule for rule in explanation.rules}
    assert rules["P.result_window.esrd"].outcome == "shown"
    assert rules["P.screening"].outcome == "not reached"
    assert rules["P.screening"].reason == "named only on SCREEN-01"
    assert "linked findings" in rules["P.screening"].inputs


def test_a_factor_keeps_its_reason() -> None:
    answer = service_in("UTC").view(hook_request(prefetch(["RLS"])))
    first, *others = answer.assessment.factors
    assessment = replace(answer.assessment, factors=(replace(first, reason="why"), *others))
    explanation = explain(answer.facts, assessment, load(), today=TODAY, policy=Policy())
    assert explanation.factors[0].reason == "why"
