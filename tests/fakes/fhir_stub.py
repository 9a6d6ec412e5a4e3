"""A FHIR server on the loopback address: searches by the parameters that the service uses, and misbehaves
as it is told.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

Json = dict[str, Any]
FHIR_JSON = "application/fhir+json;charset=utf-8"
ROOT = "/fhir"


@dataclass(frozen=True)
class Seen:
    """One request as it came: the path without the base, parameters of the query and of the form."""

    method: str
    path: str
    target: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One answer; `drip` sends the body, `head_drip` the head byte by byte with that many seconds between.

    One that is hung up ends in the middle of its body, one that is reset before its head.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = FHIR_JSON
    drip: float = 0.0
    head_drip: float = 0.0
    has_length: bool = True
    is_hung_up: bool = False
    is_reset: bool = False


def outcome(status: int, severity: str = "error", **headers: str) -> Reply:
    """Return an OperationOutcome."""
    body = {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "processing"}]}
    return Reply(status, json.dumps(body).encode(), {k.replace("_", "-"): v for k, v in headers.items()})


def reply(body: Json, **how: Any) -> Reply:
    """Return a good answer."""
    return Reply(body=json.dumps(body).encode(), **how)


Behaviour = Callable[[Seen], Reply | None]


@dataclass
class FhirStub:
    """The server; `behaviour` may answer in its stead, None leaves the answer to the searches.

    `unknown_types` are those that its FHIR release does not have; `fhir_version` is what it says of itself.
    """

    base: str = ""
    resources: list[Json] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    latency: float = 0.0
    token: str | None = None
    page_size: int = 1000
    unknown_types: frozenset[str] = frozenset()
    fhir_version: str | None = "4.0.1"
    behaviour: Behaviour = lambda _seen: None

    def answer(self, seen: Seen) -> Reply:
        """Return the answer to a request."""
        self.seen.append(seen)
        time.sleep(self.latency)
        if self.token is not None and seen.headers.get("authorization") != f"Bearer {self.token}":
            return outcome(401)
        return self.behaviour(seen) or self._serve(seen)

    def _serve(self, seen: Seen) -> Reply:
        if seen.path == "metadata":
            return self._capabilities()
        resource_type, _, rest = seen.path.partition("/")
        if resource_type in self.unknown_types:
            return outcome(404)
        if rest and rest != "_search":
            found = [one for one in self._of_type(resource_type) if one["id"] == rest]
            return reply(found[0]) if found else outcome(404)
        return reply(self.page(resource_type, seen.parameters))

    def _capabilities(self) -> Reply:
        if self.fhir_version is None:
            return outcome(404)
        return reply({"resourceType": "CapabilityStatement", "fhirVersion": self.fhir_version})

    def page(self, resource_type: str, parameters: Mapping[str, str]) -> Json:
        """Return one page of a search, by default the first."""
        found = [one for one in self._of_type(resource_type) if _matches(one, parameters)]
        start = int(parameters.get("_start", 0))
        end = start + self.page_size
        url = f"{self.base}/{resource_type}?" + "&".join(
            f"{name}={quote(value, safe=':/,')}" for name, value in parameters.items() if name != "_start"
        )
        links = [{"relation": "self", "url": url}]
        if end < len(found):
            links.append({"relation": "next", "url": f"{url}&_start={end}"})
        entries = [
            {"fullUrl": f"{self.base}/{resource_type}/{one['id']}", "resource": one}
            for one in found[start:end]
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": links}
        return {**bundle, "entry": entries} if entries else bundle

    def _of_type(self, resource_type: str) -> Iterator[Json]:
        return (one for one in self.resources if one["resourceType"] == resource_type)

    def searches(self) -> list[Seen]:
        """Return the requests for records, in order; the question for the server's version is none."""
        return [seen for seen in self.seen if seen.path != "metadata"]

    def paths(self) -> list[str]:
        """Return what records were asked for, in order."""
        return [seen.path for seen in self.searches()]


def _matches(resource: Json, parameters: Mapping[str, str]) -> bool:
    if "_id" in parameters and resource["id"] not in parameters["_id"].split(","):
        return False
    subject = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
    if "patient" in parameters and subject.rpartition("/")[2] != parameters["patient"]:
        return False
    if "status" in parameters and resource.get("status") not in parameters["status"].split(","):
        return False
    if "category" in parameters and parameters["category"] not in str(resource.get("category")):
        return False
    if "code" not in parameters:
        return True
    tokens = parameters["code"].split(",")
    codings = resource.get("code", {}).get("coding", [])
    return any(f"{coding.get('system')}|{coding.get('code')}" in tokens for coding in codings)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stub: FhirStub

    def do_GET(self) -> None:
        self._handle(b"")

    def do_POST(self) -> None:
        self._handle(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _handle(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        parameters = dict(parse_qsl(parts.query) + parse_qsl(body.decode()))
        path = parts.path.removeprefix(ROOT).strip("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.stub.answer(Seen(self.command, path, self.path, parameters, headers, body)))

    def _send(self, answer: Reply) -> None:
        self.close_connection = not answer.has_length or answer.is_hung_up or answer.is_reset
        if answer.is_reset:
            # Closed without a farewell: the other side sees a reset (socket(7), SO_LINGER).
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        headers = dict(answer.headers)
        if answer.content_type is not None:
            headers.setdefault("Content-Type", answer.content_type)
        if answer.has_length:
            headers.setdefault("Content-Length", str(len(answer.body)))
        lines = [f"HTTP/1.1 {answer.status} Stub", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode()
        try:
            self._write(head, answer.head_drip)
            self._write(answer.body[: len(answer.body) // 2 if answer.is_hung_up else None], answer.drip)
        except OSError:
            self.close_connection = True

    def _write(self, data: bytes, drip: float) -> None:
        if not drip:
            self.wfile.write(data)
            return
        for number in range(len(data)):
            self.wfile.write(data[number : number + 1])
            time.sleep(drip)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is what is tested."""


@contextmanager
def fhir_stub(resources: Sequence[Json] = (), port: int = 0, **settings: Any) -> Iterator[FhirStub]:
    """Yield a running server, on any free port unless one is given."""
    stub = FhirStub(resources=list(resources), **settings)
    handler = type("Handler", (_Handler,), {"stub": stub})
    with _Server(("127.0.0.1", port), handler) as server:
        stub.base = f"http://127.0.0.1:{server.server_address[1]}{ROOT}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield stub
        server.shutdown()
        thread.join(5)
