"""Medicines: RxNorm codes, ATC codes and words lead to one ingredient with its groups.

A clinical drug brings its route; an ingredient or ATC code has none. A text is cut into words, and the
longest name at each place wins, so that a name inside another one ("citalopram" in "escitalopram",
"gabapentin" in "gabapentin enacarbil") is never found. Nothing here keeps a text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cds_service.knowledge.folding import fold, is_foreign

UNKNOWN = "unknown"
ATC_LOCAL = (("D", "topical"), ("S", "ophthalmic"), ("R01", "nasal_inhaled"))
"""The route of ATC main groups D and S and of the nasal group R01: their products act where they are put."""

_LONGEST = 600
_WORD = re.compile(r"[^\W\d_]+|[0-9]+(?:\.[0-9]+)?|%")
# "St. John's" is "St Johns".
_QUOTES = str.maketrans("", "", "'`")
# Shorter Latin words beside a name in another script are units, forms and numbers.
_LETTERS_OF_A_NAME = 4

_IRON = "iron"
_FE = "fe"
_FERROUS_FUMARATE = "ferrous fumarate"
# To swallow in most countries, by injection in some.
_POLYMALTOSE = "ferric polymaltose"
_INJECTION = "injection"
_ORAL_IRON = frozenset({"ORAL_IRON", "IRON_ANY"})
_IV_IRON = frozenset({"IV_IRON"})
_MULTIVITAMIN = frozenset({"IRON_IN_MULTIVITAMIN"})
_CONTRACEPTIVE = frozenset({"IRON_IN_CONTRACEPTIVE_PACK"})
_ANY_IRON = _ORAL_IRON | _IV_IRON | _MULTIVITAMIN | _CONTRACEPTIVE | {"IV_IRON_DIALYSATE"}

_ANTIHISTAMINE = "ANTIHIST"
_DOXEPIN = "doxepin"
_SEDATING = frozenset({"ANTIHIST_SEDATING"})
_LOW_DOSES = frozenset({"3", "6"})
_MILLIGRAMS = re.compile(r"\b([0-9]+(?:\.[0-9]+)?) mg\b(?! (?:ml|g)\b)")
# Shorter names are too close to words that mean something else.
_LETTERS_TO_VARY = 7
_STRENGTH = re.compile(r"\b([0-9]+(?:\.[0-9]+)?) (mg|mcg|g|%)(?: (ml|hr|h)\b)?")
_FORM = re.compile(
    r"\b(tablet|capsule|solution|suspension|syrup|elixir|cream|ointment|gel|patch|spray|injection|infusion"
    r"|suppository|drops|lozenge|gum|film)(?:e?s)?\b"
)


@dataclass(frozen=True, slots=True)
class ProductIngredient:
    """One of our ingredients in a product, with its groups in this product."""

    name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class DrugProduct:
    """What a code or a text says of a medicine: our ingredients in it, its route, a short name.

    `usual_route` is the one to take when neither the code nor the record names a route.
    """

    ingredients: tuple[ProductIngredient, ...]
    route: str
    name: str
    is_by_text: bool
    usual_route: str = UNKNOWN


class _Name(NamedTuple):
    """A name in words: what it stands for, and the route that it implies."""

    words: tuple[str, ...]
    ingredients: tuple[ProductIngredient, ...]
    route: str


class _Hit(NamedTuple):
    name: _Name
    end: int


@dataclass(frozen=True, slots=True)
class _Denials:
    """The words by which a text takes its medicine back, by where they stand."""

    anywhere: re.Pattern[str]
    before: re.Pattern[str]
    after: re.Pattern[str]
    allergy_after: re.Pattern[str]

    def apply(self, name: _Name, whole: str, before: str, after: str) -> bool:
        """Return whether a text whose first medicine is `name` takes it back."""
        if self.anywhere.search(whole) or self.before.search(before) or self.after.search(after):
            return True
        # "Benadryl Allergy" is a product.
        is_antihistamine = any(g.startswith(_ANTIHISTAMINE) for i in name.ingredients for g in i.groups)
        return not is_antihistamine and self.allergy_after.search(after) is not None


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of products that are more than the names of their ingredients."""

    contraceptives: re.Pattern[str]
    contraceptive_iron: re.Pattern[str]
    multivitamins: re.Pattern[str]
    any_vitamin: re.Pattern[str]
    no_iron: re.Pattern[str]
    iron_by_vein: re.Pattern[str]
    denials: _Denials
    no_medicine: re.Pattern[str]
    foreign: frozenset[str]
    routes: tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True, slots=True)
