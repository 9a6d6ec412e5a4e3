"""What the call did not bring is read from its FHIR server: which searches, in which order, under one budget.

A need that the prefetch left unasked is searched for. An answer of the client stands, whatever it says:
null and an empty Bundle mean "no data", an OperationOutcome asks not to query again (CDS Hooks 2.0.1,
"Prefetch Tokens" and errors). A Bundle with a link to its next page is read on from there.

The queries are R4. Where the server turns out to speak another release, they are put in its words: by the
version that it names, by the shape of what it answers, or by the one status that only R5 has.

A search by code finds no result that has a name only, or a code of the laboratory's own. Where no ferritin
was found and one could change the cards, the newest laboratory results are looked through once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cds_service.clinical.facts import Analyte, Need, NeedState
from cds_service.fhir import Fetched, FhirVersion, Record, version_of_hint
from cds_service.ports import (
    FetchedPages,
    FetchProblem,
    FhirAccess,
    NextPage,
    Query,
    RecordSession,
    RecordSource,
    Search,
)

_PATIENT_TOKEN = "{{context.patientId}}"  # noqa: S105 - a token of a prefetch template
# A comma, a bar or a slash in an id would change what is searched; no FHIR id has one.
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# What separates the parts of a search value (FHIR R4 search, "Escaping Search Parameters").
_SEPARATORS = re.compile(r"([\\,|$])")
_MEDICATION = "Medication"
_STATEMENT = "MedicationStatement"
# Keys of our own making: no client's prefetch is likely to have them, and they answer no need.
_MEDICATIONS_KEY = "referenced medications"
_RELEASE_KEY = "statements of another release"
LABORATORY_KEY = "laboratory list"
"""The key of the newest laboratory results, whatever their codes."""
_MOST_MEDICATIONS = 100
_LABORATORY = f"Observation?patient={_PATIENT_TOKEN}&category=laboratory&_sort=-date&_count=200"
_LABORATORY_PAGES = 3
_MILLISECONDS = 1000

_MOST_PAGES: Mapping[str, int] = {"sleepDuration": 1}
"""Keys of which the newest page says enough, however many a server has."""

_CODES_KEYS: Mapping[Analyte, str] = {
    **dict.fromkeys((Analyte.FERRITIN, Analyte.TSAT, Analyte.IRON, Analyte.TIBC, Analyte.CRP), "ironResults"),
    **dict.fromkeys(
        (
            *(Analyte.HAEMOGLOBIN, Analyte.EGFR, Analyte.PREGNANCY_STATUS, Analyte.DELIVERY_DATE),
            Analyte.PREGNANCY_TEST,
        ),
        "contextResults",
    ),
    **dict.fromkeys(
        (
            *(Analyte.HBA1C, Analyte.B12, Analyte.FOLATE, Analyte.VITAMIN_D, Analyte.TSH),
            Analyte.PHOSPHATE,
        ),
        "metabolicResults",
    ),
    **dict.fromkeys(
        (
            *(Analyte.SMOKING, Analyte.ALCOHOL_SCORE, Analyte.DRINKS, Analyte.CAFFEINE),
            Analyte.SEVERITY,
        ),
        "socialHistory",
    ),
    Analyte.SLEEP: "sleepDuration",
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


def complete(
    record: Record,
    access: FhirAccess,
    completion: Completion,
    *,
    budget_ms: int,
    is_of_use: Callable[[Record], bool] = lambda _record: True,
) -> Record:
    """Return the record with what the FHIR server adds; the same record when there is nothing to ask.

    `is_of_use` tells of a record without a ferritin whether finding one could change what is shown.
    """
    queries: list[Query] = [*_searches(record, completion), *_next_pages(record)]
    if not queries and not record.unresolved_medications() and not _is_ferritin_sought(record, is_of_use):
        return record
    with completion.source.open(access, budget_seconds=budget_ms / _MILLISECONDS) as session:
        if queries:
            record = _searched(record, session, queries)
        record = _looked_up(record, session, _medications(record.unresolved_medications()))
        if _is_ferritin_sought(record, is_of_use):
            record = _looked_up(record, session, laboratory_list(record))
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


def _searched(record: Record, session: RecordSession, queries: Sequence[Query]) -> Record:
    """Return the record with the answers, asked again in other words where need be."""
    version = session.ask_version() if _is_release_open(record, queries) else None
    answers = session.fetch(queries)
    record = record.completed(_fetched(answers, queries))
    release = record.table.release
    if version is not None and release is FhirVersion.R4 and _is_in_doubt(record, queries, answers):
        named = version_of_hint(version())
        if named is None:
            record = _looked_up(record, session, _statements_of_r5(record, queries, answers))
        release = named or record.table.release
    pairs = zip(queries, answers, strict=True)
    again = [worded for query, answer in pairs if (worded := _reworded(query, answer, release)) is not None]
    return record.completed(_fetched(session.fetch(again), again)) if again else record


def _looked_up(record: Record, session: RecordSession, queries: Sequence[Query]) -> Record:
    """Return the record with resources that answer no need; a failure takes nothing from it."""
    if not queries:
        return record
    return record.completed(_fetched(session.fetch(queries), queries, is_lookup=True))


def search(key: str, template: str, patient_id: str) -> Search:
    """Return the query of a prefetch template for one patient."""
    path, _, query = template.replace(_PATIENT_TOKEN, patient_id).partition("?")
    resource_type, _, resource_id = path.partition("/")
    pairs = (part.partition("=") for part in query.split("&") if part)
    parameters = tuple((name, value) for name, _, value in pairs)
    return Search(key, resource_type, parameters, resource_id or None, _MOST_PAGES.get(key))


def is_plain_id(text: str) -> bool:
    """Whether an id can stand in a query or a path and mean nothing but itself."""
    return _ID.fullmatch(text) is not None and set(text) != {"."}


def _next_pages(record: Record) -> list[NextPage]:
    links = record.table.next_links.items()
    return [NextPage(key, url) for key, url in links if key not in _MOST_PAGES]


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


# -------------------------------------------------------------------------------------------- releases
_TYPES: Mapping[FhirVersion, Mapping[str, str]] = {
    FhirVersion.DSTU2: {"MedicationRequest": "MedicationOrder", "ServiceRequest": "DiagnosticOrder"},
    FhirVersion.STU3: {"ServiceRequest": "ProcedureRequest"},
    FhirVersion.R5: {"DeviceUseStatement": "DeviceUsage"},
}
"""What a release calls a resource type of R4."""

_STATUSES: Mapping[tuple[FhirVersion, str], Mapping[str, tuple[str, ...]] | None] = {
    # A DiagnosticOrder has a dozen states on its way; all of them are read.
    (FhirVersion.DSTU2, "ServiceRequest"): None,
    (FhirVersion.DSTU2, _STATEMENT): {"unknown": ()},
    (FhirVersion.STU3, "ServiceRequest"): {"on-hold": ("suspended",)},
    (FhirVersion.STU3, _STATEMENT): {"unknown": ()},
    # What is taken stands in the adherence of R5; the status tells only that somebody said so.
    (FhirVersion.R5, _STATEMENT): dict.fromkeys(("active", "unknown", "completed"), ("recorded",)),
    (FhirVersion.R5, "MedicationRequest"): {"completed": ("completed", "ended")},
}
"""The statuses that a release has in place of one of R4; None searches for all."""

_NOT_UNDERSTOOD = frozenset({FetchProblem.NOT_FOUND, FetchProblem.UNEXPECTED_STATUS})

_SORTS: Mapping[tuple[FhirVersion, str], str] = {(FhirVersion.R5, "MedicationAdministration"): "-date"}


def in_words_of(release: FhirVersion, query: Search) -> Search:
    """Return an R4 search as a server of this release understands it; R4 itself stays as it is.

    DSTU2 writes sort orders in another way and names them otherwise: there a list that is cut off has lost
    any of its entries, not its oldest.
    """
    if release in {FhirVersion.R4, FhirVersion.OTHER}:
        return query
    parameters = dict(query.parameters)
    if release is FhirVersion.DSTU2:
        parameters.pop("_sort", None)
    elif "_sort" in parameters:
        parameters["_sort"] = _SORTS.get((release, query.resource_type), parameters["_sort"])
    statuses = _STATUSES.get((release, query.resource_type), {})
    if statuses is None:
        parameters.pop("status", None)
    elif "status" in parameters:
        words = (word for code in parameters["status"].split(",") for word in statuses.get(code, (code,)))
        parameters["status"] = ",".join(dict.fromkeys(words))
    resource_type = _TYPES.get(release, {}).get(query.resource_type, query.resource_type)
    return replace(query, resource_type=resource_type, parameters=tuple(parameters.items()))


def _is_release_open(record: Record, queries: Iterable[Query]) -> bool:
    """Whether nothing tells the server's release, and one of the queries reads otherwise in another one."""
    if record.table.release is not FhirVersion.R4 or version_of_hint(record.call.version_hint) is not None:
        return False
    return any(isinstance(query, Search) and _depends_on_release(query) for query in queries)


