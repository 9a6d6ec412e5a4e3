"""The audit log read again: whether it is whole, and what is past its time.

A chain begins at its first event unless retention removed older files. What retention removed stands in a
chain of its own, `purged.ndjson`: an event that is missing for another reason is a fault. Heads that were
noted elsewhere are compared wherever they stand; of the events before them nothing can have been changed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from cds_service.adapters.audit_log import (
    START,
    Head,
    append_line,
    chains,
    day_of,
    line_hash,
    lines_of,
    made_line,
)

PURGED = "purged"
"""The id of the chain that tells what retention removed, and the name of its file."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A chain after its check: the number of its first line that is still there, its head, what is wrong."""

    first: int
    head: Head
    faults: tuple[str, ...] = ()


def verify(folder: Path, *, key: bytes = b"", heads: Sequence[Head] = ()) -> list[Checked]:
    """Return every chain of a folder, checked, also against the heads that were noted; raises OSError.

    A chain that is gone is among them where it was noted; that of retention where there is one.
    """
    found: dict[str, list[Path]] = chains(folder)
    removals = _purged_file(folder)
    if removals.exists():
        found[PURGED] = [removals]
    removed = _removed(folder)
    names = dict.fromkeys([*found, *(head.chain for head in heads)])
    return [
        _verify(
            _Chain(
                name,
                key,
                [one for one in heads if one.chain == name],
                removed.get(name, Head(name, 0, START)),
            ),
            found.get(name, ()),
        )
        for name in names
    ]


@dataclass(slots=True)
class _Chain:
    """What is known of a chain from elsewhere, and what was found in it up to some line."""

    name: str
    key: bytes
    noted: Sequence[Head]
    removed: Head
    first: int = 0
    number: int = 0
    previous: str = ""
    hashes: dict[int, str] = field(default_factory=dict)


def _verify(chain: _Chain, paths: Iterable[Path]) -> Checked:
    faults = [*_read(chain, paths)]
    if not chain.first:
        chain.number, chain.previous = chain.removed.number, chain.removed.hash
    faults += _compared(chain)
    return Checked(chain.first, Head(chain.name, chain.number, chain.previous), tuple(faults))


def _read(chain: _Chain, paths: Iterable[Path]) -> Iterator[str]:
    """Read a chain line by line, and yield what is wrong in itself."""
    wanted = {head.number for head in (*chain.noted, chain.removed)}
    for path, place, line in lines_of(paths):
        where = f"{path.name}, line {place}"
        if line is None or line["chain"] != chain.name or line["hash"] != line_hash(line, chain.key):
            yield f"{where}: not as it was written"
            continue
        if not chain.first:
            chain.first, chain.number, chain.previous = line["n"], line["n"] - 1, line["previous"]
            chain.hashes[chain.number] = chain.previous
            yield from _begun(chain, where)
        if line["n"] != chain.number + 1 or line["previous"] != chain.previous:
            yield f"{where}: does not follow the line before it"
        chain.number, chain.previous = line["n"], line["hash"]
        if chain.number in wanted:
            chain.hashes[chain.number] = chain.previous


def _begun(chain: _Chain, where: str) -> Iterator[str]:
    """Yield what is wrong with a beginning: before it there is nothing, or what retention removed."""
    if chain.first > chain.removed.number + 1:
        yield f"{where}: begins at event {chain.first}; retention removed none after {chain.removed.number}"
    elif chain.first == 1 and chain.previous != START:
        yield f"{where}: does not begin the chain"


def _compared(chain: _Chain) -> Iterator[str]:
    """Yield noted events that are missing or another; those before them are proved by them."""
    for head in (*chain.noted, *([chain.removed] if chain.removed.number else [])):
        found = chain.hashes.get(head.number)
        if found is not None:
            if found != head.hash:
                yield f"{chain.name}: event {head.number} has another hash than was noted"
        elif head.number > chain.number:
            yield f"{chain.name}: ends at event {chain.number}, event {head.number} was noted"
        elif head.number > chain.removed.number:
            yield f"{chain.name}: event {head.number} was noted and is missing"


# ------------------------------------------------------------------------------------------- retention
def purge(folder: Path, *, today: date, days: int, key: bytes = b"") -> list[Path]:
    """Remove the files of days before the last `days` ones, and return them.

    What is removed is written down first. Raises OSError and `AuditUnavailableError`.
    """
    last = today - timedelta(days=days)
    old = {
        chain: [path for path in paths if (day_of(path) or today) < last]
        for chain, paths in chains(folder).items()
    }
    for chain, paths in old.items():
        end = _end_of(chain, paths)
        if end is not None:
            _note_removal(folder, end, today, key)
    removed = [path for paths in old.values() for path in paths]
    for path in removed:
        path.unlink()
    return removed


def _end_of(chain: str, paths: Iterable[Path]) -> Head | None:
    """Return the last event in some files of a chain, None where there is none."""
    end = None
    for _, _, line in lines_of(paths):
        if line is not None:
            end = Head(chain, line["n"], line["hash"])
    return end


def _note_removal(folder: Path, end: Head, today: date, key: bytes) -> None:
    path = _purged_file(folder)
    last = _end_of(PURGED, [path] if path.exists() else []) or Head(PURGED, 0, START)
    event = {"chain": end.chain, "number": end.number, "hash": end.hash, "day": today.isoformat()}
    append_line(path, made_line(PURGED, last.number + 1, last.hash, event, key))


def _removed(folder: Path) -> Mapping[str, Head]:
    """Return for each chain the last event that retention removed."""
    path = _purged_file(folder)
    found: dict[str, Head] = {}
    for _, _, line in lines_of([path] if path.exists() else []):
        told = _removal(line["event"]) if line is not None else None
        if told is not None:
            found[told.chain] = max(told, found.get(told.chain, told), key=lambda head: head.number)
    return found


def _removal(event: Mapping[str, Any]) -> Head | None:
    chain, number, digest = event.get("chain"), event.get("number"), event.get("hash")
    if isinstance(chain, str) and isinstance(number, int) and isinstance(digest, str):
        return Head(chain, number, digest)
    return None


def _purged_file(folder: Path) -> Path:
    return folder / f"{PURGED}.ndjson"
