"""Full validation: what is cleaned up, what is refused, and that no verdict holds a value."""

import json
import sys
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.fhir.cleanup import MAX_DEPTH, clean
from cds_service.fhir.prefetch import READ_TYPES
from cds_service.fhir.validation import Verdict, validate, warm_up
from tests.unit.fhir_samples import (
    PATIENT,
    Json,
    concept,
    condition,
    laboratory,
    medicine,
    observation,
    subject,
)

ORDER = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": subject()}
ALLERGY = {"resourceType": "AllergyIntolerance", "patient": subject(), "code": {"text": "iron"}}
FAMILY = {
    "resourceType": "FamilyMemberHistory",
    "status": "completed",
    "patient": subject(),
    "relationship": {"text": "mother"},
}
PROCEDURE = {"resourceType": "Procedure", "status": "completed", "subject": subject()}
REQUEST = medicine("MedicationRequest", intent="order")
GIVEN = medicine("MedicationAdministration", status="completed", effectiveDateTime="2026-10-01")


def verdict(resource: Json) -> Verdict:
    return validate(json.dumps(resource).encode(), resource["resourceType"], "p1")


@pytest.mark.parametrize(
    "resource",
    [observation(), condition(), medicine(), REQUEST, GIVEN, ORDER, ALLERGY, FAMILY, PROCEDURE, PATIENT],
)
def test_sound_resources_need_no_clean_up(resource: Json) -> None:
    assert verdict(resource) == Verdict(is_valid=True)


CLEANED: list[tuple[Json, str]] = [
    (observation(foo=1), "unknown element"),
    (observation(valueQuantity={"value": 20, "unit": "ng/mL", "foo": 1}), "unknown element"),
    (observation(code=concept("http://loinc.org", "2276-4 ")), "blanks around a text"),
    (observation(dataAbsentReason={"text": ""}), "empty or unusable member"),
    (observation(category=[]), "empty or unusable member"),
    (observation(category=[None]), "empty or unusable member"),
    (observation(resource_id="a_b"), "id of other characters"),
    (observation(id=17), "id of other characters"),
    (observation(effectiveDateTime="2026-10-01T08:00:00"), "time without zone or seconds, day kept"),
    (observation(effectiveDateTime="2026-10-01T08:00Z"), "time without zone or seconds, day kept"),
    (observation(effectiveDateTime="2026-10-01 08:00"), "time without zone or seconds, day kept"),
    (observation(effectiveDateTime="2026-10-01T24:00:00Z"), "time without zone or seconds, day kept"),
    (observation(issued="2026-10-01"), "instant without zone or seconds"),
    (observation(category=laboratory()[0]), "single object where a list belongs"),
    (REQUEST | {"category": laboratory()[0]}, "single object where a list belongs"),
    (observation(valueQuantity={"value": "<5", "unit": "ng/mL"}), "number sent as text"),
    (observation(valueQuantity={"value": "12.50", "unit": "ng/mL"}), "number sent as text"),
    (observation(valueQuantity={"value": 5, "comparator": "~"}), "comparator not understood"),
    (observation(status=None), "status missing, read as unknown"),
    (medicine(status=None), "status missing, read as unknown"),
    (condition(onsetAge="young"), "faulty element that is not read"),
]


@pytest.mark.parametrize(("resource", "cleanup"), CLEANED)
def test_what_senders_get_wrong_is_cleaned_up_and_recorded(resource: Json, cleanup: str) -> None:
    found = verdict(resource)
    assert found.is_valid, found.reason
    assert cleanup in found.cleanups


@pytest.mark.parametrize(
    "resource",
    [
        medicine(subject=None),
        condition(subject=None),
        ALLERGY | {"patient": None},
        observation(subject=None),
        observation(contained=[{"resourceType": "Foo"}]),
        observation(text={"status": "generated", "div": "<script>x</script>"}, meta=7),
        observation(effectiveDateTime="2026"),
        observation(effectiveDateTime="2026-10"),
        PATIENT | {"gender": "unknown"},
        PATIENT | {"gender": None, "birthDate": "1971"},
        observation(status=None, _status={"extension": [{"url": "http://x", "valueCode": "unknown"}]}),
        condition(clinicalStatus={"text": "Active"}),
        PATIENT | {"telecom": 7},
        PATIENT | {"name": "Legg"},
        observation(extension=[{"valueString": "x"}], bodySite={"text": ""}, note=[], performer=[None]),
        observation(code=concept("http://loinc.org", "2276-4") | {"extension": [{"url": 7}]}),
    ],
)
def test_what_real_records_lack_is_accepted(resource: Json) -> None:
    assert verdict(resource).is_valid


