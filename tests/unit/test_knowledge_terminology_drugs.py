"""Medicines: every road leads to one ingredient, its class and its route."""

import json

import pytest

from cds_service.clinical.facts import Route
from cds_service.knowledge.drugs import DrugProduct
from tests.unit.test_knowledge_terminology import TERMS, read

SEDATING = frozenset({"ANTIHIST_SEDATING"})


def names(product: DrugProduct | None) -> list[str]:
    return [i.name for i in product.ingredients] if product else []


def groups(product: DrugProduct | None) -> dict[str, set[str]]:
    return {i.name: set(i.groups) for i in product.ingredients} if product else {}


# ------------------------------------------------------------------------------------------------- codes
def test_an_ingredient_by_each_code() -> None:
    for product in (TERMS.drug_by_rxnorm("36437"), TERMS.drug_by_atc("n06ab06")):
        assert product is not None
        assert groups(product) == {"sertraline": {"SSRI"}}
        assert (product.route, product.name, product.is_by_text) == ("unknown", "sertraline", False)


@pytest.mark.parametrize(
    ("code", "found", "route", "name"),
    [
        ("1049630", {"diphenhydramine": {"ANTIHIST_SEDATING"}}, "oral", "diphenhydramine 25 mg oral tablet"),
        ("966787", {"doxepin": {"ANTIHIST_SEDATING"}}, "oral", "doxepin 3 mg oral tablet"),
        ("966795", {"doxepin": {"ANTIHIST_SEDATING"}}, "oral", "doxepin 6 mg oral tablet"),
        ("1369831", {"clozapine": {"ANTIPSYCH_ATYPICAL"}}, "oral", "clozapine 50 mg/mL oral suspension"),
        ("1087459", {"chlorpheniramine": {"ANTIHIST_SEDATING"}, "hydrocodone": {"RLS_OPIOID"}}, "oral", None),
        ("809403", {"carbonyl iron": {"ORAL_IRON"}}, "oral", "carbonyl iron 45 mg oral tablet"),
        ("242761", {"sodium ferric gluconate complex": {"IV_IRON"}}, "injection", None),
        ("836270", {"carbonyl iron": {"IRON_IN_MULTIVITAMIN"}}, "oral", "carbonyl iron oral tablet"),
        ("312289", {"naloxone": {"OPIOID_OTHER"}}, "oral", None),
        ("1102207", {"ferrous bisglycinate": {"IRON_IN_MULTIVITAMIN"}}, "oral", "ferrous bisglycinate pack"),
        ("42351", {"lithium": {"LITHIUM"}}, "unknown", "lithium"),
    ],
)
def test_clinical_drugs(code: str, found: dict[str, set[str]], route: str, name: str | None) -> None:
    product = TERMS.drug_by_rxnorm(code)
    assert product is not None
    assert groups(product) == found
    assert product.route == route
    assert name in {None, product.name}


def test_a_combination_gives_each_ingredient_its_own_group() -> None:
    both = {"olanzapine": {"ANTIPSYCH_ATYPICAL"}, "fluoxetine": {"SSRI"}}
    products = [p for p in TERMS.drugs.by_rxnorm.values() if set(names(p)) == set(both)]
    assert products
    assert all(groups(p) == both for p in products)
    assert groups(TERMS.drug_by_text("Symbyax 6-25 capsule")) == both


@pytest.mark.parametrize("code", ["B03AC", "B03AC02", "b03ac"])
def test_parenteral_iron_is_iron_by_vein_at_any_level(code: str) -> None:
    product = TERMS.drug_by_atc(code)
    assert product is not None
    assert groups(product) == {"iron": {"IV_IRON"}}
    assert product.route == "injection"


@pytest.mark.parametrize("code", ["B03A", "N06A", "", "X99XX99"])
def test_classes_are_no_ingredients(code: str) -> None:
    assert TERMS.drug_by_atc(code) is None
    assert TERMS.drug_by_rxnorm(code) is None


