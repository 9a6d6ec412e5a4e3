"""The real server: two processes, chunked bodies, requests that are not even HTTP."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from typing import Any

import pytest

from cds_service.resources import fixtures_dir
from tests.http.requests import SERVICE, call_body
from tests.serving import serving


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server started as a user starts it."""
    with serving({"RLS_CDS_AS_OF": "2026-11-22", "RLS_CDS_MAX_BODY": "100000"}) as served:
        yield served.port


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Message
    body: Any


def exchange(port: int, method: str, path: str, **request: Any) -> Reply:
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, **request)
        response = connection.getresponse()
        return Reply(response.status, response.headers, json.loads(response.read()))


JSON = {"Content-Type": "application/json"}


def raw(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Return head and body of the answer to bytes as they are."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def test_discovery_is_served(port: int) -> None:
    reply = exchange(port, "GET", "/cds-services")
    assert reply.status == 200
    assert reply.body["services"]


def test_the_readme_patient_gets_cards(port: int) -> None:
    request = (fixtures_dir() / "readme-patient" / "request.json").read_bytes()
    reply = exchange(port, "POST", SERVICE, body=request, headers=JSON)
    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert [card["source"]["topic"]["code"] for card in reply.body["cards"]] == ["IRON03", "DRUG01"]


def test_a_call_without_data_is_412(port: int) -> None:
    reply = exchange(port, "POST", SERVICE, body=json.dumps(call_body(prefetch=...)), headers=JSON)
    assert reply.status == 412
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.body["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(("size", "status"), [(90_000, 412), (200_000, 413)])
def test_a_chunked_body_is_read_up_to_the_limit(port: int, size: int, status: int) -> None:
    chunks = [json.dumps(call_body(prefetch=...)).encode(), *([b" " * 1000] * (size // 1000))]
    headers = {**JSON, "Transfer-Encoding": "chunked"}
    reply = exchange(port, "POST", SERVICE, body=iter(chunks), headers=headers, encode_chunked=True)
    assert reply.status == status
    assert reply.body["resourceType"] == "OperationOutcome"


HEAD = f"POST {SERVICE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\nxyz\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", b"400"),
        (HEAD + b"Content-Length: -5\r\n\r\n{", b"400"),
    ],
)
def test_even_broken_http_is_answered_in_json(port: int, request_bytes: bytes, status: bytes) -> None:
    head, body = raw(port, request_bytes)
    assert head.split(b" ")[1] == status
    assert b"application/json" in head
    assert b"Access-Control-Allow-Origin: *" in head
    assert json.loads(body)["resourceType"] == "OperationOutcome"
