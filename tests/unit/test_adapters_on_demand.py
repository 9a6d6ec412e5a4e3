"""The real FHIR access is loaded once, by the first call that needs it."""

import subprocess
import sys

from cds_service.adapters.on_demand import OnDemandSource
from cds_service.addresses import parse_address
from cds_service.ports import FhirAccess


def test_the_source_is_loaded_once() -> None:
    source = OnDemandSource()
    address = parse_address("http://127.0.0.1:1/fhir")
    assert address is not None
    access = FhirAccess(address)
    with source.open(access, budget_seconds=0.1), source.open(access, budget_seconds=0.1):
        loaded = source._source
        assert loaded is not None
    with source.open(access, budget_seconds=0.1):
        assert source._source is loaded


def test_the_application_starts_without_the_http_library() -> None:
    code = (
        "import sys, cds_service.app as app, cds_service.settings as s; app.create_app(s.Settings());"
        "sys.exit(bool({'requests', 'jwt', 'sqlalchemy', 'prometheus_client'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