def _depends_on_release(query: Search) -> bool:
    return any(in_words_of(release, query) != query for release in FhirVersion)


def _is_in_doubt(record: Record, queries: Iterable[Query], answers: Iterable[FetchedPages]) -> bool:
    """Whether the answers would be other ones if the server were not of R4.

    A search was not understood, or it found what only R4 calls so; statements that were found are no R5.
    """
    is_perhaps_r5 = not record.table.items(_STATEMENT)
    return any(
        answer.problem in _NOT_UNDERSTOOD
        or (
            is_perhaps_r5
            and answer.problem is None
            and _means_more(in_words_of(FhirVersion.R5, query), query)
        )
        for query, answer in zip(queries, answers, strict=True)
        if isinstance(query, Search) and _depends_on_release(query)
    )


def _statements_of_r5(
    record: Record, queries: Iterable[Query], answers: Iterable[FetchedPages]
) -> list[Search]:
    """Return a search that only R5 can answer, [] unless statements were asked for and none was found."""
    is_answered = any(
        isinstance(query, Search) and query.resource_type == _STATEMENT and answer.problem is None
        for query, answer in zip(queries, answers, strict=True)
    )
    if not is_answered or record.table.items(_STATEMENT):
        return []
    parameters = (("patient", record.patient_id), ("status", "recorded"), ("_count", "1"))
    return [Search(_RELEASE_KEY, _STATEMENT, parameters, most_pages=1)]


