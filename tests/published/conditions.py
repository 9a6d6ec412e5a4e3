"""Runs the conditions of the published plan as CQL on the worked cases, beside the answer of the CQL.

    python -m tests.published.conditions

Needs Node and the packages of tests/crosscheck (`make crosscheck`). Exit code 1 where the conditions that
hold are not the cards of the answer, or where one never holds.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cds_service.clinical.assessment import CardKey
from tests.crosscheck.charts import chart_of
from tests.crosscheck.worked import cases

HOME = Path(__file__).parents[1] / "crosscheck"
SECONDS = 300
_SHOWS = "Shows "


def twin(charts: Path, *library: str) -> dict[str, dict[str, object]]:
    """Return what the twin says of each chart by its number; with a library, all values of that library."""
    answers = charts.with_name("answers.ndjson")
    command = ["node", "twin.mjs", str(charts), str(answers), *library]
    # The translator tells of its start on standard output.
    environment = os.environ | {"TZ": "UTC"}
    subprocess.run(command, cwd=HOME, check=True, timeout=SECONDS, env=environment, stdout=subprocess.DEVNULL)
    told = map(json.loads, answers.read_text(encoding="utf-8").splitlines())
    return {one["id"]: one for one in told}


def main() -> int:
    """Return 1 if a condition is not what its card needs."""
    with tempfile.TemporaryDirectory() as folder:
        charts = Path(folder) / "charts.ndjson"
        made = [chart_of(c.number, c.request, is_screening_on=c.is_screening_on) for c in cases()]
        charts.write_text("".join(f"{json.dumps(one)}\n" for one in made), encoding="utf-8")
        answers, plan = twin(charts), twin(charts, "RLSIronPlan")
    faults, seen = [], set()
    for number, one in answers.items():
        cards = {card.partition(":")[0] for card in one["answer"] if ":" in card}
        trace = plan[number]["trace"]
        holding = {n.removeprefix(_SHOWS) for n, value in trace.items() if n.startswith(_SHOWS) and value}
        seen |= holding
        if cards != holding:
            faults.append(f"worked case {number}: {sorted(cards)} answered, {sorted(holding)} hold")
    faults += [f"{key} never holds" for key in CardKey if key.value not in seen]
    print("\n".join([*faults, f"conditions of the plan: {len(answers)} charts, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
