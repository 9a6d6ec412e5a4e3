"""Laboratory values: numbers, comparators and units, exact, from raw text to an interval."""

from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.facts import Analyte, ResultNote, Unreadable
from cds_service.clinical.interval import Interval
from cds_service.fhir import lean
from cds_service.fhir.quantities import (
    CLEANED_QUOTED,
    Measured,
    NotANumber,
    SentValue,
    measure,
    one_decimal,
    parse_number,
    read_integer,
    read_quantity,
    read_range,
    read_text,
)
from cds_service.knowledge import load

UCUM = "http://unitsofmeasure.org"
UNIT = load().terminology.unit


def quantity(**members: Any) -> lean.Quantity:
    return msgspec.json.decode(msgspec.json.encode(members), type=lean.Quantity)


def raw_quantity(text: str) -> lean.Quantity:
    return msgspec.json.decode(text, type=lean.Quantity)


def measured(
    sent: lean.Quantity | str, analyte: Analyte = Analyte.FERRITIN, *, family: str | None = "mass"
) -> Measured:
    lookup = partial(UNIT, analyte.value)
    value = read_text(sent, lookup) if isinstance(sent, str) else read_quantity(sent, lookup)
    assert isinstance(value, SentValue)
    return measure(value, analyte, lookup, code_family=family, may_assume_unit=True)


def exactly(text: str) -> Interval:
    return Interval.exactly(Decimal(text))


@pytest.mark.parametrize(
    ("value", "unit", "expected", "canonical"),
    [
        (60, "ng/mL", "60", None),
        (60, "ug/L", "60", "60 ng/mL"),
        (60, "µg/L", "60", "60 ng/mL"),
        (60, "μg/L", "60", "60 ng/mL"),
        (60, "mcg/L", "60", "60 ng/mL"),
        (60, "NG/ML", "60", "60 ng/mL"),
        (75.04, "ug/L", "75.04", "75.04 ng/mL"),
        (6.0, "ug/dL", "60", "60 ng/mL"),
        (0.06, "mg/L", "60", "60 ng/mL"),
        (0.1, "nmol/L", "44.5", "44.5 ng/mL"),
    ],
)
def test_units_of_ferritin(value: float, unit: str, expected: str, canonical: str | None) -> None:
    found = measured(quantity(value=value, unit=unit))
    assert found.interval == exactly(expected)
    assert found.shown_canonical == canonical
    assert found.shown == f"{value} {unit}"


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (168, "74.8 ng/mL"),
        (169, "75.2 ng/mL"),
        (112, "49.8 ng/mL"),
        (113, "50.3 ng/mL"),
        (225, "100.1 ng/mL"),
    ],
)
def test_picomoles_are_converted_for_the_rules_and_rounded_for_the_reader_only(
    value: int, canonical: str
) -> None:
    found = measured(quantity(value=value, unit="pmol/L", system=UCUM, code="pmol/L"), family="molar")
    assert found.shown == f"{value} pmol/L"
    assert found.shown_canonical == canonical
    assert found.notes == {ResultNote.CONVERTED, ResultNote.CONVERTED_MOLAR}
    assert found.interval is not None
    assert found.interval.low is not None
    assert abs(found.interval.low * Decimal("2.247") - value) < Decimal("1E-15")


def test_a_value_on_the_threshold_stays_on_it_after_conversion() -> None:
    found = measured(quantity(value=168.525, unit="pmol/L"), family="molar")
    assert found.interval is not None
    assert found.interval.is_certainly_at_most(Decimal(75))
    assert found.interval.is_certainly_at_least(Decimal(75))


