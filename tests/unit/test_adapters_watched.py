"""What somebody sees who looks on while a FHIR server is asked."""

import pytest

from cds_service.adapters.watched import Exchange, Finished, WatchedSource, outcome_of
from cds_service.addresses import parse_address
from cds_service.ports import FhirAccess, Search
from tests.fakes.fhir_stub import FhirStub, Reply, fhir_stub, outcome

SEARCH = Search("conditions", "Condition", (("patient", "Zq7CANARYp"),))


def watched(stub: FhirStub) -> list[Exchange | Finished]:
    seen: list[Exchange | Finished] = []
    address = parse_address(stub.base)
    assert address is not None
    with WatchedSource(seen.append).open(FhirAccess(address), budget_seconds=5) as session:
        version = session.ask_version()
        session.fetch([SEARCH])
        version()
    return seen


def test_each_request_is_seen_under_the_key_of_its_query() -> None:
    with fhir_stub() as stub:
        seen = watched(stub)
    good = {"status": 200, "media_type": "application/fhir+json"}
    assert Exchange("conditions", "GET", **good) in seen
    assert Exchange("metadata", "GET", **good) in seen
    (finished,) = [one for one in seen if isinstance(one, Finished)]
    assert finished.key == "conditions"
    assert 0 < finished.seconds < 5


def test_an_error_is_seen_with_the_codes_of_its_outcome() -> None:
    with fhir_stub(
        behaviour=lambda seen: outcome(403, "fatal") if seen.path == "Condition" else None
    ) as stub:
        seen = watched(stub)
    assert Exchange("conditions", "GET", 403, "application/fhir+json", ("fatal processing",)) in seen
    assert "CANARY" not in repr(seen)


@pytest.mark.parametrize(
    ("answer", "media_type"),
    [
        (Reply(404, b"<html>", content_type="text/HTML; charset=utf-8"), "text/html"),
        (Reply(404, b"", content_type="Zq7 CANARY"), ""),
        (Reply(404, b"", content_type=None), ""),
        (Reply(404, b"{" * 200_000), "application/fhir+json"),
        (Reply(404, b"{}" * 50, is_hung_up=True), "application/fhir+json"),
    ],
)
def test_an_odd_error_is_seen_without_an_outcome(answer: Reply, media_type: str) -> None:
    with fhir_stub(behaviour=lambda seen: answer if seen.path == "Condition" else None) as stub:
        seen = watched(stub)
    assert Exchange("conditions", "GET", 404, media_type) in seen


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b'{"issue": [{"severity": "error", "code": "not-found"}]}', ("error not-found",)),
        (b'{"issue": [{"severity": "error", "code": "x"}, {"severity": "error"}]}', ()),
        (b'{"issue": [{"severity": "Zq7 CANARY", "code": "not-found"}]}', ()),
        (b'{"issue": [{"severity": "warning", "code": "informational"}]}', ("warning informational",)),
        (b'{"issue": 1}', ()),
        (b"\xff", ()),
        (b"", ()),
    ],
)
def test_only_codes_are_taken_from_an_outcome(body: bytes, codes: tuple[str, ...]) -> None:
    assert outcome_of(body) == codes
