"""What is kept of an RxNorm release: kinds of concepts, the relations that lead to drugs, names on demand.

Only rows of RxNorm itself (SAB=RXNORM) are taken, which are free of licence fees and of the owners of the
other sources, and the codes of ATC, which stand beside the ingredients. Concepts are kept as numbers, and
relations in packed arrays: about 100 MB at the peak for a full release.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cds_service.terminology_build.rrf import (
    CONSO_FILE,
    REL_FILE,
    SAT_FILE,
    Conso,
    Rel,
    ReleaseError,
    Sat,
    rows,
    rxcui,
)

INGREDIENT_KINDS = frozenset({"IN", "PIN"})
DRUG_KINDS = frozenset({"SCD", "SBD", "GPCK", "BPCK"})
GROUPER_KINDS = frozenset({"SCDF", "SBDF", "BN", "MIN"})
"""Concepts that stand for all drugs of a form, a brand or a combination."""
_KINDS = INGREDIENT_KINDS | DRUG_KINDS | GROUPER_KINDS | {"SCDC", "DF", "DFG"}

LIVE = frozenset({"N", "E"})
"""Values of SUPPRESS of concepts in use; E marks drugs that a record can hold though none is sold as such."""

# The relations as "second concept - relation - first concept", each with its inverse: a release holds both.
_INVERSES = {
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
_DIRECTED = {
    **{relation: (relation, False) for relation in _INVERSES},
    **{inverse: (relation, True) for relation, inverse in _INVERSES.items()},
}

_RXNORM_ROW = (b"|RXNORM|",)
_RXNORM_OR_ATC_ROW = (b"|RXNORM|", b"|ATC|")
_ATC_LEVEL_5 = 7
_HUMAN, _VETERINARY = "RXN_HUMAN_DRUG", "RXN_VET_DRUG"


class Concept(NamedTuple):
    """The kind of a concept (TTY) and whether it is in use (SUPPRESS)."""

    kind: str
    suppress: str


class _Edges:
    """The pairs of one relation, packed; from the concept that has the relation to the one that it names."""

    __slots__ = ("_from", "_to")

    def __init__(self) -> None:
        self._from = array("I")
        self._to = array("I")

    def add(self, source: int, target: int) -> None:
        """Keep one pair."""
        self._from.append(source)
        self._to.append(target)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield every pair."""
        return zip(self._from, self._to, strict=True)


@dataclass(slots=True)
class Release:
    """The concepts of a release by RxCUI, and their relations.

    `ingredient_names` has the ingredients (IN) in use by their name in small letters, `atc` the ATC codes
    of the fifth level by RxCUI.
    """

    folder: Path
    concepts: dict[int, Concept] = field(default_factory=dict)
    ingredient_names: dict[str, int] = field(default_factory=dict)
    atc: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    edges: Mapping[str, _Edges] = field(default_factory=lambda: {r: _Edges() for r in _INVERSES})

    def kind(self, code: int) -> str:
        """Return the kind of a concept in use, "" for any other."""
        concept = self.concepts.get(code)
        return concept.kind if concept is not None and concept.suppress in LIVE else ""

    def targets(self, relation: str, kinds: Collection[str], of: Collection[str]) -> dict[int, list[int]]:
        """Return for every concept of some kinds what of other kinds it has this relation to, both in use."""
        found: dict[int, set[int]] = defaultdict(set)
        for source, target in self.edges[relation].pairs():
            if self.kind(source) in kinds and self.kind(target) in of:
                found[source].add(target)
        return {source: sorted(targets) for source, targets in found.items()}

    def names(self, codes: Collection[int]) -> dict[int, str]:
        """Return the names of these concepts, read anew; raises `ReleaseError`."""
        found: dict[int, str] = {}
        for number, cells in rows(self.folder, CONSO_FILE, _RXNORM_ROW):
            if cells[Conso.SAB] == "RXNORM" and cells[Conso.TTY] in _KINDS:
                code = rxcui(cells[Conso.RXCUI], CONSO_FILE, number)
                if code in codes:
                    found[code] = cells[Conso.STR]
        return found

    def veterinary(self, codes: Collection[int]) -> frozenset[int]:
        """Return those drugs that are marked for animals and not for people; raises `ReleaseError`."""
        marked: dict[str, set[int]] = {_HUMAN: set(), _VETERINARY: set()}
        for number, cells in rows(self.folder, SAT_FILE, (b"|RXN_HUMAN_DRUG|", b"|RXN_VET_DRUG|")):
            if cells[Sat.SAB] == "RXNORM" and cells[Sat.ATN] in marked:
                code = rxcui(cells[Sat.RXCUI], SAT_FILE, number)
                if code in codes:
                    marked[cells[Sat.ATN]].add(code)
        return frozenset(marked[_VETERINARY] - marked[_HUMAN])


def read_release(folder: Path) -> Release:
    """Return the release in a folder; raises `ReleaseError` when a file is missing or not as documented."""
    release = Release(folder)
    for number, cells in rows(folder, CONSO_FILE, _RXNORM_OR_ATC_ROW):
        _take_name(release, number, cells)
    if not release.concepts:
        raise ReleaseError(CONSO_FILE, None, "has no row of RxNorm itself (SAB=RXNORM)")
    for number, cells in rows(folder, REL_FILE, _RXNORM_ROW):
        _take_relation(release, number, cells)
    if not any(True for _ in release.edges["has_ingredient"].pairs()):
        raise ReleaseError(REL_FILE, None, "has no relation has_ingredient of RxNorm itself (SAB=RXNORM)")
    return release


def _take_name(release: Release, number: int, cells: Sequence[str]) -> None:
    source, kind = cells[Conso.SAB], cells[Conso.TTY]
    if source == "ATC" and len(cells[Conso.CODE]) == _ATC_LEVEL_5:
        release.atc[rxcui(cells[Conso.RXCUI], CONSO_FILE, number)].add(cells[Conso.CODE])
    elif source == "RXNORM" and kind in _KINDS:
        code = rxcui(cells[Conso.RXCUI], CONSO_FILE, number)
        if not release.kind(code):  # a name in use is never hidden by an old one
            release.concepts[code] = Concept(kind, cells[Conso.SUPPRESS])
        if kind == "IN" and cells[Conso.SUPPRESS] in LIVE:
            release.ingredient_names[cells[Conso.STR].casefold()] = code


def _take_relation(release: Release, number: int, cells: Sequence[str]) -> None:
    directed = _DIRECTED.get(cells[Rel.RELA])
    is_between_concepts = cells[Rel.STYPE1] == cells[Rel.STYPE2] == "CUI"
    if directed is None or not is_between_concepts or cells[Rel.SAB] != "RXNORM":
        return
    first = rxcui(cells[Rel.RXCUI1], REL_FILE, number)
    second = rxcui(cells[Rel.RXCUI2], REL_FILE, number)
    if first in release.concepts and second in release.concepts and cells[Rel.SUPPRESS] not in {"O", "Y"}:
        relation, is_inverse = directed
        release.edges[relation].add(*((first, second) if is_inverse else (second, first)))
