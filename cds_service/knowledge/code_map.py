"""A site's own codes: which standard code each of them counts as.

`code_map_file` reads and checks the file; `Terminology.meaning` is where every room asks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class CodeKind(StrEnum):
    """What a local code names; the same code may name another thing in another list of the site."""

    LABORATORY = "laboratory"  # a result, and the order of that test
    ORDER = "order"  # an order only, as of a panel
    MEDICINE = "medicine"
    PROBLEM = "problem"  # a problem or diagnosis, a procedure, a coded answer


class Meaning(NamedTuple):
    """What a coding stands for: canonical system, bare code; those of the target where the map has it."""

    system: str
    code: str
    is_mapped: bool = False
    unit: str | None = None


Key = tuple[str, str]
"""A code system, "" for a code that records carry without one, and a code."""


@dataclass(frozen=True, slots=True)
class MappedCode:
    """A local code and the standard code that it counts as, of which it is the same or a narrower concept.

    `unit` is the unit of results that carry none, None where nothing may be assumed.
    """

    kind: CodeKind
    system: str
    code: str
    target_system: str
    target_code: str
    unit: str | None = None

    @property
    def key(self) -> Key:
        """The local coding."""
        return self.system, self.code

    @property
    def meaning(self) -> Meaning:
        """What the local coding stands for."""
        return Meaning(self.target_system, self.target_code, is_mapped=True, unit=self.unit)


@dataclass(frozen=True, slots=True)
class CodeMap:
    """The local codes of one client; false when there are none."""

    codes: tuple[MappedCode, ...] = ()
    _by_kind: Mapping[CodeKind, Mapping[Key, MappedCode]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(cls, codes: Iterable[MappedCode]) -> "CodeMap":
        """Return the map of these codes; of two for one local code and kind the last counts."""
        every = tuple(codes)
        found = {kind: {one.key: one for one in every if one.kind is kind} for kind in CodeKind}
        # A laboratory orders a test by the code that its result carries, unless the map says otherwise.
        found[CodeKind.ORDER] = {**found[CodeKind.LABORATORY], **found[CodeKind.ORDER]}
        return cls(every, found)

    def __bool__(self) -> bool:
        """Whether anything is mapped."""
        return bool(self.codes)

    def find(self, kind: CodeKind, system: str, code: str) -> MappedCode | None:
        """Return what is said of a local code under this kind, None when it is not mapped."""
        return self._by_kind[kind].get((system, code)) if self.codes else None

    def of_kind(self, kind: CodeKind) -> Iterable[MappedCode]:
        """Return what counts under this kind."""
        return self._by_kind[kind].values() if self.codes else ()


EMPTY = CodeMap()
"""The map of a client that has none."""
