"""The outside world, as the core sees it."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from cds_service.addresses import ServerAddress
from cds_service.audit import AuditFact, CallIdentity
from cds_service.profile import ClientProfile, Trust


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

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one measured value, in the unit that the name ends in."""


class Span(Protocol):
    """A piece of work whose time is measured."""

    def end(self, name: str, *, is_fault: bool = False, **attributes: str | float | Sequence[str]) -> None:
        """End it under a name, with what is told of it: names of ours and counts, never patient data."""


class Tracer(Protocol):
    """Where the times of single calls go."""

    def begin(self, *, parent: str = "", is_outgoing: bool = False) -> Span:
        """Begin a piece of work; the ones that this thread begins before its end are parts of it.

        `parent` is the caller's `traceparent` (W3C Trace Context), of which anything malformed is ignored.
        """


@dataclass(frozen=True, slots=True)
class FhirAccess:
    """A FHIR server that may be asked, the token for it (None where it is open), and for whom it is asked."""

    address: ServerAddress
    token: str | None = field(default=None, repr=False)
    call: CallIdentity | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """A search of one resource type, or with `resource_id` the read of one resource.

    `most_pages` bounds what is read of it; None leaves the bound to the source.
    """

    key: str
    resource_type: str
    parameters: tuple[tuple[str, str], ...] = ()
    resource_id: str | None = None
    most_pages: int | None = None


@dataclass(frozen=True, slots=True)
class NextPage:
    """The pages of a search from a link on; the first pages came by another way."""

    key: str
    url: str


Query = Search | NextPage


class FetchProblem(StrEnum):
    """Why a search did not bring all that there is; a value names no server, patient or token."""

    TIMED_OUT = "no answer in time"
    NAME_UNKNOWN = "the server's name is not known"
    UNREACHABLE = "no connection"
    NOT_TRUSTED = "no TLS connection that can be trusted"
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

    def ask_version(self) -> Callable[[], str | None]:
        """Start to ask the server for its FHIR version, beside the searches.

        What is returned gives the server's word ("5.0.0"), None if it says nothing; it waits only a moment
        for an answer that is still under way.
        """


class RecordSource(Protocol):
    """Where data comes from that the call did not bring."""

    def open(self, access: FhirAccess, *, budget_seconds: float) -> AbstractContextManager[RecordSession]:
        """Return a session whose time starts now; nothing that it read is kept after it."""


class Refusal(StrEnum):
    """Why a caller was refused: for the log alone, the answer is the same for all."""

    NO_TOKEN = "no token"  # noqa: S105 - the word for a missing one
    MALFORMED = "token malformed"
    ALGORITHM = "algorithm not allowed"
    UNKNOWN_ISSUER = "issuer not known"
    CLAIM_MISSING = "claim missing or of a wrong type"
    AUDIENCE = "meant for another audience"
    EXPIRED = "expired"
    NOT_YET = "not yet valid"
    LIFETIME = "lives too long"
    SUBJECT = "other subject"
    KEY_ADDRESS = "other key address"
    UNKNOWN_KEY = "key not known"
    SIGNATURE = "signature wrong"
    REPLAYED = "used before"


class Declined(StrEnum):
    """What was declined of a caller that is known, and why: for the audit log, the log and the counters."""

    TOO_MANY = "too many calls"
    OTHER_PATIENT = "Patient of another id than the context's"
    OTHER_ACCESS = "access granted for another patient"


class TooManyCallsError(Exception):
    """A client called more often than it may; it may call again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        """Keep the time."""
        super().__init__(Declined.TOO_MANY.value)
        self.seconds = seconds


class RateLimiter(Protocol):
    """How many calls a client may make."""

    def wait(self, name: str, per_minute: int) -> float:
        """Return 0.0 and count a call of this client, or the seconds after which it may call again."""


class CallerRefusedError(Exception):
    """The caller did not prove to be a client of ours; `issuer` only where it is one that we know."""

    def __init__(self, refusal: Refusal, issuer: str | None = None) -> None:
        """Keep the cause, which never goes into the answer."""
        super().__init__(refusal.value)
        self.refusal = refusal
        self.issuer = issuer


class StoreUnavailableError(Exception):
    """The store, or the keys of a client, are out of reach: nothing can be decided now."""


class ReplayStore(Protocol):
    """Remembers which tokens were used, for all processes together."""

    def use(self, issuer: str, token_id: str, *, until: int) -> bool:
        """Return True for the first use of a token; it is remembered until this Unix time.

        Raises `StoreUnavailableError`.
        """


class CheckedReplayStore(ReplayStore, Protocol):
    """A store that can tell whether it would work now."""

    def check(self) -> None:
        """Raise `StoreUnavailableError` where it would not."""


class CallerVerifier(Protocol):
    """Tells which client signed a token."""

    def caller(
        self, headers: Sequence[str], paths: Collection[str], clients: Sequence[ClientProfile], base: str
    ) -> ClientProfile:
        """Return the client; raises `CallerRefusedError` and `StoreUnavailableError`.

        `headers` are all Authorization headers of a call, `paths` those below the address `base` for
        which its token may be meant.
        """


class KeySource(Protocol):
    """The public keys of clients."""

    def key(self, trust: Trust, key_id: str) -> object | None:
        """Return the key of this id as the token library takes it, None when the client has no such key.

        Raises `StoreUnavailableError` when no key set of the client could ever be read.
        """


class AuditUnavailableError(Exception):
    """An event could not be written down, so that what it tells of must not happen."""


class Audit(Protocol):
    """Where it is written down who did what for whom."""

    def record(self, fact: AuditFact) -> None:
        """Write one event; raises `AuditUnavailableError`."""
