"""Everything that a site may decide, in one frozen value that is handed to `assess`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cds_service.addresses import ServerAddress, parse_address


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
class ClientProfile:
    """One client's decisions; `order_codings` maps an `Order` value to the codings of its suggestion."""

    name: str
    is_screening_on: bool
    order_codings: Mapping[str, tuple[OrderCoding, ...]] = field(default_factory=dict)
    fhir: FhirPolicy = FhirPolicy()
