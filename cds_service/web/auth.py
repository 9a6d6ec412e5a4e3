"""Who calls: asked before anything of a body is read, and answered the same whatever is wrong."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from flask import g, request

from cds_service.ports import CallerVerifier, RateLimiter, TooManyCallsError
from cds_service.profile import ClientProfile


class Callers(Protocol):
    """Tells which client calls."""

    def caller(self, paths: Collection[str]) -> ClientProfile | None:
        """Return the client that has proved itself in the current request, None where nobody has to.

        `paths` are those for which its token may be meant. Raises `CallerRefusedError` and
        `StoreUnavailableError`.
        """


class Anybody:
    """Trusts nobody's identity and asks for none: for development."""

    def caller(self, paths: Collection[str]) -> ClientProfile | None:  # noqa: ARG002 - as the protocol asks
        """Return None."""
        return None


class TokenCallers:
    """Asks for the signed token of a client on every call."""

    def __init__(
        self,
        verifier: CallerVerifier,
        limiter: RateLimiter,
        clients: Callable[[], Sequence[ClientProfile]],
        base: str,
    ) -> None:
        """Keep who decides; `clients` gives those of the moment, `base` is the service's public address."""
        self._verifier = verifier
        self._limiter = limiter
        self._clients = clients
        self._base = base.rstrip("/")

    def caller(self, paths: Collection[str]) -> ClientProfile:
        """Return the client of the token in the current request; raises `TooManyCallsError` too."""
        headers = request.headers.getlist("Authorization")
        profile = self._verifier.caller(headers, paths, self._clients(), self._base)
        g.client = profile
        seconds = self._limiter.wait(profile.name, profile.rate_limit)
        if seconds > 0:
            raise TooManyCallsError(seconds)
        return profile
