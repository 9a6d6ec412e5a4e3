"""Settings and profile: defaults, what each variable takes, and a clear reason for what it does not."""

from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.resources import MANIFEST, ResourceMissing, cards_dir, find_folder, fixtures_dir
from cds_service.settings import Settings, SettingsError, load_settings


def test_defaults_are_those_of_the_documentation() -> None:
    settings = load_settings({})
    assert (settings.environment, settings.host, settings.port) == ("development", "127.0.0.1", 8080)
    assert settings.max_body == 10 * 1024 * 1024
    assert (settings.as_of, settings.zone, settings.screening) == (None, ZoneInfo("UTC"), None)
    assert settings.canonical_base == "https://rls-iron-cds.example.org"
    assert settings.public_url is None
    assert (settings.workers, settings.threads) == (2, 16)


def test_every_variable_is_read() -> None:
    settings = load_settings(
        {
            "HOST": "::1",
            "PORT": "9000",
            "RLS_CDS_AS_OF": "2026-11-22",
            "RLS_CDS_ZONE": "Europe/Vienna",
            "RLS_CDS_MAX_BODY": "2048",
            "RLS_CDS_CANONICAL_BASE": "https://terms.example.org/rls",
            "RLS_CDS_PUBLIC_URL": "https://cds.example.org/rls",
            "RLS_CDS_WORKERS": "1",
            "RLS_CDS_THREADS": "4",
            "RLS_CDS_SCREENING": "off",
            "RLS_CDS_ENVIRONMENT": "development",
            "PATH": "/usr/bin",
        },
    )
    assert settings == Settings(
        host="::1",
        port=9000,
        as_of=date(2026, 11, 22),
        zone=ZoneInfo("Europe/Vienna"),
        max_body=2048,
        canonical_base="https://terms.example.org/rls",
        public_url="https://cds.example.org/rls",
        workers=1,
        threads=4,
        screening=False,
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({"RLS_CDS_AS_OF": "", "PORT": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("HOST", "a b"),
        ("RLS_CDS_AS_OF", "22.11.2026"),
        ("RLS_CDS_AS_OF", "2026-02-30"),
        ("RLS_CDS_AS_OF", "20261122"),
        ("RLS_CDS_AS_OF", "0"),
        ("RLS_CDS_AS_OF", "2026-11-22T00:00:00"),
        ("RLS_CDS_ZONE", "Vienna"),
        ("RLS_CDS_ZONE", "../etc/passwd"),
        ("RLS_CDS_MAX_BODY", "10MB"),
        ("RLS_CDS_MAX_BODY", "10"),
        ("RLS_CDS_CANONICAL_BASE", "http://terms.example.org"),
        ("RLS_CDS_CANONICAL_BASE", "https://terms.example.org/"),
        ("RLS_CDS_CANONICAL_BASE", "https://terms.example.org/a?b"),
        ("RLS_CDS_SCREENING", "perhaps"),
        ("RLS_CDS_STORE", "sqlite:///:memory:"),
        ("RLS_CDS_STORE", "sqlite:///file::memory:?cache=shared&uri=true"),
        ("RLS_CDS_STORE", "sqlite:///store.db?mode=memory&uri=true"),
        ("RLS_CDS_PUBLIC_URL", "rls.example.org"),
        ("RLS_CDS_PUBLIC_URL", "https://user@rls.example.org"),
        ("RLS_CDS_PUBLIC_URL", "http://rls.example.org"),
        ("RLS_CDS_PUBLIC_URL", "https://rls.example.org/"),
        ("RLS_CDS_PUBLIC_URL", "https://rls.example.org?x=1"),
        ("RLS_CDS_STORE", "mysql://localhost/rls"),
        ("RLS_CDS_STORE", "store.db"),
        ("RLS_CDS_ENVIRONMENT", "test"),
        ("RLS_CDS_WORKERS", "0"),
        ("RLS_CDS_FHIR_ALLOW", "ehr.example.org"),
        ("RLS_CDS_FHIR_ALLOW", "http://ehr.example.org/fhir"),
        ("RLS_CDS_FHIR_ALLOW", "https://ehr.example.org/fhir,https://*.example.org"),
        ("RLS_CDS_FHIR_ALLOW", "https://user@ehr.example.org/fhir"),
        ("RLS_CDS_FHIR_BUDGET_MS", "0"),
        ("RLS_CDS_FHIR_BUDGET_MS", "60000"),
        ("RLS_CDS_FHIR_BUDGET_MS", "2s"),
        ("RLS_CDS_METRICS", "perhaps"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert "errors.pydantic" not in str(caught.value)


def test_all_bad_values_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"PORT": "x", "RLS_CDS_ZONE": "x"})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["RLS_CDS_ASOF", "RLS_CDS_HOST", "RLS_CDS_PORT", "RLS_CDS_"])
def test_a_mistyped_variable_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"Not a setting: {name}"):
        load_settings({name: "1"})


