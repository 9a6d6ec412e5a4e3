"""The renewed table: what is new, what stays, what goes, and what must be settled first."""

import json
from pathlib import Path

import pytest

from cds_service.terminology_build.changes import Kind, changes_of, plain, text
from cds_service.terminology_build.release import read_release
from cds_service.terminology_build.renewal import Renewal, Wishes, renew
from cds_service.terminology_build.rules import load_rules
from cds_service.terminology_build.table import Ingredient, Product, Table, read_table, table_json
from tests.unit.rxnorm_release import ReleaseFiles, conso, sat

SSRI = (("sertraline", ("SSRI",)),)
TABLET_25 = Product(SSRI, "oral", "sertraline 25 mg oral tablet")
IRON = (("iron sucrose", ("IV_IRON",)),)
BEFORE = Table(
    {
        "agomelatine": Ingredient("agomelatine", ("ANTIDEP_OTHER",), (), ("N06AX22",)),
        "iron sucrose": Ingredient("iron sucrose", ("IV_IRON",), ("24909",), ()),
        "sertraline": Ingredient("sertraline", ("SSRI",), ("36437",), ("N06AB06",)),
    },
    {
        "10": TABLET_25,
        "20": Product(IRON, "injection", "iron sucrose 20 mg/mL injection"),
    },
    {"zoloft": (SSRI, "oral"), "venofer": (IRON, "injection")},
)
FORM = "Oral Tablet"


def release() -> ReleaseFiles:
    files = ReleaseFiles()
    files.concept(36437, "IN", "sertraline")
    files.concept(24909, "IN", "iron sucrose")
    files.clinical(10, "sertraline 25 MG Oral Tablet", [("sertraline", "25 MG")], FORM, "oral")
    files.clinical(
        20, "iron sucrose 20 MG/ML Injection", [("iron sucrose", "20 MG/ML")], "Injection", "injection"
    )
    return files


def without(files: ReleaseFiles, code: int) -> ReleaseFiles:
    """Leave out a concept with its relations."""
    files.conso = [row for row in files.conso if not row.startswith(f"{code}|")]
    files.rel = [row for row in files.rel if str(code) not in (row.split("|")[0], row.split("|")[4])]
    return files


def renewed(
    files: ReleaseFiles, folder: Path, before: Table = BEFORE, *absent: str, drop: bool = False
) -> Renewal:
    wishes = Wishes(frozenset(absent), drop)
    return renew(before, read_release(files.write(folder)), load_rules(), frozenset({"N06AX99"}), wishes)


def counts(renewal: Renewal) -> dict[str, int]:
    return {kind.value: n for kind, n in changes_of(renewal).counts.items() if n}


def test_a_release_that_says_what_the_table_says_changes_nothing(tmp_path: Path) -> None:
    renewal = renewed(release(), tmp_path)
    assert renewal.after == BEFORE
    assert not renewal.problems
    assert counts(renewal) == {}
    assert text(renewal, changes_of(renewal), "2026-11-02").splitlines()[2:] == [
        "      0  added",
        "      0  removed",
        "      0  group changed",
        "      0  route changed",
        "      0  name changed",
        "      0  kept though retired",
    ]


def test_new_drugs_salts_and_brands_are_taken_and_reported(tmp_path: Path) -> None:
    files = release()
    files.relate(files.concept(155137, "PIN", "sertraline hydrochloride"), "form_of", 36437)
    drug = files.clinical(11, "sertraline 50 MG Oral Tablet", [("sertraline", "50 MG")], FORM, "oral")
    files.branded(12, "sertraline 50 MG Oral Tablet", drug, "Lustral Example")
    renewal = renewed(files, tmp_path)
    brand = str(files.named("BN", "Lustral Example"))
    assert renewal.after.ingredients["sertraline"].rxnorm == ("155137", "36437")
    assert renewal.after.products.keys() == {"10", "11", "12", "20", brand}
    assert renewal.after.brands["lustral example"] == (SSRI, "oral")
    changes = changes_of(renewal)
    assert changes.counts[Kind.ADDED] == 3
    assert changes.codes_added == {"sertraline": ["155137"]}
    assert changes.brands_added == ["lustral example"]
    shown = text(renewal, changes, "2026-11-02")
    assert "sertraline: 3 added" in shown
    assert "added: 11 SCD sertraline 50 mg oral tablet [sertraline (SSRI); oral]" in shown
    assert "  sertraline: 155137" in shown


