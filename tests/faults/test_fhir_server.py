"""The FHIR server of a call in every state that servers get into: an honest answer in time."""

import json
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cds_service.adapters import egress, fhir_server
from tests.fakes.fhir_stub import FHIR_JSON, FhirStub, Reply, Seen, fhir_stub, outcome, reply
from tests.http.test_completion import TOKEN, authorization, client, is_iron, load_fixture, post
from tests.serving import free_port

# Far above what searches take; a fault that lasts gets a budget that a test can wait for.
AMPLE_MS, BUDGET_MS = 10_000, 2000
# What a busy machine takes beside the budget.
LATE_SECONDS = 2.0
# Ferritin 28 ng/mL, and sertraline.
WHOLE = ["IRON03", "DRUG01"]
# Required data is missing, and restless legs are on record.
DATA = ["DATA01"]
PATIENT = "readme-patient"
# What stands in the record and may not stand in a log.
RECORD = ("example-001", TOKEN, "ferritin", "Ferritin", "G25.81", "1964-05-17")


def topics(response: Any) -> list[str]:
    assert response.status_code == 200
    return [card["source"]["topic"]["code"] for card in response.json["cards"]]


@dataclass(frozen=True)
class Case:
    """The server of one patient, and how the service takes it when it fails."""

    stub: FhirStub
    caplog: pytest.LogCaptureFixture
    capfd: pytest.CaptureFixture[str]

    def ask(self, budget_ms: int = AMPLE_MS) -> Any:
        """Return the answer to a call for the patient, which came in time and left nothing in the logs."""
        request, _ = load_fixture(self.stub, PATIENT)
        started = time.monotonic()
        response = post(client(fhir_budget_ms=budget_ms), request, fhirAuthorization=authorization())
        assert time.monotonic() - started < budget_ms / 1000 + LATE_SECONDS
        told = self.capfd.readouterr()
        logged = "".join(str(record.__dict__) for record in self.caplog.records if record.name != "test")
        for text in (logged, told.out, told.err):
            assert not [word for word in RECORD if word in text]
        return response

    def check(self, fault: Reply, budget_ms: int = AMPLE_MS) -> None:
        """Let every request fail, then the iron results alone, then none."""
        self.stub.behaviour = lambda _seen: fault
        answer = self.ask(budget_ms)
        assert answer.status_code == 412
        assert answer.json["resourceType"] == "OperationOutcome"
        self.check_iron(lambda _seen: fault, DATA, budget_ms)

    def check_iron(self, fault: Callable[[Seen], Reply], cards: list[str], budget_ms: int = AMPLE_MS) -> None:
        """Let the search for iron results fail, where these cards are due, and then no longer."""
        self.stub.behaviour = lambda seen: fault(seen) if is_iron(seen) else None
        assert topics(self.ask(budget_ms)) == cards
        self.recover()

    def recover(self) -> None:
        """Let nothing fail any longer: the same call gets all its cards."""
        self.stub.behaviour = lambda _seen: None
        assert topics(self.ask()) == WHOLE


