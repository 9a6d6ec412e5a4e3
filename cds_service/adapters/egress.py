"""Outgoing connections that lead where they were meant to, and end when they were meant to.

`requests` alone does neither: its timeout counts from byte to byte, so that a server which drips holds a
call for minutes; and it asks for the host's address whenever it connects, so that a second answer of the
name service can lead elsewhere than the one that was checked. Here the name is resolved once, every
address is checked, connections go to the checked addresses only (TLS still proves the host's name), and
at the end of the time budget every socket is shut down, whatever it is waiting for.
"""

import contextlib
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from cds_service.addresses import ServerAddress

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
# Services of cloud machines that hand out credentials, outside the link-local range.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_MUTED = frozenset({"urllib3", "requests"})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_V4 = 4
# One address of several may be dead; the others get their turn.
_SECONDS_PER_ADDRESS = 0.5


class AddressRefusedError(Exception):
    """A name leads to an address that must not be called."""


class Deadline:
    """A fixed moment on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0


def is_callable(ip: Ip, *, is_loopback_named: bool) -> bool:
    """Whether a named server may have this address.

    A private address may be: hospitals run their servers there, and the profile names each server. Never
    this machine unless it was named itself, nor a link-local or metadata address, in any disguise.
    """
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_callable(inner, is_loopback_named=is_loopback_named)
    if is_loopback_named:
        return ip.is_loopback
    return ip not in _METADATA and not (
        ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved
    )


def resolve(address: ServerAddress) -> tuple[Ip, ...]:
    """Return every address of a host; raises `AddressRefusedError` if one is forbidden, OSError."""
    literal = address.ip
    if literal is not None:
        found: tuple[Ip, ...] = (literal,)
    else:
        answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        texts = dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers)
        found = tuple(ipaddress.ip_address(text) for text in texts)
    if not all(is_callable(ip, is_loopback_named=address.is_loopback) for ip in found):
        raise AddressRefusedError
    return found


class Dialer:
    """Opens sockets to checked addresses, and can end all of them from another thread."""

    def __init__(self, addresses: Sequence[Ip], port: int, deadline: Deadline) -> None:
        self._addresses = addresses
        self._port = port
        self._deadline = deadline
        self._lock = threading.Lock()
        self._handles: list[socket.socket] | None = []

    def dial(self) -> socket.socket:
        """Return a connected socket; raises OSError."""
        error = OSError("no address")
        for number, ip in enumerate(self._addresses, start=1):
            timeout = self._deadline.remaining
            if number < len(self._addresses):
                timeout = min(timeout, _SECONDS_PER_ADDRESS)
            try:
                return self._connect(ip, timeout)
            except OSError as failed:
                error = failed
        raise error

    def _connect(self, ip: Ip, timeout: float) -> socket.socket:
        if not timeout:
            raise TimeoutError
        # Not create_connection: that would ask the name service once more, even about figures.
        family = socket.AF_INET if ip.version == _V4 else socket.AF_INET6
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(timeout)
            made.connect((str(ip), self._port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.settimeout(self._deadline.remaining or timeout)
            self._register(made.dup())
        except OSError:
            made.close()
            raise
        return made

    def _register(self, handle: socket.socket) -> None:
        """Keep a second handle of a socket: TLS takes the first one over, even during its handshake."""
        with self._lock:
            if self._handles is not None:
                self._handles.append(handle)
                return
        handle.close()
        raise TimeoutError

    def end(self) -> None:
        """Shut every connection down, so that whoever waits on one stops waiting; open no more."""
        with self._lock:
            handles, self._handles = self._handles, None
        for handle in handles or ():
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, dialer: Dialer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dialer = dialer

    def _new_conn(self) -> socket.socket:
        return self._dialer.dial()


class _TlsConnection(HTTPSConnection):
    def __init__(self, *args: Any, dialer: Dialer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dialer = dialer

    def _new_conn(self) -> socket.socket:
        return self._dialer.dial()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class PinnedAdapter(HTTPAdapter):
    """Sends every request to one server, over connections that a `Dialer` opens."""

    def __init__(
        self, address: ServerAddress, dialer: Dialer, *, connections: int, tls: ssl.SSLContext
    ) -> None:
        super().__init__(max_retries=0)
        self._address = address
        host, port = address.host.strip("[]"), address.port
        if address.scheme == "https":
            self._pool: HTTPConnectionPool = _TlsPool(
                host, port, maxsize=connections, ssl_context=tls, cert_reqs="CERT_REQUIRED", dialer=dialer
            )
        else:
            self._pool = _Pool(host, port, maxsize=connections, dialer=dialer)

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,  # noqa: ARG002 - as the base class asks; the context decides
        proxies: Any = None,  # noqa: ARG002 - no proxy is ever used
        cert: Any = None,  # noqa: ARG002 - as the base class asks
    ) -> Any:
        """Return the connections to the one server; raises `InvalidURL` for any other."""
        if not (request.url or "").startswith(f"{self._address.origin}/"):
            raise requests.exceptions.InvalidURL
        return self._pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the TLS settings as they are: they came with the context."""

    def close(self) -> None:
        """Close what is idle."""
        super().close()
        self._pool.close()


def mute_http_library() -> None:
    """Let the HTTP library log nothing: its lines repeat addresses, and with them who the patient is.

    Not a matter of levels, which a site sets as it likes to find a fault.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _MUTED:
            logging.getLogger(name).addFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False


def tls_context() -> ssl.SSLContext:
    """Return the TLS settings: the certificates of the system (SSL_CERT_FILE counts) and of `requests`."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    return context