@pytest.mark.parametrize(
    ("members", "interval", "shown"),
    [
        ({"value": 10, "comparator": "<"}, Interval(None, Decimal(10), includes_high=False), "<10 ng/mL"),
        ({"value": 10, "comparator": "<="}, Interval(None, Decimal(10)), "<=10 ng/mL"),
        ({"value": 10, "comparator": ">"}, Interval(Decimal(10), None, includes_low=False), ">10 ng/mL"),
        ({"value": 10, "comparator": ">="}, Interval(Decimal(10), None), ">=10 ng/mL"),
        ({"value": "<5"}, Interval(None, Decimal(5), includes_high=False), "<5 ng/mL"),
        ({"value": "5", "comparator": "<"}, Interval(None, Decimal(5), includes_high=False), "<5 ng/mL"),
        ({"value": "≤5", "comparator": "<="}, Interval(None, Decimal(5)), "<=5 ng/mL"),
    ],
)
def test_a_comparator_makes_an_interval(members: dict[str, Any], interval: Interval, shown: str) -> None:
    found = measured(quantity(unit="ng/mL", **members))
    assert found.interval == interval
    assert found.shown == shown


def test_an_unknown_comparator_is_shown_and_the_value_used_with_a_note() -> None:
    found = measured(quantity(value=60, comparator="~", unit="ng/mL"))
    assert found.interval == exactly("60")
    assert found.shown == "~60 ng/mL"
    assert found.notes == {ResultNote.UNKNOWN_COMPARATOR}


def test_a_comparator_survives_conversion() -> None:
    found = measured(quantity(value=1, comparator="<", unit="ug/dL"))
    assert found.interval == Interval(None, Decimal(10), includes_high=False)
    assert found.shown_canonical == "<10 ng/mL"
    assert measured(quantity(value=1, comparator=">=", unit="ug/dL")).shown_canonical == ">=10 ng/mL"


@pytest.mark.parametrize(
    "members",
    [
        {"value": "<5", "comparator": ">"},
        {"value": "5 ng/mL", "unit": "pmol/L"},
        {"value": "five"},
        {"value": True},
        {"value": [5]},
        {"value": {"a": 1}},
    ],
)
def test_a_contradiction_or_another_type_is_not_a_number(members: dict[str, Any]) -> None:
    assert isinstance(read_quantity(quantity(**members), partial(UNIT, "ferritin")), NotANumber)


@pytest.mark.parametrize("text", ['{"unit": "ng/mL"}', '{"value": null}', '{"value": ""}', '{"value": "  "}'])
def test_a_quantity_without_a_value_is_no_value(text: str) -> None:
    assert read_quantity(raw_quantity(text), partial(UNIT, "ferritin")) is None


def test_a_quoted_number_is_a_clean_up() -> None:
    sent = read_quantity(quantity(value="12.5 ng/mL"), partial(UNIT, "ferritin"))
    assert isinstance(sent, SentValue)
    assert sent.cleanups == (CLEANED_QUOTED,)
    assert sent.unit == "ng/mL"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60", "60"),
        ("60 ng/mL", "60"),
        ("60ng/mL", "60"),
        ("12,5 ng/mL", "12.5"),
        ("0,125 mg/L", "125"),
        ("1234,5 ug/L", "1234.5"),
        (" 6E1 ", "60"),
        ("+60", "60"),
    ],
)
def test_a_text_that_is_nothing_but_a_value_is_read(text: str, expected: str) -> None:
    found = measured(text)
    assert found.interval == exactly(expected)
    assert ResultNote.FROM_TEXT in found.notes


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1,234 ng/mL",
            "60 (low)",
            "see comment",
            "ferritin 60",
            "60 H",
            "60-80",
            "5 0",
            "1.2.3",
            "<>5",
            ".",
        ),
        *("2026-10-01", "<", "1,234.5", "60 mmol/L", "9" * 70, "٦٠", "nan", "Infinity", "1_000"),
    ],
)
def test_a_number_inside_other_words_is_never_read(text: str) -> None:
    assert isinstance(read_text(text, partial(UNIT, "ferritin")), NotANumber)


def test_a_blank_text_is_no_value() -> None:
    assert read_text("  ", partial(UNIT, "ferritin")) is None