@pytest.fixture
def case(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    caplog.set_level(logging.DEBUG)
    with fhir_stub() as stub:
        yield Case(stub, caplog, capfd)


def test_down(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    case = Case(FhirStub(base=f"http://127.0.0.1:{port}/fhir"), caplog, capfd)
    assert case.ask().status_code == 412
    with fhir_stub(port=port) as stub:
        Case(stub, caplog, capfd).recover()


def test_no_name_service(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.stub.base = case.stub.base.replace("127.0.0.1", "localhost")

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise socket.gaierror

    with monkeypatch.context() as patched:
        patched.setattr(egress.socket, "getaddrinfo", fail)
        assert case.ask().status_code == 412
    case.recover()


def test_slow_head(case: Case) -> None:
    case.check(Reply(head_drip=0.2), BUDGET_MS)


def test_dripped_body(case: Case) -> None:
    case.check(Reply(body=b" " * 1000 + b"{}", drip=0.2), BUDGET_MS)


def test_reset(case: Case) -> None:
    case.check(Reply(is_reset=True))


def test_hang_up_in_the_body(case: Case) -> None:
    case.check(Reply(body=b'{"resourceType": "Bundle", "type": "searchset"}', is_hung_up=True))


def test_half_json(case: Case) -> None:
    case.check(Reply(body=b'{"resourceType": "Bundle", "type": "search'))


def test_html_with_200(case: Case) -> None:
    case.check(Reply(body=b"<html>Please log in</html>", content_type="text/html"))


def test_html_that_calls_itself_fhir(case: Case) -> None:
    case.check(Reply(body=b"<html>Please log in</html>", content_type=FHIR_JSON))


def test_wrong_content_type(case: Case) -> None:
    case.check(Reply(body=b'{"resourceType": "Bundle", "type": "searchset"}', content_type="text/plain"))


def test_empty_body(case: Case) -> None:
    case.check(Reply(body=b""))


def test_another_resource(case: Case) -> None:
    case.check(reply({"resourceType": "Basic", "id": "b1"}))


def test_status_401(case: Case) -> None:
    case.check(outcome(401))


def test_status_403(case: Case) -> None:
    case.check(outcome(403))


def test_status_429(case: Case) -> None:
    case.check(outcome(429, Retry_After="60"))


def test_status_500(case: Case) -> None:
    case.check(outcome(500))


def test_status_503(case: Case) -> None:
    case.check(outcome(503, Retry_After="1"))


def test_a_moment_to_come_again_that_is_none(case: Case) -> None:
    """A zone of twenty figures is beyond what can be reckoned with."""
    case.check(outcome(503, Retry_After="Mon, 01 Jan 2024 00:00:00 +99999999999999999999"))


def test_a_length_of_five_thousand_figures(case: Case) -> None:
    """Beyond what is read as a number."""
    case.check(Reply(headers={"Content-Length": "9" * 5000}, has_length=False))


def test_what_breaks_the_reader(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server's answer raises that nobody thought of."""

    def broken(_body: bytes) -> tuple[str | None, int]:
        raise ZeroDivisionError(RECORD[0])

    monkeypatch.setattr(fhir_server, "read_page", broken)
    assert case.ask().status_code == 412
    assert "search broke off" in [record.getMessage() for record in case.caplog.records]


def test_redirect(case: Case) -> None:
    case.check(Reply(302, headers={"Location": f"{case.stub.base}/Observation"}))


def test_next_page_that_is_the_same_page(case: Case) -> None:
    """What was read stands; that the list has no end is no failure of the newest results."""

    def loop(seen: Seen) -> Reply:
        page = case.stub.page("Observation", seen.parameters)
        return reply({**page, "link": [{"relation": "next", "url": f"{case.stub.base}{seen.target[5:]}"}]})

    case.check_iron(loop, WHOLE)


def of_another(case: Case, seen: Seen) -> Reply:
    text = json.dumps(case.stub.page("Observation", seen.parameters))
    return Reply(body=text.replace("Patient/example-001", "Patient/somebody-else").encode())


def test_results_of_another_patient(case: Case) -> None:
    case.check_iron(lambda seen: of_another(case, seen), DATA)


def test_another_patient_in_the_place_of_the_patient(case: Case) -> None:
    case.stub.behaviour = lambda seen: (
        reply(
            {"resourceType": "Patient", "id": "somebody-else", "birthDate": "1950-01-01", "gender": "female"}
        )
        if seen.path.startswith("Patient")
        else None
    )
    assert topics(case.ask()) == DATA
    case.recover()


def test_fifty_thousand_entries(case: Case) -> None:
    """Where the search by code has no ferritin, the list of the newest laboratory results has it."""
    coded = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": coded}] * 50_000}
    answer = reply(bundle)
    case.check_iron(lambda _seen: answer, WHOLE)
    case.stub.behaviour = lambda _seen: answer
    assert case.ask().status_code == 412