PRODUCTION = {
    "RLS_CDS_ENVIRONMENT": "production",
    "RLS_CDS_CLIENTS": "clients.toml",
    "RLS_CDS_PUBLIC_URL": "https://rls.example.org/cds",
    "RLS_CDS_STORE": "sqlite:////var/lib/rls/store.db",
    "RLS_CDS_AUDIT": "/var/log/rls",
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"RLS_CDS_AS_OF": "2026-11-22"}, "RLS_CDS_AS_OF .* development only"),
        ({"RLS_CDS_CLIENTS": ""}, "RLS_CDS_CLIENTS must name the file of trusted clients"),
        ({"RLS_CDS_PUBLIC_URL": ""}, "RLS_CDS_PUBLIC_URL must be the https address"),
        ({"RLS_CDS_PUBLIC_URL": "http://localhost:8080"}, "RLS_CDS_PUBLIC_URL must be the https address"),
        ({"RLS_CDS_STORE": ""}, "RLS_CDS_STORE must name the store"),
        ({"RLS_CDS_AUDIT": ""}, "RLS_CDS_AUDIT must name the folder"),
        ({"RLS_CDS_FHIR_ALLOW": "https://ehr.example.org"}, "RLS_CDS_FHIR_ALLOW is for development only"),
    ],
)
def test_production_leaves_nothing_open(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        load_settings({**PRODUCTION, **changes})


def test_a_key_without_its_log_is_refused() -> None:
    with pytest.raises(SettingsError, match="RLS_CDS_AUDIT_KEY_FILE is for the log of RLS_CDS_AUDIT"):
        load_settings({"RLS_CDS_AUDIT_KEY_FILE": "/run/secrets/key"})


@pytest.mark.parametrize(
    ("environment", "is_exposed"),
    [
        ({}, False),
        ({"HOST": "127.0.0.1"}, False),
        ({"HOST": "127.0.0.2"}, False),
        ({"HOST": "::1"}, False),
        ({"HOST": "localhost"}, False),
        ({"HOST": "0.0.0.0"}, True),  # noqa: S104 - what is tested
        ({"HOST": "::"}, True),
        ({"HOST": "rls.example.org"}, True),
        ({**PRODUCTION, "HOST": "0.0.0.0"}, False),  # noqa: S104 - the same
    ],
)
def test_only_a_development_service_off_the_loopback_address_is_exposed(
    environment: dict[str, str], *, is_exposed: bool
) -> None:
    assert load_settings(environment).is_exposed is is_exposed


def test_production_starts_when_all_is_decided() -> None:
    settings = load_settings(PRODUCTION)
    assert (settings.clients, settings.screening) == (Path("clients.toml"), None)
    assert settings.public_url == "https://rls.example.org/cds"


def test_the_folders_of_the_distribution_are_found() -> None:
    for folder in (cards_dir(), fixtures_dir()):
        assert (folder / MANIFEST).is_file()


def place(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True)
    for name in files:
        (folder / name.replace("_toml", ".toml")).write_text("", encoding="utf-8")
    return folder


def test_a_wheel_carries_its_folders_inside(tmp_path: Path) -> None:
    inside = place(tmp_path / "site" / "cds_service" / "_cards", manifest_toml=1)
    assert find_folder("cards", tmp_path / "site" / "cds_service") == inside


def test_a_checkout_comes_before_a_copy_left_inside(tmp_path: Path) -> None:
    place(tmp_path / "repo" / "cds_service" / "_cards", manifest_toml=1)
    beside = place(tmp_path / "repo" / "cards", manifest_toml=1)
    assert find_folder("cards", tmp_path / "repo" / "cds_service") == beside


def test_a_folder_that_only_has_the_name_is_not_ours(tmp_path: Path) -> None:
    place(tmp_path / "cards", other_toml=1)
    (tmp_path / "cds_service").mkdir()
    with pytest.raises(ResourceMissing, match=r"no cards folder with a manifest\.toml"):
        find_folder("cards", tmp_path / "cds_service")
