"""One spelling of a text before its words are compared: whatever looks the same to a reader is the same.

Small letters, no accents, full-width letters as plain ones, no invisible characters, one kind of dash.
Letters of other scripts stay what they are: a Cyrillic letter is no Latin one, however alike they look.
"""

import unicodedata

# Signs that a compatibility decomposition would turn into letters (trade marks, the numero sign); dashes.
_SIGNS = str.maketrans(
    {
        "\u2122": None,
        "\u2120": None,
        "\u00ae": None,
        "\u00a9": None,
        "\u2116": " ",
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u02bc\u00b4", "'"),
    }
)
_FIRST_MARK, _LAST_MARK = "\u0300", "\u036f"
_INVISIBLE = "Cf"
_LATIN = "LATIN "
# The sign of "micro" in its two spellings: a Greek letter that stands in Latin units.
_MICRO = frozenset("\u00b5\u03bc")


def fold(text: str) -> str:
    """Return a text in the spelling in which words are compared."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return "".join(c for c in decomposed if not _is_dropped(c)).casefold()


def _is_dropped(character: str) -> bool:
    return _FIRST_MARK <= character <= _LAST_MARK or unicodedata.category(character) == _INVISIBLE


def is_foreign(word: str) -> bool:
    """Whether a folded word is written in a script other than Latin, wholly or in part."""
    if word.isascii():
        return False
    letters = [c for c in word if c.isalpha() and c not in _MICRO]
    return len(word) > 1 and any(not unicodedata.name(c, "").startswith(_LATIN) for c in letters)
