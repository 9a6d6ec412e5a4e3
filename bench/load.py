"""Load the service at a fixed pace on the loopback address, beside a Flask echo on the same kind of server.

    python bench/load.py                  50 calls a second for 60 seconds, more than three minutes in all
    python bench/load.py --rate 20 --seconds 10
    python bench/load.py --errors-only    exit 0 whatever the latencies are

The service runs as a user starts it (`rls-cds serve`, two workers): once in its development profile, and once
in production, with a token for each call, the store of used tokens, the audit log and the counters. The echo
is measured before and after both; its p99 is taken over all its calls. Exit code 1: a call failed or gave
other cards than it should, or a p99 is more than three times the echo's.
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from jwt.algorithms import ECAlgorithm
from payloads import EXPECTED_CARDS, request_body
from servers import PATH, Paced, Send, Server, paced, post, topics

from cds_service.settings import PREFIX

RESOURCES = 60
WORKERS = 2
THREADS = 16
CONNECTIONS = 16
BAR = 3.0
QUANTILES = (0.5, 0.95, 0.99)
ISSUER = "https://ehr.example.org"
PUBLIC = "https://rls.example.org/cds"
TOKEN_SECONDS = 3600
CLIENT = f"""
[[clients]]
name = "load"
screening = false
rate_limit = 60000
[clients.trust]
issuer = "{ISSUER}"
keys_file = "keys.json"
lifetime_s = {TOKEN_SECONDS}
"""


@dataclass
class Deployed(Server):
    """`rls-cds serve` with these settings alone, its output kept from the terminal."""

    settings: Mapping[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        """Return the command of a user."""
        return [sys.executable, "-c", "from cds_service.cli import main; main()", "serve"]

    def environment(self) -> Mapping[str, str]:
        """Return the environment without settings from outside."""
        kept = {name: value for name, value in super().environment().items() if not name.startswith(PREFIX)}
        return {**kept, "PORT": str(self.port), f"{PREFIX}WORKERS": str(self.workers), **self.settings}


@dataclass(frozen=True)
class Candidate:
    """What is loaded: its server, and the call of a number."""

    name: str
    server: Server
    send: Send


@dataclass(frozen=True)
class Result:
    """What came of one candidate, and what its p99 is to the echo's."""

    name: str
    found: Paced
    to_echo: float

    @property
    def is_within(self) -> bool:
        """Whether the p99 keeps the bar."""
        return self.to_echo <= BAR


def _answer_with_cards(connection: HTTPConnection, body: bytes, token: str | None = None) -> None:
    found = topics(post(connection, body, token))
    if found != EXPECTED_CARDS:
        raise RuntimeError(f"expected the cards {EXPECTED_CARDS}, got {found}")


@contextmanager
def echo(body: bytes) -> Iterator[Candidate]:
    """Yield a Flask view that reads the body as JSON and writes it back, on as many workers and threads."""

    def send(connection: HTTPConnection, _turn: int) -> None:
        if len(post(connection, body)) < len(body) / 2:
            raise RuntimeError("the echo did not give the body back")

    with Server("echo_app", workers=WORKERS, threads=THREADS) as server:
        yield Candidate("Flask echo", server, send)


@contextmanager
def development(body: bytes) -> Iterator[Candidate]:
    """Yield the service as it starts without any setting."""
    with Deployed("serve", workers=WORKERS) as server:
        yield Candidate(
            "rls-cds serve", server, lambda connection, _turn: _answer_with_cards(connection, body)
        )


@contextmanager
def production(body: bytes, calls: int) -> Iterator[Candidate]:
    """Yield the service with all that production asks for: tokens, store, audit log; and the counters."""
    with tempfile.TemporaryDirectory() as name:
        key = generate_private_key(SECP384R1())
        settings = site(Path(name), key)
        tokens = list(signed(key, calls))
        with Deployed("serve", workers=WORKERS, settings=settings) as server:
            yield Candidate(
                "rls-cds serve, production",
                server,
                lambda connection, turn: _answer_with_cards(connection, body, tokens[turn]),
            )


