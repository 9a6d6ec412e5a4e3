"""Records made to mislead or to keep the service busy: nothing is denied or mixed up, and nothing hangs."""

import json
import time
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cds_service.clinical.facts import DataIssue, IssueKind, MedicineKind, Need, NeedState, Route, Unreadable
from cds_service.fhir import Record, open_record
from cds_service.fhir.bounds import MAX_TEXT
from cds_service.fhir.decoding import Call, split_prefetch
from cds_service.fhir.needs import NeedsTable
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.references import parse_reference
from cds_service.fhir.repeats import repeated_keys
from cds_service.fhir.validation import validate
from cds_service.knowledge import load
from tests.unit.fhir_samples import (
    ANSWERED,
    CUT_OFF,
    FAILED,
    LOINC,
    NOT_ASKED,
    OWN_KEYS,
    PATIENT,
    SERVER,
    SNOMED_CT,
    Json,
    SmallTerminology,
    bundle,
    concept,
    condition,
    link,
    medicine,
    observation,
    read,
    subject,
)

MOST_SECONDS = 2.0
MODIFIER = [{"url": "http://x", "valueBoolean": True}]


def opened(prefetch: Json, server: str | None = SERVER) -> Record:
    return open_record(
        json.dumps(prefetch).encode(),
        own_keys=OWN_KEYS,
        patient_id="p1",
        fhir_server=server,
        version_hint="R4",
        knowledge=load(),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    )


def ids(table: NeedsTable, resource_type: str = "Observation") -> list[str | None]:
    return [item.source.resource_id for item in table.items(resource_type)]


def details(table: NeedsTable) -> set[str]:
    return {issue.detail for issue in table.issues}


def iron_state(value: object) -> NeedState:
    return read({"ironResults": value}).states[Need.IRON_RESULTS]


# ------------------------------------------------------------------------------------- absurd numbers
NUMBERS = [
    "1e99999999",
    "-1e99999999",
    "1e-99999999",
    "1E+99999999",
    "1e99999999999999999999",
    "0e99999999",
    "1e401",
    "1" * 401,
    "1" * 5000,
    "0." + "1" * 500,
]


def numbered(resource: Json, number: str) -> bytes:
    return json.dumps(resource).replace('"@"', number).encode()


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "resource",
    [
        observation(valueQuantity=None, valueInteger="@"),
        observation(valueQuantity={"value": "@"}),
        observation(extension=[{"url": "http://x", "valueInteger": "@"}]),
        observation(valueQuantity=None, valueSampledData={"dimensions": "@"}),
        PATIENT | {"multipleBirthInteger": "@"},
        medicine(dosage=[{"timing": {"repeat": {"count": "@"}}}]),
    ],
)
def test_a_number_out_of_range_is_refused_at_once(resource: Json, number: str) -> None:
    began = time.process_time()
    verdict = validate(numbered(resource, number), resource["resourceType"], "p1")
    assert time.process_time() - began < MOST_SECONDS
    assert (verdict.is_valid, verdict.reason) == (False, "number out of range")


@pytest.mark.parametrize("number", ["20", "20.50", "0.00", "2e1", "1e+002", "0e400", "1" * 400])
def test_a_number_in_range_is_none_of_that(number: str) -> None:
    verdict = validate(numbered(observation(valueQuantity={"value": "@"}), number), "Observation", "p1")
    assert verdict.reason != "number out of range"


# --------------------------------------------------------------------------------------- sheer size
def test_a_resource_that_is_too_large_is_not_validated() -> None:
    text = json.dumps(observation(note=[{"text": "a" * MAX_TEXT}])).encode()
    assert validate(text, "Observation", "p1").reason == "too large"


@pytest.mark.parametrize(
    "members",
    [
        {"note": [5] * 80_000},
        {"extension": [{}] * 50_000},
        {"code": concept(LOINC, "2276-4") | {"extension": [{"url": "a", "zz": 1}] * 10_000}},
        {"code": {"coding": [{"system": LOINC, "code": "2276-4", "zz": [5]}] * 4_000}},
        {"component": [{"code": 5, "valueQuantity": 5}] * 5_000},
        {f"k{number}": 1 for number in range(20_000)},
    ],
)
def test_the_validation_of_one_resource_is_bounded(members: Json) -> None:
    text = json.dumps(observation(**members)).encode()
    assert len(text) < MAX_TEXT
    began = time.process_time()
    validate(text, "Observation", "p1")
    assert time.process_time() - began < MOST_SECONDS


