"""The documents name what there is: settings, commands, cards, targets; and nothing that is not there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cds_service.app import create_app
from cds_service.cli import main
from cds_service.cli.server import options
from cds_service.clients import load_clients
from cds_service.clinical.assessment import CardKey
from cds_service.settings import DOCTOR_TOKEN, PREFIX, Settings
from tests.doctor_sample import in_document, sample
from tests.harness import service_in

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FROM_PLAIN_NAMES = {"host": "HOST", "port": "PORT"}
SETTINGS = [FROM_PLAIN_NAMES.get(name, f"{PREFIX}{name.upper()}") for name in Settings.model_fields]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Dockerfile", ROOT / "Makefile"]
)


def commands(group: click.Group, prefix: str = "rls-cds") -> list[str]:
    """Return every command with its parents, as it is typed."""
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found.extend(commands(command, f"{prefix} {name}"))
        else:
            found.append(f"{prefix} {name}")
    return found


COMMANDS = commands(main)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_in_the_table_of_the_readme(setting: str) -> None:
    assert f"| `{setting}` |" in README


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_setting_that_does_not_exist(path: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
    assert named <= {*SETTINGS, DOCTOR_TOKEN}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert command in README


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_command_that_does_not_exist(path: Path) -> None:
    known = {tuple(command.split()[1:]) for command in COMMANDS}
    for line in path.read_text(encoding="utf-8").splitlines():
        for words in re.findall(r"\brls-cds ((?:[a-z][a-z-]* ?)+)", line):
            typed = tuple(words.split())
            assert any(typed[: len(command)] == command for command in known), line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_in_the_readme(command: str) -> None:
    parent: click.Command = main
    for word in command.split()[1:]:
        assert isinstance(parent, click.Group)
        parent = parent.commands[word]
    options = [option for item in parent.params for option in item.opts if option.startswith("--")]
    assert [option for option in options if option not in README] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_make_target_that_does_not_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", path.read_text(encoding="utf-8")))
    assert named <= targets


def test_every_address_is_in_the_table_of_operations() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rules = [
        rule for rule in create_app(Settings(metrics=True)).url_map.iter_rules() if "//" not in rule.rule
    ]
    assert len(rules) > 8
    for rule in rules:
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        assert f"`{method} {rule.rule}`" in operations


@pytest.mark.parametrize("part", ["assessment", "clients", "store", "audit"])
def test_every_part_of_readiness_is_explained(part: str) -> None:
    assert f"| `{part}` |" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_limits_are_those_of_the_running_settings() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    settings = Settings()
    budget = load_clients(settings).default.fhir.budget_ms
    rows = {
        "body (`RLS_CDS_MAX_BODY`)": f"{settings.max_body // 1024**2} MiB",
        "audit log (`RLS_CDS_AUDIT_DAYS`)": f"{settings.audit_days} days",
        "calls of a client (`rate_limit`)": "6000 a minute",
        "calls at once": f"{settings.workers} processes of {settings.threads} threads",
        "rest of the running calls at a stop": f"{options(settings)['graceful_timeout']} s",
        "all searches of a call (`RLS_CDS_FHIR_BUDGET_MS`)": f"{budget} ms",
    }
    for limit, value in rows.items():
        assert f"| {limit} | {value} |" in operations


@pytest.mark.parametrize("key", list(CardKey))
def test_every_card_is_documented(key: CardKey) -> None:
    assert f"| {key.value} | `{key.topic_code}` |" in (ROOT / "docs" / "cards.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("exit_code", [0, 1, 2, 3])
def test_every_exit_code_is_in_the_readme(exit_code: int) -> None:
    assert f"| {exit_code} |" in README


@pytest.mark.parametrize(
    "sentence", ["not clinically validated", "not CE marked", "For clinicians, who decide"]
)
def test_the_readme_states_the_intended_use(sentence: str) -> None:
    assert sentence.lower() in " ".join(README.lower().split())


def test_the_answer_in_the_readme_is_the_one_that_comes() -> None:
    sample = ROOT / "fixtures" / "readme-patient" / "request.json"
    cards = service_in("UTC").send(sample.read_bytes()).cards
    heads = "".join(f"{card['indicator']}: {card['summary']}\n" for card in cards)
    assert f"```text\n{heads}```" in README


def test_the_report_of_the_doctor_in_the_documents_is_the_one_that_comes() -> None:
    assert in_document() == sample()


def test_generated_parts_are_current_and_links_lead_somewhere() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs.py", "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "name", ["runtime.txt", "image.txt", "dev.txt", "browser.txt", "fuzz.txt", "build.txt", "sbom.txt"]
)
def test_requirements_are_pinned_with_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index" not in text
    packages = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert all("==" in package and "--hash=sha256:" in package for package in packages)
