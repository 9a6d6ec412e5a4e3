"""Which supplied value answers which question, and how far (docs/rules.md R3)."""

import pytest

from cds_service.clinical.facts import Need
from tests.unit.fhir_samples import (
    ANSWERED,
    CUT_OFF,
    FAILED,
    ICD_10_CM,
    NOT_ASKED,
    PATIENT,
    SERVER,
    Json,
    bundle,
    concept,
    condition,
    iron,
    laboratory,
    link,
    medicine,
    observation,
    outcome,
    read,
    state,
)

ALL = (ANSWERED, ANSWERED, ANSWERED)
NONE = (NOT_ASKED, NOT_ASKED, NOT_ASKED)
FERRITIN_ONLY = (ANSWERED, NOT_ASKED, NOT_ASKED)
EMPTY = bundle()
EPIC_EMPTY = bundle(total=0, entry=[{"resource": outcome("warning"), "search": {"mode": "outcome"}}])

OWN = [
    ("patient", Need.PATIENT),
    ("ironResults", Need.IRON_RESULTS),
    ("contextResults", Need.CONTEXT_RESULTS),
    ("conditions", Need.CONDITIONS),
    ("medicationStatements", Need.MEDICATION_STATEMENTS),
    ("medicationRequests", Need.MEDICATION_REQUESTS),
    ("procedures", Need.PROCEDURES),
    ("allergies", Need.ALLERGIES),
    ("ironOrders", Need.IRON_ORDERS),
]
NO_DATA = [None, EMPTY, EPIC_EMPTY, outcome("warning"), outcome("information", "warning"), bundle(total=0)]
ERRORS = [
    outcome("error"),
    outcome("fatal"),
    outcome("warning", "error"),
    {"resourceType": "OperationOutcome"},
    bundle(entry=[{"resource": outcome("error"), "search": {"mode": "outcome"}}]),
    "text",
    17,
    [],
    {},
    {"resourceType": 5},
]


@pytest.mark.parametrize(("key", "need"), OWN)
@pytest.mark.parametrize("value", NO_DATA)
def test_our_own_key_without_data_is_an_answer(key: str, need: Need, value: Json | None) -> None:
    assert state({key: value}, need) is ANSWERED


@pytest.mark.parametrize(("key", "need"), OWN)
@pytest.mark.parametrize("value", ERRORS)
def test_our_own_key_with_an_error_is_a_failure(key: str, need: Need, value: Json) -> None:
    assert state({key: value}, need) is FAILED


@pytest.mark.parametrize(("key", "need"), OWN)
def test_our_own_key_with_a_next_page_is_cut_off(key: str, need: Need) -> None:
    assert state({key: bundle(link=[link("next", f"{SERVER}?page=2")])}, need) is CUT_OFF


@pytest.mark.parametrize("need", list(Need))
@pytest.mark.parametrize("prefetch", [None, {}])
def test_a_key_that_is_not_there_was_not_asked(prefetch: Json | None, need: Need) -> None:
    assert state(prefetch, need) is NOT_ASKED


@pytest.mark.parametrize(
    ("key", "need"),
    [
        ("Condition", Need.CONDITIONS),
        ("active_conditions", Need.CONDITIONS),
        ("patientConditions", Need.CONDITIONS),
        ("MedicationStatements", Need.MEDICATION_STATEMENTS),
        ("medication-request", Need.MEDICATION_REQUESTS),
        ("Procedure", Need.PROCEDURES),
        ("AllergyIntolerances", Need.ALLERGIES),
        ("servicerequest", Need.IRON_ORDERS),
        ("FamilyMemberHistory", Need.FAMILY_HISTORY),
        ("observations", Need.CONTEXT_RESULTS),
    ],
)
def test_a_resource_type_in_a_foreign_key_name_types_an_empty_value(key: str, need: Need) -> None:
    assert state({key: None}, need) is ANSWERED
    assert state({key: outcome("error")}, need) is FAILED


@pytest.mark.parametrize("key", ["problems", "meds", "medications", "allergy", "-user", "", "recent"])
def test_any_other_name_says_nothing(key: str) -> None:
    table = read({key: EMPTY})
    assert set(table.states.values()) == {NOT_ASKED}


def test_a_name_of_two_types_does_not_tell_which_was_searched() -> None:
    assert state({"conditionsAndProcedures": EMPTY}, Need.CONDITIONS) is NOT_ASKED


