"""Without a licence for SNOMED CT none of its codes is read or written; words and ICD-10-CM go on."""

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cds_service.app import create_app, load_knowledge
from cds_service.assess import Answer
from cds_service.cli import main
from cds_service.clients import load_clients
from cds_service.clinical.assessment import RlsStatus
from cds_service.clinical.facts import DataIssue, IssueKind, Need, NeedState, Unreadable
from cds_service.knowledge import load
from cds_service.knowledge.local import with_windows, without_snomed
from cds_service.knowledge.terminology import ICD_10_CM, LOINC, SNOMED_CT
from cds_service.settings import Settings, SettingsError, load_settings
from tests.harness import Service, service_with

Json = dict[str, Any]
RLS = {"system": SNOMED_CT, "code": "32914008"}
PREGNANT = {"system": SNOMED_CT, "code": "77386006"}
NOT_PREGNANT = {"system": SNOMED_CT, "code": "60001007"}
OFF = Settings(snomed=False)
BASE = load()
WITHOUT = without_snomed(BASE)


def bundle(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources]}


@cache
def service(*, has_snomed: bool) -> Service:
    return service_with(Settings(snomed=has_snomed))


def answer(settings: Settings, condition: Json, *context: Json) -> Answer:
    prefetch = {
        "patient": {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1990-01-01"},
        "ironResults": bundle(),
        "contextResults": bundle(*context),
        "conditions": bundle({"resourceType": "Condition", "code": condition}),
    }
    return service(has_snomed=settings.snomed).view(
        {
            "hookInstance": "2f0d7a5c-6c43-4a75-8d6b-0f4f3f6f1d11",
            "context": {"patientId": "p"},
            "prefetch": prefetch,
        }
    )


@pytest.mark.parametrize(
    ("condition", "with_snomed", "without_snomed"),
    [
        ({"coding": [RLS]}, RlsStatus.DOCUMENTED, RlsStatus.UNKNOWN),
        ({"coding": [RLS], "text": "Restless legs syndrome"}, RlsStatus.DOCUMENTED, RlsStatus.DOCUMENTED),
        (
            {"coding": [{**RLS, "display": "Restless legs syndrome"}]},
            RlsStatus.DOCUMENTED,
            RlsStatus.DOCUMENTED,
        ),
        (
            {"coding": [RLS, {"system": ICD_10_CM, "code": "G25.81"}]},
            RlsStatus.DOCUMENTED,
            RlsStatus.DOCUMENTED,
        ),
    ],
    ids=["code alone", "with text", "with display", "with ICD-10-CM"],
)
def test_a_condition_is_read_by_its_words_or_its_other_codes(
    condition: Json, with_snomed: RlsStatus, without_snomed: RlsStatus
) -> None:
    assert answer(Settings(), condition).assessment.rls is with_snomed
    assert answer(OFF, condition).assessment.rls is without_snomed


def test_a_condition_of_a_switched_off_code_alone_is_neither_there_nor_absent() -> None:
    asthma = {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.96", "code": "195967001"}]}
    found = answer(OFF, asthma)
    assert found.facts.needs[Need.CONDITIONS] is NeedState.CUT_OFF
    issue = DataIssue(IssueKind.SKIPPED, "Condition", "code: SNOMED CT is switched off")
    assert issue in found.facts.issues
    # With the licence the same code is known to be none of ours.
    assert answer(Settings(), asthma).facts.needs[Need.CONDITIONS] is NeedState.ANSWERED


@pytest.mark.parametrize(
    "condition",
    [
        {"coding": [RLS, {"system": ICD_10_CM, "code": "J45"}]},
        {"coding": [{**RLS, "display": "Asthma"}]},
        {"coding": [{"system": SNOMED_CT}], "text": "Asthma"},
        {"coding": [{"system": ICD_10_CM, "code": "J45"}]},
    ],
)
def test_other_codes_and_words_tell_that_a_condition_is_none_of_ours(condition: Json) -> None:
    found = answer(OFF, condition)
    assert found.facts.needs[Need.CONDITIONS] is NeedState.ANSWERED
    assert found.assessment.rls is not RlsStatus.DOCUMENTED


def pregnancy_status(settings: Settings, coding: Json) -> tuple[frozenset[str], Unreadable | None]:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "82810-3"}]},
        "effectiveDateTime": "2026-11-01",
        "valueCodeableConcept": {"coding": [coding]},
    }
    (found,) = answer(settings, {"coding": [RLS]}, observation).facts.results
    return found.code, found.unreadable


