"""From ingredients to drugs along the relations of RxNorm, on releases small enough to follow by hand."""

from pathlib import Path

from cds_service.terminology_build.drugs import Found, find_drugs
from cds_service.terminology_build.release import read_release
from cds_service.terminology_build.rules import load_rules
from cds_service.terminology_build.table import Ingredient, Product
from tests.unit.rxnorm_release import Component, ReleaseFiles, conso, sat

RULES = load_rules()
OWN = {
    "ascorbic acid": Ingredient("ascorbic acid", ("VITC",), ("1151",), ()),
    "doxepin": Ingredient("doxepin", ("TCA",), ("3638",), ()),
    "ferrous fumarate": Ingredient("ferrous fumarate", ("ORAL_IRON",), ("24941",), ()),
    "iron sucrose": Ingredient("iron sucrose", ("IV_IRON",), ("24909",), ()),
    "levodopa": Ingredient("levodopa", ("RLS_LEVODOPA",), ("6375",), ()),
    "carbidopa": Ingredient("carbidopa", ("RLS_LEVODOPA",), ("2019",), ()),
    "naloxone": Ingredient("naloxone", ("OPIOID_ANTAGONIST_ONLY",), ("7242",), ()),
    "sertraline": Ingredient("sertraline", ("SSRI",), ("36437",), ()),
}
SSRI = (("sertraline", ("SSRI",)),)
TABLET = "Oral Tablet"


def release() -> ReleaseFiles:
    files = ReleaseFiles()
    for ingredient in OWN.values():
        files.concept(int(ingredient.rxnorm[0]), "IN", ingredient.name)
    # A release without any of these relations would be refused.
    files.clinical(1, "acetaminophen 500 MG Oral Tablet", [("acetaminophen", "500 MG")], TABLET, "oral")
    return files


def tablet(
    files: ReleaseFiles, code: int, *components: Component, route: str = "oral", form: str = TABLET
) -> int:
    name = " / ".join(f"{ingredient} {strength}" for ingredient, strength in components)
    return files.clinical(code, f"{name} {form}", components, form, route)


def find(files: ReleaseFiles, folder: Path) -> Found:
    return find_drugs(read_release(files.write(folder)), OWN, RULES)


def groups(product: Product) -> dict[str, tuple[str, ...]]:
    return dict(product.ingredients)


def test_a_drug_and_its_brands_are_found_by_the_ingredient_and_no_other_drug(tmp_path: Path) -> None:
    files = release()
    drug = tablet(files, 10, ("sertraline", "25 MG"))
    files.branded(11, "sertraline 25 MG Oral Tablet", drug, "Zoloft")
    found = find(files, tmp_path)
    expected = Product(SSRI, "oral", "sertraline 25 mg oral tablet")
    assert {10: expected, 11: expected}.items() <= found.products.items()
    assert 1 not in found.products


def test_a_salt_leads_to_its_ingredient_and_the_more_precise_one_wins(tmp_path: Path) -> None:
    own = {
        "gabapentin": Ingredient("gabapentin", ("RLS_A2D",), ("25480",), ()),
        "gabapentin enacarbil": Ingredient("gabapentin enacarbil", ("PRODRUG",), ("1101333",), ()),
    }
    files = ReleaseFiles()
    base = files.concept(25480, "IN", "gabapentin")
    precise = files.concept(1101333, "PIN", "gabapentin enacarbil")
    drug = files.clinical(
        10, "gabapentin enacarbil 600 MG Oral Tablet", [("gabapentin", "600 MG")], TABLET, "oral"
    )
    files.relate(precise, "form_of", base)
    files.relate(files.named("SCDC", "gabapentin 600 MG"), "has_precise_ingredient", precise)
    found = find_drugs(read_release(files.write(tmp_path)), own, RULES)
    assert found.products[drug].ingredients == (("gabapentin enacarbil", ("PRODRUG",)),)


def test_routes_come_from_the_groups_of_the_dose_form(tmp_path: Path) -> None:
    files = release()
    tablet(files, 10, ("iron sucrose", "20 MG/ML"), form="Injection", route="injection")
    tablet(files, 11, ("naloxone", "0.5 MG"), form="Sublingual Tablet", route="oromucosal")
    tablet(files, 12, ("doxepin", "50 MG/ML"), form="Topical Cream", route="topical")
    tablet(files, 13, ("sertraline", "25 MG"), form="Drug Implant", route="other")
    found = find(files, tmp_path).products
    assert [found[code].route for code in (10, 11, 12, 13)] == ["injection", "oromucosal", "topical", "other"]


