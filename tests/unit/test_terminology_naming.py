"""Names of RxNorm, reduced to what a card shows, and the words of brands."""

import pytest

from cds_service.terminology_build.naming import brand_words, canonical, reduced_name


@pytest.mark.parametrize(
    ("display", "names", "expected"),
    [
        ("sertraline 25 MG Oral Tablet [Zoloft]", ["sertraline"], "sertraline 25 mg oral tablet"),
        ("24 HR ferrous sulfate 142 MG Extended Release Oral Tablet", ["ferrous sulfate"],
         "ferrous sulfate 142 mg extended release oral tablet"),
        ("10 ML iron sucrose 20 MG/ML Injection", ["iron sucrose"], "iron sucrose 20 mg/mL injection"),
        ("diphenhydramine hydrochloride 25 MG Oral Capsule", ["diphenhydramine"],
         "diphenhydramine 25 mg oral capsule"),
        ("carbidopa 25 MG / levodopa 100 MG Oral Tablet", ["carbidopa", "levodopa"],
         "carbidopa 25 mg / levodopa 100 mg oral tablet"),
        ("iron carbonyl 45 MG Oral Tablet", ["carbonyl iron"], "carbonyl iron 45 mg oral tablet"),
        ("{7 (sertraline 25 MG Oral Tablet) } Pack [Zoloft]", ["sertraline"], "sertraline pack"),
        ("a 1 MG / b 1 MG / c 1 MG / iron 18 MG Oral Tablet", ["iron"], "iron oral tablet"),
        ("sertraline Oral Product", ["sertraline"], "sertraline"),
        (
            "gabapentin 25 MG / " + "x" * 90 + " 100 MG Oral Tablet",
            ["gabapentin"],
            "gabapentin oral tablet",
        ),
    ],
)  # fmt: skip
def test_a_name_keeps_ingredient_strength_and_form(display: str, names: list[str], expected: str) -> None:
    assert reduced_name(display, names) == expected


@pytest.mark.parametrize(
    ("display", "expected"),
    [
        ("sertraline 25 MG Oral Tablet", []),
        ("sertraline 25 MG Oral Tablet [Zoloft]", [("zoloft",)]),
        (
            "{21 (...) } Pack [Junel Fe 1/20 28 Day]",
            [("junel", "fe", "1", "20", "28", "day"), ("junel", "fe")],
        ),
        ("x 1 MG [St. Joseph's Aid Kit]", [("st", "josephs", "aid", "kit"), ("st", "josephs", "aid")]),
        ("x 1 MG [Vitron-C Reformulated Jul 2016]", [("vitron", "c")]),
        ("x 1 MG [Genac brand of triprolidine]", [("genac",)]),
        ("x 1 MG [Tandem]", []),
        ("x 1 MG [Abc]", []),
        ("x 1 MG [4Way Nasal]", []),
        ("x 1 MG [(new)]", []),
    ],
)
def test_the_words_of_a_brand(display: str, expected: list[tuple[str, ...]]) -> None:
    assert brand_words(display) == expected


def test_an_ingredient_has_one_spelling() -> None:
    assert [canonical(name) for name in (" Divalproex ", "Sertraline")] == ["valproate", "sertraline"]
