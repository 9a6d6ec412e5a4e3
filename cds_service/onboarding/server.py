"""What a FHIR server says of itself: its CapabilityStatement, or Conformance in DSTU2."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from cds_service.adapters.watched import Exchange
from cds_service.fhir import FhirVersion, version_of_hint
from cds_service.onboarding.onlooker import Onlooker
from cds_service.ports import FetchedPages, FetchProblem, FhirAccess, NextPage
from cds_service.rendering.neutral import plain

_KEY = "metadata"
_STATEMENTS = frozenset({"CapabilityStatement", "Conformance"})
_LONGEST = 60
_FORMAT = re.compile(r"[a-z0-9.+/-]{1,40}", re.IGNORECASE)
_VERSION = re.compile(r"[0-9A-Za-z.-]{1,20}")


class _Code(msgspec.Struct):
    code: str | None = None


class _Parameter(msgspec.Struct):
    name: str | None = None


class _Resource(msgspec.Struct):
    type: str | None = None
    interaction: list[_Code] | None = None
    searchParam: list[_Parameter] | None = None  # noqa: N815 - as FHIR spells it


class _Rest(msgspec.Struct):
    resource: list[_Resource] | None = None


class _Software(msgspec.Struct):
    name: str | None = None
    version: str | None = None


class _Statement(msgspec.Struct):
    resourceType: str | None = None  # noqa: N815 - as FHIR spells it
    fhirVersion: str | None = None  # noqa: N815 - as FHIR spells it
    software: _Software | None = None
    format: list[str] | None = None
    rest: list[_Rest] | None = None


_statement = msgspec.json.Decoder(_Statement)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a server declares for a resource type: whether it can be searched, and by which parameters."""

    is_searchable: bool
    parameters: frozenset[str]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says of itself; `told` is False when no statement could be read.

    `problem` tells why not, `answer` what came last in its place.
    """

    told: bool = False
    version: str = ""
    software: str = ""
    formats: tuple[str, ...] = ()
    types: Mapping[str, Declared] = field(default_factory=dict)
    problem: FetchProblem | None = None
    answer: Exchange | None = None

    @property
    def release(self) -> FhirVersion | None:
        """The FHIR release of the named version, None when none is named."""
        return version_of_hint(self.version)


def ask_server(access: FhirAccess, onlooker: Onlooker, *, budget_seconds: float) -> ServerFacts:
    """Return what the server says at `/metadata`."""
    address = access.address
    question = NextPage(_KEY, f"{address.origin}{address.path}/metadata")
    with onlooker.open(access, budget_seconds=budget_seconds) as session:
        answer = session.fetch([question])[0]
    exchanges = onlooker.take().exchanges
    return _facts(answer, exchanges[-1] if exchanges else None)


def _facts(answer: FetchedPages, last: Exchange | None) -> ServerFacts:
    if not answer.pages:
        return ServerFacts(problem=answer.problem, answer=last)
    try:
        statement = _statement.decode(answer.pages[0])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ServerFacts(problem=FetchProblem.NOT_FHIR, answer=last)
    if statement.resourceType not in _STATEMENTS:
        return ServerFacts(problem=FetchProblem.NOT_FHIR, answer=last)
    version = statement.fhirVersion or ""
    return ServerFacts(
        told=True,
        version=version if _VERSION.fullmatch(version) else "",
        software=_software(statement.software),
        formats=tuple(one for one in statement.format or () if _FORMAT.fullmatch(one)),
        types=_types(statement),
        answer=last,
    )


def _software(software: _Software | None) -> str:
    """Return the name that a server gives itself; like any text from outside it is made harmless."""
    parts = (software.name, software.version) if software is not None else ()
    text = " ".join(part for part in parts if part)
    return plain(text, _LONGEST) if text else ""


def _types(statement: _Statement) -> Mapping[str, Declared]:
    return {
        resource.type: Declared(
            any(one.code == "search-type" for one in resource.interaction or ()),
            frozenset(one.name for one in resource.searchParam or () if one.name),
        )
        for rest in statement.rest or ()
        for resource in rest.resource or ()
        if resource.type
    }
