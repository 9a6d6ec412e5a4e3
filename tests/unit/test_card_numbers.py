"""Every number that a card or a rule prints is a limit of the knowledge base, or has a reason to be none.

A number with a unit of time is listed with it ("8 weeks"), and a number word before such a unit counts as a
number ("about three months").
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import cds_service.knowledge
from cds_service.knowledge import load
from cds_service.resources import cards_dir

RULES = Path(cds_service.knowledge.__file__).parent / "data" / "rules.toml"
# The version and the date of the wording are no text.
NO_TEXT = frozenset({"manifest.toml"})

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
UNITS = r"(?:year|month|week|day|hour)"
NUMBER = re.compile(rf"(?P<number>\d+(?:\.\d+)?)(?: (?P<unit>{UNITS})s?\b)?")
NUMBER_WORD = re.compile(rf"\b(?P<word>{'|'.join(WORDS)})(?= {UNITS}s?\b)", re.IGNORECASE)
# What a template compares is listed like what it prints, but for 0 and 1, which only tell one from many.
CONDITION = re.compile(r"{%.*?%}")
ONE_OR_NONE = re.compile(r"\b[01]\b")
# In the unit of the limit: days, but hours for what is given in hours. A month is four weeks here.
SCALE: Mapping[str, int] = {"year": 365, "month": 28, "week": 7, "day": 1, "hour": 1, "": 1}


@dataclass(frozen=True)
class Limit:
    """The limits that a number prints; `plus` where the text names the day or year beside the limit."""

    ids: tuple[str, ...]
    plus: int = 0


def limit(*ids: str, plus: int = 0) -> Limit:
    return Limit(ids, plus)


ADULT, IV, SYMPTOM, CHILD = (
    "ferritin.treat.adult",
    "ferritin.iv.adult",
    "ferritin.symptom.adult",
    "ferritin.treat.child",
)
YEAR_OF_A_SOURCE = "the year of a publication"

TABLE: Mapping[tuple[str, str], Limit | str] = {
    ("DATA-01.toml", "20"): limit("tsat.low"),
    ("IRON-03.toml", "50"): limit(SYMPTOM, CHILD),
    ("IRON-03.toml", "75"): limit(ADULT),
    ("IRON-03.toml", "17"): limit("age.adult", plus=1),
    ("IRON-03.toml", "18"): limit("age.adult"),
    ("IRON-04.toml", "50"): limit(SYMPTOM),
    ("IRON-04.toml", "75"): limit(ADULT),
    ("IRON-05.toml", "75"): limit(ADULT),
    ("IRON-05.toml", "100"): limit(IV),
    ("IRON-05.toml", "45"): limit("tsat.high"),
    ("IRON-07.toml", "50"): limit(CHILD),
    ("IRON-07.toml", "3 months"): limit("window.oral_iron.recheck"),
    ("IRON-08.toml", "75"): limit(ADULT),
    ("IRON-08.toml", "20"): limit("tsat.low"),
    ("IRON-08.toml", "100"): limit(IV),
    ("IRON-09.toml", "200"): limit("ferritin.treat.esrd"),
    ("IRON-09.toml", "20"): limit("tsat.low"),
    ("IRON-10.toml", "6 weeks"): limit("window.repeat_after_inflammation"),
    ("IRON-11.toml", "20"): limit("tsat.low"),
    ("IRON-11.toml", "75"): limit(ADULT),
    ("IRON-11.toml", "100"): limit(IV),
    ("IRON-12.toml", "8 weeks"): limit("window.oral_iron.result"),
    ("IRON-12.toml", "24 hours"): limit("draw.without_iron"),
    ("IRON-12.toml", "50"): limit(CHILD),
    ("IRON-12.toml", "75"): limit(ADULT),
    ("IRON-12.toml", "17"): limit("age.adult", plus=1),
    ("IRON-12.toml", "18"): limit("age.adult"),
    ("IRON-12.toml", "3 months"): limit("window.oral_iron.recheck"),
    ("IRON-12b.toml", "50"): limit(CHILD),
    ("IRON-12b.toml", "75"): limit(ADULT),
    ("IRON-12b.toml", "18"): limit("age.adult"),
    ("IRON-13.toml", "56"): limit("window.iv_iron.unreliable", plus=-1),
    ("IRON-13.toml", "8 weeks"): limit("window.iv_iron.unreliable", plus=-1),
    ("IRON-14.toml", "45"): limit("tsat.high"),
    ("IRON-14.toml", "300"): limit("ferritin.studied_upper"),
    ("IRON-14.toml", "800"): limit("ferritin.overload.esrd"),
    ("IRON-14.toml", "2018"): YEAR_OF_A_SOURCE,
    ("IRON-16.toml", "50"): limit(CHILD),
    ("IRON-16.toml", "75"): limit(ADULT),
    ("IRON-16.toml", "100"): limit(IV),
    ("IRON-16.toml", "17"): limit("age.adult", plus=1),
    ("IRON-16.toml", "18"): limit("age.adult"),
    ("lines.toml", "20"): limit("tsat.low"),
    ("lines.toml", "45"): limit("tsat.high"),
    ("lines.toml", "30"): limit("ferritin.search_cause"),
    ("lines.toml", "300"): limit("ferritin.studied_upper"),
    ("lines.toml", "1.5"): limit("ferritin.near_threshold_percent"),
    ("lines.toml", "75"): limit(ADULT),
    ("lines.toml", "40"): "the highest total of the international restless legs scale",
    ("lines.toml", "121"): limit("ferritin.assay_roche"),
    ("lines.toml", "24 hours"): limit("draw.without_iron"),
    ("lines.toml", "6 weeks"): limit("window.postpartum"),
    ("shared.toml", "18"): limit("age.adult"),
    ("shared.toml", "24 hours"): limit("draw.without_iron"),
    ("shared.toml", "20"): limit("tsat.low"),
    ("shared.toml", "200"): limit("ferritin.treat.esrd"),
    ("shared.toml", "65"): limit("iron.oral.dose"),
    ("shared.toml", "3 months"): limit("window.oral_iron.recheck"),
    ("shared.toml", "30"): limit("ferritin.search_cause"),
    **{
        ("shared.toml", str(year)): YEAR_OF_A_SOURCE
        for year in (2007, 2008, 2010, 2012, *range(2014, 2022), 2025)
    },
    ("rules.toml", "75"): limit(ADULT),
    ("rules.toml", "100"): limit(IV),
    ("rules.toml", "50"): limit(CHILD, SYMPTOM),
    ("rules.toml", "20"): limit("tsat.low"),
    ("rules.toml", "200"): limit("ferritin.treat.esrd"),
    ("rules.toml", "45"): limit("tsat.high"),
    ("rules.toml", "300"): limit("ferritin.studied_upper"),
    ("rules.toml", "800"): limit("ferritin.overload.esrd"),
    ("rules.toml", "56"): limit("window.oral_iron.result"),
    ("rules.toml", "3 months"): limit("window.oral_iron.recheck"),
    ("rules.toml", "8 weeks"): limit("window.iv_iron.unreliable", plus=-1),
}


def leaves(value: Any, name: str = "") -> Iterator[str]:
    """Yield every text that is no address, citation id or check mark."""
    if isinstance(value, str):
        if not value.startswith("https://") and name not in {"citations", "check"}:
            yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            # Under this key stands how each source is called, not which sources a rule has.
            is_name_of_source = key == "citations" and isinstance(part, dict)
            yield from leaves(part, "" if is_name_of_source else key)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part, name)


def numbers_in(text: str) -> set[str]:
    """Return the numbers of a text, with the unit of time that follows."""
    shown = CONDITION.sub(lambda m: ONE_OR_NONE.sub("", m[0]), text)
    digits = NUMBER_WORD.sub(lambda m: str(WORDS.index(m["word"].lower()) + 1), shown)
    return {written(m["number"], m["unit"] or "") for m in NUMBER.finditer(digits)}


def written(number: str, unit: str) -> str:
    """Return a number as the table lists it."""
    return f"{number} {unit}{'' if number == '1' else 's'}" if unit else number


def found() -> set[tuple[str, str]]:
    """Return every number of the wording and of the rules, by file."""
    files = [path for path in sorted(cards_dir().glob("*.toml")) if path.name not in NO_TEXT]
    return {
        (path.name, number)
        for path in (*files, RULES)
        for text in leaves(tomllib.loads(path.read_text(encoding="utf-8")))
        for number in numbers_in(text)
    }


def test_every_printed_number_is_listed() -> None:
    assert found() - TABLE.keys() == set()


def test_every_listed_number_is_printed() -> None:
    assert TABLE.keys() - found() == set()


@pytest.mark.parametrize(
    ("place", "meaning"), TABLE.items(), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_printed_number_has_the_value_of_its_limit(place: tuple[str, str], meaning: Limit | str) -> None:
    if isinstance(meaning, str):
        assert meaning.strip()
        return
    number, _, unit = place[1].partition(" ")
    printed = Decimal(number) * SCALE[unit.removesuffix("s")] + meaning.plus
    assert {load().threshold(one) for one in meaning.ids} == {printed}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("recheck after about three months", {"3 months"}),
        ("One year is a project rule", {"1 year"}),
        ("below 50 ng/mL, 1.5 % of 75-100", {"50", "1.5", "75", "100"}),
        ("not since day 56 was found", {"56"}),
        ("one of them", set()),
        ("{% if drug_count == 1 %}is{% elif band == '75-100' %}are{% endif %}", {"75", "100"}),
    ],
)
def test_numbers_are_found_in_words_and_digits(text: str, numbers: set[str]) -> None:
    assert numbers_in(text) == numbers