class Drugs:
    """The index of medicines; `ingredients` has the groups of each by its one name."""

    ingredients: Mapping[str, ProductIngredient]
    by_rxnorm: Mapping[str, DrugProduct]
    by_atc: Mapping[str, DrugProduct]
    iron_by_atc: tuple[tuple[str, DrugProduct], ...]
    names: Mapping[str, tuple[_Name, ...]]
    words: _Words

    def by_atc_code(self, code: str) -> DrugProduct | None:
        """Return the product of an ATC code in capitals: its ingredient, else the iron of its group."""
        found = self.by_atc.get(code)
        if found is not None:
            return found
        return next((iron for group, iron in self.iron_by_atc if code.startswith(group)), None)

    def by_text(self, text: str) -> DrugProduct | None:
        """Return the product that a text names, None when it names none of our ingredients."""
        words = words_of(text)
        hits = list(self._hits(words))
        if not hits and _FE not in words:
            return None
        plain = " ".join(words)
        if self.words.no_medicine.search(plain) or self._says_more(words, hits):
            return None
        found = self._ingredients(hits, plain)
        if not found:
            return None
        route = self._route(plain) or _common(hit.name.route for hit in hits)
        return DrugProduct(found, route, _short_name(found, plain), is_by_text=True)

    def _says_more(self, words: Sequence[str], hits: Sequence[_Hit]) -> bool:
        """Whether words of another script say more of a name in that script than we can read."""
        named = {word for hit in hits for word in hit.name.words}
        if not any(is_foreign(word) for word in named):
            return False
        return any(is_foreign(word) and word not in self.words.foreign for word in words if word not in named)

    def is_not_taken(self, text: str) -> bool:
        """Whether a text says of its medicine that it is not taken: an allergy, a refusal, a past course."""
        words = words_of(text)
        first = next(self._hits(words), None)
        if first is None:
            return False
        start = first.end - len(first.name.words)
        parts = (" ".join(part) for part in (words, words[:start], words[first.end :]))
        return self.words.denials.apply(first.name, *parts)

    def _hits(self, words: Sequence[str]) -> Iterator[_Hit]:
        at = 0
        while at < len(words):
            hit = self._longest(words, at)
            if hit is None:
                at += 1
            else:
                yield hit
                at = hit.end

    def _longest(self, words: Sequence[str], at: int) -> _Hit | None:
        for name in self.names.get(words[at], ()):
            end = at + len(name.words)
            if tuple(words[at:end]) == name.words:
                return _Hit(name, end)
        return None

    def _ingredients(self, hits: Iterable[_Hit], plain: str) -> tuple[ProductIngredient, ...]:
        found: dict[str, ProductIngredient] = {}
        for hit in hits:
            for part in hit.name.ingredients:
                known = found.get(part.name)
                # What a brand says of its ingredient is more precise than the ingredient's own groups.
                if known is None or known == self.ingredients[part.name]:
                    found[part.name] = part
        self._settle_iron(found, plain)
        if _DOXEPIN in found and _is_low_dose(plain):
            found[_DOXEPIN] = ProductIngredient(_DOXEPIN, _SEDATING)
        return tuple(found.values())

    def _settle_iron(self, found: dict[str, ProductIngredient], plain: str) -> None:
        """Drop the bare word beside a salt, and tell iron therapy from vitamins and contraceptives."""
        words = self.words
        if _IRON in found and (_has_iron(found, besides=_IRON) or words.no_iron.search(plain)):
            del found[_IRON]
        if words.contraceptives.search(plain) and words.contraceptive_iron.search(plain):
            if not _has_iron(found):
                found[_FERROUS_FUMARATE] = self.ingredients[_FERROUS_FUMARATE]
            _regroup(found, _CONTRACEPTIVE)
        elif words.multivitamins.search(plain) or (_IRON in found and words.any_vitamin.search(plain)):
            _regroup(found, _MULTIVITAMIN)
        elif _IRON in found and words.iron_by_vein.search(plain):
            found[_IRON] = ProductIngredient(_IRON, _IV_IRON)
        elif _POLYMALTOSE in found and self._route(plain) == _INJECTION:
            found[_POLYMALTOSE] = ProductIngredient(_POLYMALTOSE, _IV_IRON)

    def _route(self, plain: str) -> str | None:
        return next((route for route, pattern in self.words.routes if pattern.search(plain)), None)


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a text, small letters, joined ones ("325mg") apart."""
    return _WORD.findall(fold(text[:_LONGEST]).translate(_QUOTES))


def is_readable(text: str) -> bool:
    """Whether a text can name a medicine for us: it has letters, and not only of other scripts.

    A Latin name beside words of another script is enough. Not readable is no verdict on the medicine: a name
    that is known in another script is found all the same.
    """
    words = [word for word in words_of(text) if word[0].isalpha()]
    foreign = [word for word in words if is_foreign(word)]
    if not foreign:
        return bool(words)
    return any(len(word) >= _LETTERS_OF_A_NAME for word in words if word not in foreign)


def _has_iron(found: Mapping[str, ProductIngredient], besides: str | None = None) -> bool:
    return any(part.groups & _ANY_IRON for name, part in found.items() if name != besides)


def _regroup(found: dict[str, ProductIngredient], groups: frozenset[str]) -> None:
    for name, part in found.items():
        if part.groups & _ORAL_IRON:
            found[name] = ProductIngredient(name, groups)


def _is_low_dose(plain: str) -> bool:
    strengths = _MILLIGRAMS.findall(plain)
    return bool(strengths) and strengths[0] in _LOW_DOSES


def _common(routes: Iterable[str]) -> str:
    named = set(routes)
    return named.pop() if len(named) == 1 else UNKNOWN


def _short_name(found: Sequence[ProductIngredient], plain: str) -> str:
    names = " / ".join(part.name for part in found)
    if len(found) > 1:
        return names
    strength, form = _STRENGTH.search(plain), _FORM.search(plain)
    parts = [names]
    if strength is not None:
        parts.append(f"{strength[1]} {strength[2]}" + (f"/{strength[3]}" if strength[3] else ""))
    if form is not None:
        parts.append(form[1])
    return " ".join(parts).replace("/ml", "/mL")


# ------------------------------------------------------------------------------------------- loading
def load_drugs(content: bytes, terms: Mapping[str, Any], extra: Mapping[str, Any]) -> Drugs:
    """Return the index of the packaged `drugs.json`, with the words of medicines and the extra codes."""
    table = json.loads(content)
    groups = {name: i["groups"] for name, i in table["ingredients"].items()}
    groups |= {row["name"]: row["groups"] for row in extra["ingredient"]}
    own = {name: ProductIngredient(name, frozenset(g)) for name, g in groups.items()}
    plain = {name: DrugProduct((part,), UNKNOWN, name, is_by_text=False) for name, part in own.items()}
    clinical = [
        DrugProduct(_parts(parts, own), route, name, is_by_text=False)
        for parts, route, name in table["products"]
    ]
    by_rxnorm = {code: clinical[number] for code, number in table["clinical_drugs"].items()}
    by_rxnorm |= {code: plain[name] for name, i in table["ingredients"].items() for code in i["rxnorm"]}
    by_atc = {code: plain[name] for name, i in table["ingredients"].items() for code in i["atc"]}
    by_atc |= {code: plain[name] for code, name in extra["atc"].items()}
    names = _index(_names(table["brands"], terms, own))
    return Drugs(own, by_rxnorm, by_atc, _iron_by_atc(extra["iron_by_atc"]), names, _product_words(terms))


def _iron_by_atc(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, DrugProduct], ...]:
    """Return the iron of ATC groups, the longest code first."""
    found = [
        (
            row["code"],
            DrugProduct(
                (ProductIngredient(row["ingredient"], frozenset(row["groups"])),),
                row.get("route", UNKNOWN),
                row.get("name", row["ingredient"]),
                is_by_text=False,
                usual_route=row.get("usual_route", UNKNOWN),
            ),
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda pair: len(pair[0]), reverse=True))


def _parts(parts: Iterable[Any], own: Mapping[str, ProductIngredient]) -> tuple[ProductIngredient, ...]:
    # A name alone has its own groups; a list has those of this product behind the name.
    return tuple(own[p] if isinstance(p, str) else ProductIngredient(p[0], frozenset(p[1:])) for p in parts)


def _names(
    brands: Mapping[str, Any], terms: Mapping[str, Any], own: Mapping[str, ProductIngredient]
) -> Iterator[_Name]:
    """Yield every name; of two with the same words the first counts."""
    known: set[tuple[str, ...]] = set()
    foreign = _spelt(terms["other_scripts"]["names"], own)
    for name in (*_own_names(terms["names"], own), *foreign, *_own_brands(terms, own)):
        known.add(name.words)
        yield name
    for spoken, (parts, route) in brands.items():
        words = tuple(spoken.split())
        known.add(words)
        yield _Name(words, _parts(parts, own), route)
    for name in _own_names(terms["names"], own):
        yield from (name._replace(words=w) for w in _other_spellings(name.words) if w not in known)


def _own_names(others: Mapping[str, Sequence[str]], own: Mapping[str, ProductIngredient]) -> Iterator[_Name]:
    for name, part in own.items():
        for spelling in (name, *others.get(name, ())):
            yield _Name(tuple(words_of(spelling)), (part,), UNKNOWN)


def _spelt(spellings: Mapping[str, Sequence[str]], own: Mapping[str, ProductIngredient]) -> Iterator[_Name]:
    for name, spelled in spellings.items():
        yield from (_Name(tuple(words_of(one)), (own[name],), UNKNOWN) for one in spelled)


def _own_brands(terms: Mapping[str, Any], own: Mapping[str, ProductIngredient]) -> Iterator[_Name]:
    for route, table in terms["brands"].items():
        for ingredients, brands in table.items():
            parts = tuple(own[name] for name in ingredients.split("/"))
            yield from (_Name(tuple(brand.split()), parts, route) for brand in brands)
    for row in terms["brand"]:
        part = ProductIngredient(own[row["ingredient"]].name, frozenset(row["groups"]))
        yield from (_Name(tuple(brand.split()), (part,), row["route"]) for brand in row["words"])
    # A longer name without ingredients takes its words away from the shorter one of ours.
    yield from (_Name(tuple(other.split()), (), UNKNOWN) for other in terms["others"]["words"])


def _other_spellings(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield a substance name as languages write it that end it otherwise: "sertralin", "sertralina"."""
    word = words[0]
    if len(words) == 1 and len(word) >= _LETTERS_TO_VARY and word.endswith("e"):
        yield (word[:-1],)
        yield (f"{word[:-1]}a",)


def _index(names: Iterable[_Name]) -> dict[str, tuple[_Name, ...]]:
    by_first: dict[str, list[_Name]] = {}
    for name in names:
        by_first.setdefault(name.words[0], []).append(name)
    return {
        word: tuple(sorted(group, key=lambda n: len(n.words), reverse=True))
        for word, group in by_first.items()
    }


def _product_words(terms: Mapping[str, Any]) -> _Words:
    return _Words(
        _any_of(terms["contraceptives"]),
        _any_of([terms["contraceptive_iron"]]),
        _any_of(terms["multivitamins"]),
        _any_of(terms["any_vitamin"]),
        _any_of(terms["no_iron"]),
        _any_of(terms["iron_by_vein"]),
        _Denials(
            _any_of(terms["not_taken"]),
            _any_of(terms["not_taken_before"]),
            _any_of(terms["not_taken_after"]),
            _any_of(terms["allergy_after"]),
        ),
        _any_of(terms["no_medicine"]),
        frozenset(word for spelt in terms["other_scripts"]["words"] for word in words_of(spelt)),
        tuple((entry["route"], _any_of(entry["words"])) for entry in terms["route"]),
    )


def _any_of(words: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{word})" for word in words))
