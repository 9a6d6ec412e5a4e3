"""Small releases in the format of RxNorm, made up from facts that the packaged drug table already has.

Concepts of the table keep their RxCUI; those that only hold a drug together (components, dose forms) get
numbers from 90,000,000 on, where RxNorm has none.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from cds_service.terminology_build.table import Product, Table

DOSE_FORM_GROUPS = {
    "oral": ("Oral Product", "Pill"),
    "injection": ("Injectable Product",),
    "oromucosal": ("Oral Product", "Sublingual Product"),
    "transdermal": ("Transdermal Product",),
    "topical": ("Topical Product",),
    "rectal": ("Rectal Product",),
    "nasal_inhaled": ("Nasal Product",),
    "ophthalmic": ("Ophthalmic Product",),
    "other": ("Drug Implant Product",),
}
INVERSES = {
    "has_ingredient": "ingredient_of",
    "has_precise_ingredient": "precise_ingredient_of",
    "has_ingredients": "ingredients_of",
    "form_of": "has_form",
    "consists_of": "constitutes",
    "contains": "contained_in",
    "tradename_of": "has_tradename",
    "has_dose_form": "dose_form_of",
    "isa": "inverse_isa",
}
Component = tuple[str, str]
"""An ingredient by name and a strength."""


def conso(
    code: int, term_type: str, name: str, source: str = "RXNORM", suppress: str = "N", own: str = ""
) -> str:
    """Return a row of RXNCONSO.RRF: 18 columns, each closed by a bar."""
    return (
        f"{code}|ENG||||||{code}0|{code}0|{code}||{source}|{term_type}|{own or code}|{name}||{suppress}|4096|"
    )


def rel(first: int, second: int, relation: str, source: str = "RXNORM") -> str:
    """Return a row of RXNREL.RRF: the second concept has the relation to the first; 16 columns."""
    return f"{first}||CUI|RO|{second}||CUI|{relation}|1||{source}||||N||"


def sat(code: int, name: str, value: str, source: str = "RXNORM") -> str:
    """Return a row of RXNSAT.RRF: 13 columns."""
    return f"{code}|||{code}0|AUI|{code}|||{name}|{source}|{value}|N|4096|"


@dataclass(slots=True)
class ReleaseFiles:
    """The rows of the three files; written by `write`."""

    conso: list[str] = field(default_factory=list)
    rel: list[str] = field(default_factory=list)
    sat: list[str] = field(default_factory=lambda: [sat(1, "RXN_QUANTITY", "1")])
    _numbers: Iterator[int] = field(default_factory=lambda: count(90_000_000))
    _known: dict[tuple[str, str], int] = field(default_factory=dict)

    def concept(self, code: int, term_type: str, name: str, **more: str) -> int:
        """Add a concept and return its RxCUI."""
        self._known.setdefault((term_type, name), code)
        self.conso.append(conso(code, term_type, name, **more))
        return code

    def named(self, term_type: str, name: str) -> int:
        """Return the concept of this kind and name; a new one where there is none."""
        known = self._known.get((term_type, name))
        return known if known is not None else self.concept(next(self._numbers), term_type, name)

    def relate(self, source: int, relation: str, target: int) -> None:
        """Add a relation in both directions, as a release has it."""
        self.rel.append(rel(target, source, relation))
        self.rel.append(rel(source, target, INVERSES[relation]))

    def clinical(self, code: int, name: str, components: Iterable[Component], form: str, route: str) -> int:
        """Add a clinical drug (SCD) with its components, dose form and dose form groups."""
        self.concept(code, "SCD", name)
        for ingredient, strength in components:
            component = self.named("SCDC", f"{ingredient} {strength}")
            self.relate(component, "has_ingredient", self.named("IN", ingredient))
            self.relate(code, "consists_of", component)
        dose_form = self.named("DF", f"{form} ({route})")
        self.relate(code, "has_dose_form", dose_form)
        for group in DOSE_FORM_GROUPS[route]:
            self.relate(dose_form, "isa", self.named("DFG", group))
        return code

    def branded(self, code: int, name: str, clinical: int, brand: str) -> int:
        """Add a branded drug (SBD) of a clinical drug."""
        self.concept(code, "SBD", f"{name} [{brand}]")
        self.relate(code, "tradename_of", clinical)
        self.relate(code, "has_ingredient", self.named("BN", brand))
        return code

    def pack(self, code: int, name: str, drugs: Iterable[int], term_type: str = "GPCK") -> int:
        """Add a pack of drugs."""
        self.concept(code, term_type, name)
        for drug in drugs:
            self.relate(code, "contains", drug)
        return code

    def write(self, folder: Path) -> Path:
        """Write the three files and return the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in (("RXNCONSO", self.conso), ("RXNREL", self.rel), ("RXNSAT", self.sat)):
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{name}.RRF").write_bytes(text.encode())
        return folder


