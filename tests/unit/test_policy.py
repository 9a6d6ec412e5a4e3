"""A site's policy: what it may set, what it may not, and what that does to the cards."""

import hashlib
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.clients import load_clients
from cds_service.clinical.assessment import CardKey, Policy
from cds_service.knowledge import Check, load
from cds_service.knowledge.lint import lint
from cds_service.knowledge.local import NotLocalError, with_windows
from cds_service.policy import SitePolicy, read_policy
from cds_service.settings import Settings, SettingsError
from tests.builders import Fact, Json, hook_request, prefetch
from tests.harness import Reply, Service, service_with

KNOWLEDGE = load()


def with_policy(folder: Path, text: str) -> Service:
    """Return the service with one client that has this policy."""
    (folder / "policy.toml").write_text(text, encoding="utf-8")
    (folder / "clients.toml").write_text(
        '[[clients]]\nname = "site"\npolicy = "policy.toml"\n', encoding="utf-8"
    )
    return service_with(Settings(clients=folder / "clients.toml"))


def keys(reply: Reply) -> list[str]:
    """Return the topic codes of the shown cards."""
    return [card["source"]["topic"]["code"] for card in reply.cards]


def call_with(*record: Fact) -> Json:
    """Return a call for a patient with this record."""
    return hook_request(prefetch(record))


def test_no_windows_leave_the_knowledge_as_it_is() -> None:
    assert with_windows(KNOWLEDGE, {}) is KNOWLEDGE


def test_a_window_of_the_site_is_told_as_such_and_in_the_texts() -> None:
    own = with_windows(KNOWLEDGE, {"window.result": 180})
    found = own.thresholds["window.result"]
    assert (found.value, found.is_set_locally, found.words) == (Decimal(180), True, "180 days")
    assert "interval of 180 days" in own.rules["IRON-02"].text
    assert "interval of 365 days" in KNOWLEDGE.rules["IRON-02"].text
    assert own.hash != KNOWLEDGE.hash
    assert len(own.hash) == len(KNOWLEDGE.hash)
    assert with_windows(KNOWLEDGE, {"window.result": 181}).hash != own.hash


@pytest.mark.parametrize("days", [90, 730])
def test_a_window_may_lie_at_either_end_of_its_range(days: int) -> None:
    assert with_windows(KNOWLEDGE, {"window.result": days}).days("window.result") == days


def test_the_hash_is_that_of_the_knowledge_and_of_every_window_in_order() -> None:
    """So that a card tells the same of the same windows in every release with the same data."""
    days = {"window.result": 180, "window.pending_order": 7}
    stated = f"{KNOWLEDGE.hash} window.pending_order=7;window.result=180"
    for windows in (days, dict(reversed(days.items()))):
        found = with_windows(KNOWLEDGE, windows)
        assert found.hash == hashlib.sha256(stated.encode()).hexdigest()[:12]


THERE_ARE = (
    "there are: window.confirm_entry, window.oral_iron.quiet_unknown_start, window.pending_order, "
    "window.pending_result, window.result, window.result.esrd, window.result.pregnant"
)


@pytest.mark.parametrize(
    ("window", "days", "reason"),
    [
        ("window.result", 89, "must be between 90 and 730 days"),
        ("window.result", 731, "must be between 90 and 730 days"),
        ("tsat.low", 10, f"is not for a site to set; {THERE_ARE}"),
        ("window.iv_iron.unreliable", 40, f"is not for a site to set; {THERE_ARE}"),
        ("window.of.opportunity", 40, f"is no window; {THERE_ARE}"),
    ],
)
def test_limits_of_the_guideline_are_not_for_a_site_to_set(window: str, days: int, reason: str) -> None:
    with pytest.raises(NotLocalError, match=f"^{re.escape(f'{window} {reason}')}$"):
        with_windows(KNOWLEDGE, {window: days})


def test_only_project_rules_in_days_are_local() -> None:
    local = [found for found in KNOWLEDGE.thresholds.values() if found.local is not None]
    assert len(local) == 7
    assert {(found.check, found.unit) for found in local} == {(Check.P, "d")}


@pytest.mark.parametrize("change", [{"check": Check.M}, {"unit": "ng/mL"}, {"value": Decimal(9999)}])
def test_the_lint_refuses_a_local_limit_of_medicine(change: dict[str, Any]) -> None:
    wrong = replace(KNOWLEDGE.thresholds["window.result"], **change)
    base = replace(KNOWLEDGE, thresholds={**KNOWLEDGE.thresholds, "window.result": wrong})
    told = "may be set by a site, but is no project rule in days within its range"
    assert f"threshold window.result: {told}" in [str(problem) for problem in lint(base)]