def test_a_dose_form_that_no_rule_knows_is_named_and_its_route_is_unknown(tmp_path: Path) -> None:
    files = release()
    drug = files.concept(10, "SCD", "sertraline 25 MG Novel Form")
    component = files.named("SCDC", "sertraline 25 MG")
    files.relate(component, "has_ingredient", 36437)
    files.relate(drug, "consists_of", component)
    files.relate(drug, "has_dose_form", files.named("DF", "Novel Form"))
    found = find(files, tmp_path)
    assert found.products[10].route == "unknown"
    assert found.forms_without_route == ("Novel Form",)


def test_every_ingredient_of_a_combination_is_named(tmp_path: Path) -> None:
    files = release()
    tablet(files, 10, ("carbidopa", "25 MG"), ("levodopa", "100 MG"))
    product = find(files, tmp_path).products[10]
    assert groups(product) == {"carbidopa": ("RLS_LEVODOPA",), "levodopa": ("RLS_LEVODOPA",)}
    assert product.name == "carbidopa 25 mg / levodopa 100 mg oral tablet"


def test_iron_with_two_others_is_therapy_and_with_three_a_vitamin_product(tmp_path: Path) -> None:
    files = release()
    iron, others = ("ferrous fumarate", "200 MG"), [("folic acid", "1 MG"), ("vitamin B12", "0.01 MG")]
    tablet(files, 10, iron, *others)
    tablet(files, 11, iron, *others, ("ascorbic acid", "250 MG"))
    found = find(files, tmp_path).products
    assert groups(found[10]) == {"ferrous fumarate": ("ORAL_IRON",)}
    assert groups(found[11]) == {"ferrous fumarate": ("IRON_IN_MULTIVITAMIN",)}


def test_a_pack_holds_what_its_drugs_hold_and_a_contraceptive_is_told_by_its_hormones(tmp_path: Path) -> None:
    files = release()
    hormones = [("ethinyl estradiol", "0.02 MG"), ("norethindrone acetate", "1 MG")]
    active = tablet(files, 10, *hormones)
    placebo = tablet(files, 11, ("ferrous fumarate", "75 MG"))
    inside = (
        "21 (ethinyl estradiol 0.02 MG / norethindrone acetate 1 MG Oral Tablet) / 7 (ferrous fumarate 75 MG"
    )
    files.pack(12, f"{{{inside} Oral Tablet) }} Pack", [active, placebo])
    starter = [
        tablet(files, 20 + n, ("sertraline", strength)) for n, strength in enumerate(("25 MG", "50 MG"))
    ]
    branded = files.branded(23, "sertraline 50 MG Oral Tablet", starter[1], "Zoloft")
    files.pack(
        24, "{7 (sertraline 25 MG Oral Tablet) / 21 (...) } Pack [Zoloft]", [starter[0], branded], "BPCK"
    )
    found = find(files, tmp_path).products
    assert found[12] == Product(
        (("ferrous fumarate", ("IRON_IN_CONTRACEPTIVE_PACK",)),), "oral", "ferrous fumarate pack"
    )
    assert groups(found[11]) == {"ferrous fumarate": ("ORAL_IRON",)}
    assert found[24] == Product(SSRI, "oral", "sertraline pack")
    assert 10 not in found


def test_doxepin_of_3_and_6_mg_is_an_antihistamine(tmp_path: Path) -> None:
    files = release()
    for code, strength in ((10, "3 MG"), (11, "6 MG"), (12, "10 MG"), (13, "3 MG/ML")):
        tablet(files, code, ("doxepin", strength))
    found = find(files, tmp_path).products
    assert [groups(found[c])["doxepin"] for c in (10, 11, 12, 13)] == [
        ("ANTIHIST_SEDATING",),
        ("ANTIHIST_SEDATING",),
        ("TCA",),
        ("TCA",),
    ]


def test_naloxone_beside_pentazocine_is_no_treatment(tmp_path: Path) -> None:
    files = release()
    tablet(files, 10, ("naloxone", "0.5 MG"), ("pentazocine", "50 MG"))
    tablet(files, 11, ("naloxone", "0.4 MG"))
    found = find(files, tmp_path).products
    assert groups(found[10]) == {"naloxone": ("OPIOID_OTHER",)}
    assert groups(found[11]) == {"naloxone": ("OPIOID_ANTAGONIST_ONLY",)}


