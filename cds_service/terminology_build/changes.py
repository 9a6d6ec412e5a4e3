"""What a renewal changes, by ingredient, as plain values and as text."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from cds_service.terminology_build.renewal import Renewal
from cds_service.terminology_build.table import Product, Table

_SHOWN = 5


class Kind(StrEnum):
    """What happened to a code."""

    ADDED = "added"
    REMOVED = "removed"
    REGROUPED = "group changed"
    REROUTED = "route changed"
    RENAMED = "name changed"
    KEPT = "kept though retired"


_IN_FULL = frozenset({Kind.REMOVED, Kind.REGROUPED, Kind.REROUTED})
"""What the text names one by one: a reviewer has to see each of them."""


class Change(NamedTuple):
    """One code: its kind of concept ("" when the release has it no more), its name, and what changed."""

    kind: Kind
    code: str
    term_type: str
    name: str
    what: str


class Changes(NamedTuple):
    """All changes by ingredient; a combination stands under each of its ingredients, but is counted once."""

    counts: Mapping[Kind, int]
    by_ingredient: Mapping[str, Sequence[Change]]
    codes_added: Mapping[str, Sequence[str]]
    codes_removed: Mapping[str, Sequence[str]]
    brands_added: Sequence[str]
    brands_removed: Sequence[str]
    brands_changed: Sequence[str]


def changes_of(renewal: Renewal) -> Changes:
    """Return what a renewal changes."""
    by_ingredient: dict[str, list[Change]] = defaultdict(list)
    counts: Counter[Kind] = Counter()
    before, after = renewal.before.products, renewal.after.products
    for code in sorted(before.keys() | after.keys(), key=int):
        owners = {n for p in (before.get(code), after.get(code)) if p is not None for n, _ in p.ingredients}
        for change in _changes(renewal, code):
            counts[change.kind] += 1
            for owner in sorted(owners):
                by_ingredient[owner].append(change)
    old, new = renewal.before, renewal.after
    brands = old.brands, new.brands
    return Changes(
        {kind: counts[kind] for kind in Kind},
        dict(sorted(by_ingredient.items())),
        dict(_codes_beyond(new, old)),
        dict(_codes_beyond(old, new)),
        sorted(brands[1].keys() - brands[0].keys()),
        sorted(brands[0].keys() - brands[1].keys()),
        sorted(w for w in brands[0].keys() & brands[1].keys() if brands[0][w] != brands[1][w]),
    )


def _changes(renewal: Renewal, code: str) -> Iterator[Change]:
    old, new = renewal.before.products.get(code), renewal.after.products.get(code)
    term_type = renewal.found.kinds.get(int(code), "")
    if new is None:
        yield Change(Kind.REMOVED, code, term_type, old.name if old else "", renewal.removed[code])
    elif old is None:
        yield Change(Kind.ADDED, code, term_type, new.name, f"{_content(new)}; {new.route}")
    elif code in renewal.kept:
        yield Change(Kind.KEPT, code, term_type, new.name, renewal.kept[code])
    else:
        yield from _differences(old, new, code, term_type)


def _differences(old: Product, new: Product, code: str, term_type: str) -> Iterator[Change]:
    if old.content != new.content:
        yield Change(Kind.REGROUPED, code, term_type, new.name, f"{_content(old)} -> {_content(new)}")
    if old.route != new.route:
        yield Change(Kind.REROUTED, code, term_type, new.name, f"{old.route} -> {new.route}")
    if old.name != new.name:
        yield Change(Kind.RENAMED, code, term_type, new.name, f"{old.name} -> {new.name}")


def _content(product: Product) -> str:
    return ", ".join(f"{name} ({' '.join(groups)})" for name, groups in product.ingredients)


def _codes_beyond(one: Table, other: Table) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the ingredient codes (RxCUI, ATC) that the first table has and the second has not."""
    for name, ingredient in one.ingredients.items():
        known = other.ingredients[name]
        codes = sorted({*ingredient.rxnorm, *ingredient.atc} - {*known.rxnorm, *known.atc})
        if codes:
            yield name, codes


def plain(renewal: Renewal, changes: Changes, release: str) -> dict[str, object]:
    """Return the report as plain values for JSON, complete."""
    return {
        "release": release,
        "problems": list(renewal.problems),
        "counts": {kind.value: changes.counts[kind] for kind in Kind},
        "ingredients": {
            name: [change._asdict() for change in listed] for name, listed in changes.by_ingredient.items()
        },
        "ingredientCodesAdded": changes.codes_added,
        "ingredientCodesRemoved": changes.codes_removed,
        "brandsAdded": changes.brands_added,
        "brandsRemoved": changes.brands_removed,
        "brandsChanged": changes.brands_changed,
        "groupersLeftOut": [
            {"code": str(code), "name": renewal.found.names[code]} for code in renewal.found.ambiguous
        ],
        "atcLeftOut": [{"ingredient": name, "code": code} for name, code in renewal.atc_left_out],
        "doseFormsWithoutRoute": list(renewal.found.forms_without_route),
    }


def text(renewal: Renewal, changes: Changes, release: str) -> str:
    """Return the report for a reader: problems, counts, then each ingredient."""
    lines = [f"RxNorm release of {release}", ""]
    lines += [f"PROBLEM  {problem}" for problem in renewal.problems]
    lines += [f"{changes.counts[kind]:>7}  {kind.value}" for kind in Kind]
    lines += [""] if changes.by_ingredient else []
    for name, listed in changes.by_ingredient.items():
        lines.append(f"{name}: {_summary(listed)}")
        lines += _listed(listed)
    lines += _codes("Ingredient codes added", changes.codes_added)
    lines += _codes("Ingredient codes removed", changes.codes_removed)
    lines += _words("Brands added", changes.brands_added)
    lines += _words("Brands removed", changes.brands_removed)
    lines += _words("Brands that say something else", changes.brands_changed)
    lines += _words(
        "Left out, since their drugs differ", [renewal.found.names[c] for c in renewal.found.ambiguous]
    )
    lines += _words("ATC codes left out", [f"{code} ({name})" for name, code in renewal.atc_left_out])
    lines += _words("Dose forms without a route", renewal.found.forms_without_route)
    return "\n".join(lines)


def _summary(listed: Sequence[Change]) -> str:
    counts = Counter(change.kind for change in listed)
    return ", ".join(f"{counts[kind]} {kind.value}" for kind in Kind if counts[kind])


def _listed(listed: Sequence[Change]) -> Iterator[str]:
    for kind in Kind:
        of_kind = [change for change in listed if change.kind is kind]
        shown = of_kind if kind in _IN_FULL else of_kind[:_SHOWN]
        yield from (f"  {kind.value}: {c.code} {c.term_type} {c.name} [{c.what}]" for c in shown)
        if len(shown) < len(of_kind):
            yield f"  {kind.value}: {len(of_kind) - len(shown)} more (all with --json)"


def _codes(title: str, codes: Mapping[str, Sequence[str]]) -> list[str]:
    if not codes:
        return []
    return ["", f"{title}:", *(f"  {name}: {' '.join(listed)}" for name, listed in codes.items())]


def _words(title: str, words: Sequence[str]) -> list[str]:
    return ["", f"{title} ({len(words)}):", *(f"  {word}" for word in words)] if words else []
