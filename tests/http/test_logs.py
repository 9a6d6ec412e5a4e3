"""Log lines: JSON, only allowed fields, no values and no tracebacks."""

import json
import logging
import sys

import pytest

from cds_service.web.logs import LOGGER, JsonLines, log_event, log_to_stderr
from tests.http.requests import CANARY


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonLines().format(record)
    assert CANARY not in text
    assert len(text.splitlines()) == 1
    parsed: dict[str, object] = json.loads(text)
    return parsed


def test_an_event_is_one_line_of_allowed_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    LOGGER.addHandler(caplog.handler)
    try:
        log_event("call", status=200, cards=["IRON-03"], patient=CANARY)
        log_event("call", logging.DEBUG, status=500)
    finally:
        LOGGER.removeHandler(caplog.handler)
    assert {json.dumps(line(record), sort_keys=True) for record in caplog.records} == {
        json.dumps(
            {
                **line(caplog.records[0]),
                "event": "call",
                "level": "info",
                "cards": ["IRON-03"],
                "status": 200,
            },
            sort_keys=True,
        ),
    }


def recorded(**fields: object) -> logging.LogRecord:
    record = logging.LogRecord("cds_service", logging.INFO, "f.py", 1, "call", (), None)
    record.fields = fields
    return record


def test_times_are_told_in_utc() -> None:
    record = recorded(status=200)
    record.created = 1795348800.5  # 22 November 2026, noon in Greenwich
    assert line(record)["time"] == "2026-11-22T12:00:00.500+00:00"


@pytest.mark.parametrize("text", ["a\nb", 'a"}\r\n{"event":"call"', "a\x1b[2J", "a\u2028b\x85c"])
def test_no_value_can_begin_another_line(text: str) -> None:
    written = JsonLines().format(recorded(route=text))
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["route"] == text


def test_a_foreign_line_says_only_where_it_came_from() -> None:
    try:
        int(CANARY)
    except ValueError:
        record = logging.LogRecord("werkzeug", logging.ERROR, "f.py", 1, "%s", (CANARY,), sys.exc_info())
    assert line(record).keys() == {"time", "level", "event"}
    assert line(record)["event"] == "werkzeug"


def test_lines_go_to_stderr_once(capsys: pytest.CaptureFixture[str]) -> None:
    handlers, level, propagates = list(LOGGER.handlers), LOGGER.level, LOGGER.propagate
    LOGGER.handlers.clear()
    try:
        log_to_stderr()
        log_to_stderr()
        log_event("call", status=200)
    finally:
        LOGGER.handlers[:], LOGGER.propagate = handlers, propagates
        LOGGER.setLevel(level)
    (written,) = capsys.readouterr().err.splitlines()
    assert json.loads(written)["status"] == 200
