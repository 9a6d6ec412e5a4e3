"""Whole records of other releases: which release is taken, that nothing is lost, and what is validated."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.clinical.facts import Need
from cds_service.fhir.decoding import Place
from cds_service.fhir.translation import Translated, translate
from cds_service.fhir.versions import FhirVersion, version_of_hint
from tests.unit.fhir_samples import (
    ANSWERED,
    PATIENT,
    Json,
    bundle,
    concept,
    condition,
    medicine,
    observation,
    read,
    subject,
)

DSTU2, STU3, R4, R5 = FhirVersion.DSTU2, FhirVersion.STU3, FhirVersion.R4, FhirVersion.R5
STATEMENT = medicine()
TAKEN = medicine(resource_id="m2", taken="y")
OF_PATIENT = medicine(resource_id="m3", subject=None, patient=subject())
REFERRED = medicine(resource_id="m4", medicationCodeableConcept=None, medication={"concept": {"text": "x"}})
OLD_CONDITION = condition(clinicalStatus="active")
NEW_CONDITION = condition()
FAMILY_LIST = PATIENT | {"name": [{"family": ["Legg"]}]}
ORDER = {
    "resourceType": "DiagnosticOrder",
    "id": "d1",
    "subject": subject(),
    "status": "requested",
    "item": [{"code": {"text": "blood count"}}, {"code": {"text": "ferritin"}}],
}


def translated(prefetch: Json, hint: str | None = None) -> Translated:
    values = {key: msgspec.Raw(json.dumps(value).encode()) for key, value in prefetch.items()}
    return translate(values, version_of_hint(hint))


def value(found: Translated, key: str = "x") -> Any:
    return json.loads(bytes(found.values[key]))


def statuses(found: Translated) -> list[str | None]:
    return [entry["resource"].get("status") for entry in value(found)["entry"]]


@pytest.mark.parametrize(
    ("resources", "hint", "expected"),
    [
        # most of the record decides
        ((STATEMENT, TAKEN, OLD_CONDITION), None, "unknown"),
        ((STATEMENT, OLD_CONDITION), None, "active"),
        ((STATEMENT, NEW_CONDITION, OLD_CONDITION), None, "active"),
        ((STATEMENT, OF_PATIENT), None, "active"),
        # the client decides where the shape leaves a choice
        ((STATEMENT, TAKEN, OLD_CONDITION), "R4", "active"),
        ((STATEMENT, NEW_CONDITION), "STU3", "unknown"),
        ((STATEMENT, NEW_CONDITION), "DSTU2", "active"),
        # and the shape decides against the client
        ((REFERRED, NEW_CONDITION), "DSTU2", "active"),
        ((STATEMENT, REFERRED), "R5", "active"),
    ],
)
def test_a_record_is_of_one_release_unless_shapes_say_otherwise(
    resources: tuple[Json, ...], hint: str | None, expected: str
) -> None:
    assert statuses(translated({"x": bundle(*resources)}, hint))[0] == expected


def test_the_release_of_each_resource_is_counted() -> None:
    found = translated({"x": bundle(FAMILY_LIST, OF_PATIENT, NEW_CONDITION, observation())})
    assert found.counts == {
        ("Patient", DSTU2): 1,
        ("MedicationStatement", DSTU2): 1,
        ("Observation", DSTU2): 1,
    }
    assert {place.path: origin.version for place, origin in found.origins.items()} == {
        (0,): DSTU2,
        (1,): DSTU2,
        (3,): DSTU2,
    }


def test_numbers_keep_every_digit() -> None:
    value = b'{"value":12.500000000000000000010,"x":1e400}'
    text = b'{"resourceType":"Observation","context":{},"valueQuantity":' + value + b"}"
    found = translate({"x": msgspec.Raw(text)}, None)
    assert b"12.500000000000000000010" in bytes(found.values["x"])
    assert b"1e400" in bytes(found.values["x"])


def test_text_that_is_not_unicode_is_left_and_refused() -> None:
    text = b'{"resourceType":"Observation","context":{},"note":"\xff"}'
    assert bytes(translate({"x": msgspec.Raw(text)}, None).values["x"]) == text


def test_what_does_not_change_keeps_its_text() -> None:
    bundled = bundle({"resourceType": "Practitioner"}, PATIENT)
    found = translated({"x": bundled, "y": None, "z": 7, "w": [OF_PATIENT]}, "DSTU2")
    assert value(found) == bundled
    assert value(found, "y") is None
    assert value(found, "z") == 7
    assert value(found, "w") == [OF_PATIENT]


def test_an_order_of_two_tests_takes_two_places() -> None:
    found = translated({"x": bundle(ORDER, OF_PATIENT), "y": ORDER})
    codes = [entry["resource"].get("code") for entry in value(found)["entry"]]
    assert codes[:2] == [{"text": "blood count"}, {"text": "ferritin"}]
    assert [place.path for place in found.origins if place.key == "x"] == [(0,), (1,), (2,)]
    assert value(found, "y")["resourceType"] == "Bundle"
    assert [place.path for place in found.origins if place.key == "y"] == [(0,), (1,)]
    table = read({"x": bundle(ORDER), "y": ORDER})
    assert len(table.items("ServiceRequest")) == 1
    assert table.states[Need.IRON_ORDERS] is ANSWERED


def test_a_bundle_in_a_bundle_and_odd_entries() -> None:
    inner = bundle(OF_PATIENT)
    outer = {
        "resourceType": "Bundle",
        "entry": [None, {}, "odd", {"resource": inner}, {"resource": OF_PATIENT}],
    }
    found = translated({"x": outer})
    entries = value(found)["entry"]
    assert entries[:3] == [None, {}, "odd"]
    assert entries[3]["resource"]["entry"][0]["resource"]["subject"] == subject()
    assert set(found.origins) == {Place("x", (3, 0)), Place("x", (4,))}


def test_a_resource_of_unexpected_shape_is_taken_for_the_release_of_the_others() -> None:
    odd = medicine(resource_id="m9", subject=None, patient=subject(), status=["active"])
    found = translated({"x": bundle(odd, OF_PATIENT)})
    assert value(found)["entry"][0]["resource"]["subject"] == subject()


def test_pages_of_the_server_are_of_the_same_release() -> None:
    table = read({"conditions": bundle(condition(clinicalStatus="active", subject=None, patient=subject()))})
    (item,) = table.items("Condition")
    origin = table.store.origin(item.place)
    assert origin is not None
    assert (origin.version, origin.resource_type) == (DSTU2, "Condition")
    assert json.loads(bytes(origin.text))["patient"] == subject()


def test_an_empty_bundle_under_an_old_name_answers_its_question() -> None:
    empty = bundle()
    table = read(
        {"medicationOrders": empty, "y": empty | {"link": [{"relation": "self", "url": "f/DiagnosticOrder"}]}}
    )
    assert table.states[Need.MEDICATION_REQUESTS] is ANSWERED
    assert table.states[Need.IRON_ORDERS] is ANSWERED


TYPES = st.sampled_from(
    [
        *(
            "Patient",
            "Observation",
            "Condition",
            "MedicationStatement",
            "MedicationOrder",
            "MedicationRequest",
        ),
        *("MedicationAdministration", "Medication", "Procedure", "AllergyIntolerance", "DiagnosticOrder"),
        *("ProcedureRequest", "ReferralRequest", "ServiceRequest", "FamilyMemberHistory", "Bundle"),
    ]
)
ELEMENTS = st.sampled_from(
    [
        *("id", "status", "patient", "subject", "name", "category", "clinicalStatus", "verificationStatus"),
        *("medication", "medicationCodeableConcept", "adherence", "taken", "wasNotTaken", "dosage", "item"),
        *("dosageInstruction", "event", "dateEnded", "dispenseRequest", "product", "substance", "reaction"),
        *("manifestation", "code", "concept", "context", "requester", "participant", "contained", "notDone"),
        *(
            "type",
            "serviceRequested",
            "clinicalStatus",
            "timing",
            "repeat",
            "asNeededFor",
            "reference",
            "entry",
        ),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", " ", "active", "recorded", "unknown", "2026-10-01", "true", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ELEMENTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(TYPES, st.dictionaries(ELEMENTS, VALUES, max_size=6)), max_size=4),
    st.sampled_from([None, "R4", "R5", "STU3", "DSTU2", "R6"]),
)
def test_any_record_gives_a_table(resources: list[tuple[str, Json]], hint: str | None) -> None:
    made = [members | {"resourceType": resource_type} for resource_type, members in resources]
    table = read({"x": {"resourceType": "Bundle", "entry": [{"resource": one} for one in made]}}, hint)
    assert set(table.states) == set(Need)


def test_a_referred_product_is_rewritten_too() -> None:
    product = {
        "resourceType": "Medication",
        "id": "p",
        "code": concept("x", "y"),
        "doseForm": {"text": "cream"},
    }
    found = translated({"x": bundle(REFERRED, product)})
    assert value(found)["entry"][1]["resource"]["form"] == {"text": "cream"}
