"""The address of a client's keys out of order, over HTTP: nobody is let in, or the last good keys serve."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cds_service.adapters import keys
from cds_service.app import create_app
from tests.builders import hook_request, prefetch
from tests.fakes.fhir_stub import FhirStub, Reply, fhir_stub, outcome
from tests.http.requests import SERVICE
from tests.serving import free_port
from tests.tokens import ISSUER, key_set, private_key, public_jwk, sign, site

BODY = hook_request(prefetch(["RLS", {"ferritin": 20}]))
# The budget for an address of keys is two seconds.
LIMIT_SECONDS = 5.0


class Clock:
    """The monotonic clock of the key sets, set by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(keys.KeySets.__init__, "__kwdefaults__", {"now": found})
    return found


@pytest.fixture
def server() -> Iterator[FhirStub]:
    with fhir_stub() as running:
        serve(running, good())
        yield running


def good(*kids: str) -> Reply:
    return Reply(body=key_set(*map(public_jwk, kids or ("main",))).encode(), content_type="application/json")


def serve(server: FhirStub, answer: Reply) -> None:
    server.behaviour = lambda _seen: answer


def service(folder: Path, base: str) -> FlaskClient:
    text = (
        f'[[clients]]\nname = "north"\n[clients.trust]\nissuer = "{ISSUER}"\nkeys_url = "{base}/jwks.json"\n'
    )
    return create_app(site(folder, text).settings).test_client()


def call(web: FlaskClient, token: str) -> int:
    started = time.monotonic()
    response = web.post(SERVICE, json=BODY, headers={"Authorization": f"Bearer {token}"})
    assert time.monotonic() - started < LIMIT_SECONDS
    assert ("cards" in response.json) is (response.status_code == 200)
    return response.status_code


def check(folder: Path, server: FhirStub, clock: Clock, fault: Reply) -> None:
    """Let the address fail from the start, recover, and fail again when there are good keys."""
    web = service(folder, server.base)
    serve(server, fault)
    token = sign()
    assert [call(web, token), call(web, token)] == [503, 503]
    serve(server, good())
    assert call(web, token) == 503  # the address is left alone for a while
    clock.ahead += keys.COOL_DOWN
    assert [call(web, token), call(web, token)] == [200, 401]
    serve(server, fault)
    clock.ahead += keys.MAX_AGE + 1
    assert call(web, sign()) == 200
    clock.ahead += keys.LAST_GOOD
    assert call(web, sign()) == 503
    serve(server, good())
    clock.ahead += keys.COOL_DOWN
    assert call(web, sign()) == 200


def test_down(tmp_path: Path, clock: Clock) -> None:
    port = free_port()
    web = service(tmp_path, f"http://127.0.0.1:{port}")
    token = sign()
    assert call(web, token) == 503
    with fhir_stub(port=port) as server:
        serve(server, good())
        clock.ahead += keys.COOL_DOWN
        assert call(web, token) == 200


def test_out_of_order(tmp_path: Path, server: FhirStub, clock: Clock) -> None:
    check(tmp_path, server, clock, outcome(500))


def test_slow(tmp_path: Path, server: FhirStub, clock: Clock) -> None:
    check(tmp_path, server, clock, Reply(body=b" " * 1000, content_type="application/json", drip=0.1))


def test_huge(tmp_path: Path, server: FhirStub, clock: Clock) -> None:
    huge = key_set().encode() + b" " * keys.LARGEST
    check(tmp_path, server, clock, Reply(body=huge, content_type="application/json"))


def test_html(tmp_path: Path, server: FhirStub, clock: Clock) -> None:
    check(tmp_path, server, clock, Reply(body=b"<html>Please log in</html>", content_type="text/html"))


def test_rotated(tmp_path: Path, server: FhirStub, clock: Clock) -> None:
    """A new key counts when a token names it, an old one no longer when it was taken out."""
    web = service(tmp_path, server.base)
    assert call(web, sign()) == 200
    serve(server, good("new"))
    clock.ahead += keys.COOL_DOWN
    assert call(web, sign(headers={"kid": "new"}, key=private_key("new"))) == 200
    assert call(web, sign()) == 401