@pytest.mark.parametrize(
    "members",
    [
        {"note": 5},
        {"performer": "zzz"},
        {"extension": [{}]},
        {"code": concept(LOINC, "2276-4") | {"extension": 5}},
        {"valueQuantity": {"value": 20, "unit": "ng/mL", "_unit": 7}},
        {"_valueString": {"extension": 9}},
    ],
)
def test_what_is_not_read_does_not_decide(members: Json) -> None:
    assert validate(json.dumps(observation(**members)).encode(), "Observation", "p1").is_valid


@pytest.mark.parametrize(
    "members",
    [{"valueAttachment": {"url": "http://x"}}, {"valueString": "x"}, {"valueRange": {}, "valueTime": "x"}],
)
def test_two_values_are_refused_whatever_their_kind(members: Json) -> None:
    verdict = validate(json.dumps(observation(**members)).encode(), "Observation", "p1")
    assert verdict.is_valid is ("valueAttachment" in members)  # R4 has no such element: it is left out


@pytest.mark.parametrize("value", ["oral " * 200_000, "a" * 1_000_000, "by mouth eye " * 80_000])
def test_a_long_instruction_is_looked_at_in_part(value: str) -> None:
    prefetch = {"medicationStatements": bundle(medicine(dosage=[{"text": value, "route": {"text": value}}]))}
    began = time.process_time()
    opened(prefetch)
    assert time.process_time() - began < MOST_SECONDS


def test_a_route_is_read_only_near_the_beginning_of_an_instruction() -> None:
    medicines = [
        medicine(
            resource_id=f"m{number}",
            medicationCodeableConcept={"text": "ferrous sulfate"},
            dosage=[{"text": " " * blanks + "intravenous"}],
        )
        for number, blanks in enumerate((10, 500))
    ]
    facts = opened({"medicationStatements": bundle(*medicines)}).facts
    assert [fact.kind for fact in facts.medicines] == [MedicineKind.STATEMENT] * 2
    near, far = (fact.route for fact in facts.medicines)
    assert near is Route.INJECTION
    assert far is not Route.INJECTION


# --------------------------------------------------------------------- many resources that are not valid
def invalid_ferritins(count: int) -> list[Json]:
    return [
        observation(
            resource_id=f"f{n}", effectiveDateTime=f"2026-11-01T00:{n // 60:02}:{n % 60:02}Z", valueString="x"
        )
        for n in range(count)
    ]


def steps(record: Record) -> tuple[Record, int]:
    """Drop what is not valid, each time citing the newest usable result only."""
    number = 0
    while True:
        usable = [result for result in record.facts.results if result.unreadable is None]
        newest = max(usable, key=lambda r: r.when.instant if r.when else 0, default=None)  # type: ignore[arg-type, return-value]  # all have a date
        smaller = record.without_invalid([newest.source]) if newest else None
        if smaller is None:
            return record, number
        record, number = smaller, number + 1


def test_hundreds_of_invalid_results_take_one_step() -> None:
    began = time.process_time()
    record, number = steps(opened({"ironResults": bundle(*invalid_ferritins(800))}))
    assert time.process_time() - began < MOST_SECONDS
    assert number == 1
    assert {result.unreadable for result in record.facts.results} == {Unreadable.INVALID_RESOURCE}
    assert len(record.facts.results) == 800
    failed = [i for i in record.facts.issues if i.kind is IssueKind.FAILED_VALIDATION]
    assert sum(issue.count for issue in failed) == 800
    assert DataIssue(IssueKind.FAILED_VALIDATION, "Observation", "not validated", 299) in failed


def test_only_what_is_invalid_is_dropped_and_the_newest_are_looked_at_first() -> None:
    sound = [observation(resource_id=f"s{n}", effectiveDateTime=f"2026-10-{n:02}") for n in range(1, 29)]
    saturation = observation("2502-3", resource_id="t1", valueQuantity={"value": 20, "unit": "%"})
    record, number = steps(opened({"ironResults": bundle(*sound, *invalid_ferritins(3), saturation)}))
    usable = {result.source.resource_id for result in record.facts.results if result.unreadable is None}
    assert number == 1
    assert usable == {item["id"] for item in (*sound, saturation)}


