"""The clients that a site describes in one file, and which of them a call belongs to.

The file is TOML. Each `[[clients]]` entry holds what differs from the packaged profile
(`profiles/default.toml`), which also answers for every call of no known client.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Annotated, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from cds_service.addresses import ServerAddress
from cds_service.clinical.assessment import Order
from cds_service.profile import ClientProfile, FhirPolicy, OrderCoding
from cds_service.settings import PREFIX, Settings, SettingsError, server_address

_PACKAGED = "profiles/default.toml"
_DEFAULT = "default"
_TEXT = StringConstraints(min_length=1, max_length=500)


def _named_server(value: object) -> object:
    return server_address(value) if isinstance(value, str) else value


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )


_Model = TypeVar("_Model", bound=_Part)


class _OrderCoding(_Part):
    system: Annotated[str, _TEXT]
    code: Annotated[str, _TEXT]
    display: Annotated[str, _TEXT]


class _Fhir(_Part):
    servers: tuple[Annotated[ServerAddress, BeforeValidator(_named_server)], ...] = ()
    budget_ms: int | None = Field(default=None, ge=50, le=30_000)


class _Entry(_Part):
    """One client as the file states it; what is None is taken from the packaged profile."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    screening: bool | None = None
    orders: dict[Order, tuple[_OrderCoding, ...]] = {}
    fhir: _Fhir = _Fhir()


class _File(_Part):
    clients: Annotated[tuple[_Entry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        """Refuse two entries that cannot be told apart."""
        names = [entry.name for entry in self.clients] + [_DEFAULT]
        servers = [address for entry in self.clients for address in entry.fhir.servers]
        if twice := _repeated(names):
            raise ValueError(f"two clients are called {twice[0]}")
        if twice := _repeated(f"{address.origin}{address.path}" for address in servers):
            raise ValueError(f"two clients name the FHIR server {twice[0]}")
        return self


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


@dataclass(frozen=True, slots=True)
class Clients:
    """Every client's profile; `default` is that of calls which belong to none of them."""

    default: ClientProfile
    named: tuple[ClientProfile, ...] = ()

    def profile_of(self, fhir_server: str | None) -> ClientProfile:
        """Return the profile of the client whose FHIR server a call names.

        A call that names none belongs to the only client there is; with several it cannot be told.
        """
        if fhir_server is None:
            return self.named[0] if len(self.named) == 1 else self.default
        return next((one for one in self.named if one.fhir.is_named(fhir_server)), self.default)

    def called(self, name: str) -> ClientProfile:
        """Return the profile of a name; raises `SettingsError` when there is none."""
        for profile in (*self.named, self.default):
            if profile.name == name:
                return profile
        there_are = ", ".join(one.name for one in (*self.named, self.default))
        raise SettingsError(f"No client is called {name!r}. There are: {there_are}.")


def load_clients(settings: Settings) -> Clients:
    """Return the clients of `RLS_CDS_CLIENTS`, or the packaged profile alone; raises `SettingsError`."""
    default = _default_profile(settings)
    if settings.clients is None:
        return Clients(default)
    try:
        text = settings.clients.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{PREFIX}CLIENTS: the file cannot be read ({type(error).__name__})") from None
    return read_clients(text, settings, default)


def read_clients(text: str, settings: Settings, default: ClientProfile) -> Clients:
    """Return the clients of a TOML text, `default` for all others; raises `SettingsError`."""
    file = _parse(_File, text, f"{PREFIX}CLIENTS")
    return Clients(default, tuple(_profile(entry, settings, default) for entry in file.clients))


def _default_profile(settings: Settings) -> ClientProfile:
    """Return the packaged profile with what the settings decide; in production nobody unknown is screened."""
    text = files("cds_service").joinpath(_PACKAGED).read_text(encoding="utf-8")
    entry = _parse(_Entry, text, "The packaged profile")
    fallback = entry.screening is True and settings.environment == "development"
    return ClientProfile(
        name=entry.name,
        is_screening_on=fallback if settings.screening is None else settings.screening,
        order_codings=_codings(entry),
        fhir=_fhir_policy(entry.fhir, settings, settings.fhir_allow, FhirPolicy().budget_ms),
    )


def _profile(entry: _Entry, settings: Settings, default: ClientProfile) -> ClientProfile:
    return replace(
        default,
        name=entry.name,
        is_screening_on=_screening(entry, settings, default),
        order_codings={**default.order_codings, **_codings(entry)},
        fhir=_fhir_policy(entry.fhir, settings, (), default.fhir.budget_ms),
    )


def _screening(entry: _Entry, settings: Settings, default: ClientProfile) -> bool:
    if entry.screening is not None:
        return entry.screening
    if settings.environment == "production":
        raise SettingsError(
            f"{PREFIX}CLIENTS: client {entry.name}: screening must be true or false in production"
        )
    return default.is_screening_on


def _codings(entry: _Entry) -> Mapping[str, tuple[OrderCoding, ...]]:
    return {
        order.value: tuple(OrderCoding(one.system, one.code, one.display) for one in codings)
        for order, codings in entry.orders.items()
    }


def _fhir_policy(
    fhir: _Fhir, settings: Settings, more: tuple[ServerAddress, ...], budget_ms: int
) -> FhirPolicy:
    """Return which servers may be asked: in production only those that are named, and with a token."""
    is_development = settings.environment == "development"
    servers = (*fhir.servers, *more)
    if not is_development and any(address.scheme != "https" for address in servers):
        raise SettingsError(f"{PREFIX}CLIENTS: FHIR servers must be https addresses in production")
    return FhirPolicy(
        servers=servers,
        budget_ms=settings.fhir_budget_ms or fhir.budget_ms or budget_ms,
        is_loopback_allowed=is_development,
        is_open_allowed=is_development,
    )


def _parse(model: type[_Model], text: str, subject: str) -> _Model:
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{subject}: not TOML: {error}") from None
    except ValidationError as error:
        raise SettingsError(f"{subject}: {_reasons(error)}") from None


def _reasons(error: ValidationError) -> str:
    """Return each fault with its place in the file; the values stay out."""
    told = []
    for item in error.errors(include_input=False, include_url=False):
        place = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in item["loc"]))
        told.append(": ".join(part for part in (place, item["msg"].removeprefix("Value error, ")) if part))
    return "; ".join(told)
