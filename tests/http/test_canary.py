"""Marks in every text that comes in, through every route, good and bad: they come out on cards alone.

What may hold a mark besides: the audit log (patient, user and hook instance, and the queries that name the
patient), and a suggested order, which refers to the patient and the diagnosis by their ids.
"""

import base64
import copy
import io
import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds_service.adapters.audit_log import chains
from cds_service.adapters.traces import OtlpTracer
from cds_service.addresses import parse_address
from cds_service.app import create_app
from cds_service.web.logs import LOGGER, JsonLines
from tests.builders import SERVICE, TODAY, RecordBuilder, hook_request, patient, prefetch
from tests.fakes.collector import Collector, collecting
from tests.fakes.fhir_stub import FhirStub, Reply, Seen, fhir_stub, outcome
from tests.tokens import DISCOVERY_AUDIENCE, SERVICE_AUDIENCE, claims_of, entry, sign, site

MARK = "Zq9CANARYx"
PATIENT = f"{MARK}-patient"
USER = f"{MARK}-user"
HOOK_INSTANCE = f"{MARK}-instance"
PERMITTED_IN_AUDIT = (PATIENT, USER, HOOK_INSTANCE)
FEEDBACK = f"{SERVICE}/feedback"
RECORD = [
    {"diagnosis": {"text": "Restless legs syndrome"}},  # known by its words, which then stand on the card
    {"ferritin": 20},
    {"takes": {"drug": "sertraline"}},
    {"diagnosis": {"code": "I10"}},
]
HEADERS = ("Origin", "Cookie", "User-Agent", "X-Request-Id", "Referer", "traceparent", "X-Forwarded-For")
# These decide what a resource is; the second sweep changes them too, one by one.
STRUCTURE = frozenset(
    {
        "resourceType",
        "system",
        "code",
        "status",
        "unit",
        "reference",
        "type",
        "relation",
        "url",
        "id",
        "gender",
        "intent",
    }
)
Json = dict[str, Any]


def renamed(value: Any) -> Any:
    """Return a record that is the marked patient's."""
    return json.loads(json.dumps(value).replace("scenario-patient", PATIENT))


def marked(value: Any, name: str = "") -> Any:
    """Return a resource with marks in every text that decides nothing, and in members that nobody knows."""
    if isinstance(value, dict):
        made = {key: marked(member, key) for key, member in value.items()}
        if "resourceType" in made:
            made |= {
                f"{MARK}-member": MARK,
                "text": {"status": "generated", "div": f"<div>{MARK}-div</div>"},
                "note": [{"text": f"{MARK}-note"}],
                "identifier": [{"system": f"urn:{MARK}", "value": f"{MARK}-identifier"}],
            }
        return made
    if isinstance(value, list):
        return [marked(one, name) for one in value]
    if name in {"text", "display"}:
        return f"{value} {MARK}-{name}"
    is_free = isinstance(value, str) and name not in STRUCTURE and not value[:4].isdigit()
    return f"{MARK}-{name}" if is_free else value


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every text in a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, member in parts:
            yield from texts(member, (*path, key))


def changed(value: Any, path: tuple[Any, ...], to: Any) -> Any:
    """Return a JSON value with one place changed."""
    made = copy.deepcopy(value)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return made


class Everything:
    """Where a mark may come out: every line that is logged, by anybody, with all that it carries."""

    def __init__(self) -> None:
        self.lines = io.StringIO()
        plain = logging.Formatter("%(name)s %(levelname)s %(message)s %(pathname)s %(args)s %(exc_text)s")
        self.handlers = [logging.StreamHandler(self.lines), logging.StreamHandler(self.lines)]
        self.handlers[0].setFormatter(plain)
        self.handlers[1].setFormatter(JsonLines())
        self.loggers: dict[str, int] = {}

    def open(self) -> None:
        """Let every logger there is write at DEBUG."""
        root = logging.getLogger()
        for name in ("", *logging.root.manager.loggerDict):
            logger = logging.getLogger(name) if name else root
            self.loggers.setdefault(name, logger.level)
            logger.setLevel(logging.DEBUG)
        for handler in self.handlers:
            if handler not in root.handlers:
                root.addHandler(handler)

    def close(self) -> str:
        """Return all lines, with every logger as it was."""
        for name, level in self.loggers.items():
            logging.getLogger(name or None).setLevel(level)
        for handler in self.handlers:
            logging.getLogger().removeHandler(handler)
        return self.lines.getvalue()


