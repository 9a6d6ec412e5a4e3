"""The one small store: which tokens were used, for all processes and hosts together.

SQLAlchemy Core over SQLite (one host) or PostgreSQL (several); its tables change with releases by the
migrations beside this file. Nothing in it tells who a patient is, and of a token only a digest is kept.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from alembic.command import upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    insert,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DisconnectionError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from cds_service.adapters.deadline import within
from cds_service.ports import StoreUnavailableError

METADATA = MetaData()

USED_TOKENS = Table(
    "used_tokens",
    METADATA,
    # SHA-256 of issuer and token id, hexadecimal.
    Column("token", String(64), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

BUDGET = 2.0
"""Seconds for all that one call asks of a PostgreSQL server; making a connection may take as long again."""
BUSY_MS = 4_000
"""Milliseconds for which SQLite waits while another process writes."""
_PURGE_EVERY = 60.0
# A machine's clock may be set forward and back again: what looked over was not, then.
_KEPT_AFTER_ITS_END = 3600
_SQLITE = "sqlite"
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class StoreError(ValueError):
    """The store's address cannot be used; the text holds no password."""


def engine_of(url: str) -> Engine:
    """Return the engine of a store; raises `StoreError`. It connects when it is first used."""
    try:
        address = make_url(url)
        address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
        if address.get_backend_name() == _SQLITE:
            return _sqlite(address.render_as_string(hide_password=False))
        # The driver is an extra; a host that does without it has none.
        from cds_service.adapters.postgresql import postgresql_engine  # noqa: PLC0415 - see above

        return postgresql_engine(address)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"the store's address cannot be used ({type(error).__name__})") from None


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def prepare(connection: object, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = _identity(engine)
        cursor = connection.cursor()  # type: ignore[attr-defined] # connection of the database's own library
        # Readers do not wait for the writer, and a used token survives the end of a process.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    @event.listens_for(engine, "checkout")
    def check(_connection: object, entry: ConnectionPoolEntry, _proxy: object) -> None:
        # A file that was removed or replaced goes on taking tokens, which no other process would ever see.
        if entry.info["file"] != _identity(engine):
            raise DisconnectionError

    return engine


def _identity(engine: Engine) -> tuple[int, int] | None:
    """Return which file stands at the store's address, None where there is none."""
    try:
        found = Path(engine.url.database or "").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _migrations(engine: Engine) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("cds_service.adapters") / "migrations"))
    config.attributes["engine"] = engine
    return config


def upgrade_store(engine: Engine) -> None:
    """Bring the tables up to this release; raises `StoreUnavailableError`."""
    try:
        upgrade(_migrations(engine), "head")
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailableError(f"the store cannot be upgraded ({type(error).__name__})") from None


def is_current(engine: Engine) -> bool:
    """Whether the tables are those of this release; raises `StoreUnavailableError`."""
    head = ScriptDirectory.from_config(_migrations(engine)).get_current_head()
    try:
        with within(BUDGET), engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == head
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"the store cannot be read ({type(error).__name__})") from None


class SqlReplayStore:
    """Used tokens in the store."""

    def __init__(self, make_engine: Callable[[], Engine], *, now: Callable[[], float] = time.time) -> None:
        """Keep how the engine is made: each process makes its own, after it was forked."""
        self._make_engine = make_engine
        self._now = now
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._purged_at = 0.0

    def use(self, issuer: str, token_id: str, *, until: int) -> bool:
        """Return True for the first use of a token; raises `StoreUnavailableError`.

        The insert itself decides: of any number of processes that try at once one succeeds.
        """
        digest = hashlib.sha256(f"{len(issuer)} {issuer} {token_id}".encode()).hexdigest()
        try:
            engine = self._connected()
            with within(BUDGET), engine.begin() as connection:
                connection.execute(insert(USED_TOKENS).values(token=digest, expires_at=until))
        except IntegrityError:
            return False
        except SQLAlchemyError as error:
            raise StoreUnavailableError(f"the store cannot be written ({type(error).__name__})") from None
        self._purge(engine)
        return True

    def check(self) -> None:
        """Raise `StoreUnavailableError` when the store cannot be used as it is."""
        if not is_current(self._connected()):
            raise StoreUnavailableError("the store's tables are not those of this release")

    def _connected(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._make_engine()
            return self._engine

    def _purge(self, engine: Engine) -> None:
        """Forget tokens that have run out, now and then; they would be refused anyway."""
        now = self._now()
        if now - self._purged_at < _PURGE_EVERY:
            return
        self._purged_at = now
        try:
            with within(BUDGET), engine.begin() as connection:
                over = USED_TOKENS.c.expires_at < int(now) - _KEPT_AFTER_ITS_END
                connection.execute(delete(USED_TOKENS).where(over))
        except SQLAlchemyError:
            # The token was written; what is left over goes with the next purge.
            self._purged_at = now - _PURGE_EVERY / 2
