"""The store of used tokens: once and only once, for every process, and no digest longer than needed."""

import sqlite3
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy.engine import make_url

from cds_service.adapters.postgresql import parameters_of
from cds_service.adapters.store import SqlReplayStore, StoreError, engine_of, is_current, upgrade_store
from cds_service.cli import main
from cds_service.ports import StoreUnavailableError
from tests.tokens import site


def rows(path: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(path) as connection:
        found: list[tuple[str, int]] = connection.execute("select * from used_tokens").fetchall()
    connection.close()
    return found


def store_in(folder: Path, now: float = 1000.0) -> SqlReplayStore:
    place = site(folder)
    return SqlReplayStore(lambda: engine_of(place.store), now=lambda: now)


def test_the_first_use_counts_alone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert [store.use("iss", "jti", until=2000) for _ in range(3)] == [True, False, False]
    assert store.use("other", "jti", until=2000)
    assert store.use("iss", "other", until=2000)


def test_issuer_and_id_cannot_be_shifted_into_each_other(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.use("a", "b c", until=2000)
    assert store.use("a b", "c", until=2000)


def test_two_stores_on_one_file_know_the_same_tokens(tmp_path: Path) -> None:
    place = site(tmp_path)
    one, other = (SqlReplayStore(lambda: engine_of(place.store)) for _ in range(2))
    assert one.use("iss", "jti", until=2_000_000_000)
    assert not other.use("iss", "jti", until=2_000_000_000)


def test_only_a_digest_is_kept_and_not_for_longer_than_needed(tmp_path: Path) -> None:
    times = iter([1000.0, 1400.0 + 3600.0, 1401.0 + 3660.0])
    place = site(tmp_path)
    store = SqlReplayStore(lambda: engine_of(place.store), now=lambda: next(times))
    store.use("https://ehr.example.org", "secret-id", until=1400)
    ((digest, until),) = rows(tmp_path / "store.db")
    assert (len(digest), until) == (64, 1400)
    store.use("https://ehr.example.org", "later", until=9000)
    assert [until for _, until in rows(tmp_path / "store.db")] == [1400, 9000]
    store.use("https://ehr.example.org", "latest", until=9100)
    assert [until for _, until in rows(tmp_path / "store.db")] == [9000, 9100]


def test_a_store_without_tables_is_no_store(tmp_path: Path) -> None:
    store = SqlReplayStore(lambda: engine_of(f"sqlite:///{tmp_path}/empty.db"))
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        store.use("iss", "jti", until=1)
    with pytest.raises(StoreUnavailableError, match="not those of this release"):
        store.check()


def test_a_store_that_is_current_passes(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.check()
    assert store.use("iss", "jti", until=2000)


def test_a_store_that_cannot_be_opened_is_out_of_reach(tmp_path: Path) -> None:
    engine = engine_of(f"sqlite:///{tmp_path}/no/such/folder/store.db")
    with pytest.raises(StoreUnavailableError, match="cannot be upgraded"):
        upgrade_store(engine)
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        is_current(engine)


def test_a_purge_that_fails_loses_no_token(tmp_path: Path) -> None:
    place = site(tmp_path)
    engine = engine_of(place.store)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "create trigger keep before delete on used_tokens begin select raise(fail, 'no'); end"
        )
        connection.exec_driver_sql("insert into used_tokens values ('old', 1)")
    store = SqlReplayStore(lambda: engine, now=lambda: 1000.0)
    assert store.use("iss", "jti", until=2000)
    assert not store.use("iss", "jti", until=2000)


@pytest.mark.parametrize("url", ["sqlite3:///x", "nonsense", "mysql+nothing://localhost/x"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be used") as caught:
        engine_of(url)
    assert url not in str(caught.value)


ADDRESS = "postgresql://user:secret@db.example.org/rls"


def test_a_postgresql_address_needs_the_driver_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_of(ADDRESS).dialect.driver == "psycopg"
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "cds_service.adapters.postgresql")
    with pytest.raises(StoreError, match="ModuleNotFoundError") as caught:
        engine_of(ADDRESS)
    assert "secret" not in str(caught.value)


def test_an_address_may_set_limits_of_its_own() -> None:
    ours = parameters_of(make_url(ADDRESS))
    assert ours["options"] == "-c statement_timeout=2000 -c lock_timeout=2000"
    assert (ours["connect_timeout"], ours["tcp_user_timeout"]) == (2, 2000)
    theirs = parameters_of(make_url(f"{ADDRESS}?connect_timeout=9&options=-c%20lock_timeout%3D9"))
    assert theirs.keys() == ours.keys() - {"connect_timeout", "options"}


# ---------------------------------------------------------------------------------------------- command
def test_the_command_upgrades_from_nothing_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLS_CDS_STORE", f"sqlite:///{tmp_path}/store.db")
    for _ in range(2):
        result = CliRunner().invoke(main, ["store", "upgrade"])
        assert (result.exit_code, result.output) == (0, "The store has the tables of this release.\n")
    assert is_current(engine_of(f"sqlite:///{tmp_path}/store.db"))


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("", "RLS_CDS_STORE names no store"),
        ("sqlite:////no/such/folder/x.db", "RLS_CDS_STORE: the store cannot be upgraded (OperationalError)"),
    ],
)
def test_the_command_says_why_not(store: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLS_CDS_STORE", store)
    result = CliRunner().invoke(main, ["store", "upgrade"])
    assert result.exit_code == 2
    assert reason in result.output
