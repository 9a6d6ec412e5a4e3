"""Every ICD-10-CM code of the knowledge base against the tabular list that CDC publishes."""

import importlib
import json
import warnings
from importlib.resources import files
from types import ModuleType

import pytest

from cds_service.knowledge.lint import ICD_10_CM

CONDITIONS = json.loads(
    (files("cds_service.knowledge") / "data" / "valuesets" / "conditions.json").read_bytes()
)
CODES = {
    member["code"]: member["display"]
    for entry in CONDITIONS["entry"]
    for member in entry["resource"]["expansion"]["contains"]
    if member["system"] == ICD_10_CM
}
# A letter stands for its whole chapter, which the tabular list names by its number.
CHAPTERS = {"O": "15"}


@pytest.fixture(scope="module")
def tabular_list() -> ModuleType:
    with warnings.catch_warnings():
        # It reads its data by a call that Python 3.11 and 3.12 discourage and 3.13 has again.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("simple_icd_10_cm")


def test_every_code_is_in_the_tabular_list_with_our_meaning(tabular_list: ModuleType) -> None:
    def described(code: str) -> str:
        return str(tabular_list.get_description(code)) if tabular_list.is_valid_item(code) else "no such code"

    ours = {code: display for code, display in CODES.items() if code not in CHAPTERS}
    assert len(ours) > 100
    assert {code: described(code) for code in ours} == ours


def test_a_letter_holds_one_chapter_and_nothing_else(tabular_list: ModuleType) -> None:
    assert {code for code in CODES if len(code) == 1} == CHAPTERS.keys()
    for letter, chapter in CHAPTERS.items():
        blocks_left_out = {c for c in tabular_list.get_descendants(chapter) if "-" not in c}
        assert blocks_left_out
        every = tabular_list.get_all_codes()
        assert blocks_left_out == {c for c in every if c.startswith(letter) and "-" not in c}
