"""Writes the code groups of the knowledge base from verified code lists.

    python scripts/build_valuesets.py CODES_DIR [OUT_DIR]

reads the code lists (CSV files with the columns system, code, display, group, source, verified) and writes

- `valuesets/{conditions,observations,medicines}.json`: collections of FHIR R4 ValueSets, one for each group
- `drugs.json`: ingredients, coded products and brand words, in the form that the service loads

to OUT_DIR, by default the data of the knowledge room.

Only rows that were verified are written, with one exception: codes that must never be read as a ferritin
result are kept as exclusions. The same lists give the same files, byte for byte.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cds_service.knowledge.notices import NOTICES
from cds_service.knowledge.terminology import ATC, ICD_10_CM, LOINC, RXNORM, SNOMED_CT
from cds_service.terminology_build.naming import canonical, reduced_name
from cds_service.terminology_build.table import Ingredient, Product, Table, brands_of, table_json
from cds_service.terminology_build.valuesets import Edition, Row, collection, pretty

EDITION = Edition("2026.11.1", "2026-11-22")
DATA = Path(__file__).resolve().parent.parent / "cds_service" / "knowledge" / "data"

NEVER_A_RESULT = frozenset({"ferritin_unconfirmed", "ferritin_EXCLUDE"})
CLASS_ROW = "class"
LEVEL_5 = 7
PACK_GROUPS = frozenset({"IRON_IN_MULTIVITAMIN", "IRON_IN_CONTRACEPTIVE_PACK"})

EXTRA_GROUPS = {
    (SNOMED_CT, "1052284009"): ("rls_in_pregnancy",),
    **{
        (SNOMED_CT, code): ("inflammatory_disease",)
        for code in ("34000006", "64766004", "24526004", "69896004")
    },
    **{(ICD_10_CM, code): ("inflammatory_disease",) for code in ("K50", "K51", "M05", "M06")},
}
"""Groups that a verified row has besides the one of its list."""

CHAPTER_RANGE = re.compile(r"([A-Z])\w+-\1\w+\Z")
"""A range over a whole letter, as chapter O; it becomes the prefix of that letter."""

ONLY_AS_CLINICAL_DRUG = {"ferric pyrophosphate citrate": ("IV_IRON_DIALYSATE",)}
"""Ingredients of the clinical drugs that have no row of their own."""

LOW_DOSE_DOXEPIN = frozenset({"966787", "966791", "966793", "966795"})
"""Doxepin tablets of 3 and 6 mg: an antihistamine at this dose."""
LOW_DOSE_DOXEPIN_GROUPS = ("ANTIHIST_SEDATING",)

Record = Mapping[str, str]

TABULAR = "simple-icd-10-cm 1.5.0 (PyPI), CDC tabular April-1-2026"
SECOND = "medtrack-io/icd_code (GitHub): lib/codes/codes_{}.ex"


def added(code: str, display: str, group: str) -> Row:
    """Return a row that the lists lack, seen with its display in two public sources."""
    source = f"{TABULAR}; {SECOND.format(code[:3].lower())}"
    return Row(ICD_10_CM, code, display, group, source)


PHYSICAL_OBJECTS = "device lists of two public repositories that hold Synthea records"

ADDED_ROWS = (
    added("E22.1", "Hyperprolactinemia", "hyperprolactinaemia"),
    added("F11.23", "Opioid dependence with withdrawal", "withdrawal"),
    added("F11.93", "Opioid use, unspecified with withdrawal", "withdrawal"),
    added("F13.23", "Sedative, hypnotic or anxiolytic dependence with withdrawal", "withdrawal"),
    added("G43", "Migraine", "migraine"),
    added("G47.09", "Other insomnia", "insomnia"),
    added("Z37", "Outcome of delivery", "delivery_outcome"),
    added("Z39", "Encounter for maternal postpartum care and examination", "delivery_outcome"),
    Row(
        SNOMED_CT,
        "47545007",
        "Continuous positive airway pressure ventilation treatment (regime/therapy)",
        "positive_airway_pressure",
        "HL7 FHIR R4 value set servicerequest-orderdetail; concept maps of two public repositories",
    ),
    Row(
        SNOMED_CT,
        "702172008",
        "Home continuous positive airway pressure unit (physical object)",
        "positive_airway_pressure",
        PHYSICAL_OBJECTS,
    ),
    Row(
        SNOMED_CT,
        "702173003",
        "Home bilevel positive airway pressure unit (physical object)",
        "positive_airway_pressure",
        PHYSICAL_OBJECTS,
    ),
)

ADDED_OBSERVATIONS = (
    Row(
        LOINC,
        "2777-1",
        "Phosphate [Mass/volume] in Serum or Plasma",
        "phosphate",
        "two public code lists",
    ),
    Row(
        LOINC,
        "14879-1",
        "Phosphate [Moles/volume] in Serum or Plasma",
        "phosphate_molar",
        "noctiz89/CDE-Katalog (GitHub); a public code list",
    ),
    Row(
        LOINC,
        "48018-6",
        "Gene studied [ID]",
        "gene_studied",
        "HL7 Genomics Reporting and MII molecular genetics implementation guides",
    ),
)
"""Observations that the lists lack, each seen with its display in two public sources."""

REGROUPED = {
    # The limits known are those of the short form, and of a day rather than of a drinking day.
    (LOINC, "72110-0"): "alcohol_score_full",
    (LOINC, "11287-0"): "alcohol_per_drinking_day",
}
"""Codes whose values cannot be compared with those of the rest of their group."""


# --------------------------------------------------------------------------------------------- reading
def read(path: Path) -> list[Record]:
    """Return the rows of a code list."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def verified(records: Iterable[Record]) -> Iterator[Row]:
    """Yield the verified rows."""
    for record in records:
        if record["verified"] == "yes":
            yield to_row(record)


