"""Which of the many supplied resources can become a fact at all, decided by their codes.

One `Sieve` serves one request; a repeated code or text costs one look-up.
"""

from collections.abc import Callable, Iterable, Mapping

from cds_service.fhir import lean
from cds_service.fhir.answers import LABORATORY_GROUPS, LOINC
from cds_service.fhir.needs import READ_OBSERVATION_GROUPS
from cds_service.knowledge import Terminology

_LABORATORY = "laboratory"
# An Observation may name a family history of restless legs (factors.md 2.2).
_FAMILY_WORD = "restless"


class Sieve:
    """Tells the resources worth reading from the others."""

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology
        self._is_loinc: dict[str | None, bool] = {}
        self._is_read: dict[str | None, bool] = {}
        self._words: dict[str, bool] = {}

    def is_read(self, resource: lean.Resource) -> bool:
        """Whether an Observation, or a part of it, may be a result that the rules read."""
        if self.is_read_code(resource.code):
            return True
        components = resource.component
        if components is None:
            return False
        return any(self.is_read_code(component.code) for component in components)

    def is_read_code(self, code: lean.CodeableConcept | None) -> bool:
        """Whether an Observation code is one that the rules read; words count only without a LOINC code."""
        if code is None:
            return False
        is_local = True
        systems, read_codes = self._is_loinc, self._is_read
        for coding in code.coding or ():
            # One plain look-up each: most charts repeat a few systems and a few hundred codes.
            system = coding.system
            if not (systems[system] if system in systems else self._learn_system(system)):
                continue
            loinc = coding.code
            if read_codes[loinc] if loinc in read_codes else self._learn_code(loinc):
                return True
            is_local = is_local and not loinc
        if is_local:
            return any(self._has_word(words) for words in _texts(code))
        text = code.text
        return text is not None and _FAMILY_WORD in text

    def is_laboratory(self, resource: lean.Resource) -> bool:
        """Whether an Observation is a laboratory result: by category, or by a code of the iron studies."""
        return _is_laboratory_category(resource.category) or any(
            self._group(coding) in LABORATORY_GROUPS
            for coding in (resource.code.coding if resource.code else None) or ()
        )

    def may_matter(self, resource_type: str, code: lean.CodeableConcept) -> bool:
        """Whether a code of any other type belongs to something that the rules read."""
        check = self._checks().get(resource_type)
        if check is None:
            return True
        if any(check(self._system(coding), (coding.code or "").strip()) for coding in code.coding or ()):
            return True
        return any(self._is_known_text(resource_type, text) for text in _texts(code))

    def _checks(self) -> Mapping[str, Callable[[str, str], object]]:
        terminology = self._terminology
        return {
            "Condition": terminology.condition_groups,
            "Procedure": terminology.condition_groups,
            "ServiceRequest": terminology.is_order_code,
            "MedicationStatement": self._drug,
            "MedicationRequest": self._drug,
            "MedicationAdministration": self._drug,
        }

    def _drug(self, system: str, code: str) -> object:
        terminology = self._terminology
        return ("rxnorm" in system and terminology.drug_by_rxnorm(code)) or (
            "atc" in system and terminology.drug_by_atc(code)
        )

    def _is_known_text(self, resource_type: str, text: str) -> bool:
        if resource_type.startswith("Medication"):
            return self._terminology.drug_by_text(text) is not None
        if resource_type == "ServiceRequest":
            return self._terminology.observation_group_by_text(text) is not None
        return bool(self._terminology.condition_groups_by_text(text)) or _FAMILY_WORD in text.lower()

    def _learn_system(self, system: str | None) -> bool:
        is_loinc = system is not None and self._terminology.normalise_system(system.strip()) == LOINC
        self._is_loinc[system] = is_loinc
        return is_loinc

    def _learn_code(self, code: str | None) -> bool:
        group = self._terminology.observation_group(LOINC, code.strip()) if code else None
        is_read = self._is_read[code] = group in READ_OBSERVATION_GROUPS
        return is_read

    def _group(self, coding: lean.Coding) -> str | None:
        if not coding.code:
            return None
        return self._terminology.observation_group(self._system(coding), coding.code.strip())

    def _system(self, coding: lean.Coding) -> str:
        return self._terminology.normalise_system(coding.system.strip()) if coding.system else ""

    def _has_word(self, text: str) -> bool:
        known = self._words.get(text)
        if known is None:
            is_named = self._terminology.observation_group_by_text(text) is not None
            known = self._words[text] = is_named or _FAMILY_WORD in text.lower()
        return known


def _texts(code: lean.CodeableConcept) -> Iterable[str]:
    if code.text:
        yield code.text
    for coding in code.coding or ():
        if coding.display:
            yield coding.display


def _is_laboratory_category(category: object) -> bool:
    if isinstance(category, list):
        return any(_is_laboratory_category(one) for one in category)
    if isinstance(category, lean.CodeableConcept):
        codes = [coding.code for coding in category.coding or ()]
        return any(code is not None and code.lower() == _LABORATORY for code in [*codes, category.text])
    return isinstance(category, str) and category.lower() == _LABORATORY
