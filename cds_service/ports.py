"""The outside world, as the core sees it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from cds_service.addresses import ServerAddress


class Clock(Protocol):
    """What day it is, in the zone that calendar days are counted in."""

    @property
    def zone(self) -> ZoneInfo:
        """The configured zone."""

    def today(self) -> date:
        """Return the current calendar day in `zone`."""


class Quiet(Protocol):
    """What is known about earlier answers and the Encounter (docs/rules.md R7)."""

    def is_quiet(self, *, client: str, patient_id: str, card_key: str, fingerprint: str) -> bool:
        """Whether this advice was turned down lately; False when nothing is known."""


class Metrics(Protocol):
    """Counters without patient data."""

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""


@dataclass(frozen=True, slots=True)
class FhirAccess:
    """A FHIR server that may be asked, and the token for it; None where the server is open."""

    address: ServerAddress
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Search:
    """A search of one resource type, or with `resource_id` the read of one resource."""

    key: str
    resource_type: str
    parameters: tuple[tuple[str, str], ...] = ()
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class NextPage:
    """The pages of a search from a link on; the first pages came by another way."""

    key: str
    url: str


Query = Search | NextPage


class FetchProblem(StrEnum):
    """Why a search did not bring all that there is; a value names no server, patient or token."""

    TIMED_OUT = "no answer in time"
    UNREACHABLE = "no connection"
    FORBIDDEN_ADDRESS = "the name leads to an address that is not allowed"
    REFUSED = "access refused"
    NOT_FOUND = "not found"
    BUSY = "server busy or out of order"
    REDIRECTED = "redirect not followed"
    UNEXPECTED_STATUS = "search not answered"
    NOT_FHIR = "answer is not FHIR JSON"
    TOO_LARGE = "answer too large"
    PAGE_ELSEWHERE = "next page lies outside the server"
    TOO_MANY_PAGES = "too many pages"


@dataclass(frozen=True, slots=True)
class FetchedPages:
    """What came of one query: the bodies in their order, each strict JSON, and what hindered the rest."""

    key: str
    pages: tuple[bytes, ...] = ()
    problem: FetchProblem | None = None


class RecordSession(Protocol):
    """One call's access to one FHIR server, under one time budget."""

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        """Return what came of each query, in their order; never raises for what a server does."""


class RecordSource(Protocol):
    """Where data comes from that the call did not bring."""

    def open(self, access: FhirAccess, *, budget_seconds: float) -> AbstractContextManager[RecordSession]:
        """Return a session whose time starts now; nothing that it read is kept after it."""
