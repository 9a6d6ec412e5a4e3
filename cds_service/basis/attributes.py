"""The thirteen source attributes of an evidence-based decision support intervention.

45 CFR 170.315(b)(11)(iv)(A): the duty to show them lies with a certified EHR; published here, they can be
copied into it. Attributes 1 and 4 come from the knowledge files, the others from `about.toml`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cds_service.basis.pages import Library

_DATA: Mapping[str, str] = {
    "race": "Use of race",
    "ethnicity": "Use of ethnicity",
    "language": "Use of language",
    "sexual_orientation": "Use of sexual orientation",
    "gender_identity": "Use of gender identity",
    "sex": "Use of sex",
    "birth_date": "Use of date of birth",
    "social_determinants": "Use of social determinants of health data",
    "health_status": "Use of health status assessment data",
}
_PATIENT_ELEMENTS = ("id", "gender", "birthDate", "deceased[x]")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One source attribute; `used` is None where the question is not whether data is used."""

    number: int
    name: str
    used: bool | None
    text: tuple[str, ...]
    why: str


def source_attributes(library: Library, service: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes as plain values; `service` names the service and its version."""
    knowledge = library.knowledge
    return {
        **service,
        "kind": "evidence-based decision support intervention",
        "knowledge": {
            "version": knowledge.version,
            "date": knowledge.date.isoformat(),
            "hash": knowledge.hash,
        },
        "intendedUse": dict(library.about["use"]),
        "patientElementsRead": list(_PATIENT_ELEMENTS),
        "attributes": [_plain(one) for one in _attributes(library)],
    }


def _plain(attribute: Attribute) -> dict[str, Any]:
    made = asdict(attribute)
    return {name: value for name, value in made.items() if value is not None}


def _attributes(library: Library) -> Iterator[Attribute]:
    about, knowledge = library.about, library.knowledge
    citations = tuple(f"{one.reference} {one.url}" for one in knowledge.citations.values())
    dates = (
        f"Released and last revised: knowledge {knowledge.version} of {knowledge.date.isoformat()}.",
        *(f"{one.version}, {one.day.isoformat()}: {one.text}." for one in library.basis.changes),
    )
    whole = (
        ("Bibliographic citation", citations, "Every rule names which of these it rests on."),
        ("Developer", (about["developer"],), "Named in the NOTICE of the project."),
        ("Funding source of the technical implementation", (about["funding"],), "Stated by the developer."),
        ("Release and revision dates", dates, "Kept with the rules; each change names its cards."),
    )
    for number, (name, text, why) in enumerate(whole, start=1):
        yield Attribute(number, name, None, text, why)
    for number, (key, name) in enumerate(_DATA.items(), start=len(whole) + 1):
        told = about[key]
        yield Attribute(number, name, told["used"], (told["how"],), told["why"])
