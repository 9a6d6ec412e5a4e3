"""Validates the published resources, AuditEvents and an OperationOutcome with HAPI's FhirInstanceValidator.

    python -m tests.published.validate

Needs Java 17 and Maven. No terminology server is asked. Exit code 1 for any message that is not listed with
its reason in suppressed.toml, and for an entry there that no longer occurs.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cds_service.app import load_knowledge, publication_of
from cds_service.audit import AuditFact, AuditKind, AuditOutcome, CallIdentity, audit_event
from cds_service.cli.publishing import write_publication
from cds_service.protocol.outcome import Issue, operation_outcome
from cds_service.settings import Settings
from tests.integration.hapi_server import ServerError, java_command

SECONDS = 420
BROKEN = "broken-"
"""Begins the names of files in which an error must be found."""

SUPPRESSED = Path(__file__).parent / "suppressed.toml"


@dataclass(frozen=True)
class Message:
    """What the validator said about one place of one file."""

    severity: str
    file: str
    place: str
    id: str
    text: str

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.severity} {self.file} {self.place}: {self.text}"


@dataclass(frozen=True)
class Suppression:
    """Messages that are no faults of ours, and why."""

    severity: str
    file: re.Pattern[str]
    message: re.Pattern[str]
    reason: str

    def covers(self, one: Message) -> bool:
        """Return whether it is about this message."""
        is_meant = self.severity == one.severity and self.file.fullmatch(one.file)
        return bool(is_meant and self.message.fullmatch(one.text))


def suppressions(text: str) -> list[Suppression]:
    """Return the entries of a list; raises KeyError for one without a reason."""
    return [
        Suppression(row["severity"], re.compile(row["file"]), re.compile(row["message"]), row["reason"])
        for row in tomllib.loads(text)["suppressed"]
    ]


def samples() -> Iterator[tuple[str, bytes]]:
    """Yield an AuditEvent of each kind, with and without a caller, and an OperationOutcome, by file name."""
    call = CallIdentity("d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "p1", "Practitioner/u1", "a-client")
    unreadable = CallIdentity("d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "p1", "someone")
    for kind in AuditKind:
        for name, caller in (("known", call), ("unreadable", unreadable), ("none", None)):
            fact = AuditFact(
                kind,
                datetime(2026, 11, 22, 9, 30, 0, 1000, tzinfo=UTC),
                AuditOutcome.SUCCESS,
                call=caller,
                server="https://ehr.example.org/fhir",
                query="Observation?patient=p1",
                cards=("3b8a2e0c-6d1f-5a6b-9a49-0d4f6f6a7c11",),
                reason="a word of ours",
                versions="service 1, knowledge 1 (0)",
            )
            yield f"AuditEvent-{kind.value}-{name}.json", json.dumps(audit_event(fact)).encode()
    issues = [Issue("processing", "What.", "Heading."), Issue("incomplete", "Why.", severity="warning")]
    yield "OperationOutcome-412.json", operation_outcome(issues)


def broken(base: str) -> Iterator[tuple[str, bytes]]:
    """Yield resources that the validator must refuse, by file name: a required element and our extension."""
    event = audit_event(AuditFact(AuditKind.CALL, datetime(2026, 11, 22, tzinfo=UTC), AuditOutcome.SUCCESS))
    del event["recorded"]
    yield f"{BROKEN}AuditEvent.json", json.dumps(event).encode()
    wrong = {"url": f"{base}/StructureDefinition/code-source", "valueInteger": 1}
    include = {"extension": [wrong], "system": "http://loinc.org", "concept": [{"code": "2276-4"}]}
    value_set = {"resourceType": "ValueSet", "url": f"{base}/ValueSet/broken", "status": "draft"}
    value_set["compose"] = {"include": [include]}
    yield f"{BROKEN}ValueSet.json", json.dumps(value_set).encode()


def write_all(folder: Path) -> int:
    """Write the publication and the samples to a folder and return how many files it holds."""
    settings = Settings()
    count = write_publication(publication_of(settings, load_knowledge(settings)), folder)
    # Each resource stands in a file of its own.
    (folder / "Bundle-knowledge.json").unlink()
    made = [*samples(), *broken(settings.canonical_base)]
    for name, body in made:
        (folder / name).write_bytes(body)
    return count - 1 + len(made)


def validated(folder: Path) -> tuple[int, list[Message]]:
    """Return how many files the validator read and what it said; raises ServerError where it broke down."""
    command = java_command("integration.Validate", str(folder))
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    *lines, last = result.stdout.splitlines() or [""]
    if result.returncode or not last.startswith("validated "):
        raise ServerError(f"The validator broke down:\n{result.stderr[-3000:]}")
    found = [Message(*line.split("\t")) for line in lines]
    return int(last.removeprefix("validated ")), found


def report(
    messages: Sequence[Message], known: Sequence[Suppression], must_be_refused: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Return the lines to print, and what fails the run."""
    counts: Counter[int] = Counter()
    faults: list[str] = []
    refused = {one.file for one in messages if one.severity == "ERROR"}
    faults += [f"{name} was not refused" for name in must_be_refused if name not in refused]
    for one in messages:
        if one.file in must_be_refused:
            continue
        number = next((i for i, entry in enumerate(known) if entry.covers(one)), None)
        if number is None:
            faults.append(str(one))
        else:
            counts[number] += 1
    lines = [
        f"suppressed {counts[i]} x {one.severity} {one.message.pattern}\n    because {one.reason}"
        for i, one in enumerate(known)
    ]
    faults += [f"no longer occurs: {one.message.pattern}" for i, one in enumerate(known) if not counts[i]]
    return lines, faults


def main() -> int:
    """Return 1 if there is a fault, 2 if the validator cannot be had."""
    known = suppressions(SUPPRESSED.read_text(encoding="utf-8"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            written = write_all(Path(folder))
            read, messages = validated(Path(folder))
    except (ServerError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 2
    lines, faults = report(messages, known, [name for name, _ in broken(Settings().canonical_base)])
    if read != written:
        faults.append(f"{written} files were written, {read} validated")
    print("\n".join([*lines, *faults]))
    refused = {one.file for one in messages if one.file.startswith(BROKEN)}
    suppressed = sum(any(entry.covers(one) for entry in known) for one in messages)
    print(
        f"{read} resources validated as FHIR R4, {len(refused)} of them broken on purpose and refused: "
        f"{len(faults)} faults, {suppressed} messages of {len(known)} kinds suppressed"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
