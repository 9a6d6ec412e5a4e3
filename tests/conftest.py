"""Fixtures of all tests."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness import Service


@pytest.fixture(scope="session")
def services() -> "Callable[..., Service]":
    """The service by zone and screening, on 2026-11-22."""
    from tests.harness import service_in  # noqa: PLC0415 - a test of one room needs no application

    return service_in
