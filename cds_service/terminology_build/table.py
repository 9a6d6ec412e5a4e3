"""The drug table (`drugs.json`): its ingredients, coded products and brand words, read and written."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cds_service.terminology_build.naming import brand_words

UNKNOWN = "unknown"


class Ingredient(NamedTuple):
    """One ingredient with its groups and codes."""

    name: str
    groups: tuple[str, ...]
    rxnorm: tuple[str, ...]
    atc: tuple[str, ...]


Parts = tuple[tuple[str, tuple[str, ...]], ...]
"""The ingredients of a product, each with its groups in this product."""


class Product(NamedTuple):
    """One clinical drug: its ingredients with their groups, its route and its reduced name."""

    ingredients: Parts
    route: str
    name: str

    @property
    def content(self) -> frozenset[tuple[str, frozenset[str]]]:
        """Return the ingredients with their groups, in no order."""
        return frozenset((name, frozenset(groups)) for name, groups in self.ingredients)


Brands = Mapping[str, tuple[Parts, str]]
"""What the words of a brand say: ingredients and route."""


@dataclass(frozen=True, slots=True)
class Table:
    """The drug table as plain values; `products` by RxCUI, `brands` by their words."""

    ingredients: Mapping[str, Ingredient]
    products: Mapping[str, Product]
    brands: Brands = field(default_factory=dict)

    def groups(self) -> frozenset[str]:
        """Return every group that a code leads to."""
        by_ingredient = (g for i in self.ingredients.values() if i.rxnorm or i.atc for g in i.groups)
        by_product = (g for p in self.products.values() for _, groups in p.ingredients for g in groups)
        return frozenset([*by_ingredient, *by_product])


def read_table(content: bytes) -> Table:
    """Return the table of a `drugs.json`."""
    raw = json.loads(content)
    own = {name: tuple(i["groups"]) for name, i in raw["ingredients"].items()}
    products = [Product(_parts(parts, own), route, name) for parts, route, name in raw["products"]]
    return Table(
        ingredients={
            name: Ingredient(name, tuple(i["groups"]), tuple(i["rxnorm"]), tuple(i["atc"]))
            for name, i in raw["ingredients"].items()
        },
        products={code: products[number] for code, number in raw["clinical_drugs"].items()},
        brands={words: (_parts(parts, own), route) for words, (parts, route) in raw["brands"].items()},
    )


def _parts(parts: Iterable[Any], own: Mapping[str, tuple[str, ...]]) -> Parts:
    return tuple((p, own[p]) if isinstance(p, str) else (p[0], tuple(p[1:])) for p in parts)


def table_json(table: Table, version: str, date: str, notices: Iterable[str]) -> str:
    """Return the `drugs.json` of a table; the same table gives the same text."""
    numbers: dict[Product, int] = {}
    codes = {
        code: numbers.setdefault(table.products[code], len(numbers))
        for code in sorted(table.products, key=int)
    }
    known = table.ingredients
    return _compact(
        {
            "version": version,
            "date": date,
            "notices": list(notices),
            "ingredients": {
                name: {"groups": i.groups, "rxnorm": i.rxnorm, "atc": i.atc}
                for name, i in sorted(known.items())
            },
            "products": [[_written(p.ingredients, known), p.route, p.name] for p in numbers],
            "clinical_drugs": codes,
            "brands": {
                words: [_written(parts, known), route]
                for words, (parts, route) in sorted(table.brands.items(), key=lambda item: item[0].split())
            },
        }
    )


def _written(parts: Parts, known: Mapping[str, Ingredient]) -> list[object]:
    """Return the ingredients of a product; the groups only where they are not the ingredient's own."""
    return [name if known[name].groups == groups else [name, *groups] for name, groups in parts]


def brands_of(drugs: Iterable[tuple[str, Product]]) -> tuple[Brands, frozenset[str]]:
    """Return what the brands in the displays of these drugs say, and the brands that say no one thing."""
    found: dict[tuple[str, ...], set[Product]] = defaultdict(set)
    for display, product in drugs:
        for words in brand_words(display):
            found[words].add(product)
    told = {" ".join(words): _told(products) for words, products in found.items()}
    return (
        {words: brand for words, brand in told.items() if brand is not None},
        frozenset(words for words, brand in told.items() if brand is None),
    )


def _told(products: Iterable[Product]) -> tuple[Parts, str] | None:
    """Return what a brand name says, None where it names different products."""
    listed = list(products)
    contents = {p.content for p in listed}
    if len(contents) != 1:
        return None
    routes = {p.route for p in listed}
    return min(p.ingredients for p in listed), routes.pop() if len(routes) == 1 else UNKNOWN


def _compact(content: Mapping[str, object]) -> str:
    """Return JSON with one line for each member, quick to load and still comparable."""
    lines = [f"{json.dumps(k)}: {_members(v)}" for k, v in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _members(value: object) -> str:
    """Return the JSON of a member, lists and objects with one entry on a line."""
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]"
    return json.dumps(value)
