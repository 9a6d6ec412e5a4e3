"""Numbers, comparators and units of laboratory values, exact: from raw text to an interval.

Nothing here knows a resource: `observations` says which analyte and which kind of code a value has.
The unit comes from the UCUM code, else from the unit text; a comparator makes an interval; a number inside
a comment is never read; nothing is rounded but what is printed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NamedTuple

import msgspec

from cds_service.clinical.facts import Analyte, ResultNote, Unreadable
from cds_service.clinical.interval import Interval
from cds_service.fhir.lean import Quantity, Range
from cds_service.knowledge import UnitFactor

UnitLookup = Callable[[str], UnitFactor | None]
"""Returns the conversion of one spelling of a unit to the analyte's canonical unit."""

_UCUM = frozenset(
    {"http://unitsofmeasure.org", "https://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8"}
)
_COMPARATORS = {"<": "<", "<=": "<=", "≤": "<=", "=<": "<=", ">": ">", ">=": ">=", "≥": ">=", "=>": ">="}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?(?P<exponent>[0-9]+))?\Z")
# "12,5" can only be a decimal comma; "1,234" may also be a thousand, so it is not read.
_DECIMAL_COMMA = re.compile(r"(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)\Z")
_VALUE_TEXT = re.compile(
    r"(?P<comparator>[<>=≤≥]{0,2})\s*"
    r"(?P<number>[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?)\s*"
    r"(?P<unit>[^0-9\s].*)?\Z"
)
CLEANED_QUOTED = "number sent as text"

_LONGEST_TEXT = 60
_LONGEST_NUMBER = 100
_LONGEST_EXPONENT = 4
_LONGEST_SHOWN = 30
# Far outside any laboratory value, yet small enough to be computed and printed without harm.
_LARGEST_MAGNITUDE = 12
_BEYOND = Decimal("1E+99")
_EXACT = Context(prec=160)
_RECIPROCAL = Context(prec=20)
_ZERO = Decimal(0)
_ONE = Decimal(1)

_HIGHEST = {
    Analyte.FERRITIN: Decimal(100_000),
    Analyte.TSAT: Decimal(150),
    Analyte.ALCOHOL_SCORE: Decimal(12),
    Analyte.SLEEP: Decimal(24),
    Analyte.SEVERITY: Decimal(40),
}
# A saturation or a CRP of 0 is low, not impossible; scores and drinks begin at 0.
_MAY_BE_ZERO = frozenset({Analyte.TSAT, Analyte.CRP, Analyte.ALCOHOL_SCORE, Analyte.DRINKS, Analyte.SEVERITY})
_MAY_LACK_UNIT = frozenset({Analyte.TSAT, Analyte.ALCOHOL_SCORE, Analyte.DRINKS, Analyte.SEVERITY})
_LARGEST_FRACTION = Decimal("1.5")
_UNITY = "1"
_ASSUMED_UNIT = "ng/mL"
_LOWEST_ASSUMED, _HIGHEST_ASSUMED = Decimal(1), Decimal(3000)