def test_a_list_of_invalid_conditions_is_cut_off_in_one_step() -> None:
    faulty = [
        condition(resource_id=f"c{n}", onsetDateTime="2020", onsetPeriod={"start": "2020"})
        for n in range(800)
    ]
    record = opened({"conditions": bundle(*faulty)})
    began = time.process_time()
    smaller = record.without_invalid([record.facts.conditions[0].source])
    assert time.process_time() - began < MOST_SECONDS
    assert smaller is not None
    assert smaller.facts.conditions == ()
    assert smaller.facts.needs[Need.CONDITIONS] is CUT_OFF


# ------------------------------------------------------------------- shapes that hide a resource
@pytest.mark.parametrize(
    ("entry", "state"),
    [
        (None, CUT_OFF),
        ({}, CUT_OFF),
        ({"resource": None}, CUT_OFF),
        ({"fullUrl": f"{SERVER}/Observation/1"}, CUT_OFF),
        (observation(), CUT_OFF),
        ({"response": {"status": "200"}}, CUT_OFF),
        ({"response": {"status": "201 Created"}, "resource": None}, CUT_OFF),
        ({"response": {"status": "204"}}, CUT_OFF),
        ({"response": {"status": "500"}}, FAILED),
        ({"response": {"status": "403 Forbidden"}}, FAILED),
        ({"response": {"status": "2000"}}, FAILED),
        ({"response": {"status": 200}}, FAILED),
        ({"response": "200"}, FAILED),
        (
            {"response": {"outcome": {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}}},
            FAILED,
        ),
        ({"response": {"status": "404"}, "resource": observation("9999-9")}, FAILED),
        ({"response": {"status": "200"}, "resource": observation("9999-9")}, ANSWERED),
        ({"response": None, "resource": observation("9999-9")}, ANSWERED),
        ({"response": {"status": "500"}, "resource": 7}, FAILED),
    ],
)
def test_an_entry_that_may_hide_a_result(entry: object, state: NeedState) -> None:
    assert iron_state(bundle(entry=[entry])) is state
    inner = {"resource": bundle(entry=[entry])}
    assert iron_state(bundle(entry=[inner], type="batch-response")) is state


@pytest.mark.parametrize(
    "links",
    [
        {"relation": "next", "url": "http://x?p=2"},
        {"relation": "self", "url": "http://x"},
        "next",
        7,
        [link("Next", "http://x")],
        [link(" next ", "http://x")],
        [{"relation": ["next"]}],
        ["next"],
    ],
)
def test_links_that_may_lead_to_another_page(links: object) -> None:
    assert iron_state(bundle(link=links)) is CUT_OFF
    assert iron_state(bundle(bundle(link=links))) is CUT_OFF


@pytest.mark.parametrize("links", [[], None, [link("SELF", "http://x")], [link("last", "http://x")]])
def test_links_that_lead_to_none(links: object) -> None:
    assert iron_state(bundle(link=links)) is ANSWERED


@pytest.mark.parametrize("total", [5, "5", 5.0, " 5 ", "five", 1.5, -1, [5], {"value": 5}, True, 10**30])
def test_a_total_that_announces_more_or_cannot_be_read(total: object) -> None:
    assert iron_state(bundle(total=total)) is CUT_OFF
    assert iron_state(bundle(bundle(total=total))) is CUT_OFF


@pytest.mark.parametrize("total", [0, "0", 0.0, None, ""])
def test_a_total_that_announces_nothing(total: object) -> None:
    assert iron_state(bundle(total=total)) is ANSWERED