def _reworded(query: Query, answer: FetchedPages, release: FhirVersion) -> Search | None:
    """Return how a search is asked again that the server refused or did not understand, None if it is not.

    Where the words are right, it may be the sort order: a server need not know any.
    """
    if not isinstance(query, Search):
        return None
    worded = in_words_of(release, query)
    if worded != query:
        return worded if answer.problem is not None or _means_more(worded, query) else None
    unsorted = tuple(pair for pair in query.parameters if pair[0] != "_sort")
    if answer.problem is FetchProblem.UNEXPECTED_STATUS and unsorted != query.parameters:
        return replace(query, parameters=unsorted)
    return None


def _means_more(worded: Search, query: Search) -> bool:
    """Whether a search finds what the other one, answered without complaint, does not ask for."""
    return worded.resource_type != query.resource_type or bool(_statuses(worded) - _statuses(query))


def _statuses(query: Search) -> set[str]:
    status = dict(query.parameters).get("status")
    return set(status.split(",")) if status is not None else set()


# ---------------------------------------------------------------------------------------------- lookups
def _medications(ids: Iterable[str]) -> list[Search]:
    """Return one search for all the Medications that medicines refer to, [] for none."""
    plain = [one for one in ids if is_plain_id(one)][:_MOST_MEDICATIONS]
    if not plain:
        return []
    parameters = (("_id", ",".join(plain)), ("_count", str(len(plain))))
    return [Search(_MEDICATIONS_KEY, _MEDICATION, parameters)]


def _is_ferritin_sought(record: Record, is_of_use: Callable[[Record], bool]) -> bool:
    """Whether the iron results were answered without any ferritin, and finding one could change the cards.

    A search that failed or was cut off is not answered: there the cards say so already.
    """
    facts = record.extracted
    return (
        facts.needs[Need.IRON_RESULTS] is NeedState.ANSWERED
        and is_plain_id(record.patient_id)
        and all(result.analyte is not Analyte.FERRITIN for result in facts.results)
        and is_of_use(record)
    )


def laboratory_list(record: Record) -> list[Search]:
    """Return the search for the newest laboratory results, whatever their codes."""
    query = search(LABORATORY_KEY, _LABORATORY, record.patient_id)
    return [replace(in_words_of(record.table.release, query), most_pages=_LABORATORY_PAGES)]


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
