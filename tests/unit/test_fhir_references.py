"""References: whose record a resource is, and what it refers to."""

import json

import pytest

from cds_service.clinical.facts import IssueKind, Need
from cds_service.fhir import lean
from cds_service.fhir.references import Target, normalise_base, parse_reference
from tests.unit.fhir_samples import (
    ANSWERED,
    CUT_OFF,
    PATIENT,
    RXNORM,
    SERVER,
    Json,
    bundle,
    concept,
    medicine,
    observation,
    read,
)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("Patient/p1", Target("", "Patient", "p1")),
        ("Patient/p1/_history/3", Target("", "Patient", "p1")),
        ("https://EHR.example.org/fhir/Patient/p1", Target(SERVER, "Patient", "p1")),
        ("p1", None),
        ("a/b/c", None),
        ("urn:uuid:1", None),
        ("Patient/", None),
        ("", None),
        ("x" * 3000, None),
    ],
)
def test_parsing(text: str, target: Target | None) -> None:
    assert parse_reference(text) == target


def test_server_addresses_are_compared_without_case_of_the_host_and_last_slash() -> None:
    assert normalise_base("HTTPS://EHR.example.org/fhir/") == SERVER
    assert normalise_base("http://[") == "http://["


OWN = [
    {"reference": "Patient/p1"},
    {"reference": f"{SERVER}/Patient/p1"},
    {"reference": f"{SERVER}/Patient/p1/_history/2"},
    {"reference": "urn:uuid:p1"},
    {"display": "somebody"},
    None,
]
OTHER = [{"reference": "Patient/p2"}, {"reference": f"{SERVER}/Patient/p2"}, {"reference": "Group/p1"}]
UNCLEAR = [
    {"reference": "https://other.example.org/fhir/Patient/p1"},
    {"reference": "#me"},
    {"reference": "urn:uuid:7"},
]


@pytest.mark.parametrize("subject", OWN)
def test_a_resource_of_the_patient_is_used(subject: Json | None) -> None:
    table = read({"ironResults": bundle(observation(subject=subject))})
    assert len(table.items("Observation")) == 1
    assert table.states[Need.IRON_RESULTS] is ANSWERED


@pytest.mark.parametrize("subject", [*OTHER, *UNCLEAR])
def test_a_resource_of_another_patient_is_left_out_and_named(subject: Json) -> None:
    table = read({"ironResults": bundle(observation(), observation(resource_id="o2", subject=subject))})
    assert [item.source.resource_id for item in table.items("Observation")] == ["o1"]
    assert [issue.kind for issue in table.issues if issue.resource_type == "Observation"] == [
        IssueKind.OTHER_PATIENT
    ]


@pytest.mark.parametrize("subject", UNCLEAR)
def test_where_the_patient_cannot_be_told_nothing_is_concluded_to_be_absent(subject: Json) -> None:
    table = read({"ironResults": bundle(observation(subject=subject))})
    assert table.states[Need.IRON_RESULTS] is CUT_OFF


def test_a_missing_subject_is_recorded() -> None:
    table = read({"ironResults": bundle(observation(subject=None))})
    assert [issue.kind for issue in table.issues] == [IssueKind.CLEANED]


def test_without_the_address_of_the_server_type_and_id_decide() -> None:
    elsewhere = observation(subject={"reference": "https://any.example.org/Patient/p1"})
    assert read({"ironResults": bundle(elsewhere)}, server=None).items("Observation")


@pytest.mark.parametrize("is_first", [True, False])
def test_the_entry_address_of_the_patient_names_the_patient(is_first: bool) -> None:
    patient = {"fullUrl": "urn:uuid:7", "resource": PATIENT}
    result = {"resource": observation(subject={"reference": "urn:uuid:7"})}
    entries = [patient, result] if is_first else [result, patient]
    assert read({"all": bundle(entry=entries)}).items("Observation")
    nested = {"a": bundle(entry=[result]), "b": bundle(entry=[{"resource": bundle(entry=[patient])}])}
    assert not read(nested).items("Observation")


def test_a_server_address_of_the_patients_entry_is_no_such_name() -> None:
    patient = {"fullUrl": "https://other.example.org/Patient/p1", "resource": PATIENT}
    result = {"resource": observation(subject={"reference": "https://other.example.org/Patient/p1"})}
    assert not read({"all": bundle(entry=[patient, result])}).items("Observation")


MEDICATION = {"resourceType": "Medication", "id": "d1", "code": concept(RXNORM, "36437")}


def resolved(prefetch: Json, reference: str) -> lean.Resource | None:
    table = read(prefetch)
    item = table.items("MedicationRequest")[0]
    return table.resolve(lean.Reference(reference=reference), item)


def request(reference: str, **members: object) -> Json:
    return medicine(
        "MedicationRequest",
        medicationCodeableConcept=None,
        medicationReference={"reference": reference},
        **members,
    )


@pytest.mark.parametrize(
    "reference", ["Medication/d1", f"{SERVER}/Medication/d1", "Medication/d1/_history/1"]
)
@pytest.mark.parametrize("is_other_key", [True, False])
def test_a_medication_is_found_in_the_same_or_another_bundle(reference: str, is_other_key: bool) -> None:
    one = request(reference)
    prefetch = {"a": bundle(one), "b": bundle(MEDICATION)} if is_other_key else {"a": bundle(one, MEDICATION)}
    found = resolved(prefetch, reference)
    assert found is not None
    assert found.id == "d1"


def test_the_own_bundle_comes_before_another() -> None:
    theirs = MEDICATION | {"code": {"text": "other"}}
    found = resolved(
        {"b": bundle(theirs), "a": bundle(request("Medication/d1"), MEDICATION)}, "Medication/d1"
    )
    assert found is not None
    assert found.code is not None
    assert found.code.text is None


def test_contained_comes_by_its_local_id() -> None:
    contained = [{"resourceType": "Questionnaire", "code": 7}, MEDICATION]
    assert resolved({"a": request("#d1", contained=contained)}, "#d1") is not None
    assert resolved({"a": request("#d1", contained=contained)}, "#d2") is None


@pytest.mark.parametrize(
    "change", [{"implicitRules": "http://x"}, {"modifierExtension": [{"url": "http://x"}]}]
)
def test_a_medication_with_a_modifier_is_not_used(change: Json) -> None:
    changed = MEDICATION | change
    assert resolved({"a": bundle(request("Medication/d1"), changed)}, "Medication/d1") is None
    assert resolved({"a": request("#d1", contained=[changed])}, "#d1") is None


@pytest.mark.parametrize(
    "reference",
    ["https://other.example.org/fhir/Medication/d1", "Medication/d2", "nonsense", ""],
)
def test_what_cannot_be_trusted_or_found_is_not_resolved(reference: str) -> None:
    assert resolved({"a": bundle(request("Medication/d1"), MEDICATION)}, reference) is None


def test_an_unreadable_medication_is_as_if_not_supplied() -> None:
    broken = MEDICATION | {"code": [1]}
    assert resolved({"a": bundle(request("Medication/d1"), broken)}, "Medication/d1") is None


def test_a_display_only_reference_resolves_to_nothing() -> None:
    table = read({"a": bundle(medicine("MedicationRequest"))})
    item = table.items("MedicationRequest")[0]
    assert table.resolve(lean.Reference(display="IBUPROFEN 200 MG PO TABS"), item) is None
    assert json.dumps(item.full_url)
