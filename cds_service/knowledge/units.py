"""Units of laboratory values: which factor leads from one spelling to the analyte's canonical unit."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

_LONGEST = 40
_MICRO = re.compile(r"\bmc(?=g|mol)")
_FRAME = str.maketrans("", "", " {}[]_^()\t\u00a0")
# Far more digits than any value has: a reader of the factor rounds the product back to what is meant.
_DIVISION = Context(prec=50)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class UnitFactor:
    """The conversion of one unit: value * factor + offset is the value in the canonical unit."""

    factor: Decimal
    family: str
    canonical: str
    label: str
    offset: Decimal = Decimal(0)


Units = Mapping[str, Mapping[str, UnitFactor]]
"""By analyte, then by plain spelling."""


def load_units(read: Callable[[str], bytes]) -> Units:
    """Return the units of the packaged table."""
    table = tomllib.loads(read("units.toml").decode())
    return {analyte: _of_analyte(entry) for analyte, entry in table.items()}


def _of_analyte(entry: Mapping[str, Any]) -> dict[str, UnitFactor]:
    found = {}
    for unit in entry["units"]:
        factor = UnitFactor(
            _factor(unit),
            unit["family"],
            entry["canonical"],
            unit["label"],
            Decimal(unit.get("offset", "0")),
        )
        found.update(dict.fromkeys(unit["spellings"], factor))
    return found


def _factor(unit: Mapping[str, str]) -> Decimal:
    if "divisor" in unit:
        return _DIVISION.divide(_ONE, Decimal(unit["divisor"]))
    return Decimal(unit["factor"])


def plain(text: str) -> str:
    """Return a unit in one spelling: small letters, `u` for micro, no blanks, no braces; "" when too long."""
    if len(text) > _LONGEST:
        return ""
    # Folded, the micro sign is the Greek letter.
    folded = text.strip().casefold().replace("²", "2").replace("\u03bc", "u")
    folded = folded.replace(" per ", "/").replace("sq m", "m2").replace("sq. m", "m2")
    return _MICRO.sub("u", folded).translate(_FRAME).rstrip(".")