@pytest.mark.parametrize(
    "value", ["1e400", "1e-400", "1e99999", "-1", "-0", "0", "0e400", "100000.1", "9" * 300]
)
def test_impossible_ferritin_values_are_implausible_and_never_hang(value: str) -> None:
    found = measured(raw_quantity(f'{{"value": {value}, "unit": "ng/mL"}}'))
    assert found.unreadable is Unreadable.IMPLAUSIBLE
    assert found.interval is None
    assert len(found.shown) < 60


def test_digits_beyond_a_float_are_kept() -> None:
    exact = "75.0000000000000000000000000000000001"
    found = measured(raw_quantity(f'{{"value": {exact}, "unit": "ng/mL"}}'))
    assert found.interval == exactly(exact)
    assert found.interval.is_certainly_above(Decimal(75))


def test_a_long_value_is_shown_cut() -> None:
    found = measured(
        raw_quantity('{"value": 0.1000000000000000055511151231257827021181583404541015625, "unit": "mg/L"}')
    )
    assert found.unreadable is None
    assert found.shown.endswith("… mg/L")


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.18, "1", "18"),
        (0.18, None, "18"),
        (1.5, None, "150"),
        (18, "%", "18"),
        (1.6, "%", "1.6"),
        (0, "%", "0"),
    ],
)
def test_a_saturation_without_percent_sign_is_a_fraction_up_to_1_5(
    value: float, unit: str | None, expected: str
) -> None:
    found = measured(quantity(value=value, unit=unit), Analyte.TSAT, family=None)
    assert found.interval == exactly(expected)


@pytest.mark.parametrize("comparator", [None, "<", "<="])
@pytest.mark.parametrize("value", [0.18, 0.35, 1.5])
def test_a_saturation_of_a_fraction_of_a_percent_is_no_result(value: float, comparator: str | None) -> None:
    found = measured(quantity(value=value, unit="%", comparator=comparator), Analyte.TSAT, family=None)
    assert (found.unreadable, found.interval) == (Unreadable.FRACTION, None)


def test_a_saturation_that_may_be_higher_is_read() -> None:
    found = measured(quantity(value=1, unit="%", comparator=">"), Analyte.TSAT, family=None)
    assert found.unreadable is None


@pytest.mark.parametrize("unit", ["1", None])
def test_a_larger_saturation_without_unit_is_not_read(unit: str | None) -> None:
    found = measured(quantity(value=18, unit=unit), Analyte.TSAT, family=None)
    assert found.unreadable is Unreadable.UNIT_MISSING


@pytest.mark.parametrize("value", [150.1, -1])
def test_a_saturation_outside_0_to_150_is_implausible(value: float) -> None:
    found = measured(quantity(value=value, unit="%"), Analyte.TSAT, family=None)
    assert found.unreadable is Unreadable.IMPLAUSIBLE


@pytest.mark.parametrize(
    ("value", "is_assumed"), [(1, True), (3000, True), (60, True), (0.9, False), (3001, False)]
)
def test_a_missing_unit_is_assumed_only_for_plausible_ferritin(value: float, *, is_assumed: bool) -> None:
    found = measured(quantity(value=value))
    assert (found.unreadable is None) is is_assumed
    assert (ResultNote.UNIT_ASSUMED in found.notes) is is_assumed
    if is_assumed:
        assert (found.shown, found.shown_canonical) == (f"{value}", f"{value} ng/mL")


def test_a_missing_unit_is_not_assumed_for_other_codes() -> None:
    lookup = partial(UNIT, "ferritin")
    sent = read_quantity(quantity(value=60), lookup)
    assert isinstance(sent, SentValue)
    found = measure(sent, Analyte.FERRITIN, lookup, code_family="molar", may_assume_unit=False)
    assert found.unreadable is Unreadable.UNIT_MISSING


def test_an_unknown_unit_is_unreadable_and_shown() -> None:
    found = measured(quantity(value=60, unit="mmol/L"))
    assert found.unreadable is Unreadable.UNIT
    assert found.shown == "60 mmol/L"


