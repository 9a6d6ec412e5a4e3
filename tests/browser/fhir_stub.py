"""A small open FHIR server with the sample patients, for trying the service from a browser.

    python -m tests.browser.fhir_stub [--port 8181] [--as-of 2026-11-22]

Serves the same patients at `/r4` (FHIR 4.0.1) and at `/dstu2` (FHIR 1.0.2): metadata, read, and search by
GET and by POST `_search`, to any page of any origin. It listens on the loopback address alone, holds only
what the samples hold, and knows only the parameters `_id`, `patient`, `status`, `code` and `_count`; others
are ignored, but for one: DSTU2 has no `_sort=-date`, and refuses it, as strict servers of that release do.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cds_service.cli.shift import shift_dates
from cds_service.resources import fixtures_dir
from tests.browser.dstu2 import to_dstu2

Json = dict[str, Any]

SAMPLES = (
    "readme-patient",
    "never-tested",
    "stale-result",
    "good-values",
    "us-core-borderline",
    "us-core-dialysis",
    "us-core-pregnant",
    "us-core-oral-iron",
    "iv-iron-recheck",
    "two-medicine-classes",
    "screening",
    "pending-order",
)
"""Sample requests whose records are served, the first being the patient of the README."""

TYPES_OF = {
    "4.0.1": (
        "AllergyIntolerance",
        "Condition",
        "Device",
        "DeviceUseStatement",
        "FamilyMemberHistory",
        "MedicationAdministration",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Patient",
        "Procedure",
        "ServiceRequest",
    ),
    "1.0.2": (
        "AllergyIntolerance",
        "Condition",
        "Device",
        "DeviceUseStatement",
        "DiagnosticOrder",
        "FamilyMemberHistory",
        "MedicationAdministration",
        "MedicationOrder",
        "MedicationStatement",
        "Observation",
        "Patient",
        "Procedure",
    ),
}
_MEDIA_TYPE = {"4.0.1": "application/fhir+json", "1.0.2": "application/json+fhir"}
_BODY_LIMIT = 100_000
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, Prefer",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
}


def sample_records(day: date) -> list[Json]:
    """Return every resource of the sample patients, once, with the dates moved to a day."""
    found: dict[tuple[str, str], Json] = {}
    for name in SAMPLES:
        text = (fixtures_dir() / name / "request.json").read_text(encoding="utf-8")
        for value in json.loads(shift_dates(text, day))["prefetch"].values():
            for resource in _resources(value):
                found.setdefault((resource["resourceType"], resource["id"]), resource)
    return list(found.values())


def _resources(value: Json) -> Iterator[Json]:
    if value["resourceType"] == "Bundle":
        yield from (entry["resource"] for entry in value.get("entry", []))
    else:
        yield value


@dataclass(frozen=True)
class Base:
    """One FHIR version of the records, under one path."""

    version: str
    records: tuple[Json, ...]

    def read(self, resource_type: str, identity: str) -> Json | None:
        """Return one resource."""
        return next((one for one in self._of(resource_type) if one["id"] == identity), None)

    def search(self, resource_type: str, parameters: Iterable[tuple[str, str]], url: str) -> Json:
        """Return a searchset of the resources that match all parameters."""
        asked = list(parameters)
        found = [one for one in self._of(resource_type) if all(_matches(one, *pair) for pair in asked)]
        count = next((int(value) for name, value in asked if name == "_count" and value.isdecimal()), None)
        return {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(found),
            "link": [{"relation": "self", "url": url}],
            "entry": [
                {"fullUrl": f"{url}/{one['id']}", "resource": one, "search": {"mode": "match"}}
                for one in found[:count]
            ],
        }

    def metadata(self) -> Json:
        """Return what the server can do."""
        kind = "CapabilityStatement" if self.version == "4.0.1" else "Conformance"
        resources = [
            {"type": name, "interaction": [{"code": "read"}, {"code": "search-type"}]}
            for name in TYPES_OF[self.version]
        ]
        return {
            "resourceType": kind,
            "status": "active",
            "date": "2026-11-22",
            "kind": "instance",
            "fhirVersion": self.version,
            "format": ["json"],
            "rest": [{"mode": "server", "resource": resources}],
        }

    def _of(self, resource_type: str) -> Iterator[Json]:
        return (one for one in self.records if one["resourceType"] == resource_type)


def _matches(resource: Json, name: str, value: str) -> bool:
    if name == "_id":
        return resource["id"] in value.split(",")
    if name == "patient":
        who = resource.get("subject") or resource.get("patient") or {}
        return str(who.get("reference")) == f"Patient/{value.removeprefix('Patient/')}"
    if name == "status":
        return resource.get("status") in value.split(",")
    if name == "code":
        codings = resource.get("code", {}).get("coding", [])
        return any(_is_coding(coding, token) for coding in codings for token in value.split(","))
    return True


def _is_coding(coding: Mapping[str, str], token: str) -> bool:
    system, bar, code = token.rpartition("|")
    return coding.get("code") == code and (not bar or coding.get("system") == system)


def bases(records: Iterable[Json]) -> dict[str, Base]:
    """Return the same R4 records under each path that is served."""
    listed = tuple(records)
    old = tuple(resource for one in listed if (resource := to_dstu2(one)) is not None)
    return {"r4": Base("4.0.1", listed), "dstu2": Base("1.0.2", old)}


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    server: "Stub"

    def do_OPTIONS(self) -> None:
        """Answer a preflight."""
        self._send(HTTPStatus.NO_CONTENT, None)

    def do_GET(self) -> None:
        """Answer a read or a search."""
        self._answer("")

    def do_POST(self) -> None:
        """Answer a search whose parameters stand in the body."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > _BODY_LIMIT:
            self.close_connection = True
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, None)
            return
        self._answer(self.rfile.read(length).decode())

    def _answer(self, form: str) -> None:
        target = urlsplit(self.path)
        name, _, below = target.path.strip("/").partition("/")
        base = self.server.bases.get(name)
        self.server.asked.append(f"{self.command} {target.path}")
        if base is None:
            self._fail("There are the bases /r4 and /dstu2.", "1.0.2")
            return
        parameters = parse_qsl(target.query) + parse_qsl(form)
        if base.version == "1.0.2" and any(name == "_sort" and value[0] == "-" for name, value in parameters):
            self._fail("No such sort order in DSTU2.", base.version, HTTPStatus.BAD_REQUEST)
            return
        found = self._found(base, below, parameters)
        if found is None:
            self._fail("Not here.", base.version)
        else:
            self._send(HTTPStatus.OK, found, base.version)

    def _found(self, base: Base, below: str, parameters: list[tuple[str, str]]) -> Json | None:
        match = re.fullmatch(r"(?P<type>[A-Z][A-Za-z]+)(?:/(?P<rest>[A-Za-z0-9._-]+))?", below)
        if below == "metadata":
            return base.metadata()
        if match is None or match["type"] not in TYPES_OF[base.version]:
            return None
        if match["rest"] in {None, "_search"}:
            root = self.path.split("/")[1]
            url = f"http://{self.headers.get('Host', 'localhost')}/{root}/{match['type']}"
            return base.search(match["type"], parameters, url)
        return base.read(match["type"], match["rest"])

    def _fail(self, text: str, version: str, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> None:
        issue = {"severity": "error", "code": "processing", "diagnostics": text}
        self._send(status, {"resourceType": "OperationOutcome", "issue": [issue]}, version)

    def _send(self, status: HTTPStatus, body: Json | None, version: str = "4.0.1") -> None:
        raw = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in _CORS.items():
            self.send_header(name, value)
        if raw:
            self.send_header("Content-Type", f"{_MEDIA_TYPE[version]};charset=utf-8")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing: what was asked stands in `Stub.asked`."""


class Stub(ThreadingHTTPServer):
    """The server; `asked` keeps method and path of each read and search."""

    daemon_threads = True
    # All searches of a call come at once; a connection beyond the queue would wait for a second.
    request_queue_size = 64

    def __init__(self, port: int, served: Mapping[str, Base]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.bases = served
        self.asked: list[str] = []


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the sample patients as an open FHIR server.")
    parser.add_argument("--port", type=int, default=8181)
    parser.add_argument("--as-of", type=date.fromisoformat, default=datetime.now(UTC).date())
    options = parser.parse_args()
    served = bases(sample_records(options.as_of))
    with Stub(options.port, served) as stub:
        for patient in served["r4"].search("Patient", [], "")["entry"]:
            sys.stderr.write(f"  {patient['resource']['id']}\n")
        at = f"http://127.0.0.1:{options.port}"
        sys.stderr.write(f"These patients at {at}/r4 (R4) and {at}/dstu2 (DSTU2), Ctrl+C stops\n")
        try:
            stub.serve_forever()
        except KeyboardInterrupt:
            sys.stderr.write("\n")


if __name__ == "__main__":
    main()
