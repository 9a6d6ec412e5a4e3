"""One JSON line for each call; only the fields named here can ever get into it, and no text of a record."""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

LOGGER = logging.getLogger("cds_service")
# It tells again and again that a collector is out of reach, in words that are none of ours.
_SENDER = "opentelemetry"

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
        "part",
        "place",
        "refusal",
        "route",
        "searches",
        "searches_failed",
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
    """Send the service's own lines to stderr, once, and those of what sends traces: their names alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for logger in (LOGGER, logging.getLogger(_SENDER)):
        if not any(isinstance(one.formatter, JsonLines) for one in logger.handlers):
            logger.addHandler(handler)
        logger.propagate = False
    LOGGER.setLevel(level)
