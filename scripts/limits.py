"""The generated parts of docs/operations.md: what is counted, and every limit as the code holds it."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from annotated_types import Le
from gunicorn.config import make_settings  # type: ignore[import-untyped] # gunicorn ships no types
from tables import table

from cds_service import live
from cds_service.adapters import fhir_answers, fhir_server, keys, postgresql, rate_limit, store, tokens
from cds_service.adapters.metrics import CATALOGUE
from cds_service.adapters.prometheus import WORKERS
from cds_service.cli import connections
from cds_service.cli.server import options
from cds_service.profile import ClientProfile, FhirPolicy, Trust
from cds_service.protocol import envelope, feedback, jsonio
from cds_service.settings import Settings
from cds_service.trust import TrustPart
from cds_service.web import audit, operations

_MEBIBYTE = 1024 * 1024


def metrics_part() -> str:
    """Return the table of everything that is counted."""
    rows = [
        (f"`{one.published}`", ", ".join(f"`{label}`" for label in one.labels), one.told)
        for one in CATALOGUE.values()
    ]
    rows.append((f"`{WORKERS}`", "", "Worker processes that are alive (gauge)"))
    return table(("name", "labels", "meaning"), rows)


def limits_part() -> str:
    """Return the table of all limits, from the constants and defaults that the service runs with."""
    return table(("limit", "value", "beyond it"), _limits())


def _limits() -> list[tuple[str, str, str]]:
    return [*_limits_of_calls(), *_limits_of_callers(), *_limits_of_searches(), *_times()]


def _limits_of_calls() -> list[tuple[str, str, str]]:
    server, settings = make_settings(), Settings()
    line, headers = server["limit_request_line"].default, server["limit_request_fields"].default
    return [
        ("body (`RLS_CDS_MAX_BODY`)", _bytes(settings.max_body), "413"),
        ("nesting of JSON", f"{jsonio.MAX_DEPTH} levels", "400"),
        ("values of a feedback, or of a call without its records", f"{jsonio.MAX_VALUES}", "400"),
        ("`patientId`, `userId`, `encounterId`, `hookInstance`", f"{envelope.LONGEST_ID} characters", "400"),
        ("cards of a feedback, and suggestions of a card", f"{feedback.MAX_ENTRIES}", "400"),
        ("request line", f"{line} bytes", "414"),
        ("header lines", f"{headers}", "431"),
        ("head of a request", f"{connections.LONGEST_HEAD:g} s", "the connection is closed"),
        ("silence in a body", f"{connections.LONGEST_SILENCE:g} s", "400, the connection is closed"),
        ("whole body", f"{connections.LONGEST_BODY:g} s", "400, the connection is closed"),
        ("silence of who takes an answer", f"{connections.LONGEST_SILENCE:g} s", "the connection is closed"),
        ("whole answer", f"{connections.LONGEST_ANSWER:g} s", "the connection is closed"),
        ("comment of a feedback", f"{feedback.MAX_COMMENT} characters", "cut off"),
        (
            "calls at once",
            f"{settings.workers} processes of {settings.threads} threads",
            "wait their turn",
        ),
    ]


def _limits_of_callers() -> list[tuple[str, str, str]]:
    trust, profile = _defaults(Trust), _defaults(ClientProfile)
    return [
        ("calls of a client (`rate_limit`)", f"{profile['rate_limit']} a minute", "429 with `Retry-After`"),
        ("calls of a client at once", f"those of {rate_limit.BURST_SECONDS} s", "429 with `Retry-After`"),
        ("token", _bytes(tokens.LONGEST), "401"),
        (
            "lifetime of a token (`lifetime_s`)",
            f"{trust['lifetime_s']} s, at most {_most('lifetime_s')} s",
            "401",
        ),
        ("difference of clocks (`leeway_s`)", f"{trust['leeway_s']} s, at most {_most('leeway_s')} s", "401"),
        ("key set", f"{keys.MOST_KEYS} keys, {_bytes(keys.LARGEST)}", "the last good set goes on"),
        (
            "store of used tokens",
            _of_the_store(),
            "503",
        ),
        (
            "age of a key set",
            f"{keys.MAX_AGE:g} s, {keys.LAST_GOOD / 3600:g} h while its address fails",
            "503",
        ),
    ]


def _of_the_store() -> str:
    postgres = f"{store.BUDGET:g} s PostgreSQL, {postgresql.LONGEST:g} s more to connect"
    return f"{postgres}; {store.BUSY_MS / 1000:g} s SQLite"


def _limits_of_searches() -> list[tuple[str, str, str]]:
    budget = _defaults(FhirPolicy)["budget_ms"]
    return [
        ("all searches of a call (`RLS_CDS_FHIR_BUDGET_MS`)", f"{budget} ms", "the rest counts as not read"),
        ("searches of a call at a time", str(fhir_server.PARALLEL), "wait their turn"),
        (
            "names looked up at a time",
            f"{fhir_server.MOST_LOOKUPS} in a process",
            "the name counts as unknown",
        ),
        ("pages of a search", str(fhir_server.MAX_PAGES), "the list counts as cut off"),
        ("resources of a call", str(fhir_server.MAX_RESOURCES), "the list counts as cut off"),
        ("page", _bytes(fhir_answers.MAX_PAGE_BYTES), "the search counts as failed"),
        ("all pages of a call", _bytes(fhir_server.MAX_BYTES), "the search counts as failed"),
    ]


def _times() -> list[tuple[str, str, str]]:
    server = options(Settings())
    return [
        ("rest of the running calls at a stop", f"{server['graceful_timeout']} s", "they are cut off"),
        ("idle connection", f"{server['keepalive']} s", "it is closed"),
        ("change of the clients file is seen", f"within {live.CHECK_EVERY:g} s", ""),
        ("an answer of `/readyz` is kept", f"{operations.KEPT_SECONDS:g} s", ""),
        (
            "refused callers in the audit log",
            f"{audit.MOST_REFUSALS} a minute in a process",
            "counted in one event",
        ),
        (
            "audit log (`RLS_CDS_AUDIT_DAYS`)",
            f"{Settings().audit_days} days",
            "`rls-cds audit purge` removes it",
        ),
    ]


def _defaults(of: type[Any]) -> Mapping[str, Any]:
    return {one.name: one.default for one in fields(of)}


def _most(name: str) -> int:
    """Return the upper bound of a member of `[clients.trust]`."""
    return next(
        int(str(bound.le)) for bound in TrustPart.model_fields[name].metadata if isinstance(bound, Le)
    )


def _bytes(number: int) -> str:
    if number % _MEBIBYTE == 0:
        return f"{number // _MEBIBYTE} MiB"
    return f"{number // 1024} KiB"


PARTS: Mapping[str, Callable[[], str]] = {"limits": limits_part, "metrics": metrics_part}
