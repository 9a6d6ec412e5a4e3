"""Devices and their use: what shows positive airway pressure, in every release."""

import json
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.clinical.facts import DeviceFact, Facts, IssueKind, Need, NeedState
from cds_service.fhir import open_record
from cds_service.knowledge import load
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from tests.unit.fhir_samples import SNOMED_CT, Json, bundle, concept, subject

UNIT = concept(SNOMED_CT, "702172008")


def facts_of(*resources: Json, **values: Json) -> Facts:
    sent = {"deviceUse": bundle(*resources)} if resources else {}
    return open_record(
        json.dumps(sent | values).encode(),
        own_keys=PREFETCH_NEEDS,
        patient_id="p1",
        fhir_server=None,
        version_hint=None,
        knowledge=load(),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    ).facts


def use(**members: Any) -> Json:
    made = {"resourceType": "DeviceUseStatement", "id": "u1", "status": "active", "subject": subject()}
    return {name: value for name, value in (made | members).items() if value is not None}


def device(**members: Any) -> Json:
    made = {"resourceType": "Device", "id": "d1", "status": "active", "type": UNIT, "patient": subject()}
    return {name: value for name, value in (made | members).items() if value is not None}


def only(facts: Facts) -> DeviceFact:
    (found,) = facts.devices
    return found


def test_a_use_of_a_device_that_the_record_holds() -> None:
    facts = facts_of(use(device={"reference": "Device/d1"}), devices=bundle(device(patient=None)))
    found = only(facts)
    assert (found.is_in_use, found.when, found.certainty.value) == (True, None, "by code")
    assert facts.needs[Need.DEVICE_USE] is facts.needs[Need.DEVICES] is NeedState.ANSWERED


def test_a_use_of_a_contained_device() -> None:
    contained = [
        {"resourceType": "Device", "id": "c1", "deviceName": [{"name": "AutoPAP, CPAP", "type": "other"}]}
    ]
    found = only(facts_of(use(device={"reference": "#c1"}, contained=contained)))
    assert (found.display, found.certainty.value) == ("AutoPAP, CPAP", "by text")


@pytest.mark.parametrize(
    ("members", "is_in_use", "shown"),
    [
        ({}, True, None),
        ({"timingPeriod": {"start": "2020-01-01"}}, True, "2020-01-01"),
        ({"timingPeriod": {"start": "2020-01-01", "end": "2026-10-01"}}, False, "2026-10-01"),
        ({"status": "completed", "timingDateTime": "2026-09-01"}, False, "2026-09-01"),
        ({"status": None, "recordedOn": "2026-08-01"}, False, "2026-08-01"),
    ],
)
def test_when_a_use_was_and_whether_it_goes_on(members: Json, is_in_use: bool, shown: str | None) -> None:
    found = only(facts_of(use(device={"display": "CPAP"}, **members)))
    assert found.is_in_use is is_in_use
    assert (found.when.shown if found.when else None) == shown


@pytest.mark.parametrize(
    "members",
    [
        {"device": None},
        {"device": {"display": "Wheelchair"}},
        {"device": {"display": "CPAP"}, "status": "intended"},
        {"device": {"display": "CPAP"}, "status": "entered-in-error"},
        {"device": {"display": "CPAP, declined"}},
        {"device": ["CPAP"]},
        {"device": {"reference": "Device/of-nobody-here"}},
        {"device": {"reference": "Patient/p1"}},
    ],
)
def test_what_is_no_use_of_it(members: Json) -> None:
    assert facts_of(use(**members)).devices == ()


def test_a_use_that_names_nothing_is_noted() -> None:
    facts = facts_of(use(device={"reference": "Device/elsewhere"}))
    noted = [issue for issue in facts.issues if issue.kind is IssueKind.UNRESOLVED_REFERENCE]
    assert [(one.resource_type, one.detail) for one in noted] == [("DeviceUseStatement", "device: not named")]


def test_a_device_of_the_patient_counts_by_itself() -> None:
    assert only(facts_of(devices=bundle(device()))).is_in_use


@pytest.mark.parametrize(
    "members",
    [
        {"patient": None},
        {"status": "inactive"},
        {"status": None},
        {"type": concept(SNOMED_CT, "43770009")},
        {"type": None},
        {"type": "CPAP"},
        {"type": None, "deviceName": "CPAP"},
        {"type": None, "deviceName": [{"name": 7}]},
    ],
)
def test_what_is_no_device_of_it(members: Json) -> None:
    assert facts_of(devices=bundle(device(**members))).devices == ()


def test_an_inactive_device_is_not_in_use_whatever_its_use_says() -> None:
    facts = facts_of(use(device={"reference": "Device/d1"}), devices=bundle(device(status="inactive")))
    assert facts.devices == ()


@pytest.mark.parametrize(
    "resource",
    [
        # R5
        {
            "resourceType": "DeviceUsage",
            "id": "u5",
            "status": "active",
            "patient": subject(),
            "device": {"concept": UNIT},
        },
        # STU3
        use(device={"display": "CPAP"}, whenUsed={"start": "2024-01-01"}),
        # DSTU2
        use(device={"display": "CPAP"}, whenUsed={"start": "2024-01-01"}, status=None),
    ],
)
def test_other_releases(resource: Json) -> None:
    assert only(facts_of(resource)).is_in_use


def test_a_use_of_r5_that_refers_to_its_device() -> None:
    usage = {
        "resourceType": "DeviceUsage",
        "id": "u5",
        "status": "active",
        "patient": subject(),
        "device": {"reference": {"reference": "Device/d5"}},
    }
    named = {
        "resourceType": "Device",
        "id": "d5",
        "status": "active",
        "type": [{"text": "CPAP"}],
        "name": [{"value": "x"}],
    }
    assert only(facts_of(usage, devices=bundle(named))).display == "CPAP"


@pytest.mark.parametrize("device_of_r5", [None, "CPAP"])
def test_a_use_of_r5_without_a_device(device_of_r5: object) -> None:
    usage = {"resourceType": "DeviceUsage", "id": "u5", "status": "active", "patient": subject()}
    assert facts_of(usage | {"device": device_of_r5}).devices == ()


def test_a_device_of_dstu2() -> None:
    old_condition = {
        "resourceType": "Condition",
        "id": "c1",
        "patient": subject(),
        "clinicalStatus": "active",
    }
    facts = facts_of(conditions=bundle(old_condition), devices=bundle(device(status="available")))
    assert only(facts).is_in_use


def test_a_use_of_dstu2_that_ended() -> None:
    old = use(device={"display": "CPAP"}, whenUsed={"end": "2026-10-01"}, status=None)
    assert not only(facts_of(old)).is_in_use
