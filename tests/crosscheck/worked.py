"""The worked cases of the project, as requests with the answers that were written by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.builders import hook_request, prefetch
from tests.crosscheck.charts import Json

CASES = Path(__file__).parents[1] / "scenarios" / "worked"
LEFT_OUT = {
    **dict.fromkeys(("87", "88", "89", "90"), "the medicine card of order-select and order-sign"),
    "91": "the safety card of order-select",
    "92": "the iron card of order-select",
}
"""Worked cases that are not of patient-view, with the reason."""


@dataclass(frozen=True)
class Case:
    """A worked case and what it must be answered with."""

    number: str
    request: Json
    is_screening_on: bool
    expected: list[str]


def cases() -> Iterator[Case]:
    """Yield every worked case of patient-view."""
    for file in sorted(CASES.glob("*.yaml")):
        for written in yaml.safe_load(file.read_text(encoding="utf-8")):
            yield _case(written)


def _case(written: dict[str, Any]) -> Case:
    sent = prefetch(
        written["record"],
        of=written.get("patient"),
        sends=written.get("sends"),
        sends_only=written.get("sends only"),
    )
    # YAML reads an unquoted off as false.
    is_screening_on = written.get("screening", True) not in (False, "off")
    return Case(str(written["case"]), hook_request(sent), is_screening_on, expected(written["expect"]))


def expected(part: dict[str, Any]) -> list[str]:
    """Return the expected answer in the form of both sides."""
    if part.get("answer", 200) != 200:
        return [f"HTTP {part['answer']}"]
    cards = part.get("cards", "none")
    return [] if cards == "none" else [f"{key}:{wanted['indicator']}" for key, wanted in cards.items()]
