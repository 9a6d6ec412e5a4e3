"""What free text names: conditions with their denials, relatives with restless legs, laboratory values.

Nothing here keeps a text or the result of one: texts belong to patients.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds_service.knowledge.folding import fold

_NOTHING: frozenset[str] = frozenset()
_LONGEST = 400
_PART_END = ";"


@dataclass(frozen=True, slots=True)
class _Family:
    group: str
    words: re.Pattern[str]
    never: re.Pattern[str] | None
    is_lifelong: bool


@dataclass(frozen=True, slots=True)
class FamilyWords:
    """The words that speak of relatives, of the family as a whole, and those that deny it or leave it open.

    A single relative is an exception to what is denied of the whole family.
    """

    history: re.Pattern[str]
    whole: re.Pattern[str]
    is_open: re.Pattern[str]
    denied: re.Pattern[str]
    exception: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class ConditionWords:
    """The words that name condition groups, and those that take the assertion back.

    `past` are words of the past, which take nothing back from a disorder that is lifelong.
    """

    families: tuple[_Family, ...]
    any_word: re.Pattern[str]
    not_asserted: re.Pattern[str]
    past: re.Pattern[str]
    denied_before: re.Pattern[str]
    denied_after: re.Pattern[str]
    family: FamilyWords
    rls: re.Pattern[str]

    def groups(self, text: str) -> frozenset[str]:
        """Return the groups that a text asserts of the patient."""
        folded = _folded(text)
        if self.any_word.search(folded) is None:
            return _NOTHING
        if self.not_asserted.search(folded) is None:
            return frozenset(f.group for f in self.families if self._asserts(f, folded))
        lasting = self._without_past(folded)
        return frozenset(f.group for f in self.families if f.is_lifelong and self._asserts(f, lasting))

    def lasting(self, text: str) -> str:
        """Return a text without its words of the past, "" where it denies or is not of this patient now."""
        lasting = self._without_past(_folded(text))
        denials = (self.denied_before, self.denied_after)
        return "" if any(words.search(lasting) for words in denials) else lasting

    def _without_past(self, folded: str) -> str:
        """Return a folded text without its words of the past, "" where more than these takes it back."""
        lasting = self.past.sub(" ", folded)
        return "" if self.not_asserted.search(lasting) is not None else lasting

    def _asserts(self, family: _Family, text: str) -> bool:
        if family.never is not None and family.never.search(text) is not None:
            return False
        found = [m.start() for m in family.words.finditer(text)]
        return bool(found) and not self._is_denied(text, found)

    def _is_denied(self, text: str, starts: Sequence[int]) -> bool:
        # One denial outweighs a second mention: a text beside the display of its code repeats the words.
        return self.denied_after.search(text) is not None or any(
            self.denied_before.search(text, text.rfind(_PART_END, 0, start) + 1, start) for start in starts
        )

    def is_family_history_of_rls(self, text: str) -> bool:
        """Whether a text names restless legs syndrome in a relative."""
        folded = _folded(text)
        return (
            self.rls.search(folded) is not None
            and self.family.history.search(folded) is not None
            and self.family.is_open.search(folded) is None
            and self.denied_before.search(folded) is None
            and self.denied_after.search(folded) is None
        )

    def is_family_history_of_rls_denied(self, text: str) -> bool:
        """Whether a text says of the whole family that nobody has restless legs syndrome."""
        folded = _folded(text)
        family = self.family
        return (
            self.rls.search(folded) is not None
            and family.whole.search(folded) is not None
            and family.denied.search(folded) is not None
            and family.is_open.search(folded) is None
            and family.exception.search(folded) is None
        )


@dataclass(frozen=True, slots=True)
class ObservationWords:
    """The words that name an analyte, and those that turn it into something else.

    `others` are questions and findings that are no blood level, each with words of its own against it.
    """

    analytes: tuple[_Family, ...]
    others: tuple[_Family, ...]
    any_word: re.Pattern[str]
    never: re.Pattern[str]
    contradictions: Mapping[str, re.Pattern[str]]

    def group(self, text: str) -> str | None:
        """Return the analyte that a text names, None when it names none of ours."""
        folded = _folded(text)
        if self.any_word.search(folded) is None:
            return None
        found = _first(self.others, folded)
        if found is not None or self.never.search(folded) is not None:
            return found
        return _first(self.analytes, folded)

    def contradicts(self, group: str, text: str) -> bool:
        """Whether the words beside a code of this analyte say that it is another one."""
        pattern = self.contradictions.get(group)
        return pattern is not None and pattern.search(_folded(text)) is not None


def _first(families: Sequence[_Family], text: str) -> str | None:
    for family in families:
        if family.words.search(text) is None:
            continue
        if family.never is None or family.never.search(text) is None:
            return family.group
    return None


def _folded(text: str) -> str:
    return " ".join(fold(text[:_LONGEST]).replace("_", " ").split())


def condition_words(table: Mapping[str, Any]) -> ConditionWords:
    """Return the matcher of conditions from its packaged table."""
    families = tuple(_family(entry) for entry in table["family"])
    rls = next(f for f in families if f.group == "rls")
    return ConditionWords(
        families,
        _any_of([f.words.pattern for f in families]),
        _any_of(table["not_asserted"]),
        _any_of(table["past"]),
        _any_of(table["denied_before"]),
        _any_of(table["denied_after"]),
        _family_words(table),
        rls.words,
    )


def _family_words(table: Mapping[str, Any]) -> FamilyWords:
    whole, relative = table["family_history"], table["relative"]
    return FamilyWords(
        history=_any_of([*whole, *relative]),
        whole=_any_of(whole),
        is_open=_any_of(table["family_open"]),
        denied=_any_of(table["family_denied"]),
        exception=_any_of([*table["family_exception"], *relative]),
    )


def observation_words(table: Mapping[str, Any]) -> ObservationWords:
    """Return the matcher of laboratory values from its packaged table."""
    analytes = tuple(_family(entry) for entry in table["analyte"])
    others = tuple(_family(entry) for entry in table["other"])
    contradictions = {
        a["group"]: _any_of(a["not_with_code"]) for a in table["analyte"] if "not_with_code" in a
    }
    any_word = _any_of([family.words.pattern for family in (*analytes, *others)])
    return ObservationWords(analytes, others, any_word, _any_of(table["never"]), contradictions)


def _family(entry: Mapping[str, Any]) -> _Family:
    never = entry.get("never")
    return _Family(
        entry["group"],
        _any_of(entry["words"]),
        _any_of(never) if never else None,
        is_lifelong=entry.get("lifelong", False),
    )


def _any_of(words: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{word})" for word in words))
