"""`rls-cds knowledge publish`: what is written, and what is said where it cannot be."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cds_service.app import load_knowledge, publication_of
from cds_service.cli import main
from cds_service.settings import Settings


def test_every_resource_is_a_file_with_the_bytes_that_are_served(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    result = CliRunner().invoke(main, ["knowledge", "publish", "--out", str(out)])
    settings = Settings()
    made = publication_of(settings, load_knowledge(settings))
    expected = {f"{one.kind}-{one.id}.json": one.body for one in made.entries}
    expected["Bundle-knowledge.json"] = made.bundle
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected
    assert (result.exit_code, result.output) == (
        0,
        f"{len(expected)} files written to {out}, knowledge {made.version}.\n",
    )


def test_the_settings_of_the_site_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLS_CDS_CANONICAL_BASE", "https://cds.example.net")
    monkeypatch.setenv("RLS_CDS_SNOMED", "false")
    assert CliRunner().invoke(main, ["knowledge", "publish", "--out", str(tmp_path)]).exit_code == 0
    body = (tmp_path / "ValueSet-rls.json").read_text(encoding="utf-8")
    assert json.loads(body)["url"] == "https://cds.example.net/ValueSet/rls"
    assert "snomed.info" not in body


def test_a_folder_that_cannot_be_written_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    result = CliRunner().invoke(main, ["knowledge", "publish", "--out", str(tmp_path / "taken" / "out")])
    assert result.exit_code == 2
    assert "cannot be written: Not a directory" in result.output


def test_a_bad_setting_ends_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLS_CDS_CANONICAL_BASE", "nowhere")
    result = CliRunner().invoke(main, ["knowledge", "publish", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "RLS_CDS_CANONICAL_BASE" in result.output
