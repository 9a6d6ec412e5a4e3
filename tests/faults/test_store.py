"""The store of used tokens out of order: nobody is let in, and everybody when it is back."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from cds_service.adapters import store as stores
from cds_service.app import create_app
from tests.builders import hook_request, prefetch
from tests.fakes.silent_postgresql import silent_postgresql
from tests.http.requests import SERVICE
from tests.tokens import Site, claims_of, sign, site

BODY = hook_request(prefetch(["RLS", {"ferritin": 20}]))
# SQLite waits four seconds for another writer.
LIMIT_SECONDS = 6.0


@pytest.fixture
def place(tmp_path: Path) -> Site:
    return site(tmp_path)


@pytest.fixture
def web(place: Site) -> FlaskClient:
    client = create_app(place.settings).test_client()
    assert call(client, sign()) == 200
    return client


def call(web: FlaskClient, token: str) -> int:
    """Return the status of a call; one that is not answered says when to come again, and shows no card."""
    started = time.monotonic()
    response = web.post(SERVICE, json=BODY, headers={"Authorization": f"Bearer {token}"})
    assert time.monotonic() - started < LIMIT_SECONDS
    if response.status_code == 503:
        assert response.headers["Retry-After"] == "5"
    assert ("cards" in response.json) is (response.status_code == 200)
    return response.status_code


def check_out_of_order(web: FlaskClient, place: Site, caplog: pytest.LogCaptureFixture) -> str:
    """Return a token that was refused for the store's sake; the log names neither it nor the place."""
    token = sign()
    assert call(web, token) == 503
    assert token not in caplog.text
    assert str(place.folder) not in caplog.text
    return token


def test_gone(web: FlaskClient, place: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Also for a process that still holds the file open."""
    used = sign()
    assert call(web, used) == 200
    kept = place.folder / "kept.db"
    with (
        closing(sqlite3.connect(place.folder / "store.db")) as source,
        closing(sqlite3.connect(kept)) as copy,
    ):
        source.backup(copy)
    for path in place.folder.glob("store.db*"):
        path.unlink()
    token = check_out_of_order(web, place, caplog)
    for path in place.folder.glob("store.db*"):
        path.unlink()
    shutil.move(kept, place.folder / "store.db")
    assert [call(web, token), call(web, token), call(web, used)] == [200, 401, 401]


def test_locked(web: FlaskClient, place: Site, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(place.folder / "store.db")) as other:
        other.execute("begin immediate")
        token = check_out_of_order(web, place, caplog)
        other.rollback()
    assert [call(web, token), call(web, token)] == [200, 401]


class Limits:
    """Statements that the database is given before each transaction, as its own limits are set."""

    def __init__(self) -> None:
        self.statement = "pragma query_only = off"

    def on(self, engine: Engine) -> Engine:
        @event.listens_for(engine, "begin")
        def limit(connection: Any) -> None:
            connection.exec_driver_sql(self.statement)

        return engine


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    found, make = Limits(), stores.engine_of
    monkeypatch.setattr(stores, "engine_of", lambda url: found.on(make(url)))
    return found


def test_read_only(limits: Limits, web: FlaskClient, place: Site, caplog: pytest.LogCaptureFixture) -> None:
    limits.statement = "pragma query_only = on"
    token = check_out_of_order(web, place, caplog)
    limits.statement = "pragma query_only = off"
    assert [call(web, token), call(web, token)] == [200, 401]


def test_full(limits: Limits, web: FlaskClient, place: Site, caplog: pytest.LogCaptureFixture) -> None:
    """No token is let in that was not written, however many come."""
    limits.statement = "pragma max_page_count = 1"  # as few as there are
    tokens = [sign(claims_of(jti=f"full-{number}")) for number in range(200)]
    statuses = [call(web, token) for token in tokens]
    first = statuses.index(503)
    assert set(statuses[:first]) <= {200}
    assert set(statuses[first:]) == {503}
    assert str(place.folder) not in caplog.text
    limits.statement = "pragma max_page_count = 1000000"
    assert [call(web, tokens[first]), call(web, tokens[first]), call(web, tokens[0])] == [200, 401, 401]


def test_damaged(web: FlaskClient, place: Site, caplog: pytest.LogCaptureFixture) -> None:
    good = (place.folder / "store.db").read_bytes()
    for path in place.folder.glob("store.db-*"):
        path.unlink()
    replaced = place.folder / "new"
    replaced.write_bytes(os.urandom(8192))
    replaced.rename(place.folder / "store.db")
    token = check_out_of_order(web, place, caplog)
    replaced.write_bytes(good)
    replaced.rename(place.folder / "store.db")
    assert [call(web, token), call(web, token)] == [200, 401]


def test_silent_server(place: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A PostgreSQL server whose host lives and that says nothing: calls end, and readiness names the part."""
    with silent_postgresql() as address:
        web = create_app(place.settings.model_copy(update={"store": address})).test_client()
        began = time.monotonic()
        assert call(web, sign()) == 503
        assert time.monotonic() - began < 5
        assert web.get("/readyz").json["parts"]["store"] == "fault"
        assert time.monotonic() - began < 9
    assert "127.0.0.1" not in caplog.text
