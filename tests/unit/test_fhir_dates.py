"""FHIR dates of any precision as days in the configured zone."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir import dates
from cds_service.fhir.dates import midnight, read_date

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
KIRITIMATI = ZoneInfo("Pacific/Kiritimati")
ZONES = st.sampled_from([UTC_ZONE, BERLIN, KIRITIMATI, ZoneInfo("America/Los_Angeles")])


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("2026-02", date(2026, 2, 1), date(2026, 2, 28)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2026-10-01", date(2026, 10, 1), date(2026, 10, 1)),
        ("0001-01-01", date(1, 1, 1), date(1, 1, 1)),
        ("9999-12", date(9999, 12, 1), date(9999, 12, 31)),
    ],
)
def test_a_partial_date_is_every_day_that_it_may_mean_and_is_shown_as_it_came(
    text: str, first: date, last: date
) -> None:
    read = read_date(text, BERLIN)
    assert read is not None
    assert (read.value.earliest, read.value.latest, read.value.shown) == (first, last, text)
    assert read.value.instant == midnight(first, BERLIN)
    assert read.cleanups == ()


@pytest.mark.parametrize(
    ("text", "zone", "day"),
    [
        ("2026-10-01T23:30:00Z", UTC_ZONE, date(2026, 10, 1)),
        ("2026-10-01T23:30:00Z", BERLIN, date(2026, 10, 2)),
        ("2026-10-01T00:30:00+02:00", UTC_ZONE, date(2026, 9, 30)),
        ("2026-10-01T12:00:00Z", KIRITIMATI, date(2026, 10, 2)),
        ("2026-10-01T08:00:00.123456789+02:00", BERLIN, date(2026, 10, 1)),
        ("2026-10-01T08:00:60Z", UTC_ZONE, date(2026, 10, 1)),
    ],
)
def test_an_instant_falls_on_the_calendar_day_of_the_configured_zone(
    text: str, zone: ZoneInfo, day: date
) -> None:
    read = read_date(text, zone)
    assert read is not None
    assert (read.value.earliest, read.value.latest, read.value.shown) == (day, day, day.isoformat())
    assert read.cleanups == ()


@pytest.mark.parametrize(
    ("text", "cleanup"),
    [
        ("2026-10-01T08:00:00", dates.CLEANED_NO_ZONE),
        ("2026-10-01T08:00Z", dates.CLEANED_NO_SECONDS),
        ("2026-10-01 08:00:00Z", dates.CLEANED_SEPARATOR),
        ("2026-10-01T24:00:00Z", dates.CLEANED_TIME),
        ("2026-10-01T08:61:00Z", dates.CLEANED_TIME),
        ("2026-10-01T08:00:00+25:00", dates.CLEANED_TIME),
        ("2026-10-01Tmorning", dates.CLEANED_TIME),
        (" 2026-10-01 ", dates.CLEANED_BLANKS),
    ],
)
def test_a_slightly_wrong_date_is_used_and_the_clean_up_is_named(text: str, cleanup: str) -> None:
    read = read_date(text, UTC_ZONE)
    assert read is not None
    assert read.value.earliest == date(2026, 10, 1)
    assert cleanup in read.cleanups


def test_a_time_without_zone_is_a_time_of_the_configured_zone() -> None:
    read = read_date("2026-10-01T08:00:00", BERLIN)
    assert read is not None
    assert read.value.instant == datetime(2026, 10, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "soon", "0000", "2026-13", "2026-02-30", "2026-1-1", "20261001", "2026-W40-4"),
        *("01.10.2026", "10/01/2026", "2026-10-01x", "٢٠٢٦", "2026-10-01T" + "0" * 100, "-2026", "2026-00"),
    ],
)
def test_what_is_no_date_is_not_read(text: str) -> None:
    assert read_date(text, UTC_ZONE) is None


def test_instants_are_ordered_through_the_night_when_clocks_go_back() -> None:
    before = read_date("2026-10-25T02:50:00+02:00", BERLIN)
    after = read_date("2026-10-25T02:10:00+01:00", BERLIN)
    assert before is not None
    assert after is not None
    assert before.value.instant < after.value.instant


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("zone", [KIRITIMATI, ZoneInfo("America/Los_Angeles")])
def test_the_ends_of_the_calendar_are_dates_too(text: str, zone: ZoneInfo) -> None:
    read = read_date(text, zone)
    assert read is not None
    assert read.value.earliest in {date(1, 1, 1), date(9999, 12, 31)}


@given(st.text(max_size=80), ZONES)
def test_any_text_is_read_or_not_but_never_raises(text: str, zone: ZoneInfo) -> None:
    read = read_date(text, zone)
    if read is not None:
        assert read.value.earliest <= read.value.latest
        assert read.value.instant.tzinfo is not None


@given(
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:?[0-9]{2})?",
        fullmatch=True,
    ),
    ZONES,
)
def test_what_looks_like_a_date_time_never_raises(text: str, zone: ZoneInfo) -> None:
    read = read_date(text, zone)
    assert read is None or read.value.is_exact


@given(st.datetimes(timezones=st.just(UTC)), ZONES)
def test_an_exact_instant_keeps_its_instant(moment: datetime, zone: ZoneInfo) -> None:
    text = f"{moment:%H:%M:%S}"
    read = read_date(f"{moment.date().isoformat()}T{text}Z", zone)
    assert read is not None
    assert read.value.instant == moment.replace(microsecond=0)


@given(st.dates(), ZONES)
def test_a_day_comes_before_every_moment_of_it_that_is_later_than_midnight(day: date, zone: ZoneInfo) -> None:
    whole, noon = read_date(day.isoformat(), zone), read_date(f"{day.isoformat()}T12:00:00", zone)
    assert whole is not None
    assert noon is not None
    assert whole.value.earliest == noon.value.earliest == day
    # At the two ends of the calendar an instant in UTC cannot be told from the wall clock.
    assert whole.value.instant < noon.value.instant or day in {date.min, date.max}
