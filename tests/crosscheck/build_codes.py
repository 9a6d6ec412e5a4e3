"""Writes codes/valuesets.json, the code lists of the CQL twin, from the clinical code tables (CSV files).

`python tests/crosscheck/build_codes.py FOLDER`. Only rows that were verified are taken. Nothing of the
service's own terminology is used: the twin would otherwise repeat its mistakes.
"""

import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

BASE = "https://rls-iron-cds.example.org/ValueSet/"
VERSION = "0.1.0"
OUT = Path(__file__).parent / "codes" / "valuesets.json"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"

FLAGGED = (
    "SSRI",
    "SNRI",
    "NASSA",
    "TCA",
    "MAOI",
    "ANTIDEP_OTHER",
    "ANTIHIST_SEDATING",
    "ANTIPSYCH_TYPICAL",
    "ANTIPSYCH_ATYPICAL",
    "DA_ANTIEMETIC",
    "LITHIUM",
    "VMAT2",
    "DA_DEPLETER",
)
"""The classes that DRUG-01 names."""
OTHER_FLAGGED = ("vilazodone", "vortioxetine", "esketamine", "st. john's wort", "hyperici herba")
"""Of ANTIDEP_OTHER only these count."""
OTHER_CLASSES = ("RLS_DA", "RLS_LEVODOPA", "ORAL_IRON", "IV_IRON", "CHELATOR")
INGREDIENTS = (
    "mirtazapine",
    "metoclopramide",
    "prochlorperazine",
    "pramipexole",
    "ropinirole",
    "rotigotine",
    "cabergoline",
    "bromocriptine",
    "pergolide",
    "levodopa",
    "gabapentin enacarbil",
)
CONDITION_GROUPS = (
    "rls",
    "plmd",
    "iron_deficiency",
    "iron_deficiency_anemia",
    "anemia_in_pregnancy",
    "iron_overload",
    "pregnancy",
    "ckd",
    "ckd_1_2",
    "ckd_3",
    "ckd_4",
    "ckd_5",
    "ckd_unspecified",
    "ckd_5_or_esrd_combined",
    "esrd",
    "esrd_on_dialysis",
    "dialysis",
    "dialysis_procedure",
    "kidney_transplant",
    "peripheral_neuropathy",
    "diabetic_polyneuropathy",
    "diabetic_neuropathy",
    "multiple_sclerosis",
    "osa",
    "parkinson",
    "parkinsonism_secondary",
    "iron_loss_or_malabsorption",
)
LABORATORY_GROUPS = (
    "ferritin",
    "ferritin_molar",
    "tsat",
    "iron_mass",
    "iron_molar",
    "tibc_mass",
    "tibc_molar",
    "crp",
    "crp_hs",
    "egfr",
    "order_iron_panel",
    "pregnancy_status",
    "pregnancy_edd",
)

Row = dict[str, str]
Sets = dict[str, set[tuple[str, str]]]


def rows(folder: Path, name: str) -> Iterator[Row]:
    """Yield the verified rows of one table that carry a code."""
    with (folder / name).open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            if row["verified"] == "yes" and row["code"]:
                yield row


def plain_groups(folder: Path) -> Sets:
    """Return the diagnoses, procedures and laboratory codes by group, with hyphens in the name."""
    wanted = {*CONDITION_GROUPS, *LABORATORY_GROUPS}
    sets: Sets = defaultdict(set)
    for name in ("loinc.csv", "snomed.csv", "icd10cm.csv"):
        for row in rows(folder, name):
            if row["group"] in wanted:
                sets[row["group"].replace("_", "-")].add((row["system"], row["code"]))
    return sets


def is_local(row: Row, group: str) -> bool:
    """Answer whether the product stays where it is applied, so that it never counts for this class."""
    if row["system"] == ATC:
        return row["code"].startswith(("D", "S", "R01"))
    route = row.get("route", "")
    return route in {"topical", "ophthalmic"} or (route == "nasal_inhaled" and group.startswith("ANTIHIST"))


def named(row: Row) -> str:
    """Return the words of a row that name its ingredients, in small letters."""
    return " ".join((row["display"], row.get("ingredient", ""), row.get("ingredients_matched", ""))).lower()


def classes_of(row: Row) -> Iterator[str]:
    """Yield the classes for which a product counts."""
    for group in re.split(r"[;+]", row["group"]):
        if is_local(row, group):
            continue
        if group == "ANTIDEP_OTHER" and not any(name in named(row) for name in OTHER_FLAGGED):
            continue
        if group == "RLS_LEVODOPA" and "levodopa" not in named(row):
            continue
        is_for_sleep = group == "TCA" and re.search(r"doxepin (3|6) MG", row["display"])
        yield "ANTIHIST_SEDATING" if is_for_sleep else group


def medicine_groups(folder: Path) -> Sets:
    """Return the medicines by class and, where a rule names them, by ingredient."""
    wanted = {*FLAGGED, *OTHER_CLASSES}
    sets: Sets = defaultdict(set)
    for name in ("rxnorm_ingredients.csv", "rxnorm_clinical_drugs.csv", "atc.csv"):
        for row in rows(folder, name):
            found = set(classes_of(row))
            for group in found & wanted:
                sets["systemic-" + group.replace("_", "-")].add((row["system"], row["code"]))
            for ingredient in INGREDIENTS:
                if found and re.search(rf"\b{ingredient}\b", named(row)):
                    sets["ingredient-" + ingredient.replace(" ", "-")].add((row["system"], row["code"]))
    return sets


def main(folder: Path) -> None:
    """Write the file anew."""
    sets = plain_groups(folder) | medicine_groups(folder)
    expected = (
        len(CONDITION_GROUPS) + len(LABORATORY_GROUPS) + len(FLAGGED) + len(OTHER_CLASSES) + len(INGREDIENTS)
    )
    if len(sets) != expected:
        sys.exit(f"{len(sets)} code lists, expected {expected}: a group lost all its codes")
    lines = []
    for name in sorted(sets):
        by_system: dict[str, list[str]] = defaultdict(list)
        for system, code in sorted(sets[name]):
            by_system[system].append(code)
        lines.append(f"{json.dumps(BASE + name)}: {json.dumps(by_system)}")
    body = ",\n".join(lines)
    OUT.write_text(f'{{"version": "{VERSION}",\n"valueSets": {{\n{body}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
