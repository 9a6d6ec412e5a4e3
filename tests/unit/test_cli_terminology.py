"""`rls-cds terminology build-drugs`: exit codes, what is written where, and the way there and back."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.cli import terminology as command
from cds_service.knowledge import Knowledge, load
from cds_service.knowledge.lint import lint
from cds_service.knowledge.loader import build
from cds_service.terminology_build.build import DRUGS, MEDICINES
from cds_service.terminology_build.table import Table, read_table
from cds_service.terminology_build.valuesets import read_rows
from tests.unit.rxnorm_release import of_table

DATA = Path(str(files("cds_service.knowledge") / "data"))
PACKAGED = read_table((DATA / DRUGS).read_bytes())
DAY = ("--release", "2026-11-02")

# Codes that the packaged lists did not describe in full: caffeine is beside chlorpheniramine here.
WITH_CAFFEINE = "1303251"

COMBINED_DRUG, COMBINATION = (
    next(
        int(c)
        for c, p in PACKAGED.products.items()
        if {n for n, _ in p.ingredients} == {"carbidopa", "levodopa"}
    ),
    103990,
)

MADE_UP = range(90_000_000, 100_000_000)
"""The numbers that only hold the release together."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = of_table(PACKAGED)
    made.relate(COMBINED_DRUG, "has_ingredients", made.concept(COMBINATION, "MIN", "carbidopa / levodopa"))
    return made.write(tmp_path_factory.mktemp("release"))


def run(folder: Path, *options: str | Path) -> Result:
    return CliRunner().invoke(main, ["terminology", "build-drugs", str(folder), *DAY, *map(str, options)])


def knowledge_with(folder: Path) -> Knowledge:
    """Return the knowledge base with the files of a folder in place of its own."""

    def read(name: str) -> bytes:
        new = folder / name
        return (new if new.exists() else DATA / name).read_bytes()

    return build(read, "renewed")


def answer(knowledge: Knowledge, code: str) -> tuple[Any, ...]:
    """Return what the knowledge base says of a code, ingredients in no order."""
    product = knowledge.terminology.drug_by_rxnorm(code)
    assert product is not None
    parts = frozenset((part.name, part.groups) for part in product.ingredients)
    name = frozenset(product.name.removesuffix(" pack").split(" / "))
    return parts, product.route, name, product.usual_route


def own_codes(knowledge: Knowledge) -> set[tuple[str, str, str]]:
    """Return group, system and code of what is grouped, without the numbers that the release made up."""
    return {
        (group, system, code)
        for group, codes in knowledge.terminology.codes.items()
        for system, code in codes
        if not (code.isdigit() and int(code) in MADE_UP)
    }


def test_a_release_of_our_own_codes_gives_the_same_answers(release: Path, tmp_path: Path) -> None:
    result = run(release, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    renewed = knowledge_with(tmp_path)
    old = load()
    differing = [c for c in old.terminology.drugs.by_rxnorm if answer(renewed, c) != answer(old, c)]
    assert differing == [WITH_CAFFEINE]
    assert answer(renewed, WITH_CAFFEINE)[0] == {
        ("caffeine", frozenset({"CAFFEINE"})),
        ("chlorpheniramine", frozenset({"ANTIHIST_SEDATING"})),
    }
    assert renewed.terminology.drugs.by_atc == old.terminology.drugs.by_atc
    assert own_codes(renewed) == own_codes(old)
    assert answer(renewed, str(COMBINATION))[:2] == (
        {(name, frozenset({"RLS_LEVODOPA"})) for name in ("carbidopa", "levodopa")},
        "unknown",
    )
    assert lint(renewed) == lint(old) == []
    report = json.loads(result.output)
    assert report["problems"] == []
    assert report["counts"]["removed"] == report["counts"]["kept though retired"] == 0
    assert report == json.loads((tmp_path / "report.json").read_text("utf-8"))


def test_the_value_sets_hold_the_codes_of_the_table_with_the_release_as_source(
    release: Path, tmp_path: Path
) -> None:
    assert run(release, "--out", tmp_path).exit_code == 0
    old = {(row.group, row.system, row.code) for row in read_rows((DATA / MEDICINES).read_bytes())}
    new = list(read_rows((tmp_path / MEDICINES).read_bytes()))
    assert old <= {(row.group, row.system, row.code) for row in new}
    sources = {row.code: row.source for row in new}
    assert sources["312940"] == "RxNorm, release of 2026-11-02 (NLM): SAB=RXNORM"
    assert "RxNorm, release" not in sources["N06AB06"]  # an ATC code that was known keeps its source


def test_the_same_release_gives_the_same_files(release: Path, tmp_path: Path) -> None:
    names = (DRUGS, MEDICINES, "report.json", "report.txt")
    for folder in ("one", "other"):
        assert run(release, "--out", tmp_path / folder).exit_code == 0
    assert [(tmp_path / "one" / n).read_bytes() for n in names] == [
        (tmp_path / "other" / n).read_bytes() for n in names
    ]


def lacking(name: str, folder: Path) -> Path:
    """Return a release without one ingredient and its drugs."""
    products = {c: p for c, p in PACKAGED.products.items() if name not in {n for n, _ in p.ingredients}}
    ingredients = {n: i for n, i in PACKAGED.ingredients.items() if n != name}
    return of_table(Table(ingredients, products)).write(folder)


def test_a_missing_ingredient_fails_and_writes_nothing_over_the_packaged_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in = packaged_copy(tmp_path / "packaged", monkeypatch)
    folder = lacking("iron sucrose", tmp_path / "release")
    result = run(folder, "--write", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "PROBLEM  iron sucrose: not in the release, neither by its RxCUI (24909)" in result.output
    assert "1 problems; nothing was written over the packaged files" in result.output
    assert (tmp_path / "out" / "report.txt").exists()
    assert not list(stands_in.rglob("*.json"))
    assert run(folder, "--absent", "iron sucrose").exit_code == 0


def packaged_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let an empty folder stand in for the packaged data, as the place that is written to."""
    folder.mkdir()
    monkeypatch.setattr(command, "packaged", lambda: folder)
    return folder


def test_write_replaces_the_packaged_files(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in = packaged_copy(tmp_path / "packaged", monkeypatch)
    assert run(release).exit_code == 0
    assert not list(stands_in.iterdir())  # without --write and --out it only reports
    assert run(release, "--write").exit_code == 0
    written = read_table((stands_in / DRUGS).read_bytes())
    assert written.products.keys() > PACKAGED.products.keys()
    assert (stands_in / MEDICINES).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", str(DATA)], "--out names the packaged data"),
        (["--out", str(DATA / "valuesets")], "--out names the packaged data"),
        (["--release", "November"], "Invalid value for '--release'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(release: Path, options: Sequence[str], said: str) -> None:
    result = run(release, *options)
    assert result.exit_code == 2
    assert said in result.output


def test_unreadable_input_ends_with_2_and_names_file_and_line(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 2
    folder = of_table(PACKAGED).write(tmp_path / "without attributes")
    (folder / "RXNSAT.RRF").unlink()
    assert "RXNSAT.RRF: cannot be read" in run(folder).output
    (tmp_path / "RXNCONSO.RRF").write_bytes(b"1|ENG|\n")
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "RXNCONSO.RRF, line 1: has 2 columns" in result.output


def test_a_folder_that_cannot_be_written_ends_with_2(release: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run(release, "--out", tmp_path / "file" / "below")
    assert result.exit_code == 2
    assert "cannot be written" in result.output