def test_vitamin_c_is_known_by_its_own_code_only(tmp_path: Path) -> None:
    files = release()
    tablet(files, 10, ("ascorbic acid", "500 MG"))
    tablet(files, 11, ("ascorbic acid", "60 MG"), ("ferrous fumarate", "200 MG"))
    found = find(files, tmp_path).products
    assert 10 not in found
    assert groups(found[11]) == {"ferrous fumarate": ("ORAL_IRON",)}


def test_a_form_a_brand_and_a_combination_mean_what_all_their_drugs_hold(tmp_path: Path) -> None:
    files = release()
    drug = tablet(files, 10, ("sertraline", "25 MG"))
    files.branded(11, "sertraline 25 MG Oral Tablet", drug, "Zoloft")
    files.relate(drug, "isa", files.concept(12, "SCDF", "sertraline Oral Tablet"))
    files.relate(11, "isa", files.concept(13, "SBDF", "sertraline Oral Tablet [Zoloft]"))
    both = tablet(files, 20, ("carbidopa", "25 MG"), ("levodopa", "100 MG"))
    files.relate(both, "has_ingredients", files.concept(21, "MIN", "carbidopa / levodopa"))
    found = find(files, tmp_path)
    brand = files.named("BN", "Zoloft")
    assert found.products[12] == found.products[13] == Product(SSRI, "oral", "sertraline, oral")
    assert found.products[brand] == Product(SSRI, "oral", "sertraline")
    combination = found.products[21]
    # Which substances says nothing of the form, though all drugs of today are tablets.
    assert (combination.route, combination.name) == ("unknown", "carbidopa / levodopa")


def test_a_brand_by_several_routes_has_none_and_one_of_several_contents_is_left_out(tmp_path: Path) -> None:
    files = release()
    injection = tablet(files, 10, ("naloxone", "0.4 MG/ML"), form="Injection", route="injection")
    spray = tablet(files, 11, ("naloxone", "4 MG"), form="Nasal Spray", route="nasal_inhaled")
    files.branded(12, "naloxone 0.4 MG/ML Injection", injection, "Narcan")
    files.branded(13, "naloxone 4 MG Nasal Spray", spray, "Narcan")
    low, high = (tablet(files, code, ("doxepin", s)) for code, s in ((20, "3 MG"), (21, "10 MG")))
    files.branded(22, "doxepin 3 MG Oral Tablet", low, "Mixed")
    files.branded(23, "doxepin 10 MG Oral Tablet", high, "Mixed")
    found = find(files, tmp_path)
    assert found.products[files.named("BN", "Narcan")].route == "unknown"
    assert found.ambiguous == (files.named("BN", "Mixed"),)
    assert found.names[found.ambiguous[0]] == "Mixed"


def test_retired_and_suppressed_drugs_are_not_taken_and_unquantified_ones_are(tmp_path: Path) -> None:
    files = release()
    for code, suppress in ((10, "O"), (11, "Y"), (12, "E")):
        tablet(files, code, ("sertraline", f"{code} MG"))
        files.conso = [
            conso(code, "SCD", "sertraline", suppress=suppress) if row.startswith(f"{code}|") else row
            for row in files.conso
        ]
    assert find(files, tmp_path).products.keys() == {12}


def test_a_brand_of_animal_drugs_only_means_nothing(tmp_path: Path) -> None:
    files = release()
    drug = tablet(files, 10, ("sertraline", "25 MG"))
    files.branded(11, "sertraline 25 MG Oral Tablet", drug, "For Dogs")
    files.sat += [sat(10, "RXN_VET_DRUG", "US"), sat(11, "RXN_VET_DRUG", "US")]
    found = find(files, tmp_path)
    assert found.products == {}
    assert found.ambiguous == ()


def test_a_drug_for_animals_only_is_left_out(tmp_path: Path) -> None:
    files = release()
    tablet(files, 10, ("sertraline", "25 MG"))
    tablet(files, 11, ("sertraline", "50 MG"))
    files.sat += [
        sat(10, "RXN_VET_DRUG", "US"),
        sat(11, "RXN_VET_DRUG", "US"),
        sat(11, "RXN_HUMAN_DRUG", "US"),
    ]
    found = find(files, tmp_path)
    assert found.veterinary == {10}
    assert found.products.keys() == {11}
