"""Code systems, code groups and units: every spelling leads to one meaning, everything else to none."""

import json
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.clinical.facts import Analyte
from cds_service.knowledge.terminology import (
    ATC,
    ICD_10_CM,
    LOINC,
    OWN_CODES,
    RESULT_GROUPS,
    RXNORM,
    SNOMED_CT,
    Terminology,
    load_terminology,
)

DATA = files("cds_service.knowledge") / "data"
COLLECTIONS = ("conditions", "observations", "medicines")


def read(name: str) -> bytes:
    return DATA.joinpath(name).read_bytes()


TERMS: Terminology = load_terminology(read)


def value_sets(name: str) -> dict[str, Mapping[str, Any]]:
    entries = json.loads(read(f"valuesets/{name}.json"))["entry"]
    return {e["resource"]["identifier"][0]["value"]: e["resource"] for e in entries}


# ------------------------------------------------------------------------------------------ code systems
@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        (LOINC, LOINC),
        ("https://loinc.org/", LOINC),
        ("urn:oid:2.16.840.1.113883.6.1", LOINC),
        ("2.16.840.1.113883.6.1", LOINC),
        ("URN:OID:2.16.840.1.113883.6.90", ICD_10_CM),
        ("urn:oid:2.16.840.1.113883.6.96", SNOMED_CT),
        ("http://snomed.info/sct/731000124108/version/20260901", SNOMED_CT),
        ("urn:oid:2.16.840.1.113883.6.88", RXNORM),
        (" http://www.nlm.nih.gov/research/umls/rxnorm ", RXNORM),
        ("urn:oid:2.16.840.1.113883.6.73", ATC),
        ("http://whocc.no/atc", ATC),
        ("http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10"),
        ("http://loinc.org.example/", "http://loinc.org.example/"),
        ("http://snomed.info/sctx", "http://snomed.info/sctx"),
        ("", ""),
    ],
)
def test_a_code_system_has_one_url(uri: str, canonical: str) -> None:
    assert TERMS.normalise_system(uri) == canonical


# -------------------------------------------------------------------------------------------- conditions
@pytest.mark.parametrize(
    ("code", "groups"),
    [
        ("G25.81", {"rls"}),
        ("g2581", {"rls"}),
        ("G25.8", set()),
        ("E11.42", {"diabetes", "diabetic_polyneuropathy"}),
        ("E1142", {"diabetes", "diabetic_polyneuropathy"}),
        ("G20", {"parkinson"}),
        ("G20.A1", {"parkinson"}),
        ("G35", {"multiple_sclerosis"}),
        ("G35.B1", {"multiple_sclerosis"}),
        ("N18.31", {"ckd", "ckd_3"}),
        ("N18.6", {"ckd", "esrd"}),
        ("K50.90", {"iron_loss_or_malabsorption", "inflammatory_disease"}),
        ("M05.79", {"rheumatoid_arthritis", "inflammatory_disease"}),
        ("E83.110", {"iron_overload"}),
        ("E83.10", {"iron_disorder_unspecified"}),
        ("E22.1", {"hyperprolactinaemia"}),
        ("G43.909", {"migraine"}),
        ("O99.351", {"pregnancy_chapter", "rls_in_pregnancy_context"}),
        ("O09.511", {"pregnancy", "pregnancy_chapter"}),
        ("O9A.212", {"pregnancy_chapter"}),
        ("Z37.0", {"delivery_outcome"}),
        ("Z39.2", {"delivery_outcome"}),
        ("OTHER", set()),
        ("O", set()),
        ("", set()),
        ("O99.351 and a comment", set()),
        ("N17.9", set()),
    ],
)
def test_icd_10_cm_by_prefix(code: str, groups: set[str]) -> None:
    assert TERMS.condition_groups(ICD_10_CM, code) == groups


@pytest.mark.parametrize(
    ("code", "groups"),
    [
        ("32914008", {"rls"}),
        ("1052284009", {"rls", "rls_in_pregnancy"}),
        ("34000006", {"iron_loss_or_malabsorption", "inflammatory_disease"}),
        ("69896004", {"rheumatoid_arthritis", "inflammatory_disease"}),
        ("329140081", set()),
        ("130989002", set()),  # never seen with its display: not shipped
    ],
)
def test_snomed_ct_exactly(code: str, groups: set[str]) -> None:
    assert TERMS.condition_groups(SNOMED_CT, code) == groups
    assert TERMS.coded_value_groups(SNOMED_CT, code) == groups


def test_a_code_counts_only_with_its_system() -> None:
    assert TERMS.condition_groups(SNOMED_CT, "G25.81") == frozenset()
    assert TERMS.condition_groups("urn:local", "G25.81") == frozenset()
    assert TERMS.observation_group(SNOMED_CT, "2276-4") is None
    assert TERMS.is_order_code("urn:local", "2276-4") is None