REFUSED: list[Json] = [
    observation(status="resulted"),
    observation(status="Final"),
    observation(status=7),
    PATIENT | {"gender": "M"},
    medicine(status="banana"),
    REQUEST | {"intent": "wish"},
    ORDER | {"status": "done"},
    PROCEDURE | {"status": "done"},
    GIVEN | {"status": "given"},
    ALLERGY | {"criticality": "very"},
    condition(clinicalStatus=concept("http://x", "perhaps")),
    condition(verificationStatus=concept("http://x", "perhaps")),
    ALLERGY | {"verificationStatus": concept("http://x", "perhaps")},
    observation(code=None),
    observation(valueString="20"),
    observation(valueQuantity={"value": "twenty", "unit": "ng/mL"}),
    observation(effectiveDateTime="yesterday"),
    medicine(medicationCodeableConcept=None),
    medicine(medicationReference={"reference": "#a"}),
    condition(subject="Patient/p1"),
    REQUEST | {"contained": [{"resourceType": "Medication", "code": 7}]},
]


@pytest.mark.parametrize("resource", REFUSED)
def test_what_is_not_fhir_is_refused(resource: Json) -> None:
    found = verdict(resource)
    assert not found.is_valid
    assert found.reason


@pytest.mark.parametrize(
    ("text", "resource_type"),
    [
        (b"{", "Observation"),
        (b"[]", "Observation"),
        (b'{"resourceType":"Patient"}', "Observation"),
        (b"\xff", "Observation"),
    ],
)
def test_what_is_not_the_expected_resource_is_refused(text: bytes, resource_type: str) -> None:
    assert not validate(text, resource_type, "p1").is_valid


def test_depth_is_bounded() -> None:
    deep: Json = {"text": "a"}
    for _ in range(MAX_DEPTH + 2):
        deep = {"text": "a", "coding": [deep]}
    assert clean(observation(code=deep), "p1").is_too_deep
    assert not verdict(observation(code=deep)).is_valid


def test_numbers_are_exact_and_a_quoted_one_keeps_its_comparator() -> None:
    cleaned = clean(
        {"resourceType": "Observation", "valueQuantity": {"value": " >= 12.50 ", "unit": "x"}}, "p1"
    )
    assert cleaned.resource["valueQuantity"] == {"value": "12.50", "comparator": ">=", "unit": "x"}
    exact = clean({"resourceType": "Observation", "valueQuantity": {"value": Decimal("12.50")}}, "p1")
    assert exact.resource["valueQuantity"]["value"] == Decimal("12.50")


def test_clean_up_leaves_the_original_alone() -> None:
    resource = observation(foo="", code=concept("http://loinc.org", " 2276-4"))
    before = json.dumps(resource)
    clean(resource, "p1")
    assert json.dumps(resource) == before


def test_warming_up_builds_every_model_but_those_of_devices() -> None:
    warm_up()
    loaded = {name for name in sys.modules if name.startswith("fhir.resources.R4B.")}
    warm = READ_TYPES - {"Device", "DeviceUseStatement"}
    assert {f"fhir.resources.R4B.{name.lower()}" for name in warm} <= loaded


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "DeviceUseStatement", "device": {"reference": "Device/d1"}, "subject": subject()},
        {
            "resourceType": "DeviceUseStatement",
            "status": "active",
            "subject": subject(),
            "device": {"display": "CPAP"},
            "timingPeriod": {"start": "2024"},
        },
        {"resourceType": "Device", "status": "active", "type": {"text": "CPAP"}},
    ],
)
def test_devices_are_validated_too(resource: Json) -> None:
    assert verdict(resource).is_valid
    assert not verdict(resource | {"status": "worn out"}).is_valid


@pytest.mark.parametrize("resource", [*(r for r, _ in CLEANED), *REFUSED])
def test_no_verdict_holds_a_value(resource: Json) -> None:
    secret = "Zebedee-4711"  # noqa: S105 - a canary, not a password
    found = verdict(resource | {secret: secret, "note": [{"text": secret, secret: secret}]})
    assert secret not in repr(found)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["2026-01", "active"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["value", "code", "id", "url", "coding", "extension"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
CODED = ["status", "code", "category", "gender", "component", "valueQuantity", "dosage", "birthDate"]
OTHERS = ["subject", "effectiveDateTime", "contained", "extension", "id", "note", "_status", "foo"]
ELEMENTS = st.sampled_from([*CODED, *OTHERS])
TYPES = st.sampled_from(["Observation", "Patient", "MedicationStatement", "Condition", "FamilyMemberHistory"])


@settings(max_examples=200, deadline=None)
@given(TYPES, st.dictionaries(ELEMENTS, VALUES, max_size=6))
def test_any_resource_gets_a_verdict(resource_type: str, members: Json) -> None:
    text = json.dumps(members | {"resourceType": resource_type}).encode()
    assert isinstance(validate(text, resource_type, "p1"), Verdict)


@pytest.mark.parametrize(
    "birth", ["1980-00-00", "1972-3-23", "1971-13-02", "1971-02-30", "19720323", "yesterday"]
)
def test_a_birth_date_that_is_no_date_costs_itself_only(birth: str) -> None:
    verdict = validate(json.dumps(PATIENT | {"birthDate": birth}).encode(), "Patient", "p1")
    assert verdict == Verdict(is_valid=True, cleanups={"unreadable date left out": 1})


def test_a_date_that_decides_is_not_left_out() -> None:
    faulty = observation(effectiveDateTime="2026-13-01")
    assert not validate(json.dumps(faulty).encode(), "Observation", "p1").is_valid