@dataclass(frozen=True, slots=True)
class SentValue:
    """A value as it was sent: an interval in the sender's unit ("" when none), and its spelling.

    `unit` decides; `shown_unit` is what a reader sees (the unit text where the UCUM code agrees with it).
    """

    interval: Interval
    shown: str
    unit: str = ""
    shown_unit: str = ""
    notes: frozenset[ResultNote] = frozenset()
    cleanups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotANumber:
    """A value that is there but is no number; `shown` is its bounded spelling."""

    shown: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A value in the canonical unit, or why there is none."""

    shown: str
    interval: Interval | None = None
    shown_canonical: str | None = None
    unreadable: Unreadable | None = None
    notes: frozenset[ResultNote] = frozenset()


def is_given(raw: msgspec.Raw) -> bool:
    """Whether a raw element is there and not null."""
    return bytes(raw).strip() not in {b"", b"null"}


def parse_number(text: str) -> Decimal | None:
    """Return a plain number exactly, None when the text is none; absurdly large or long ones as 1E+99."""
    match = _NUMBER.match(text)
    if match is None:
        return None
    if len(text) > _LONGEST_NUMBER or len(match["exponent"] or "") > _LONGEST_EXPONENT:
        return _BEYOND
    value = Decimal(text)
    # "-0" and "0e400" are plain zeros.
    return value or _ZERO


def read_quantity(quantity: Quantity, lookup: UnitLookup) -> SentValue | NotANumber | None:
    """Return the value of a Quantity; None when it has no value."""
    raw = bytes(quantity.value).strip()
    if raw in {b"", b"null"}:
        return None
    unit, shown_unit = _unit_of(quantity, lookup)
    if raw.startswith(b'"'):
        return _read_quoted(msgspec.json.decode(raw, type=str), quantity, unit, shown_unit, lookup)
    text = raw.decode()
    number = parse_number(text)
    if number is None:
        return NotANumber(_clip(text))
    return _compared(text, number, (quantity.comparator or "").strip(), unit, shown_unit)


def _unit_of(quantity: Quantity, lookup: UnitLookup) -> tuple[str, str]:
    text, code = (quantity.unit or "").strip(), (quantity.code or "").strip()
    if not code or ((quantity.system or "").strip() not in _UCUM and text):
        return text, text
    # The unit text is shown where it means the same as the code that decides.
    return (code, text) if text and _are_same(code, text, lookup) else (code, code)


def _are_same(unit: str, other: str, lookup: UnitLookup) -> bool:
    one, two = lookup(unit), lookup(other)
    return one is not None and two is not None and (one.factor, one.family) == (two.factor, two.family)


def _read_quoted(
    text: str, quantity: Quantity, unit: str, shown_unit: str, lookup: UnitLookup
) -> SentValue | NotANumber | None:
    if not text.strip():
        return None
    words = _split(text, lookup)
    element = (quantity.comparator or "").strip()
    if (
        words is None
        # Two comparators or two units that contradict each other leave no value to trust.
        or (element and words.comparator and _same_sign(element) != _same_sign(words.comparator))
        or (unit and words.unit and not _are_same(unit, words.unit, lookup))
    ):
        return NotANumber(_clip(text))
    value = _compared(
        words.text,
        words.number,
        element or words.comparator,
        unit or words.unit,
        shown_unit or words.unit,
    )
    return replace(value, cleanups=(CLEANED_QUOTED,))


def _same_sign(comparator: str) -> str:
    return _COMPARATORS.get(comparator, comparator)


def read_text(text: str, lookup: UnitLookup) -> SentValue | NotANumber | None:
    """Return the value of a text that is nothing but comparator, number and known unit; None when blank."""
    if not text.strip():
        return None
    words = _split(text, lookup)
    if words is None:
        return NotANumber(_clip(text))
    value = _compared(words.text, words.number, words.comparator, words.unit, words.unit)
    return replace(value, notes=value.notes | {ResultNote.FROM_TEXT})


class _Words(NamedTuple):
    comparator: str
    text: str
    number: Decimal
    unit: str


def _split(text: str, lookup: UnitLookup) -> _Words | None:
    match = _VALUE_TEXT.match(text.strip()) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        return None
    number = _number_of(match["number"])
    comparator, unit = match["comparator"], (match["unit"] or "").strip()
    if number is None or (comparator and comparator not in _COMPARATORS):
        return None
    if unit and lookup(unit) is None:
        return None
    return _Words(comparator, match["number"], number, unit)


def _number_of(text: str) -> Decimal | None:
    return parse_number(text.replace(",", ".") if _DECIMAL_COMMA.match(text) else text)


def read_integer(raw: msgspec.Raw) -> SentValue | NotANumber | None:
    """Return a valueInteger, which never has a unit; None when it is not there."""
    return read_quantity(Quantity(value=raw), lambda _: None) if is_given(raw) else None


def read_range(value: Range, lookup: UnitLookup) -> SentValue | NotANumber | None:
    """Return a Range as an interval, both ends included; None when neither end has a value."""
    ends = [read_quantity(q, lookup) if q is not None else None for q in (value.low, value.high)]
    found = [e for e in ends if e is not None]
    if not found:
        return None
    numbers = [e for e in found if isinstance(e, SentValue) and e.interval.is_exact]
    units = [e.unit for e in numbers if e.unit]
    is_mixed = len(set(units)) > 1 and not _are_same(units[0], units[-1], lookup)
    if len(numbers) < len(found) or is_mixed:
        return NotANumber("-".join(e.shown for e in found))
    low, high = (e.interval.low if isinstance(e, SentValue) else None for e in ends)
    shown = "-".join(e.shown for e in numbers)
    if low is None or high is None:
        shown = f"{'<=' if low is None else '>='}{shown}"
    with_unit = next((e for e in numbers if e.unit), numbers[0])
    # A range from 0 says nothing about its lower end.
    return SentValue(
        Interval(low or None, high),
        shown,
        with_unit.unit,
        with_unit.shown_unit,
        notes=frozenset().union(*(e.notes for e in numbers)),
        cleanups=tuple(c for e in numbers for c in e.cleanups),
    )


def _compared(text: str, number: Decimal, comparator: str, unit: str, shown_unit: str) -> SentValue:
    known = _COMPARATORS.get(comparator)
    shown = f"{_clip(comparator, 4)}{_spelling(text, number)}"
    notes = frozenset({ResultNote.UNKNOWN_COMPARATOR}) if comparator and known is None else frozenset()
    return SentValue(_interval(number, known), shown, unit, shown_unit, notes)


def _interval(number: Decimal, comparator: str | None) -> Interval:
    if comparator is None:
        return Interval.exactly(number)
    is_closed = comparator.endswith("=")
    if comparator.startswith("<"):
        return Interval(None, number, includes_high=is_closed)
    return Interval(number, None, includes_low=is_closed)


def _spelling(text: str, number: Decimal) -> str:
    is_plain = "e" not in text.lower()
    if is_plain or not _is_of_this_world(number):
        return _clip(text)
    return f"{number:f}"


def _is_of_this_world(number: Decimal) -> bool:
    return number == 0 or abs(number.adjusted()) <= _LARGEST_MAGNITUDE


def _clip(text: str, longest: int = _LONGEST_SHOWN) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def measure(
    sent: SentValue,
    analyte: Analyte,
    lookup: UnitLookup,
    *,
    code_family: str | None,
    may_assume_unit: bool,
    site_unit: str | None = None,
) -> Measured:
    """Return a sent value in the analyte's canonical unit, or why it cannot be read.

    `code_family` is "mass" or "molar" where the code says which; `may_assume_unit` holds for the codes
    whose missing unit can only be ng/mL; `site_unit` is what the site says of results without one.
    """
    # UCUM's unity says nothing to a reader.
    shown_unit = "" if sent.shown_unit == _UNITY else _clip(sent.shown_unit)
    shown = f"{sent.shown} {shown_unit}".rstrip()
    bounds = [b for b in (sent.interval.low, sent.interval.high) if b is not None]
    if not all(_is_of_this_world(b) for b in bounds):
        return Measured(shown, unreadable=Unreadable.IMPLAUSIBLE, notes=sent.notes)
    notes = sent.notes
    factor = _factor(sent, analyte, lookup, bounds)
    if site_unit is not None and not sent.unit:
        factor, notes = lookup(site_unit), notes | {ResultNote.UNIT_OF_SITE}
    elif factor is None and not sent.unit and may_assume_unit and _is_assumable(bounds):
        factor, notes = lookup(_ASSUMED_UNIT), notes | {ResultNote.UNIT_ASSUMED}
    if factor is None:
        return Measured(shown, unreadable=_why_no_unit(sent, lookup), notes=notes)
    if code_family and factor.family in {"mass", "molar"} and factor.family != code_family:
        notes |= {ResultNote.UNIT_MISMATCH}
    if analyte is Analyte.TSAT and _is_labelled_fraction(sent.interval, factor):
        return Measured(shown, unreadable=Unreadable.FRACTION, notes=notes)
    interval = sent.interval if factor.factor == _ONE else _converted(sent.interval, factor)
    if not _is_plausible(interval, analyte):
        return Measured(shown, unreadable=Unreadable.IMPLAUSIBLE, notes=notes)
    if factor.factor != _ONE:
        notes |= {ResultNote.CONVERTED}
        if factor.family == "molar":
            notes |= {ResultNote.CONVERTED_MOLAR}
    return Measured(shown, interval, _canonical(sent, interval, factor), notes=notes)


def _factor(
    sent: SentValue, analyte: Analyte, lookup: UnitLookup, bounds: Sequence[Decimal]
) -> UnitFactor | None:
    if not sent.unit and analyte not in _MAY_LACK_UNIT:
        return None
    factor = lookup(sent.unit or _UNITY)
    if factor is not None and factor.family == "fraction" and any(b > _LARGEST_FRACTION for b in bounds):
        # 18 without a percent sign is either 18 % or a mistake.
        return None
    return factor


def _is_labelled_fraction(saturation: Interval, factor: UnitFactor) -> bool:
    """Whether a saturation in per cent is as low as no patient's: 0.18 that was meant as 18 %."""
    highest = saturation.high
    return factor.family == "percent" and highest is not None and _ZERO < highest <= _LARGEST_FRACTION


