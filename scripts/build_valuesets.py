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
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

BASE = "https://rls-iron-cds.example.org"
VERSION = "2026.11.0"
DATE = "2026-11-22"
DATA = Path(__file__).resolve().parent.parent / "cds_service" / "knowledge" / "data"

ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED_CT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"

NOTICES = {
    LOINC: (
        "This material contains content from LOINC (http://loinc.org). LOINC is copyright Regenstrief "
        "Institute, Inc. and the LOINC Committee and is available at no cost under the license at "
        "http://loinc.org/license. LOINC is a registered US trademark of Regenstrief Institute, Inc."
    ),
    SNOMED_CT: "SNOMED CT is copyright SNOMED International; its use needs an affiliate licence.",
    ICD_10_CM: "ICD-10-CM: US National Center for Health Statistics; release of April 1, 2026.",
    RXNORM: (
        "This product uses publicly available data courtesy of the U.S. National Library of Medicine (NLM), "
        "National Institutes of Health, Department of Health and Human Services; NLM is not responsible for "
        "the product and does not endorse or recommend this or any other product."
    ),
    ATC: "ATC codes: WHO Collaborating Centre for Drug Statistics Methodology; codes only, without names.",
}

NEVER_A_RESULT = frozenset({"ferritin_unconfirmed", "ferritin_EXCLUDE"})
CLASS_ROW = "class"
LEVEL_5 = 7
ANY_IRON_GROUPS = ("ORAL_IRON", "IRON_ANY")
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

CANONICAL_NAMES = {
    "divalproex": "valproate",
    "valproic acid": "valproate",
    "iron carbonyl": "carbonyl iron",
    "polysaccharide iron": "iron polysaccharide",
    "ferric gluconate": "sodium ferric gluconate complex",
    "lithium carbonate": "lithium",
}
"""One spelling for each ingredient, where the lists have several."""

ONLY_AS_CLINICAL_DRUG = {"ferric pyrophosphate citrate": ("IV_IRON_DIALYSATE",)}
"""Ingredients of the clinical drugs that have no row of their own."""

LOW_DOSE_DOXEPIN = frozenset({"966787", "966791", "966793", "966795"})
"""Doxepin tablets of 3 and 6 mg: an antihistamine at this dose."""
LOW_DOSE_DOXEPIN_GROUPS = ("ANTIHIST_SEDATING",)


class Row(NamedTuple):
    """One verified row of a code list."""

    system: str
    code: str
    display: str
    group: str
    source: str


class Ingredient(NamedTuple):
    """One ingredient with its groups and codes."""

    name: str
    groups: tuple[str, ...]
    rxnorm: tuple[str, ...]
    atc: tuple[str, ...]


class Product(NamedTuple):
    """One clinical drug: its ingredients with their groups, its route and its reduced name."""

    ingredients: tuple[tuple[str, tuple[str, ...]], ...]
    route: str
    name: str


Record = Mapping[str, str]

TABULAR = "simple-icd-10-cm 1.5.0 (PyPI), CDC tabular April-1-2026"
SECOND = "medtrack-io/icd_code (GitHub): lib/codes/codes_{}.ex"


def added(code: str, display: str, group: str) -> Row:
    """Return a row that the lists lack, seen with its display in two public sources."""
    source = f"{TABULAR}; {SECOND.format(code[:3].lower())}"
    return Row(ICD_10_CM, code, display, group, source)


ADDED_ROWS = (
    added("E22.1", "Hyperprolactinemia", "hyperprolactinaemia"),
    added("G43", "Migraine", "migraine"),
    added("Z37", "Outcome of delivery", "delivery_outcome"),
    added("Z39", "Encounter for maternal postpartum care and examination", "delivery_outcome"),
)


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
    rows = list(verified(records))
    known = {row.code for row in rows}
    # An unverified code is kept where its only use is to be turned down; its display stays out.
    rows += [
        to_row(r)._replace(display="")
        for r in records
        if r["group"] in NEVER_A_RESULT and r["code"] not in known
    ]
    return rows


def canonical(name: str) -> str:
    """Return the one spelling of an ingredient."""
    folded = name.strip().casefold()
    return CANONICAL_NAMES.get(folded, folded)


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
STRENGTH = re.compile(
    r"(?P<name>.+?) (?P<strength>[0-9.,]+ (?:MG|MCG|UNT|MEQ|MMOL|ML|GM|%|MG/MG|\[[^\]]+\])(?:/\S+)?)"
    r"(?: (?P<form>.+))?\Z"
)
BRAND = re.compile(r"\[([^\[\]]+)\]\s*\Z")
LEADING_AMOUNT = re.compile(r"\A[0-9.]+ (?:HR|ML|ACTUAT|MG|MIL) (?=[a-z])")
MOST_COMPONENTS = 3
LONGEST_NAME = 100


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


