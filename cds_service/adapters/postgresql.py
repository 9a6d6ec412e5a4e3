"""Connections to PostgreSQL that wait for no server longer than there is time.

The server's own limits end a statement that is slow or waits for a lock, those of TCP a host that is gone. A
server whose host lives and that says nothing is left to this side; its driver would wait for ever.
"""

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import URL, Engine, create_engine, event

from cds_service.adapters.deadline import is_over

LONGEST = 2.0
"""Seconds for connecting, and for one statement."""

_MILLISECONDS = int(LONGEST * 1000)
_PARAMETERS: dict[str, str | int] = {
    "connect_timeout": int(LONGEST),
    "options": f"-c statement_timeout={_MILLISECONDS} -c lock_timeout={_MILLISECONDS}",
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": _MILLISECONDS,
}


class _TookTooLongError(psycopg.OperationalError):
    """The server did not answer in time."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is given up when the time of what is being done is over."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Return what an exchange with the server brings; raises OperationalError."""
        try:
            return super().wait(_bounded(gen), interval, timeout)
        except _TookTooLongError:
            # What comes later would be taken for the answer to something else.
            self.pgconn.finish()
            raise


def _bounded(exchange: PQGen[RV]) -> PQGen[RV]:
    """Pass an exchange on; the driver resumes it ten times a second also where nothing comes."""
    try:
        wanted = next(exchange)
        while True:
            if is_over():
                raise _TookTooLongError("no answer in time")
            wanted = exchange.send((yield wanted))
    except StopIteration as done:
        # Its result, which the generator of the driver gave without a type.
        result: RV = done.value
        return result


def parameters_of(address: URL) -> dict[str, str | int]:
    """Return the limits with which connections are made; those that the address itself names stay."""
    return {name: value for name, value in _PARAMETERS.items() if name not in address.query}


def postgresql_engine(address: URL) -> Engine:
    """Return the engine of an address."""
    engine = create_engine(
        address, pool_pre_ping=True, pool_timeout=LONGEST, connect_args=parameters_of(address)
    )

    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, arguments: list[str], parameters: dict[str, str | int]
    ) -> BoundedConnection:
        return BoundedConnection.connect(*arguments, **parameters)  # type: ignore[arg-type] # as SQLAlchemy gives them

    return engine
