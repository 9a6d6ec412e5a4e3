"""Prefetch keys that stand twice: JSON decoders keep the last value and say nothing."""

import json
import re
from collections import Counter
from collections.abc import Mapping

import msgspec

_MEMBER = re.compile(rb'\s*[{,]\s*"([^"\\]*)"\s*:\s*')
_END = re.compile(rb"\s*}\s*\Z")
# Two values of one length are told apart by how they begin and end.
_COMPARED = 64


def repeated_keys(prefetch: bytes | msgspec.Raw, values: Mapping[str, msgspec.Raw]) -> frozenset[str]:
    """Return the keys that a prefetch object has more than once; `values` are what it was decoded to."""
    if not values or _is_plain(memoryview(prefetch), values):
        return frozenset()
    try:
        keys = json.loads(bytes(prefetch), object_pairs_hook=_keys, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return frozenset(values)
    return frozenset(key for key, count in Counter(keys).items() if count > 1)


def _keys(pairs: list[tuple[str, object]]) -> list[str]:
    return [key for key, _ in pairs]


def _is_plain(text: memoryview, values: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the text is made of just these values under just these keys, in this order."""
    position = 0
    for key, raw in values.items():
        value = memoryview(raw)
        member = _MEMBER.match(text, position)
        if member is None or member[1] != key.encode():
            return False
        position = member.end() + len(value)
        found = text[member.end() : position]
        if found[:_COMPARED] != value[:_COMPARED] or found[-_COMPARED:] != value[-_COMPARED:]:
            return False
    return _END.match(text, position) is not None
