"""Write the generated parts of the documents anew, or check that they are current.

    python scripts/docs.py           write
    python scripts/docs.py --check   exit 1 if a part is out of date or a relative link leads nowhere

A generated part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cds_service.clinical.assessment import CardKey
from cds_service.knowledge import load
from cds_service.web.discovery import templates

ROOT = Path(__file__).resolve().parent.parent
PART = re.compile(
    r"(?P<open><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<close><!-- end: (?P=name) -->)", re.DOTALL
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")
FENCE = re.compile(r"```.*?```", re.DOTALL)
# How far a rule's text was checked, in the words of a reader.
CHECKS = {
    "V1": "read in the primary source",
    "V2": "read in a secondary source",
    "M": "awaits clinical review",
    "P": "project rule",
}


def prefetch_part() -> str:
    """Return each prefetch key with its query, ready to copy."""
    queries = templates(load())
    return "".join(f"\n`{key}`\n\n```text\n{query}\n```\n" for key, query in queries.items()) + "\n"


def cards_part() -> str:
    """Return the table of all cards."""
    rules = load().rules
    rows = ["", "| card | topic code | subject | rule | checked |", "|---|---|---|---|---|"]
    for key in CardKey:
        subject = tomllib.loads((ROOT / "cards" / f"{key.value}.toml").read_text(encoding="utf-8"))["topic"]
        rule = rules[key.value]
        cells = (
            key.value,
            f"`{key.topic_code}`",
            subject,
            rule.text.replace("|", r"\|"),
            CHECKS[rule.check.value],
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n\n"


PARTS: Mapping[str, Callable[[], str]] = {"cards": cards_part, "prefetch": prefetch_part}


def documents() -> list[Path]:
    """Return every Markdown file of the project that people read."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "cards").glob("*.md")])


def current(text: str) -> str:
    """Return a document with its generated parts as they should be."""
    return PART.sub(lambda match: match["open"] + PARTS[match["name"]]() + match["close"], text)


def dead_links(path: Path, text: str) -> Iterator[str]:
    """Yield relative links of a document that lead nowhere."""
    for target in LINK.findall(FENCE.sub("", text)):
        if not (path.parent / target).exists():
            yield f"{path.relative_to(ROOT)}: no such file: {target}"


def main() -> int:
    """Return 1 if `--check` finds a fault."""
    parser = argparse.ArgumentParser(description="Write or check the generated parts of the documents.")
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    found: list[str] = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        found.extend(dead_links(path, text))
        if current(text) != text:
            if is_check:
                found.append(f"{path.relative_to(ROOT)}: out of date, run `make docs`")
            else:
                path.write_text(current(text), encoding="utf-8")
    print("\n".join(found) or f"{len(documents())} documents are current")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
