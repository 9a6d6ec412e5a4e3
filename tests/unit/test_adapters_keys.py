"""Key sets: which keys count, when an address is asked again, and what serves while it fails."""

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from cds_service.adapters.keys import (
    COOL_DOWN,
    LARGEST,
    LAST_GOOD,
    MAX_AGE,
    KeySetError,
    KeySets,
    _thumbprint,
    read_key_set,
)
from cds_service.ports import (
    FetchedPages,
    FetchProblem,
    FhirAccess,
    Query,
    RecordSession,
    StoreUnavailableError,
)
from cds_service.profile import Trust
from tests.tokens import key_set, public_jwk

KINDS = ("EC", "P-256", "RSA")
URL = "https://ehr.example.org/keys/jwks.json"
BY_URL = Trust("https://ehr.example.org", keys_url=URL)


class Address:
    """A key address: answers with `text`, or fails when that is None; counts how often it is asked."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.asked: list[tuple[str, str]] = []

    @contextmanager
    def open(self, access: FhirAccess, *, budget_seconds: float) -> Iterator[RecordSession]:
        assert 0 < budget_seconds <= 3
        self.access = access
        yield self

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        (query,) = queries
        self.asked.append((self.access.address.host, query.url))  # type: ignore[union-attr] # always one with a link
        if self.text is None:
            return (FetchedPages(query.key, problem=FetchProblem.TIMED_OUT),)
        return (FetchedPages(query.key, (self.text.encode(),)),)


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_usable_keys_are_found_by_their_id() -> None:
    text = key_set(public_jwk("ec"), public_jwk("p256", "P-256"), public_jwk("rsa", "RSA", use=None))
    assert set(read_key_set(text)) == {"ec", "p256", "rsa"}


def test_an_id_may_hold_any_character() -> None:
    assert set(read_key_set(key_set(public_jwk("a/b+c=")))) == {"a/b+c="}


OTHERS: list[dict[str, Any]] = [
    public_jwk("enc", use="enc"),
    public_jwk("ops", key_ops=["encrypt"]),
    public_jwk("weak", "weak"),
    {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": "P-384", "kid": "off-curve", "x": "AQ", "y": "AQ"},
    {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
    {"kty": "EC"},
    public_jwk(""),
    *(public_jwk("ops", key_ops=value) for value in (5, "verify", {"verify": 1}, [[]], True)),
    {**public_jwk("null"), "key_ops": None},
    *(
        {**public_jwk("odd"), name: value}
        for name in ("kid", "use", "crv", "x", "kty")
        for value in (5, [], {})
    ),
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: str(other.get("kid")))
def test_keys_for_other_purposes_are_passed_over(other: dict[str, Any]) -> None:
    assert set(read_key_set(key_set(public_jwk(), other))) == {"main"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", 'no list "keys"'),
        ('{"keys": {}}', 'no list "keys"'),
        (json.dumps({"keys": [{}] * 51}), "at most 50"),
        ('{"keys": []}', "no usable key"),
        (key_set(public_jwk("a", "weak")), "no usable key"),
        (key_set(public_jwk("a"), public_jwk("a")), "two keys have one id"),
        (key_set(public_jwk("a", d="x")), "private or shared key"),
        (key_set({"kty": "oct", "kid": "a", "k": "x"}), "private or shared key"),
        (" " * (LARGEST + 1), "too large"),
    ],
)
def test_a_text_that_is_no_set_of_public_keys_is_refused(text: str, reason: str) -> None:
    with pytest.raises(KeySetError, match=reason):
        read_key_set(text)


def test_a_file_is_not_asked_for() -> None:
    address = Address()
    keys = KeySets(address)
    trust = Trust("x", keys=key_set())
    assert keys.key(trust, "main") is not None
    assert keys.key(trust, "other") is None
    assert keys.key(Trust("x"), "main") is None
    assert address.asked == []


def test_an_address_is_asked_once_for_a_known_key() -> None:
    address, clock = Address(key_set()), Clock()
    keys = KeySets(address, now=clock)
    assert all(keys.key(BY_URL, "main") is not None for _ in range(5))
    assert address.asked == [("ehr.example.org", URL)]
    clock.time += MAX_AGE + 1
    assert keys.key(BY_URL, "main") is not None
    assert len(address.asked) == 2


def test_who_has_a_known_key_does_not_wait_for_somebody_s_invented_one() -> None:
    reading, go_on = threading.Event(), threading.Event()

    class Slow(Address):
        def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
            if self.asked:
                reading.set()
                assert go_on.wait(5)
            return super().fetch(queries)

    address, clock = Slow(key_set()), Clock()
    keys = KeySets(address, now=clock)
    assert keys.key(BY_URL, "main") is not None
    clock.time += COOL_DOWN
    with ThreadPoolExecutor(2) as pool:
        invented = pool.submit(keys.key, BY_URL, "invented")
        assert reading.wait(5)
        try:
            assert pool.submit(keys.key, BY_URL, "main").result(2) is not None
            assert not invented.done()
        finally:
            go_on.set()
        assert invented.result(5) is None


def test_keys_whose_private_half_is_public_are_not_taken() -> None:
    for kind in KINDS:
        text = key_set(public_jwk("k", kind))
        (key,) = read_key_set(text).values()
        assert set(read_key_set(text, {"other"})) == {"k"}
        with pytest.raises(KeySetError, match="proves nothing"):
            read_key_set(text, {_thumbprint(key)})
    address = Address(key_set())
    keys = KeySets(address, refused={_thumbprint(read_key_set(key_set())["main"])})
    with pytest.raises(StoreUnavailableError):
        keys.key(BY_URL, "main")
    with pytest.raises(KeySetError):
        keys.key(Trust("x", keys=key_set()), "main")


def test_a_new_key_is_found_and_a_thousand_invented_ids_cost_one_reading() -> None:
    address, clock = Address(key_set()), Clock()
    keys = KeySets(address, now=clock)
    assert keys.key(BY_URL, "main") is not None
    clock.time += COOL_DOWN
    address.text = key_set(public_jwk("new"))
    assert keys.key(BY_URL, "new") is not None
    assert keys.key(BY_URL, "main") is None
    assert all(keys.key(BY_URL, f"invented-{number}") is None for number in range(1000))
    assert len(address.asked) == 2


@pytest.mark.parametrize("text", [None, "<html>", '{"keys": []}', "x" * (LARGEST + 1)])
def test_the_last_good_keys_serve_while_the_address_fails(text: str | None) -> None:
    address, clock = Address(key_set()), Clock()
    keys = KeySets(address, now=clock)
    assert keys.key(BY_URL, "main") is not None
    address.text = text
    clock.time += LAST_GOOD - 1
    assert keys.key(BY_URL, "main") is not None
    clock.time += 2
    with pytest.raises(StoreUnavailableError):
        keys.key(BY_URL, "main")


def test_an_address_that_never_answered_is_not_asked_by_every_call() -> None:
    address, clock = Address(), Clock()
    keys = KeySets(address, now=clock)
    for _ in range(10):
        with pytest.raises(StoreUnavailableError):
            keys.key(BY_URL, "main")
    assert len(address.asked) == 1
    clock.time += COOL_DOWN
    address.text = key_set()
    assert keys.key(BY_URL, "main") is not None


def test_an_address_that_no_parser_reads_alike_is_not_asked() -> None:
    address = Address(key_set())
    with pytest.raises(StoreUnavailableError):
        KeySets(address).key(Trust("x", keys_url="https://user@ehr.example.org/jwks.json"), "main")
    assert address.asked == []
