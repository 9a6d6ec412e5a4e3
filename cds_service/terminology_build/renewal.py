"""The drug table renewed from a release: what is found replaces, what RxNorm retired stays, losses show."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cds_service.terminology_build.drugs import Found, find_drugs, ingredient_of
from cds_service.terminology_build.naming import CANONICAL_NAMES
from cds_service.terminology_build.release import DRUG_KINDS, GROUPER_KINDS, INGREDIENT_KINDS, Release
from cds_service.terminology_build.rules import Rules
from cds_service.terminology_build.table import Brands, Ingredient, Product, Table, brands_of


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller decides.

    `absent`: ingredients that are known not to be in this release, whose codes stay as they are.
    `is_old_dropped`: codes that RxNorm retired leave the table; records go on holding them for years.
    """

    absent: frozenset[str] = frozenset()
    is_old_dropped: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """The table before and after.

    `kept` and `removed` have the reason by RxCUI, `problems` what has to be settled before the table is used.
    """

    before: Table
    after: Table
    found: Found
    ingredient_names: Mapping[str, str]
    kept: Mapping[str, str]
    removed: Mapping[str, str]
    atc_left_out: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


def renew(
    before: Table, release: Release, rules: Rules, other_atc: Collection[str], wishes: Wishes
) -> Renewal:
    """Return the table renewed from a release; raises `ReleaseError`.

    `other_atc` are ATC codes that the knowledge base reads by other means.
    """
    started = {name: _recoded(i, release, before) for name, i in before.ingredients.items()}
    codes = {str(code): name for code, name in ingredient_of(release, started.values()).items()}
    names = {str(code): name for code, name in release.names({int(code) for code in codes}).items()}
    found = find_drugs(release, started, rules)
    kept, removed = _unfound(before, release, found, wishes)
    atc = _AtcCodes(before, release, rules, other_atc)
    ingredients = {
        name: _renewed(
            ingredient, codes, atc, is_old_dropped=wishes.is_old_dropped and name not in wishes.absent
        )
        for name, ingredient in started.items()
    }
    products = {str(code): product for code, product in found.products.items()}
    products |= {code: before.products[code] for code in kept}
    after = Table(ingredients, products, _brands(before, found, is_old_dropped=wishes.is_old_dropped))
    return Renewal(
        before,
        after,
        found,
        names,
        kept,
        removed,
        tuple(sorted(atc.left_out)),
        tuple(_problems(before, after, codes.values(), wishes)),
    )


def _recoded(ingredient: Ingredient, release: Release, before: Table) -> Ingredient:
    """Return an ingredient with the code of its name where none of its own codes is in use."""
    if any(release.kind(int(code)) in INGREDIENT_KINDS for code in ingredient.rxnorm):
        return ingredient
    taken = {code for other in before.ingredients.values() for code in other.rxnorm}
    spellings = (ingredient.name, *(k for k, v in CANONICAL_NAMES.items() if v == ingredient.name))
    named = {str(release.ingredient_names[s]) for s in spellings if s in release.ingredient_names}
    return ingredient._replace(rxnorm=tuple(sorted({*ingredient.rxnorm, *(named - taken)})))


def _renewed(
    ingredient: Ingredient, codes: Mapping[str, str], atc: "_AtcCodes", *, is_old_dropped: bool
) -> Ingredient:
    """Return an ingredient with the codes of its salts, retired ones dropped if that is wished."""
    live = {code for code, name in codes.items() if name == ingredient.name}
    rxnorm = live if is_old_dropped else {*ingredient.rxnorm, *live}
    return ingredient._replace(rxnorm=tuple(sorted(rxnorm)), atc=atc.of(ingredient))


class _AtcCodes:
    """The ATC codes of the ingredients: those of the table, and new ones that nothing else explains."""

    def __init__(self, before: Table, release: Release, rules: Rules, others: Collection[str]) -> None:
        self.left_out: set[tuple[str, str]] = set()
        self._release = release
        self._rules = rules
        self._known = {*others, *(code for i in before.ingredients.values() for code in i.atc)}

    def of(self, ingredient: Ingredient) -> tuple[str, ...]:
        """Return the ATC codes of an ingredient, and note those that were left out."""
        offered = {
            atc
            for code in ingredient.rxnorm
            if self._release.kind(int(code)) == "IN"
            for atc in self._release.atc.get(int(code), ())
        }
        new = offered - self._known
        if not self._rules.no_atc_for.isdisjoint(ingredient.groups):
            self.left_out |= {(ingredient.name, atc) for atc in new}
            new = set()
        return tuple(sorted({*ingredient.atc, *new}))


def _unfound(
    before: Table, release: Release, found: Found, wishes: Wishes
) -> tuple[dict[str, str], dict[str, str]]:
    """Return why each drug of the table that was not found stays, and why it goes."""
    kept: dict[str, str] = {}
    removed: dict[str, str] = {}
    ambiguous = frozenset(found.ambiguous)
    for code, product in before.products.items():
        number = int(code)
        if number in found.products:
            continue
        is_waived = any(name in wishes.absent for name, _ in product.ingredients)
        if number in found.veterinary:
            removed[code] = "for animals only"
        elif number in ambiguous:
            removed[code] = "its drugs differ in what they hold"
        elif release.kind(number) in DRUG_KINDS | GROUPER_KINDS and not is_waived:
            removed[code] = "in use, but holds none of our ingredients"
        elif wishes.is_old_dropped and not is_waived:
            removed[code] = _retired(release, number)
        else:
            kept[code] = _retired(release, number)
    return kept, removed


def _retired(release: Release, code: int) -> str:
    concept = release.concepts.get(code)
    return "not in the release" if concept is None else f"retired by RxNorm (SUPPRESS={concept.suppress})"


def _brands(before: Table, found: Found, *, is_old_dropped: bool) -> Brands:
    """Return the brands of the drugs found; those of older lists stay unless they now say several things."""
    drugs = ((found.names[code], p) for code, p in found.products.items() if found.kinds[code] in DRUG_KINDS)
    new, unclear = brands_of(drugs)
    if is_old_dropped:
        return new
    return {**{words: brand for words, brand in before.brands.items() if words not in unclear}, **new}


def _problems(before: Table, after: Table, live: Collection[str], wishes: Wishes) -> Iterator[str]:
    """Yield what would be lost: an ingredient, all drugs of one, the last code of a group."""
    found = frozenset(live)
    for unknown in sorted(wishes.absent - before.ingredients.keys()):
        yield f"{unknown}: named as absent, but no ingredient of the knowledge base"
    for name, ingredient in before.ingredients.items():
        if ingredient.rxnorm and name not in found and name not in wishes.absent:
            codes = ", ".join(ingredient.rxnorm)
            yield f"{name}: not in the release, neither by its RxCUI ({codes}) nor by its name"
    with_drugs, still = (_with_drugs(table.products) for table in (before, after))
    for name in sorted(with_drugs - still):
        yield f"{name}: all of its drugs would be gone"
    for group in sorted(before.groups() - after.groups()):
        yield f"group {group}: would be empty"


def _with_drugs(products: Mapping[str, Product]) -> set[str]:
    return {name for product in products.values() for name, _ in product.ingredients}
