"""Two tables of texts, written by hand: what names of medicines and of problems may be taken for."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cds_service.assess import Answer
from cds_service.clinical.facts import Certainty, Facts, Presence
from tests.builders import Fact, hook_request, prefetch
from tests.harness import service_in

FOLDER = Path(__file__).parent
LEAST = {"drugs.txt": 150, "conditions.txt": 80}
NOTHING, NOT_READABLE, FAMILY = "-", "?", "RLS family"


def table(name: str) -> Iterator[list[str]]:
    """Yield the cells of every line; an invisible character is written as its code."""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            text, *cells = (cell.strip() for cell in line.split("|"))
            yield [text.encode("ascii", "backslashreplace").decode("unicode_escape"), *cells]


DRUGS = list(table("drugs.txt"))
CONDITIONS = list(table("conditions.txt"))


@cache
def answer(kind: str, text: str) -> Answer:
    """Return what the service makes of a patient with restless legs, low iron and this one text."""
    record: list[Fact] = ["RLS", {"ferritin": 40}] if kind == "takes" else [{"ferritin": 40}]
    return service_in("UTC").view(hook_request(prefetch([*record, {kind: {"text": text}}])))


def facts(kind: str, text: str) -> Facts:
    """Return the facts behind it."""
    return answer(kind, text).facts


def split(cell: str, separator: str) -> set[str]:
    """Return the parts of a cell, none for "-" and "?"."""
    return set() if cell in {NOTHING, NOT_READABLE} else {part.strip() for part in cell.split(separator)}


@pytest.mark.parametrize(("name", "rows"), [("drugs.txt", DRUGS), ("conditions.txt", CONDITIONS)])
def test_each_table_has_many_lines_and_none_twice(name: str, rows: list[list[str]]) -> None:
    texts = [row[0] for row in rows]
    assert len(set(texts)) == len(texts) >= LEAST[name]


@pytest.mark.parametrize(("text", "recognised", "classes"), DRUGS)
def test_a_name_of_a_medicine(text: str, recognised: str, classes: str) -> None:
    read = facts("takes", text)
    assert {i.name for m in read.medicines for i in m.ingredients} == split(recognised, " + ")
    assert read.unreadable_medicines == (recognised == NOT_READABLE)
    present = {
        factor.id.removeprefix("drug.")
        for factor in answer("takes", text).assessment.factors
        if factor.id.startswith("drug.") and factor.presence is Presence.PRESENT
    }
    assert present == split(classes, ",")


@pytest.mark.parametrize(("text", "groups"), CONDITIONS)
def test_a_name_of_a_problem(text: str, groups: str) -> None:
    read = facts("diagnosis", text)
    assert bool(read.family) is (groups == FAMILY)
    asserted = set() if groups == FAMILY else split(groups, ",")
    assert {group for condition in read.conditions for group in condition.groups} == asserted


def test_what_is_known_by_text_says_so() -> None:
    told = [i.certainty for m in facts("takes", "Zoloft").medicines for i in m.ingredients]
    told += [c.certainty for c in facts("diagnosis", "Restless legs syndrome").conditions]
    assert told == [Certainty.BY_TEXT, Certainty.BY_TEXT]


@pytest.mark.parametrize(
    ("kind", "text", "remark"),
    [
        ("takes", "Zoloft", "recognised by name"),
        ("diagnosis", "Restless legs syndrome", "recognised by text"),
    ],
)
def test_the_card_shows_the_confidence(kind: str, text: str, remark: str) -> None:
    assert any(remark in (card.detail or "") for card in answer(kind, text).cards)


def test_the_card_shows_that_a_test_was_known_by_its_name() -> None:
    named: Fact = {"ferritin": {"loinc": "none", "name": "Ferritin, serum", "value": 40}}
    cards = service_in("UTC").call(hook_request(prefetch(["RLS", named]))).cards
    assert [card for card in cards if "recognised by its name" in card["detail"]]
