"""From the ingredients of the knowledge base along the relations of RxNorm to every drug that holds one.

IN, PIN <- SCDC <- SCD <- SBD          what a drug holds: consists_of, has_ingredient, tradename_of
                   SCD <- GPCK         what a pack holds: contains
             SBD, SCD <- BPCK <- GPCK
SCD -> DF -> DFG                       its route: has_dose_form, isa
SCDF <- SCD, SBDF <- SBD, BN <- SBD, MIN <- SCD
                                       a form, brand or combination means what all its drugs agree on
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cds_service.terminology_build.naming import reduced_name
from cds_service.terminology_build.release import INGREDIENT_KINDS, Release
from cds_service.terminology_build.rules import Drug, Rules
from cds_service.terminology_build.table import UNKNOWN, Ingredient, Parts, Product

_CLINICAL, _BRANDED, _PACK, _BRANDED_PACK = ("SCD",), ("SBD",), ("GPCK",), ("BPCK",)
_STRENGTH_AT_END = re.compile(r" ([0-9.,]+ \S+)\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """The products by RxCUI with their kinds and names in RxNorm, and what could not be settled."""

    products: Mapping[int, Product]
    kinds: Mapping[int, str]
    names: Mapping[int, str]
    veterinary: frozenset[int]
    ambiguous: tuple[int, ...]
    forms_without_route: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Graph:
    """The relations that are walked, each from a concept to those that it names."""

    components: Mapping[int, list[int]]
    clinical_of: Mapping[int, list[int]]
    contents: Mapping[int, list[int]]
    forms: Mapping[int, list[int]]
    form_groups: Mapping[int, list[int]]
    groupers: Mapping[int, list[int]]


def ingredient_of(release: Release, ingredients: Iterable[Ingredient]) -> dict[int, str]:
    """Return the ingredient of each RxCUI in use: its own codes, and the salts of its ingredients."""
    own = {
        int(code): ingredient.name
        for ingredient in ingredients
        for code in ingredient.rxnorm
        if release.kind(int(code)) in INGREDIENT_KINDS
    }
    salts = release.targets("form_of", ("PIN",), ("IN",))
    by_salt = {salt: own[base] for salt, bases in salts.items() for base in bases if base in own}
    return {**by_salt, **own}


def find_drugs(release: Release, ingredients: Mapping[str, Ingredient], rules: Rules) -> Found:
    """Return every drug of these ingredients in the release; raises `ReleaseError`."""
    followed = {n: i for n, i in ingredients.items() if n not in rules.not_followed}
    holds = _components(release, ingredient_of(release, followed.values()))
    graph = _graph(release, holds)
    wanted = {*graph.clinical_of, *graph.groupers, *holds}
    wanted |= {code for codes in (*graph.forms.values(), *graph.form_groups.values()) for code in codes}
    names = release.names(wanted)
    routes = _routes(graph, names, rules)
    drugs = dict(_drugs(graph, holds, names, routes, ingredients, rules))
    veterinary = release.veterinary(drugs.keys())
    drugs = {code: product for code, product in drugs.items() if code not in veterinary}
    groupers, ambiguous = _grouped(release, graph, drugs)
    products = {**drugs, **groupers}
    return Found(
        products,
        {code: release.kind(code) for code in products},
        {code: names.get(code, "") for code in (*products, *ambiguous)},
        veterinary,
        tuple(sorted(ambiguous)),
        tuple(sorted({names.get(f, str(f)) for f, route in routes.items() if route == UNKNOWN})),
    )


def _components(release: Release, by_code: Mapping[int, str]) -> dict[int, str]:
    """Return our ingredient of each component (SCDC): the salt is more precise than its base."""
    found: dict[int, str] = {}
    for relation, kind in (("has_ingredient", "IN"), ("has_precise_ingredient", "PIN")):
        for component, targets in release.targets(relation, ("SCDC",), (kind,)).items():
            ours = [by_code[target] for target in targets if target in by_code]
            if ours:
                found[component] = ours[0]
    return found


def _graph(release: Release, holds: Mapping[int, str]) -> _Graph:
    components = release.targets("consists_of", _CLINICAL, ("SCDC",))
    ours = {drug for drug, parts in components.items() if any(part in holds for part in parts)}
    trade = release.targets("tradename_of", _BRANDED, _CLINICAL)
    clinical_of = {drug: [drug] for drug in ours}
    clinical_of |= {drug: of for drug, of in trade.items() if any(one in ours for one in of)}
    packs = release.targets("contains", (*_PACK, *_BRANDED_PACK), (*_CLINICAL, *_BRANDED))
    contents = {pack: drugs for pack, drugs in packs.items() if any(d in clinical_of for d in drugs)}
    forms = release.targets("has_dose_form", _CLINICAL, ("DF",))
    return _Graph(
        {drug: components[drug] for drug in ours},
        {
            **clinical_of,
            **{p: sorted({c for d in ds for c in clinical_of.get(d, ())}) for p, ds in contents.items()},
        },
        contents,
        {drug: forms.get(drug, []) for drug in ours},
        release.targets("isa", ("DF",), ("DFG",)),
        _groupers(release, clinical_of.keys() | contents.keys()),
    )


def _groupers(release: Release, drugs: Iterable[int]) -> dict[int, list[int]]:
    """Return the drugs of each form, brand and combination."""
    known = set(drugs)
    found: dict[int, list[int]] = defaultdict(list)
    for relation, kinds, of in (
        ("isa", _CLINICAL, ("SCDF",)),
        ("isa", _BRANDED, ("SBDF",)),
        ("has_ingredient", (*_BRANDED, *_BRANDED_PACK), ("BN",)),
        ("has_ingredients", _CLINICAL, ("MIN",)),
    ):
        for drug, groupers in release.targets(relation, kinds, of).items():
            for grouper in groupers if drug in known else ():
                found[grouper].append(drug)
    return found


def _routes(graph: _Graph, names: Mapping[int, str], rules: Rules) -> dict[int, str]:
    """Return the route of each dose form of our drugs."""
    forms = {form for listed in graph.forms.values() for form in listed}
    return {form: rules.route(names.get(g, "") for g in graph.form_groups.get(form, ())) for form in forms}


def _drugs(
    graph: _Graph,
    holds: Mapping[int, str],
    names: Mapping[int, str],
    routes: Mapping[int, str],
    ingredients: Mapping[str, Ingredient],
    rules: Rules,
) -> Iterator[tuple[int, Product]]:
    """Yield every drug and pack with what it holds."""
    for code, clinical in graph.clinical_of.items():
        ours = [drug for drug in clinical if drug in graph.components]
        strengths = {
            holds[c]: _strength(names.get(c, "")) for d in ours for c in graph.components[d] if c in holds
        }
        drug = Drug(names.get(code, ""), max(len(graph.components[d]) for d in ours), strengths)
        parts = tuple((n, rules.groups(n, ingredients[n].groups, drug)) for n in sorted(strengths))
        route = _common(routes[f] for d in ours for f in graph.forms[d])
        yield code, Product(parts, route, reduced_name(drug.name, [name for name, _ in parts]))


def _strength(component: str) -> str:
    """Return the strength at the end of a component's name, as "3 MG"."""
    match = _STRENGTH_AT_END.search(component)
    return match[1] if match else ""


