"""The audit log: one JSON line for each event, in a chain that shows when a line was changed or taken out.

Each process writes a chain of its own, so that none waits for another. The chain goes on through its files,
one for each day: the first line of a file names the hash of the last one before it. Lines are handed to the
system one by one (a crash of the process loses none, a crash of the machine may lose the last seconds).

A chain proves that nothing inside it was changed. That nothing was cut off at its end, or the whole log
written anew, only its head proves, if it is kept elsewhere: heads go to the ordinary log.
"""

import hashlib
import hmac
import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
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
        self._process = 0

    def record(self, fact: AuditFact) -> None:
        """Write one event; raises `AuditUnavailableError` when it cannot be written whole."""
        with self._lock:
            self._begin()
            line = self._line(fact)
            path = self._folder / f"audit-{self._chain}-{fact.recorded.astimezone(UTC).date()}.ndjson"
            _append(path, json.dumps(line, separators=(",", ":")).encode() + b"\n")
            self._number, self._hash = line["n"], line["hash"]
            if self._number % _HEAD_EVERY == 1:
                self._told(Head(self._chain or "", self._number, self._hash))

    def _begin(self) -> None:
        """Start a chain of this process's own: a fork copies the object, and two must not write one chain."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._chain = self._chain if self._chain and not self._number else uuid.uuid4().hex
            self._number, self._hash = 0, START

    def _line(self, fact: AuditFact) -> dict[str, Any]:
        made = {
            "chain": self._chain,
            "n": self._number + 1,
            "previous": self._hash,
            "event": audit_event(fact),
        }
        return {**made, "hash": line_hash(made, self._key)}


def line_hash(line: dict[str, Any], key: bytes) -> str:
    """Return the hash over a line without its own hash; with a key only its holder can compute it."""
    content = json.dumps(
        {name: value for name, value in line.items() if name != "hash"}, sort_keys=True, separators=(",", ":")
    ).encode()
    return hmac.new(key, content, "sha256").hexdigest() if key else hashlib.sha256(content).hexdigest()


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
@dataclass(frozen=True, slots=True)
class Checked:
    """A chain after its check: the number of its first line that is still there, its head, what is wrong."""

    first: int
    head: Head
    faults: tuple[str, ...] = ()


def chains(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each chain, the oldest first; raises OSError."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (_day_of(path) or date.min, path.name)):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found.setdefault(match["chain"], []).append(path)
    return found


def _day_of(path: Path) -> date | None:
    match = _NAME.fullmatch(path.name)
    return date.fromisoformat(match["day"]) if match is not None else None


def lines_of(paths: list[Path]) -> Iterator[tuple[Path, int, dict[str, Any] | None]]:
    """Yield file, line number and line of a chain; None for a line that cannot be read."""
    for path in paths:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                yield path, number, _decoded(text)


def _decoded(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def verify(folder: Path, *, key: bytes = b"") -> list[Checked]:
    """Return every chain of a folder, checked; raises OSError."""
    return [_verify(chain, paths, key) for chain, paths in chains(folder).items()]


def _verify(chain: str, paths: list[Path], key: bytes) -> Checked:
    first, number, previous = 0, 0, ""
    faults: list[str] = []
    for path, place, line in lines_of(paths):
        if line is None or line.get("chain") != chain or line.get("hash") != line_hash(line, key):
            faults.append(f"{path.name}, line {place}: not as it was written")
            continue
        if not first:
            # Older files may be gone, by retention; a chain that begins at one begins at its start.
            first, number, previous = line["n"], line["n"] - 1, line["previous"]
            if first == 1 and previous != START:
                faults.append(f"{path.name}, line {place}: does not begin the chain")
        if line["n"] != number + 1 or line["previous"] != previous:
            faults.append(f"{path.name}, line {place}: does not follow the line before it")
        number, previous = line["n"], line["hash"]
    return Checked(first, Head(chain, number, previous), tuple(faults))


def purge(folder: Path, *, today: date, days: int) -> list[Path]:
    """Remove the files of days before the last `days` ones, and return them; raises OSError."""
    last = today - timedelta(days=days)
    old = [path for paths in chains(folder).values() for path in paths if (_day_of(path) or today) < last]
    for path in old:
        path.unlink()
    return old


def moment() -> datetime:
    """Return this moment, for events."""
    return datetime.now(UTC)