def test_a_self_link_types_an_empty_bundle() -> None:
    value = bundle(link=[link("self", f"{SERVER}/Condition?patient=p1")])
    assert state({"problems": value}, Need.CONDITIONS) is ANSWERED
    searched = bundle(link=[link("self", f"{SERVER}/Procedure/_search")])
    assert state({"problems": searched}, Need.PROCEDURES) is ANSWERED


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ferritin", FERRITIN_ONLY),
        ("latestFerritin", FERRITIN_ONLY),
        ("ferritin_observations", FERRITIN_ONLY),
        ("tsat", (NOT_ASKED, ANSWERED, NOT_ASKED)),
        ("transferrin", (NOT_ASKED, ANSWERED, NOT_ASKED)),
        ("ironSaturation", (NOT_ASKED, ANSWERED, NOT_ASKED)),
        ("crp", (NOT_ASKED, NOT_ASKED, ANSWERED)),
        ("ferritinAndTsat", (ANSWERED, ANSWERED, NOT_ASKED)),
        ("iron", ALL),
        ("Iron_Studies", ALL),
        ("labs", ALL),
        ("laboratoryResults", ALL),
        ("patientlabs", ALL),
        ("Observation", ALL),
        ("oxygenSaturation", NONE),
        ("environment", NONE),
        ("availability", NONE),
        ("collaborators", NONE),
        ("ironInfusions", NONE),
        ("labOrders", NONE),
        ("ironDeficiencyConditions", NONE),
        ("results", NONE),
    ],
)
def test_the_name_of_a_foreign_key_tells_which_iron_results_it_answers(
    key: str, expected: tuple[str, str, str]
) -> None:
    assert iron({key: EMPTY}) == expected
    assert iron({key: bundle(observation("2951-2"))}) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code=http://loinc.org|2276-4", FERRITIN_ONLY),
        ("code=2276-4,2502-3&patient=p1", (ANSWERED, ANSWERED, NOT_ASKED)),
        ("code=urn%3Aoid%3A2.16.840.1.113883.6.1%7C1988-5", (NOT_ASKED, NOT_ASKED, ANSWERED)),
        ("code=86914-9", NONE),
        ("code=718-7", NONE),
        ("patient=p1", NONE),
    ],
)
def test_codes_in_the_self_link_tell_it_too(query: str, expected: tuple[str, str, str]) -> None:
    value = bundle(link=[link("self", f"{SERVER}/Observation?{query}")])
    assert iron({"results": value}) == expected


def test_a_general_name_does_not_answer_more_than_its_self_link_searched() -> None:
    haemoglobin = bundle(link=[link("self", f"{SERVER}/Observation?code=718-7")])
    assert iron({"labs": haemoglobin}) == NONE
    vital_signs = bundle(link=[link("self", f"{SERVER}/Observation?category=vital-signs")])
    assert iron({"observations": vital_signs}) == NONE
    assert state({"observations": vital_signs}, Need.CONTEXT_RESULTS) is NOT_ASKED


def test_a_self_link_that_is_no_address_says_nothing() -> None:
    assert iron({"results": bundle(link=[link("self", "http://[")])}) == NONE


def test_failed_and_cut_off_concern_only_what_the_key_asks() -> None:
    assert iron({"ferritin": outcome("error")}) == (FAILED, NOT_ASKED, NOT_ASKED)
    cut = bundle(observation("2502-3"), link=[link("next", SERVER)])
    assert iron({"ferritin": EMPTY, "tsat": cut}) == (ANSWERED, CUT_OFF, NOT_ASKED)


def test_the_iron_results_are_as_far_as_the_ferritin() -> None:
    assert state({"ferritin": EMPTY, "tsat": outcome("error")}, Need.IRON_RESULTS) is ANSWERED
    assert state({"crp": EMPTY}, Need.IRON_RESULTS) is NOT_ASKED


@pytest.mark.parametrize(
    ("first", "second", "worst"),
    [
        (EMPTY, outcome("error"), FAILED),
        (bundle(link=[link("next", SERVER)]), EMPTY, CUT_OFF),
        (bundle(link=[link("next", SERVER)]), outcome("error"), FAILED),
        (EMPTY, EMPTY, ANSWERED),
    ],
)
def test_of_several_values_for_one_need_the_worst_state_wins(first: Json, second: Json, worst: str) -> None:
    assert state({"ironResults": first, "labs": second}, Need.IRON_RESULTS) is worst
    assert state({"labs": second, "ironResults": first}, Need.IRON_RESULTS) is worst


