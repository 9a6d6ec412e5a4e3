"""The sample report of docs/doctor.md, made on a loopback server with made-up records.

python -m tests.doctor_sample     writes it anew
"""

import re
import sys
from pathlib import Path

from click.testing import CliRunner

from cds_service.cli import main
from tests.fakes.fhir_stub import fhir_stub
from tests.unit.doctor_charts import charts, ferritin, local_ferritin

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "doctor.md"
_PART = re.compile(r"(?<=<!-- sample -->\n\n```text\n).*?(?=```\n\n<!-- end of the sample -->)", re.DOTALL)
_TIMES = re.compile(r"median \d+ ms, at most \d+ ms")
# So long that a busy machine changes no finding; the sample shows the usual one.
_BUDGET = "30000"
_MEDIAN_AND_MOST = re.compile(r"\d+ / \d+$", re.MULTILINE)


def sample() -> str:
    """Return the report on a server that has no statements, and one laboratory with local codes."""
    records = charts("p1", "p2", "p3", result=ferritin) + charts("p4", "p5", result=local_ferritin)
    with fhir_stub(records, unknown_types=frozenset({"MedicationStatement"})) as stub:
        env = {"COLUMNS": "100", "RLS_CDS_AS_OF": "2026-11-22", "RLS_CDS_FHIR_BUDGET_MS": _BUDGET}
        result = CliRunner().invoke(main, ["doctor", stub.base], env=env)
        text = result.stdout.replace(stub.base, "http://127.0.0.1:8181/fhir").replace(_BUDGET, "2000")
    underlined = re.sub(r"^=+$", "=" * 48, text, flags=re.MULTILINE)
    # Times differ from run to run.
    timed = _TIMES.sub("median 5 ms, at most 9 ms", underlined)
    return _MEDIAN_AND_MOST.sub("5 / 9", timed)


def in_document() -> str:
    """Return the sample as it stands in the document."""
    found = _PART.search(DOCUMENT.read_text(encoding="utf-8"))
    return found[0] if found else ""


if __name__ == "__main__":
    made = sample()
    DOCUMENT.write_text(_PART.sub(lambda _: made, DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name} written\n")
