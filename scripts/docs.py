"""Write the generated parts of the documents anew, or check that they are current.

    python scripts/docs.py           write
    python scripts/docs.py --check   exit 1 if a part is out of date, a relative link leads nowhere, or a
                                     table of evidence has a gap

A generated part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import evidence
import facts
import fault_table
import hazards
import limits
import openapi
import yaml
from tables import shortened
from tables import table as _table

from cds_service.cli.sheet import sheet_for
from cds_service.clinical.assessment import CardKey
from cds_service.explain.model import json_schema
from cds_service.knowledge import load
from cds_service.onboarding.document import as_markdown
from cds_service.onboarding.sheet_document import sheet_document
from cds_service.onboarding.wire import report_schema
from cds_service.settings import Settings
from cds_service.web.discovery import templates

ROOT = Path(__file__).resolve().parent.parent
MESSY = ROOT / "tests" / "messy"
PART = re.compile(
    r"(?P<open><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<close><!-- end: (?P=name) -->)", re.DOTALL
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)
FENCE = re.compile(r"```.*?```", re.DOTALL)
# How far a rule's text was checked, in the words of a reader.
CHECKS = {
    "V1": "read in the primary source",
    "V2": "read in a secondary source",
    "M": "awaits clinical review",
    "P": "project rule",
}
_SETTLED = frozenset({"V1", "P"})


def prefetch_part() -> str:
    """Return each prefetch key with its query, ready to copy."""
    queries = templates(load())
    return "".join(f"\n`{key}`\n\n```text\n{query}\n```\n" for key, query in queries.items()) + "\n"


def cards_part() -> str:
    """Return the table of all cards."""
    rules = load().rules
    rows = []
    for key in CardKey:
        wording = tomllib.loads((ROOT / "cards" / f"{key.value}.toml").read_text(encoding="utf-8"))
        rule = rules[key.value]
        # Sentences on a card can rest on less than its rule does.
        review = "for its sentences" if rule.check.value in _SETTLED else "yes"
        note = review if wording["awaits_review"] else ""
        subject, checked = wording["topic"], CHECKS[rule.check.value]
        rows.append((key.value, f"`{key.topic_code}`", subject, rule.text, checked, note))
    return _table(("card", "topic code", "subject", "rule", "checked", "review note"), rows)


def factors_part() -> str:
    """Return the table of all factors."""
    return _table(
        ("factor", "name", "weight", "opens", "checked"),
        (
            (f"`{f.id}`", f.name, f.weight, "yes" if f.is_opening else "", f.check.value)
            for f in load().factors.values()
        ),
    )


def facts_part() -> str:
    """Return the table of the facts: where each stands, how it is detected, which tests prove it."""
    return _table(("fact", "in words", "judged", "knowledge", "detected", "tests"), facts.fact_rows(load()))


def factor_states_part() -> str:
    """Return the table of the factors: what to do, how they are found, their sources and scenarios."""
    head = ("factor", "what a clinician can do", "detected", "look-back", "rests on", *facts.STATES)
    return _table(head, facts.factor_rows(load()))


def medicines_part() -> str:
    """Return the table of the flagged drug classes with their ingredients, the strongest ones in bold."""
    knowledge = load()
    rows = []
    for drug_class in knowledge.drug_classes.values():
        if not drug_class.is_flagged:
            continue
        found = [i for i in knowledge.ingredients.values() if drug_class.group in i.groups and i.is_flagged]
        names = sorted(f"**{i.name}**" if i.is_strongest else i.name for i in found)
        rows.append((drug_class.name, ", ".join(names), drug_class.alternative, drug_class.check.value))
    return _table(("flagged class", "medicines", "alternative named", "checked"), rows)


def sheet_part() -> str:
    """Return the build sheet for Epic with the settings as they come."""
    sheet = sheet_for("epic", "https://cds.example.org", "default", settings=Settings())
    return f"\n{as_markdown(sheet_document(sheet), level=2)}\n\n"


def thresholds_part() -> str:
    """Return the table of all limits."""
    return _table(
        ("limit", "value", "checked", "meaning"),
        ((f"`{t.id}`", f"{t.value} {t.unit}", t.check.value, t.text) for t in load().thresholds.values()),
    )


def windows_part() -> str:
    """Return the table of the look-backs that a site may set."""
    return _table(
        ("window", "days", "a site may set", "meaning"),
        (
            (f"`{t.id}`", str(t.value), f"{t.local[0]} to {t.local[1]}", t.text)
            for t in load().thresholds.values()
            if t.local is not None
        ),
    )


def messy_cases_part() -> str:
    """Return the table of reported problems, each with its sources and what the service does."""
    return _table(
        ("problem", "reported in", "what the service does", "test"),
        (
            (case["problem"], ", ".join(map(_issue, _listed(case["source"]))), case["does"], f"`{name}`")
            for name, case in _messy_cases().items()
        ),
    )


def messy_lines_part(kind: str) -> str:
    """Return the table of the lines of one kind, each with the tests and cases that show it."""
    rows = yaml.safe_load((MESSY / "lines.yaml").read_text(encoding="utf-8"))[kind]
    return _table(("line", "what holds", "shown by"), ((r["id"], r["what"], _shown_by(r)) for r in rows))


def _shown_by(row: Mapping[str, Any]) -> str:
    tests = [shortened(row["tests"])]
    cases = [f"case `{name}`" for name, case in _messy_cases().items() if row["id"] in case.get("lines", ())]
    return ", ".join([*tests, *cases])


@cache
def _messy_cases() -> Mapping[str, Any]:
    files = sorted((MESSY / "cases").glob("*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in files}


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _issue(address: str) -> str:
    """Return a link to an issue, written as owner/repository#number."""
    owner, repository, _, number = address.removeprefix("https://github.com/").split("/")
    return f"[{owner}/{repository}#{number}]({address})"


