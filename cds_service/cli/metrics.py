"""Counters of several processes: the folder that they share, and which of them are alive."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from cds_service.settings import Settings, SettingsError

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the one writable place of a read-only container

Hooks = Mapping[str, Callable[..., None]]
"""What the server calls, by the name of its setting."""


class _Worker(Protocol):
    pid: int


def metrics_hooks(settings: Settings) -> Hooks:
    """Return what the server must call so that counters add up; {} where metrics are off.

    Makes the folder of the counters, empty, and names it to the processes that are forked from this one;
    this must come before the application is built. Raises `SettingsError`.
    """
    if not settings.metrics:
        return {}
    folder, is_ours = _fresh_folder()
    os.environ[_FOLDER] = str(folder)
    # The library decides when it is loaded whether processes share their counters.
    from cds_service.adapters.prometheus import worker_began, worker_ended  # noqa: PLC0415 - see above

    def post_fork(_server: object, _worker: _Worker) -> None:
        worker_began()

    def child_exit(_server: object, worker: _Worker) -> None:
        worker_ended(worker.pid)

    def on_exit(_server: object) -> None:
        if is_ours:
            shutil.rmtree(folder, ignore_errors=True)

    return {"post_fork": post_fork, "child_exit": child_exit, "on_exit": on_exit}


def _fresh_folder() -> tuple[Path, bool]:
    """Return an empty folder, and whether it is one of our own making: a site may name another."""
    named = os.environ.get(_FOLDER)
    try:
        if named is None:
            shared = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
            return Path(tempfile.mkdtemp(prefix="rls-cds-metrics-", dir=shared)), True
        folder = Path(named)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob("*.db"):
            left.unlink()
    except OSError as error:
        raise SettingsError(f"{_FOLDER}: cannot be used ({type(error).__name__})") from None
    return folder, False
