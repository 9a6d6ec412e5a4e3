"""OperationOutcome: the body of every answer that is not a success (FHIR R4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem: an R4 issue type, a sentence for the caller's developer, a heading for people."""

    code: str
    diagnostics: str
    text: str = ""
    severity: str = "error"


def operation_outcome(issues: Sequence[Issue]) -> bytes:
    """Return the JSON of an OperationOutcome with at least one issue."""
    return msgspec.json.encode(
        {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in issues]},
    )


def _issue(issue: Issue) -> dict[str, object]:
    details = {"details": {"text": issue.text}} if issue.text else {}
    return {"severity": issue.severity, "code": issue.code, **details, "diagnostics": issue.diagnostics}