def to_row(record: Record) -> Row:
    """Return a row with its display and its source in presentable words."""
    return Row(
        record["system"],
        record["code"].strip(),
        re.sub(r"\s*\((?:label seen|listed as)[^)]*\)", "", record["display"]).strip(),
        record["group"],
        clean_source(record["source"]),
    )


def clean_source(source: str) -> str:
    """Return a source without the numbers of files that have no public name."""
    named = re.sub(r"\bids? \d{8,}(?: and \d{8,})*", "a public code list", source)
    named = re.sub(r",\s*\d{8,}(?= ?\()", ", another", named)
    named = re.sub(r"\(\d{8,}\)\s*", "", re.sub(r",\s*\d{8,}", "", named))
    return named.removesuffix("; not verified: do not ship").replace("asked for in the brief; ", "").strip()


def condition_rows(folder: Path) -> list[Row]:
    """Return the rows of diagnoses and procedures, chapter ranges as prefixes, extra groups added."""
    rows = [*verified(read(folder / "icd10cm.csv")), *verified(read(folder / "snomed.csv")), *ADDED_ROWS]
    found = []
    for row in rows:
        chapter = CHAPTER_RANGE.match(row.code)
        plain = row._replace(code=chapter[1], source=TABULAR) if chapter else row
        found.append(plain)
        found.extend(plain._replace(group=extra) for extra in EXTRA_GROUPS.get((row.system, row.code), ()))
    return found


def observation_rows(folder: Path) -> list[Row]:
    """Return the rows of observations and of the codes that are never a result."""
    records = read(folder / "loinc.csv")
    rows = [row._replace(group=REGROUPED.get((row.system, row.code), row.group)) for row in verified(records)]
    rows += ADDED_OBSERVATIONS
    known = {row.code for row in rows}
    # An unverified code is kept where its only use is to be turned down; its display stays out.
    rows += [
        to_row(r)._replace(display="")
        for r in records
        if r["group"] in NEVER_A_RESULT and r["code"] not in known
    ]
    return rows


def ingredients(folder: Path) -> dict[str, Ingredient]:
    """Return every ingredient with the verified codes that lead to it."""
    atc_rows = [r for r in verified(read(folder / "atc.csv")) if r.group != CLASS_ROW]
    known_atc = {r.code for r in atc_rows if len(r.code) == LEVEL_5}
    found: dict[str, Ingredient] = {}
    for record in read(folder / "rxnorm_ingredients.csv"):
        name = canonical(record["ingredient"])
        before = found.get(name, Ingredient(name, tuple(record["group"].split("+")), (), ()))
        rxnorm = (record["code"],) if record["verified"] == "yes" else ()
        atc = tuple(c for c in record["atc_level5"].split() if c in known_atc)
        found[name] = before._replace(rxnorm=joined(before.rxnorm, rxnorm), atc=joined(before.atc, atc))
    for name, groups in ONLY_AS_CLINICAL_DRUG.items():
        found[name] = Ingredient(name, groups, (), ())
    return dict(sorted(found.items()))