def test_changes_of_group_route_and_name_are_told_apart(tmp_path: Path) -> None:
    before = Table(
        BEFORE.ingredients,
        {**BEFORE.products, "10": Product((("sertraline", ("TCA",)),), "topical", "sertraline gel")},
    )
    renewal = renewed(release(), tmp_path, before)
    assert [change[0] for change in changes_of(renewal).by_ingredient["sertraline"]] == [
        Kind.REGROUPED,
        Kind.REROUTED,
        Kind.RENAMED,
    ]
    shown = text(renewal, changes_of(renewal), "2026-11-02")
    assert "sertraline: 1 group changed, 1 route changed, 1 name changed" in shown
    assert (
        "group changed: 10 SCD sertraline 25 mg oral tablet [sertraline (TCA) -> sertraline (SSRI)]" in shown
    )
    assert "route changed: 10 SCD sertraline 25 mg oral tablet [topical -> oral]" in shown


@pytest.mark.parametrize("drop", [False, True])
def test_a_drug_that_rxnorm_retired_stays_unless_it_is_dropped(tmp_path: Path, *, drop: bool) -> None:
    before = Table(BEFORE.ingredients, {**BEFORE.products, "9": TABLET_25, "11": TABLET_25}, BEFORE.brands)
    files = release()
    files.conso.append(conso(11, "SCD", "sertraline 25 MG Oral Tablet", suppress="O"))
    renewal = renewed(files, tmp_path, before, drop=drop)
    reasons = {"9": "not in the release", "11": "retired by RxNorm (SUPPRESS=O)"}
    assert (renewal.removed if drop else renewal.kept) == reasons
    assert ("11" in renewal.after.products) is not drop
    assert counts(renewal) == {"removed" if drop else "kept though retired": 2}
    # No drug of the release has a brand: a brand of older lists goes with the retired codes only.
    assert bool(renewal.after.brands) is not drop


def test_drugs_in_use_that_hold_nothing_of_ours_go_with_their_reason(tmp_path: Path) -> None:
    before = Table(BEFORE.ingredients, {**BEFORE.products, "11": TABLET_25, "12": TABLET_25, "13": TABLET_25})
    files = release()
    files.clinical(11, "talc 1 MG Oral Tablet", [("talc", "1 MG")], FORM, "oral")
    files.clinical(12, "sertraline 5 MG Oral Tablet", [("sertraline", "5 MG")], FORM, "oral")
    files.sat.append(sat(12, "RXN_VET_DRUG", "US"))
    files.concept(13, "BN", "Two Things")
    files.branded(21, "iron sucrose 20 MG/ML Injection", 20, "Two Things")
    files.branded(22, "sertraline 25 MG Oral Tablet", 10, "Two Things")
    renewal = renewed(files, tmp_path, before)
    assert renewal.removed == {
        "11": "in use, but holds none of our ingredients",
        "12": "for animals only",
        "13": "its drugs differ in what they hold",
    }
    report = plain(renewal, changes_of(renewal), "2026-11-02")
    assert report["groupersLeftOut"] == [{"code": "13", "name": "Two Things"}]
    assert "removed: 12  sertraline 25 mg oral tablet [for animals only]" in text(
        renewal, changes_of(renewal), "2026-11-02"
    )


