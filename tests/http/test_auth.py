"""Who may call: a signed token on every address, used once; the same refusal for every cause."""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from jwt import PyJWS
from jwt.utils import base64url_encode
from werkzeug.test import TestResponse

from cds_service.adapters.store import engine_of, is_current
from cds_service.app import create_app
from cds_service.ports import Refusal
from cds_service.settings import SettingsError
from tests.builders import hook_request, prefetch
from tests.http.requests import SERVICE
from tests.tokens import (
    DISCOVERY_AUDIENCE,
    ISSUER,
    PUBLIC,
    SERVICE_AUDIENCE,
    Site,
    claims_of,
    entry,
    key_set,
    private_key,
    public_jwk,
    sign,
    site,
)

BODY = hook_request(prefetch(["RLS"]))
FEEDBACK = f"{SERVICE}/feedback"
FEEDBACK_BODY = {
    "feedback": [{"card": "c1", "outcome": "overridden", "outcomeTimestamp": "2026-11-22T08:33:16.416Z"}]
}


@pytest.fixture
def place(tmp_path: Path) -> Site:
    return site(tmp_path)


@pytest.fixture
def web(place: Site) -> FlaskClient:
    return create_app(place.settings).test_client()


def call(web: FlaskClient, token: str | None = None, **headers: str) -> TestResponse:
    given = {"Authorization": f"Bearer {token}", **headers} if token is not None else headers
    return web.post(SERVICE, json=BODY, headers=given)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.fields["refusal"]  # type: ignore[attr-defined] # set by the service's own log
        for record in caplog.records
        if record.getMessage() == "caller refused"
    ]


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="cds_service")


# ------------------------------------------------------------------------------------------- who gets in
@pytest.mark.parametrize(
    ("send", "audience"),
    [
        (lambda web, headers: web.get("/cds-services", headers=headers), DISCOVERY_AUDIENCE),
        (lambda web, headers: web.post(SERVICE, json=BODY, headers=headers), SERVICE_AUDIENCE),
        (lambda web, headers: web.post(FEEDBACK, json=FEEDBACK_BODY, headers=headers), SERVICE_AUDIENCE),
        (
            lambda web, headers: web.post(FEEDBACK, json=FEEDBACK_BODY, headers=headers),
            f"{SERVICE_AUDIENCE}/feedback",
        ),
    ],
)
def test_a_good_token_opens_each_address(
    web: FlaskClient, send: Callable[[FlaskClient, dict[str, str]], TestResponse], audience: str
) -> None:
    token = sign(claims_of(aud=audience))
    assert send(web, {"Authorization": f"Bearer {token}"}).status_code == 200
    assert send(web, {}).status_code == 401


def test_the_scheme_is_written_in_any_case_and_an_array_of_one_audience_is_taken(web: FlaskClient) -> None:
    assert call(web, None, Authorization=f"bearer {sign()}").status_code == 200
    assert call(web, sign(claims_of(aud=[SERVICE_AUDIENCE]))).status_code == 200


def test_addresses_for_people_and_machines_need_no_token(web: FlaskClient) -> None:
    assert web.get("/healthz").status_code == 200
    assert web.get("/").status_code == 200


def test_rsa_keys_sign_too(place: Site) -> None:
    (place.folder / "keys.json").write_text(key_set(public_jwk("rsa", "RSA", alg="RS384")), encoding="utf-8")
    web = create_app(place.settings).test_client()
    token = sign(headers={"kid": "rsa"}, algorithm="RS384", key=private_key("rsa", "RSA"))
    assert call(web, token).status_code == 200


@pytest.mark.parametrize(("algorithm", "kind"), [("ES256", "P-256"), ("RS256", "RSA")])
def test_weaker_algorithms_only_where_they_are_named(tmp_path: Path, algorithm: str, kind: str) -> None:
    place = site(tmp_path)
    (place.folder / "keys.json").write_text(key_set(public_jwk("k", kind)), encoding="utf-8")
    token = sign(headers={"kid": "k"}, algorithm=algorithm, key=private_key("k", kind))
    assert call(create_app(place.settings).test_client(), token).status_code == 401
    place.write(entry(trust=f'algorithms = ["{algorithm}"]\n'))
    assert call(create_app(place.settings).test_client(), token).status_code == 200


