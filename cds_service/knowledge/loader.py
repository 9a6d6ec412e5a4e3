"""Loads the knowledge base from the data files of this package, once per process."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from cds_service.knowledge.model import (
    Check,
    Citation,
    DrugClass,
    FactorDefinition,
    Ingredient,
    Knowledge,
    RuleDefinition,
    Threshold,
)
from cds_service.knowledge.terminology import Terminology, load_terminology

Table = Mapping[str, Any]
Read = Callable[[str], bytes]
_IN_BRACES = re.compile(r"\{([^{}]+)\}")


@cache
def load() -> Knowledge:
    """Return the knowledge base that is packaged with this service."""
    data = files("cds_service.knowledge") / "data"
    return build(lambda name: data.joinpath(name).read_bytes(), hash_of(data))


def build(read: Read, digest: str) -> Knowledge:
    """Return the knowledge base of the files that `read` gives by name; raises on a malformed file."""
    manifest = _toml(read, "manifest.toml")
    terminology = load_terminology(read)
    thresholds = {i: _threshold(i, t) for i, t in _toml(read, "thresholds.toml").items()}
    classes = {g: _drug_class(g, t) for g, t in _toml(read, "drug_classes.toml").items()}
    return Knowledge(
        version=manifest["version"],
        date=manifest["date"],
        hash=digest,
        citations={
            i: Citation(i, t["reference"], t["url"]) for i, t in _toml(read, "citations.toml").items()
        },
        thresholds=thresholds,
        factors={i: _factor(i, t) for i, t in _toml(read, "factors.toml").items()},
        drug_classes=classes,
        ingredients=_ingredients(terminology, _toml(read, "ingredients.toml"), classes),
        rules={i: _rule(i, t, thresholds) for i, t in _toml(read, "rules.toml").items()},
        terminology=terminology,
    )


def hash_of(data: Traversable) -> str:
    """Return the first twelve hex digits of the SHA-256 over every data file, in order of name."""
    digest = hashlib.sha256()
    for name, content in sorted(_walk(data, "")):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for child in folder.iterdir():
        name = f"{prefix}{child.name}"
        if child.is_dir():
            yield from _walk(child, f"{name}/")
        else:
            yield name, child.read_bytes()


def _toml(read: Read, name: str) -> dict[str, Any]:
    return tomllib.loads(read(name).decode(), parse_float=Decimal)


def _threshold(threshold_id: str, table: Table) -> Threshold:
    return Threshold(
        id=threshold_id,
        value=Decimal(table["value"]),
        unit=table["unit"],
        valid_from=table["valid_from"],
        citations=tuple(table["citations"]),
        check=Check(table["check"]),
        text=table["text"],
        local=_range(table["local"]) if "local" in table else None,
    )


def _range(ends: tuple[int, int]) -> tuple[int, int]:
    least, most = ends
    return least, most


def _factor(factor_id: str, table: Table) -> FactorDefinition:
    return FactorDefinition(
        id=factor_id,
        name=table["name"],
        weight=table["weight"],
        groups=frozenset(table.get("groups", ())),
        drug_groups=frozenset(table.get("drug_groups", ())),
        ingredients=frozenset(table.get("ingredients", ())),
        is_opening=table["is_opening"],
        line=table["line"],
        action=table["action"],
        detected=table["detected"],
        look_backs=tuple(table.get("look_backs", ())),
        citations=tuple(table["citations"]),
        check=Check(table["check"]),
    )


def _drug_class(group: str, table: Table) -> DrugClass:
    return DrugClass(
        group=group,
        name=table["name"],
        is_flagged=table["is_flagged"],
        factor_id=table["factor_id"],
        why=table["why"],
        alternative=table["alternative"],
        taper_caution=table["taper_caution"],
        citations=tuple(table["citations"]),
        check=Check(table["check"]),
    )


def _rule(rule_id: str, table: Table, thresholds: Mapping[str, Threshold]) -> RuleDefinition:
    wording = table["text"]
    text = worded(wording, thresholds)
    return RuleDefinition(rule_id, text, tuple(table["citations"]), Check(table["check"]), wording)


def worded(wording: str, thresholds: Mapping[str, Threshold]) -> str:
    """Return the text of a rule with its look-backs in words; raises KeyError for one that is none."""
    return _IN_BRACES.sub(lambda found: thresholds[found.group(1)].words, wording)


def _ingredients(
    terminology: Terminology, exceptions: Mapping[str, Table], classes: Mapping[str, DrugClass]
) -> dict[str, Ingredient]:
    """Return every ingredient with what its own entry adds to its groups.

    Raises ValueError for an entry that names no ingredient, so that a typing error cannot unflag nothing.
    """
    unknown = exceptions.keys() - terminology.ingredients.keys()
    if unknown:
        raise ValueError(f"ingredients.toml names unknown ingredients: {', '.join(sorted(unknown))}")
    return {
        name: _ingredient(name, groups, exceptions.get(name, {}), classes)
        for name, groups in terminology.ingredients.items()
    }


def _ingredient(
    name: str, groups: frozenset[str], table: Table, classes: Mapping[str, DrugClass]
) -> Ingredient:
    is_in_flagged_class = any(classes[g].is_flagged for g in groups if g in classes)
    return Ingredient(
        name=name,
        groups=groups,
        is_flagged=is_in_flagged_class and table.get("is_flagged", True),
        is_strongest=table.get("is_strongest", False),
        is_inactive_alone=table.get("is_inactive_alone", False),
    )
