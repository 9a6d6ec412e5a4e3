"""The hook over HTTP: what is passed on, what comes back, and every way in which a call fails."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_service.assess import Answer, RequiredDataMissing
from cds_service.clinical.facts import DataIssue, IssueKind
from tests.http.conftest import ANSWER, ASSESSMENT, FACTS, Web
from tests.http.requests import (
    CANARY,
    FEEDBACK,
    SERVICE,
    call_body,
    check_headers,
    holds_nothing_empty,
    outcome,
    sandbox_request,
)

JSON = "application/json"


def post(web: Web, body: object, path: str = SERVICE, **kwargs: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.client.post(path, data=data, **{"content_type": JSON, **kwargs})


@pytest.mark.parametrize("path", [SERVICE, "/cds-services//rls-iron-assessment", f"{SERVICE}/"])
def test_a_call_is_answered_directly_with_cards(web: Web, path: str) -> None:
    response = post(web, call_body(), path)
    assert response.status_code == 200
    assert response.mimetype == JSON
    check_headers(response)
    body = json.loads(response.data)
    assert list(body) == ["cards"]
    assert body["cards"][0]["summary"] == ANSWER.cards[0].summary
    assert holds_nothing_empty(body)


def test_the_use_case_gets_what_was_sent(web: Web) -> None:
    extension = {"com.epic.cdshooks.request.fhir-version": "R4"}
    post(web, call_body(fhirServer="https://ehr.example.org/fhir", extension=extension))
    (call,) = web.assess.calls
    assert (call.service_id, call.client) == ("rls-iron-assessment", None)
    assert (call.patient_id, call.hook_instance) == ("p1", call_body()["hookInstance"])
    assert (call.fhir_server, call.version_hint) == ("https://ehr.example.org/fhir", "R4")
    assert json.loads(bytes(call.prefetch or b"")) == call_body()["prefetch"]


def test_nothing_to_say_is_an_empty_list(web: Web) -> None:
    web.assess.answer = Answer((), ASSESSMENT, FACTS)
    assert post(web, call_body()).data == b'{"cards":[]}'


def test_the_same_call_twice_is_answered_alike(web: Web) -> None:
    assert post(web, call_body()).data == post(web, call_body()).data


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json;charset=utf-8",
        'application/json; charset="UTF-8"',
        "Application/JSON",
        "application/fhir+json",
        "application/json+fhir",
        "application/vnd.hl7.cds+json; charset=us-ascii",
    ],
)
def test_json_by_any_of_its_names_is_taken(web: Web, content_type: str) -> None:
    assert post(web, call_body(), content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/html",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "image/svg+json",
        "\x00",
    ],
)
@pytest.mark.parametrize("path", [SERVICE, FEEDBACK])
def test_other_content_is_refused(web: Web, path: str, content_type: str | None) -> None:
    (issue,) = outcome(post(web, call_body(), path, content_type=content_type), 415)
    assert issue["code"] == "not-supported"
    assert not web.assess.calls


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_compressed_content_is_refused(web: Web, encoding: str) -> None:
    outcome(post(web, call_body(), headers={"Content-Encoding": encoding}), 415)


def test_identity_is_no_compression(web: Web) -> None:
    assert post(web, call_body(), headers={"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"hook": NaN}',
        call_body(hook="order-sign"),
        call_body(hook=...),
        call_body(hookInstance=""),
        call_body(context=...),
        call_body(context={"userId": "Practitioner/u1"}),
        call_body(context={"patientId": "p1"}),
        call_body(prefetch=[]),
        call_body(fhirAuthorization={"access_token": CANARY, "token_type": "Bearer"}),
        call_body(
            fhirServer="https://ehr.example.org",
            fhirAuthorization={"access_token": CANARY, "token_type": CANARY},
        ),
    ],
)
def test_a_call_against_the_rules_is_400(web: Web, body: object) -> None:
    outcome(post(web, body), 400)
    assert not web.assess.calls


def test_missing_data_is_412_and_named(make_web: Callable[..., Web]) -> None:
    missing = RequiredDataMissing(("patient", "iron results"), Answer((), ASSESSMENT, FACTS))
    issues = outcome(post(make_web(error=missing), call_body()), 412)
    assert [issue["diagnostics"] for issue in issues] == [
        "Not available from prefetch or the FHIR server: patient.",
        "Not available from prefetch or the FHIR server: iron results.",
    ]


def test_what_stood_in_the_way_of_reading_is_told_without_values(make_web: Callable[..., Web]) -> None:
    issues = (
        DataIssue(IssueKind.UNKNOWN_VERSION, "Observation", CANARY),
        DataIssue(IssueKind.SEARCH_FAILED, CANARY, CANARY),
        DataIssue(IssueKind.CLEANED, "Observation", CANARY),
    )
    missing = RequiredDataMissing(("patient",), Answer((), ASSESSMENT, replace(FACTS, issues=issues)))
    told = outcome(post(make_web(error=missing), call_body()), 412)
    assert [(issue["severity"], issue["code"], issue["diagnostics"]) for issue in told[1:]] == [
        ("warning", "not-supported", "Observation: FHIR version not read (FHIR R4 is read)."),
        ("warning", "incomplete", "Prefetch: search failed."),
    ]


def test_missing_data_without_a_name_is_still_an_issue(make_web: Callable[..., Web]) -> None:
    outcome(post(make_web(error=RequiredDataMissing((), Answer((), ASSESSMENT, FACTS))), call_body()), 412)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Everything that was logged, by anybody, with all fields."""
    logger = logging.getLogger("cds_service")
    before = logger.propagate
    logger.propagate = True
    caplog.set_level(logging.DEBUG)
    yield lambda: "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    logger.propagate = before