def _why_no_unit(sent: SentValue, lookup: UnitLookup) -> Unreadable:
    is_understood = not sent.unit or lookup(sent.unit) is not None
    return Unreadable.UNIT_MISSING if is_understood else Unreadable.UNIT


def _is_assumable(bounds: Sequence[Decimal]) -> bool:
    return all(_LOWEST_ASSUMED <= b <= _HIGHEST_ASSUMED for b in bounds)


def _converted(interval: Interval, unit: UnitFactor) -> Interval:
    def convert(bound: Decimal | None) -> Decimal | None:
        if bound is None:
            return None
        product = _EXACT.multiply(bound, unit.factor)
        # A factor such as 1/2.247 is itself cut off; its error must not push 75 over the threshold.
        is_cut_off = len(unit.factor.as_tuple().digits) > _RECIPROCAL.prec
        return _EXACT.add(_RECIPROCAL.plus(product) if is_cut_off else product, unit.offset)

    return replace(interval, low=convert(interval.low), high=convert(interval.high))


def _is_plausible(interval: Interval, analyte: Analyte) -> bool:
    low, high = interval.low, interval.high
    if low is not None and high is not None and low > high:
        return False
    highest = _HIGHEST.get(analyte, _BEYOND)
    for bound in (low, high):
        if bound is None:
            continue
        if bound < 0 or bound > highest or (bound == 0 and analyte not in _MAY_BE_ZERO):
            return False
    return True


def _canonical(sent: SentValue, interval: Interval, factor: UnitFactor) -> str | None:
    """Return the text in the canonical unit; None when the value was sent in it, spelling included."""
    if factor.factor == _ONE:
        if sent.shown_unit == factor.canonical:
            return None
        # A score has no unit to show.
        return sent.shown if factor.canonical == _UNITY else f"{sent.shown} {factor.canonical}"
    return f"{_interval_text(interval)} {factor.canonical}"


def _interval_text(interval: Interval) -> str:
    low, high = interval.low, interval.high
    if low is not None and high is not None:
        return one_decimal(low) if low == high else f"{one_decimal(low)}-{one_decimal(high)}"
    if high is not None:
        return f"{'<=' if interval.includes_high else '<'}{one_decimal(high)}"
    return f"{'>=' if interval.includes_low else '>'}{one_decimal(low or _ZERO)}"


def one_decimal(value: Decimal) -> str:
    """Return the value with at most one decimal, halves rounded up; for display only."""
    rounded = value.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP, context=_EXACT)
    return f"{rounded.normalize():f}"
