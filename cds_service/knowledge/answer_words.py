"""What whole answers say in words ("former smoker", "positive"), and which genes a text names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_NOTHING: frozenset[str] = frozenset()
_LONGEST = 80
_BRACKETS = re.compile(r"\s*\((?:finding|qualifier value|disorder)\)\Z")


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """The answers that are understood; each has to be the whole text, so that no comment is read as one."""

    answers: tuple[tuple[str, re.Pattern[str]], ...]
    gene_words: re.Pattern[str]

    def groups(self, text: str) -> frozenset[str]:
        """Return what a whole text answers, nothing for any text that says more."""
        if len(text) > _LONGEST:
            return _NOTHING
        folded = _BRACKETS.sub("", " ".join(text.casefold().split())).rstrip(" .")
        return frozenset(group for group, words in self.answers if words.fullmatch(folded))

    def genes(self, text: str) -> frozenset[str]:
        """Return the genes linked to restless legs that a text names, in capitals."""
        return frozenset(name.upper() for name in self.gene_words.findall(text[:_LONGEST].casefold()))


def answer_words(answers: Iterable[Mapping[str, Any]], genes: Mapping[str, str]) -> AnswerWords:
    """Return the matcher of answers from its packaged table."""
    return AnswerWords(
        tuple((row["group"], re.compile("|".join(f"(?:{w})" for w in row["words"]))) for row in answers),
        re.compile(genes["words"]),
    )
