"""The clients that a site describes in one file, and which of them a call belongs to.

The file is TOML. Each `[[clients]]` entry holds what differs from the packaged profile
(`profiles/default.toml`), which also answers for every call of no known client. Files that an entry names
lie beside it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from cds_service.addresses import ServerAddress
from cds_service.clinical.assessment import Order
from cds_service.knowledge import load
from cds_service.knowledge.code_map import EMPTY, CodeMap
from cds_service.knowledge.code_map_file import CodeMapError, read_code_map
from cds_service.knowledge.local import without_snomed
from cds_service.knowledge.terminology import SNOMED_CT
from cds_service.policy import SitePolicy, read_policy
from cds_service.profile import ClientProfile, FhirPolicy, OrderCoding, Trust
from cds_service.settings import PREFIX, Settings, SettingsError, server_address
from cds_service.site_files import Part, is_open_to_all, parse_toml, read_text
from cds_service.trust import TrustPart, are_apart, trust_of

_PACKAGED = "profiles/default.toml"
_DEFAULT = "default"
_MOST_FAULTS = 20
_FILE = StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")
_ORIGIN = r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$"
_TEXT = StringConstraints(min_length=1, max_length=500)


def _named_server(value: object) -> object:
    return server_address(value) if isinstance(value, str) else value


class _OrderCoding(Part):
    system: Annotated[str, _TEXT]
    code: Annotated[str, _TEXT]
    display: Annotated[str, _TEXT]


class _Fhir(Part):
    servers: tuple[Annotated[ServerAddress, BeforeValidator(_named_server)], ...] = ()
    budget_ms: int | None = Field(default=None, ge=50, le=30_000)


class _Entry(Part):
    """One client as the file states it; what is None is taken from the packaged profile."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    screening: bool | None = None
    explain: bool = False
    orders: dict[Order, tuple[_OrderCoding, ...]] = Field(default_factory=dict)
    fhir: _Fhir = _Fhir()
    policy: Annotated[str, _FILE] | None = None
    trust: TrustPart | None = None
    origins: tuple[Annotated[str, StringConstraints(pattern=_ORIGIN)], ...] = ()
    silent: bool = False
    rate_limit: int = Field(default=6000, ge=1, le=1_000_000)
    code_map: Annotated[str, _FILE] | None = None


class _File(Part):
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
        trusted = [entry.trust for entry in self.clients if entry.trust is not None]
        if not are_apart(trusted):
            raise ValueError("two clients with one issuer need a tenant each")
        if 0 < len(trusted) < len(self.clients):
            raise ValueError("either every client has a table trust or none")
        return self


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