# ------------------------------------------------------------------------------------------ observations
@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("2276-4", "ferritin"),
        ("14723-1", "ferritin_molar"),
        ("86914-9", "ferritin_EXCLUDE"),
        ("35209-6", "ferritin_unconfirmed"),
        ("2502-3", "tsat"),
        ("82810-3", "pregnancy_status"),
        ("11580-8", None),  # not verified
        ("58410-2", None),
        ("2276-5", None),
    ],
)
def test_loinc_groups(code: str, group: str | None) -> None:
    assert TERMS.observation_group(LOINC, code) == group


def test_codes_of_groups_in_order() -> None:
    assert TERMS.loinc_codes("ferritin", "ferritin_molar") == ("2276-4", "20567-4", "24373-3", "14723-1")
    assert TERMS.loinc_codes("nothing", "rls") == ()
    assert TERMS.loinc_codes() == ()


@pytest.mark.parametrize(
    ("code", "order"),
    [
        ("2276-4", "ferritin"),
        ("50190-8", "iron panel"),
        ("75689-0", "iron panel"),
        ("2502-3", None),
        ("1-8", None),
        ("86914-9", None),
    ],
)
def test_orders(code: str, order: str | None) -> None:
    assert TERMS.is_order_code(LOINC, code) == order


# -------------------------------------------------------------------------------------------------- units
@pytest.mark.parametrize(
    ("analyte", "text", "factor", "family"),
    [
        (Analyte.FERRITIN, "ng/mL", "1", "mass"),
        (Analyte.FERRITIN, "NG/ML", "1", "mass"),
        (Analyte.FERRITIN, "\u00b5g/L", "1", "mass"),
        (Analyte.FERRITIN, "\u03bcg/L", "1", "mass"),
        (Analyte.FERRITIN, "mcg/L", "1", "mass"),
        (Analyte.FERRITIN, "ug/dL", "10", "mass"),
        (Analyte.FERRITIN, "mg/L", "1000", "mass"),
        (Analyte.FERRITIN, "nmol/L", "445", "molar"),
        (Analyte.TSAT, "%", "1", "percent"),
        (Analyte.TSAT, "% saturation", "1", "percent"),
        (Analyte.TSAT, "1", "100", "fraction"),
        (Analyte.IRON, "mcg/dL", "0.179", "mass"),
        (Analyte.IRON, "mcmol/L", "1", "molar"),
        (Analyte.TIBC, "\u00b5mol/L", "1", "molar"),
        (Analyte.TIBC, "ug/dL", "0.179", "mass"),
        (Analyte.CRP, "mg/L", "1", "mass"),
        (Analyte.CRP, "mg/dl", "10", "mass"),
        (Analyte.HAEMOGLOBIN, "g/dL", "1", "mass"),
        (Analyte.HAEMOGLOBIN, "g/L", "0.1", "mass"),
        (Analyte.EGFR, "mL/min/{1.73_m2}", "1", "rate"),
        (Analyte.EGFR, "mL/min/1.73 m\u00b2", "1", "rate"),
        (Analyte.EGFR, "mL/min per 1.73 sq m", "1", "rate"),
        (Analyte.EGFR, "mL/min/1.73 m^2", "1", "rate"),
    ],
)
def test_units(analyte: Analyte, text: str, factor: str, family: str) -> None:
    found = TERMS.unit(analyte.value, text)
    assert found is not None
    assert (found.factor, found.family) == (Decimal(factor), family)


def test_canonical_units() -> None:
    spelled = {a: e["canonical"] for a, e in _units().items()}
    assert spelled == {
        "ferritin": "ng/mL",
        "tsat": "%",
        "iron": "umol/L",
        "tibc": "umol/L",
        "crp": "mg/L",
        "haemoglobin": "g/dL",
        "egfr": "mL/min/1.73m2",
        "hba1c": "%",
        "b12": "pg/mL",
        "folate": "ng/mL",
        "vitamin d": "ng/mL",
        "tsh": "mIU/L",
        "phosphate": "mg/dL",
        "alcohol score": "1",
        "drinks per day": "drinks/d",
        "sleep duration": "h",
        "severity score": "1",
    }
    for analyte, canonical in spelled.items():
        found = TERMS.unit(analyte, canonical)
        assert found is not None
        assert found.factor == Decimal(1)
        assert (found.canonical, found.label) == (canonical, canonical)


def _units() -> dict[str, Any]:
    return tomllib.loads(read("units.toml").decode())


def test_every_spelling_in_the_table_is_found() -> None:
    for analyte, entry in _units().items():
        for unit in entry["units"]:
            for spelling in unit["spellings"]:
                found = TERMS.unit(analyte, spelling)
                assert found is not None, (analyte, spelling)
                assert found.label == unit["label"]


def test_picomoles_are_divided_not_rounded() -> None:
    found = TERMS.unit("ferritin", "pmol/L")
    assert found is not None
    assert round(Decimal("168.525") * found.factor, 20) == 75
    assert found.family == "molar"


