"""Typed settings from the environment; they refuse to start on a bad value."""

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from cds_service.addresses import ServerAddress, parse_address

PREFIX = "RLS_CDS_"
DOCTOR_TOKEN = f"{PREFIX}DOCTOR_TOKEN"
"""The variable in which `rls-cds doctor` finds its token; it is no setting of the service."""

_PLAIN = frozenset({"HOST", "PORT"})
_MEBIBYTE = 1024 * 1024
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class SettingsError(ValueError):
    """The service cannot start; the text names each setting at fault and what it takes, never its value."""


def _zone(value: object) -> object:
    try:
        return ZoneInfo(value) if isinstance(value, str) else value
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone name such as Europe/Vienna") from None


def _day(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _DAY.fullmatch(value):
        raise ValueError("must be a day written as YYYY-MM-DD")
    return date.fromisoformat(value)


def _servers(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(server_address(text) for text in value.split(",") if text.strip())


def _is_secure(address: ServerAddress) -> bool:
    """Whether nobody on the way can read along."""
    return address.scheme == "https" or address.is_loopback


def _collector(value: object) -> object:
    if not isinstance(value, str):
        return value
    address = parse_address(value.strip())
    if address is None or not _is_secure(address):
        raise ValueError("must be the address of a collector, https or on this machine")
    return address


def server_address(text: str) -> ServerAddress:
    """Return the base address of a FHIR server that a site names; raises ValueError with what it takes."""
    address = parse_address(text.strip())
    if address is None:
        raise ValueError("must be base addresses such as https://ehr.example.org/fhir, with commas between")
    if not _is_secure(address):
        raise ValueError("must be https; http is for the loopback address only")
    return address


# A name, an IPv4 or an IPv6 address; a path to a socket is none.
_HOST = r"^([A-Za-z0-9._-]+|[0-9A-Fa-f:.]+)$"
_BASE_ADDRESS = r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$"
# Where callers find the service; http is for this machine. A path prefix is allowed.
_PUBLIC_ADDRESS = (
    r"^(https://[A-Za-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))"
    r"(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$"
)
_STORE = r"^(sqlite:///\S+|postgres(ql)?(\+psycopg)?://\S+)$"


def _durable(value: str) -> str:
    if value.startswith("sqlite:///file:") or ":memory:" in value or "mode=memory" in value:
        raise ValueError("must be a file: what a process holds in memory no other process knows")
    return value


class Settings(BaseModel):
    """How this process runs; `load_settings` fills it from `RLS_CDS_<NAME>`, `HOST` and `PORT`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    environment: Literal["development", "production"] = "development"
    host: Annotated[str, StringConstraints(min_length=1, pattern=_HOST)] = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    workers: int = Field(default=2, ge=1, le=64)
    threads: int = Field(default=16, ge=1, le=256)
    max_body: int = Field(default=10 * _MEBIBYTE, ge=1024, le=1024 * _MEBIBYTE)
    as_of: Annotated[date | None, BeforeValidator(_day)] = None
    zone: Annotated[ZoneInfo, BeforeValidator(_zone)] = ZoneInfo("UTC")
    canonical_base: Annotated[str, StringConstraints(pattern=_BASE_ADDRESS)] = (
        "https://rls-iron-cds.example.org"
    )
    screening: bool | None = None
    fhir_allow: Annotated[tuple[ServerAddress, ...], BeforeValidator(_servers)] = ()
    fhir_budget_ms: int | None = Field(default=None, ge=50, le=30_000)
    clients: Path | None = None
    public_url: Annotated[str, StringConstraints(pattern=_PUBLIC_ADDRESS)] | None = None
    store: (
        Annotated[str, StringConstraints(pattern=_STORE, max_length=2000), AfterValidator(_durable)] | None
    ) = None
    snomed: bool = True
    audit: Path | None = None
    audit_key_file: Path | None = None
    audit_days: int = Field(default=365, ge=1, le=36_500)
    metrics: bool = False
    traces: Annotated[ServerAddress | None, BeforeValidator(_collector)] = None

    @property
    def is_exposed(self) -> bool:
        """Whether this is the development profile, and others than this machine can reach it."""
        return (
            self.environment == "development"
            and not ServerAddress("http", self.host, self.port, "").is_loopback
        )

    @property
    def store_file(self) -> Path | None:
        """The file of the store, None where it is none."""
        kind, _, path = (self.store or "").partition(":///")
        return Path(path.partition("?")[0]) if kind == "sqlite" else None

    @model_validator(mode="after")
    def _has_a_log_for_its_key(self) -> Self:
        """Refuse a key that protects nothing: whoever sets it believes that a log is kept."""
        if self.audit_key_file is not None and self.audit is None:
            raise ValueError(f"{PREFIX}AUDIT_KEY_FILE is for the log of {PREFIX}AUDIT, which is not set")
        return self

    @model_validator(mode="after")
    def _production_decides(self) -> Self:
        """Refuse in production what only development may do or leave open."""
        if self.environment == "production":
            for reason, is_met in self._conditions_of_production().items():
                if not is_met:
                    raise ValueError(f"{PREFIX}{reason}")
        return self

    def _conditions_of_production(self) -> dict[str, bool]:
        return {
            "AS_OF fixes the day of assessment and is for development only": self.as_of is None,
            "CLIENTS must name the file of trusted clients in production": self.clients is not None,
            "PUBLIC_URL must be the https address at which clients call, in production": (
                self.public_url is not None and self.public_url.startswith("https://")
            ),
            "STORE must name the store of used tokens in production": self.store is not None,
            "AUDIT must name the folder of the audit log in production": self.audit is not None,
            "FHIR_ALLOW is for development only; in production each client names its own servers": (
                not self.fhir_allow
            ),
        }


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of an environment; raises `SettingsError`. An empty variable counts as not set.

    A variable with our prefix that is no setting is refused: a mistyped name would be without effect,
    and nobody would see it.
    """
    variables = {_variable(name): name for name in Settings.model_fields}
    known = {*variables, DOCTOR_TOKEN}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(
            f"Not a setting: {', '.join(unknown)}. There are: {', '.join(sorted(variables))}."
        )
    values = {name: environ[variable] for variable, name in variables.items() if environ.get(variable)}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_reasons(error)) from None


def _variable(name: str) -> str:
    return name.upper() if name.upper() in _PLAIN else PREFIX + name.upper()


def _reasons(error: ValidationError) -> str:
    """Return one line for each setting at fault."""
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        told = item["msg"].removeprefix("Value error, ")
        lines.append(": ".join([*(_variable(str(part)) for part in item["loc"][:1]), told]))
    return "\n".join(lines)
