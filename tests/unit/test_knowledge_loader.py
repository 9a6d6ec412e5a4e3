"""The typed loader: what is in the files comes out exactly, and mistakes in them stop the program."""

import hashlib
import tomllib
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from cds_service import knowledge
from cds_service.knowledge import Check, load, terminology
from cds_service.knowledge.loader import build, hash_of

DATA = files("cds_service.knowledge") / "data"


def read(name: str) -> bytes:
    return DATA.joinpath(name).read_bytes()


def test_thresholds_are_exact_and_dated() -> None:
    threshold = load().thresholds["ferritin.near_threshold_percent"]
    assert threshold.value == Decimal("1.5")
    assert threshold.valid_from <= load().date
    assert load().threshold("ferritin.treat.adult") == Decimal(75)
    assert load().days("window.result") == 365


@pytest.mark.parametrize("room", [knowledge, terminology])
def test_everything_that_is_named_for_others_is_there(room: ModuleType) -> None:
    assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_unknown_thresholds_are_an_error() -> None:
    with pytest.raises(KeyError):
        load().threshold("nothing")


@pytest.mark.parametrize(("check", "awaits"), [("V1", False), ("V2", True), ("M", True), ("P", False)])
def test_what_no_primary_source_shows_awaits_review(check: str, *, awaits: bool) -> None:
    assert Check(check).awaits_review is awaits


def test_rules_and_thresholds_say_what_awaits_review() -> None:
    assert load().thresholds["tsat.high"].awaits_review
    assert not load().rules["IRON-03"].awaits_review


@pytest.mark.parametrize(
    ("name", "is_flagged"),
    [
        ("sertraline", True),
        ("vortioxetine", True),
        ("vilazodone", True),
        ("esketamine", True),
        ("promethazine", True),
        ("bupropion", False),
        ("trazodone", False),
        ("nefazodone", False),
        ("agomelatine", False),
        ("reboxetine", False),
        ("selegiline", False),
        ("tramadol", False),
        ("levothyroxine", False),
        ("aripiprazole", False),
        ("domperidone", False),
        ("ondansetron", False),
        ("loratadine", False),
        ("pimavanserin", False),
    ],
)
def test_flagged_ingredients_are_those_of_the_closed_list(name: str, *, is_flagged: bool) -> None:
    assert load().ingredients[name].is_flagged is is_flagged


def test_the_hash_covers_every_file() -> None:
    assert hash_of(DATA) == load().hash
    assert len(load().hash) == 12


def test_the_hash_changes_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one.toml").write_text("a = 1")
    before = hash_of(tmp_path)
    assert before == hashlib.sha256(b"inner/one.toml\0a = 1\0").hexdigest()[:12]
    (tmp_path / "inner" / "one.toml").write_text("a = 2")
    assert hash_of(tmp_path) != before


@pytest.mark.parametrize("name", ["groups", "drug_groups", "ingredients", "look_backs"])
def test_what_a_factor_names_is_read(name: str) -> None:
    stated = {
        i: set(table.get(name, ())) for i, table in tomllib.loads(read("factors.toml").decode()).items()
    }
    assert {i: set(getattr(one, name)) for i, one in load().factors.items()} == stated
    assert any(stated.values())


@pytest.mark.parametrize("name", ["is_strongest", "is_inactive_alone"])
def test_what_is_said_of_some_ingredients_is_said_of_no_other(name: str) -> None:
    stated = {i for i, table in tomllib.loads(read("ingredients.toml").decode()).items() if table.get(name)}
    assert {i for i, one in load().ingredients.items() if getattr(one, name)} == stated
    assert stated


def test_an_entry_for_an_ingredient_that_does_not_exist_is_an_error() -> None:
    def misspelt(name: str) -> bytes:
        return b"[mirtazapin]\nis_strongest = true\n" if name == "ingredients.toml" else read(name)

    with pytest.raises(ValueError, match="mirtazapin"):
        build(misspelt, "0")