PARTS: Mapping[str, Callable[[], str]] = {
    **evidence.PARTS,
    **fault_table.PARTS,
    **hazards.PARTS,
    **limits.PARTS,
    "cards": cards_part,
    "factor-states": factor_states_part,
    "factors": factors_part,
    "facts": facts_part,
    "medicines": medicines_part,
    "messy-cases": messy_cases_part,
    "messy-clients": partial(messy_lines_part, "clients"),
    "messy-reading": partial(messy_lines_part, "reading"),
    "prefetch": prefetch_part,
    "sheet": sheet_part,
    "thresholds": thresholds_part,
    "windows": windows_part,
}


def schema_of_explanations() -> str:
    """Return the JSON Schema of explanations as it is shipped."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def schema_of_reports() -> str:
    """Return the JSON Schema of the doctor's report."""
    return json.dumps(report_schema(), indent=2, sort_keys=True) + "\n"


WHOLE: Mapping[Path, Callable[[], str]] = {
    ROOT / "cds_service" / "explain" / "schema.json": schema_of_explanations,
    ROOT / "docs" / "doctor.schema.json": schema_of_reports,
    ROOT / "docs" / "openapi.yaml": openapi.as_yaml,
}
"""Files that are generated as a whole."""


def documents() -> list[Path]:
    """Return every Markdown file of the project that people read."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "cards").glob("*.md")])


def current(text: str) -> str:
    """Return a document with its generated parts as they should be."""
    return PART.sub(lambda match: match["open"] + PARTS[match["name"]]() + match["close"], text)


def dead_links(path: Path, text: str) -> Iterator[str]:
    """Yield relative links of a document that lead nowhere, to no file or to no heading of one."""
    for target, heading in LINK.findall(FENCE.sub("", text)):
        found = path.parent / target if target else path
        if not found.exists():
            yield f"{path.relative_to(ROOT)}: no such file: {target}"
        elif heading and found.suffix == ".md" and heading not in headings(found.read_text(encoding="utf-8")):
            yield f"{path.relative_to(ROOT)}: {target} has no heading {heading}"


def headings(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    plain = (re.sub(r"[^\w\s-]", "", told.lower()) for told in HEADING.findall(FENCE.sub("", text)))
    return {re.sub(r"\s", "-", told) for told in plain}


def main() -> int:
    """Return 1 if `--check` finds a fault."""
    parser = argparse.ArgumentParser(description="Write or check the generated parts of the documents.")
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    found: list[str] = []
    found.extend(evidence.gaps())
    found.extend(fault_table.gaps())
    found.extend(hazards.gaps())
    found.extend(f"docs/coverage.toml: {one}" for one in facts.problems(load(), facts.facts()))
    texts = {path: path.read_text(encoding="utf-8") for path in documents()}
    found.extend(fault for path, text in texts.items() for fault in dead_links(path, text))
    wanted = {path: current(text) for path, text in texts.items()}
    wanted |= {path: make() for path, make in WHOLE.items()}
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if is_check:
            found.append(f"{path.relative_to(ROOT)}: out of date, run `make docs`")
        else:
            path.write_text(text, encoding="utf-8")
    print("\n".join(found) or f"{len(documents())} documents are current")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
