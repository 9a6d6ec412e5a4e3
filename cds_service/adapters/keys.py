"""The public keys with which clients sign: from a file, or from an address that the clients file names.

A key set is read again when it is old, and once when a token names a key that it does not hold (clients
change their keys), but never more often than the cool-down allows: anybody can invent key ids. Where the
address fails, the last good set goes on serving for a bounded time.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_encode

from cds_service.addresses import parse_address
from cds_service.ports import FhirAccess, NextPage, RecordSource, StoreUnavailableError
from cds_service.profile import Trust

MAX_AGE = 600.0
"""Seconds after which a key set is read again."""
COOL_DOWN = 30.0
"""Seconds between two readings of one address."""
LAST_GOOD = 24 * 3600.0
"""Seconds for which an old key set serves while its address fails."""
MOST_KEYS = 50
LARGEST = 256 * 1024
_BUDGET = 2.0
_SMALLEST_RSA = 2048
_ALGORITHMS = {"RSA": "RS384", "EC": "ES384"}
_CURVES = {"P-256": "ES256", "P-384": "ES384"}

Keys = Mapping[str, object]


class KeySetError(ValueError):
    """A text is no set of public keys; the reason names no key."""


def read_key_set(text: str, refused: Collection[str] = ()) -> Keys:
    """Return the usable public keys of a JSON Web Key Set by their id; raises `KeySetError`.

    Keys for other purposes or of other kinds are passed over, as the standard asks (RFC 7517, section 5).
    A private or shared key, two keys of one id, a set without a usable key, and a key with one of the
    `refused` thumbprints are faults.
    """
    if len(text) > LARGEST:
        raise KeySetError("the key set is too large")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise KeySetError("not JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise KeySetError(f'no list "keys" of at most {MOST_KEYS} keys')
    keys: dict[str, object] = {}
    for entry in listed:
        if isinstance(entry, dict) and (found := _public_key(entry)) is not None:
            if entry["kid"] in keys:
                raise KeySetError("two keys have one id")
            if refused and _thumbprint(found) in refused:
                raise KeySetError("a key whose private half is public proves nothing")
            keys[entry["kid"]] = found
    if not keys:
        raise KeySetError("no usable key: RSA of at least 2048 bits or EC on P-256 or P-384, with kid")
    return keys


def _public_key(entry: Mapping[str, Any]) -> RSAPublicKey | EllipticCurvePublicKey | None:
    if "d" in entry or "k" in entry:
        raise KeySetError("the key set holds a private or shared key")
    kid, kind = entry.get("kid"), entry.get("kty")
    if not isinstance(kid, str) or not kid or entry.get("use", "sig") != "sig":
        return None
    uses = entry.get("key_ops", ["verify"])
    if not isinstance(uses, list) or "verify" not in uses:
        return None
    algorithm = _CURVES.get(str(entry.get("crv"))) if kind == "EC" else _ALGORITHMS.get(str(kind))
    if algorithm is None:
        return None
    try:
        key = PyJWK(dict(entry), algorithm).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey):
        return key if key.key_size >= _SMALLEST_RSA else None
    return key if isinstance(key, EllipticCurvePublicKey) else None


def _thumbprint(key: RSAPublicKey | EllipticCurvePublicKey) -> str:
    """Return the SHA-256 thumbprint (RFC 7638) of a key, whatever the set calls it."""
    made = RSAAlgorithm.to_jwk(key) if isinstance(key, RSAPublicKey) else ECAlgorithm.to_jwk(key)
    members = json.loads(made)
    kept = {name: members[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in members}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return base64url_encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass(slots=True)
class _Cached:
    """What is known of one address; times are of the monotonic clock, None for never."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: Keys | None = None
    read_at: float = 0.0
    tried_at: float | None = None


class KeySets:
    """The keys of all clients, kept in the memory of this process."""

    def __init__(
        self,
        source: RecordSource,
        *,
        refused: Collection[str] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the source that reads addresses under the rules of all outgoing calls.

        `refused` are thumbprints of keys that are never taken.
        """
        self._source = source
        self._refused = refused
        self._now = now
        self._lock = threading.Lock()
        self._files: dict[str, Keys] = {}
        self._addresses: dict[str, _Cached] = {}

    def key(self, trust: Trust, key_id: str) -> object | None:
        """Return the client's key of this id, None when it has none; raises `StoreUnavailableError`."""
        if trust.keys is not None:
            return self._of_file(trust.keys).get(key_id)
        if trust.keys_url is None:
            return None
        with self._lock:
            cached = self._addresses.setdefault(trust.keys_url, _Cached())
        known = cached.keys
        if known is not None and key_id in known and self._now() - cached.read_at <= MAX_AGE:
            # Nobody with a key of the set waits because of somebody else's invented one.
            return known[key_id]
        # Callers wait for the one that reads: it takes seconds at most, and they need the same answer.
        with cached.lock:
            if self._is_due(cached, key_id):
                self._refresh(cached, trust.keys_url)
            if cached.keys is None or self._now() - cached.read_at > LAST_GOOD:
                raise StoreUnavailableError("no key set of the client could be read")
            return cached.keys.get(key_id)

    def _of_file(self, text: str) -> Keys:
        with self._lock:
            keys = self._files.get(text)
            if keys is None:
                keys = self._files[text] = read_key_set(text, self._refused)
            return keys

    def _is_due(self, cached: _Cached, key_id: str) -> bool:
        now = self._now()
        if cached.tried_at is not None and now - cached.tried_at < COOL_DOWN:
            return False
        return cached.keys is None or now - cached.read_at > MAX_AGE or key_id not in cached.keys

    def _refresh(self, cached: _Cached, url: str) -> None:
        """Read the address once; a failure leaves what was known."""
        cached.tried_at = self._now()
        text = self._text(url)
        if text is None:
            return
        try:
            cached.keys = read_key_set(text, self._refused)
        except KeySetError:
            return
        cached.read_at = self._now()

    def _text(self, url: str) -> str | None:
        folder = parse_address(url.rpartition("/")[0])
        if folder is None:
            return None
        with self._source.open(FhirAccess(folder), budget_seconds=_BUDGET) as session:
            (answer,) = session.fetch([NextPage("keys", url)])
        return answer.pages[0].decode() if answer.pages and answer.problem is None else None
