"""Sheets and reports as JSON."""

from typing import Any

import msgspec

from cds_service.onboarding.report import Report


def as_json(value: msgspec.Struct) -> str:
    """Return the JSON of a sheet or report, indented, with every member."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of a report."""
    return msgspec.json.schema(Report)