def test_a_single_type_answers_for_itself_under_any_name() -> None:
    table = read({"x": bundle(condition()), "y": medicine()})
    assert table.states[Need.CONDITIONS] is ANSWERED
    assert table.states[Need.MEDICATION_STATEMENTS] is ANSWERED
    assert table.states[Need.IRON_TREATMENTS] is NOT_ASKED


def test_a_bundle_of_several_types_answers_for_what_it_holds() -> None:
    table = read({"all": bundle(PATIENT, condition(), observation("8302-2"))})
    assert table.states[Need.CONDITIONS] is ANSWERED
    assert table.states[Need.CONTEXT_RESULTS] is ANSWERED
    assert table.states[Need.MEDICATION_REQUESTS] is NOT_ASKED
    assert table.states[Need.IRON_RESULTS] is NOT_ASKED


@pytest.mark.parametrize(
    "result",
    [
        observation("2951-2", category=laboratory()),
        observation("2951-2", category=laboratory()[0]),
        observation("2951-2", category=[{"text": "Laboratory"}]),
        observation("2276-4"),
        observation("2498-4"),
    ],
)
def test_a_bundle_of_several_types_answers_for_iron_when_it_holds_a_laboratory_result(result: Json) -> None:
    assert iron({"all": bundle(PATIENT, observation("8302-2", "v1"), result)}) == ALL


def test_a_mixed_bundle_of_all_medicine_kinds_answers_for_iron_treatments() -> None:
    kinds = ("MedicationStatement", "MedicationRequest", "MedicationAdministration")
    assert state({"all": bundle(*(medicine(kind) for kind in kinds))}, Need.IRON_TREATMENTS) is ANSWERED
    assert state({"all": bundle(*(medicine(kind) for kind in kinds[:2]))}, Need.IRON_TREATMENTS) is NOT_ASKED


def test_iron_treatments_are_three_searches() -> None:
    keys = ("ironTreatmentStatements", "ironTreatmentRequests", "ironAdministrations")
    assert state(dict.fromkeys(keys, EMPTY), Need.IRON_TREATMENTS) is ANSWERED
    assert state(dict.fromkeys(keys[:2], EMPTY), Need.IRON_TREATMENTS) is NOT_ASKED
    assert state({keys[0]: outcome("error")}, Need.IRON_TREATMENTS) is FAILED
    current = read(dict.fromkeys(keys, bundle(medicine()))).states[Need.MEDICATION_STATEMENTS]
    assert current is NOT_ASKED


def test_our_own_key_is_typed_by_what_it_holds() -> None:
    table = read({"conditions": bundle(observation("2951-2"))})
    assert table.states[Need.CONDITIONS] is NOT_ASKED


def test_what_the_client_found_for_somebody_else_is_no_answer() -> None:
    theirs = bundle(condition(subject={"reference": "Patient/p2"}))
    assert state({"conditions": theirs}, Need.CONDITIONS) is NOT_ASKED


def test_included_resources_do_not_type_a_bundle_but_are_used() -> None:
    value = bundle(
        entry=[
            {"resource": medicine(), "search": {"mode": "match"}},
            {"resource": condition(), "search": {"mode": "include"}},
        ]
    )
    table = read({"MedicationStatement": value})
    assert table.states[Need.CONDITIONS] is NOT_ASKED
    assert len(table.items("Condition")) == 1


def test_a_total_beyond_what_came_is_a_list_cut_off() -> None:
    assert state({"conditions": bundle(condition(), total=7)}, Need.CONDITIONS) is CUT_OFF
    assert state({"conditions": bundle(condition(), total=1)}, Need.CONDITIONS) is ANSWERED
    assert state({"conditions": bundle(condition(), total="7")}, Need.CONDITIONS) is CUT_OFF


def test_an_error_beside_matches_fails_the_need_and_the_matches_are_used() -> None:
    table = read({"conditions": bundle(condition(), outcome("error"))})
    assert table.states[Need.CONDITIONS] is FAILED
    assert len(table.items("Condition")) == 1


def test_a_link_that_cannot_be_read_may_have_been_the_next_one() -> None:
    assert state({"conditions": bundle(condition(), link=[7])}, Need.CONDITIONS) is CUT_OFF


def test_codes_of_conditions_do_not_matter_for_the_answer() -> None:
    unrelated = condition(code=concept(ICD_10_CM, "I10"))
    table = read({"x": bundle(unrelated)})
    assert table.states[Need.CONDITIONS] is ANSWERED
    assert not table.items("Condition")
