"""Requests made from the OpenAPI document, good and bad ones, at the whole service in process.

    python -m tests.fuzz.addresses --seconds 60 --seed 1

Every answer must be described: no 5xx, no other status, media type or body than docs/openapi.yaml names.
Exit code 1 with the request that was answered otherwise.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from openapi import document
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from cds_service.app import create_app
from cds_service.settings import Settings

# What an answer must keep. A tolerant reader takes more than the document says, so whether a request was
# taken or refused is not judged here; the tests of the wire do that.
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
# The addresses that read a body are worth most of the time.
SHARES = {"POST": 10, "GET": 1}
# A sane bound; the clock ends each part long before.
MOST = 100_000


class Server:
    """The service, and what was answered."""

    def __init__(self) -> None:
        self.app = create_app(Settings(metrics=True))
        self.counts: Counter[str] = Counter()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, error: Any = None) -> Any:
            self.counts[status.split(maxsplit=1)[0]] += 1
            return start_response(status, headers, error)

        return self.app(environ, start)


def operations(server: Server) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(document())
    schema.app = server
    for found in schema.get_all_operations():
        yield found.ok()


def modes(operation: Any) -> Iterator[GenerationMode]:
    """Yield how requests are made; without a body nothing can be wrong."""
    yield GenerationMode.POSITIVE
    if list(operation.body):
        yield GenerationMode.NEGATIVE


def check(operation: Any, mode: GenerationMode, seconds: float, number: int) -> None:
    """Send requests to one address until the time is up; raises where an answer is not as described."""
    until = time.monotonic() + seconds
    checks = [CHECKS.get_one(name) for name in CHECKED]

    @seed(number)
    @settings(
        max_examples=MOST,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        if time.monotonic() > until:
            raise TimeUp
        case.call_and_validate(checks=checks)

    try:
        run()
    except TimeUp:
        return


class TimeUp(BaseException):
    """The time of an address is over; no error of a request."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the addresses of the service.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=20261122)
    chosen = parser.parse_args()
    server = Server()
    parts = [(operation, mode) for operation in operations(server) for mode in modes(operation)]
    whole = sum(SHARES[operation.method.upper()] for operation, _ in parts)
    for operation, mode in parts:
        share = SHARES[operation.method.upper()] / whole
        check(operation, mode, chosen.seconds * share, chosen.seed)
    told = ", ".join(f"{count} times {status}" for status, count in sorted(server.counts.items()))
    print(f"{sum(server.counts.values())} requests, all answered as described: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
