"""Strict JSON: what counts as readable, and that the two kinds of reading agree."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.protocol.errors import BadRequest, NotJson
from cds_service.protocol.jsonio import (
    MAX_DEPTH,
    MAX_VALUES,
    Repeated,
    check_json,
    load_checked,
    load_json,
    refuse_repeated,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_DEPTH),
        b'{"a":' * (MAX_DEPTH - 1) + b"{}" + b"}" * (MAX_DEPTH - 1),
        b'[{"a":' * (MAX_DEPTH // 2) + b"1" + b"}]" * (MAX_DEPTH // 2),
        b'["[[[", "\\"[[[", "]]", "{", "\\\\"]',
        '["ü", "\u2028"]'.encode(),
        b'["' + b"[" * 500 + b'"]',
        b"[" + b"[]," * 5000 + b"[]]",
    ],
)
def test_text_of_bounded_depth_passes(body: bytes) -> None:
    check_json(body)
    assert load_json(body) is not None


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_DEPTH + 1),
        nested(MAX_DEPTH + 1, '{"a":', "}").replace(b'{"a":}', b"{}"),
        b'[{"a":' * 33 + b"1" + b"}]" * 33,
        b"[" * 200_000,
        b"[[]," + nested(MAX_DEPTH + 5) + b"]",
        b"]",
        b'["a", "b"',
        b'{"a": "\xff"}',
        b"\xfe\xff\x00[\x00]",
        b'["\xed\xa0\x80"]',
    ],
)
def test_deep_unbalanced_or_undecodable_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        check_json(body)


def hidden(levels: int) -> bytes:
    """Return nested arrays whose depth the brackets inside strings hide from the first look."""
    return b'["]",' * levels + b"1" + b',"["]' * levels


@pytest.mark.parametrize("levels", [5_000, 100_000])
def test_depth_that_strings_hide_meets_the_limit_of_the_decoder(levels: int) -> None:
    with pytest.raises(NotJson, match="deeper"):
        load_json(hidden(levels))


def test_depth_that_python_meets_after_the_decoder_is_refused_as_well() -> None:
    with pytest.raises(NotJson, match="deeper"):
        load_checked(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b'"',
        b'["a]',
        b"{",
        b"[1,]",
        b'{"a":1,}',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[01]",
        b"[1] 2",
        b"// note\n{}",
        b'["\x01"]',
        b'["\\q"]',
        b'["\\ud800"]',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[}",
        b"{'a': 1}",
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson) as caught:
        load_json(body)
    assert caught.value.code == "structure"


@given(json_values)
def test_whatever_is_json_is_read_as_it_is(value: object) -> None:
    for body in (
        json.dumps(value).encode(),
        json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"),
    ):
        read = load_json(body)
        assert read == json.loads(body, parse_int=float)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read = load_json(body)
    except NotJson:
        return
    assert read == json.loads(body, parse_int=float)


@given(st.text(alphabet='[]{}",:\\1 ', max_size=60))
def test_what_looks_like_json_is_read_exactly_when_the_library_reads_it(text: str) -> None:
    try:
        expected = json.loads(text, parse_int=float)
    except ValueError:
        with pytest.raises(NotJson):
            load_json(text.encode())
    else:
        assert load_json(text.encode()) == expected


def test_the_last_of_repeated_members_counts_and_the_repetition_is_kept() -> None:
    value = load_json(b'{"a": {"b": 1, "b": 2}, "c": {"d": 1}}')
    assert isinstance(value["a"], Repeated)
    assert value["a"] == {"b": 2}
    assert not isinstance(value, Repeated)
    refuse_repeated(value, "the request")
    with pytest.raises(BadRequest, match="A member of a is repeated"):
        refuse_repeated(value["a"], "a")


def test_numbers_of_any_length_are_read() -> None:
    assert load_json(b"[" + b"9" * 5000 + b", 1e999]") == [float("inf"), float("inf")]


@pytest.mark.parametrize("unit", [b"0,", b"[],", b'{"a":0},'])
def test_the_number_of_values_is_bounded(unit: bytes) -> None:
    marks = sum(map(unit.count, (b",", b"{", b"[")))
    most = (MAX_VALUES - 1) // marks
    assert len(load_json(b"[" + unit * most + b"0]")) == most + 1
    with pytest.raises(NotJson, match="more than 200000 values"):
        load_json(b"[" + unit * (most + 1) + b"0]")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'["\xff"]', "The body is not valid UTF-8."),
        (b"{", "The body is nested deeper than 64 levels or its brackets do not match."),
        (b"[1,]", "The body is not valid JSON."),
    ],
)
def test_a_body_is_refused_in_these_words(body: bytes, told: str) -> None:
    with pytest.raises(NotJson) as caught:
        load_json(body)
    assert (caught.value.code, caught.value.diagnostics) == ("structure", told)