def test_a_total_with_an_exponent_is_read() -> None:
    for number in ("5e0", "1e9999", "1e99999999"):
        body = b'{"ironResults":{"resourceType":"Bundle","total":' + number.encode() + b"}}"
        table = read_prefetch(body, Call(OWN_KEYS, "p1", SERVER), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it
        assert table.states[Need.IRON_RESULTS] is CUT_OFF


@pytest.mark.parametrize("name", ["Entry", "entries", "ENTRY", "Entries"])
def test_entries_under_a_misspelt_name(name: str) -> None:
    misspelt = {"resourceType": "Bundle", name: [{"resource": observation()}]}
    assert iron_state(misspelt) is CUT_OFF
    assert iron_state(bundle(misspelt)) is CUT_OFF


@pytest.mark.parametrize(
    "code",
    [
        *("incomplete", "suppressed", "too-costly", "timeout", "throttled"),
        *("forbidden", "security", "lock-error", "transient", "Incomplete"),
    ],
)
@pytest.mark.parametrize("severity", ["warning", "information"])
def test_a_warning_that_something_was_left_out(code: str, severity: str) -> None:
    warning = {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}
    assert iron_state(warning) is CUT_OFF
    assert iron_state(bundle(warning)) is CUT_OFF
    assert iron_state(bundle(entry=[{"response": {"status": "200", "outcome": warning}}])) is CUT_OFF


def test_any_other_warning_says_no_more_than_nothing_found() -> None:
    warning = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "not-found"}]}
    assert iron_state(warning) is ANSWERED


# -------------------------------------------------------------------------------------- modifiers
def test_a_bundle_with_a_modifier_is_not_read() -> None:
    table = read({"ironResults": bundle(observation(), modifierExtension=MODIFIER)})
    assert ids(table) == []
    assert table.states[Need.IRON_RESULTS] is FAILED
    assert "modifierExtension" in details(table)
    assert iron_state(bundle(bundle(observation(), modifierExtension=MODIFIER))) is CUT_OFF


@pytest.mark.parametrize("empty", [[], None])
def test_an_empty_modifier_is_none(empty: object) -> None:
    assert ids(read({"ironResults": bundle(observation()) | {"modifierExtension": empty}})) == ["o1"]


@pytest.mark.parametrize(
    "members",
    [
        {"valueQuantity": {"value": 20, "unit": "ng/mL", "modifierExtension": MODIFIER}},
        {"component": [{"code": concept(LOINC, "2276-4"), "modifierExtension": MODIFIER}]},
        {"code": concept(LOINC, "2276-4") | {"modifierExtension": MODIFIER}},
        {"code": {"coding": [{"system": LOINC, "code": "2276-4", "modifierExtension": MODIFIER}]}},
        {"subject": subject() | {"modifierExtension": MODIFIER}},
        {"effectivePeriod": {"start": "2026-11-01", "modifierExtension": MODIFIER}},
        {"valueQuantity": None, "valueRange": {"low": {"value": 20}, "modifierExtension": MODIFIER}},
        {"valueQuantity": None, "valueRange": {"low": {"value": 20, "modifierExtension": MODIFIER}}},
    ],
)
def test_a_modifier_inside_what_is_read_refuses_the_resource(members: Json) -> None:
    table = read({"ironResults": bundle(observation(**members))})
    assert ids(table) == []
    assert table.salvaged or table.states[Need.IRON_RESULTS] is CUT_OFF


@pytest.mark.parametrize(
    "dosage",
    [
        {"timing": {"modifierExtension": MODIFIER}},
        {"timing": {"repeat": {"modifierExtension": MODIFIER}}},
        {"doseAndRate": [{"modifierExtension": MODIFIER}]},
    ],
)
def test_a_modifier_inside_a_dosage_refuses_the_medicine(dosage: Json) -> None:
    table = read({"medicationStatements": bundle(medicine(dosage=[dosage]))})
    assert ids(table, "MedicationStatement") == []
    assert table.states[Need.MEDICATION_STATEMENTS] is CUT_OFF


# ------------------------------------------------------------------------------ whose resource it is
URN = "urn:uuid:7"
OWN_ENTRY = {"fullUrl": URN, "resource": PATIENT}
OTHER_ENTRY = {"fullUrl": URN, "resource": PATIENT | {"id": "p2"}}
URN_RESULT = {"resource": observation(subject={"reference": URN})}


def test_an_entry_address_counts_in_its_own_bundle_only() -> None:
    assert ids(read({"ironResults": bundle(entry=[OWN_ENTRY, URN_RESULT])})) == ["o1"]
    apart = read({"a": bundle(entry=[OWN_ENTRY]), "ironResults": bundle(entry=[URN_RESULT])})
    assert ids(apart) == []
    assert apart.states[Need.IRON_RESULTS] is CUT_OFF
    inner = bundle(entry=[OWN_ENTRY])
    assert ids(read({"ironResults": bundle(entry=[{"resource": inner}, URN_RESULT])})) == []
    assert ids(read({"ironResults": bundle(bundle(entry=[OWN_ENTRY, URN_RESULT]))})) == ["o1"]