# ---------------------------------------------------------------------------------------- who stays out
def changed(**changes: Any) -> str:
    return sign(claims_of(**changes))


def raw(header: dict[str, Any]) -> str:
    """Return a token with a header that no library would write."""
    pieces = (json.dumps(part).encode() for part in (header, claims_of()))
    return ".".join([*(base64url_encode(piece).decode() for piece in pieces), "AAAA"])


def with_header(**headers: Any) -> str:
    return sign(headers=headers)


NOW = time.time
REQUIRED = ("exp", "iat", "jti", "aud")
BAD_TOKENS: list[tuple[Callable[[], str], Refusal]] = [
    *(
        (lambda name=name: changed(**{name: ...}), Refusal.CLAIM_MISSING)
        for name in ("exp", "iat", "jti", "aud")
    ),
    (lambda: changed(iss=...), Refusal.UNKNOWN_ISSUER),
    (lambda: changed(iss="https://evil.example.org"), Refusal.UNKNOWN_ISSUER),
    (lambda: changed(iss=f"{ISSUER}/"), Refusal.UNKNOWN_ISSUER),
    (lambda: changed(jti=""), Refusal.CLAIM_MISSING),
    (lambda: changed(jti="x" * 1025), Refusal.CLAIM_MISSING),
    (lambda: changed(aud=DISCOVERY_AUDIENCE), Refusal.AUDIENCE),
    (lambda: changed(aud=f"{SERVICE_AUDIENCE}/"), Refusal.AUDIENCE),
    (lambda: changed(aud=SERVICE_AUDIENCE.replace("http", "https")), Refusal.AUDIENCE),
    (lambda: changed(aud=f"{PUBLIC}/cds-services/other"), Refusal.AUDIENCE),
    (lambda: changed(aud=[SERVICE_AUDIENCE, "https://other.example.org"]), Refusal.AUDIENCE),
    (lambda: changed(aud=[]), Refusal.AUDIENCE),
    (lambda: changed(aud="http://localhost/cds-services/rls-iron-assessment"), Refusal.AUDIENCE),
    (lambda: changed(iat=int(NOW()) - 320, exp=int(NOW()) - 20), Refusal.EXPIRED),
    (lambda: changed(iat=int(NOW()) + 60, exp=int(NOW()) + 120), Refusal.NOT_YET),
    (lambda: changed(nbf=int(NOW()) + 60), Refusal.NOT_YET),
    (lambda: changed(exp=int(NOW()) + 400), Refusal.LIFETIME),
    (lambda: changed(exp=int(NOW()) + 10 * 365 * 86400), Refusal.LIFETIME),
    (lambda: with_header(kid=...), Refusal.MALFORMED),
    (lambda: raw({"alg": "ES384", "typ": "JWT", "kid": 5}), Refusal.MALFORMED),
    (lambda: raw({"typ": "JWT", "kid": "main"}), Refusal.MALFORMED),
    (lambda: with_header(kid="other"), Refusal.UNKNOWN_KEY),
    (lambda: with_header(typ="at+jwt"), Refusal.MALFORMED),
    (lambda: with_header(jku="https://evil.example.org/jwks.json"), Refusal.KEY_ADDRESS),
    (lambda: with_header(jwk=public_jwk("evil")), Refusal.MALFORMED),
    (lambda: with_header(x5u="https://evil.example.org"), Refusal.MALFORMED),
    (lambda: with_header(crit=["exp"]), Refusal.MALFORMED),
    (lambda: sign(key=private_key("evil")), Refusal.SIGNATURE),
    (lambda: sign(algorithm="RS384", key=private_key("evil", "RSA")), Refusal.ALGORITHM),
    (lambda: sign(algorithm="HS384", key="x" * 64), Refusal.ALGORITHM),
    (lambda: sign(algorithm="none", key=""), Refusal.ALGORITHM),
    (lambda: sign(algorithm="ES256", key=private_key("evil", "P-256")), Refusal.ALGORITHM),
    (lambda: sign()[:-4], Refusal.SIGNATURE),
    (lambda: sign().rpartition(".")[0], Refusal.MALFORMED),
    (lambda: f"{sign()}.x", Refusal.MALFORMED),
    (lambda: "x", Refusal.MALFORMED),
    (lambda: "x.y.z", Refusal.MALFORMED),
    (lambda: "W10.W10.x", Refusal.MALFORMED),
    (lambda: "x" * 9000, Refusal.MALFORMED),
]