def test_an_unverified_ingredient_code_is_reached_by_other_roads() -> None:
    assert json.loads(read("drugs.json"))["ingredients"]["cariprazine"]["rxnorm"] == []
    assert names(TERMS.drug_by_atc("N05AX15")) == ["cariprazine"]
    assert names(TERMS.drug_by_text("Vraylar")) == ["cariprazine"]
    assert "cariprazine" in {n for p in TERMS.drugs.by_rxnorm.values() for n in names(p)}


def test_every_product_has_a_known_ingredient_route_and_short_name() -> None:
    for product in TERMS.drugs.by_rxnorm.values():
        assert Route(product.route)
        assert product.name
        assert "[" not in product.name
        assert set(names(product)) <= TERMS.ingredients.keys()


# ------------------------------------------------------------------------------------------------- texts
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("escitalopram", ["escitalopram"]),
        ("desvenlafaxine ER", ["desvenlafaxine"]),
        ("levocetirizine", ["levocetirizine"]),
        ("gabapentin enacarbil 600 mg", ["gabapentin enacarbil"]),
        ("dexchlorpheniramine", ["dexchlorpheniramine"]),
        ("chlorpheniramine-phenylephrine", ["chlorpheniramine"]),
        ("hydrOXYzine HCl 25 mg", ["hydroxyzine"]),
        ("diphenhydrAMINE(Benadryl)25mg", ["diphenhydramine"]),
        ("carbidopa/levodopa 25/100", ["carbidopa", "levodopa"]),
        ("perphenazine-amitriptyline", ["perphenazine", "amitriptyline"]),
        ("St John\u2019s wort", ["st. john's wort"]),
        ("Saint Johns Wort extract", ["st. john's wort"]),
        ("divalproex sodium", ["valproate"]),
        ("Lithium carbonate 300 mg", ["lithium"]),
        ("chlorphenamine", ["chlorpheniramine"]),
        ("Tylenol PM", ["diphenhydramine"]),
        ("Zoloft\u00ae", ["sertraline"]),
        ("citalo", []),
        ("acetaminophen", []),
        ("tandem bicycle", []),
        ("Fe", []),
        ("", []),
    ],
)
def test_names_in_texts(text: str, found: list[str]) -> None:
    assert names(TERMS.drug_by_text(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ferrous sulfate 325 mg (65 mg iron) tablet", {"ferrous sulfate": {"ORAL_IRON"}}),
        ("iron (ferrous sulphate) 325 mg", {"ferrous sulfate": {"ORAL_IRON"}}),
        ("Iron", {"iron": {"IRON_ANY"}}),
        ("iron supplement", {"iron": {"IRON_ANY"}}),
        ("Multivitamin with iron", {"iron": {"IRON_IN_MULTIVITAMIN"}}),
        ("vitamin D and iron", {"iron": {"IRON_IN_MULTIVITAMIN"}}),
        ("Prenatal tablet, ferrous fumarate 27 mg", {"ferrous fumarate": {"IRON_IN_MULTIVITAMIN"}}),
        ("Multivitamin without iron", {}),
        ("ferrous fumarate with folic acid", {"ferrous fumarate": {"ORAL_IRON"}}),
        # Of a brand that is not in the lists, "Fe" beside the words of a contraceptive is enough.
        ("Unlisted Fe 1/20", {"ferrous fumarate": {"IRON_IN_CONTRACEPTIVE_PACK"}}),
        ("levonorgestrel with Fe", {"ferrous fumarate": {"IRON_IN_CONTRACEPTIVE_PACK"}}),
        ("Unlisted 1/20", {}),
        ("Junel Fe 1/20", {"ferrous fumarate": {"IRON_IN_CONTRACEPTIVE_PACK"}}),
        (
            "Norethindrone-Eth Estradiol-Fe",
            {"ferrous fumarate": {"IRON_IN_CONTRACEPTIVE_PACK"}, "estradiol": {"ESTROGEN"}},
        ),
        (
            "norethindrone-ethinyl estradiol-iron",
            {"iron": {"IRON_IN_CONTRACEPTIVE_PACK"}, "ethinyl estradiol": {"ESTROGEN"}},
        ),
        ("norethindrone 0.35 mg", {}),
        ("iron sucrose 200 mg IV", {"iron sucrose": {"IV_IRON"}}),
        ("iron-dextran", {"iron dextran": {"IV_IRON"}}),
        ("INFeD", {"iron dextran": {"IV_IRON"}}),
        ("Injectafer", {"ferric carboxymaltose": {"IV_IRON"}}),
        ("Venofer", {"iron sucrose": {"IV_IRON"}}),
        ("Monoferric", {"ferric derisomaltose": {"IV_IRON"}}),
        ("Feraheme", {"ferumoxytol": {"IV_IRON"}}),
        ("Ferrlecit", {"sodium ferric gluconate complex": {"IV_IRON"}}),
        ("IV iron", {"iron": {"IV_IRON"}}),
        ("ferric pyrophosphate citrate", {"ferric pyrophosphate citrate": {"IV_IRON_DIALYSATE"}}),
        ("Poly-Vi-Sol with Iron ferrous sulfate", {"ferrous sulfate": {"IRON_IN_MULTIVITAMIN"}}),
        ("ferrous sulfate; Poly-Vi-Sol with Iron", {"ferrous sulfate": {"IRON_IN_MULTIVITAMIN"}}),
    ],
)
def test_iron_in_texts(text: str, found: dict[str, set[str]]) -> None:
    assert groups(TERMS.drug_by_text(text)) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("doxepin 3 mg", SEDATING),
        ("doxepin HCl 6 MG Oral Tablet", SEDATING),
        ("Silenor", SEDATING),
        ("doxepin 25 mg", {"TCA"}),
        ("doxepin 10 mg/mL", {"TCA"}),
        ("doxepin", {"TCA"}),
    ],
)
def test_low_dose_doxepin(text: str, expected: set[str]) -> None:
    assert groups(TERMS.drug_by_text(text)) == {"doxepin": set(expected)}


