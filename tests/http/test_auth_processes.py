"""Two server processes on one store: a token is good once, whoever gets it, also when all come at once."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.builders import hook_request, prefetch
from tests.http.requests import SERVICE
from tests.serving import serving
from tests.tokens import PUBLIC, claims_of, sign, site

BODY = json.dumps(hook_request(prefetch(["RLS"]))).encode()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Two servers, two workers each, that share nothing but the store."""
    place = site(Path(tmp_path_factory.mktemp("site")))
    (place.folder / "store.db").unlink()  # the first start makes it
    settings = {
        "RLS_CDS_CLIENTS": str(place.clients),
        "RLS_CDS_PUBLIC_URL": PUBLIC,
        "RLS_CDS_STORE": place.store,
        "RLS_CDS_WORKERS": "2",
    }
    with serving(settings) as one, serving(settings) as other:
        yield one.port, other.port


def call(port: int, token: str) -> int:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        connection.request("POST", SERVICE, BODY, headers)
        return connection.getresponse().status


@pytest.mark.parametrize("number", range(3))
def test_of_fifty_at_once_one_gets_in(ports: tuple[int, int], number: int) -> None:
    token = sign(claims_of(jti=f"at-once-{number}"))
    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(call, [ports[turn % 2] for turn in range(50)], [token] * 50))
    # A store that is busy for too long answers 503: that lets nobody in either.
    assert answers[200] == 1
    assert answers[401] + answers[503] == 49


def test_every_token_of_its_own_gets_in(ports: tuple[int, int]) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = Counter(
            pool.map(call, [ports[turn % 2] for turn in range(40)], [sign() for _ in range(40)])
        )
    assert answers == {200: 40}
