"""Brands, spellings and ATC groups beyond the generated list, and what must stay unknown beside them."""

from collections import Counter

import pytest

from cds_service.clinical.facts import Route
from cds_service.knowledge import load
from cds_service.knowledge.drugs import words_of
from tests.unit.test_knowledge_terminology import TERMS
from tests.unit.test_knowledge_terminology_drugs import groups, names


def is_flagged(text: str) -> bool:
    return any(load().ingredients[name].is_flagged for name in names(TERMS.drug_by_text(text)))


# ------------------------------------------------------------------------------------------------- brands
@pytest.mark.parametrize(
    ("brand", "ingredient"),
    [
        ("Exjade", "deferasirox"),
        ("Jadenu", "deferasirox"),
        ("Asunra 400 mg", "deferasirox"),
        ("Ferriprox", "deferiprone"),
        ("Desferal", "deferoxamine"),
    ],
)
def test_chelators(brand: str, ingredient: str) -> None:
    assert groups(TERMS.drug_by_text(brand)) == {ingredient: {"CHELATOR"}}


@pytest.mark.parametrize(
    ("brand", "ingredients"),
    [
        ("Maltofer", ["ferric polymaltose"]),
        ("Tardyferon 80 mg", ["ferrous sulfate"]),
        ("Ferro sanol duodenal", ["ferrous glycine sulfate"]),
        ("ferro-sanol", ["ferrous glycine sulfate"]),
        ("Ferrosanol", ["ferrous glycine sulfate"]),
        ("Feraccru", ["ferric maltol"]),
        ("Accrufer", ["ferric maltol"]),
        ("Niferex", ["iron"]),
        ("Niferex-150", ["iron"]),
        ("FeraMAX 150", ["iron polysaccharide"]),
        ("NovaFerrum 50", ["iron polysaccharide"]),
        ("Integra", ["ferrous fumarate", "iron polysaccharide"]),
        ("Ferralet", ["carbonyl iron"]),
        ("Ferralet 90", ["carbonyl iron"]),
        ("Galfer", ["ferrous fumarate"]),
        ("Slow Fe", ["ferrous sulfate"]),
        ("Feosol", ["ferrous sulfate"]),
        ("Fer-In-Sol", ["ferrous sulfate"]),
        ("Ferrograd C", ["ferrous sulfate"]),
    ],
)
def test_oral_iron(brand: str, ingredients: list[str]) -> None:
    product = TERMS.drug_by_text(brand)
    assert product is not None
    assert groups(product) == {name: {"ORAL_IRON"} for name in ingredients}
    assert product.route == "oral"


@pytest.mark.parametrize(
    ("brand", "ingredient"),
    [
        ("Rienso", "ferumoxytol"),
        ("Monofer", "ferric derisomaltose"),
        ("CosmoFer", "iron dextran"),
        ("Ferinject 500 mg", "ferric carboxymaltose"),
        ("Fermed", "iron sucrose"),
        ("iron(III)-hydroxide sucrose complex", "iron sucrose"),
        ("iron(III)-hydroxide dextran complex", "iron dextran"),
    ],
)
def test_iron_by_vein(brand: str, ingredient: str) -> None:
    assert groups(TERMS.drug_by_text(brand)) == {ingredient: {"IV_IRON"}}


@pytest.mark.parametrize(
    ("text", "group", "route"),
    [
        ("ferric polymaltose", "IRON_ANY", "unknown"),
        ("iron polymaltose 100 mg tablet", "IRON_ANY", "oral"),
        ("iron (III) hydroxide polymaltose", "IRON_ANY", "unknown"),
        ("Iron(III)-hydroxide polymaltose complex oral drops", "IRON_ANY", "oral"),
        ("ferric oxide polymaltose complexes", "IRON_ANY", "unknown"),
        ("iron polymaltose 100 mg/2 mL injection", "IV_IRON", "injection"),
        ("iron polymaltose IV", "IV_IRON", "injection"),
        ("Maltofer ampoules", "IV_IRON", "injection"),
        ("multivitamin, iron polymaltose", "IRON_IN_MULTIVITAMIN", "unknown"),
    ],
)
def test_polymaltose_by_its_route(text: str, group: str, route: str) -> None:
    product = TERMS.drug_by_text(text)
    assert product is not None
    assert groups(product) == {"ferric polymaltose": {group}}
    assert product.route == route


@pytest.mark.parametrize("text", ["iron", "iron supplement", "Gentle Iron", "Gentle Iron 28 mg capsule"])
def test_iron_without_a_salt_stays_open(text: str) -> None:
    assert groups(TERMS.drug_by_text(text)) == {"iron": {"IRON_ANY"}}


