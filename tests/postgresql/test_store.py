"""The store on a real PostgreSQL server: once and only once, no waiting for a lock or a stopped server."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from cds_service.adapters.store import SqlReplayStore, engine_of, is_current, upgrade_store
from cds_service.ports import StoreUnavailableError
from tests.serving import free_port

pytestmark = pytest.mark.postgresql
LIMIT_SECONDS = 5.0
UNTIL = 9_000_000_000


def folder_of_binaries() -> Path | None:
    """Return where initdb and postgres are: POSTGRES, beside what the path finds, or Debian's folder."""
    found = shutil.which("postgres")
    beside = [Path(found).resolve().parent] if found else []
    given = [Path(os.environ["POSTGRES"])] if os.environ.get("POSTGRES") else []
    places = [*given, *beside, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return next((place for place in places if (place / "initdb").exists()), None)


def not_root() -> dict[str, int]:
    """Return as whom the server runs: it refuses to run as root."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid}


class Server:
    """A running server; `address` is that of its database."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.address = f"postgresql://rls@127.0.0.1:{port}/postgres"
        self.engines: list[Engine] = []

    def engine(self) -> Engine:
        self.engines.append(engine_of(self.address))
        return self.engines[-1]

    def store(self) -> SqlReplayStore:
        return SqlReplayStore(self.engine)

    def is_up(self) -> bool:
        try:
            psycopg.connect(self.address, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A new server on the loopback address, its tables those of this release."""
    binaries = folder_of_binaries()
    if binaries is None:
        pytest.skip("no initdb found: install PostgreSQL, or name its folder in POSTGRES")
    folder = Path("/tmp") / f"rls-postgresql-{os.getpid()}"  # noqa: S108 - the other user cannot enter pytest's
    folder.mkdir(mode=0o700)
    run = not_root()
    if run:
        os.chown(folder, run["user"], run["group"])
    data, port = folder / "data", free_port()
    try:
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "rls", "-A", "trust", "--no-sync"],
            check=True, cwd=folder, stdout=subprocess.DEVNULL, **run,
        )  # fmt: skip
        command = [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, **run) as process:
            started = Server(process, port)
            deadline = time.monotonic() + 30
            while not started.is_up():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            upgrade_store(started.engine())
            assert is_current(started.engine())
            yield started
            for engine in started.engines:
                engine.dispose()
            process.send_signal(signal.SIGINT)
    finally:
        shutil.rmtree(folder)


def test_the_store_of_this_release_passes_and_is_upgraded_again(server: Server) -> None:
    upgrade_store(server.engine())
    server.store().check()


def test_of_fifty_uses_at_once_one_counts(server: Server) -> None:
    stores = [server.store() for _ in range(2)]
    with ThreadPoolExecutor(10) as pool:
        used = list(pool.map(lambda n: stores[n % 2].use("iss", "at once", until=UNTIL), range(50)))
    assert sorted(used) == [False] * 49 + [True]


def test_what_is_over_is_forgotten(server: Server) -> None:
    store = server.store()
    assert store.use("iss", "old", until=1)
    later = server.store()
    assert later.use("iss", "new", until=UNTIL)
    with psycopg.connect(server.address) as connection:
        rows = connection.execute("select count(*) from used_tokens where expires_at = 1").fetchone()
    assert rows == (0,)


def refused_in_time(store: SqlReplayStore, token: str) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        store.use("iss", token, until=UNTIL)
    assert time.monotonic() - began < LIMIT_SECONDS


def test_a_locked_table_is_not_waited_for(server: Server) -> None:
    store = server.store()
    assert store.use("iss", "before the lock", until=UNTIL)
    with psycopg.connect(server.address) as other:
        other.execute("lock table used_tokens in access exclusive mode")
        refused_in_time(store, "locked")
    assert store.use("iss", "locked", until=UNTIL)


def test_a_server_that_stands_still_is_not_waited_for(server: Server) -> None:
    """Its host goes on taking bytes; the server itself is stopped, with all its processes."""
    store = server.store()
    assert store.use("iss", "before the stop", until=UNTIL)
    master = server.process.pid
    with Path(f"/proc/{master}/task/{master}/children").open(encoding="ascii") as file:
        processes = [master, *map(int, file.read().split())]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        refused_in_time(store, "still")
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    assert store.use("iss", "still, and going again", until=UNTIL)
