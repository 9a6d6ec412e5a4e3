"""The bounds of what goes to full validation: how long a resource may be, and how large its numbers.

Models turn numbers into other kinds of numbers. A few bytes like 1e99999999 would keep them busy for
minutes, so that no such number ever reaches a model.
"""

import json
from decimal import Decimal

MAX_TEXT = 256 * 1024
"""Bytes of JSON of one resource; those that decide have a few thousand."""
MAX_NUMBER = 400
"""Characters of a number, and powers of ten that it may be away from one."""


class OutOfBounds(ValueError):
    """Raised for a resource that must not be validated; the message says why and holds no value."""


def load_bounded(text: bytes) -> object:
    """Return the JSON value of a resource with exact numbers; raises OutOfBounds."""
    if len(text) > MAX_TEXT:
        raise OutOfBounds("too large")
    try:
        return json.loads(text, parse_float=_decimal, parse_int=_integer)
    except OutOfBounds:
        raise
    except (ValueError, RecursionError):
        raise OutOfBounds("not readable JSON") from None


def _decimal(text: str) -> Decimal:
    # The exponent is bounded as text first: Decimal itself refuses the largest ones.
    exponent = text.lower().partition("e")[2].lstrip("+-0")
    if len(text) > MAX_NUMBER or len(exponent) > len(str(MAX_NUMBER)):
        raise OutOfBounds("number out of range")
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_NUMBER:
        raise OutOfBounds("number out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER:
        raise OutOfBounds("number out of range")
    return int(text)
