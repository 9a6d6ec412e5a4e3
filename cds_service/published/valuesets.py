"""Every code group of the knowledge base as a ValueSet, and the lists of medicines that the CQL names.

The packaged ValueSets bring displays and sources. What is in a set is what the terminology reads: it knows
some codes beside them, and none of SNOMED CT where the site has no licence.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import NamedTuple

from cds_service.clinical.facts import Route
from cds_service.clinical.medicines import counts_by_route
from cds_service.knowledge import DrugProduct, Knowledge, ProductIngredient, Terminology
from cds_service.knowledge.drugs import ATC_LOCAL
from cds_service.knowledge.notices import NOTICES
from cds_service.knowledge.terminology import ATC, ICD_10_CM, LOINC, OWN, OWN_CODES, RXNORM
from cds_service.published.scheme import CODE_SOURCE, Json, Scheme

_COLLECTIONS = ("conditions", "medicines", "observations")
_OWN = "this project's extra codes; ATC groups stand for every code that begins with them"
_UNDER = "A code of ICD-10-CM stands for every code below it, a letter for its chapter."
_EMPTY = "Without codes here: those of the group are of SNOMED CT, which is switched off."
_NEVER_READ = "Codes that are never read as a ferritin result."
_NEVER = frozenset({"ferritin_EXCLUDE", "ferritin_unconfirmed"})
_SYSTEMIC, _INGREDIENT = "systemic-", "ingredient-"


class Member(NamedTuple):
    """One code of a group; display and source are "" where nothing is known or may be shown."""

    system: str
    code: str
    display: str = ""
    source: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Return system and code."""
        return self.system, self.code


Groups = Mapping[str, frozenset[tuple[str, str]]]


def codes_read(terminology: Terminology) -> Groups:
    """Return every code that the terminology reads, by its group, as system and code."""
    found: dict[str, set[tuple[str, str]]] = {g: set(codes) for g, codes in terminology.codes.items()}
    for system, code, product in _products(terminology):
        for group in (group for part in product.ingredients for group in part.groups):
            found.setdefault(group, set()).add((system, code))
    for code, groups in terminology.answers.items():
        for group in groups:
            found.setdefault(group, set()).add((LOINC, code))
    for code, group in OWN_CODES.items():
        found.setdefault(group, set()).add((OWN, code))
    return {group: frozenset(codes) for group, codes in found.items()}


def _products(terminology: Terminology) -> Iterator[tuple[str, str, DrugProduct]]:
    """Yield every code of a medicine with its system and product."""
    yield from ((RXNORM, code, product) for code, product in terminology.drugs.by_rxnorm.items())
    yield from ((ATC, code, product) for code, product in terminology.drugs.by_atc.items())
    yield from ((ATC, code, product) for code, product in terminology.drugs.iron_by_atc)


def value_sets(scheme: Scheme, listed: Iterable[str]) -> Iterator[Json]:
    """Yield the ValueSet of every group, then the lists of medicines whose ids are `listed`."""
    terminology = scheme.library.knowledge.terminology
    groups = codes_read(terminology)
    displays: dict[tuple[str, str], str] = {}
    packaged = _packaged()
    for group in sorted(packaged.keys() | groups.keys()):
        members = packaged.get(group, [])
        displays |= {one.key: one.display for one in members}
        codes = groups.get(group, frozenset())
        known = [one for one in members if one.key in codes]
        more = sorted(codes - {one.key for one in known})
        yield _of_group(scheme, group, [*known, *(Member(*key, source=_OWN) for key in more)])
    lists = medicine_lists(scheme.library.knowledge)
    for name in listed:
        yield _of_list(scheme, name, [Member(*key, displays.get(key, "")) for key in sorted(lists[name])])


def _packaged() -> dict[str, list[Member]]:
    """Return the members of the packaged ValueSets by group."""
    data = files("cds_service.knowledge") / "data" / "valuesets"
    found = {}
    for name in _COLLECTIONS:
        for entry in json.loads(data.joinpath(f"{name}.json").read_bytes())["entry"]:
            found[entry["resource"]["identifier"][0]["value"]] = list(_members(entry["resource"]))
    return found


def _members(packaged: Mapping[str, Json]) -> Iterator[Member]:
    sources = {
        (include["system"], one["code"]): include["extension"][0]["valueString"]
        for include in packaged["compose"]["include"]
        for one in include["concept"]
    }
    for one in packaged["expansion"]["contains"]:
        key = one["system"], one["code"]
        yield Member(*key, one.get("display", ""), sources[key])


