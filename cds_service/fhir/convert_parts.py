"""What the converters of other FHIR releases share: renaming, codes that became concepts, dosages.

They work on the parsed JSON of one resource. A part of an unexpected shape is left as it came: the typed
decode judges it afterwards, as it judges a part of an R4 resource.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Converter = Callable[[Json], list[Json]]
"""From one resource to the R4 resources that say the same; the given resource is not changed."""
Change = Callable[[Json], None]
"""What turns a copy of a resource of one type into R4; its parts are replaced, never changed."""

CONDITION_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CONDITION_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ALLERGY_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
ALLERGY_VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"

ENTERED_IN_ERROR = "entered-in-error"
_OLD_DOSES = {
    "doseQuantity": "doseQuantity",
    "quantityQuantity": "doseQuantity",
    "doseRange": "doseRange",
    "quantityRange": "doseRange",
}


def code_of(value: object) -> str:
    """Return a code as it is compared: in lower case, "" for anything that is no text."""
    return value.strip().lower() if isinstance(value, str) else ""


def is_true(value: object) -> bool:
    """Whether a boolean element is true, also where a sender quotes it."""
    return value is True or code_of(value) == "true"


def rename(resource: Json, names: Mapping[str, str]) -> None:
    """Move elements to their R4 names; an R4 element that is there already stays."""
    for old, new in names.items():
        value = resource.pop(old, None)
        if value is not None and resource.get(new) is None:
            resource[new] = value


def to_concept(resource: Json, element: str, system: str, meanings: Mapping[str, str]) -> None:
    """Turn a plain code into the concept that R4 has; `meanings` maps the codes that R4 spells otherwise."""
    value = resource.get(element)
    if not isinstance(value, str):
        return
    code = code_of(value)
    del resource[element]
    if code:
        resource[element] = {"coding": [{"system": system, "code": meanings.get(code, code)}]}


def to_list(resource: Json, element: str) -> None:
    """Put a single object where R4 has a list into one."""
    if isinstance(resource.get(element), dict):
        resource[element] = [resource[element]]


def translate_status(resource: Json, codes: Mapping[str, str]) -> None:
    """Replace a status by R4's code for it; a code that is not listed is R4's own or nobody's."""
    code = code_of(resource.get("status"))
    if code in codes:
        resource["status"] = codes[code]


def convert_contained(resource: Json, convert: Converter) -> None:
    """Convert the contained resources, which are written in the release of their container."""
    contained = resource.get("contained")
    if isinstance(contained, list):
        resource["contained"] = [
            part for one in contained for part in (convert(one) if isinstance(one, dict) else [one])
        ]


def convert_each(resource: Json, element: str, convert: Callable[[Json], Json]) -> None:
    """Convert the objects of an element, be it a list of them or a single one."""
    value = resource.get(element)
    if isinstance(value, list):
        resource[element] = [convert(one) if isinstance(one, dict) else one for one in value]
    elif isinstance(value, dict):
        resource[element] = convert(value)


def convert_old_dosage(dosage: Json) -> Json:
    """Return a dosage of DSTU2 or STU3 with its dose and its unit of time where R4 has them."""
    converted = {name: value for name, value in dosage.items() if name not in _OLD_DOSES}
    dose = {new: dosage[old] for old, new in _OLD_DOSES.items() if dosage.get(old) is not None}
    if dose and converted.get("doseAndRate") is None:
        converted["doseAndRate"] = [dose]
    convert_each(converted, "timing", _convert_timing)
    return converted


def _convert_timing(timing: Json) -> Json:
    converted = dict(timing)
    convert_each(converted, "repeat", _convert_repeat)
    return converted


def _convert_repeat(repeat: Json) -> Json:
    converted = dict(repeat)
    rename(converted, {"periodUnits": "periodUnit"})
    return converted


def codes_in(concept: object) -> Iterator[str]:
    """Yield the codes of a concept, then its text, in the form of codes ("Not taking": "not-taking")."""
    if not isinstance(concept, dict):
        return
    codings = concept.get("coding")
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and code_of(coding.get("code")):
            yield code_of(coding["code"])
    text = code_of(concept.get("text"))
    if text:
        yield "-".join(text.split())


def of_reference_text(reference: object) -> Json | None:
    """Return the words of a reference as a concept, None when it has none."""
    display = reference.get("display") if isinstance(reference, dict) else None
    return {"text": display} if isinstance(display, str) and display.strip() else None