def test_a_unit_of_the_other_family_is_trusted_with_a_note() -> None:
    found = measured(quantity(value=100, unit="pmol/L"))
    assert found.notes == {
        ResultNote.UNIT_MISMATCH,
        ResultNote.CONVERTED,
        ResultNote.CONVERTED_MOLAR,
    }
    assert found.shown_canonical == "44.5 ng/mL"


@pytest.mark.parametrize(
    ("members", "expected", "shown"),
    [
        ({"unit": "ng/mL", "system": UCUM, "code": "pmol/L"}, "44.5", "100 pmol/L"),
        ({"unit": "µg/L", "system": UCUM, "code": "ug/L"}, "100", "100 µg/L"),
        ({"unit": "ng/mL", "system": "urn:local", "code": "pmol/L"}, "100", "100 ng/mL"),
        ({"code": "ng/mL"}, "100", "100 ng/mL"),
        ({"unit": "pmol/L", "system": "urn:oid:2.16.840.1.113883.6.8", "code": "ng/mL"}, "100", "100 ng/mL"),
    ],
)
def test_the_ucum_code_wins_over_the_unit_text(members: dict[str, str], expected: str, shown: str) -> None:
    found = measured(quantity(value=100, **members))
    assert found.interval is not None
    assert found.interval.low is not None
    assert one_decimal(found.interval.low) == expected
    assert found.shown == shown


def test_iron_and_tibc_become_micromoles_per_litre() -> None:
    assert measured(quantity(value=400, unit="ug/dL"), Analyte.TIBC).interval == exactly("71.6")
    assert measured(quantity(value=8, unit="umol/L"), Analyte.IRON, family="molar").interval == exactly("8")


def test_crp_in_mg_per_dl_is_ten_times_as_much() -> None:
    found = measured(quantity(value=3.0, unit="mg/dL"), Analyte.CRP)
    assert found.interval == exactly("30")
    assert found.shown_canonical == "30 mg/L"
    assert found.notes == {ResultNote.CONVERTED}


def test_a_crp_of_zero_is_low_and_a_tibc_of_zero_impossible() -> None:
    assert measured(quantity(value=0, unit="mg/L"), Analyte.CRP).interval == exactly("0")
    assert measured(quantity(value=0, unit="ug/dL"), Analyte.TIBC).unreadable is Unreadable.IMPLAUSIBLE


@pytest.mark.parametrize(
    ("members", "interval", "shown"),
    [
        (
            {"low": {"value": 50, "unit": "ng/mL"}, "high": {"value": 80}},
            Interval(Decimal(50), Decimal(80)),
            "50-80 ng/mL",
        ),
        ({"high": {"value": 80, "unit": "ng/mL"}}, Interval(None, Decimal(80)), "<=80 ng/mL"),
        ({"low": {"value": 50, "unit": "ng/mL"}}, Interval(Decimal(50), None), ">=50 ng/mL"),
        (
            {"low": {"value": 0, "unit": "ng/mL"}, "high": {"value": 30, "unit": "ug/L"}},
            Interval(None, Decimal(30)),
            "0-30 ng/mL",
        ),
    ],
)
def test_a_range_is_an_interval(members: dict[str, Any], interval: Interval, shown: str) -> None:
    lookup = partial(UNIT, "ferritin")
    sent = read_range(_range(members), lookup)
    assert isinstance(sent, SentValue)
    found = measure(sent, Analyte.FERRITIN, lookup, code_family="mass", may_assume_unit=False)
    assert found.interval == interval
    assert found.shown == shown


def _range(members: dict[str, Any]) -> lean.Range:
    return msgspec.json.decode(msgspec.json.encode(members), type=lean.Range)


@pytest.mark.parametrize(
    "members",
    [
        {"low": {"value": 50, "unit": "ng/mL"}, "high": {"value": 80, "unit": "pmol/L"}},
        {"low": {"value": 50, "comparator": ">"}, "high": {"value": 80}},
        {"low": {"value": "x"}, "high": {"value": 80}},
    ],
)
def test_a_range_that_contradicts_itself_is_not_a_number(members: dict[str, Any]) -> None:
    assert isinstance(read_range(_range(members), partial(UNIT, "ferritin")), NotANumber)


