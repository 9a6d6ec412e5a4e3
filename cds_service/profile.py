"""Everything that a site may decide, in one frozen value that is handed to `assess`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OrderCoding:
    """A coding that stands in the suggested ServiceRequest of one kind of order."""

    system: str
    code: str
    display: str


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """One client's decisions; `order_codings` maps an `Order` value to the codings of its suggestion."""

    name: str
    is_screening_on: bool
    order_codings: Mapping[str, tuple[OrderCoding, ...]] = field(default_factory=dict)