@pytest.mark.parametrize("text", ["Integra F", "Integra Plus capsule"])
def test_vitamins_with_iron_of_the_same_brand(text: str) -> None:
    assert groups(TERMS.drug_by_text(text)) == {"iron polysaccharide": {"IRON_IN_MULTIVITAMIN"}}


@pytest.mark.parametrize(
    ("brand", "ingredients", "route"),
    [
        ("Madopar LT", ["levodopa"], "oral"),
        ("Restex", ["levodopa"], "oral"),
        ("co-beneldopa", ["levodopa"], "oral"),
        ("Sinemet", ["carbidopa", "levodopa"], "oral"),
        ("Stalevo", ["carbidopa", "levodopa"], "oral"),
        ("Nacom", ["carbidopa", "levodopa"], "oral"),
        ("co-careldopa", ["carbidopa", "levodopa"], "oral"),
        ("Sifrol", ["pramipexole"], "oral"),
        ("Mirapexin", ["pramipexole"], "oral"),
        ("Requip", ["ropinirole"], "oral"),
        ("Neupro", ["rotigotine"], "transdermal"),
        ("Leganto", ["rotigotine"], "transdermal"),
    ],
)
def test_dopaminergics(brand: str, ingredients: list[str], route: str) -> None:
    product = TERMS.drug_by_text(brand)
    assert product is not None
    assert names(product) == ingredients
    assert product.route == route


FLAGGED = {
    "amisulpride": ["Solian"],
    "amitriptyline": ["Saroten", "Saroten retard"],
    "chlorpromazine": ["Thorazine", "Largactil"],
    "citalopram": ["Cipramil"],
    "clemastine": ["Tavegil"],
    "clozapine": ["Leponex", "Clozaril"],
    "cyproheptadine": ["Periactin"],
    "diphenhydramine": ["Advil PM", "Tylenol PM", "ZzzQuil", "Benadryl"],
    "doxepin": ["Sinequan"],
    "doxylamine": ["NyQuil", "Vicks NyQuil Cold & Flu", "Unisom"],
    "escitalopram": ["Cipralex"],
    "fluoxetine": ["Sarafem"],
    "flupentixol": ["Fluanxol"],
    "fluvoxamine": ["Luvox"],
    "hydroxyzine": ["Atarax", "Vistaril"],
    "imipramine": ["Tofranil"],
    "lithium": ["Priadel", "Quilonum", "Camcolit"],
    "metoclopramide": [
        *("Reglan", "Maxolon", "Primperan", "Paspertin", "MCP-ratiopharm 10 mg", "MCP AL 10"),
        *("MCP Tropfen", "MCP 10 mg Tabletten"),
    ],
    "mirtazapine": ["Zispin", "Remergil"],
    "olanzapine": ["Zyprexa"],
    "paroxetine": ["Seroxat", "Deroxat"],
    "pimozide": ["Orap"],
    "prochlorperazine": ["Compazine", "Stemetil"],
    "promethazine": ["Phenergan"],
    "quetiapine": ["Seroquel"],
    "risperidone": ["Risperdal"],
    "sertraline": ["Zoloft", "Gladem"],
    "sulpiride": ["Dogmatil"],
    "trimethobenzamide": ["Tigan"],
    "trimipramine": ["Surmontil"],
    "venlafaxine": ["Trevilor", "Efexor"],
    "zuclopenthixol": ["Clopixol"],
}


@pytest.mark.parametrize(
    ("brand", "ingredient"), [(b, i) for i, brands in FLAGGED.items() for b in brands], ids=str
)
def test_flagged_brands(brand: str, ingredient: str) -> None:
    assert names(TERMS.drug_by_text(brand)) == [ingredient]
    assert is_flagged(brand)


def test_a_gel_of_a_brand_stays_local() -> None:
    product = TERMS.drug_by_text("Tavegil Gel")
    assert product is not None
    assert product.route == Route.TOPICAL.value