@pytest.mark.parametrize(
    ("text", "route", "name"),
    [
        ("doxepin 5 % cream", Route.TOPICAL, "doxepin 5 % cream"),
        ("ketotifen 0.025 % drops", Route.OPHTHALMIC, "ketotifen 0.025 % drops"),
        ("Zaditor", Route.OPHTHALMIC, "ketotifen"),
        ("azelastine nasal spray", Route.NASAL_INHALED, "azelastine spray"),
        ("rotigotine 2 mg/24 h patch", Route.TRANSDERMAL, "rotigotine 2 mg patch"),
        ("promethazine 25 mg suppository", Route.RECTAL, "promethazine 25 mg suppository"),
        ("buprenorphine 8 mg SL film", Route.OROMUCOSAL, "buprenorphine 8 mg film"),
        ("haloperidol decanoate injection", Route.INJECTION, "haloperidol injection"),
        ("buprenorphine implant", Route.OTHER, "buprenorphine"),
        ("IBUPROFEN-DIPHENHYDRAMINE 200-38 MG PO TABS", Route.ORAL, "diphenhydramine 38 mg"),
        ("quetiapine 25 mg tablets", Route.ORAL, "quetiapine 25 mg tablet"),
        ("metoclopramide 5 mg/mL solution", Route.UNKNOWN, "metoclopramide 5 mg/mL solution"),
        ("iron supp 65 mg", Route.UNKNOWN, "iron 65 mg"),
        ("olanzapine-fluoxetine", Route.UNKNOWN, "olanzapine / fluoxetine"),
    ],
)
def test_routes_and_names(text: str, route: Route, name: str) -> None:
    product = TERMS.drug_by_text(text)
    assert product is not None
    assert (product.route, product.name, product.is_by_text) == (route.value, name, True)