def joined(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Return two lists of codes as one, sorted and without repeats."""
    return tuple(sorted({*one, *other}))


# --------------------------------------------------------------------------------------- clinical drugs
def product_of(record: Record, known: Mapping[str, Ingredient]) -> Product:
    """Return the clinical drug of one row."""
    names = list(dict.fromkeys(canonical(n) for n in record["ingredients_matched"].split(";")))
    groups = groups_of(record, names, known)
    parts = tuple((name, groups[name]) for name in names)
    return Product(parts, route_of(record), reduced_name(record["display"], names))


def route_of(record: Record) -> str:
    """Return the route of a clinical drug; its own name wins where the list is wrong or undecided."""
    is_oral = " Oral " in record["display"] or record["route"] == "other"
    return "oral" if is_oral and " Suspension" in record["display"] else record["route"]


def groups_of(
    record: Record, names: Sequence[str], known: Mapping[str, Ingredient]
) -> dict[str, tuple[str, ...]]:
    """Return the groups of each ingredient in this product.

    The list orders the groups of a combination by name, not by ingredient, so each ingredient keeps its
    own; a row with one group tells what the product is (a multivitamin, a contraceptive pack).
    """
    if record["code"] in LOW_DOSE_DOXEPIN:
        return dict.fromkeys(names, LOW_DOSE_DOXEPIN_GROUPS)
    row_groups = record["group"].split(";")
    own = {name: known[name].groups for name in names}
    if len(names) == 1 or set(row_groups) & PACK_GROUPS:
        return dict.fromkeys(names, tuple(row_groups[0].split("+")))
    if not {g for part in row_groups for g in part.split("+")} <= {
        g for groups in own.values() for g in groups
    }:
        message = f"The groups of {record['code']} are not those of its ingredients."
        raise SystemExit(message)
    return own


def drugs(folder: Path, known: Mapping[str, Ingredient]) -> str:
    """Return the drug table: ingredients, clinical drugs and brand words, as the service loads it."""
    records = [r for r in read(folder / "rxnorm_clinical_drugs.csv") if r["verified"] == "yes"]
    products = {record["code"]: product_of(record, known) for record in records}
    brands, _ = brands_of((record["display"], products[record["code"]]) for record in records)
    return table_json(Table(known, products, brands), *EDITION, (NOTICES[RXNORM], NOTICES[ATC]))


def medicine_rows(folder: Path, known: Mapping[str, Ingredient]) -> Iterator[Row]:
    """Yield the codes of medicines by group: ingredients, ATC codes, clinical drugs."""
    for row in verified(read(folder / "rxnorm_ingredients.csv")):
        yield from (row._replace(group=g, display=row.display.casefold()) for g in row.group.split("+"))
    for row in verified(read(folder / "atc.csv")):
        if row.group != CLASS_ROW and len(row.code) == LEVEL_5:
            yield from (row._replace(group=g) for g in row.group.split("+"))
    for record in read(folder / "rxnorm_clinical_drugs.csv"):
        if record["verified"] == "yes":
            product = product_of(record, known)
            row = to_row(record)._replace(display=product.name)
            groups = dict.fromkeys(g for _, part in product.ingredients for g in part)
            yield from (row._replace(group=g) for g in groups)


def files(folder: Path) -> dict[str, str]:
    """Return the files to write, by their path in the data folder."""
    known = ingredients(folder)
    sets = {
        "conditions": condition_rows(folder),
        "observations": observation_rows(folder),
        "medicines": medicine_rows(folder, known),
    }
    written_sets = {f"valuesets/{n}.json": pretty(collection(n, rows, EDITION)) for n, rows in sets.items()}
    return {**written_sets, "drugs.json": drugs(folder, known)}


def main(arguments: Sequence[str]) -> int:
    """Write the files; return 2 when no folder of code lists was named."""
    if len(arguments) not in {1, 2}:
        print("usage: python scripts/build_valuesets.py CODES_DIR [OUT_DIR]", file=sys.stderr)
        return 2
    target = Path(arguments[1]) if len(arguments) > 1 else DATA
    for name, text in files(Path(arguments[0])).items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{name}: {len(text)} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