@pytest.mark.parametrize("is_apart", [True, False])
def test_an_entry_address_of_two_patients_is_nobodys(is_apart: bool) -> None:
    entries = [OWN_ENTRY, URN_RESULT] if is_apart else [OWN_ENTRY, OTHER_ENTRY, URN_RESULT]
    table = read({"ironResults": bundle(entry=entries), "b": bundle(entry=[OTHER_ENTRY])})
    assert ids(table) == []
    assert table.states[Need.IRON_RESULTS] is CUT_OFF


MRN = {"system": "urn:mrn", "value": "4711"}


@pytest.mark.parametrize(
    ("stated", "is_used", "state"),
    [
        ({"type": "Group", "display": "herd"}, False, NOT_ASKED),
        ({"type": "RelatedPerson"}, False, NOT_ASKED),
        ({"type": "Group", "identifier": MRN}, False, NOT_ASKED),
        ({"type": "Patient"}, True, ANSWERED),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Patient", "display": "x"}, True, ANSWERED),
        ({"identifier": MRN}, True, ANSWERED),
        ({"type": "Patient", "identifier": MRN}, True, ANSWERED),
        ({"identifier": {"value": "4711"}}, False, CUT_OFF),
        ({"identifier": MRN | {"value": "4712"}}, False, CUT_OFF),
        ({"identifier": {"system": "urn:mrn"}}, False, CUT_OFF),
        ({"identifier": [MRN]}, False, CUT_OFF),
        ({"identifier": {}}, True, ANSWERED),
        ({"identifier": None}, True, ANSWERED),
        ({}, True, ANSWERED),
        (subject() | {"identifier": {"value": "other"}}, True, ANSWERED),
    ],
)
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_subject_without_an_address(stated: Json, is_used: bool, state: NeedState, is_alone: bool) -> None:
    patient = PATIENT | {"identifier": [7, {"system": "urn:x"}, MRN]}
    supplied = patient if is_alone else bundle(patient)
    table = read({"patient": supplied, "ironResults": bundle(observation(subject=stated))})
    assert ids(table) == (["o1"] if is_used else [])
    assert table.states[Need.IRON_RESULTS] is state


def test_an_identifier_of_two_patients_is_nobodys() -> None:
    patients = bundle(PATIENT | {"identifier": [MRN]}, PATIENT | {"id": "p2", "identifier": [MRN]})
    table = read({"patient": patients, "ironResults": bundle(observation(subject={"identifier": MRN}))})
    assert ids(table) == []
    assert table.states[Need.IRON_RESULTS] is CUT_OFF


def test_a_patient_whose_identifiers_cannot_be_read_has_none() -> None:
    broken = {"resourceType": "Patient", "id": "p1", "gender": 7, "identifier": [MRN]}
    results = bundle(observation(subject={"identifier": MRN}))
    assert ids(read({"patient": broken, "ironResults": results})) == []
    assert ids(read({"patient": PATIENT | {"identifier": 7}, "ironResults": results})) == []


def test_a_subject_by_display_only_is_used_and_recorded() -> None:
    table = read({"ironResults": bundle(observation(subject={"display": "Somebody"}))})
    assert ids(table) == ["o1"]
    assert table.issues == (DataIssue(IssueKind.CLEANED, "Observation", "subject by display only"),)


@pytest.mark.parametrize(
    ("focus", "is_used", "state"),
    [
        ([{"reference": "RelatedPerson/donor"}], False, NOT_ASKED),
        ([subject("p2")], False, NOT_ASKED),
        ([subject(), subject("p2")], False, NOT_ASKED),
        ([{"display": "fetus"}], False, NOT_ASKED),
        ([None], False, NOT_ASKED),
        ([{"reference": "#fetus"}], False, CUT_OFF),
        ("fetus", False, CUT_OFF),
        ([7], False, CUT_OFF),
        ([subject()], True, ANSWERED),
        ([], True, ANSWERED),
        (None, True, ANSWERED),
    ],
)
def test_the_focus_of_a_result(focus: object, is_used: bool, state: NeedState) -> None:
    table = read({"ironResults": bundle(observation() | {"focus": focus})})
    assert ids(table) == (["o1"] if is_used else [])
    assert table.states[Need.IRON_RESULTS] is state


