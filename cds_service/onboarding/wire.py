"""Sheets and reports as JSON."""

import msgspec

from cds_service.onboarding.sheet import BuildSheet


def as_json(value: BuildSheet) -> str:
    """Return the JSON of a sheet or report, indented, with every member."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