def test_a_brand_that_now_says_two_things_is_taken_out(tmp_path: Path) -> None:
    files = release()
    files.branded(21, "iron sucrose 20 MG/ML Injection", 20, "Zoloft")
    files.branded(22, "sertraline 25 MG Oral Tablet", 10, "Zoloft")
    renewal = renewed(files, tmp_path)
    assert renewal.after.brands.keys() == {"venofer"}
    assert changes_of(renewal).brands_removed == ["zoloft"]


def test_an_ingredient_that_is_not_in_the_release_is_a_problem_unless_it_is_named(tmp_path: Path) -> None:
    files = without(without(release(), 24909), 20)
    renewal = renewed(files, tmp_path / "one")
    assert renewal.problems == (
        "iron sucrose: not in the release, neither by its RxCUI (24909) nor by its name",
    )
    named = renewed(files, tmp_path / "two", BEFORE, "iron sucrose", drop=True)
    assert not named.problems
    assert named.after.products["20"] == BEFORE.products["20"]
    assert named.after.ingredients == BEFORE.ingredients


def test_a_group_that_would_be_empty_is_a_problem(tmp_path: Path) -> None:
    files = without(without(release(), 24909), 20)
    assert renewed(files, tmp_path, drop=True).problems == (
        "iron sucrose: not in the release, neither by its RxCUI (24909) nor by its name",
        "iron sucrose: all of its drugs would be gone",
        "group IV_IRON: would be empty",
    )


def test_a_name_that_is_no_ingredient_is_a_problem(tmp_path: Path) -> None:
    assert renewed(release(), tmp_path, BEFORE, "sertralin").problems == (
        "sertralin: named as absent, but no ingredient of the knowledge base",
    )


def test_an_ingredient_without_a_code_in_use_is_found_by_its_name(tmp_path: Path) -> None:
    files = release()
    files.concept(77, "IN", "Agomelatine")
    files.clinical(78, "agomelatine 25 MG Oral Tablet", [("Agomelatine", "25 MG")], FORM, "oral")
    renewal = renewed(files, tmp_path)
    assert renewal.after.ingredients["agomelatine"].rxnorm == ("77",)
    assert renewal.after.products["78"].ingredients == (("agomelatine", ("ANTIDEP_OTHER",)),)


def test_new_atc_codes_are_taken_where_nothing_else_reads_them_and_never_for_iron(tmp_path: Path) -> None:
    files = release()
    files.conso += [
        conso(36437, "IN", "sertraline", source="ATC", own="N06AB96"),
        conso(36437, "IN", "sertraline", source="ATC", own="N06AX99"),
        conso(36437, "IN", "sertraline", source="ATC", own="N06AX22"),
        conso(24909, "IN", "iron sucrose", source="ATC", own="B03AB02"),
    ]
    renewal = renewed(files, tmp_path)
    assert renewal.after.ingredients["sertraline"].atc == ("N06AB06", "N06AB96")
    assert renewal.after.ingredients["iron sucrose"].atc == ()
    assert renewal.atc_left_out == (("iron sucrose", "B03AB02"),)


def test_the_text_shortens_long_lists_and_json_does_not(tmp_path: Path) -> None:
    files = release()
    for code in range(30, 38):
        files.clinical(
            code, f"sertraline {code} MG Oral Tablet", [("sertraline", f"{code} MG")], FORM, "oral"
        )
    renewal = renewed(files, tmp_path)
    changes = changes_of(renewal)
    assert text(renewal, changes, "2026-11-02").count("  added: ") == 6
    assert "added: 3 more (all with --json)" in text(renewal, changes, "2026-11-02")
    report = json.loads(json.dumps(plain(renewal, changes, "2026-11-02")))
    assert len(report["ingredients"]["sertraline"]) == 8
    assert report["counts"]["added"] == 8


def test_a_written_table_is_read_as_it_was() -> None:
    table = Table(
        BEFORE.ingredients,
        {**BEFORE.products, "30": Product((("sertraline", ("OTHER", "SSRI")),), "unknown", "sertraline")},
        BEFORE.brands,
    )
    assert read_table(table_json(table, "1", "2026-11-02", ()).encode()) == table
