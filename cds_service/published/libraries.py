"""The rules in CQL as Library resources, read from the texts in `cql/`."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from cds_service.knowledge.notices import NOTICES
from cds_service.knowledge.terminology import SNOMED_CT
from cds_service.published.scheme import PATIENT, Json, Scheme

CQL = "text/cql"
PLAN = "RLSIronPlan"
"""The library whose values the conditions of the plan name."""

_TYPES = "http://terminology.hl7.org/CodeSystem/library-type"
_FHIR_TYPES = {"Boolean": "boolean", "Date": "date"}
_HEAD = re.compile(r"^library (\w+) version '([^']+)'$", re.MULTILINE)
_INCLUDE = re.compile(r"^include (\w+) version '([^']+)'", re.MULTILINE)
_VALUE_SET = re.compile(r"^valueset \"[^\"]+\": '([^']+)'$", re.MULTILINE)
_PACKAGED_BASE = re.compile(r"(?<=')https://[^'/]+(?=/ValueSet/)")
# A code of SNOMED CT that is named in place, not in a value set.
_SNOMED_CODE = re.compile(r"(\w+)\.code = '[0-9]+' and \1\.system = '" + re.escape(SNOMED_CT) + "'")
_PARAMETER = re.compile(r"^((?://.*\n)*)parameter \"([^\"]+)\" (\w+)", re.MULTILINE)
_DEFINITION = re.compile(r"^define \"([^\"]+)\":", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CqlText:
    """One CQL library: its name, its own version, and its text under the base of the scheme."""

    name: str
    version: str
    text: str

    @property
    def value_sets(self) -> tuple[str, ...]:
        """Return the canonical URLs of the value sets that it names."""
        return tuple(_VALUE_SET.findall(self.text))

    @property
    def definitions(self) -> frozenset[str]:
        """Return the names of its values."""
        return frozenset(_DEFINITION.findall(self.text))


def cql_texts(scheme: Scheme) -> dict[str, CqlText]:
    """Return the packaged libraries by name; where SNOMED CT is switched off, without its codes."""
    has_snomed = scheme.library.knowledge.terminology.has_snomed
    folder = files("cds_service.published") / "cql"
    found = {}
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        text = _PACKAGED_BASE.sub(scheme.base, path.read_text(encoding="utf-8"))
        text = text if has_snomed else _SNOMED_CODE.sub("false", text)
        [(name, version)] = _HEAD.findall(text)
        found[name] = CqlText(name, version, text)
    return found


def libraries(scheme: Scheme, texts: dict[str, CqlText]) -> Iterator[Json]:
    """Yield a Library for each text; its version is that of the CQL, by which the others include it."""
    for one in texts.values():
        needs = [
            *(
                f"{scheme.canonical('Library', name)}|{version}"
                for name, version in _INCLUDE.findall(one.text)
            ),
            *one.value_sets,
        ]
        parameters = list(_parameters(one))
        notices = [words for system, words in NOTICES.items() if f"'{system}'" in one.text]
        yield {
            **scheme.resource(
                "Library",
                one.name,
                version=one.version,
                name=one.name,
                title=f"{one.name} (CQL)",
                type={"coding": [{"system": _TYPES, "code": "logic-library", "display": "Logic Library"}]},
                subjectCodeableConcept=PATIENT,
                description=_comment(one.text[: one.text.index("\nlibrary ") + 1]),
            ),
            **(
                {"relatedArtifact": [{"type": "depends-on", "resource": url} for url in needs]}
                if needs
                else {}
            ),
            **({"copyright": " ".join(notices)} if notices else {}),
            **({"parameter": parameters} if parameters else {}),
            "content": [{"contentType": CQL, "data": base64.b64encode(one.text.encode()).decode()}],
        }


def _parameters(one: CqlText) -> Iterator[Json]:
    for comment, name, kind in _PARAMETER.findall(one.text):
        yield {
            "name": name,
            "use": "in",
            "min": 0,
            "max": "1",
            "documentation": _comment(comment),
            "type": _FHIR_TYPES[kind],
        }


def _comment(lines: str) -> str:
    return " ".join(line.removeprefix("//").strip() for line in lines.splitlines())
