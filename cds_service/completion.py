"""What the call did not bring is read from its FHIR server: which searches, in which order, under one budget.

A need that the prefetch left unasked is searched for. An answer of the client stands, whatever it says:
null and an empty Bundle mean "no data", an OperationOutcome asks not to query again (CDS Hooks 2.0.1,
"Prefetch Tokens" and errors). A Bundle with a link to its next page is read on from there.

The queries are R4. Where the record turns out to be of another release, they are put in its words.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cds_service.clinical.facts import Analyte
from cds_service.fhir import Fetched, FhirVersion, Record
from cds_service.ports import FetchedPages, FhirAccess, NextPage, Query, RecordSource, Search

_PATIENT_TOKEN = "{{context.patientId}}"  # noqa: S105 - a token of a prefetch template
# A comma, a bar or a slash in an id would change what is searched; no FHIR id has one.
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# What separates the parts of a search value (FHIR R4 search, "Escaping Search Parameters").
_SEPARATORS = re.compile(r"([\\,|$])")
_MEDICATION = "Medication"
_MEDICATIONS_KEY = "referenced medications"
_MOST_MEDICATIONS = 100
_MILLISECONDS = 1000

_TYPES: Mapping[FhirVersion, Mapping[str, str]] = {
    FhirVersion.DSTU2: {"MedicationRequest": "MedicationOrder", "ServiceRequest": "DiagnosticOrder"},
    FhirVersion.STU3: {"ServiceRequest": "ProcedureRequest"},
}
"""What a release calls a resource type of R4."""

_STATUSES: Mapping[tuple[FhirVersion, str], str | None] = {
    # A DiagnosticOrder has a dozen states on its way; all of them are read.
    (FhirVersion.DSTU2, "ServiceRequest"): None,
    (FhirVersion.STU3, "ServiceRequest"): "active,draft,suspended",
    # What is taken stands in the adherence of R5; the status tells only that somebody said so.
    (FhirVersion.R5, "MedicationStatement"): "recorded",
}
"""The statuses that a release has in place of those of R4; None searches for all."""


_CODES_KEYS: Mapping[Analyte, str] = {
    **dict.fromkeys((Analyte.FERRITIN, Analyte.TSAT, Analyte.IRON, Analyte.TIBC, Analyte.CRP), "ironResults"),
    **dict.fromkeys(
        (Analyte.HAEMOGLOBIN, Analyte.EGFR, Analyte.PREGNANCY_STATUS, Analyte.DELIVERY_DATE), "contextResults"
    ),
}
"""The prefetch key whose search by code asks for an analyte."""

LocalCodes = Mapping[Analyte, Sequence[tuple[str, str]]]
"""A site's own codes as (system, code) by what they measure; an empty system stands for any."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Where missing data comes from, the query of each of our prefetch keys, and a site's own codes."""

    source: RecordSource
    templates: Mapping[str, str]
    local_codes: LocalCodes = field(default_factory=dict)


def complete(record: Record, access: FhirAccess, completion: Completion, *, budget_ms: int) -> Record:
    """Return the record with what the FHIR server adds; the same record when there is nothing to ask."""
    queries: list[Query] = [*_searches(record, completion), *_next_pages(record)]
    if not queries and not record.unresolved_medications():
        return record
    with completion.source.open(access, budget_seconds=budget_ms / _MILLISECONDS) as session:
        if queries:
            answers = session.fetch(queries)
            record = record.completed(_fetched(answers, queries))
            again = _reworded(queries, answers, record.table.release)
            if again:
                record = record.completed(_fetched(session.fetch(again), again))
        medications = _medications(record.unresolved_medications())
        if medications:
            record = record.completed(_fetched(session.fetch(medications), medications, is_lookup=True))
    return record


def _searches(record: Record, completion: Completion) -> list[Search]:
    """Return the queries of our keys whose question nothing in the call answered."""
    patient_id, templates = record.patient_id, completion.templates
    if not is_plain_id(patient_id):
        return []
    return [
        with_codes(
            in_words_of(record.table.release, search(key, templates[key], patient_id)),
            _local_codes(key, completion.local_codes),
        )
        for key in record.table.unasked
        if key in templates
    ]


def in_words_of(release: FhirVersion, query: Search) -> Search:
    """Return an R4 search as a server of this release understands it; R4 itself stays as it is.

    DSTU2 writes sort orders in another way, and R5 has renamed what some of ours sort by: there a list
    that is cut off has lost any of its entries, not its oldest.
    """
    if release in {FhirVersion.R4, FhirVersion.OTHER}:
        return query
    parameters = dict(query.parameters)
    if release in {FhirVersion.DSTU2, FhirVersion.R5}:
        parameters.pop("_sort", None)
    status = _STATUSES.get((release, query.resource_type), parameters.get("status"))
    if status is None:
        parameters.pop("status", None)
    else:
        parameters["status"] = status
    resource_type = _TYPES.get(release, {}).get(query.resource_type, query.resource_type)
    return replace(query, resource_type=resource_type, parameters=tuple(parameters.items()))


def _reworded(
    queries: Iterable[Query], answers: Iterable[FetchedPages], release: FhirVersion
) -> list[Search]:
    """Return those searches that a server of this release refused, or did not understand, in its words."""
    again = []
    for query, answer in zip(queries, answers, strict=True):
        if isinstance(query, Search) and query != (worded := in_words_of(release, query)):
            is_other_status = dict(worded.parameters).get("status") != dict(query.parameters).get("status")
            if answer.problem is not None or is_other_status:
                again.append(worded)
    return again


def search(key: str, template: str, patient_id: str) -> Search:
    """Return the query of a prefetch template for one patient."""
    path, _, query = template.replace(_PATIENT_TOKEN, patient_id).partition("?")
    resource_type, _, resource_id = path.partition("/")
    pairs = (part.partition("=") for part in query.split("&") if part)
    parameters = tuple((name, value) for name, _, value in pairs)
    return Search(key, resource_type, parameters, resource_id or None)


def is_plain_id(text: str) -> bool:
    """Whether an id can stand in a query or a path and mean nothing but itself."""
    return _ID.fullmatch(text) is not None and set(text) != {"."}


def _next_pages(record: Record) -> list[NextPage]:
    return [NextPage(key, url) for key, url in record.table.next_links.items()]


def _medications(ids: Iterable[str]) -> list[Query]:
    """Return one search for all the Medications that medicines refer to, [] for none."""
    plain = [one for one in ids if is_plain_id(one)][:_MOST_MEDICATIONS]
    if not plain:
        return []
    parameters = (("_id", ",".join(plain)), ("_count", str(len(plain))))
    return [Search(_MEDICATIONS_KEY, _MEDICATION, parameters)]


def _fetched(
    answers: Iterable[FetchedPages], queries: Iterable[Query], *, is_lookup: bool = False
) -> list[Fetched]:
    return [
        Fetched(
            answer.key,
            answer.pages,
            answer.problem.value if answer.problem is not None else None,
            query.resource_type if isinstance(query, Search) else "",
            is_lookup=is_lookup,
        )
        for answer, query in zip(answers, queries, strict=True)
    ]


# ------------------------------------------------------------------------------------------ local codes
def _local_codes(key: str, local_codes: LocalCodes) -> list[tuple[str, str]]:
    """Return the codes that the search of a key asks for beside those of LOINC, in a fixed order."""
    return [
        pair
        for analyte in _CODES_KEYS
        if _CODES_KEYS[analyte] == key
        for pair in local_codes.get(analyte, ())
    ]


def with_codes(query: Search, codes: Iterable[tuple[str, str]]) -> Search:
    """Return a search by code that also asks for these (system, code); any other search stays as it is."""
    tokens = ["|".join(map(_escaped, pair)) if pair[0] else _escaped(pair[1]) for pair in codes]
    parameters = tuple(
        (name, ",".join((value, *tokens)) if name == "code" else value) for name, value in query.parameters
    )
    return replace(query, parameters=parameters)


def _escaped(text: str) -> str:
    return _SEPARATORS.sub(r"\\\1", text)