def test_data_01_cannot_be_switched_off() -> None:
    with pytest.raises(ValueError, match="DATA-01 cannot be switched off"):
        Policy(cards_off=frozenset({CardKey.DATA_01}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("screening = 2", "screening: "),
        ("thresholds = 2", "thresholds: Extra"),
        ('[windows]\n"window.result" = 12', "windows: window.result must be between"),
        ('[windows]\n"window.result" = "180"', "windows.window.result: "),
        ('[windows]\n"tsat.low" = 18', "windows: tsat.low is not for a site"),
        ('[cards]\noff = ["IRON-99"]', r"cards.off\[0\]: "),
        ('[cards]\noff = ["DATA-01"]', "cards.off: DATA-01 cannot be switched off"),
        ("[cards", "not TOML"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_place(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"site: {reason}"):
        read_policy(text, "site", KNOWLEDGE)


def test_an_empty_policy_decides_nothing() -> None:
    assert read_policy("", "site", KNOWLEDGE) == SitePolicy()


def test_a_ferritin_of_200_days_is_stale_where_the_site_says_180(tmp_path: Path) -> None:
    body = call_with("RLS", {"ferritin": {"value": 60, "date": "2026-05-06"}})
    assert keys(service_with(Settings()).call(body)) == ["IRON04"]
    reply = with_policy(tmp_path, '[windows]\n"window.result" = 180\n').call(body)
    assert keys(reply) == ["IRON02"]
    assert "180 days is a project rule" in reply.cards[0]["detail"]
    assert "365" not in reply.cards[0]["detail"]


def test_a_card_that_is_off_has_no_successor(tmp_path: Path) -> None:
    body = call_with("RLS", {"ferritin": 60})
    off = with_policy(tmp_path, '[cards]\noff = ["IRON-04"]\n')
    assert keys(off.call(body)) == []
    withheld = {one.key: one.reason for one in off.view(body).assessment.withheld}
    assert withheld[CardKey.IRON_04] == "IRON-04 is switched off here"


def test_the_orders_of_a_card_that_is_off_are_left_to_the_other_one(tmp_path: Path) -> None:
    body = call_with("RLS", {"takes": {"drug": "pramipexole", "since": "2026-06-01"}})
    (card,) = with_policy(tmp_path, '[cards]\noff = ["IRON-01"]\n').call(body).cards
    assert (card["source"]["topic"]["code"], len(card["suggestions"])) == ("DA01", 2)


def test_a_card_that_is_off_leaves_the_other_one(tmp_path: Path) -> None:
    body = call_with("RLS", {"ferritin": 40}, {"takes": "sertraline"})
    assert keys(with_policy(tmp_path, '[cards]\noff = ["IRON-04", "DRUG-01"]\n').call(body)) == ["IRON03"]


@pytest.mark.parametrize(("entry", "policy", "is_on"), [("", "false", False), ("false", "false", False)])
def test_screening_may_stand_in_the_policy(entry: str, policy: str, *, is_on: bool, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(f"screening = {policy}\n", encoding="utf-8")
    stated = f"screening = {entry}\n" if entry else ""
    text = f'[[clients]]\nname = "site"\npolicy = "policy.toml"\n{stated}'
    (tmp_path / "clients.toml").write_text(text, encoding="utf-8")
    settings = Settings(clients=tmp_path / "clients.toml")
    assert load_clients(settings).named[0].is_screening_on is is_on
    trust = '[clients.trust]\nissuer = "https://e.example.org"\nkeys_url = "https://e.example.org/keys"\n'
    (tmp_path / "clients.toml").write_text(text + trust, encoding="utf-8")
    stored = {"public_url": "https://rls.example.org", "store": "sqlite:////var/lib/rls/store.db"}
    production = settings.model_copy(update={"environment": "production", **stored})
    assert load_clients(production).named[0].is_screening_on is is_on


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('screening = true\npolicy = "off.toml"', "its policy says otherwise on screening"),
        ('policy = "none.toml"', r"none.toml: the file cannot be read \(FileNotFoundError\)"),
        ('policy = "../off.toml"', r"clients\[0\].policy"),
    ],
)
def test_a_policy_that_does_not_fit_its_client_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "off.toml").write_text("screening = false\n", encoding="utf-8")
    (tmp_path / "clients.toml").write_text(f'[[clients]]\nname = "site"\n{text}\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=reason):
        load_clients(Settings(clients=tmp_path / "clients.toml"))


def check(folder: Path, text: str) -> Result:
    """Return what the command says to a policy."""
    file = folder / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["policy", "check", str(file)])


def test_the_command_tells_what_a_policy_changes(tmp_path: Path) -> None:
    text = 'screening = false\n[windows]\n"window.pending_order" = 7\n[cards]\noff = ["DA-01"]\n'
    result = check(tmp_path, text)
    assert result.exit_code == 0
    told = result.output.splitlines()
    assert told[0] == "Screening (SCREEN-01): off; without the policy on."
    assert told[1] == "window.pending_order: 7 days in place of 30. An order of this age is still awaited."
    assert told[2].startswith("DA-01 is not shown, and no other card in its place.")
    assert "  screening: SCREEN-01 info -> no card" in told
    assert "  augmentation-question: DA-01 warning -> no card" in told


def test_the_command_says_so_when_nothing_changes(tmp_path: Path) -> None:
    result = check(tmp_path, "")
    assert result.exit_code == 0
    assert result.output.startswith("The policy decides nothing.\n")
    assert "sample patients get the same answer as without it." in result.output


def test_the_command_refuses_a_wrong_policy(tmp_path: Path) -> None:
    result = check(tmp_path, '[cards]\noff = ["DATA-01"]\n')
    assert result.exit_code == 2
    assert "cards.off: DATA-01 cannot be switched off" in result.output
