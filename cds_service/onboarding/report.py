"""The doctor's report as plain values: what JSON holds, and what the other faces are made of.

No member holds anything of a record but codes, units, code systems and counts.
"""

from typing import Literal

import msgspec

FORMAT = "rls-cds-doctor/1"
"""Name and version of the JSON; the number grows when a member changes its meaning or goes."""


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all parts: frozen, camel case in JSON."""


class ServerPart(Part, frozen=True, kw_only=True):
    """What the server says of itself; `release` is "" when it names none that is read."""

    base: str
    version: str
    release: str
    software: str
    formats: tuple[str, ...]
    problem: str


class SearchRow(Part, frozen=True, kw_only=True):
    """One of the service's searches over all tried patients.

    `declared`: whether the server declares type and search ("yes", "no", "not said"). `statuses` counts HTTP
    answers, `problems` searches that did not bring all there is, `outcomes` issues of OperationOutcomes, as
    "severity code". `by_service` is False for what the doctor alone asks.
    """

    key: str
    query: str
    declared: str
    by_service: bool
    patients: int
    statuses: dict[str, int]
    problems: dict[str, int]
    outcomes: dict[str, int]
    fallbacks: dict[str, int]
    entries: int
    most_pages: int
    median_ms: int
    max_ms: int


class TimePart(Part, frozen=True, kw_only=True):
    """Milliseconds that a patient took, all searches together, against the configured budget."""

    budget_ms: int
    median_ms: int
    max_ms: int
    over_budget: int


class NeedRow(Part, frozen=True, kw_only=True):
    """How far a need was answered, in numbers of patients; `found`: those with anything the rules read."""

    need: str
    answered: int
    cut_off: int
    failed: int
    not_asked: int
    found: int


class CardRow(Part, frozen=True, kw_only=True):
    """Whether a card can come; `missing` are the needs that were not answered for everybody."""

    card: str
    state: Literal["can come", "limited", "cannot come", "switched off"]
    needs: tuple[str, ...]
    missing: tuple[str, ...]
    patients: int


class ReadRow(Part, frozen=True, kw_only=True):
    """Something of the knowledge base that was read, and how it was recognised."""

    kind: str
    name: str
    certainty: str
    entries: int
    patients: int


class UnitRow(Part, frozen=True, kw_only=True):
    """A unit of results; "(none)" where there is none, "(not shown)" where it does not look like one."""

    analyte: str
    unit: str
    understood: bool
    entries: int


class UnreadableRow(Part, frozen=True, kw_only=True):
    """Why results that exist could not be used."""

    analyte: str
    reason: str
    entries: int


class CodeSystemRow(Part, frozen=True, kw_only=True):
    """A code system in resources of a type: distinct codes, those that the rules know, and entries."""

    resource_type: str
    system: str
    codes: int
    known: int
    entries: int


class MapRow(Part, frozen=True, kw_only=True):
    """A local code with the standard code that it may count as; empty where nothing tells."""

    kind: str
    system: str
    code: str
    looks_like: str
    target_system: str
    target_code: str
    entries: int
    patients: int


class IssueRow(Part, frozen=True, kw_only=True):
    """A kind of clean-up or skipped resource while reading."""

    kind: str
    resource_type: str
    detail: str
    count: int
    patients: int


class FaultRow(Part, frozen=True, kw_only=True):
    """A fault against the definition of FHIR: element path and kind."""

    resource_type: str
    fault: str
    count: int


class ValidationPart(Part, frozen=True, kw_only=True):
    """Full validation of every resource; `release` is the one that it was held against."""

    release: str
    resources: int
    valid: int
    faults: tuple[FaultRow, ...]


class Finding(Part, frozen=True, kw_only=True):
    """Something to know, with what to do; a problem makes the exit code 1."""

    severity: Literal["problem", "note"]
    code: str
    text: str
    fix: str


class SettingPart(Part, frozen=True, kw_only=True):
    """Lines to copy into a file or the environment."""

    name: str
    text: str


class Report(Part, frozen=True, kw_only=True):
    """Everything that the doctor found."""

    format: str
    service: str
    knowledge: str
    client: str
    patients: int
    found_by: str
    server: ServerPart
    findings: tuple[Finding, ...]
    settings: tuple[SettingPart, ...]
    time: TimePart
    searches: tuple[SearchRow, ...]
    needs: tuple[NeedRow, ...]
    cards: tuple[CardRow, ...]
    no_card: int
    not_assessed: int
    read: tuple[ReadRow, ...]
    units: tuple[UnitRow, ...]
    unreadable: tuple[UnreadableRow, ...]
    code_systems: tuple[CodeSystemRow, ...]
    unmapped: tuple[MapRow, ...]
    unknown_laboratory: tuple[MapRow, ...]
    unreadable_medicines: int
    issues: tuple[IssueRow, ...]
    validation: ValidationPart

    @property
    def problems(self) -> int:
        """The number of things that the cards need and that do not work."""
        return sum(one.severity == "problem" for one in self.findings)

    @property
    def verdict(self) -> str:
        """The number in words."""
        return "1 problem found" if self.problems == 1 else f"{self.problems} problems found"