@pytest.mark.parametrize(("make", "cause"), BAD_TOKENS, ids=lambda value: getattr(value, "value", ""))
def test_every_fault_is_refused_alike_and_told_in_the_log_alone(
    web: FlaskClient, caplog: pytest.LogCaptureFixture, make: Callable[[], str], cause: Refusal
) -> None:
    token = make()
    response = call(web, token)
    assert refusals(caplog) == [cause.value]
    without = call(web)
    assert (response.status_code, response.data) == (without.status_code, without.data)
    assert dict(response.headers) == dict(without.headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.get_json()["resourceType"] == "OperationOutcome"
    assert token not in caplog.text


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token x"],
)
def test_a_header_that_is_no_bearer_is_refused(
    web: FlaskClient, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    assert call(web, None, Authorization=value).status_code == 401
    assert refusals(caplog) == ["no token"]


def test_two_headers_are_refused(web: FlaskClient) -> None:
    pairs = [("Authorization", f"Bearer {sign()}"), ("Authorization", f"Bearer {sign()}")]
    assert web.post(SERVICE, json=BODY, headers=pairs).status_code == 401


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["1893456000", True, [1], -1, 1e300])
def test_a_time_that_is_no_number_is_refused(web: FlaskClient, name: str, value: object) -> None:
    header, _, signature = sign().split(".")
    claims = json.dumps({**claims_of(), name: value}).encode()
    assert call(web, f"{header}.{base64url_encode(claims).decode()}.{signature}").status_code == 401


def test_a_member_twice_is_refused(web: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    header, _, signature = sign().split(".")
    double = base64url_encode(b'{"iss":"a","iss":"https://ehr.example.org"}').decode()
    assert call(web, f"{header}.{double}.{signature}").status_code == 401
    assert refusals(caplog) == ["token malformed"]


# What JSON can hold, and what breaks readers that expect a text or a number.
ANYTHING: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, 1e300, "", "x", "1", "\ud800", "x" * 2000),
    *([], [[]], [{}], ["x"], [None], {}, {"a": []}),
]
CLAIMS = ("iss", "aud", "exp", "iat", "nbf", "jti", "sub", "tenant")
HEADERS = ("alg", "kid", "typ", "jku", "cty", "jwk", "x5c", "crit", "b64", "zip")
# A client chooses its ids as it likes, and times in the past are no harm.
MAY_BE = {"jti": ("x", "1"), "nbf": (0, 1.5)}
STRICT = 'tenant = "t-1"\nsubject = "us"\n'


