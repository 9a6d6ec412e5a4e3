"""What is written down of calls, fetches, refusals and feedback: FHIR R4 AuditEvents, shaped like IHE BALP.

An event tells who did what for whom and when, never what a record says: no value, no card, no token. It
holds identifiers of patient and user, so it goes into a log of its own and nowhere else.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_OBSERVER = "rls-iron-cds"

Json = dict[str, Any]


class AuditKind(StrEnum):
    """What happened."""

    CALL = "call"
    SEARCH = "search"
    READ = "read"
    REFUSAL = "refusal"
    FEEDBACK = "feedback"


class AuditOutcome(StrEnum):
    """How it ended (the codes of AuditEvent.outcome)."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"


@dataclass(frozen=True, slots=True)
class CallIdentity:
    """Who calls for whom: as the call names them; `client` is "" where nobody proved to be a client."""

    hook_instance: str
    patient_id: str
    user_id: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class AuditFact:
    """One thing that happened.

    `server` and `query` say where and what was asked of a FHIR server, `cards` are the uuids of the cards
    that were sent, `reason` is a word of ours for what went wrong. `client` has proved to be that client; it
    counts where no `call` names one. `issuer` is one of ours, which a refused token named without proof.
    """

    kind: AuditKind
    recorded: datetime
    outcome: AuditOutcome
    call: CallIdentity | None = None
    server: str = ""
    query: str = ""
    cards: tuple[str, ...] = ()
    reason: str = ""
    versions: str = ""
    client: str = ""
    issuer: str = ""


def audit_event(fact: AuditFact) -> Json:
    """Return the AuditEvent (FHIR R4) of a fact."""
    kind, subtype, action = _TYPES[fact.kind]
    event: Json = {
        "resourceType": "AuditEvent",
        "type": _coding(*kind),
        "subtype": [_coding(*subtype)],
        "action": action,
        "recorded": fact.recorded.isoformat(timespec="milliseconds"),
        "outcome": fact.outcome.value,
        "agent": _agents(fact),
        "source": {
            "observer": {"display": _OBSERVER},
            "type": [_coding(f"{_TERMINOLOGY}/security-source-type", "4", "Application Server")],
        },
    }
    if fact.reason:
        event["outcomeDesc"] = fact.reason
    entities = _entities(fact)
    if entities:
        event["entity"] = entities
    return event


_Code = tuple[str, str, str]
_REST: _Code = (f"{_TERMINOLOGY}/audit-event-type", "rest", "Restful Operation")
_TYPES: Mapping[AuditKind, tuple[_Code, _Code, str]] = {
    AuditKind.CALL: (_REST, (_INTERACTION, "operation", "operation"), "E"),
    AuditKind.FEEDBACK: (_REST, (_INTERACTION, "operation", "operation"), "E"),
    AuditKind.SEARCH: (_REST, (_INTERACTION, "search-type", "search-type"), "E"),
    AuditKind.READ: (_REST, (_INTERACTION, "read", "read"), "R"),
    AuditKind.REFUSAL: (
        (_DICOM, "110114", "User Authentication"),
        (_DICOM, "110122", "Login"),
        "E",
    ),
}
_OUTGOING = frozenset({AuditKind.SEARCH, AuditKind.READ})


def _coding(system: str, code: str, display: str) -> Json:
    return {"system": system, "code": code, "display": display}


def _agents(fact: AuditFact) -> list[Json]:
    """Return who asked and who answered, and the user for whom it was done."""
    proven = fact.call.client if fact.call is not None else fact.client
    caller = proven or "not authenticated"
    ours, theirs = {"display": _OBSERVER}, {"display": fact.server or caller}
    asking, answering = (ours, theirs) if fact.kind in _OUTGOING else (theirs, ours)
    agents = [
        {"type": _concept(_DICOM, "110153", "Source Role ID"), "who": asking, "requestor": fact.call is None},
        {"type": _concept(_DICOM, "110152", "Destination Role ID"), "who": answering, "requestor": False},
    ]
    if fact.call is not None:
        kind = _concept(f"{_TERMINOLOGY}/v3-ParticipationType", "IRCP", "information recipient")
        agents.append({"type": kind, "who": _reference(fact.call.user_id), "requestor": True})
    return agents


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [_coding(system, code, display)]}


def _reference(text: str) -> Json:
    """Return a reference where a text is one, else an identifier: callers write what they like."""
    kind, _, rest = text.partition("/")
    if kind in _USERS and rest:
        return {"reference": text}
    return {"identifier": {"value": text}}


_USERS = frozenset({"Practitioner", "PractitionerRole", "Patient", "RelatedPerson"})


def _entities(fact: AuditFact) -> list[Json]:
    found: list[Json] = []
    if fact.call is not None:
        found.append(
            {
                "what": {"reference": f"Patient/{fact.call.patient_id}"},
                "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "1", "Person"),
                "role": _coding(f"{_TERMINOLOGY}/object-role", "1", "Patient"),
            }
        )
        found.append(
            {
                "what": {"identifier": {"value": fact.call.hook_instance}},
                "type": _coding(_BALP, "XrequestId", "X-Request-Id"),
            }
        )
    if fact.query:
        found.append(
            {
                "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object"),
                "role": _coding(f"{_TERMINOLOGY}/object-role", "24", "Query"),
                "query": base64.b64encode(fact.query.encode()).decode(),
            }
        )
    details = _details(fact)
    if details:
        found.append(
            {
                "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object"),
                "detail": details,
            }
        )
    return found


def _details(fact: AuditFact) -> Sequence[Json]:
    return [
        *({"type": "card", "valueString": card} for card in fact.cards),
        *([{"type": "issuer named", "valueString": fact.issuer}] if fact.issuer else []),
        *([{"type": "versions", "valueString": fact.versions}] if fact.versions else []),
    ]