# ---------------------------------------------------------------------------------------------- spellings
@pytest.mark.parametrize(
    ("text", "ingredient"),
    [
        ("Sertralin 50 mg", "sertraline"),
        ("Mirtazapin", "mirtazapine"),
        ("quetiapin", "quetiapine"),
        ("promethazin", "promethazine"),
        ("Citalopram", "citalopram"),
        ("amitriptylin", "amitriptyline"),
        ("clomipramin", "clomipramine"),
        ("olanzapin", "olanzapine"),
        ("haloperidol", "haloperidol"),
        ("metoclopramid", "metoclopramide"),
        ("diphenhydramin", "diphenhydramine"),
        ("doxylamin", "doxylamine"),
        ("hydroxyzin", "hydroxyzine"),
        ("fluoxetin", "fluoxetine"),
        ("paroxetin", "paroxetine"),
        ("duloxetin", "duloxetine"),
        ("venlafaxin", "venlafaxine"),
        ("desvenlafaxin", "desvenlafaxine"),
        ("risperidon", "risperidone"),
        ("sertralina", "sertraline"),
        ("metoclopramida", "metoclopramide"),
        ("pramipexol", "pramipexole"),
        ("ropinirol", "ropinirole"),
        ("chlorphenamin", "chlorpheniramine"),
        ("Ferrosulfat", "ferrous sulfate"),
        ("Eisen(II)-sulfat", "ferrous sulfate"),
        ("Ferrofumarat", "ferrous fumarate"),
        ("Eisen(II)-glycin-sulfat-Komplex", "ferrous glycine sulfate"),
    ],
)
def test_spellings_of_other_languages(text: str, ingredient: str) -> None:
    assert names(TERMS.drug_by_text(text)) == [ingredient]


def own_spellings() -> dict[tuple[str, ...], set[str]]:
    """Return the ingredients of every way to write a name, brands left out."""
    found: dict[tuple[str, ...], set[str]] = {}
    for name in (n for group in TERMS.drugs.names.values() for n in group):
        if len(name.ingredients) == 1:
            found.setdefault(name.words, set()).add(name.ingredients[0].name)
    return found


def test_no_spelling_stands_for_two_ingredients_unless_a_brand_was_set_right() -> None:
    double = {words for words, ingredients in own_spellings().items() if len(ingredients) > 1}
    # Both brands are iron polysaccharide in the generated list and several salts by country in ours.
    assert double == {("niferex",), ("niferex", "150")}


ORDINARY_WORDS = """
    ketamin retin vitamin vitamins protein albumin insulin heparin aspirin melatonin elastin resin carbon
    methanol cortisol propanol pyridin thiamin biotin niacin lecithin saxon salon hydron
"""


def test_a_varied_ending_is_no_word_and_no_other_name() -> None:
    known = {tuple(words_of(name)) for name in TERMS.ingredients}
    varied = {
        f"{name[:-1]}{ending}"
        for name in TERMS.ingredients
        if name.isalpha() and len(name) >= 7 and name.endswith("e")
        for ending in ("", "a")
    }
    assert len(varied) > 150
    assert not varied & {words[0] for words in known}
    assert varied.isdisjoint(words_of(ORDINARY_WORDS))
    # What was generated is long, and one substance each.
    count = Counter(n.words for group in TERMS.drugs.names.values() for n in group if n.words[0] in varied)
    assert count
    assert set(count.values()) == {1}
    assert all(len(word) >= 6 for word in varied)


@pytest.mark.parametrize("text", ["caffein free", "doxepi", "lithiu", "codein", "morphin", "ketamin"])
def test_short_or_foreign_names_are_not_varied(text: str) -> None:
    assert not is_flagged(text)


# ---------------------------------------------------------------------------------------------- negatives
@pytest.mark.parametrize(
    "text",
    [
        *("bupropion", "trazodone", "Trazodon", "loratadine", "Loratadin", "fexofenadine", "cetirizine"),
        *("Cetirizin", "ondansetron", "domperidone", "Domperidon", "gabapentin", "pregabalin", "omeprazole"),
        *("Omeprazol", "desloratadine", "levocetirizine", "bilastine", "agomelatine", "reboxetine"),
        *("Benadryl One a Day", "Benadryl Allergy One A Day", "granisetron", "acetaminophen", "metformin"),
    ],
)
def test_neutral_medicines_stay_unflagged(text: str) -> None:
    assert not is_flagged(text)


@pytest.mark.parametrize(
    "text",
    [
        *("MCP", "MCP joint injection", "right MCP arthritis", "oraplex", "Orapred", "Tylenol", "Advil"),
        *(
            "DayQuil",
            "Integra dermal regeneration template",
            "Integra bilayer matrix",
            "integrative medicine",
        ),
        *("unintegra", "reintegrate", "Zantac", "Solianum", "Exjaded", "nacomed", "ferrograder", "restexa"),
        *("Prialt", "Sarafen", "Sifrolan", "malt extract", "slow release", "aluminium hydroxide"),
        *("tiapride", "pipamperone", "melperone", "chlorprothixene", "alizapride", "opipramol"),
        *("dimetindene", "cinnarizine"),
    ],
)
def test_names_inside_other_words_are_nothing(text: str) -> None:
    assert TERMS.drug_by_text(text) is None