def site(folder: Path, key: EllipticCurvePrivateKey) -> Mapping[str, str]:
    """Write what a trusted client needs into a folder and return the settings that name it."""
    public = {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": "load", "use": "sig"}
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    (folder / "clients.toml").write_text(CLIENT, encoding="utf-8")
    for part in ("audit", "counters"):
        (folder / part).mkdir()
    ours = {
        "ENVIRONMENT": "production",
        "CLIENTS": str(folder / "clients.toml"),
        "PUBLIC_URL": PUBLIC,
        "STORE": f"sqlite:///{folder}/store.db",
        "AUDIT": str(folder / "audit"),
        "METRICS": "true",
    }
    counters = {"PROMETHEUS_MULTIPROC_DIR": str(folder / "counters")}
    return {f"{PREFIX}{name}": value for name, value in ours.items()} | counters


def signed(key: EllipticCurvePrivateKey, calls: int) -> Iterator[str]:
    """Yield a token for each call, each with an id of its own."""
    now = int(time.time())  # noqa: TID251 - tokens are of now
    for _ in range(calls):
        claims = {
            "iss": ISSUER,
            "aud": f"{PUBLIC}{PATH}",
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": secrets.token_hex(16),
        }
        yield jwt.encode(claims, key, algorithm="ES384", headers={"kid": "load"})


def measure(rate: float, seconds: float) -> list[Result]:
    """Return the results of the echo and of both ways to run the service."""
    today = datetime.now(UTC).date()  # noqa: TID251 - the dates of the requests follow the day
    body = request_body(RESOURCES, today)

    def load(candidate: Candidate, share: float = 1.0) -> Paced:
        return paced(
            candidate.server,
            candidate.send,
            per_second=rate,
            seconds=seconds * share,
            connections=CONNECTIONS,
        )

    with ExitStack() as stack:
        yardstick = stack.enter_context(echo(body))
        ways = [
            stack.enter_context(development(body)),
            stack.enter_context(production(body, round(rate * seconds))),
        ]
        before = load(yardstick, 0.5)
        loaded = [(way.name, load(way)) for way in ways]
        after = load(yardstick, 0.5)
    both = Paced(sorted([*before.latencies, *after.latencies]), [*before.errors, *after.errors])
    bare = both.quantile(0.99)
    return [
        Result(name, found, found.quantile(0.99) / bare) for name, found in [(yardstick.name, both), *loaded]
    ]


def show(results: list[Result]) -> None:
    """Print the results side by side, and each kind of error once."""
    head = "".join(f"{f'p{share * 100:g}':>11}" for share in QUANTILES)
    print(f"{'':<28}{'calls':>7}{'errors':>8}{head}{'p99 to echo':>13}")
    for result in results:
        times = "".join(f"{result.found.quantile(share) * 1000:>8.1f} ms" for share in QUANTILES)
        calls, errors = len(result.found.latencies), len(result.found.errors)
        print(f"{result.name:<28}{calls:>7}{errors:>8}{times}{result.to_echo:>13.2f}")
    for result in results:
        for error, count in Counter(map(repr, result.found.errors)).items():
            print(f"{result.name}: {count} times {error}", file=sys.stderr)


def main() -> int:
    """Return 0, or 1 when a call failed or a p99 is beyond its bar."""
    parser = argparse.ArgumentParser(description="Load the service beside a Flask echo.")
    parser.add_argument("--rate", type=float, default=50, help="calls a second (50)")
    parser.add_argument("--seconds", type=float, default=60, help="how long each is loaded (60)")
    parser.add_argument("--errors-only", action="store_true", help="let latencies be what they are")
    chosen = parser.parse_args()
    if not 0 < chosen.rate <= 1000 or not 1 <= chosen.seconds <= 600:  # noqa: PLR2004 - told in the text
        parser.error("at most 1000 calls a second, and 1 to 600 seconds")
    results = measure(chosen.rate, chosen.seconds)
    show(results)
    has_errors = any(result.found.errors for result in results)
    is_slow = not all(result.is_within for result in results)
    told = "beyond" if is_slow else "within"
    print(f"{'errors' if has_errors else 'no error'}; p99 {told} {BAR:g} times the echo's")
    return 1 if has_errors or (is_slow and not chosen.errors_only) else 0


if __name__ == "__main__":
    sys.exit(main())
