"""What to know and what to do: the tables of the report put into sentences."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from cds_service.clinical.facts import Analyte, IssueKind, Need
from cds_service.fhir import FhirVersion
from cds_service.knowledge.code_map import CodeKind
from cds_service.onboarding.card_needs import OPTIONAL
from cds_service.onboarding.report import (
    Finding,
    IssueRow,
    MapRow,
    NeedRow,
    ReadRow,
    SearchRow,
    TimePart,
    UnitRow,
    UnreadableRow,
    ValidationPart,
)
from cds_service.onboarding.server import ServerFacts
from cds_service.ports import FetchProblem
from cds_service.protocol.prefetch import PREFETCH_NEEDS

Severity = Literal["problem", "note"]
_PROBLEM: Severity = "problem"
_NOTE: Severity = "note"

_FIXES = {
    FetchProblem.TIMED_OUT: "Ask for a faster answer, or raise budget_ms.",
    FetchProblem.REFUSED: "Let the token of the calls read {type}: the build sheet lists the scopes.",
    FetchProblem.NOT_FOUND: (
        "If the server has no {type}, leave out of the prefetch: {keys}. Cards that rest on it then say that"
        " it was not read; a client that sends null for a key says that there is nothing."
    ),
    FetchProblem.BUSY: "Ask the operators of the server: it was out of order twice in a row.",
    FetchProblem.REDIRECTED: "Name the address that the server redirects to; no redirect is followed.",
    FetchProblem.UNEXPECTED_STATUS: (
        "The server does not take this search. If it has no {type}, leave out of the prefetch: {keys}."
    ),
    FetchProblem.NOT_FHIR: "Something answers in place of the server: look at the proxy.",
    FetchProblem.TOO_LARGE: "A page is larger than 5 MiB, or all of them than 20 MiB: ask for smaller pages.",
    FetchProblem.PAGE_ELSEWHERE: "Links to further pages must lie under the base address.",
    FetchProblem.TOO_MANY_PAGES: "More than ten pages: let the server send larger ones, as _count asks.",
}
_BROKEN = frozenset({IssueKind.WRONG_SHAPE, IssueKind.FAILED_VALIDATION, IssueKind.MODIFIER_EXTENSION})
_SLOW = 2
"""A server that needs more than this part of the budget is called slow."""


class Tables(NamedTuple):
    """The parts of the report that findings are made of."""

    patients: int
    server: ServerFacts
    release: FhirVersion
    time: TimePart
    searches: Sequence[SearchRow]
    needs: Sequence[NeedRow]
    not_assessed: int
    read: Sequence[ReadRow]
    units: Sequence[UnitRow]
    unreadable: Sequence[UnreadableRow]
    unmapped: Sequence[MapRow]
    unknown_laboratory: Sequence[MapRow]
    unreadable_medicines: int
    issues: Sequence[IssueRow]
    validation: ValidationPart | None


def findings(tables: Tables) -> tuple[Finding, ...]:
    """Return what was found, problems first."""
    found = [
        *_release(tables),
        *_searches(tables),
        *time_findings(tables.time, tables.patients),
        *_results(tables),
        *_local_codes(tables.unmapped),
        *_units(tables.units),
        *_records(tables),
    ]
    return tuple(sorted(found, key=lambda one: one.severity != _PROBLEM))


def _finding(severity: Severity, code: str, text: str, fix: str = "") -> Finding:
    return Finding(severity=severity, code=code, text=text, fix=fix)


def _release(tables: Tables) -> Iterator[Finding]:
    server = tables.server
    if server.release is FhirVersion.OTHER:
        text = f"The server speaks FHIR {server.version}, which is not read."
        yield _finding(_PROBLEM, "release", text, "R4, R4B, R5, STU3 and DSTU2 are read.")
    elif server.release is None:
        why = f" ({server.problem.value})" if server.problem is not None else ""
        text = (
            f"The server does not tell its FHIR release{why}; the records look like {tables.release.value}."
        )
        yield _finding(_NOTE, "release", text, "Answer GET metadata with a fhirVersion.")


def _searches(tables: Tables) -> Iterator[Finding]:
    yield from _failures(tables)
    yield from _fallbacks(tables.searches)
    if tables.not_assessed:
        text = f"{_of(tables.not_assessed, tables.patients)} could not be assessed at all (412)."
        yield _finding(_PROBLEM, "not-assessed", text, "The Patient and the iron results have to be read.")


def _failures(tables: Tables) -> Iterator[Finding]:
    """Yield one finding for each resource type and problem, with all keys that met it."""
    met: dict[tuple[str, str], list[SearchRow]] = {}
    for row in tables.searches:
        for problem in row.problems:
            met.setdefault((_type_of(row), problem), []).append(row)
    needs = {row.need: row for row in tables.needs}
    for (resource_type, problem), rows in met.items():
        asked = [needs[PREFETCH_NEEDS[row.key]] for row in rows if row.key in PREFETCH_NEEDS]
        is_open = any(need.answered < tables.patients for need in asked if need.need not in OPTIONAL)
        keys = ", ".join(row.key for row in rows)
        count = max(row.problems[problem] for row in rows)
        yield _finding(
            _PROBLEM if is_open else _NOTE,
            "search",
            f"{resource_type} ({keys}): {problem}, for {_of(count, tables.patients)}.",
            _fix(FetchProblem(problem), resource_type, keys),
        )


def _type_of(row: SearchRow) -> str:
    return row.query.partition("?")[0].partition("/")[0]


def _fallbacks(searches: Iterable[SearchRow]) -> Iterator[Finding]:
    keys: dict[str, list[str]] = {}
    for row in searches:
        for told in row.fallbacks:
            keys.setdefault(told, []).append(row.key)
    for told, found in keys.items():
        text = f"Not answered at the first try, then {told}: {', '.join(found)}."
        yield _finding(_NOTE, "fallback", text)


def _fix(problem: FetchProblem, resource_type: str, keys: str) -> str:
    if problem is FetchProblem.NOT_FOUND and resource_type == "Patient":
        return "Such a patient is not on this server."
    return _FIXES.get(problem, "").format(type=resource_type, keys=keys)


def _of(count: int, patients: int) -> str:
    return f"{count} of {patients} patients"


def time_findings(time: TimePart, patients: int) -> Iterator[Finding]:
    """Yield whether the server is fast enough."""
    told = f"median {time.median_ms} ms, at most {time.max_ms} ms, against a budget of {time.budget_ms} ms"
    if time.over_budget:
        text = f"Too slow for {_of(time.over_budget, patients)}: {told}. Their cards would miss data."
        yield _finding(
            _PROBLEM, "slow", text, f"Set budget_ms to {suggested_budget(time)}, or prefetch more."
        )
    elif time.max_ms * _SLOW > time.budget_ms:
        yield _finding(_NOTE, "slow", f"The server needs much of the time: {told}.", "Prefetch more.")


def suggested_budget(time: TimePart) -> int:
    """Return a budget in milliseconds with half as much again as the slowest patient took."""
    wanted = -(-time.max_ms * 3 // 200) * 100
    return min(30_000, max(time.budget_ms, wanted))


def _results(tables: Tables) -> Iterator[Finding]:
    names = {row.name for row in tables.read if row.kind == "result"}
    if Analyte.FERRITIN.value not in names:
        text = f"No ferritin was found for any of the {tables.patients} patients."
        fix = "Try patients who have one (--patient). If there are such, look at the laboratory codes below."
        yield _finding(_NOTE, "no-ferritin", text, fix)
    if tables.unknown_laboratory:
        text = f"{len(tables.unknown_laboratory)} local laboratory codes say nothing to the service."
        fix = "If one of them is an iron test, give it a row in the site's code map."
        yield _finding(_NOTE, "unknown-laboratory-code", text, fix)


def _local_codes(rows: Iterable[MapRow]) -> Iterator[Finding]:
    for row in rows:
        severity = _PROBLEM if row.kind == CodeKind.LABORATORY.value else _NOTE
        code = f"{row.system or 'no system'} | {row.code}" if row.code else "a code that is not shown"
        text = (
            f"Local {row.kind} code {code} looks like {row.looks_like}: {row.entries} entries,"
            f" {row.patients} patients. Searches by code miss it; a card says that it was read by name."
        )
        yield _finding(severity, "local-code", text, "Give it a row in the site's code map (ready below).")


def _units(rows: Iterable[UnitRow]) -> Iterator[Finding]:
    for row in rows:
        if not row.understood:
            text = f"{row.analyte}: unit {row.unit} was not understood in {row.entries} results."
            fix = "Send the UCUM unit; for results under a local code the code map can name it."
            yield _finding(_PROBLEM, "unit", text, fix)


def _records(tables: Tables) -> Iterator[Finding]:
    for row in tables.issues:
        if row.kind == IssueKind.UNKNOWN_VERSION:
            text = f"{row.resource_type}: {row.count} entries of a FHIR release that is not recognised."
            yield _finding(_PROBLEM, "release", text, "Send one release throughout.")
    broken = sum(row.count for row in tables.issues if row.kind in _BROKEN)
    if broken:
        text = f"{broken} resources could not be used as they are; a card counts them."
        yield _finding(_NOTE, "unusable-resources", text, "See the data issues below.")
    unresolved = sum(row.count for row in tables.issues if row.kind == IssueKind.UNRESOLVED_REFERENCE)
    if unresolved:
        text = f"{unresolved} medicines refer to a Medication that could not be had."
        yield _finding(_NOTE, "medications", text, "Let the token read Medication, or send a display.")
    if tables.unreadable_medicines:
        text = f"{tables.unreadable_medicines} current medicines have no readable name."
        yield _finding(_NOTE, "medicines", text)
    validation = tables.validation
    if validation is not None and validation.valid < validation.resources:
        count = validation.resources - validation.valid
        text = f"{count} of {validation.resources} resources are not valid FHIR {validation.release}."
        yield _finding(
            _NOTE, "validation", text, "The service reads past most of it; see the elements below."
        )


def keys_to_leave_out(searches: Iterable[SearchRow], patients: int) -> tuple[str, ...]:
    """Return the prefetch keys whose resource type the server does not have."""
    absent = {FetchProblem.NOT_FOUND.value, FetchProblem.UNEXPECTED_STATUS.value}
    return tuple(
        row.key
        for row in searches
        if row.key in PREFETCH_NEEDS
        and PREFETCH_NEEDS[row.key] != Need.PATIENT.value
        and sum(count for problem, count in row.problems.items() if problem in absent) == patients
    )
