"""Every sample request gives its hand-written answer, on its own day and with its dates moved."""

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cds_service.cli import main
from cds_service.resources import fixtures_dir
from tests.builders import TODAY, Json
from tests.harness import service_in

ORDER_CODES = {"2276-4": "ferritin", "50190-8": "iron panel", "1988-5": "CRP"}
FAMILY_NAMES = {"Fictional", "Legg"}
# Names of code systems and profiles are addresses too; nothing is ever fetched from them.
VOCABULARIES = {
    "hl7.org",
    "loinc.org",
    "snomed.info",
    "terminology.hl7.org",
    "unitsofmeasure.org",
    "www.nlm.nih.gov",
    "www.whocc.no",
}
LATER = date(2029, 11, 22)
FEWEST = 25


def _manifest() -> Mapping[str, Any]:
    return tomllib.loads((fixtures_dir() / "manifest.toml").read_text(encoding="utf-8"))


NAMES = [entry["id"] for entry in _manifest()["fixtures"]]


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shifted")
    command = ["fixtures", "--as-of", LATER.isoformat(), "--out", str(out)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return out


def test_the_manifest_names_every_fixture_and_its_day() -> None:
    folders = sorted(path.parent.name for path in fixtures_dir().glob("*/request.json"))
    assert sorted(NAMES) == folders
    assert len(NAMES) >= FEWEST
    assert _manifest()["day"] == TODAY


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_on_the_day_of_the_fixture(name: str) -> None:
    raw = (fixtures_dir() / name / "request.json").read_bytes()
    _check(name, raw, TODAY)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_answer_three_years_later_with_the_dates_moved(name: str, shifted: Path) -> None:
    raw = (shifted / name / "request.json").read_bytes()
    _check(name, raw, LATER)


def test_patients_are_fictional_and_hosts_lead_nowhere() -> None:
    for path in fixtures_dir().glob("*/request.json"):
        text = path.read_text(encoding="utf-8")
        families = set(re.findall(r'"family": (?:\[\s*)?"([^"]*)"', text))
        assert families <= FAMILY_NAMES, path
        hosts = set(re.findall(r"https?://([^/\"?]+)", text))
        assert [host for host in hosts - VOCABULARIES if not host.endswith("example.org")] == [], path


def _check(name: str, raw: bytes, today: date) -> None:
    expected = json.loads((fixtures_dir() / name / "expected.json").read_text(encoding="utf-8"))
    reply = service_in("UTC", today=today).send(raw)
    body = reply.body
    assert reply.status == expected["status"], body
    if reply.status != 200:
        said = json.dumps(body).lower()
        assert body["resourceType"] == "OperationOutcome"
        assert "cards" not in body
        assert [word for word in expected["mentions"] if word not in said] == []
        return
    wanted = [(card["key"].replace("-", ""), card["indicator"]) for card in expected["cards"]]
    assert [(c["source"]["topic"]["code"], c["indicator"]) for c in body["cards"]] == wanted
    for wanted_card, card in zip(expected["cards"], body["cards"], strict=True):
        assert card["summary"].startswith(wanted_card["summary"])
        if "suggestions" in wanted_card:
            assert sorted(_suggested(card)) == sorted(wanted_card["suggestions"])


def _suggested(card: Json) -> list[str]:
    return [
        ORDER_CODES[coding["code"]]
        for suggestion in card.get("suggestions", [])
        for action in suggestion["actions"]
        for coding in action["resource"]["code"]["coding"]
    ]