def _of_group(scheme: Scheme, group: str, members: list[Member]) -> Json:
    identity = group.replace("_", "-").replace("+", "-")
    words = group.replace("_", " ").replace("+", " and ")
    description = _NEVER_READ if group in _NEVER else f"Codes that are read as: {words}."
    if any(one.system == ICD_10_CM for one in members):
        description = f"{description} {_UNDER}"
    excluded = _in_remission(scheme.library.knowledge.terminology, members)
    return {
        **_value_set(scheme, identity, words, description, members, excluded),
        "identifier": [{"system": f"{scheme.base}/code-group", "value": group}],
    }


def _of_list(scheme: Scheme, name: str, members: list[Member]) -> Json:
    kind = "class" if name.startswith(_SYSTEMIC) else "ingredient"
    words = name.removeprefix(_SYSTEMIC).removeprefix(_INGREDIENT).replace("-", " ")
    title = f"{words}, reaching the body"
    description = (
        f"Products of the {kind} {words} that the rules count: those for skin and eye, and antihistamines "
        "for the nose, are left out."
    )
    return _value_set(scheme, name, title, description, members)


def _value_set(
    scheme: Scheme,
    identity: str,
    title: str,
    description: str,
    members: list[Member],
    excluded: Iterable[str] = (),
) -> Json:
    systems = sorted({one.system for one in members} | ({ICD_10_CM} if excluded else set()))
    compose: Json = {"include": list(_includes(scheme, members))}
    if excluded:
        compose["exclude"] = [{"system": ICD_10_CM, "concept": [{"code": code} for code in excluded]}]
    notices = " ".join(NOTICES[system] for system in systems if system in NOTICES)
    return {
        **scheme.resource(
            "ValueSet",
            identity,
            name="".join(part[:1].upper() + part[1:] for part in identity.split("-")),
            title=title,
            description=description if members else f"{description} {_EMPTY}",
        ),
        **({"copyright": notices} if notices else {}),
        **({"compose": compose} if members else {}),
        "expansion": {
            "identifier": f"{scheme.canonical('ValueSet', identity)}/expansion/{scheme.version}",
            "timestamp": f"{scheme.library.knowledge.date.isoformat()}T00:00:00Z",
            "total": len(members),
            "contains": [_contained(one) for one in members],
        },
    }


def _includes(scheme: Scheme, members: Iterable[Member]) -> Iterator[Json]:
    """Yield the codes by system and source, the source as an extension."""
    by_source: dict[tuple[str, str], list[Json]] = {}
    for one in members:
        by_source.setdefault((one.system, one.source), []).append({"code": one.code})
    for (system, source), codes in by_source.items():
        url = scheme.canonical("StructureDefinition", CODE_SOURCE)
        extension = {"extension": [{"url": url, "valueString": source}]} if source else {}
        yield {**extension, "system": system, "concept": codes}


def _contained(one: Member) -> Json:
    code = {"system": one.system, "code": one.code}
    return {**code, "display": one.display} if one.display else code


def _in_remission(terminology: Terminology, members: Iterable[Member]) -> list[str]:
    """Return the codes below these that say that the disorder is over, as ICD-10-CM writes them."""
    parents = tuple(one.code.replace(".", "") for one in members if one.system == ICD_10_CM)
    over = sorted(code for code in terminology.in_remission if code.startswith(parents)) if parents else []
    return [f"{code[:3]}.{code[3:]}" for code in over]


def medicine_lists(knowledge: Knowledge) -> Groups:
    """Return the codes of medicines that reach the body, by `systemic-CLASS` and `ingredient-NAME`.

    A class holds only what the rules count in it: of a flagged class the flagged ingredients, and none that
    only supports another.
    """
    found: dict[str, set[tuple[str, str]]] = {}
    for system, code, product in _products(knowledge.terminology):
        route = _route(system, code, product)
        parts = [part for part in product.ingredients if counts_by_route(part.groups, route)]
        for name in (name for part in parts for name in _lists_of(knowledge, part)):
            found.setdefault(name, set()).add((system, code))
    return {name: frozenset(codes) for name, codes in found.items()}


def _lists_of(knowledge: Knowledge, part: ProductIngredient) -> Iterator[str]:
    ingredient = knowledge.ingredients[part.name]
    yield _INGREDIENT + part.name.replace(" ", "-")
    for group in part.groups:
        drug_class = knowledge.drug_classes.get(group)
        is_counted = drug_class is None or not drug_class.is_flagged or ingredient.is_flagged
        if is_counted and not ingredient.is_inactive_alone:
            yield _SYSTEMIC + group.replace("_", "-")


def _route(system: str, code: str, product: DrugProduct) -> Route:
    if system == ATC:
        local = next((route for prefix, route in ATC_LOCAL if code.startswith(prefix)), product.route)
        return Route(local)
    return Route(product.route)
