"""The build sheet holds all that the service serves, and an entry for the clients file that loads."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.clients import load_clients, read_clients
from cds_service.clinical.assessment import CardKey, Order
from cds_service.knowledge import load
from cds_service.onboarding import CLIENTS
from cds_service.onboarding.sheet import clients_file
from cds_service.onboarding.vendors import vendors
from cds_service.profile import Trust
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from cds_service.settings import Settings, load_settings
from cds_service.web.discovery import templates

VENDORS = ["epic", "oracle", "generic"]
PRODUCTION = Settings(
    environment="production",
    screening=True,
    public_url="https://cds.example.org",
    store="sqlite:////var/lib/rls/store.db",
    audit=Path("/var/log/rls"),
    clients=Path("clients.toml"),
)
SHARED = tomllib.loads((Path(__file__).resolve().parents[2] / "cards" / "shared.toml").read_text("utf-8"))
PATIENT = "patient={{context.patientId}}"
EPIC_LIST = "urn:com.epic.cdshooks.action.code.system.preference-list-item"
EPIC_SET = "urn:com.epic.cdshooks.action.code.system.orderset-item"


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["build-sheet", *arguments], env=environment)


def sheet(client: str, *arguments: str, **environment: str) -> dict[str, Any]:
    result = run("--client", client, "--format", "json", *arguments, **environment)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def test_there_is_a_sheet_for_each_vendor() -> None:
    assert list(vendors()) == list(CLIENTS) == VENDORS


@pytest.mark.parametrize("face", ["text", "markdown", "html"])
@pytest.mark.parametrize("client", VENDORS)
def test_everything_that_the_service_serves_is_on_every_sheet(client: str, face: str) -> None:
    text = run("--client", client, "--format", face, COLUMNS="120").output
    plain = text.replace("&amp;", "&").replace("\\|", "|")
    for key in CardKey:
        assert re.search(rf"\b{key.topic_code}\b", plain), key
    for code in {**SHARED["override"]["all"], **SHARED["override"]["drug"]}:
        assert re.search(rf"\b{code}\b", plain), code
    served = templates(load())
    left_out = vendors()[client].left_out
    for key, query in served.items():
        assert key in plain
        assert (query in plain) is (key not in left_out), key
    for order in Order:
        assert order.value in plain


@pytest.mark.parametrize("client", VENDORS)
def test_every_key_is_offered_or_left_out(client: str) -> None:
    made = sheet(client)
    keys = [one["key"] for one in (*made["prefetch"], *made["leftOut"])]
    assert sorted(keys) == sorted(PREFETCH_NEEDS)
    assert [one["key"] for one in made["leftOut"]] == list(vendors()[client].left_out)


def test_oracle_has_its_statements_in_the_words_of_dstu2_only() -> None:
    made = sheet("oracle")
    assert [one["key"] for one in made["leftOut"]] == ["medicationStatements", "ironTreatmentStatements"]
    old = {one["key"]: one["query"] for one in made["otherReleases"] if one["release"] == "DSTU2"}
    assert old["medicationStatements"] == (
        "MedicationStatement?patient={{context.patientId}}&status=active&_count=200"
    )
    assert (
        old["medicationRequests"] == "MedicationOrder?patient={{context.patientId}}&status=active&_count=200"
    )
    assert "conditions" not in old


def test_only_differing_queries_are_repeated_for_other_releases() -> None:
    made = sheet("generic")
    stu3 = [one for one in made["otherReleases"] if one["release"] == "STU3"]
    assert {one["key"]: one["query"] for one in stu3} == {
        "medicationStatements": f"MedicationStatement?{PATIENT}&status=active&_sort=-effective&_count=200",
        "ironOrders": f"ProcedureRequest?{PATIENT}&status=active,draft,suspended&_sort=-authored&_count=100",
    }


def test_addresses_are_made_from_the_base() -> None:
    made = sheet("epic", "--base-url", "https://CDS.example.org:8443/rls/")
    base = "https://cds.example.org:8443/rls/cds-services"
    assert [one["value"] for one in made["addresses"]] == [
        base,
        f"{base}/rls-iron-assessment",
        f"{base}/rls-iron-assessment/feedback",
    ]
    token = {one["name"]: one["value"] for one in made["token"]}
    assert token["aud"] == f"{base}/rls-iron-assessment, entered by hand"
    assert token["alg"] == "RS384"


def test_a_registration_is_filled_in() -> None:
    filled = {one["name"]: one["value"] for one in sheet("oracle")["registration"]}
    assert filled["hook"] == "patient-view"
    assert filled["service url"] == "https://YOUR-HOST/cds-services/rls-iron-assessment"
    assert filled["fhir scopes"].split(", ") == [
        "patient/Patient.read",
        "patient/Observation.read",
        "patient/Condition.read",
        "patient/MedicationRequest.read",
        "patient/MedicationAdministration.read",
        "patient/Procedure.read",
        "patient/AllergyIntolerance.read",
        "patient/ServiceRequest.read",
        "patient/FamilyMemberHistory.read",
        "patient/DeviceUseStatement.read",
        "patient/Device.read",
        "patient/Medication.read",
    ]
    for link in SHARED["links"].values():
        assert link["url"] in filled["allowed links"]


def test_the_page_behind_each_card_is_among_the_links() -> None:
    made = sheet("oracle", "--base-url", "https://cds.example.org/rls")
    links = {one["url"] for one in made["links"]}
    assert {f"https://cds.example.org/rls/basis/{key.topic_code}" for key in CardKey} <= links
    allowed = next(one["value"] for one in made["registration"] if one["name"] == "allowed links")
    assert set(allowed.split(", ")) == links


@pytest.mark.parametrize("client", VENDORS)
def test_nothing_in_braces_is_left(client: str) -> None:
    found = {text for text in strings(sheet(client)) if re.search(r"(?<!\{)\{(?!\{)", text)}
    assert found == set()


def test_the_systems_follow_the_canonical_base() -> None:
    made = sheet("generic", RLS_CDS_CANONICAL_BASE="https://codes.example.net/rls")
    assert {one["system"] for one in made["topics"]} == {
        "https://codes.example.net/rls/CodeSystem/card-topic"
    }
    assert {one["system"] for one in made["overrideReasons"]} == {
        "https://codes.example.net/rls/CodeSystem/override-reason"
    }
    on = {one["code"]: one["on"] for one in made["overrideReasons"]}
    assert (on["declined"], on["tolerated"]) == ("all cards", "GATE-01, DRUG-01, DA-01")


@pytest.mark.parametrize("client", VENDORS)
def test_the_entry_for_the_clients_file_loads_and_decides_no_more_than_it_says(client: str) -> None:
    packaged = load_clients(Settings()).default
    loaded = read_clients(sheet(client)["clientsFile"], PRODUCTION, packaged, Path()).called(client)
    assert loaded.order_codings == packaged.order_codings
    assert loaded.is_screening_on is False
    assert loaded.trust is not None
    assert loaded.fhir.servers == ()
    assert loaded.fhir.budget_ms == packaged.fhir.budget_ms


def test_the_trust_of_a_vendor_follows_what_it_says_of_its_tokens() -> None:
    loaded = read_clients(
        sheet("epic")["clientsFile"], PRODUCTION, load_clients(Settings()).default, Path()
    ).called("epic")
    assert loaded.trust is not None
    assert (loaded.trust.algorithms, loaded.trust.lifetime_s) == (("RS384",), 900)


def test_the_places_for_site_codes_load_once_they_are_filled_in() -> None:
    text = sheet("epic")["clientsFile"]
    assert text.count('# code = ""') == 2 * len(Order)
    filled = re.sub(r"(?m)^# (?!code_map|policy)", "", text).replace('code = ""', 'code = "4711"')
    filled = filled.replace('display = ""', 'display = "x"')
    settings = Settings()
    loaded = read_clients(filled, settings, load_clients(settings).default, Path()).called("epic")
    for order in Order:
        systems = [coding.system for coding in loaded.order_codings[order.value]]
        assert systems == ["http://loinc.org", EPIC_LIST, EPIC_SET]


def test_a_profile_of_the_clients_file_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    file.write_text(
        f"""
