"""Asks the service, as it would be called over HTTP, without a network between."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.crosscheck.charts import TODAY

SERVICE = "/cds-services/rls-iron-assessment"


@cache
def client(*, is_screening_on: bool) -> FlaskClient:
    """Return the application on the day of the crosscheck, with or without screening."""
    settings = Settings(as_of=date.fromisoformat(TODAY), screening=is_screening_on)
    return create_app(settings).test_client()


def answer(request: Mapping[str, Any], *, is_screening_on: bool = True) -> list[str]:
    """Return the answer as the twin gives it: "CARD:indicator" for each card, or "HTTP status"."""
    response = client(is_screening_on=is_screening_on).post(SERVICE, json=request)
    if response.status_code != 200:
        return [f"HTTP {response.status_code}"]
    cards = response.get_json()["cards"]
    return [f"{key_of(card['source']['topic']['code'])}:{card['indicator']}" for card in cards]


def key_of(topic: str) -> str:
    """Return the card key of a topic code: IRON-12b for IRON12b."""
    return re.sub(r"^([A-Z]+)", r"\1-", topic)
