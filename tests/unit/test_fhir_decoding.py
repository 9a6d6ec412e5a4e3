"""Nulls inside lists are taken out of a JSON text, and nothing else of it changes."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.fhir.decoding import without_nulls

MOST_SECONDS = 2.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a,[]"\\ nul', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def pruned(value: Any) -> Any:
    """Return a value without the nulls that are elements of its lists."""
    if isinstance(value, list):
        return [pruned(part) for part in value if part is not None]
    if isinstance(value, dict):
        return {name: pruned(part) for name, part in value.items()}
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[null]", b"[]"),
        (b"[ null , 20.50 ]", b"[ 20.50 ]"),
        (b"[1,null,null]", b"[1]"),
        (b"[null,null,1]", b"[1]"),
        (b'{"a":null}', b'{"a":null}'),
        (b'{"a":"[null]","b":[null]}', b'{"a":"[null]","b":[]}'),
        (rb'["\",null,",null]', rb'["\",null,"]'),
        (b"null", b"null"),
    ],
)
def test_only_elements_of_lists_go(text: bytes, expected: bytes) -> None:
    assert without_nulls(text) == expected


@settings(max_examples=300)
@given(JSON)
def test_any_json_keeps_everything_else(value: Any) -> None:
    assert json.loads(without_nulls(json.dumps(value).encode())) == pruned(value)


@pytest.mark.parametrize(
    "text", [b"[" * 200_000, b"[null," * 100_000, b"," * 200_000 + b"null", b'["' * 100_000]
)
def test_no_text_keeps_it_busy(text: bytes) -> None:
    began = time.process_time()
    without_nulls(text)
    assert time.process_time() - began < MOST_SECONDS


def test_blanks_without_end_do_not_either() -> None:
    began = time.process_time()
    without_nulls((b"[" + b" " * 3000) * 300)
    assert time.process_time() - began < MOST_SECONDS