def reduced_name(display: str, names: Sequence[str]) -> str:
    """Return a drug name as ingredient, strength and form, without salt, brand and package."""
    text = BRAND.sub("", display).strip()
    if text.startswith("{"):
        return " / ".join(names) + " pack"
    components = [LEADING_AMOUNT.sub("", c) for c in text.split(" / ")]
    matches = [STRENGTH.match(c) for c in components]
    if any(m is None for m in matches) or len(components) > MOST_COMPONENTS:
        form = next((m["form"] for m in reversed(matches) if m and m["form"]), "")
        return " ".join(part for part in (" / ".join(names), lower_form(form)) if part)
    parts = [f"{short_name(m['name'], names)} {lower_unit(m['strength'])}" for m in matches if m]
    form = lower_form(matches[-1]["form"] if matches[-1] else None)
    name = f"{' / '.join(parts)} {form}".strip()
    return name if len(name) <= LONGEST_NAME else f"{' / '.join(names)} {form}".strip()


def short_name(name: str, names: Sequence[str]) -> str:
    """Return our name of a component, else the name that it has."""
    folded = name.casefold()
    for known in sorted(names, key=len, reverse=True):
        spellings = {known, *(k for k, v in CANONICAL_NAMES.items() if v == known)}
        if any(spelling in folded for spelling in spellings):
            return known
    return folded


def lower_unit(strength: str) -> str:
    """Return a strength in common spelling (mg, mL)."""
    units = {"MG": "mg", "ML": "mL", "MCG": "mcg", "HR": "h", "ACTUAT": "dose", "UNT": "units", "GM": "g"}
    return re.sub(r"[A-Z]+", lambda m: units.get(m[0], m[0]), strength)


def lower_form(form: str | None) -> str:
    """Return a dose form in small letters."""
    return (form or "").casefold()


def brand_words(display: str) -> list[tuple[str, ...]]:
    """Return the words of the brand in brackets: in full, and without package words at the end."""
    match = BRAND.search(display)
    if match is None:
        return []
    name = re.sub(r"\([^)]*\)|\bbrand of\b.*|\breformulated\b.*", "", match[1].casefold().replace("'", ""))
    words = tuple(re.findall(r"[a-z]+|[0-9]+(?:\.[0-9]+)?", name))
    short = words
    while len(short) > 1 and (not short[-1].isalpha() or short[-1] in PACKAGE_WORDS):
        short = short[:-1]
    return [w for w in dict.fromkeys((words, short)) if is_brand(w)]


PACKAGE_WORDS = frozenset({"day", "pack", "kit"})
PLAIN_WORDS = frozenset({("tandem",), ("rest", "simply"), ("reconcile",)})
"""Brands that are also plain words: alone they name nothing."""
SHORTEST_BRAND = 4


def is_brand(words: tuple[str, ...]) -> bool:
    """Whether words are long and peculiar enough to name a product."""
    return words not in PLAIN_WORDS and len("".join(words)) >= SHORTEST_BRAND and words[0].isalpha()


def drugs(folder: Path, known: Mapping[str, Ingredient]) -> dict[str, object]:
    """Return ingredients, clinical drugs and brand words in the form that the service loads."""
    products: dict[Product, int] = {}
    rxnorm: dict[str, int] = {}
    brands: dict[tuple[str, ...], set[Product]] = defaultdict(set)
    for record in sorted(read(folder / "rxnorm_clinical_drugs.csv"), key=lambda r: int(r["code"])):
        if record["verified"] != "yes":
            continue
        product = product_of(record, known)
        rxnorm[record["code"]] = products.setdefault(product, len(products))
        for words in brand_words(record["display"]):
            brands[words].add(product)
    return {
        "version": VERSION,
        "date": DATE,
        "notices": [NOTICES[RXNORM], NOTICES[ATC]],
        "ingredients": {
            i.name: {"groups": i.groups, "rxnorm": i.rxnorm, "atc": i.atc} for i in known.values()
        },
        "products": [[written(p, known), p.route, p.name] for p in products],
        "clinical_drugs": rxnorm,
        "brands": {" ".join(words): b for words, p in sorted(brands.items()) if (b := brand(p, known))},
    }


