"""Audit events on their way to a FHIR server: the log is the queue, a file remembers how far it was sent.

An event that the server finds invalid would be so at every try, and all after it would wait for it: it goes
aside, for people to look at.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3

from cds_service.adapters.audit_log import append_line, chains, lines_of
from cds_service.adapters.egress import (
    AddressRefusedError,
    Deadline,
    Dialer,
    PinnedAdapter,
    resolve,
    tls_context,
)
from cds_service.adapters.fhir_server import http_session
from cds_service.addresses import ServerAddress

CURSOR = "sent.json"
ASIDE = "refused.ndjson"
_PER_EVENT = 10.0
_WHOLE_RUN = 600.0
_ACCEPTED = frozenset({200, 201})
_INVALID = frozenset({400, 422})


@dataclass(frozen=True, slots=True)
class Shipped:
    """How many events were sent, why no more ("" where all were), and how many were put aside."""

    count: int
    reason: str = ""
    aside: int = 0


def ship(folder: Path, server: ServerAddress, token: str | None) -> Shipped:
    """Send what was not sent yet, in order, and remember how far that was; raises OSError for the folder.

    Stops at the first event that the server does not take; one that it calls invalid goes aside instead. An
    event that was taken while its answer was lost is sent again: none is lost, one may stand there twice (its
    chain and number tell). Raises `AuditUnavailableError` when none can be put aside.
    """
    sent = _read_cursor(folder)
    deadline = Deadline(_WHOLE_RUN)
    try:
        dialer = Dialer(resolve(server), server.port, deadline)
    except (AddressRefusedError, OSError) as error:
        return Shipped(0, type(error).__name__)
    session = http_session(PinnedAdapter(server, dialer, connections=1, tls=tls_context()), token)
    count, aside, reason = 0, 0, ""
    try:
        for chain, number, event in _unsent(folder, sent):
            answer = _post(session, server, event)
            if answer in _INVALID:
                append_line(folder / ASIDE, {"chain": chain, "n": number, "status": answer, "event": event})
                aside += 1
            elif answer in _ACCEPTED:
                count += 1
            else:
                reason = answer if isinstance(answer, str) else f"answered with {answer}"
                break
            sent[chain] = number
    finally:
        session.close()
        dialer.end()
        _write_cursor(folder, sent)
    return Shipped(count, reason, aside)


def _unsent(folder: Path, sent: dict[str, int]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for chain, paths in chains(folder).items():
        for _, _, line in lines_of(paths):
            if line is not None and line["n"] > sent.get(chain, 0):
                yield chain, line["n"], _tagged(line)


def _tagged(line: dict[str, Any]) -> dict[str, Any]:
    """Return the event with its place in the log, so that a second copy can be told."""
    identifier = {"type": "chain", "valueString": f"{line['chain']}:{line['n']}"}
    event: dict[str, Any] = line["event"]
    return {**event, "entity": [*event.get("entity", ()), {"detail": [identifier]}]}


def _post(session: requests.Session, server: ServerAddress, event: dict[str, Any]) -> int | str:
    """Return the status of the answer, or why there was none."""
    try:
        response = session.post(
            f"{server.origin}{server.path}/AuditEvent",
            data=json.dumps(event).encode(),
            headers={"Content-Type": "application/fhir+json"},
            timeout=_PER_EVENT,
            allow_redirects=False,
        )
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        return type(error).__name__
    return response.status_code


def _read_cursor(folder: Path) -> dict[str, int]:
    path = folder / CURSOR
    if not path.exists():
        return {}
    return {str(chain): int(number) for chain, number in json.loads(path.read_text("ascii")).items()}


def _write_cursor(folder: Path, sent: dict[str, int]) -> None:
    """Write the file anew beside the old one, so that there is always a whole one."""
    fresh = folder / f".{CURSOR}"
    fresh.write_text(json.dumps(sent, sort_keys=True), "ascii")
    fresh.replace(folder / CURSOR)