def _common(routes: Iterable[str]) -> str:
    named = set(routes)
    return named.pop() if len(named) == 1 else UNKNOWN


def _grouped(
    release: Release, graph: _Graph, drugs: Mapping[int, Product]
) -> tuple[dict[int, Product], list[int]]:
    """Return what each form, brand and combination means, and those whose drugs do not agree."""
    found: dict[int, Product] = {}
    ambiguous = []
    for grouper, members in graph.groupers.items():
        products = [drugs[m] for m in members if m in drugs]
        contents = {p.content for p in products}
        if len(contents) == 1:
            found[grouper] = _NAMED[release.kind(grouper)](products)
        elif contents:
            ambiguous.append(grouper)
    return found, ambiguous


def _of_form(products: list[Product]) -> Product:
    parts, route = _parts_and_route(products)
    form = "" if route in {UNKNOWN, "other"} else f", {route.replace('_', ' or ')}"
    return Product(parts, route, f"{_joined(parts)}{form}")


def _of_brand(products: list[Product]) -> Product:
    parts, route = _parts_and_route(products)
    return Product(parts, route, _joined(parts))


def _of_combination(products: list[Product]) -> Product:
    # A combination of substances says nothing of the form, whatever forms are sold today.
    parts, _ = _parts_and_route(products)
    return Product(parts, UNKNOWN, _joined(parts))


_NAMED: Mapping[str, Callable[[list[Product]], Product]] = {
    "SCDF": _of_form,
    "SBDF": _of_form,
    "BN": _of_brand,
    "MIN": _of_combination,
}


def _parts_and_route(products: list[Product]) -> tuple[Parts, str]:
    return products[0].ingredients, _common(p.route for p in products)


def _joined(parts: Parts) -> str:
    return " / ".join(name for name, _ in parts)
