"""The doctor on a real server: a laboratory with a local code, the same once it is mapped, odd servers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from tests.builders import TODAY
from tests.integration.charts import chart
from tests.integration.hapi_server import FhirServer
from tests.integration.records import PatientRecord

pytestmark = pytest.mark.integration

Json = dict[str, Any]

LOCAL = "urn:oid:2.999.36.1.1"
SPARSE = (
    *("medicationStatements", "ironTreatmentStatements", "ironAdministrations", "procedures"),
    "ironOrders",
)
MOVED = ("doctor-moved-1", "doctor-moved-2")
TOKEN = "integration-token"  # noqa: S105 - the word that the guarded face of the test server wants


def run(base: str, *arguments: str, **environment: str) -> Result:
    env = {"RLS_CDS_AS_OF": TODAY.isoformat(), "RLS_CDS_FHIR_BUDGET_MS": "20000", **environment}
    return CliRunner().invoke(main, ["doctor", base, *arguments], env=env)


def report(base: str, *arguments: str, **environment: str) -> tuple[int, Json]:
    result = run(base, *arguments, "--format", "json", **environment)
    assert result.exit_code in {0, 1}, result.output
    found: Json = json.loads(result.stdout)
    return result.exit_code, found


def problems(found: Json) -> list[str]:
    return [one["text"] for one in found["findings"] if one["severity"] == "problem"]


@pytest.fixture(scope="module")
def moved(hapi: FhirServer) -> tuple[str, ...]:
    """Patients whose only ferritin has a local code and a name."""
    for name in MOVED:
        resources = chart(name, ["RLS", {"ferritin": 28}, {"takes": {"drug": "sertraline"}}])
        for resource in resources:
            if resource["resourceType"] == "Observation":
                coding = {"system": LOCAL, "code": "FERR", "display": "Ferritin"}
                resource["code"] = {"coding": [coding], "text": "Ferritin"}
                resource["category"] = [
                    {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                "code": "laboratory",
                            }
                        ]
                    }
                ]
        hapi.load(resources)
    return MOVED


def test_a_laboratory_with_a_local_code_is_named_and_mended_by_the_row(
    hapi: FhirServer, moved: tuple[str, ...], tmp_path: Path
) -> None:
    named = [argument for name in moved for argument in ("--patient", name)]
    exit_code, found = report(hapi.base(), *named)
    assert exit_code == 1
    assert found["server"]["version"].startswith("4.0")
    assert "HAPI" in found["server"]["software"]
    (problem,) = problems(found)
    assert f"Local laboratory code {LOCAL} | FERR looks like ferritin" in problem
    (ready,) = [one["text"] for one in found["settings"] if "code map" in one["name"]]
    assert ready.splitlines()[1] == f"laboratory,{LOCAL},FERR,http://loinc.org,2276-4"

    (tmp_path / "codes.csv").write_text(ready, encoding="utf-8")
    clients = tmp_path / "clients.toml"
    clients.write_text(
        '[[clients]]\nname = "hapi"\nscreening = true\ncode_map = "codes.csv"\n'
        f'[clients.fhir]\nservers = ["{hapi.base()}"]\n',
        encoding="utf-8",
    )
    exit_code, mended = report(hapi.base(), *named, RLS_CDS_CLIENTS=str(clients))
    assert (exit_code, problems(mended), mended["unmapped"]) == (0, [], [])
    cards = {one["card"]: one["patients"] for one in mended["cards"] if one["patients"]}
    assert cards == {"IRON-03": 2, "DRUG-01": 2}


def test_patients_are_found(hapi: FhirServer, moved: tuple[str, ...]) -> None:
    assert moved
    assert report(hapi.base(), "--patients", "2")[1]["patients"] == 2


def test_every_search_works(hapi: FhirServer, patients: Mapping[str, PatientRecord]) -> None:
    _, found = report(hapi.base(), *(argument for name in patients for argument in ("--patient", name)))
    assert found["patients"] == len(patients)
    assert {one["key"]: one["problems"] for one in found["searches"] if one["problems"]} == {}
    assert all(one["declared"] == "yes" for one in found["searches"])
    assert found["validation"]["resources"] > len(patients)


def test_a_server_without_some_types_is_told(hapi: FhirServer, moved: tuple[str, ...]) -> None:
    exit_code, found = report(hapi.base("sparse"), "--patient", moved[0])
    assert exit_code == 1
    (keys,) = [one["text"] for one in found["settings"] if one["name"] == "Prefetch keys"]
    assert keys.splitlines()[1] == (f"leave out: {', '.join(SPARSE)}")


def test_a_guarded_server_wants_its_token(hapi: FhirServer, moved: tuple[str, ...]) -> None:
    refused = run(hapi.base("guarded"), "--patient", moved[0])
    assert refused.exit_code == 2
    assert "refuses access (401)" in refused.output
    _, found = report(hapi.base("guarded"), "--patient", moved[0], RLS_CDS_DOCTOR_TOKEN=TOKEN)
    (search,) = [one for one in found["searches"] if one["problems"]]
    assert (search["key"], search["statuses"]) == ("allergies", {"403": 1})
