"""How concepts of RxNorm become products of the knowledge base: the typed form of `rules.toml`."""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from cds_service.terminology_build.table import UNKNOWN


@dataclass(frozen=True, slots=True)
class Drug:
    """What the exceptions look at: the drug's name, its number of components, a strength by ingredient."""

    name: str
    components: int
    strengths: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Exception:
    """Other groups than an ingredient's own, and when they hold."""

    of_groups: frozenset[str]
    ingredients: frozenset[str]
    beside: tuple[str, ...]
    components: int
    strengths: frozenset[str]
    groups: tuple[str, ...]

    def fits(self, ingredient: str, own: Collection[str], drug: Drug) -> bool:
        """Whether the exception holds for this ingredient of this drug."""
        name = drug.name.casefold()
        return (
            (ingredient in self.ingredients or not self.of_groups.isdisjoint(own))
            and (not self.beside or any(word in name for word in self.beside))
            and drug.components >= self.components
            and (not self.strengths or drug.strengths.get(ingredient) in self.strengths)
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the build: what is not followed or not taken, other groups, routes."""

    not_followed: frozenset[str]
    no_atc_for: frozenset[str]
    exceptions: tuple[_Exception, ...]
    routes: tuple[tuple[str, frozenset[str]], ...]

    def groups(self, ingredient: str, own: tuple[str, ...], drug: Drug) -> tuple[str, ...]:
        """Return the groups of an ingredient in this drug."""
        fitting = (e.groups for e in self.exceptions if e.fits(ingredient, own, drug))
        return next(fitting, own)

    def route(self, dose_form_groups: Iterable[str]) -> str:
        """Return the route of a dose form in these groups of RxNorm, "unknown" when none is listed."""
        named = frozenset(dose_form_groups)
        return next((route for route, groups in self.routes if not groups.isdisjoint(named)), UNKNOWN)


def load_rules() -> Rules:
    """Return the packaged rules."""
    text = files("cds_service.terminology_build").joinpath("rules.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return Rules(
        frozenset(table["not_followed"]),
        frozenset(table["no_atc_for"]),
        tuple(_exception(row) for row in table["exception"]),
        tuple((row["route"], frozenset(row["groups"])) for row in table["route"]),
    )


def _exception(row: Mapping[str, Any]) -> _Exception:
    return _Exception(
        frozenset(row.get("of_groups", ())),
        frozenset(row.get("ingredients", ())),
        tuple(row.get("beside", ())),
        row.get("components", 0),
        frozenset(row.get("strengths", ())),
        tuple(row["groups"]),
    )
