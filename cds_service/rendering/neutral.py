"""Text that came from a record, made harmless for a summary (plain text) and a detail (Markdown).

Clients show raw HTML, and GitHub-Flavored Markdown turns bare addresses into links even when their
punctuation is escaped; so addresses are broken visibly and everything else is escaped.
"""

import re
import unicodedata
from itertools import accumulate, takewhile

MAX_VALUE = 80
"""UTF-16 units that one value of a record may take on a card."""

ELLIPSIS = "…"
UNSHOWABLE = "(not readable)"

# Results, dates and most names consist of this alone and need no treatment: no leading mark, no full
# stop outside a number, no slash or blank that is not followed by a letter or digit.
_HARMLESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9,;%-]|[ /](?=[A-Za-z0-9%])|(?<=[0-9])\.(?=[0-9]))*")
_INVISIBLE = frozenset({"Cf", "Cs", "Co", "Cn"})
_SCAN_FACTOR = 8

_SPACES = re.compile(r"\s+")
_DOUBLE_SLASH = re.compile(r"/(?=/)")
_WWW_DOT = re.compile(r"(?i)(www)\.")
_HOST_DOT = re.compile(r"(?<=\w)([.\u3002\uff0e\uff61])(?=[^\W\d_])")
_SCHEME = re.compile(r"(?i)(javascript|vbscript|data|mailto|xmpp|file|tel|https?|ftp):(?=\S)")
_ANGLES = str.maketrans({"<": "‹", ">": "›"})
_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;"})
_MARKS = re.compile(r"([\\`*_{}\[\]|~$!#^])")
_LEADING_MARK = re.compile(r"^([-+=]|\d+[.)])")
_NUMBER_END = re.compile(r"[\d.,]+$")
_NUMBER_START = re.compile(r"[\d.,]")


def plain(text: str, limit: int = MAX_VALUE) -> str:
    """Return one visible line for a summary: no control characters, no address, no angle brackets."""
    return text if _is_harmless(text, limit) else _cleaned(text, limit).translate(_ANGLES)


def markdown(text: str, limit: int = MAX_VALUE) -> str:
    """Return one line that Markdown shows as it is, wherever in a line it stands."""
    if _is_harmless(text, limit):
        return text
    escaped = _MARKS.sub(r"\\\1", _cleaned(text, limit)).translate(_ENTITIES)
    return _LEADING_MARK.sub(_escape_leading, escaped)


def shortened(text: str, limit: int) -> str:
    """Return at most `limit` UTF-16 units, ended by an ellipsis; no number and no character is cut."""
    if utf16_length(text) <= limit:
        return text
    kept = _first_units(text, limit - 1)
    following = text[len(kept)]
    if not following.isspace():
        at_word = kept.rpartition(" ")[0]
        if len(at_word) * 2 >= len(kept):
            kept = at_word
        elif _NUMBER_START.match(following):
            kept = _NUMBER_END.sub("", kept)
    return kept.rstrip() + ELLIPSIS


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 units, which is how clients written in JavaScript count."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _is_harmless(text: str, limit: int) -> bool:
    return len(text) <= limit and _HARMLESS.fullmatch(text) is not None


def _cleaned(text: str, limit: int) -> str:
    visible = "".join(map(_visible, text[: limit * _SCAN_FACTOR]))
    line = _SPACES.sub(" ", visible).strip()
    return shortened(_unlinked(line), limit) or UNSHOWABLE


def _visible(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    category = unicodedata.category(character)
    if category in _INVISIBLE:
        return ""
    return " " if category[0] == "Z" or category == "Cc" else character


def _unlinked(line: str) -> str:
    line = _WWW_DOT.sub(r"\1 .", _DOUBLE_SLASH.sub("/ ", line))
    line = _SCHEME.sub(r"\1 :", _HOST_DOT.sub(r"\1 ", line))
    return line.replace("@", " (at) ")


def _escape_leading(match: re.Match[str]) -> str:
    mark = match.group(1)
    return mark[:-1] + "\\" + mark[-1]


def _first_units(text: str, limit: int) -> str:
    """Return the longest beginning of a longer text that takes at most `limit` units."""
    if text.isascii():
        return text[:limit]
    ends = accumulate(map(utf16_length, text))
    return text[: sum(1 for _ in takewhile(lambda end: end <= limit, ends))]
