"""Strict JSON for whole bodies, also for the members that nobody reads (RFC 8259).

Python's own decoder takes NaN, repeated members, UTF-16 and any depth; each of these is refused here.
Syntax is left to msgspec, which checks every byte that it skips but neither the UTF-8 of skipped
strings nor a fixed depth, so those two are measured first and without building any object.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from cds_service.protocol.errors import BadRequest, NotJson

MAX_DEPTH = 64
"""Levels of nesting; real charts stay below 20, and a fixed limit keeps every reader off its stack."""

MAX_VALUES = 200_000
"""Commas and opening brackets of what is decoded whole; records, which have more, are not decoded whole."""

_T = TypeVar("_T")
_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels or its brackets do not match."
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_QUOTED = re.compile(rb'"[^"]*"')
_ALL_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BEFORE_A_VALUE = (b",", b"{", b"[")
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)


def check_json(body: bytes) -> None:
    """Return nothing for UTF-8 of bounded depth; raises `NotJson`. Syntax is checked where it is decoded."""
    if not body.isascii():
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise NotJson("The body is not valid UTF-8.") from None
    if _depth(body) > MAX_DEPTH:
        raise NotJson(_TOO_DEEP)


def _depth(body: bytes) -> int:
    """Return the levels of nesting, `MAX_DEPTH + 1` for more or for brackets that do not close.

    Both kinds of brackets count as one kind; that they match in kind is the decoder's to check. A first
    look also counts the brackets inside strings: it is cheap, and where it ends well the body is no
    deeper, unless strings were made to hide it. Such a body meets the recursion limit of the decoder,
    which is the second, wider bound. Any other body is measured again without its strings.
    """
    level = _levels(body.translate(_ALL_SQUARE, _NOT_BRACKETS))
    if level <= MAX_DEPTH:
        return level
    # Without escapes every quote begins or ends a string; taking out two neighbouring quotes leaves every
    # other byte on its side of the quotes.
    bare = _ESCAPE.sub(b"", body).translate(_ALL_SQUARE, _NOT_STRUCTURE).replace(b'""', b"")
    return _levels(_QUOTED.sub(b"", bare))


def _levels(brackets: bytes) -> int:
    """Return how many times the innermost pairs must be taken out until nothing is left."""
    if brackets.startswith(b"[" * (MAX_DEPTH + 1)):
        return MAX_DEPTH + 1
    for level in range(MAX_DEPTH + 1):
        if not brackets:
            return level
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return MAX_DEPTH + 1


class Repeated(dict[str, Any]):
    """A JSON object in which at least one member stands twice; the last one counts."""


def load_json(body: bytes) -> Any:
    """Return the decoded body, objects with a repeated member as `Repeated`; raises `NotJson`."""
    check_json(body)
    decode_strictly(_SYNTAX.decode, body)
    return load_checked(body)


def decode_strictly(decode: Callable[[bytes], _T], body: bytes) -> _T:
    """Return what a msgspec decoder reads from a body that `check_json` let pass; raises `NotJson`."""
    try:
        return decode(body)
    except msgspec.ValidationError:
        raise NotJson("The body is not a JSON object.") from None
    except msgspec.DecodeError:
        raise NotJson("The body is not valid JSON.") from None
    except RecursionError:
        raise NotJson(_TOO_DEEP) from None


def load_checked(body: bytes) -> Any:
    """Return the value of bytes whose syntax is known to be good; raises `NotJson`.

    Integers come as floats: Python refuses to read integers of more than 4,300 digits, JSON does not.
    Each value costs some fifty times its two bytes in memory, so that not any number of them is taken.
    """
    if sum(map(body.count, _BEFORE_A_VALUE)) > MAX_VALUES:
        raise NotJson(f"The body holds more than {MAX_VALUES} values.")
    try:
        return json.loads(body, object_pairs_hook=_object, parse_int=float)
    except RecursionError:
        raise NotJson(_TOO_DEEP) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeated(pairs)


def refuse_repeated(value: Any, name: str) -> None:
    """Return nothing unless `value` is an object with a repeated member; raises `BadRequest`."""
    if isinstance(value, Repeated):
        raise BadRequest("structure", f"A member of {name} is repeated.")