def written(product: Product, known: Mapping[str, Ingredient]) -> list[object]:
    """Return the ingredients of a product; the groups only where they are not the ingredient's own."""
    return [name if known[name].groups == groups else [name, *groups] for name, groups in product.ingredients]


def brand(products: Iterable[Product], known: Mapping[str, Ingredient]) -> list[object] | None:
    """Return what a brand name says, None where it names different products."""
    contents = {p.ingredients for p in products}
    if len(contents) != 1:
        return None
    routes = {p.route for p in products}
    route = routes.pop() if len(routes) == 1 else "unknown"
    return [written(Product(contents.pop(), "", ""), known), route]


# ------------------------------------------------------------------------------------------- value sets
def value_set(group: str, rows: Sequence[Row]) -> dict[str, object]:
    """Return the FHIR R4 ValueSet of one group, with its expansion."""
    identity = group.replace("_", "-").replace("+", "-")
    systems = sorted({row.system for row in rows})
    return {
        "resourceType": "ValueSet",
        "id": identity,
        "url": f"{BASE}/ValueSet/{identity}",
        "identifier": [{"system": f"{BASE}/code-group", "value": group}],
        "version": VERSION,
        "name": "".join(part[:1].upper() + part[1:] for part in re.split(r"[_+-]", group)),
        "title": group.replace("_", " "),
        "status": "active",
        "experimental": False,
        "date": DATE,
        "copyright": " ".join(NOTICES[s] for s in systems),
        "compose": {"include": list(includes(rows))},
        "expansion": {
            "identifier": f"{BASE}/ValueSet/{identity}/expansion/{VERSION}",
            "timestamp": f"{DATE}T00:00:00Z",
            "total": len(rows),
            "contains": [contained(row) for row in rows],
        },
    }


def includes(rows: Sequence[Row]) -> Iterator[dict[str, object]]:
    """Yield the codes by system and source, the source as an extension."""
    by_source: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        by_source[row.system, row.source].append(row.code)
    for (system, source), codes in by_source.items():
        extension = {"url": f"{BASE}/StructureDefinition/code-source", "valueString": source}
        yield {"extension": [extension], "system": system, "concept": [{"code": code} for code in codes]}


def contained(row: Row) -> dict[str, str]:
    """Return one code of an expansion; without display where the licence or the check allows none."""
    code = {"system": row.system, "code": row.code}
    return {**code, "display": row.display} if row.display and row.system != ATC else code


def collection(name: str, rows: Iterable[Row]) -> dict[str, object]:
    """Return the ValueSets of the groups of these rows."""
    by_group: dict[str, dict[tuple[str, str], Row]] = defaultdict(dict)
    for row in rows:
        by_group[row.group].setdefault((row.system, row.code), row)
    sets = [value_set(group, list(members.values())) for group, members in sorted(by_group.items())]
    entries = [{"fullUrl": s["url"], "resource": s} for s in sets]
    return {"resourceType": "Bundle", "id": name, "type": "collection", "entry": entries}


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


# ---------------------------------------------------------------------------------------------- writing
def pretty(content: object) -> str:
    """Return JSON with one line for each code, so that a change is seen as such."""
    text = json.dumps(content, ensure_ascii=False, indent=1)
    return re.sub(r"\{\s*((?:\"[a-zA-Z]+\": \"(?:[^\"\\]|\\.)*\",?\s*)+)\}", flat, text) + "\n"


def flat(match: re.Match[str]) -> str:
    """Return a small object on one line."""
    return "{" + re.sub(r"\s*\n\s*", " ", match[1]).strip() + "}"


def compact(content: Mapping[str, object]) -> str:
    """Return JSON with one line for each member, quick to load and still comparable."""
    lines = [f"{json.dumps(k)}: {members(v)}" for k, v in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def members(value: object) -> str:
    """Return the JSON of a member, lists and objects with one entry on a line."""
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]"
    return json.dumps(value)


def files(folder: Path) -> dict[str, str]:
    """Return the files to write, by their path in the data folder."""
    known = ingredients(folder)
    sets = {
        "conditions": condition_rows(folder),
        "observations": observation_rows(folder),
        "medicines": medicine_rows(folder, known),
    }
    written_sets = {f"valuesets/{n}.json": pretty(collection(n, rows)) for n, rows in sets.items()}
    return {**written_sets, "drugs.json": compact(drugs(folder, known))}


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