def test_a_coded_answer_is_unknown_and_never_no() -> None:
    assert pregnancy_status(Settings(), NOT_PREGNANT) == (frozenset(), None)
    for coding in (PREGNANT, NOT_PREGNANT):
        assert pregnancy_status(OFF, coding) == (frozenset(), Unreadable.NOT_A_NUMBER)
    assert pregnancy_status(OFF, {"system": LOINC, "code": "LA15173-0"}) == (frozenset({"pregnancy"}), None)


def test_no_code_of_snomed_is_left_and_every_other_is() -> None:
    left = {coded for codes in WITHOUT.terminology.codes.values() for coded in codes}
    all_codes = {coded for codes in BASE.terminology.codes.values() for coded in codes}
    assert left == {coded for coded in all_codes if coded[0] != SNOMED_CT} != all_codes
    assert WITHOUT.terminology.condition_groups(SNOMED_CT, "32914008") == frozenset()
    assert WITHOUT.terminology.condition_groups(ICD_10_CM, "G25.81") == {"rls"}


def test_the_hash_tells_and_own_windows_go_with_it() -> None:
    own = {"window.result": 180}
    hashes = [BASE.hash, WITHOUT.hash, with_windows(WITHOUT, own).hash, with_windows(BASE, own).hash]
    assert len(set(hashes)) == 4
    stated = f"{BASE.hash} without SNOMED CT"
    assert WITHOUT.hash == hashlib.sha256(stated.encode()).hexdigest()[:12]
    assert replace(WITHOUT, terminology=BASE.terminology, hash=BASE.hash) == BASE


def test_the_setting_is_on_unless_it_is_switched_off() -> None:
    assert load_knowledge(load_settings({})) is BASE
    assert not load_knowledge(load_settings({"RLS_CDS_SNOMED": "false"})).terminology.has_snomed
    with pytest.raises(SettingsError, match="RLS_CDS_SNOMED"):
        load_settings({"RLS_CDS_SNOMED": "perhaps"})


def test_health_and_start_page_say_that_it_is_off() -> None:
    for settings, said in ((Settings(), None), (OFF, "off")):
        client = create_app(settings).test_client()
        assert client.get("/healthz").get_json().get("snomed") == said
        assert ("<dt>snomed</dt>" in client.get("/").text) is (said is not None)


def test_the_lint_says_what_is_not_read() -> None:
    result = CliRunner().invoke(main, ["knowledge", "lint"], env={"RLS_CDS_SNOMED": "false"})
    assert result.exit_code == 0
    assert "SNOMED CT is switched off: 91 codes are not read" in result.output
    assert "read by words at most: " in result.output
    assert "esrd_on_dialysis" in result.output
    assert "SNOMED" not in CliRunner().invoke(main, ["knowledge", "lint"]).output


@pytest.mark.parametrize("system", [SNOMED_CT, "urn:oid:2.16.840.1.113883.6.96"])
def test_an_order_code_of_snomed_stops_the_start(tmp_path: Path, system: str) -> None:
    file = tmp_path / "clients.toml"
    order = f'system = "{system}"\ncode = "489004"\ndisplay = "Ferritin"'
    file.write_text(f'[[clients]]\nname = "north"\nscreening = true\n[[clients.orders.ferritin]]\n{order}\n')
    environ = {"RLS_CDS_CLIENTS": str(file)}
    assert load_clients(load_settings(environ)).named[0].order_codings["ferritin"][0].code == "489004"
    with pytest.raises(SettingsError, match="client north: orders hold a code of SNOMED CT"):
        load_clients(load_settings({**environ, "RLS_CDS_SNOMED": "false"}))


def test_other_order_codes_are_no_matter_of_snomed(tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    file.write_text('[[clients]]\nname = "north"\nscreening = true\n')
    clients = load_clients(load_settings({"RLS_CDS_CLIENTS": str(file), "RLS_CDS_SNOMED": "false"}))
    assert clients.named[0].order_codings["ferritin"][0].system == LOINC
