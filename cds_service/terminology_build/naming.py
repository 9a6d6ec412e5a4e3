"""Names of clinical drugs as RxNorm writes them, reduced to what a card may show; words of brands."""

import re
from collections.abc import Sequence

CANONICAL_NAMES = {
    "divalproex": "valproate",
    "valproic acid": "valproate",
    "iron carbonyl": "carbonyl iron",
    "polysaccharide iron": "iron polysaccharide",
    "ferric gluconate": "sodium ferric gluconate complex",
    "lithium carbonate": "lithium",
}
"""One spelling for each ingredient, where the lists have several."""

_STRENGTH = re.compile(
    r"(?P<name>.+?) (?P<strength>[0-9.,]+ (?:MG|MCG|UNT|MEQ|MMOL|ML|GM|%|MG/MG|\[[^\]]+\])(?:/\S+)?)"
    r"(?: (?P<form>.+))?\Z"
)
_BRAND = re.compile(r"\[([^\[\]]+)\]\s*\Z")
_LEADING_AMOUNT = re.compile(r"\A[0-9.]+ (?:HR|ML|ACTUAT|MG|MIL) (?=[a-z])")
_MOST_COMPONENTS = 3
_LONGEST_NAME = 100
_UNITS = {"MG": "mg", "ML": "mL", "MCG": "mcg", "HR": "h", "ACTUAT": "dose", "UNT": "units", "GM": "g"}

_PACKAGE_WORDS = frozenset({"day", "pack", "kit"})
# Brands that are also plain words: alone they name nothing.
_PLAIN_WORDS = frozenset({("tandem",), ("rest", "simply"), ("reconcile",)})
_SHORTEST_BRAND = 4


def canonical(name: str) -> str:
    """Return the one spelling of an ingredient."""
    folded = name.strip().casefold()
    return CANONICAL_NAMES.get(folded, folded)


def reduced_name(display: str, names: Sequence[str]) -> str:
    """Return a drug name as ingredient, strength and form, without salt, brand and package."""
    text = _BRAND.sub("", display).strip()
    if text.startswith("{"):
        return " / ".join(names) + " pack"
    components = [_LEADING_AMOUNT.sub("", c) for c in text.split(" / ")]
    matches = [_STRENGTH.match(c) for c in components]
    if any(m is None for m in matches) or len(components) > _MOST_COMPONENTS:
        form = next((m["form"] for m in reversed(matches) if m and m["form"]), "")
        return " ".join(part for part in (" / ".join(names), _lower_form(form)) if part)
    parts = [f"{_short_name(m['name'], names)} {_lower_unit(m['strength'])}" for m in matches if m]
    form = _lower_form(matches[-1]["form"] if matches[-1] else None)
    name = f"{' / '.join(parts)} {form}".strip()
    return name if len(name) <= _LONGEST_NAME else f"{' / '.join(names)} {form}".strip()


def _short_name(name: str, names: Sequence[str]) -> str:
    """Return our name of a component, else the name that it has."""
    folded = name.casefold()
    for known in sorted(names, key=len, reverse=True):
        spellings = {known, *(k for k, v in CANONICAL_NAMES.items() if v == known)}
        if any(spelling in folded for spelling in spellings):
            return known
    return folded


def _lower_unit(strength: str) -> str:
    """Return a strength in common spelling (mg, mL)."""
    return re.sub(r"[A-Z]+", lambda m: _UNITS.get(m[0], m[0]), strength)


def _lower_form(form: str | None) -> str:
    """Return a dose form in small letters."""
    return (form or "").casefold()


def brand_words(display: str) -> list[tuple[str, ...]]:
    """Return the words of the brand in brackets: in full, and without package words at the end."""
    match = _BRAND.search(display)
    if match is None:
        return []
    name = re.sub(r"\([^)]*\)|\bbrand of\b.*|\breformulated\b.*", "", match[1].casefold().replace("'", ""))
    words = tuple(re.findall(r"[a-z]+|[0-9]+(?:\.[0-9]+)?", name))
    short = words
    while len(short) > 1 and (not short[-1].isalpha() or short[-1] in _PACKAGE_WORDS):
        short = short[:-1]
    return [w for w in dict.fromkeys((words, short)) if is_brand(w)]


def is_brand(words: tuple[str, ...]) -> bool:
    """Whether words are long and peculiar enough to name a product."""
    return (
        bool(words)
        and words not in _PLAIN_WORDS
        and len("".join(words)) >= _SHORTEST_BRAND
        and words[0].isalpha()
    )