def test_a_range_without_ends_is_no_value_and_one_upside_down_is_implausible() -> None:
    lookup = partial(UNIT, "ferritin")
    assert read_range(_range({"low": {"unit": "ng/mL"}}), lookup) is None
    sent = read_range(_range({"low": {"value": 80, "unit": "ng/mL"}, "high": {"value": 50}}), lookup)
    assert isinstance(sent, SentValue)
    found = measure(sent, Analyte.FERRITIN, lookup, code_family=None, may_assume_unit=False)
    assert found.unreadable is Unreadable.IMPLAUSIBLE


def test_an_integer_has_no_unit() -> None:
    sent = read_integer(msgspec.Raw(b"60"))
    assert isinstance(sent, SentValue)
    assert (sent.unit, sent.interval) == ("", exactly("60"))
    assert read_integer(lean.ABSENT) is None


VALUES = st.decimals(min_value="0.01", max_value=9000, places=3)
LIMITS = st.sampled_from([Decimal(x) for x in (15, 30, 50, 75, 100, 200, 300)])


@given(VALUES, LIMITS)
def test_a_band_does_not_depend_on_the_unit_it_was_sent_in(value: Decimal, limit: Decimal) -> None:
    mass = measured(raw_quantity(f'{{"value": {value}, "unit": "ng/mL"}}')).interval
    same = measured(raw_quantity(f'{{"value": {value}, "unit": "ug/L"}}')).interval
    tenth = measured(raw_quantity(f'{{"value": {value / 10}, "unit": "ug/dL"}}')).interval
    molar = measured(raw_quantity(f'{{"value": {value * Decimal("2.247")}, "unit": "pmol/L"}}')).interval
    assert mass == same == tenth
    assert mass is not None
    assert molar is not None
    for judge in (
        "is_certainly_below",
        "is_certainly_at_most",
        "is_certainly_above",
        "is_certainly_at_least",
    ):
        assert getattr(mass, judge)(limit) == getattr(molar, judge)(limit)


@given(VALUES, st.sampled_from(["<", "<=", ">", ">="]), LIMITS)
def test_an_interval_is_never_on_both_sides_of_a_limit(
    value: Decimal, comparator: str, limit: Decimal
) -> None:
    found = measured(quantity(value=str(value), comparator=comparator, unit="ng/mL")).interval
    assert found is not None
    assert not (found.is_certainly_at_most(limit) and found.is_certainly_above(limit))
    assert not (found.is_certainly_below(limit) and found.is_certainly_at_least(limit))


@given(st.text(max_size=80))
def test_any_text_is_a_value_or_not_but_never_raises(text: str) -> None:
    lookup = partial(UNIT, "ferritin")
    parse_number(text)
    sent = read_text(text, lookup)
    if isinstance(sent, SentValue):
        measure(sent, Analyte.FERRITIN, lookup, code_family="mass", may_assume_unit=True)


@given(
    st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,12})?", fullmatch=True),
    st.sampled_from(list(Analyte)),
)
def test_any_json_number_is_measured_without_raising(number: str, analyte: Analyte) -> None:
    lookup = partial(UNIT, analyte.value)
    for unit in ("ng/mL", "pmol/L", "%", "ug/dL", "mg/dL", ""):
        sent = read_quantity(lean.Quantity(value=msgspec.Raw(number.encode()), unit=unit), lookup)
        if isinstance(sent, SentValue):
            found = measure(sent, analyte, lookup, code_family=None, may_assume_unit=True)
            assert (found.interval is None) is (found.unreadable is not None)
            assert len(found.shown) < 80


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=5))
def test_any_unit_and_comparator_is_measured_without_raising(unit: str, code: str, comparator: str) -> None:
    for system in (UCUM, None):
        sent = lean.Quantity(
            value=msgspec.Raw(b"5"), unit=unit, code=code, system=system, comparator=comparator
        )
        found = measured(sent)
        assert (found.interval is None) is (found.unreadable is not None)