@pytest.mark.parametrize(
    "error", [ValueError(CANARY), RecursionError(CANARY), KeyError(CANARY), MemoryError(CANARY)]
)
def test_a_fault_is_500_with_an_incident_and_no_values(
    make_web: Callable[..., Web],
    logged: Callable[[], str],
    error: Exception,
) -> None:
    (issue,) = outcome(post(make_web(error=error), call_body()), 500)
    assert issue["code"] == "exception"
    incident = re.search(r"Incident ([0-9a-f-]{36})\.", issue["diagnostics"])
    assert incident is not None
    lines = logged()
    assert incident[1] in lines
    assert type(error).__name__ in lines
    assert "conftest.py:" in lines
    assert CANARY not in lines


def test_a_fault_of_the_answer_is_500_too(web: Web) -> None:
    web.assess.answer = Answer((ANSWER.cards[0], ANSWER.cards[0]), ASSESSMENT, FACTS)
    outcome(post(web, call_body()), 500)


def test_the_log_line_holds_allowed_fields_and_nothing_of_the_record(
    web: Web, logged: Callable[[], str]
) -> None:
    body = call_body(
        hookInstance=CANARY,
        context={"patientId": CANARY, "userId": CANARY, "encounterId": CANARY},
        prefetch={CANARY: {"resourceType": CANARY}},
    )
    assert post(web, body, f"{SERVICE}?{CANARY}=1", headers={"Authorization": CANARY}).status_code == 200
    assert web.client.open(f"/{CANARY}", method="BREW").status_code == 404
    lines = logged()
    assert CANARY not in lines
    assert "'cards': ['IRON-03']" in lines
    assert "'issues': ['cleaned up']" in lines
    assert "'route': '/cds-services/rls-iron-assessment'" in lines
    assert "'route': 'unknown'" in lines


def test_cards_are_counted(web: Web) -> None:
    post(web, call_body())
    assert web.metrics.value("card", service="rls-iron-assessment", card="IRON-03") == 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", SERVICE, {"POST", "OPTIONS"}),
        ("PUT", SERVICE, {"POST", "OPTIONS"}),
        ("GET", FEEDBACK, {"POST", "OPTIONS"}),
        ("POST", "/cds-services", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/cds-services/", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_405_with_the_right_ones(
    web: Web, method: str, path: str, allowed: set[str]
) -> None:
    response = web.client.open(path, method=method)
    (issue,) = outcome(response, 405)
    assert set(response.headers["Allow"].split(", ")) == allowed
    assert issue["code"] == "not-supported"


