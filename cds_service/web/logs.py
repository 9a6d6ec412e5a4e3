"""One JSON line for each call; only the fields named here can ever get into it, and no text of a record."""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

LOGGER = logging.getLogger("cds_service")

ALLOWED = frozenset(
    {
        "cards",
        "client",
        "duration_ms",
        "exception",
        "fault",
        "head",
        "incident",
        "issuer",
        "issues",
        "knowledge",
        "method",
        "outcomes",
        "place",
        "refusal",
        "route",
        "status",
    },
)
"""Fields of a log line; each takes names of ours, counts and identifiers of this service alone."""

Value = str | int | float | Sequence[str]


def log_event(event: str, level: int = logging.INFO, **fields: Value) -> None:
    """Log one event; a field that is not allowed is dropped, so that a slip cannot publish a record."""
    if LOGGER.isEnabledFor(level):
        kept = {name: value for name, value in fields.items() if name in ALLOWED}
        LOGGER.log(level, event, extra={"fields": kept})


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; tracebacks and arguments are left out, they can hold values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = getattr(record, "fields", None)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.msg if isinstance(fields, dict) else record.name,
            **(fields if isinstance(fields, dict) else {}),
        }
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send the service's own lines to stderr, once."""
    if not any(isinstance(handler.formatter, JsonLines) for handler in LOGGER.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        LOGGER.addHandler(handler)
    LOGGER.setLevel(level)
    LOGGER.propagate = False
