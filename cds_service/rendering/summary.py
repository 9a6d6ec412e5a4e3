"""The summary of a card: one line, at most 139 UTF-16 units with its prefix, nothing cut inside a number."""

from collections.abc import Mapping, Sequence
from typing import Any

from cds_service.rendering.neutral import plain, shortened, utf16_length
from cds_service.rendering.templates import FormText, Leaf

MAX_SUMMARY = 139
MAX_NAMES = 3

# A list that does not fit keeps its names and shortens each, a step further at a time.
_NAME_LIMITS = (60, 40, 32, 24, 20, 16, 12, 8)


def fitted(
    form: FormText, *, prefix: str, values: Mapping[str, Any], lists: Mapping[str, Sequence[str]], more: Leaf
) -> str:
    """Return the first wording that fits: the variants in order, then the lists with shorter names."""
    text = ""
    for limit in _NAME_LIMITS if lists else _NAME_LIMITS[:1]:
        joined = {name: name_list(names, limit, more) for name, names in lists.items()}
        for leaf in form.summary:
            text = prefix + leaf.render({**values, **joined})
            if utf16_length(text) <= MAX_SUMMARY:
                return text
    return shortened(text, MAX_SUMMARY)


def name_list(names: Sequence[str], limit: int, more: Leaf) -> str:
    """Return at most three names, each within `limit`, then how many more there are."""
    shown = [plain(name, limit) for name in names[:MAX_NAMES]]
    hidden = len(names) - len(shown)
    if hidden:
        return f"{', '.join(shown)} {more.render({'n': hidden})}"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
