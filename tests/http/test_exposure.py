"""What is reachable: the documented addresses and methods, and nothing that a framework brings along."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.routing import Map

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.http.conftest import Web
from tests.http.requests import CANARY, SERVICE, call_body, outcome

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def reachable(rules: Map) -> set[tuple[str, str]]:
    """Return method and address of all that an application answers, names in brackets left out."""
    return {
        (method, re.sub(r"<[^>]*>", "<>", rule.rule.replace("//", "/")))
        for rule in rules.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def documented() -> Iterator[tuple[str, str]]:
    """Yield method and address of each row of the README; an ending belongs to the address before it."""
    for method, cell in re.findall(r"^\| `(GET|POST) ([^|]*)\|", README, re.MULTILINE):
        address = ""
        for told in re.findall(r"[^`, ]+(?=`)", cell):
            address = told if told.startswith("/") else address + told
            yield method, re.sub(r"<[^>]*>", "<>", address)


def test_every_address_is_documented_and_every_documented_one_is_there() -> None:
    told, rules = set(documented()), create_app(Settings(metrics=True)).url_map
    assert reachable(rules) <= told
    assert reachable(create_app(Settings()).url_map) == reachable(rules) - {("GET", "/metrics")}
    for method, address in told:
        rules.bind("localhost").match(address.replace("<>", "a"), method)  # raises where nothing answers


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/cds-services", SERVICE])
def test_no_other_method_is_answered(web: Web, method: str, path: str) -> None:
    response = web.client.open(path, method=method, headers={"X-Echo": CANARY})
    assert outcome(response, 405)[0]["code"] == "not-supported"


@pytest.mark.parametrize("path", ["/static/app.js", "/console", "/.env", "/cds-services/../.env"])
def test_nothing_else_is_served(web: Web, path: str) -> None:
    assert outcome(web.client.get(path), 404)[0]["code"] == "not-found"


def test_a_debug_switch_of_the_framework_shows_nothing(
    make_web: Callable[..., Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    web = make_web(error=ValueError(CANARY))
    response = web.client.post(SERVICE, json=call_body())
    (issue,) = outcome(response, 500)
    assert issue["code"] == "exception"
    assert web.client.get("/console").status_code == 404