class Site:
    """A service as a hospital runs it, and what was answered."""

    def __init__(self, folder: Path, stub: FhirStub, collector: Collector) -> None:
        (folder / "audit").mkdir()
        servers = f'[clients.fhir]\nservers = ["{stub.base}"]\nbudget_ms = 20000\n'
        made = site(folder, entry(trust=servers, more="rate_limit = 1000000\n"))
        settings = made.settings.model_copy(
            update={"audit": folder / "audit", "metrics": True, "as_of": TODAY}
        )
        self.folder = folder
        address = parse_address(collector.address)
        assert address is not None
        self.collector, self.tracer = collector, OtlpTracer(address, "1")
        self.web: FlaskClient = create_app(settings, tracer=self.tracer).test_client()
        self.statuses: set[int] = set()
        self.cards_with_marks = 0

    def ask(self, method: str, path: str, *, token: str | None = None, **request: Any) -> TestResponse:
        headers = dict(request.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        response = self.web.open(path, method=method, headers=headers, **request)
        self.statuses.add(response.status_code)
        self.check(response)
        return response

    def call(self, body: Any, path: str = SERVICE, **request: Any) -> TestResponse:
        return self.ask("POST", path, token=sign(claims_of(sub=MARK, **{MARK: MARK})), json=body, **request)

    def check(self, response: TestResponse) -> None:
        """Check everything of an answer but the words of cards."""
        assert MARK not in str(response.headers)
        body = response.get_json() if response.is_json else None
        if not isinstance(body, dict) or not isinstance(body.get("cards"), list):
            assert MARK not in response.text
            return
        for card in body["cards"]:
            words = card.pop("summary") + card.pop("detail")
            self.cards_with_marks += MARK in words
            for suggestion in card.get("suggestions", ()):
                for action in suggestion["actions"]:
                    order = action["resource"]
                    assert order.pop("subject") == {"reference": f"Patient/{PATIENT}"}
                    for reason in order.pop("reasonReference", ()):
                        assert re.fullmatch(rf"Condition/(r1|{MARK}-id)", reason["reference"])
        assert MARK not in json.dumps(body)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, FhirStub]]:
    """The site and its FHIR server; whatever writes temporary files writes them into `tmp`."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with fhir_stub() as stub, collecting() as collector:
        yield Site(tmp_path / "site", stub, collector), stub


def request_of(stub: FhirStub, prefetched: Any, **members: Any) -> Json:
    granted = {
        "access_token": f"{MARK}-access",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": f"{MARK}-scope",
        "subject": f"{MARK}-subject",
        "patient": PATIENT,
    }
    body = hook_request(prefetched, fhirServer=stub.base, fhirAuthorization=granted, **members)
    body["hookInstance"] = HOOK_INSTANCE
    body["context"] = {"patientId": PATIENT, "userId": f"Practitioner/{USER}", "encounterId": f"{MARK}-e"}
    extension = {MARK: MARK, "com.epic.cdshooks.request.fhir-version": "R4"}
    return {**body, "extension": extension, MARK: {MARK: MARK}}


# ------------------------------------------------------------------------------------------ what is asked
def by_prefetch(at: Site, stub: FhirStub) -> None:
    whole = marked(renamed(prefetch(RECORD)))
    body = request_of(stub, {**whole, f"{MARK}-key": {"resourceType": MARK}})
    assert len(at.call(body).get_json()["cards"]) == 2
    for path in texts(body):
        at.call(changed(body, path, f"{MARK}-{path[-1]}"))


def by_search(at: Site, stub: FhirStub) -> None:
    builder = RecordBuilder(PATIENT)
    for fact in RECORD:
        builder.add(fact)
    stub.resources = [marked(one) for found in builder.found.values() for one in found]
    stub.resources.append(marked(patient(patient_id=PATIENT)))
    body = request_of(stub, None)
    assert len(at.call(body).get_json()["cards"]) == 2
    bad: list[Callable[[Seen], Reply]] = [
        lambda _seen: Reply(302, headers={"Location": f"http://{MARK}.example.org/{MARK}"}),
        lambda _seen: Reply(200, f"<html>{MARK}</html>".encode(), content_type=f"text/{MARK}"),
        lambda _seen: Reply(200, f'{{"resourceType": "{MARK}"'.encode()),
        lambda _seen: Reply(401, f'{{"{MARK}": 1}}'.encode(), {"WWW-Authenticate": MARK}),
        lambda _seen: Reply(503, MARK.encode(), {"Retry-After": MARK}),
        lambda _seen: Reply(is_hung_up=True),
        lambda _seen: outcome(404, **{f"X-{MARK}": MARK}),
        lambda seen: _page_elsewhere(seen, stub),
    ]
    for behave in bad:
        stub.behaviour = behave
        at.call(body)
    stub.behaviour = lambda _seen: None


def _page_elsewhere(_seen: Seen, stub: FhirStub) -> Reply:
    links = [{"relation": "next", "url": f"https://{MARK}.example.org/{MARK}?{MARK}={MARK}"}]
    page = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": []}
    return Reply(body=json.dumps(page | {"id": f"{MARK}-{len(stub.seen)}"}).encode())


def by_feedback(at: Site, _stub: FhirStub) -> None:
    coded = {"code": f"{MARK}-code", "system": f"{MARK}-system", "display": f"{MARK}-display"}
    told = {
        "card": f"{MARK}-card",
        "outcome": "overridden",
        "outcomeTimestamp": "2026-11-22T08:33:16.416Z",
        "overrideReason": {"reason": coded, "userComment": f"{MARK}-comment"},
        MARK: MARK,
    }
    body = {"feedback": [told, {**told, "outcome": "accepted", "acceptedSuggestions": [{"id": f"{MARK}-s"}]}]}
    assert at.call(body, FEEDBACK).status_code == 200
    for path in texts(body):
        at.call(changed(body, path, f"{MARK}-{path[-1]}"), FEEDBACK)


def by_address_and_header(at: Site, _stub: FhirStub) -> None:
    query = f"?{MARK}={MARK}"
    headers = {name: f"{MARK}-{name}" for name in HEADERS}
    paths = ["/", "/healthz", "/readyz", "/version", "/metrics", "/basis", f"/basis/{MARK}", f"/{MARK}"]
    for path in (*paths, "/cds-services", f"/cds-services/{MARK}", SERVICE, FEEDBACK):
        for method in ("GET", "POST", "OPTIONS", "PUT", MARK):
            at.ask(method, path + query, headers=headers)
    token = sign(claims_of(aud=DISCOVERY_AUDIENCE))
    assert at.ask("GET", f"/cds-services{query}", token=token).status_code == 200
    sent = json.dumps({MARK: MARK}).encode()
    for kind in (f"text/{MARK}", f"application/json; charset={MARK}", f"{MARK}", ""):
        at.ask("POST", SERVICE, token=sign(), data=sent, content_type=kind)
    coded = {"Content-Encoding": MARK}
    at.ask("POST", SERVICE, token=sign(), data=sent, content_type="application/json", headers=coded)
    large, deep, undecodable = b" " * 11_000_000 + sent, b"[" * 100 + sent, MARK.encode() + b"\xff"
    for broken in (sent[:-1], sent + sent, undecodable, deep, large):
        at.ask("POST", SERVICE, token=sign(), data=broken, content_type="application/json")


def by_token(at: Site, stub: FhirStub) -> None:
    body = request_of(stub, {})
    claims = ("iss", "aud", "exp", "iat", "jti", "tenant")
    tokens = [sign(claims_of(**{name: f"{MARK}-{name}"})) for name in claims]
    tokens += [sign(headers={name: f"{MARK}-{name}"}) for name in ("kid", "typ", "jku", "x5u", MARK)]
    replayed = sign(claims_of(jti=f"{MARK}-once", aud=SERVICE_AUDIENCE))
    tokens += [replayed, replayed, f"{MARK}.{MARK}.{MARK}", MARK, f"{sign()}{MARK}"]
    for token in tokens:
        at.ask("POST", SERVICE, token=token, json=body)
    at.ask("POST", SERVICE, json=body, headers={"Authorization": f"Basic {MARK}"})


def by_fault(at: Site, stub: FhirStub) -> None:
    with pytest.MonkeyPatch.context() as patched:

        def fail(*_args: object, **_kwargs: object) -> Any:
            raise ValueError(f"{MARK}-exception")

        for stage in ("cds_service.assess.evaluate", "cds_service.web.service.to_json"):
            patched.setattr(stage, fail)
            assert at.call(request_of(stub, marked(renamed(prefetch(RECORD))))).status_code == 500
            patched.undo()


# ------------------------------------------------------------------------------------------ what comes out
def check_audit(folder: Path) -> None:
    """Check that events hold marks only where they name patient, user, call and query."""
    events = [
        json.loads(line)
        for paths in chains(folder).values()
        for path in paths
        for line in path.read_text(encoding="ascii").splitlines()
    ]
    assert len(events) > 100
    queries = 0
    for line in events:
        for part in line["event"].get("entity", ()):
            asked = base64.b64decode(part.pop("query", "")).decode()
            queries += bool(asked)
            assert MARK not in asked.replace(PATIENT, "")
        left = json.dumps(line)
        for text in PERMITTED_IN_AUDIT:
            left = left.replace(text, "")
        assert _without_replaced(left).count(MARK) == 0
    assert queries > 20


def _without_replaced(text: str) -> str:
    """Return an event without the marks that the sweep put in the place of patient, user and instance."""
    for name in ("patientId", "userId", "hookInstance"):
        text = text.replace(f"{MARK}-{name}", "")
    return text


def files_with_marks(folder: Path) -> Mapping[str, int]:
    return {
        str(path.relative_to(folder)): path.read_bytes().count(MARK.encode())
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "audit" and MARK.encode() in path.read_bytes()
    }


def test_no_mark_comes_out_where_it_must_not(
    place: tuple[Site, FhirStub], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    at, stub = place
    everything = Everything()
    propagates, LOGGER.propagate = LOGGER.propagate, True
    try:
        for turn in (by_search, by_prefetch, by_feedback, by_address_and_header, by_token, by_fault):
            # Libraries that were loaded by the turn before have loggers of their own.
            everything.open()
            turn(at, stub)
        page = at.ask("GET", "/metrics").text
    finally:
        LOGGER.propagate = propagates
        lines = everything.close()
    # The sweep went through every kind of answer, marks reached cards, and the log was listening.
    assert {200, 204, 400, 401, 404, 405, 412, 413, 415, 500} <= at.statuses
    assert at.cards_with_marks > 20
    assert lines.count("cds_service INFO call") > 300
    assert "rls_cds_calls_total" in page
    assert MARK not in lines
    assert MARK not in page
    written = capfd.readouterr()
    assert MARK not in written.out + written.err
    assert files_with_marks(tmp_path) == {}
    assert list((tmp_path / "tmp").iterdir()) == []
    check_audit(at.folder / "audit")
    at.tracer.flush()
    assert len(at.collector.spans()) > 300
    assert MARK.encode() not in b"".join(at.collector.bodies)