@pytest.mark.parametrize("text", ["", "mmol/L", "U/L", "ng", "ng/mL " + "x" * 60, "g/dL"])
def test_unknown_units(text: str) -> None:
    assert TERMS.unit("ferritin", text) is None
    assert TERMS.unit("pregnancy status", "ng/mL") is None


# --------------------------------------------------------------------------------------------- value sets
@pytest.mark.parametrize("name", ["conditions", "observations"])
def test_value_sets_are_valid_fhir(name: str) -> None:
    model = get_fhir_model_class("ValueSet")
    checked = [model.model_validate(resource) for resource in value_sets(name).values()]
    assert len(checked) == len(value_sets(name)) > 0


@pytest.mark.parametrize("name", COLLECTIONS)
def test_value_sets_agree_with_their_composition(name: str) -> None:
    for group, resource in value_sets(name).items():
        composed = [
            (include["system"], concept["code"])
            for include in resource["compose"]["include"]
            for concept in include["concept"]
        ]
        members = [(m["system"], m["code"]) for m in resource["expansion"]["contains"]]
        assert sorted(composed) == sorted(set(members)), group
        assert len(members) == resource["expansion"]["total"] == len(set(members))
        assert resource["status"] == "active"
        assert resource["version"] == resource["expansion"]["identifier"].rsplit("/", 1)[1]
        assert resource["url"].startswith("https://rls-iron-cds.example.org/ValueSet/")
        for include in resource["compose"]["include"]:
            assert include["extension"][0]["valueString"]


def test_names_and_addresses_are_unique() -> None:
    resources = [r for name in COLLECTIONS for r in value_sets(name).values()]
    for element in ("id", "url", "name"):
        assert len({r[element] for r in resources}) == len(resources), element


def test_atc_codes_carry_no_names() -> None:
    members = [m for r in value_sets("medicines").values() for m in r["expansion"]["contains"]]
    assert {m["system"] for m in members} == {RXNORM, ATC}
    assert not [m for m in members if m["system"] == ATC and "display" in m]
    assert not [m for m in members if m["system"] == RXNORM and ("[" in m["display"] or "{" in m["display"])]


def test_added_codes_name_two_sources() -> None:
    for group in ("hyperprolactinaemia", "migraine", "delivery_outcome"):
        for include in value_sets("conditions")[group]["compose"]["include"]:
            assert include["extension"][0]["valueString"].count(";") == 1


def test_groups_of_ingredients_are_those_of_their_codes() -> None:
    of_codes = {
        (group, code)
        for group, members in TERMS.codes.items()
        for system, code in members
        if system == RXNORM
    }
    for code, product in TERMS.drugs.by_rxnorm.items():
        if product.route == "unknown":
            assert {(g, code) for g in product.ingredients[0].groups} <= of_codes
    assert ("ANTIHIST_SEDATING", "8745") in of_codes
    assert ("DA_ANTIEMETIC", "8745") in of_codes
    assert TERMS.ingredients["promethazine"] == {"ANTIHIST_SEDATING", "DA_ANTIEMETIC"}


@pytest.mark.parametrize("code", ["F17.211", "F17201", "F10.21"])
def test_a_dependence_in_remission_belongs_to_no_group(code: str) -> None:
    assert TERMS.condition_groups(ICD_10_CM, code) == frozenset()


def test_a_dependence_that_goes_on_belongs_to_its_group() -> None:
    assert TERMS.condition_groups(ICD_10_CM, "F17.210") == {"nicotine_dependence"}


def test_a_catheter_for_dialysis_is_no_dialysis() -> None:
    assert TERMS.condition_groups_by_text("Hemodialysis catheter insertion") == frozenset()


# ------------------------------------------------------------------------------------------- results
# What is asked for or read as a part of another thing, and what is left alone: no result of its own.
NO_RESULTS = {
    *("alcohol_per_drinking_day", "alcohol_score_full", "creatinine", "creatinine_molar", "ferritin_EXCLUDE"),
    *("ferritin_unconfirmed", "mcv", "order_iron_panel", "transferrin", "vitals_context"),
}


def test_every_group_of_laboratory_codes_is_a_result_unless_it_is_none_on_purpose() -> None:
    groups = set(TERMS.loinc.values())
    assert groups - RESULT_GROUPS.keys() == NO_RESULTS
    assert RESULT_GROUPS.keys() - groups == set(OWN_CODES.values())


def test_every_group_of_results_is_of_an_analyte_with_units_of_its_kind() -> None:
    assert {analyte for analyte, _ in RESULT_GROUPS.values()} == set(Analyte)
    kinds = {
        group: {unit.family for unit in TERMS.units[analyte].values()}
        for group, (analyte, kind) in RESULT_GROUPS.items()
        if kind is not None
    }
    # No unit of a molar CRP is read: its value says nothing here, and the card says that it was not read.
    assert [group for group, known in kinds.items() if RESULT_GROUPS[group][1] not in known] == ["crp_molar"]
    molar = {group for group, (_, kind) in RESULT_GROUPS.items() if kind == "molar"}
    assert molar == {group for group in RESULT_GROUPS if group.endswith("_molar")}