@pytest.mark.parametrize(
    ("members", "is_used"),
    [
        ({"subject": {}, "patient": subject("p2")}, False),
        ({"subject": subject(), "patient": subject("p2")}, False),
        ({"subject": subject("p2"), "patient": subject()}, False),
        ({"subject": {"display": "x"}, "patient": subject("p2")}, False),
        ({"subject": subject(), "patient": {"reference": "#p"}}, False),
        ({"subject": {}, "patient": subject()}, True),
        ({"subject": subject(), "patient": {}}, True),
    ],
)
def test_the_worse_of_subject_and_patient_counts(members: Json, is_used: bool) -> None:
    allergy = {"resourceType": "AllergyIntolerance", "id": "a1", "code": {"text": "iron"}} | members
    assert ids(read({"allergies": bundle(allergy)}), "AllergyIntolerance") == (["a1"] if is_used else [])


def test_a_broken_resource_of_another_patient_is_left_out_by_either_member() -> None:
    broken = observation(status=5, subject={}, patient=subject("p2"))
    assert read({"ironResults": bundle(broken)}).salvaged == ()


def at(base: str, resource_id: str, patient: str = "p1") -> Json:
    return observation(resource_id=resource_id, subject={"reference": f"{base}/Patient/{patient}"})


ONE, TWO = "https://one.example.org/fhir", "https://two.example.org/fhir"


@pytest.mark.parametrize(
    ("full_url", "used"),
    [(f"{ONE}/Patient/p1", ["o1", "o3"]), (f"{TWO}/Patient/p1", ["o2", "o3"]), (None, ["o3"])],
)
def test_one_id_on_two_servers_is_the_patient_on_one_of_them_only(
    full_url: str | None, used: list[str]
) -> None:
    entry = {"fullUrl": full_url, "resource": PATIENT}
    results = bundle(at(ONE, "o1"), at(TWO, "o2"), observation(resource_id="o3"))
    table = read({"patient": bundle(entry=[entry]), "ironResults": results}, server=None)
    assert ids(table) == used
    assert table.states[Need.IRON_RESULTS] is CUT_OFF


def test_an_id_on_a_server_that_is_not_the_patients() -> None:
    entry = {"fullUrl": f"{ONE}/Patient/p1", "resource": PATIENT}
    prefetch = {"patient": bundle(entry=[entry]), "ironResults": bundle(at(TWO, "o2"))}
    assert ids(read(prefetch, server=None)) == []
    twice = bundle(entry=[entry, {"fullUrl": f"{TWO}/Patient/p1", "resource": PATIENT}])
    assert ids(read(prefetch | {"patient": twice}, server=None)) == []
    agreeing = {"patient": bundle(entry=[entry]), "ironResults": bundle(at(ONE, "o1"), at(TWO, "o2", "p2"))}
    assert ids(read(agreeing, server=None)) == ["o1"]


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p1/_history/2/../../p2",
        "Patient/p1/_history/2/x",
        "Patient/p1/_history/",
        "Patient/p1/_history/2?x",
        "Patient/p1/_history/2#x",
        f"{SERVER}/Patient/p1/_history/2/Patient/p2/x",
    ],
)
def test_nothing_may_follow_a_version(reference: str) -> None:
    assert parse_reference(reference) is None
    assert ids(read({"ironResults": bundle(observation(subject={"reference": reference}))})) == []


def test_a_patient_without_id_is_nobody() -> None:
    body = json.dumps({"patient": {"resourceType": "Patient", "gender": "female"}}).encode()
    table = read_prefetch(body, Call(OWN_KEYS, "None", SERVER), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it
    assert ids(table, "Patient") == []


# --------------------------------------------------------------------------------- repeated keys
def repeated(body: bytes) -> frozenset[str]:
    return repeated_keys(msgspec.Raw(body), split_prefetch(body))


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (b"{}", set()),
        (b' { "a" : 1 ,\n "b" : {"a": [2 , 3]} } ', set()),
        (b'{"a":{"a":1,"a":2}}', set()),
        (b'{"\\u0061":1}', set()),
        ('{"é":1}'.encode(), set()),
        (b'{"a":1,"a":1}', {"a"}),
        (b'{"a":1,"b":2,"a":3}', {"a"}),
        (b'{"a":1,"b":2,"a":3,"b":{}}', {"a", "b"}),
        (b'{"\\u0061":1,"a":2}', {"a"}),
        (b'{"a":"x","b":2,"a":"y"}', {"a"}),
        (b'{"a":1,"a":' + b"1" * 5000 + b"}", {"a"}),
    ],
)
def test_keys_that_stand_twice_are_found(body: bytes, keys: set[str]) -> None:
    assert repeated(body) == keys


