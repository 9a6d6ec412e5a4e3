"""Who calls: the signed token of a CDS client (CDS Hooks 2.0.1, "Trusting CDS Clients").

PyJWT checks signature, algorithm, audience and times. It accepts what the specification does not, and
that is checked here: tokens without an end or an identity, of any lifetime, without a type or key id, with
keys of their own in the header, and every token any number of times.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jwt
from jwt.exceptions import InvalidAlgorithmError, InvalidKeyError, InvalidSignatureError, PyJWTError
from jwt.utils import base64url_decode

from cds_service.ports import CallerRefusedError, KeySource, Refusal, ReplayStore
from cds_service.profile import ClientProfile, Trust

LONGEST = 8 * 1024
"""Bytes of a token; those of real clients have fewer than two thousand."""

_SCHEME = "bearer"
_REQUIRED = ("iss", "aud", "exp", "iat", "jti")
_TIMES = ("exp", "iat", "nbf")
_LONGEST_ID = 1024
_HALVES = re.compile("[\ud800-\udfff]")
# Headers by which a token would bring its own key, or change how it must be read.
_FORBIDDEN = frozenset({"jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip"})


class TokenVerifier:
    """Tells which client signed a token, once."""

    def __init__(
        self, keys: KeySource, replays: ReplayStore, *, now: Callable[[], float] = time.time
    ) -> None:
        """Keep what is asked; `now` is Unix time."""
        self._keys = keys
        self._replays = replays
        self._now = now

    def caller(
        self, headers: Sequence[str], paths: Collection[str], clients: Sequence[ClientProfile], base: str
    ) -> ClientProfile:
        """Return the client whose token one Authorization header holds.

        `headers` are all Authorization headers of the call, `paths` the paths below the public `base`
        address that the token may be meant for. Raises `CallerRefusedError` and `StoreUnavailableError`.
        """
        token = _bearer(headers)
        with _untrusted():
            header, claims = _parts(token)
            _check_header(header)
            profile, trust = _client_of(claims, clients)
        try:
            with _untrusted():
                self._check_claims(
                    header, claims, trust, {f"{trust.audience or base}{path}" for path in paths}
                )
            self._check_proof(token, header, claims, trust)
        except CallerRefusedError as error:
            raise CallerRefusedError(error.refusal, trust.issuer) from None
        return profile

    def _check_claims(
        self, header: Mapping[str, Any], claims: Mapping[str, Any], trust: Trust, accepted: Collection[str]
    ) -> None:
        """Refuse what a token says before anybody knows who wrote it."""
        if header["alg"] not in trust.algorithms:
            raise CallerRefusedError(Refusal.ALGORITHM)
        if header.get("jku") is not None and header["jku"] != trust.keys_url:
            raise CallerRefusedError(Refusal.KEY_ADDRESS)
        _check_types(claims)
        _check_audience(claims["aud"], accepted)
        self._check_times(claims, trust)
        if trust.subject is not None and claims.get("sub") != trust.subject:
            raise CallerRefusedError(Refusal.SUBJECT)

    def _check_proof(
        self, token: str, header: Mapping[str, Any], claims: Mapping[str, Any], trust: Trust
    ) -> None:
        """Refuse a token without the client's signature, and one that was used."""
        key = self._keys.key(trust, header["kid"])
        if key is None:
            raise CallerRefusedError(Refusal.UNKNOWN_KEY)
        _check_signature(token, key, trust)
        until = int(claims["exp"]) + trust.leeway_s + 1
        # The tenant belongs to the identity: two of them may count their tokens alike.
        if not self._replays.use(f"{trust.issuer} {trust.tenant or ''}", claims["jti"], until=until):
            raise CallerRefusedError(Refusal.REPLAYED)

    def _check_times(self, claims: Mapping[str, Any], trust: Trust) -> None:
        now, leeway = self._now(), trust.leeway_s
        if claims["exp"] + leeway <= now:
            raise CallerRefusedError(Refusal.EXPIRED)
        if max(claims["iat"], claims.get("nbf", claims["iat"])) > now + leeway:
            raise CallerRefusedError(Refusal.NOT_YET)
        if not 0 < claims["exp"] - claims["iat"] <= trust.lifetime_s:
            raise CallerRefusedError(Refusal.LIFETIME)


