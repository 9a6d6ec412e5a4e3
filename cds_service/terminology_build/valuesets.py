"""Code groups as FHIR R4 ValueSets with their expansion, in one collection for each kind."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cds_service.knowledge.notices import NOTICES
from cds_service.knowledge.terminology import ATC

BASE = "https://rls-iron-cds.example.org"
CODE_SOURCE = f"{BASE}/StructureDefinition/code-source"


class Row(NamedTuple):
    """One code of a group, with what it means and where code and meaning were seen together."""

    system: str
    code: str
    display: str
    group: str
    source: str


class Edition(NamedTuple):
    """The version and the day (YYYY-MM-DD) that stand in the written files."""

    version: str
    date: str


def collection(name: str, rows: Iterable[Row], edition: Edition) -> dict[str, object]:
    """Return the ValueSets of the groups of these rows; of two rows with the same code the first counts."""
    by_group: dict[str, dict[tuple[str, str], Row]] = defaultdict(dict)
    for row in rows:
        by_group[row.group].setdefault((row.system, row.code), row)
    sets = [value_set(group, list(members.values()), edition) for group, members in sorted(by_group.items())]
    entries = [{"fullUrl": s["url"], "resource": s} for s in sets]
    return {"resourceType": "Bundle", "id": name, "type": "collection", "entry": entries}


def value_set(group: str, rows: Sequence[Row], edition: Edition) -> dict[str, object]:
    """Return the FHIR R4 ValueSet of one group, with its expansion."""
    identity = group.replace("_", "-").replace("+", "-")
    systems = sorted({row.system for row in rows})
    return {
        "resourceType": "ValueSet",
        "id": identity,
        "url": f"{BASE}/ValueSet/{identity}",
        "identifier": [{"system": f"{BASE}/code-group", "value": group}],
        "version": edition.version,
        "name": "".join(part[:1].upper() + part[1:] for part in re.split(r"[_+-]", group)),
        "title": group.replace("_", " "),
        "status": "active",
        "experimental": False,
        "date": edition.date,
        "copyright": " ".join(NOTICES[s] for s in systems),
        "compose": {"include": list(_includes(rows))},
        "expansion": {
            "identifier": f"{BASE}/ValueSet/{identity}/expansion/{edition.version}",
            "timestamp": f"{edition.date}T00:00:00Z",
            "total": len(rows),
            "contains": [_contained(row) for row in rows],
        },
    }


def _includes(rows: Sequence[Row]) -> Iterator[dict[str, object]]:
    """Yield the codes by system and source, the source as an extension."""
    by_source: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        by_source[row.system, row.source].append(row.code)
    for (system, source), codes in by_source.items():
        extension = {"url": CODE_SOURCE, "valueString": source}
        yield {"extension": [extension], "system": system, "concept": [{"code": code} for code in codes]}


def _contained(row: Row) -> dict[str, str]:
    """Return one code of an expansion; without display where the licence or the check allows none."""
    code = {"system": row.system, "code": row.code}
    return {**code, "display": row.display} if row.display and row.system != ATC else code


def read_rows(content: bytes) -> Iterator[Row]:
    """Yield the rows of a collection of ValueSets, as it was written here."""
    for entry in json.loads(content)["entry"]:
        resource = entry["resource"]
        group = resource["identifier"][0]["value"]
        sources = {
            (include["system"], concept["code"]): include["extension"][0]["valueString"]
            for include in resource["compose"]["include"]
            for concept in include["concept"]
        }
        for member in resource["expansion"]["contains"]:
            system, code = member["system"], member["code"]
            yield Row(system, code, member.get("display", ""), group, sources[system, code])


def pretty(content: object) -> str:
    """Return JSON with one line for each code, so that a change is seen as such."""
    text = json.dumps(content, ensure_ascii=False, indent=1)
    return re.sub(r"\{\s*((?:\"[a-zA-Z]+\": \"(?:[^\"\\]|\\.)*\",?\s*)+)\}", _flat, text) + "\n"


def _flat(match: re.Match[str]) -> str:
    """Return a small object on one line."""
    return "{" + re.sub(r"\s*\n\s*", " ", match[1]).strip() + "}"