def test_where_the_keys_cannot_be_told_all_are_suspect() -> None:
    body = b'{"a":1,"a":' + b"[" * 900 + b"]" * 900 + b',"b":2}'
    assert repeated(body) in ({"a"}, {"a", "b"})


@pytest.mark.parametrize("is_last_empty", [True, False])
def test_a_repeated_key_answers_nothing(is_last_empty: bool) -> None:
    values: list[Any] = [bundle(observation()), bundle()]
    first, last = (json.dumps(value) for value in (values if is_last_empty else values[::-1]))
    body = f'{{"ironResults":{first},"conditions":null,"ironResults":{last}}}'.encode()
    table = read_prefetch(body, Call(OWN_KEYS, "p1", SERVER), SmallTerminology())  # type: ignore[arg-type]  # stand-in of it
    assert table.states[Need.IRON_RESULTS] is FAILED
    assert table.states[Need.CONDITIONS] is ANSWERED
    assert "prefetch key repeated" in details(table)


# ------------------------------------------------------------------------ results that hide themselves
HIDDEN = [
    None,
    {},
    {"coding": []},
    {"coding": [{"code": "2276-4"}]},
    {"coding": [{"system": LOINC}]},
    {"text": " "},
    concept(SNOMED_CT, "489004"),
]


@pytest.mark.parametrize("code", HIDDEN)
@pytest.mark.parametrize("key", ["ironResults", "ferritin"])
def test_an_observation_that_does_not_say_what_it_is_may_be_the_one_asked_for(code: object, key: str) -> None:
    table = read({key: bundle(observation() | {"code": code})})
    assert ids(table) == []
    assert table.states[Need.IRON_RESULTS] is CUT_OFF


def test_elsewhere_it_does_not_matter() -> None:
    assert read({"conditions": bundle(condition(), observation(code={}))}).states[Need.CONDITIONS] is ANSWERED
    assert iron_state(bundle(observation(), observation(code={}, subject=subject("p2")))) is ANSWERED
    context = read(
        {"contextResults": bundle(observation(code={}, component=[{"code": concept(LOINC, "718-7")}]))}
    )
    assert ids(context) == ["o1"]
    assert context.states[Need.CONTEXT_RESULTS] is CUT_OFF


def test_a_hidden_observation_with_a_modifier_is_not_forgotten() -> None:
    assert iron_state(bundle(observation(code={}, modifierExtension=MODIFIER))) is CUT_OFF


@pytest.mark.parametrize(
    "members",
    [
        {"status": "banana"},
        {"status": "banana", "valueQuantity": None},
        {"valueQuantity": None, "valueAttachment": {"url": "http://x"}},
        {"valueQuantity": None, "valueDecimal": 20},
        {"valueQuantity": None, "ValueQuantity": {"value": 20}},
        {
            "valueQuantity": None,
            "component": [{"code": concept(LOINC, "2276-4"), "valueMoney": {"value": 2}}],
        },
        {"status": "banana", "modifierExtension": MODIFIER},
    ],
)
def test_a_result_of_an_unknown_kind_exists(members: Json) -> None:
    facts = opened({"ironResults": bundle(observation(**members))}).facts
    assert [result.unreadable for result in facts.results] == [Unreadable.INVALID_RESOURCE]


@pytest.mark.parametrize(
    "members",
    [
        {"status": "entered-in-error"},
        {"status": "Cancelled "},
        {"status": "cancelled", "modifierExtension": MODIFIER},
        {"valueQuantity": None},
        {"valueQuantity": {"unit": "ng/mL"}},
        {"valueQuantity": None, "dataAbsentReason": {"text": "error"}},
        {"valueQuantity": None, "component": 7, "status": "cancelled"},
    ],
)
def test_a_result_that_was_none_stays_none(members: Json) -> None:
    assert opened({"ironResults": bundle(observation(**members))}).facts.results == ()