@contextmanager
def _untrusted() -> Iterator[None]:
    """Refuse a token that breaks its reader: who wrote it must learn no more than by any other refusal."""
    try:
        yield
    except CallerRefusedError:
        raise
    except Exception:  # noqa: BLE001 - anything that a stranger's JSON can raise
        raise CallerRefusedError(Refusal.MALFORMED) from None


def _bearer(headers: Sequence[str]) -> str:
    if len(headers) != 1:
        raise CallerRefusedError(Refusal.NO_TOKEN)
    scheme, _, token = headers[0].strip().partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        raise CallerRefusedError(Refusal.NO_TOKEN)
    if len(token) > LONGEST:
        raise CallerRefusedError(Refusal.MALFORMED)
    return token.strip()


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token whose signature nobody has checked yet."""
    pieces = token.split(".")
    try:
        header, claims = (
            json.loads(base64url_decode(piece), object_pairs_hook=_once) for piece in pieces[:2]
        )
    except (ValueError, RecursionError):
        raise CallerRefusedError(Refusal.MALFORMED) from None
    if len(pieces) != 3 or not isinstance(header, dict) or not isinstance(claims, dict):  # noqa: PLR2004 - RFC 7515: header, claims, signature
        raise CallerRefusedError(Refusal.MALFORMED)
    return header, claims


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; two members of one name would be read differently by different readers."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _check_header(header: Mapping[str, Any]) -> None:
    if str(header.get("typ", "")).upper() != "JWT" or _FORBIDDEN & header.keys():
        raise CallerRefusedError(Refusal.MALFORMED)
    if not _is_text(header.get("kid")) or not isinstance(header.get("alg"), str):
        raise CallerRefusedError(Refusal.MALFORMED)


def _client_of(claims: Mapping[str, Any], clients: Sequence[ClientProfile]) -> tuple[ClientProfile, Trust]:
    """Return the client of an issuer; where tenants are told apart, of issuer and tenant."""
    issuer, tenant = claims.get("iss"), claims.get("tenant")
    for profile in clients:
        trust = profile.trust
        if trust is not None and trust.issuer == issuer and (trust.tenant is None or trust.tenant == tenant):
            return profile, trust
    raise CallerRefusedError(Refusal.UNKNOWN_ISSUER)


def _check_types(claims: Mapping[str, Any]) -> None:
    """Refuse a claim that is missing or no time; PyJWT would take a text of figures for a number."""
    if any(claims.get(name) is None for name in _REQUIRED) or not _is_text(claims["jti"]):
        raise CallerRefusedError(Refusal.CLAIM_MISSING)
    for name in _TIMES:
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 53:
            raise CallerRefusedError(Refusal.CLAIM_MISSING)


def _is_text(value: object) -> bool:
    """Whether it is a text of ours to keep; half of a character is none, and can be written nowhere."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and not _HALVES.search(value)


def _check_audience(audience: object, accepted: Collection[str]) -> None:
    """Refuse a token that is meant for anybody else, also for others beside us."""
    listed = [audience] if isinstance(audience, str) else audience
    if not isinstance(listed, list) or len(listed) != 1 or listed[0] not in list(accepted):
        raise CallerRefusedError(Refusal.AUDIENCE)


def _check_signature(token: str, key: object, trust: Trust) -> None:
    """Let PyJWT check the signature; what it also checks was checked before, by the same clock."""
    options = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    try:
        jwt.decode(token, key, algorithms=list(trust.algorithms), options=options)  # type: ignore[arg-type] # public key of `cryptography`
    except InvalidSignatureError:
        raise CallerRefusedError(Refusal.SIGNATURE) from None
    except (InvalidAlgorithmError, InvalidKeyError, TypeError):
        # The key is of another kind than the algorithm in the header.
        raise CallerRefusedError(Refusal.ALGORITHM) from None
    except PyJWTError:
        raise CallerRefusedError(Refusal.MALFORMED) from None
