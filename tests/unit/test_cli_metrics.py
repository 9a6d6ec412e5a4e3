"""The folder of the counters: fresh at the start, of one's own or named by the site, gone at the end."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from cds_service.cli.metrics import metrics_hooks
from cds_service.settings import Settings, SettingsError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
ON = Settings(metrics=True)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder is named, and what a test names is forgotten after it."""
    monkeypatch.setenv(FOLDER, "")
    monkeypatch.delenv(FOLDER)


def test_nothing_is_made_where_metrics_are_off() -> None:
    assert metrics_hooks(Settings()) == {}
    assert FOLDER not in os.environ


def test_a_folder_of_ones_own_is_private_and_removed_at_the_end() -> None:
    hooks = metrics_hooks(ON)
    folder = Path(os.environ[FOLDER])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    hooks["on_exit"](None)
    assert not folder.exists()


def test_a_folder_of_the_site_is_emptied_of_counters_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made" / "here"
    monkeypatch.setenv(FOLDER, str(folder))
    metrics_hooks(ON)
    (folder / "counter_7.db").write_bytes(b"old")
    (folder / "notes.txt").write_text("kept", encoding="ascii")
    hooks = metrics_hooks(ON)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    hooks["on_exit"](None)
    assert folder.exists()


def test_a_worker_that_ended_no_longer_counts_as_alive_but_its_counters_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    hooks = metrics_hooks(ON)
    for name in ("gauge_livesum_7.db", "counter_7.db", "gauge_livesum_8.db"):
        (tmp_path / name).write_bytes(b"")
    hooks["post_fork"](None, SimpleNamespace(pid=os.getpid()))
    hooks["child_exit"](None, SimpleNamespace(pid=7))
    assert {path.name for path in tmp_path.iterdir()} == {"counter_7.db", "gauge_livesum_8.db"}


def test_a_folder_that_cannot_be_used_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x", encoding="ascii")
    monkeypatch.setenv(FOLDER, str(tmp_path / "file"))
    with pytest.raises(SettingsError, match=f"{FOLDER}: cannot be used"):
        metrics_hooks(ON)
