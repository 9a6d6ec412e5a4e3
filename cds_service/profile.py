"""Everything that a site may decide, in one frozen value that is handed to `assess`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cds_service.addresses import ServerAddress, parse_address
from cds_service.clinical.assessment import CardKey, Policy
from cds_service.knowledge.code_map import EMPTY, CodeMap


@dataclass(frozen=True, slots=True)
class OrderCoding:
    """A coding that stands in the suggested ServiceRequest of one kind of order."""

    system: str
    code: str
    display: str


@dataclass(frozen=True, slots=True)
class FhirPolicy:
    """Which FHIR servers may be asked for what a call did not bring, and for how long in all.

    `is_loopback_allowed` and `is_open_allowed` (a server without a token) are for development.
    """

    servers: tuple[ServerAddress, ...] = ()
    budget_ms: int = 2000
    is_loopback_allowed: bool = False
    is_open_allowed: bool = False

    def is_named(self, url: str) -> bool:
        """Whether an address is one of `servers`."""
        return parse_address(url) in self.servers

    def address(self, url: str | None) -> ServerAddress | None:
        """Return the address of a server that may be asked, None for any other."""
        address = parse_address(url) if url else None
        if address is None:
            return None
        is_near = self.is_loopback_allowed and address.is_loopback
        if address.scheme != "https" and not is_near:
            return None
        return address if is_near or address in self.servers else None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens a client signs, and how (CDS Hooks 2.0.1, "Trusting CDS Clients").

    The client's keys come from `keys_url`, or are those of the key set `keys` (JSON text). `audience` is
    the base address in the tokens where it is not the public one of the service. Times are in seconds.
    """

    issuer: str
    tenant: str | None = None
    keys_url: str | None = None
    keys: str | None = None
    algorithms: tuple[str, ...] = ("ES384", "RS384")
    subject: str | None = None
    audience: str | None = None
    lifetime_s: int = 300
    leeway_s: int = 5


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """One client's decisions; `order_codings` maps an `Order` value to the codings of its suggestion.

    `windows` are the look-backs, in days by id, that a site sets in place of those of the knowledge base.
    `code_map` says which standard codes the client's own codes count as. `origins` are the web pages that
    may read answers; a silent client gets no cards, the rules run and are counted.
    `is_explained`: answers carry their explanation (docs/explain.md).
    """

    name: str
    is_screening_on: bool
    cards_off: frozenset[CardKey] = frozenset()
    windows: Mapping[str, int] = field(default_factory=dict)
    order_codings: Mapping[str, tuple[OrderCoding, ...]] = field(default_factory=dict)
    fhir: FhirPolicy = FhirPolicy()
    trust: Trust | None = None
    origins: frozenset[str] = frozenset()
    is_silent: bool = False
    code_map: CodeMap = EMPTY
    is_explained: bool = False

    @property
    def policy(self) -> Policy:
        """What the client decides about the rules."""
        return Policy(is_screening_on=self.is_screening_on, cards_off=self.cards_off)