@pytest.mark.parametrize(
    "path", ["/nothing", "/cds-services/other", "/cds-services/other/feedback", "/cds-services///x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_an_unknown_address_is_404(web: Web, method: str, path: str) -> None:
    response = web.client.open(path, method=method)
    if method == "HEAD":
        assert response.status_code == 404
        check_headers(response)
    else:
        assert outcome(response, 404)[0]["code"] == "not-found"


@pytest.mark.parametrize(
    "path", ["/cds-services", "/cds-services/", SERVICE, FEEDBACK, "/cds-services//rls-iron-assessment"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_preflight_is_answered(web: Web, path: str, method: str) -> None:
    response = web.client.options(
        path,
        headers={
            "Origin": "https://sandbox.example.org",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert (response.status_code, response.data) == (204, b"")
    check_headers(response)
    assert "OPTIONS" in response.headers["Allow"]


def test_a_preflight_is_answered_everywhere_so_that_a_browser_sees_the_404(web: Web) -> None:
    response = web.client.options("/cds-services/other")
    assert response.status_code == 204
    assert "Allow" not in response.headers
    check_headers(response)


@pytest.mark.parametrize("path", [SERVICE, FEEDBACK])
def test_a_body_beyond_the_limit_is_413(make_web: Callable[..., Web], path: str) -> None:
    web = make_web(max_body=2048)
    (issue,) = outcome(post(web, b" " * 2049, path), 413)
    assert issue["code"] == "too-long"
    assert "2048" in issue["diagnostics"]
    assert not web.assess.calls


def padded(size: int) -> bytes:
    body = json.dumps(call_body()).encode()
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(("size", "status"), [(2047, 200), (2048, 200), (2049, 413), (200_000, 413)])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_the_limit_holds_with_and_without_a_length(
    make_web: Callable[..., Web],
    size: int,
    status: int,
    *,
    is_chunked: bool,
) -> None:
    web, body = make_web(max_body=2048), padded(size)
    if is_chunked:
        response = web.client.post(
            SERVICE,
            input_stream=BytesIO(body),
            content_type=JSON,
            environ_overrides={"wsgi.input_terminated": True},
            headers={"Transfer-Encoding": "chunked"},
        )
    else:
        response = post(web, body)
    assert response.status_code == status


class BrokenStream(BytesIO):
    """A body that ends in a fault of the connection."""

    def __init__(self, error: Exception) -> None:
        """Keep what reading raises."""
        super().__init__()
        self.error = error

    def read(self, *_size: Any) -> bytes:
        """Raise."""
        raise self.error

    readinto = read  # type: ignore[assignment]  # both names of one method


@pytest.mark.parametrize("error", [OSError(CANARY), RuntimeError(CANARY)])
def test_a_body_that_breaks_off_is_400(web: Web, error: Exception) -> None:
    response = web.client.post(
        SERVICE,
        input_stream=BrokenStream(error),
        content_type=JSON,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert outcome(response, 400)[0]["code"] == "structure"
    assert not web.assess.calls


SENT_BY_THE_SANDBOX = [
    "dstu2",
    "empty",
    "searches-missing",
    "searches-failed",
    "no-prefetch",
    "r4",
]


@pytest.mark.parametrize("name", SENT_BY_THE_SANDBOX)
def test_what_the_sandbox_sends_reaches_the_use_case(web: Web, name: str) -> None:
    body = sandbox_request(name)
    assert post(web, body).status_code == 200
    (call,) = web.assess.calls
    assert call.patient_id == "rls-1"
    assert (json.loads(bytes(call.prefetch)) if call.prefetch else None) == body.get("prefetch")


@pytest.mark.parametrize(
    "name",
    ["order-select-no-medication", "order-select-r4", "order-sign-dstu2", "order-sign-r4"],
)
def test_another_hook_of_the_sandbox_is_told_apart(web: Web, name: str) -> None:
    (issue,) = outcome(post(web, sandbox_request(name)), 400)
    assert "patient-view" in issue["diagnostics"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([SERVICE, FEEDBACK]))
def test_any_bytes_give_an_answer(web: Web, body: bytes, path: str) -> None:
    response = post(web, body, path)
    assert response.status_code in {200, 400}
    check_headers(response)
    json.loads(response.data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([*call_body(), "fhirServer", "fhirAuthorization", "extension", "feedback"]),
    st.sampled_from([SERVICE, FEEDBACK]),
)
def test_any_json_gives_an_answer(web: Web, value: object, member: str, path: str) -> None:
    for body in (value, call_body(**{member: value})):
        response = post(web, body, path)
        assert response.status_code in {200, 400}
        check_headers(response)
