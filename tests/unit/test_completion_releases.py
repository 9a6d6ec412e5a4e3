"""Searches on a server of another FHIR release: asked in its words, once it is known which it is."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from cds_service.addresses import ServerAddress
from cds_service.clinical.facts import Need, NeedState
from cds_service.completion import Completion, complete, in_words_of, search
from cds_service.fhir import FhirVersion, Record, open_record
from cds_service.knowledge import load
from cds_service.ports import FetchedPages, FetchProblem, FhirAccess, Query, RecordSession, Search
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from cds_service.web.discovery import templates
from tests.unit.fhir_samples import Json

DSTU2, STU3, R4, R5 = FhirVersion.DSTU2, FhirVersion.STU3, FhirVersion.R4, FhirVersion.R5
ACCESS = FhirAccess(ServerAddress("https", "ehr.example.org", 443, "/fhir"))
SUBJECT = {"reference": "Patient/p1"}
SERTRALINE = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "36437"}]}
OLD_PATIENT = {"resourceType": "Patient", "id": "p1", "name": [{"family": ["Legg"], "given": ["Rest"]}]}
OLD_ORDER = {
    "resourceType": "MedicationOrder",
    "id": "o1",
    "status": "active",
    "patient": SUBJECT,
    "medicationCodeableConcept": SERTRALINE,
}
NEW_CONDITION = {
    "resourceType": "Condition",
    "id": "c1",
    "subject": SUBJECT,
    "participant": [{"actor": SUBJECT}],
    "clinicalStatus": {"coding": [{"code": "active"}]},
    "code": {"text": "Restless legs syndrome"},
}
NEW_STATEMENT = {
    "resourceType": "MedicationStatement",
    "id": "s1",
    "status": "recorded",
    "subject": SUBJECT,
    "medication": {"concept": SERTRALINE},
}


def asked(release: FhirVersion, key: str) -> tuple[str, dict[str, str]]:
    """Return type and parameters of one of our queries, without the patient and the count."""
    query = in_words_of(release, search(key, templates(load())[key], "p1"))
    parameters = dict(query.parameters)
    assert parameters.pop("patient") == "p1"
    assert int(parameters.pop("_count")) > 0
    return query.resource_type, parameters


@pytest.mark.parametrize(
    ("release", "key", "resource_type", "parameters"),
    [
        (R4, "ironOrders", "ServiceRequest", {"status": "active,draft,on-hold", "_sort": "-authored"}),
        (STU3, "ironOrders", "ProcedureRequest", {"status": "active,draft,suspended", "_sort": "-authored"}),
        (DSTU2, "ironOrders", "DiagnosticOrder", {}),
        (DSTU2, "medicationRequests", "MedicationOrder", {"status": "active"}),
        (DSTU2, "ironTreatmentRequests", "MedicationOrder", {"status": "completed"}),
        (DSTU2, "procedures", "Procedure", {}),
        (STU3, "medicationRequests", "MedicationRequest", {"status": "active", "_sort": "-authoredon"}),
        (R5, "medicationStatements", "MedicationStatement", {"status": "recorded"}),
        (R5, "ironAdministrations", "MedicationAdministration", {"status": "completed"}),
    ],
)
def test_a_search_is_put_in_the_words_of_a_release(
    release: FhirVersion, key: str, resource_type: str, parameters: dict[str, str]
) -> None:
    assert asked(release, key) == (resource_type, parameters)


@pytest.mark.parametrize("release", list(FhirVersion))
@pytest.mark.parametrize("key", sorted(PREFETCH_NEEDS))
def test_the_words_of_a_release_are_not_changed_again(release: FhirVersion, key: str) -> None:
    once = in_words_of(release, search(key, templates(load())[key], "p1"))
    assert in_words_of(release, once) == once


@dataclass
class Server:
    """A source that knows some types of resources, and refuses a search in the words of another release."""

    resources: Sequence[Json]
    types: frozenset[str]
    rounds: list[list[Search]] = field(default_factory=list)

    @contextmanager
    def open(self, access: FhirAccess, *, budget_seconds: float) -> Iterator[RecordSession]:
        """Yield itself."""
        assert access is ACCESS
        assert budget_seconds > 0
        yield self

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        """Return what there is of each type, by its status."""
        searches = [query for query in queries if isinstance(query, Search)]
        self.rounds.append(searches)
        return tuple(self._answer(query) for query in searches)

    def _answer(self, query: Search) -> FetchedPages:
        if query.resource_type not in self.types:
            return FetchedPages(query.key, problem=FetchProblem.NOT_FOUND)
        status = dict(query.parameters).get("status")
        found = [
            one
            for one in self.resources
            if one["resourceType"] == query.resource_type
            and (status is None or one.get("status") in status.split(","))
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        body = found[0] if query.resource_id else {**bundle, "entry": [{"resource": one} for one in found]}
        return FetchedPages(query.key, (json.dumps(body).encode(),))


def completed(server: Server, prefetch: Json | None) -> Record:
    record = open_record(
        None if prefetch is None else json.dumps(prefetch).encode(),
        own_keys=PREFETCH_NEEDS,
        patient_id="p1",
        fhir_server="https://ehr.example.org/fhir",
        version_hint=None,
        knowledge=load(),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    )
    return complete(record, ACCESS, Completion(server, templates(load())), budget_ms=2000)


OLD_TYPES = frozenset(
    {
        "AllergyIntolerance",
        "Condition",
        "DiagnosticOrder",
        "MedicationAdministration",
        "MedicationOrder",
        "MedicationStatement",
        "Observation",
        "Patient",
        "Procedure",
    }
)


def test_what_an_old_server_refused_is_asked_again_in_its_words() -> None:
    server = Server([OLD_PATIENT, OLD_ORDER], OLD_TYPES)
    facts = completed(server, None).facts
    assert len(server.rounds) == 2
    assert sorted((one.key, one.resource_type) for one in server.rounds[1]) == [
        ("ironOrders", "DiagnosticOrder"),
        ("ironTreatmentRequests", "MedicationOrder"),
        ("medicationRequests", "MedicationOrder"),
    ]
    assert {facts.needs[Need(need)] for need in PREFETCH_NEEDS.values()} == {NeedState.ANSWERED}
    assert len(facts.medicines) == 1


def test_a_release_that_the_prefetch_shows_is_asked_in_its_words_at_once() -> None:
    server = Server([OLD_ORDER], OLD_TYPES)
    facts = completed(server, {"patient": OLD_PATIENT}).facts
    assert len(server.rounds) == 1
    assert facts.needs[Need.MEDICATION_REQUESTS] is NeedState.ANSWERED
    assert len(facts.medicines) == 1


def test_an_empty_answer_to_statuses_that_a_release_does_not_have_is_not_believed() -> None:
    types = frozenset(search(key, text, "p1").resource_type for key, text in templates(load()).items())
    patient = {"resourceType": "Patient", "id": "p1"}
    server = Server([patient, NEW_CONDITION, NEW_STATEMENT], types)
    facts = completed(server, None).facts
    assert {one.key for one in server.rounds[1]} == {"medicationStatements", "ironTreatmentStatements"}
    assert len(facts.medicines) == 1


def test_an_r4_server_is_asked_once() -> None:
    server = Server([{"resourceType": "Patient", "id": "p1"}], frozenset({"Patient"}))
    completed(server, None)
    assert len(server.rounds) == 1
