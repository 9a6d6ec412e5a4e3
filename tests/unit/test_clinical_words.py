"""Results, days and ages in the words of a card."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from cds_service.clinical.facts import Analyte, PartialDate, Result, ResultNote, ResultStatus, Source
from cds_service.clinical.interval import Interval
from cds_service.clinical.words import age_words, date_words, original_words, value_words

TODAY = date(2026, 11, 22)


def result(shown: str = "40 ng/mL", *, days: int = 10) -> Result:
    day = TODAY - timedelta(days=days)
    when = PartialDate(day, day, datetime(day.year, day.month, day.day, tzinfo=UTC), day.isoformat())
    return Result(
        source=Source(1, "Observation"),
        analyte=Analyte.FERRITIN,
        status=ResultStatus.FINAL,
        when=when,
        interval=Interval.exactly(Decimal(40)),
        shown=shown,
    )


def test_a_day_that_is_not_recorded_is_said_not_to_be() -> None:
    assert date_words(None) == "date not recorded"
    assert date_words(date(2026, 2, 3)) == "2026-02-03"


@pytest.mark.parametrize(
    ("days", "words"),
    [(0, "0 days"), (1, "1 days"), (729, "729 days"), (730, "2 years"), (1094, "2 years"), (1095, "3 years")],
)
def test_an_age_is_told_in_days_up_to_two_years_then_in_whole_years(days: int, words: str) -> None:
    assert age_words(result(days=days), TODAY) == words


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("40 ng/mL", "40 ng/mL"),
        ("<10 ng/mL", "below 10 ng/mL"),
        ("<= 10 ng/mL", "at most 10 ng/mL"),
        (">1000 ng/mL", "above 1000 ng/mL"),
        (">=1000 ng/mL", "at least 1000 ng/mL"),
    ],
)
def test_a_comparator_is_put_in_words(shown: str, words: str) -> None:
    assert value_words(result(shown)) == words


def test_a_value_is_shown_as_sent_only_where_it_was_converted() -> None:
    sent = replace(result("90 pmol/L"), shown_canonical="40 ng/mL")
    assert original_words(sent) is None
    converted = replace(sent, notes=frozenset({ResultNote.CONVERTED_MOLAR}))
    assert (value_words(converted), original_words(converted)) == ("40 ng/mL", "90 pmol/L")
    same = replace(converted, shown_canonical="90 pmol/L")
    assert original_words(same) is None
