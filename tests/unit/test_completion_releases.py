"""Searches on a server of another FHIR release: asked in its words, once it is known which it is."""

import json
from collections.abc import Callable, Iterator, Sequence
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
        (DSTU2, "medicationStatements", "MedicationStatement", {"status": "active"}),
        (STU3, "medicationStatements", "MedicationStatement", {"status": "active", "_sort": "-effective"}),
        (R5, "medicationStatements", "MedicationStatement", {"status": "recorded", "_sort": "-effective"}),
        (R5, "ironTreatmentStatements", "MedicationStatement", {"status": "recorded", "_sort": "-effective"}),
        (R5, "medicationRequests", "MedicationRequest", {"status": "active", "_sort": "-authoredon"}),
        (
            R5,
            "ironTreatmentRequests",
            "MedicationRequest",
            {"status": "completed,ended", "_sort": "-authoredon"},
        ),
        (R5, "ironAdministrations", "MedicationAdministration", {"status": "completed", "_sort": "-date"}),
        (R5, "procedures", "Procedure", {"_sort": "-date"}),
        (R5, "deviceUse", "DeviceUsage", {}),
        (R4, "familyHistory", "FamilyMemberHistory", {}),
        (STU3, "devices", "Device", {}),
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
    version: str | None = None
    is_strict: bool = False
    questions: int = 0
    waits: int = 0
    rounds: list[list[Search]] = field(default_factory=list)

    @contextmanager
    def open(self, access: FhirAccess, *, budget_seconds: float) -> Iterator[RecordSession]:
        """Yield itself."""
        assert access is ACCESS
        assert budget_seconds > 0
        yield self

    def ask_version(self) -> Callable[[], str | None]:
        """Give the version that it names, if any."""
        self.questions += 1

        def told() -> str | None:
            self.waits += 1
            return self.version

        return told

    def fetch(self, queries: Sequence[Query]) -> tuple[FetchedPages, ...]:
        """Return what there is of each type, by its status."""
        searches = [query for query in queries if isinstance(query, Search)]
        self.rounds.append(searches)
        return tuple(self._answer(query) for query in searches)

    def _answer(self, query: Search) -> FetchedPages:
        if query.resource_type not in self.types:
            return FetchedPages(query.key, problem=FetchProblem.NOT_FOUND)
        parameters = dict(query.parameters)
        if parameters.get("_sort") == "-effective-time" and self.is_strict:
            return FetchedPages(query.key, problem=FetchProblem.UNEXPECTED_STATUS)
        status = parameters.get("status")
        found = [
            one
            for one in self.resources
            if one["resourceType"] == query.resource_type
            and (status is None or one.get("status") in status.split(","))
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        body = found[0] if query.resource_id else {**bundle, "entry": [{"resource": one} for one in found]}
        return FetchedPages(query.key, (json.dumps(body).encode(),))


def opened(prefetch: Json | None, hint: str | None = None) -> Record:
    return open_record(
        None if prefetch is None else json.dumps(prefetch).encode(),
        own_keys=PREFETCH_NEEDS,
        patient_id="p1",
        fhir_server="https://ehr.example.org/fhir",
        version_hint=hint,
        knowledge=load(),
        zone=ZoneInfo("UTC"),
        today=date(2026, 11, 22),
    )


def completed(server: Server, prefetch: Json | None, hint: str | None = None) -> Record:
    record = opened(prefetch, hint)
    completion = Completion(server, templates(load()))
    return complete(record, ACCESS, completion, budget_ms=2000, is_of_use=lambda _: False)


OLD_TYPES = frozenset(
    {
        "AllergyIntolerance",
        "Condition",
        "Device",
        "DeviceUseStatement",
        "DiagnosticOrder",
        "FamilyMemberHistory",
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


TYPES = frozenset(search(key, text, "p1").resource_type for key, text in templates(load()).items())
PATIENT = {"resourceType": "Patient", "id": "p1"}
IN_R5 = {"medicationStatements", "ironTreatmentStatements", "ironTreatmentRequests", "deviceUse"}


def test_an_empty_answer_to_statuses_that_a_release_does_not_have_is_not_believed() -> None:
    server = Server([PATIENT, NEW_CONDITION, NEW_STATEMENT], TYPES)
    facts = completed(server, None).facts
    assert {one.key for one in server.rounds[1]} == IN_R5
    assert len(facts.medicines) == 1


def test_a_server_that_says_it_is_of_r5_is_asked_in_its_words() -> None:
    server = Server([PATIENT, NEW_STATEMENT], TYPES, version="5.0.0", is_strict=True)
    facts = completed(server, None).facts
    assert server.questions == 1
    assert len(server.rounds) == 2
    assert {one.key for one in server.rounds[1]} == IN_R5 | {"ironAdministrations"}
    assert len(facts.medicines) == 1
    assert facts.needs[Need.IRON_TREATMENTS] is NeedState.ANSWERED


@pytest.mark.parametrize("version", ["5.0.0", "5.0.0-ballot", "R5"])
def test_a_medicine_of_an_r5_server_is_found_though_nothing_else_shows_the_release(version: str) -> None:
    server = Server([PATIENT, NEW_STATEMENT], TYPES, version=version)
    assert len(completed(server, None).facts.medicines) == 1


def test_a_server_that_does_not_name_its_release_is_known_by_its_statements() -> None:
    server = Server([PATIENT, NEW_STATEMENT], TYPES)
    facts = completed(server, None).facts
    (asked,) = server.rounds[1]
    assert dict(asked.parameters) == {"patient": "p1", "status": "recorded", "_count": "1"}
    assert {one.key for one in server.rounds[2]} == IN_R5
    assert len(facts.medicines) == 1
    assert facts.needs[Need.MEDICATION_STATEMENTS] is NeedState.ANSWERED


def test_a_server_without_statements_of_either_kind_is_taken_for_r4() -> None:
    server = Server([PATIENT], TYPES)
    facts = completed(server, None).facts
    assert [len(searches) for searches in server.rounds] == [len(PREFETCH_NEEDS), 1]
    assert facts.needs[Need.MEDICATION_STATEMENTS] is NeedState.ANSWERED


@pytest.mark.parametrize("version", ["4.0.1", "4.3.0", "6.0.0-ballot2"])
def test_a_server_of_r4_or_of_a_release_that_is_not_read_is_asked_once(version: str) -> None:
    server = Server([PATIENT], TYPES, version=version)
    completed(server, None)
    assert len(server.rounds) == 1


@pytest.mark.parametrize("version", ["3.0.2", "1.0.2"])
def test_an_old_server_is_known_by_its_version_where_no_resource_shows_it(version: str) -> None:
    types = OLD_TYPES if version == "1.0.2" else TYPES - {"ServiceRequest"} | {"ProcedureRequest"}
    server = Server([PATIENT], types, version=version)
    facts = completed(server, None).facts
    assert {facts.needs[Need(need)] for need in PREFETCH_NEEDS.values()} == {NeedState.ANSWERED}
    assert len(server.rounds) == 2


def test_the_version_is_asked_only_where_it_could_change_a_search() -> None:
    asked = {}
    for missing in PREFETCH_NEEDS:
        server = Server([PATIENT], TYPES, version="4.0.1")
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": 0}
        prefetch = {key: bundle for key in PREFETCH_NEEDS if key not in {missing, "patient"}}
        completed(server, prefetch if missing == "patient" else {**prefetch, "patient": PATIENT})
        assert len(server.rounds) == 1
        asked[missing] = server.questions
    alike = {"patient", "conditions", "allergies", "familyHistory", "devices"}
    assert {key for key, count in asked.items() if not count} == alike


def test_a_client_that_names_the_release_spares_the_server_the_question() -> None:
    for hint in ("R4", "4.0.1", "5.0.0"):
        server = Server([PATIENT, NEW_STATEMENT], TYPES, version="5.0.0")
        record = completed(server, None, hint)
        assert server.questions == 0
        assert len(record.facts.medicines) == (1 if hint == "5.0.0" else 0)


def test_a_server_without_the_type_is_not_asked_for_its_statements() -> None:
    server = Server([PATIENT], frozenset({"Patient"}), version="4.0.1")
    completed(server, None)
    assert len(server.rounds) == 1
    silent = Server([PATIENT], frozenset({"Patient"}))
    completed(silent, None)
    assert len(silent.rounds) == 1


OLD_STATEMENT = {
    "resourceType": "MedicationStatement",
    "id": "s1",
    "status": "active",
    "subject": SUBJECT,
    "medicationCodeableConcept": SERTRALINE,
}


def test_the_version_is_not_waited_for_where_the_answers_cannot_be_other_ones() -> None:
    found = Server([PATIENT, OLD_STATEMENT], TYPES, version="4.0.1")
    completed(found, None)
    empty = Server([PATIENT], TYPES, version="4.0.1")
    completed(empty, None)
    refusing = Server([PATIENT, OLD_STATEMENT], TYPES - {"ServiceRequest"}, version="4.0.1")
    completed(refusing, None)
    assert [(server.questions, server.waits) for server in (found, empty, refusing)] == [
        (1, 0),
        (1, 1),
        (1, 1),
    ]


@pytest.mark.parametrize("version", ["4.0.1", None])
def test_a_sort_order_that_a_server_refuses_is_left_out(version: str | None) -> None:
    server = Server([PATIENT, OLD_STATEMENT], TYPES, version=version, is_strict=True)
    facts = completed(server, None).facts
    (again,) = server.rounds[1]
    assert (again.key, dict(again.parameters)) == (
        "ironAdministrations",
        {"patient": "p1", "status": "completed", "_count": "200"},
    )
    assert facts.needs[Need.IRON_TREATMENTS] is NeedState.ANSWERED
