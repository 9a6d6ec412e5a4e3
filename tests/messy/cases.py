"""The messy cases: what users report of real records, with its source, as a request and what must come of it.

tests/messy/README.md explains the files. scripts/docs.py writes docs/messy-data.md from the same files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.builders import SEARCHED_TYPE, Json, bundle, hook_request, prefetch

FOLDER = Path(__file__).parent / "cases"

PARTS = frozenset(
    {
        "problem",
        "source",
        "reported",
        "does",
        "lines",
        "patient",
        "record",
        "prefetch",
        "leaves out",
        "call",
        "expect",
    }
)
NEEDED = frozenset({"problem", "source", "reported", "does", "expect"})
CALL_PARTS = frozenset({"fhirServer", "starts with"})
EXPECTED = frozenset(
    {
        "answer",
        "rls",
        "results",
        "medicines",
        "unreadable medicines",
        "conditions",
        "family",
        "birth",
        "states",
    }
    | {"issues", "factors", "not present", "cards"},
)
CARD_PARTS = frozenset({"indicator", "starts", "shows", "hides"})


@dataclass(frozen=True)
class Case:
    """One file: `sources` are addresses, `lines` the rules and client lines that it shows."""

    id: str
    problem: str
    sources: tuple[str, ...]
    reported: str
    does: str
    lines: tuple[str, ...]
    entry: Mapping[str, Any]

    @property
    def expect(self) -> Mapping[str, Any]:
        """What must come of it."""
        found: Mapping[str, Any] = self.entry["expect"]
        return found

    @cached_property
    def body(self) -> Json:
        """The request: every own key answered, with the case's own values in place of ours."""
        prefetched = prefetch(self.entry.get("record", ["RLS"]), of=self.entry.get("patient"))
        for key, value in self.entry.get("prefetch", {}).items():
            prefetched[key] = bundle(SEARCHED_TYPE[key], value) if isinstance(value, list) else value
        for key in self.entry.get("leaves out", ()):
            del prefetched[key]
        call = {k: v for k, v in self.entry.get("call", {}).items() if k != "starts with"}
        return hook_request(prefetched, **call)

    @property
    def raw(self) -> bytes:
        """The same as bytes, behind whatever the client puts in front of it."""
        start: str = self.entry.get("call", {}).get("starts with", "")
        return (start + json.dumps(self.body)).encode()

    def __str__(self) -> str:
        """Return the id of the test."""
        return self.id


def load_cases() -> list[Case]:
    """Return the cases of all files, by name; raises ValueError for an unknown or missing part."""
    return [_case(path) for path in sorted(FOLDER.glob("*.yaml"))]


def _case(path: Path) -> Case:
    entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    _check(path.stem, set(entry), PARTS, NEEDED)
    _check(path.stem, set(entry.get("call", {})), CALL_PARTS)
    _check(path.stem, set(entry["expect"]), EXPECTED)
    for card in _cards(entry["expect"]).values():
        _check(path.stem, set(card), CARD_PARTS)
    source = entry["source"]
    return Case(
        id=path.stem,
        problem=entry["problem"],
        sources=tuple(source if isinstance(source, list) else [source]),
        reported=entry["reported"].strip(),
        does=entry["does"],
        lines=tuple(entry.get("lines", ())),
        entry=entry,
    )


def _cards(expect: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    cards = expect.get("cards", "none")
    return {} if cards == "none" else {key: wanted or {} for key, wanted in cards.items()}


def _check(case: str, found: set[str], known: frozenset[str], needed: frozenset[str] = frozenset()) -> None:
    if unknown := found - known:
        message = f"{case} has parts that nobody reads: {sorted(unknown)}"
        raise ValueError(message)
    if missing := needed - found:
        message = f"{case} lacks {sorted(missing)}"
        raise ValueError(message)