_UNITS = {"mg": "MG", "mL": "ML", "mcg": "MCG", "units": "UNT", "h": "HR", "dose": "ACTUAT", "g": "GM"}
_COMPONENT = re.compile(r"(?P<name>.+?) (?P<strength>[0-9][0-9.,]* \S+)(?: (?P<form>\D.*))?\Z")
_FILLERS = ("acetaminophen", "folic acid", "niacinamide", "riboflavin")
_CONTRACEPTIVE = "ethinyl estradiol 0.02 MG / norethindrone acetate 1 MG Oral Tablet"


def of_table(table: Table) -> ReleaseFiles:
    """Return a release that holds every coded ingredient and drug of a table."""
    files = ReleaseFiles()
    for ingredient in table.ingredients.values():
        for code in ingredient.rxnorm:
            files.concept(int(code), "IN", ingredient.name)
        for atc in ingredient.atc:
            for code in ingredient.rxnorm[:1]:
                files.conso.append(conso(int(code), "IN", ingredient.name, source="ATC", own=atc))
    for code, product in table.products.items():
        _add(files, int(code), product)
    return files


def _add(files: ReleaseFiles, code: int, product: Product) -> None:
    names = [name for name, _ in product.ingredients]
    if product.name.endswith(" pack"):
        _add_pack(files, code, names, product)
        return
    components, form = _components_and_form(product.name, names)
    files.clinical(code, _release_name(components, form), components, form, product.route)


def _add_pack(files: ReleaseFiles, code: int, names: Sequence[str], product: Product) -> None:
    groups = {group for _, part in product.ingredients for group in part}
    others = _FILLERS if "IRON_IN_MULTIVITAMIN" in groups else ()
    components = [(name, "75 MG") for name in (*names, *others)]
    number = next(files._numbers)
    name = _release_name(components, "Oral Tablet")
    files.clinical(number, name, components, "Oral Tablet", product.route)
    beside = f"21 ({_CONTRACEPTIVE}) / " if "IRON_IN_CONTRACEPTIVE_PACK" in groups else ""
    files.pack(code, f"{{{beside}7 ({name}) }} Pack", [number])


def _components_and_form(name: str, ours: Sequence[str]) -> tuple[list[Component], str]:
    """Return the components and the form of a reduced name; a name without strengths held four or more."""
    matches = [_COMPONENT.match(part) for part in name.split(" / ")]
    if not all(matches):
        form = name.removeprefix(" / ".join(ours)).strip()
        fillers = _FILLERS[: max(0, 4 - len(ours))]
        return [(part, "1 MG") for part in (*ours, *fillers)], form.title()
    found = [(m["name"], _strength(m["strength"])) for m in matches if m]
    last = matches[-1]
    return found, (last["form"] or "").title() if last else ""


def _strength(text: str) -> str:
    return re.sub(r"[A-Za-z]+", lambda m: _UNITS.get(m[0], m[0]), text)


def _release_name(components: Sequence[Component], form: str) -> str:
    return f"{' / '.join(f'{name} {strength}' for name, strength in components)} {form}".strip()