# -------------------------------------------------------------------------------------------------- ATC
@pytest.mark.parametrize(
    ("code", "ingredient", "group", "route", "usual_route"),
    [
        ("B03AA", "iron", "ORAL_IRON", "oral", "unknown"),
        ("b03aa99", "iron", "ORAL_IRON", "oral", "unknown"),
        ("B03AA01", "ferrous glycine sulfate", "ORAL_IRON", "unknown", "unknown"),
        ("B03AA07", "ferrous sulfate", "ORAL_IRON", "unknown", "unknown"),
        ("B03AB", "iron", "IRON_ANY", "unknown", "oral"),
        ("B03AB02", "iron", "IRON_ANY", "unknown", "oral"),
        ("B03AB05", "ferric polymaltose", "IRON_ANY", "unknown", "oral"),
        ("B03AB10", "ferric maltol", "ORAL_IRON", "unknown", "unknown"),
        ("B03AC", "iron", "IV_IRON", "injection", "unknown"),
        ("B03AD", "iron", "ORAL_IRON", "oral", "unknown"),
        ("B03AD01", "iron", "ORAL_IRON", "oral", "unknown"),
        ("B03AD02", "ferrous fumarate", "ORAL_IRON", "unknown", "unknown"),
        ("B03AD03", "ferrous sulfate", "ORAL_IRON", "unknown", "unknown"),
        ("B03AD05", "ferrous gluconate", "ORAL_IRON", "unknown", "unknown"),
        ("B03AE01", "iron", "ORAL_IRON", "oral", "unknown"),
        ("B03AE02", "iron", "IRON_IN_MULTIVITAMIN", "oral", "unknown"),
        ("B03AE03", "iron", "IRON_IN_MULTIVITAMIN", "oral", "unknown"),
        ("B03AE04", "iron", "IRON_IN_MULTIVITAMIN", "oral", "unknown"),
    ],
)
def test_iron_by_atc(code: str, ingredient: str, group: str, route: str, usual_route: str) -> None:
    product = TERMS.drug_by_atc(code)
    assert product is not None
    assert groups(product) == {ingredient: {group}}
    assert (product.route, product.usual_route) == (route, usual_route)


@pytest.mark.parametrize(
    ("code", "ingredient"),
    [
        ("C02LA01", "reserpine"),
        ("C02LA51", "reserpine"),
        ("N04BA02", "levodopa"),
        ("N04BA03", "levodopa"),
        ("N05AH53", "olanzapine"),
        ("N05BB51", "hydroxyzine"),
        ("N06CA01", "amitriptyline"),
        ("N06CA03", "fluoxetine"),
        ("N07BC51", "buprenorphine"),
        ("R06AA52", "diphenhydramine"),
        ("R06AA54", "clemastine"),
        ("R06AA59", "doxylamine"),
        ("R06AA61", "dimenhydrinate"),
        ("R06AB51", "brompheniramine"),
        ("R06AB52", "dexchlorpheniramine"),
        ("R06AB54", "chlorpheniramine"),
        ("R06AB56", "dexbrompheniramine"),
        ("R06AD52", "promethazine"),
        ("R06AE53", "cyclizine"),
        ("R06AE55", "meclizine"),
    ],
)
def test_combinations_by_atc(code: str, ingredient: str) -> None:
    product = TERMS.drug_by_atc(code)
    assert product is not None
    assert groups(product) == {ingredient: set(TERMS.ingredients[ingredient])}
    assert product.route == "unknown"


@pytest.mark.parametrize("code", ["B03A", "B03AE", "B03AE10", "B03B", "N04BA", "N06CA02", "R06AA56", "N06CA"])
def test_what_an_atc_code_leaves_open_is_nothing(code: str) -> None:
    assert TERMS.drug_by_atc(code) is None


# ------------------------------------------------------------------------------------------- conditions
@pytest.mark.parametrize(
    "text", ["ESRF", "End stage renal failure", "end-stage kidney failure", "ESKF", "ESRD"]
)
def test_end_stage_kidney_failure_in_words(text: str) -> None:
    assert TERMS.condition_groups_by_text(text) == {"esrd"}


@pytest.mark.parametrize("text", ["no ESRF", "ESRF: no", "ESRFX beamline"])
def test_end_stage_kidney_failure_denied(text: str) -> None:
    assert TERMS.condition_groups_by_text(text) == frozenset()


# ----------------------------------------------------------------------------------------------- answers
def test_a_coded_answer_is_read_beside_conditions() -> None:
    assert TERMS.coded_value_groups("http://loinc.org", "LA15173-0") == {"pregnancy"}
    assert TERMS.coded_value_groups("http://snomed.info/sct", "130989002") == TERMS.condition_groups(
        "http://snomed.info/sct", "130989002"
    )
