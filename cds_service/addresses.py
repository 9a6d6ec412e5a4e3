"""Addresses of FHIR servers, read so strictly that nobody after us can read them otherwise.

What a call names as its server is a stranger's text. Every form that two parsers understand differently
(user info, backslashes, escapes, dot segments, numbers that stand for an IP address) is no address here.
"""

import ipaddress
import re
from dataclasses import dataclass

_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65535
_LONGEST = 2048
_ADDRESS = re.compile(
    r"(?P<scheme>[hH][tT][tT][pP][sS]?)://"
    r"(?P<host>\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[a-zA-Z0-9._~!$'()*+,=:@-]+)*)/?"
)
_RELATIVE = re.compile(r"[A-Za-z]+(?:/[A-Za-z0-9._-]+)*")
_QUERY = re.compile(r"[!-~]*")
# The last label of such a host makes it an IP address for many parsers (2130706433, 0x7f.1, 0177.0.0.1).
_NUMERIC = re.compile(r"(?:[0-9]+|0[xX][0-9a-fA-F]*)")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The base address of a FHIR server: scheme and host in lower case, no slash at the end of the path."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port as they stand in front of a path."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The address itself where the host is one, None where it is a name."""
        try:
            return ipaddress.ip_address(self.host.strip("[]"))
        except ValueError:
            return None

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this very machine by its text alone."""
        if self.host == "localhost":
            return True
        ip = self.ip
        return ip is not None and ip.is_loopback

    def below(self, url: str) -> str | None:
        """Return path and query of an address under this one, None when it lies anywhere else.

        Links to further pages go through here: a page on another origin, or beside the base, is never
        asked for. A relative link is taken from the base.
        """
        if len(url) > _LONGEST:
            return None
        head, mark, query = url.partition("?")
        if not _QUERY.fullmatch(query) or "#" in query or "\\" in query:
            return None
        if _RELATIVE.fullmatch(head):
            head = f"{self.origin}{self.path}/{head}"
        target = parse_address(head)
        if target is None or (target.scheme, target.host, target.port) != (self.scheme, self.host, self.port):
            return None
        if target.path != self.path and not target.path.startswith(f"{self.path}/"):
            return None
        slash = "/" if head.endswith("/") else ""
        return f"{target.path}{slash}{mark}{query}"


def parse_address(url: str) -> ServerAddress | None:
    """Return the parts of an http(s) base address, None for anything that is not plainly one."""
    match = _ADDRESS.fullmatch(url) if len(url) <= _LONGEST else None
    if match is None:
        return None
    scheme, host = match["scheme"].lower(), _host(match["host"].lower())
    port = int(match["port"]) if match["port"] else _PORTS[scheme]
    if host is None or not 0 < port <= _HIGHEST_PORT:
        return None
    if any(set(segment) == {"."} for segment in match["path"].split("/")):
        return None
    return ServerAddress(scheme, host, port, match["path"])


def _host(text: str) -> str | None:
    """Return a host in its one spelling, None where another parser may take it for another host."""
    if text.startswith("["):
        return _ipv6(text[1:-1])
    labels = text.split(".")
    if "" in labels:
        return None
    if not _NUMERIC.fullmatch(labels[-1]):
        return text
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def _ipv6(text: str) -> str | None:
    try:
        ip = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return None if ip.ipv4_mapped else f"[{ip}]"
