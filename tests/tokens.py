"""A made-up CDS client: its keys, its entry in a clients file, and the tokens that it signs."""

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cds_service.adapters.store import engine_of, upgrade_store
from cds_service.settings import Settings

ISSUER = "https://ehr.example.org"
PUBLIC = "http://localhost:8080/cds"
SERVICE_AUDIENCE = f"{PUBLIC}/cds-services/rls-iron-assessment"
DISCOVERY_AUDIENCE = f"{PUBLIC}/cds-services"
_NUMBERS = itertools.count(1)

Json = dict[str, Any]


def private_key(kid: str = "main", kind: str = "EC") -> Any:
    """Return a private key, the same for the same name within one run."""
    return _made(kid, kind)


@cache
def _made(_kid: str, kind: str) -> Any:
    if kind == "EC":
        return ec.generate_private_key(ec.SECP384R1())
    if kind == "P-256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if kind == "weak" else 2048)


def public_jwk(kid: str = "main", kind: str = "EC", **members: Any) -> Json:
    """Return the public half of a key as a JSON Web Key."""
    public = private_key(kid, kind).public_key()
    text = ECAlgorithm.to_jwk(public) if kind in {"EC", "P-256"} else RSAAlgorithm.to_jwk(public)
    made: Json = {**json.loads(text), "kid": kid, "use": "sig", **members}
    return {name: value for name, value in made.items() if value is not None}


def key_set(*keys: Json) -> str:
    """Return a key set as JSON."""
    return json.dumps({"keys": list(keys) or [public_jwk()]})


def claims_of(**changes: Any) -> Json:
    """Return the claims of a good token for the service; a change to `...` leaves one out."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": SERVICE_AUDIENCE,
        "iat": now,
        "exp": now + 300,
        "jti": f"token-{next(_NUMBERS)}",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def sign(
    claims: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, Any] | None = None,
    algorithm: str = "ES384",
    key: Any = None,
) -> str:
    """Return a signed token; `headers` None stands for those of a good one."""
    given = {"kid": "main", "typ": "JWT", **(headers or {})}
    kept = {name: value for name, value in given.items() if value is not ...}
    return jwt.encode(
        dict(claims if claims is not None else claims_of()),
        key if key is not None else private_key(),
        algorithm=algorithm,
        headers=kept,
    )


@dataclass(frozen=True)
class Site:
    """A folder with a clients file, keys and a store."""

    folder: Path

    @property
    def clients(self) -> Path:
        """The clients file."""
        return self.folder / "clients.toml"

    @property
    def settings(self) -> Settings:
        """The settings of a service that trusts these clients, on the day of the fixtures."""
        return Settings(clients=self.clients, public_url=PUBLIC, store=self.store)

    @property
    def store(self) -> str:
        """The address of the store."""
        return f"sqlite:///{self.folder}/store.db"

    def write(self, text: str) -> None:
        """Write the clients file."""
        self.clients.write_text(text, encoding="utf-8")


def entry(name: str = "north", *, issuer: str = ISSUER, trust: str = "", more: str = "") -> str:
    """Return a client of a clients file whose keys stand in `keys.json`."""
    return (
        f'[[clients]]\nname = "{name}"\n{more}'
        f'[clients.trust]\nissuer = "{issuer}"\nkeys_file = "keys.json"\n{trust}'
    )


def site(folder: Path, text: str | None = None) -> Site:
    """Return a site with an upgraded store; by default one client whose key is the main one."""
    made = Site(folder)
    (folder / "keys.json").write_text(key_set(), encoding="utf-8")
    made.write(entry() if text is None else text)
    (folder / "store.db").write_bytes(_empty_store())
    return made


@cache
def _empty_store() -> bytes:
    """Return a store that was upgraded from nothing, made once."""
    with TemporaryDirectory() as folder:
        engine = engine_of(f"sqlite:///{folder}/store.db")
        upgrade_store(engine)
        engine.dispose()
        return (Path(folder) / "store.db").read_bytes()
