"""Reading release files: every line is checked, and what is wrong is named with file and line."""

from pathlib import Path

import pytest

from cds_service.terminology_build.release import read_release
from cds_service.terminology_build.rrf import CONSO_FILE, LONGEST_LINE, ReleaseError, rows
from tests.unit.rxnorm_release import ReleaseFiles, conso, rel, sat

SERTRALINE, TABLET, COMPONENT = 36437, 312938, 90_000_000


def small() -> ReleaseFiles:
    files = ReleaseFiles()
    files.concept(SERTRALINE, "IN", "sertraline")
    files.clinical(TABLET, "sertraline 100 MG Oral Tablet", [("sertraline", "100 MG")], "Oral Tablet", "oral")
    return files


def write(folder: Path, name: str, content: bytes) -> Path:
    small().write(folder)
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["RXNCONSO.RRF", "RXNREL.RRF"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (small().write(tmp_path) / name).unlink()
    with pytest.raises(ReleaseError, match=rf"{name}: cannot be read: No such file"):
        read_release(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("RXNCONSO.RRF", b"", "RXNCONSO.RRF: is empty"),
        ("RXNCONSO.RRF", b"a|b|\n", "RXNCONSO.RRF, line 1: has 2 columns closed by a bar instead of 18"),
        (
            "RXNCONSO.RRF",
            conso(1, "IN", "a").encode() + b"\n" + conso(2, "IN", "b").encode()[:-1] + b"\n",
            "RXNCONSO.RRF, line 2: has 17 columns closed by a bar instead of 18",
        ),
        (
            "RXNREL.RRF",
            rel(1, 2, "isa").encode() + b"\n\n",
            "RXNREL.RRF, line 2: has 0 columns closed by a bar instead of 16",
        ),
        (
            "RXNCONSO.RRF",
            conso(1, "IN", "a").encode() + b"\n" + conso(2, "SY", "\xe9").encode("latin-1") + b"\n",
            "RXNCONSO.RRF, line 2: is not UTF-8",
        ),
        ("RXNCONSO.RRF", (conso(1, "IN", "a") + "\n").encode("utf-16"), "RXNCONSO.RRF, line 1: is not UTF-8"),
        (
            "RXNCONSO.RRF",
            b"x" * (LONGEST_LINE + 1),
            f"RXNCONSO.RRF, line 1: is longer than {LONGEST_LINE} bytes",
        ),
        (
            "RXNCONSO.RRF",
            conso(1, "IN", "a").replace("1|ENG", "C1|ENG", 1).encode() + b"\n",
            "RXNCONSO.RRF, line 1: has no RxCUI where one belongs",
        ),
        (
            "RXNREL.RRF",
            rel(SERTRALINE, 2, "isa").replace("||CUI|RO|2|", "||CUI|RO||").encode() + b"\n",
            "RXNREL.RRF, line 1: has no RxCUI where one belongs",
        ),
        (
            "RXNCONSO.RRF",
            conso(1, "SU", "a", source="MTHSPL").encode() + b"\n",
            "has no row of RxNorm itself",
        ),
        ("RXNREL.RRF", rel(1, 2, "isa").encode() + b"\n", "has no relation has_ingredient"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(ReleaseError, match=said.replace(".", r"\.")):
        read_release(write(tmp_path, name, content))


def test_a_line_that_is_passed_over_is_checked_too(tmp_path: Path) -> None:
    folder = write(tmp_path, CONSO_FILE, b"1|2|3|\n" + conso(1, "IN", "a").encode() + b"\n")
    with pytest.raises(ReleaseError, match="line 1"):
        list(rows(folder, CONSO_FILE, (b"|RXNORM|",)))


def test_windows_line_ends_and_letters_beyond_ascii_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path, CONSO_FILE, conso(7, "IN", "caf\xe9ine").encode() + b"\r\n")
    assert [(number, cells[14]) for number, cells in rows(folder, CONSO_FILE, (b"|RXNORM|",))] == [
        (1, "caf\xe9ine")
    ]


def test_only_rxnorm_itself_and_atc_are_taken(tmp_path: Path) -> None:
    files = small()
    files.conso += [
        conso(500, "PT", "Sertraline (substance)", source="SNOMEDCT_US"),
        conso(501, "SY", "Zoloft tablets"),  # a synonym of RxNorm: no kind of concept
        conso(SERTRALINE, "IN", "sertraline", source="ATC", own="N06AB06"),
        conso(SERTRALINE, "PT", "SSRI", source="ATC", own="N06AB"),
    ]
    files.rel += [rel(SERTRALINE, TABLET, "has_ingredient", source="MTHSPL"), rel(500, TABLET, "isa")]
    release = read_release(files.write(tmp_path))
    assert 500 not in release.concepts
    assert 501 not in release.concepts
    assert release.atc == {SERTRALINE: {"N06AB06"}}
    assert release.targets("has_ingredient", ("SCD", "SCDC"), ("IN",)) == {COMPONENT: [SERTRALINE]}


@pytest.mark.parametrize("kept", [0, 1])
def test_one_direction_of_a_relation_is_enough(tmp_path: Path, kept: int) -> None:
    files = small()
    files.rel = files.rel[kept::2]  # both directions stand side by side
    release = read_release(files.write(tmp_path))
    assert release.targets("consists_of", ("SCD",), ("SCDC",)) == {TABLET: [COMPONENT]}


def test_a_name_in_use_is_not_hidden_by_a_retired_one(tmp_path: Path) -> None:
    files = small()
    files.conso.append(conso(TABLET, "SCD", "sertraline 100 MG Tab", suppress="O"))
    assert read_release(files.write(tmp_path)).kind(TABLET) == "SCD"


def test_marks_of_animal_drugs_need_no_people(tmp_path: Path) -> None:
    files = small()
    files.sat = [
        sat(1, "RXN_VET_DRUG", "US"),
        sat(2, "RXN_VET_DRUG", "US"),
        sat(2, "RXN_HUMAN_DRUG", "US"),
        sat(3, "RXN_VET_DRUG", "US", source="MTHSPL"),
        sat(4, "NDC", "RXN_VET_DRUG"),
        sat(5, "RXN_VET_DRUG", "US"),
    ]
    release = read_release(files.write(tmp_path))
    assert release.veterinary({1, 2, 3, 4}) == {1}