def forged(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Return a token whose signature is none."""
    parts = (base64url_encode(json.dumps(part).encode()).decode() for part in (header, claims))
    return ".".join([*parts, "AAAA"])


@pytest.mark.parametrize("name", [*CLAIMS, *HEADERS])
def test_a_forged_token_of_any_shape_is_refused_like_any_other_and_written_down_once(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "audit").mkdir()
    place = site(tmp_path, entry(trust=STRICT))
    web = create_app(place.settings.model_copy(update={"audit": tmp_path / "audit"})).test_client()
    header, claims = {"alg": "ES384", "typ": "JWT", "kid": "main"}, claims_of(tenant="t-1", sub="us")
    answers = [call(web, forged(header, claims))]
    for value in ANYTHING:
        changed = {name: value}
        one = forged(header, claims | changed) if name in CLAIMS else forged(header | changed, claims)
        answers.append(call(web, one))
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.data for answer in answers} == {answers[0].data}
    (log,) = (tmp_path / "audit").glob("*.ndjson")
    assert len(log.read_text("ascii").splitlines()) == len(answers)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_signed_token_of_any_shape_is_refused_too(name: str, tmp_path: Path) -> None:
    web = create_app(site(tmp_path, entry(trust=STRICT)).settings).test_client()
    for value in ANYTHING:
        claims = {**claims_of(tenant="t-1", sub="us"), name: value}
        token = PyJWS().encode(
            json.dumps(claims).encode(), private_key(), "ES384", {"kid": "main", "typ": "JWT"}
        )
        is_good = value in MAY_BE.get(name, ())
        assert call(web, token).status_code == (200 if is_good else 401), value


def test_the_host_of_a_call_decides_nothing(web: FlaskClient) -> None:
    headers = {
        "Host": "evil.example.org",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Proto": "http",
    }
    assert call(web, sign(), **headers).status_code == 200
    evil = changed(aud="https://evil.example.org/cds-services/rls-iron-assessment")
    assert call(web, evil, **headers).status_code == 401


def test_the_subject_is_checked_where_it_is_named(place: Site) -> None:
    place.write(entry(trust='subject = "client-1"\n'))
    web = create_app(place.settings).test_client()
    assert call(web, changed(sub="client-1")).status_code == 200
    assert call(web, changed(sub="client-2")).status_code == 401
    assert call(web, changed()).status_code == 401


def test_an_audience_of_its_own(place: Site) -> None:
    place.write(entry(trust='audience = "https://inside.example.org/rls"\n'))
    web = create_app(place.settings).test_client()
    own = "https://inside.example.org/rls/cds-services/rls-iron-assessment"
    assert call(web, changed(aud=own)).status_code == 200
    assert call(web, changed()).status_code == 401


@pytest.mark.parametrize(("seconds", "status"), [(900, 200), (901, 401)])
def test_a_client_may_have_longer_tokens(place: Site, seconds: int, status: int) -> None:
    place.write(entry(trust="lifetime_s = 900\n"))
    now = int(NOW())
    web = create_app(place.settings).test_client()
    assert call(web, changed(iat=now, exp=now + seconds)).status_code == status


def test_nothing_of_the_body_is_read_before_the_caller_is_known(web: FlaskClient) -> None:
    response = web.post(SERVICE, data=b"not json", headers={"Content-Type": "text/plain"})
    assert response.status_code == 401


# ------------------------------------------------------------------------------------------------ once
def test_a_token_is_good_once(web: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    token = sign()
    assert [call(web, token).status_code for _ in range(3)] == [200, 401, 401]
    assert refusals(caplog) == ["used before"] * 2


def test_a_used_token_survives_the_process(place: Site) -> None:
    token = sign()
    assert call(create_app(place.settings).test_client(), token).status_code == 200
    assert call(create_app(place.settings).test_client(), token).status_code == 401


def test_without_its_store_nobody_gets_in(place: Site, caplog: pytest.LogCaptureFixture) -> None:
    web = create_app(place.settings).test_client()
    (place.folder / "store.db").unlink()
    response = call(web, sign())
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.get_json()["issue"][0]["code"] == "transient"
    assert str(place.folder) not in caplog.text


def test_the_store_of_the_tests_is_current(place: Site) -> None:
    assert is_current(engine_of(place.store))


# --------------------------------------------------------------------------------------- clients differ
TWO = entry("north", more='origins = ["https://north.example.org"]\n') + entry(
    "south",
    issuer="https://south.example.org",
    more='silent = true\norigins = ["https://south.example.org"]\n',
)


@pytest.fixture
def two(tmp_path: Path) -> FlaskClient:
    return create_app(site(tmp_path, TWO).settings).test_client()


def test_a_silent_client_gets_no_cards_and_the_rules_are_counted(
    two: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    loud = {"Authorization": f"Bearer {sign()}"}
    assert len(two.post(SERVICE, json=BODY, headers=loud).get_json()["cards"]) == 1
    caplog.clear()
    quiet = {"Authorization": f"Bearer {changed(iss='https://south.example.org')}"}
    assert two.post(SERVICE, json=BODY, headers=quiet).get_json() == {"cards": []}
    (line,) = [record.fields for record in caplog.records if record.getMessage() == "call"]  # type: ignore[attr-defined] # the service's own
    assert (line["cards"], line["client"]) == (["IRON-01"], "south")


def allowed(response: TestResponse) -> str | None:
    return response.headers.get("Access-Control-Allow-Origin")


def test_a_page_may_read_the_answers_of_its_own_client_alone(two: FlaskClient) -> None:
    north, south = "https://north.example.org", "https://south.example.org"
    preflights = [two.options(SERVICE, headers={"Origin": origin}) for origin in (north, south)]
    assert [allowed(response) for response in preflights] == [north, south]
    assert allowed(call(two, sign(), Origin=north)) == north
    assert allowed(call(two, sign(), Origin=south)) is None
    assert allowed(call(two, changed(iss=south), Origin=south)) == south
    assert allowed(call(two, None, Origin=south)) == south


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.org",
        "null",
        "https://north.example.org.evil.org",
        "http://north.example.org",
        "",
    ],
)
def test_other_pages_may_not(two: FlaskClient, origin: str) -> None:
    response = two.options(SERVICE, headers={"Origin": origin})
    assert allowed(response) is None
    assert "Access-Control-Allow-Methods" not in response.headers
    assert response.headers["Vary"] == "Origin"


def test_tenants_of_one_issuer_are_told_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = entry("one", trust='tenant = "t1"\n') + entry("two", trust='tenant = "t2"\n')
    web = create_app(site(tmp_path, text).settings).test_client()
    assert call(web, changed(tenant="t1", jti="same")).status_code == 200
    assert call(web, changed(tenant="t2", jti="same")).status_code == 200
    assert call(web, changed(tenant="t3")).status_code == 401
    assert call(web, changed()).status_code == 401
    names = [r.fields["client"] for r in caplog.records if r.getMessage() == "call"]  # type: ignore[attr-defined] # the service's own
    assert names == ["one", "two", "", ""]


# ------------------------------------------------------------------------------------------ hot reload
def rewrite(path: Path, text: str) -> None:
    """Write a file so that its time of change differs, whatever the clock of the file system."""
    path.write_text(text, encoding="utf-8")
    later = path.stat().st_mtime_ns + 5_000_000_000
    os.utime(path, ns=(later, later))


def test_changed_files_are_read_again(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_service.live.CHECK_EVERY", 0.0)
    web = create_app(place.settings).test_client()
    assert call(web, sign()).status_code == 200
    rewrite(place.folder / "keys.json", key_set(public_jwk("new")))
    assert call(web, sign()).status_code == 401
    assert call(web, sign(headers={"kid": "new"}, key=private_key("new"))).status_code == 200
    rewrite(place.clients, entry(issuer="https://other.example.org"))
    assert call(web, changed(iss="https://other.example.org", kid="new")).status_code == 401
    token = sign(claims_of(iss="https://other.example.org"), headers={"kid": "new"}, key=private_key("new"))
    assert call(web, token).status_code == 200


@pytest.mark.parametrize(
    "text", ["[[clients", "", '[[clients]]\nname = "open"\n', "x = " + "[" * 50_000 + "]" * 50_000]
)
def test_a_wrong_file_changes_nothing(
    place: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("cds_service.live.CHECK_EVERY", 0.0)
    web = create_app(place.settings).test_client()
    rewrite(place.clients, text)
    assert call(web, sign()).status_code == 200
    assert call(web).status_code == 401
    told = [record for record in caplog.records if record.getMessage().startswith("clients file refused")]
    assert len(told) == 1


def test_a_file_that_breaks_its_reader_changes_nothing(
    place: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds_service.live.CHECK_EVERY", 0.0)
    web = create_app(place.settings).test_client()

    def broken(_settings: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cds_service.live.load_clients", broken)
    rewrite(place.clients, entry())
    assert [call(web, sign()).status_code for _ in range(3)] == [200] * 3
    (told,) = (record for record in caplog.records if record.getMessage().startswith("clients file refused"))
    assert told.fields["fault"] == "RLS_CDS_CLIENTS: cannot be read (ZeroDivisionError)"  # type: ignore[attr-defined] # set by the service


def test_a_key_file_without_keys_stops_the_start(place: Site) -> None:
    (place.folder / "keys.json").write_text('{"keys": []}', encoding="utf-8")
    with pytest.raises(SettingsError, match="client north: trust: keys_file: no usable key"):
        create_app(place.settings)