@dataclass(frozen=True, slots=True)
class Clients:
    """Every client's profile; `default` is that of calls which belong to none of them.

    `files` are those that were read.
    """

    default: ClientProfile
    named: tuple[ClientProfile, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def is_authenticating(self) -> bool:
        """Whether callers have to prove who they are."""
        return any(one.trust is not None for one in self.named)

    @property
    def origins(self) -> frozenset[str]:
        """Every origin of a client."""
        return frozenset().union(*(one.origins for one in self.named))

    @property
    def all(self) -> tuple[ClientProfile, ...]:
        """Every profile, the default one last."""
        return (*self.named, self.default)

    def profile_of(self, fhir_server: str | None) -> ClientProfile:
        """Return the profile of the client whose FHIR server a call names.

        A call that names none belongs to the only client there is; with several it cannot be told.
        """
        if fhir_server is None:
            return self.named[0] if len(self.named) == 1 else self.default
        return next((one for one in self.named if one.fhir.is_named(fhir_server)), self.default)

    def called(self, name: str) -> ClientProfile:
        """Return the profile of a name; raises `SettingsError` when there is none."""
        for profile in self.all:
            if profile.name == name:
                return profile
        there_are = ", ".join(one.name for one in self.all)
        raise SettingsError(f"No client is called {name!r}. There are: {there_are}.")


def load_clients(settings: Settings) -> Clients:
    """Return the clients of `RLS_CDS_CLIENTS`, or the packaged profile alone; raises `SettingsError`."""
    default = packaged_profile(settings)
    if settings.clients is None:
        return Clients(default)
    text = read_text(settings.clients, f"{PREFIX}CLIENTS")
    clients = read_clients(text, settings, default, settings.clients.parent)
    if settings.environment == "production" and not clients.is_authenticating:
        raise SettingsError(f"{PREFIX}CLIENTS: every client needs a table trust in production")
    if settings.environment == "production":
        _refuse_open_files(settings, (settings.clients, *clients.files))
    if clients.is_authenticating and settings.store is None:
        raise SettingsError(
            f"{PREFIX}STORE must name the store of used tokens where callers are trusted by token"
        )
    if clients.is_authenticating and settings.public_url is None:
        raise SettingsError(f"{PREFIX}PUBLIC_URL must be set where callers are trusted by token")
    return replace(clients, files=(settings.clients, *clients.files))


def refuse_mixture(settings: Settings, clients: Clients) -> None:
    """Raise `SettingsError` where the development profile would be run as if it were production.

    It lets pass what production refuses; who forgets to name the environment must not find that out in care.
    """
    if settings.environment == "production":
        return
    remedy = f"in development; set {PREFIX}ENVIRONMENT=production"
    if (settings.public_url or "").startswith("https:"):
        raise SettingsError(f"{PREFIX}PUBLIC_URL must be an http address of this machine {remedy}")
    if clients.is_authenticating and settings.is_exposed:
        raise SettingsError(f"HOST must be a loopback address where callers are trusted {remedy}")


def _refuse_open_files(settings: Settings, paths: Iterable[Path]) -> None:
    """Raise `SettingsError` where anybody on the machine may change who is trusted, or what is kept of it."""
    named = [("CLIENTS", path) for path in paths]
    kept = (
        ("AUDIT_KEY_FILE", settings.audit_key_file),
        ("AUDIT", settings.audit),
        ("STORE", settings.store_file),
    )
    # What is not there yet is made by the service itself, or missed where it is needed.
    named += [(name, path) for name, path in kept if path is not None and path.exists()]
    for name, path in named:
        if is_open_to_all(path, f"{PREFIX}{name}: {path.name}"):
            told = "can be written by everybody, or is in a folder that can (chmod o-w)"
            raise SettingsError(f"{PREFIX}{name}: {path.name} {told}")


def read_clients(text: str, settings: Settings, default: ClientProfile, folder: Path) -> Clients:
    """Return the clients of a TOML text, `default` for all others; raises `SettingsError`.

    Files that an entry names lie in `folder`.
    """
    file = parse_toml(_File, text, f"{PREFIX}CLIENTS")
    named = tuple(_profile(entry, settings, default, folder) for entry in file.clients)
    if not settings.snomed:
        _refuse_snomed(named)
    return Clients(default, named, tuple(folder / name for entry in file.clients for name in _files(entry)))


def _files(entry: _Entry) -> list[str]:
    """Return the names of the files that an entry refers to."""
    keys = entry.trust.keys_file if entry.trust is not None else None
    return [name for name in (entry.policy, entry.code_map, keys) if name is not None]


def _refuse_snomed(profiles: Iterable[ClientProfile]) -> None:
    """Raise `SettingsError` where a suggested order has a code of SNOMED CT, which is switched off."""
    system_of = load().terminology.normalise_system
    for profile in profiles:
        codings = (one for listed in profile.order_codings.values() for one in listed)
        if any(system_of(one.system) == SNOMED_CT for one in codings):
            raise SettingsError(
                f"{PREFIX}CLIENTS: client {profile.name}: orders hold a code of SNOMED CT, "
                f"which {PREFIX}SNOMED switches off"
            )


def packaged_profile(settings: Settings) -> ClientProfile:
    """Return the packaged profile with what the settings decide; in production nobody unknown is screened."""
    text = files("cds_service").joinpath(_PACKAGED).read_text(encoding="utf-8")
    entry = parse_toml(_Entry, text, "The packaged profile")
    fallback = entry.screening is True and settings.environment == "development"
    return ClientProfile(
        name=entry.name,
        is_screening_on=fallback if settings.screening is None else settings.screening,
        order_codings=_codings(entry),
        fhir=_fhir_policy(entry.fhir, settings, settings.fhir_allow, FhirPolicy().budget_ms),
        is_exposed=settings.is_exposed,
    )


def _profile(entry: _Entry, settings: Settings, default: ClientProfile, folder: Path) -> ClientProfile:
    policy = _policy(entry, folder)
    return replace(
        default,
        name=entry.name,
        is_screening_on=_screening(entry, policy, settings, default),
        cards_off=policy.cards_off,
        windows=policy.windows,
        trust=_trust(entry, settings, folder),
        origins=frozenset(entry.origins),
        is_silent=entry.silent,
        is_explained=entry.explain,
        rate_limit=entry.rate_limit,
        order_codings={**default.order_codings, **_codings(entry)},
        fhir=_fhir_policy(entry.fhir, settings, (), default.fhir.budget_ms),
        code_map=_code_map(entry, settings, folder),
    )


def _trust(entry: _Entry, settings: Settings, folder: Path) -> Trust | None:
    if entry.trust is None:
        return None
    return trust_of(entry.trust, settings, folder, f"{PREFIX}CLIENTS: client {entry.name}: trust")


def _code_map(entry: _Entry, settings: Settings, folder: Path) -> CodeMap:
    if entry.code_map is None:
        return EMPTY
    subject = f"{PREFIX}CLIENTS: client {entry.name}: {entry.code_map}"
    known = load() if settings.snomed else without_snomed(load())
    text = read_text(folder / entry.code_map, subject)
    try:
        return read_code_map(text, known.terminology)
    except CodeMapError as error:
        told = "\n  ".join(error.faults[:_MOST_FAULTS])
        more = len(error.faults) - _MOST_FAULTS
        tail = f"\n  and {more} more: rls-cds codes check tells all" if more > 0 else ""
        raise SettingsError(f"{subject}:\n  {told}{tail}") from None


def _policy(entry: _Entry, folder: Path) -> SitePolicy:
    if entry.policy is None:
        return SitePolicy()
    subject = f"{PREFIX}CLIENTS: client {entry.name}: {entry.policy}"
    return read_policy(read_text(folder / entry.policy, subject), subject, load())


def _screening(entry: _Entry, policy: SitePolicy, settings: Settings, default: ClientProfile) -> bool:
    stated = [one for one in (entry.screening, policy.screening) if one is not None]
    if len(set(stated)) > 1:
        raise SettingsError(f"{PREFIX}CLIENTS: client {entry.name}: its policy says otherwise on screening")
    if stated:
        return stated[0]
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
        # Strangers would choose which port of this machine is asked.
        is_loopback_allowed=is_development and not settings.is_exposed,
        is_open_allowed=is_development,
    )
