"""The audit log: one JSON line for each event, in a chain that shows when a line was changed or taken out.

Each process writes a chain of its own, so that none waits for another. The chain goes on through its files,
one for each day: the first line of a file names the hash of the last one before it. Lines are handed to the
system one by one (a crash of the process loses none, a crash of the machine may lose the last seconds).

A chain proves that nothing inside it was changed. That nothing was cut off at its end, or the whole log
written anew, only its heads prove, if they are kept elsewhere: they go to the ordinary log.
`audit_check` reads and removes what is written here.
"""

import hashlib
import hmac
import json
import os
import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cds_service.audit import AuditFact, audit_event
from cds_service.ports import AuditUnavailableError

START = "0" * 64
_HEAD_EVERY = 100
_NAME = re.compile(r"audit-(?P<chain>[0-9a-f]{32})-(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})\.ndjson")


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain has come: its id, the number of its last line, and that line's hash."""

    chain: str
    number: int
    hash: str

    def __str__(self) -> str:
        """Return the head on one line, as `audit verify --head` takes it."""
        return f"{self.chain}:{self.number}:{self.hash}"


class ChainedLog:
    """The chain of one process."""

    def __init__(
        self, folder: Path, *, key: bytes = b"", told: Callable[[Head], None], chain: str | None = None
    ) -> None:
        """Keep the folder; `told` gets the head now and then.

        With a `key` the hashes are such as only its holder can compute.
        """
        self._folder = folder
        self._key = key
        self._told = told
        self._chain = chain
        self._lock = threading.Lock()
        self._number = 0
        self._hash = START
        self._day = date.min
        self._process = 0

    def record(self, fact: AuditFact) -> None:
        """Write one event; raises `AuditUnavailableError` when it cannot be written whole."""
        with self._lock:
            self._begin()
            line = made_line(self._chain or "", self._number + 1, self._hash, audit_event(fact), self._key)
            # Events of two threads may come in another order than their times, and a clock may be set back:
            # the chain goes on in the newest file, so that its files in order of their days hold it in order.
            self._day = max(self._day, fact.recorded.astimezone(UTC).date())
            append_line(self._folder / f"audit-{self._chain}-{self._day}.ndjson", line)
            self._number, self._hash = line["n"], line["hash"]
            if self._number % _HEAD_EVERY == 1:
                self._told(Head(self._chain or "", self._number, self._hash))

    def check(self) -> None:
        """Raise OSError where no event could be written now: no folder, no right, no room."""
        with tempfile.TemporaryFile(dir=self._folder) as file:
            file.write(b"ready")

    def _begin(self) -> None:
        """Start a chain of this process's own: a fork copies the object, and two must not write one chain."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._chain = self._chain if self._chain and not self._number else uuid.uuid4().hex
            self._number, self._hash, self._day = 0, START, date.min


def made_line(chain: str, number: int, previous: str, event: dict[str, Any], key: bytes) -> dict[str, Any]:
    """Return a line of a chain with its hash."""
    made = {"chain": chain, "n": number, "previous": previous, "event": event}
    return {**made, "hash": line_hash(made, key)}


def line_hash(line: dict[str, Any], key: bytes) -> str:
    """Return the hash over a line without its own hash; with a key only its holder can compute it."""
    content = json.dumps(
        {name: value for name, value in line.items() if name != "hash"}, sort_keys=True, separators=(",", ":")
    ).encode()
    return hmac.new(key, content, "sha256").hexdigest() if key else hashlib.sha256(content).hexdigest()


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Write a line at the end of a file; raises `AuditUnavailableError` when it cannot be written whole."""
    _append(path, json.dumps(line, separators=(",", ":")).encode() + b"\n")


def _append(path: Path, line: bytes) -> None:
    try:
        # Only the service's own user may read who was a patient.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            written = os.write(descriptor, line)
            if written != len(line):
                # A full disk takes a part of a line: what stands there must not look like an event.
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AuditUnavailableError(f"the audit log cannot be written ({type(error).__name__})") from None
    if written != len(line):
        raise AuditUnavailableError("the audit log cannot be written (no room)")


# ------------------------------------------------------------------------------------------ reading it
def chains(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each chain, the oldest first; raises OSError."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (day_of(path) or date.min, path.name)):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found.setdefault(match["chain"], []).append(path)
    return found


def day_of(path: Path) -> date | None:
    """Return the day that a file of a chain is for, None for any other file."""
    match = _NAME.fullmatch(path.name)
    return date.fromisoformat(match["day"]) if match is not None else None


def lines_of(paths: Iterable[Path]) -> Iterator[tuple[Path, int, dict[str, Any] | None]]:
    """Yield file, line number and line of a chain; None for what is no line of one."""
    for path in paths:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                yield path, number, _decoded(text)


def _decoded(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and _is_line(line) else None


def _is_line(line: dict[str, Any]) -> bool:
    """Whether all members are there and of their types; what somebody changed may hold anything."""
    texts = (line.get(name) for name in ("chain", "previous", "hash"))
    number = line.get("n")
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return is_number and isinstance(line.get("event"), dict) and all(isinstance(one, str) for one in texts)


def moment() -> datetime:
    """Return this moment, for events."""
    return datetime.now(UTC)