[[clients]]
name = "north"
screening = true
[clients.fhir]
servers = ["https://north.example.org/fhir"]
budget_ms = 1500
[clients.trust]
issuer = "https://north.example.org/fhir"
keys_url = "https://north.example.org/jwks.json"
tenant = "t-1"
subject = "our-client"
[[clients.orders.ferritin]]
system = "{EPIC_LIST}"
code = "4711"
display = 'Ferritin "serum"'
""",
        encoding="utf-8",
    )
    environment = {
        "RLS_CDS_CLIENTS": str(file),
        "RLS_CDS_PUBLIC_URL": "https://cds.example.org",
        "RLS_CDS_STORE": "sqlite:////var/lib/rls/store.db",
    }
    made = sheet("epic", "--profile", "north", **environment)
    ferritin = next(one for one in made["orders"] if one["order"] == "ferritin")
    assert [one["code"] for one in ferritin["configured"]] == ["4711"]
    assert [one["system"] for one in ferritin["toFillIn"]] == [EPIC_SET]
    settings = load_settings(environment)
    north = load_clients(settings).called("north")
    default = load_clients(Settings()).default
    assert read_clients(made["clientsFile"], settings, default, tmp_path).named == (north,)
    assert "EHR-HOST" not in made["clientsFile"]


def test_keys_in_a_file_are_named_as_a_file_to_add() -> None:
    trust = Trust("https://north.example.org/fhir", keys="{}")
    profile = replace(load_clients(Settings()).default, name="north", trust=trust)
    assert 'keys_file = "KEYS.json"' in clients_file("epic", profile)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--client", "other"], "'other' is not one of 'epic', 'oracle', 'generic'"),
        (["--client", "epic", "--base-url", "cds.example.org"], "--base-url must be an address"),
        (["--client", "epic", "--profile", "north"], "No client is called 'north'"),
    ],
)
def test_what_cannot_be_used_is_exit_code_2(arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.output
