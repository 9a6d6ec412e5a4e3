"""The part of a clients file that says whose tokens are trusted, read and checked."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from cds_service.addresses import parse_address
from cds_service.profile import Trust
from cds_service.settings import Settings, SettingsError
from cds_service.site_files import Part, read_text

SANDBOX_ISSUER = "https://sandbox.cds-hooks.org"
"""The public sandbox: its private keys are published, so that its tokens prove nothing."""
SANDBOX_KEYS = frozenset(
    {"s9fOe-KDYD1myZ8YCzleUqJQgrYZL49kVijBxhnZvZc", "WUEVfFenRfMtdDhwPUzCCfmqEN45h61hdHclwVoqfes"}
)
"""The thumbprints (RFC 7638) of the keys that it publishes, or has published, with their private halves."""

_TEXT = StringConstraints(min_length=1, max_length=500, pattern=r"^\S+$")
_FILE = StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")
Algorithm = Literal["ES384", "RS384", "ES256", "RS256"]


def _https(url: str) -> str:
    address = parse_address(url)
    if address is None:
        raise ValueError("must be an address such as https://ehr.example.org/jwks.json")
    if address.scheme != "https" and not address.is_loopback:
        raise ValueError("must be https; http is for the loopback address only")
    return url


def _with_path(url: str) -> str:
    address = parse_address(url)
    if address is None or not address.path.strip("/"):
        raise ValueError("must be an address with a path, such as https://ehr.example.org/jwks.json")
    return url


Address = Annotated[str, _TEXT, AfterValidator(_https)]


class TrustPart(Part):
    """`[clients.trust]` as the file states it."""

    issuer: Annotated[str, _TEXT]
    tenant: Annotated[str, _TEXT] | None = None
    keys_url: Annotated[Address, AfterValidator(_with_path)] | None = None
    keys_file: Annotated[str, _FILE] | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("ES384", "RS384")
    subject: Annotated[str, _TEXT] | None = None
    audience: Address | None = None
    lifetime_s: int = Field(default=300, ge=10, le=3600)
    leeway_s: int = Field(default=5, ge=0, le=60)

    @model_validator(mode="after")
    def _has_one_key_source(self) -> Self:
        """Refuse an entry that names no keys, or two sources of them."""
        if (self.keys_url is None) is (self.keys_file is None):
            raise ValueError("name either keys_url or keys_file")
        return self


def trust_of(part: TrustPart, settings: Settings, folder: Path, subject: str) -> Trust:
    """Return what a client's tokens are checked against; raises `SettingsError`.

    A key file lies in `folder`.
    """
    if settings.environment == "production":
        _check_production(part, subject)
    keys = None if part.keys_file is None else read_text(folder / part.keys_file, f"{subject}: keys_file")
    audience = part.audience.rstrip("/") if part.audience is not None else None
    return Trust(
        issuer=part.issuer,
        tenant=part.tenant,
        keys_url=part.keys_url,
        keys=keys,
        algorithms=part.algorithms,
        subject=part.subject,
        audience=audience,
        lifetime_s=part.lifetime_s,
        leeway_s=part.leeway_s,
    )


def _check_production(part: TrustPart, subject: str) -> None:
    keys_of = parse_address(part.keys_url or "")
    is_sandbox = keys_of is not None and keys_of.host == SANDBOX_ISSUER.partition("://")[2]
    if part.issuer.rstrip("/").lower() == SANDBOX_ISSUER or is_sandbox:
        raise SettingsError(
            f"{subject}: the sandbox's private key is public; it cannot be trusted in production"
        )
    for name in ("keys_url", "audience"):
        value = getattr(part, name)
        if value is not None and not value.lower().startswith("https:"):
            raise SettingsError(f"{subject}: {name} must be https in production")


def are_apart(trusts: Iterable[TrustPart]) -> bool:
    """Whether each token belongs to one client at most: one issuer twice needs two tenants."""
    seen: dict[str, set[str | None]] = {}
    for trust in trusts:
        tenants = seen.setdefault(trust.issuer, set())
        if trust.tenant in tenants or (tenants and (trust.tenant is None or None in tenants)):
            return False
        tenants.add(trust.tenant)
    return True
