"""Fixtures of all tests."""

import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness import Service


@pytest.fixture(autouse=True, scope="session")
def _no_name_service() -> Iterator[None]:
    """Know no name but this machine's: where no connection is made, names could still be asked for."""
    real = socket.getaddrinfo

    def known(host: Any, *args: Any, **kwargs: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text not in {None, "", "localhost", socket.gethostname()} and not _is_address(text):
            raise socket.gaierror(socket.EAI_NONAME, "no name service in tests")
        return real(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", known)
        yield


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


@pytest.fixture(scope="session")
def services() -> "Callable[..., Service]":
    """The service by zone and screening, on 2026-11-22."""
    from tests.harness import service_in  # noqa: PLC0415 - a test of one room needs no application

    return service_in
