"""Reading a prefetch: the captures, untidy shapes, modifiers, duplicates, and any JSON at all."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.clinical.facts import IssueKind, Need, NeedState
from cds_service.fhir.decoding import PrefetchUnreadable
from cds_service.fhir.needs import NeedsTable
from cds_service.fhir.prefetch import Call, read_prefetch
from tests.unit.fhir_samples import (
    ANSWERED,
    CUT_OFF,
    FAILED,
    ICD_10_CM,
    LOINC,
    NOT_ASKED,
    OWN_KEYS,
    PATIENT,
    RXNORM,
    Json,
    SmallTerminology,
    bundle,
    concept,
    condition,
    laboratory,
    link,
    medicine,
    observation,
    outcome,
    read,
    subject,
)


def ids(table: NeedsTable, resource_type: str) -> list[str | None]:
    return [item.source.resource_id for item in table.items(resource_type)]


def kinds(table: NeedsTable) -> set[IssueKind]:
    return {issue.kind for issue in table.issues}


# ------------------------------------------------------------------------------ the sandbox's requests
SERVER = "http://127.0.0.1:8191/fhir"
SANDBOX_PATIENT = {"resourceType": "Patient", "id": "rls-1", "name": [{"family": "Legg"}], "gender": "female"}
SANDBOX_FERRITIN = observation(resource_id="ferr-1", subject=subject("rls-1"), category=laboratory())
SANDBOX_MEDICINE = medicine(resource_id="med-1", subject=subject("rls-1"))


def self_link(resource_type: str) -> list[Json]:
    return [link("self", f"{SERVER}/{resource_type}")]


def sandbox(prefetch: Json | None) -> NeedsTable:
    body = None if prefetch is None else json.dumps(prefetch).encode()
    return read_prefetch(body, Call({}, "rls-1", SERVER), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it


def searched(resource_type: str, *resources: Json) -> Json:
    return bundle(*resources, total=len(resources), link=self_link(resource_type))


NOISE: Json = {
    "user": {"resourceType": "Practitioner", "id": "COREPRACTITIONER1"},
    "userPr": searched("Practitioner", {"resourceType": "Practitioner", "id": "COREPRACTITIONER1"}),
    "role": searched("PractitionerRole"),
}


def test_the_sandbox_with_r4_data() -> None:
    table = sandbox(
        NOISE
        | {
            "patient": SANDBOX_PATIENT,
            "ferritin": searched("Observation", SANDBOX_FERRITIN),
            "recent": searched("Observation", SANDBOX_FERRITIN),
            "meds": searched("MedicationStatement", SANDBOX_MEDICINE),
        }
    )
    assert ids(table, "Observation") == ["ferr-1"]
    assert ids(table, "Patient") == ["rls-1"]
    assert table.states[Need.IRON_RESULTS] is ANSWERED
    assert table.states[Need.MEDICATION_STATEMENTS] is ANSWERED
    assert table.states[Need.CONDITIONS] is NOT_ASKED
    assert table.issues == ()


def test_the_sandbox_with_its_default_dstu2_data() -> None:
    table = sandbox(
        NOISE
        | {
            "patient": SANDBOX_PATIENT | {"name": [{"family": ["Legg"]}]},
            "ferritin": searched(
                "Observation",
                SANDBOX_FERRITIN | {"category": laboratory("http://hl7.org/fhir/observation-category")[0]},
            ),
            "meds": searched(
                "MedicationStatement",
                medicine(resource_id="med-1", subject=None, patient=subject("rls-1")),
            ),
        }
    )
    assert len(table.items("Patient")) == len(table.items("Observation")) == 1
    (statement,) = table.items("MedicationStatement")
    assert statement.resource.subject is not None
    assert table.states[Need.PATIENT] is ANSWERED
    assert table.states[Need.IRON_RESULTS] is ANSWERED
    assert table.states[Need.MEDICATION_STATEMENTS] is ANSWERED
    assert {issue.detail for issue in table.issues} == {"read from FHIR DSTU2"}


def test_the_sandbox_with_empty_bundles() -> None:
    empty = {"ferritin": searched("Observation"), "meds": searched("MedicationStatement")}
    table = sandbox(NOISE | empty | {"patient": SANDBOX_PATIENT, "recent": searched("Observation")})
    assert table.states[Need.IRON_RESULTS] is ANSWERED
    assert table.states[Need.MEDICATION_STATEMENTS] is ANSWERED
    assert table.states[Need.CONTEXT_RESULTS] is NOT_ASKED


def test_the_sandbox_after_failed_searches_leaves_the_keys_out() -> None:
    table = sandbox({"patient": SANDBOX_PATIENT, "user": NOISE["user"]})
    assert table.states[Need.PATIENT] is ANSWERED
    assert table.states[Need.IRON_RESULTS] is NOT_ASKED


def test_the_sandbox_with_operation_outcomes_for_searches() -> None:
    error = outcome("error")
    table = sandbox({"patient": SANDBOX_PATIENT, "ferritin": error, "meds": error, "recent": error})
    assert table.states[Need.IRON_RESULTS] is FAILED
    # "meds" shows no resource type: nobody knows which search failed.
    assert table.states[Need.MEDICATION_STATEMENTS] is NOT_ASKED
    assert IssueKind.SEARCH_FAILED in kinds(table)


def test_the_sandbox_without_prefetch() -> None:
    assert set(sandbox(None).states.values()) == {NOT_ASKED}


# ------------------------------------------------------------------------------------------ Epic
def test_epic_names_systems_by_oid_and_patients_by_address() -> None:
    result = observation(
        code=concept("urn:oid:2.16.840.1.113883.6.1", "2276-4"),
        subject={"reference": "https://ehr.example.org/fhir/Patient/p1"},
    )
    problem = condition(code=concept("urn:oid:2.16.840.1.113883.6.90", "G25.81"))
    table = read({"a": bundle(result), "b": bundle(problem)})
    assert ids(table, "Observation") == ["o1"]
    assert ids(table, "Condition") == ["c1"]


def test_epic_names_a_medicine_by_the_display_of_a_reference_only() -> None:
    request = medicine(
        "MedicationRequest",
        medicationCodeableConcept=None,
        medicationReference={"display": "IBUPROFEN 200 MG PO TABS"},
        category=concept("http://x", "outpatient"),
    )
    assert ids(read({"x": bundle(request)}), "MedicationRequest") == ["m1"]


# ---------------------------------------------------------------------------------- what is kept
@pytest.mark.parametrize(
    ("resource", "is_kept"),
    [
        (observation(), True),
        (observation("718-7"), True),
        (observation("82810-3"), True),
        (observation("8302-2"), False),
        (observation("86914-9"), False),
        (observation("9999-9"), False),
        (observation(code={"text": "Serum ferritin"}), True),
        (observation(code={"coding": [{"system": "urn:x", "code": "F", "display": "FERRITIN"}]}), True),
        (observation(code=concept(LOINC, "86914-9", "Ferritin goal")), False),
        (observation(code=concept("urn:local", "2276-4")), False),
        (observation(code=concept(LOINC, " 2276-4 ")), True),
        (observation(code=None), False),
        (observation("85354-9", component=[{"code": concept(LOINC, "2276-4")}]), True),
        (observation("85354-9", component=[{"code": concept(LOINC, "8480-6")}]), False),
        (observation("85354-9", component=[{}]), False),
        (observation("54114-4", code={"text": "Family history of restless legs"}), True),
        (condition(), True),
        (condition("I10"), False),
        (condition("O80"), True),
        (condition("Z37.0"), True),
        (condition(code=concept("urn:local", "G2581")), True),
        (condition(code={"text": "Restless legs"}), True),
        (condition(code={"text": "Back pain"}), False),
        (condition(code=None), False),
        (medicine(), True),
        (medicine(medicationCodeableConcept={"text": "Sertraline"}), True),
        (medicine(medicationCodeableConcept={"text": "Lisinopril"}), False),
        (medicine(medicationCodeableConcept=concept(RXNORM, "1")), True),
        (medicine(medicationCodeableConcept=None), True),
        (medicine("MedicationAdministration", medicationCodeableConcept=concept("atc", "N06AB06")), True),
        ({"resourceType": "ServiceRequest", "subject": subject(), "code": concept(LOINC, "2276-4")}, True),
        ({"resourceType": "ServiceRequest", "subject": subject(), "code": {"text": "Iron panel"}}, True),
        ({"resourceType": "ServiceRequest", "subject": subject(), "code": {"text": "X-ray"}}, False),
        ({"resourceType": "AllergyIntolerance", "patient": subject(), "code": {"text": "Nuts"}}, True),
        ({"resourceType": "FamilyMemberHistory", "patient": subject()}, True),
        (PATIENT, True),
        ({"resourceType": "Encounter", "id": "e1", "subject": subject()}, False),
    ],
)
def test_only_what_may_become_a_fact_is_kept(resource: Json, is_kept: bool) -> None:
    for prefetch in ({"x": bundle(resource)}, {"x": resource}, {"x": bundle(bundle(resource))}):
        assert bool(read(prefetch).items(resource["resourceType"])) is is_kept


def test_a_resource_under_several_keys_counts_once() -> None:
    table = read({"a": bundle(observation()), "b": bundle(observation(), observation(resource_id="o2"))})
    assert ids(table, "Observation") == ["o1", "o2"]
    assert len({item.source.key for item in table.items("Observation")}) == 2


def test_resources_without_id_all_count() -> None:
    assert (
        len(
            read({"a": bundle(observation(resource_id=None)), "b": observation(resource_id=None)}).items(
                "Observation"
            )
        )
        == 2
    )


def test_two_versions_of_one_resource_both_count() -> None:
    later = observation(valueQuantity={"value": 30, "unit": "ng/mL"})
    assert ids(read({"a": bundle(observation(), later)}), "Observation") == ["o1", "o1"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_versions_of_the_patient_the_fuller_comes_first(order: int) -> None:
    short = {"resourceType": "Patient", "id": "p1"}
    table = read({"a": bundle(*[PATIENT, short][::order])})
    assert table.items("Patient")[0].resource.gender == "female"


def test_a_patient_of_another_id_is_not_the_patient() -> None:
    table = read({"patient": PATIENT | {"id": "p2"}})
    assert not table.items("Patient")
    assert kinds(table) == {IssueKind.OTHER_PATIENT}


def test_a_number_as_id_is_an_id() -> None:
    body = json.dumps({"patient": PATIENT | {"id": 5}}).encode()
    table = read_prefetch(body, Call(OWN_KEYS, "5"), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it
    assert ids(table, "Patient") == ["5"]


def test_a_key_that_stands_twice_answers_nothing() -> None:
    body = b'{"conditions":{"resourceType":"OperationOutcome"},"conditions":null}'
    table = read_prefetch(body, Call(OWN_KEYS, "p1"), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it
    assert table.states[Need.CONDITIONS] is FAILED


# ------------------------------------------------------------------------------------- modifiers
@pytest.mark.parametrize(
    "change",
    [
        {"modifierExtension": [{"url": "http://x", "valueBoolean": True}]},
        {"implicitRules": "http://x"},
        {"component": [{"code": {"text": "a"}, "modifierExtension": [{"url": "http://x"}]}]},
    ],
)
def test_an_observation_with_a_modifier_stays_in_view_without_its_value(change: Json) -> None:
    table = read({"ironResults": bundle(observation(**change))})
    assert not table.items("Observation")
    assert IssueKind.MODIFIER_EXTENSION in kinds(table)
    assert [(s.source.resource_type, s.status, s.when) for s in table.salvaged] == [
        ("Observation", "final", "2026-11-01")
    ]
    assert table.states[Need.IRON_RESULTS] is ANSWERED


@pytest.mark.parametrize(
    ("resource", "need", "state"),
    [
        (condition(implicitRules="http://x"), Need.CONDITIONS, CUT_OFF),
        (condition("I10", implicitRules="http://x"), Need.CONDITIONS, ANSWERED),
        (
            medicine(dosage=[{"modifierExtension": [{"url": "http://x"}]}]),
            Need.MEDICATION_STATEMENTS,
            CUT_OFF,
        ),
        (PATIENT | {"modifierExtension": [{"url": "http://x"}]}, Need.PATIENT, FAILED),
        (PATIENT | {"modifierExtension": []}, Need.PATIENT, ANSWERED),
    ],
)
def test_any_other_resource_with_a_modifier_cannot_be_denied(
    resource: Json, need: Need, state: NeedState
) -> None:
    assert read({"x": bundle(resource)}).states[need] is state


def test_an_entry_with_a_modifier_is_refused_too() -> None:
    value = bundle(entry=[{"modifierExtension": [{"url": "http://x"}], "resource": condition()}])
    assert read({"conditions": value}).states[Need.CONDITIONS] is CUT_OFF


def test_a_bundle_with_implicit_rules_is_not_read() -> None:
    table = read({"conditions": bundle(condition(), implicitRules="http://x")})
    assert table.states[Need.CONDITIONS] is FAILED
    inner = bundle(condition("I10"), bundle(condition(), implicitRules="http://x"))
    assert read({"conditions": inner}).states[Need.CONDITIONS] is CUT_OFF


# ---------------------------------------------------------------------------------- wrong shapes
def test_a_resource_of_the_wrong_shape_costs_itself_only() -> None:
    bad = observation(resource_id="bad", valueQuantity=[1])
    table = read({"ironResults": bundle(observation(), bad), "conditions": bundle(condition())})
    assert ids(table, "Observation") == ["o1"]
    assert ids(table, "Condition") == ["c1"]
    assert IssueKind.WRONG_SHAPE in kinds(table)
    assert [s.source.resource_id for s in table.salvaged] == ["bad"]
    assert table.states[Need.IRON_RESULTS] is ANSWERED


@pytest.mark.parametrize(
    ("resource", "need", "state"),
    [
        (observation(code=[1]), Need.IRON_RESULTS, CUT_OFF),
        (observation("8302-2", code=[1]), Need.IRON_RESULTS, CUT_OFF),
        (observation("8302-2", valueQuantity=[1]), Need.IRON_RESULTS, ANSWERED),
        (condition(onsetDateTime=5), Need.CONDITIONS, CUT_OFF),
        (condition("I10", onsetDateTime=5), Need.CONDITIONS, ANSWERED),
        (condition(code="G25.81"), Need.CONDITIONS, CUT_OFF),
        (medicine(medicationCodeableConcept="sertraline"), Need.MEDICATION_STATEMENTS, CUT_OFF),
        (PATIENT | {"birthDate": 1971}, Need.PATIENT, FAILED),
        (PATIENT | {"name": "Legg", "telecom": 7}, Need.PATIENT, ANSWERED),
        ({"resourceType": "MedicationOrder", "entry": 5}, Need.MEDICATION_REQUESTS, FAILED),
        ({"resourceType": "RelatedPerson", "relationship": [{}], "entry": 1}, Need.CONDITIONS, NOT_ASKED),
    ],
)
def test_what_a_resource_of_the_wrong_shape_leaves_open(resource: Json, need: Need, state: NeedState) -> None:
    key = {Need.IRON_RESULTS: "ironResults"}.get(need, "x")
    assert read({key: bundle(resource)}).states[need] is state
    assert read({key: bundle(entry=[{"resource": resource, "search": 5}])}).states[need] is state


def test_a_broken_resource_of_another_patient_is_theirs() -> None:
    theirs = condition(onsetDateTime=5, subject=subject("p2"))
    table = read({"conditions": bundle(theirs, condition("I10"))})
    assert table.states[Need.CONDITIONS] is ANSWERED
    broken = PATIENT | {"id": "p2", "birthDate": 5}
    assert read({"x": bundle(broken, PATIENT)}).states[Need.PATIENT] is ANSWERED


@pytest.mark.parametrize(
    "entry",
    [7, "text", [], {"resource": 7}, {"resource": {"id": "x"}}, {"resource": {"resourceType": 7}}],
)
def test_an_entry_that_is_no_resource_leaves_the_list_incomplete(entry: object) -> None:
    value = bundle(entry=[{"resource": condition()}, entry])
    table = read({"conditions": value})
    assert ids(table, "Condition") == ["c1"]
    assert table.states[Need.CONDITIONS] is CUT_OFF


@pytest.mark.parametrize("entry", [None, {}, {"resource": None}, {"response": {"status": "200"}}])
def test_an_entry_without_resource_hides_one(entry: object) -> None:
    table = read({"conditions": bundle(entry=[entry, {"resource": condition()}])})
    assert table.states[Need.CONDITIONS] is CUT_OFF
    assert ids(table, "Condition") == ["c1"]


@pytest.mark.parametrize("entry", [{"resource": condition()}, 7, "x"])
def test_a_member_entry_that_is_no_list_cannot_be_read(entry: object) -> None:
    assert read({"conditions": bundle(entry=entry)}).states[Need.CONDITIONS] is CUT_OFF


def test_odd_surroundings_do_not_cost_the_resource() -> None:
    value = bundle(entry=[{"fullUrl": 7, "search": "match", "resource": condition()}])
    assert ids(read({"conditions": value}), "Condition") == ["c1"]


def test_bundles_in_bundles_are_read_as_one() -> None:
    value = bundle(bundle(condition(), link=[link("next", "x")]), bundle(PATIENT), outcome("warning"))
    table = read({"all": value})
    assert ids(table, "Condition") == ["c1"]
    assert table.states[Need.CONDITIONS] is CUT_OFF
    odd = bundle(bundle(condition(), entry=[{"resource": condition()}, 7]), entry=None)
    assert read({"all": odd}).states[Need.CONDITIONS] is NOT_ASKED


def test_a_broken_bundle_inside_a_bundle_still_gives_its_readable_entries() -> None:
    inner = bundle(entry=[{"resource": condition(), "search": 5}, {"resource": condition("I10", "c2")}])
    assert ids(read({"all": bundle(inner)}), "Condition") == ["c1"]


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'"x"', b"{", b"null", b'{"a":', b'{"a":"\\ud800"}'])
def test_a_prefetch_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(PrefetchUnreadable):
        read_prefetch(body or b" ", Call(OWN_KEYS, "p1"), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it


def test_issues_carry_no_values() -> None:
    secret = "Zebedee-4711"  # noqa: S105 - a canary, not a password
    prefetch = {
        secret: bundle(
            {"resourceType": secret, "id": secret},
            observation(resource_id=secret, valueQuantity=[secret]),
            observation(resource_id=secret, subject={"reference": f"Patient/{secret}"}),
            condition(resource_id=secret, implicitRules=secret),
            {"resource": secret},
            link=[secret],
        ),
        "x": secret,
    }
    assert secret not in repr(read(prefetch).issues)


# ----------------------------------------------------------------------------------- any JSON at all
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)
NAMES = st.sampled_from(
    [
        "resourceType", "id", "code", "coding", "entry", "resource", "search", "mode", "link", "relation",
        "url", "total", "issue", "severity", "subject", "reference", "category", "component", "status",
        "medicationCodeableConcept", "modifierExtension", "implicitRules", "name", "type", "context",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    ["Bundle", "Patient", "Observation", "Condition", "MedicationRequest", "MedicationOrder", "next", "self",
     "OperationOutcome", "error", "include", "Patient/p1", "p1", "urn:uuid:p1", "#x", "2276-4", "http://["]
)  # fmt: skip
NEAR_FHIR = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)
KEYS = st.sampled_from([*OWN_KEYS, "x", "labs", "ferritin", "Condition", "allObservations"]) | st.text(
    max_size=5
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, ANY_JSON | NEAR_FHIR, max_size=4))
def test_any_json_is_read(prefetch: dict[str, Any]) -> None:
    table = read(prefetch)
    assert set(table.states) == set(Need)


def mutations(seed: int) -> Json:
    """A sensible prefetch with a few members replaced by something else."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    sensible: Json = {
        "patient": PATIENT,
        "ironResults": bundle(observation(), observation("2502-3", "o2"), link=[link("self", "x")]),
        "conditions": bundle(condition(), condition("I10", "c2"), outcome("warning"), total=2),
        "all": bundle(medicine(), bundle(medicine("MedicationRequest", contained=[PATIENT]))),
    }
    prefetch = json.loads(json.dumps(sensible))
    junk = [None, 7, "x", [], {}, [None], {"a": 1}, True, "\u2028\U0001f600", 1e300, [[]]]
    for _ in range(chance.randint(1, 4)):
        spot: Any = prefetch
        while True:
            steps = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
            if not steps:
                break
            step = chance.choice(steps)
            if isinstance(spot[step], dict | list) and chance.random() < 0.8:
                spot = spot[step]
                continue
            spot[step] = chance.choice(junk)
            break
    return dict(prefetch)


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_a_damaged_prefetch_is_read(start: int) -> None:
    for seed in range(start, start + 100):
        table = read(mutations(seed))
        for items in table.items_by_type.values():
            for item in items:
                assert table.store.text(item.place)


def test_order_of_keys_and_entries_does_not_matter() -> None:
    resources = [
        observation(),
        condition(),
        medicine(),
        PATIENT,
        observation("8302-2", "o3"),
        outcome("warning"),
    ]
    seen = set()
    for seed in range(12):
        mixed = random.Random(seed).sample(resources, len(resources))  # noqa: S311 - reproducible
        table = read({"a": bundle(*mixed[:4]), "b": bundle(*mixed[4:]), "labs": None})
        found = {
            (t, i) for t, items in table.items_by_type.items() for i in (x.source.resource_id for x in items)
        }
        seen.add((frozenset(found), table.states[Need.IRON_RESULTS]))
    assert len(seen) == 1


def test_codes_are_judged_under_the_local_system_too() -> None:
    assert ids(read({"x": bundle(condition(code=concept(ICD_10_CM, "g25.81")))}), "Condition") == []
