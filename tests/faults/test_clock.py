"""The machine's clock where it should not be: tokens, the day of an answer, and what is kept for how long."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine
from flask.testing import FlaskClient

from cds_service.adapters.clock import SystemClock
from cds_service.app import build_assess, create_app
from cds_service.settings import Settings
from tests.builders import TODAY, hook_request, prefetch
from tests.http.requests import SERVICE
from tests.tokens import claims_of, sign, site

BODY = hook_request(prefetch(["RLS", {"ferritin": 20}]))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[FlaskClient]:
    with time_machine.travel(NOW, tick=False):
        yield create_app(site(tmp_path).settings).test_client()


def call(web: FlaskClient, token: str) -> int:
    response = web.post(SERVICE, json=BODY, headers={"Authorization": f"Bearer {token}"})
    assert ("cards" in response.json) is (response.status_code == 200)
    return response.status_code


@pytest.mark.parametrize("moved", [TEN_MINUTES, -TEN_MINUTES])
def test_ten_minutes_off(web: FlaskClient, moved: timedelta) -> None:
    """Tokens of a right clock are refused, not taken for longer; they are good when it is right again."""
    token = sign(claims_of())
    with time_machine.travel(NOW + moved, tick=False):
        assert call(web, token) == 401
    assert [call(web, token), call(web, token)] == [200, 401]


def test_set_forward_and_back(web: FlaskClient) -> None:
    """What ran out while the clock was wrong was kept: a token is good once."""
    token = sign(claims_of())
    assert call(web, token) == 200
    with time_machine.travel(NOW + TEN_MINUTES, tick=False):
        assert call(web, sign(claims_of())) == 200
    assert call(web, token) == 401


class Days:
    """A clock that moves on whenever it is read."""

    zone = ZoneInfo("UTC")

    def __init__(self, *days: date) -> None:
        self.left = chain(days, repeat(days[-1]))

    def today(self) -> date:
        return next(self.left)


def test_across_midnight() -> None:
    """A call that lasts over midnight is answered for the day on which it began."""
    body = hook_request(prefetch(["RLS", {"ferritin": 20}]))
    before, after = (
        create_app(settings, clock=clock, assess=build_assess(settings, clock=clock)).test_client()
        for settings, clock in (
            (Settings(), Days(TODAY)),
            (Settings(), Days(TODAY, TODAY + timedelta(days=400))),
        )
    )
    # 400 days on the ferritin would be too old for its card.
    assert after.post(SERVICE, json=body).data == before.post(SERVICE, json=body).data
    assert after.post(SERVICE, json=body).data != before.post(SERVICE, json=body).data


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        # Vienna: +1 in winter, +2 in summer; the clocks change at 01:00 UTC.
        ("2026-03-28T22:59:59", "2026-03-28"),
        ("2026-03-28T23:00:00", "2026-03-29"),
        ("2026-03-29T01:00:00", "2026-03-29"),
        ("2026-03-29T21:59:59", "2026-03-29"),
        ("2026-03-29T22:00:00", "2026-03-30"),
        ("2026-10-24T22:00:00", "2026-10-25"),
        ("2026-10-25T00:30:00", "2026-10-25"),
        ("2026-10-25T01:30:00", "2026-10-25"),
        ("2026-10-25T22:59:59", "2026-10-25"),
        ("2026-10-25T23:00:00", "2026-10-26"),
    ],
)
def test_when_summer_time_begins_and_ends(moment: str, day: str) -> None:
    with time_machine.travel(datetime.fromisoformat(moment).replace(tzinfo=UTC), tick=False):
        assert SystemClock(ZoneInfo("Europe/Vienna")).today() == date.fromisoformat(day)
