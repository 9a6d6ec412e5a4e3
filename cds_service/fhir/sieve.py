"""Which of the many supplied resources can become a fact at all, decided by their codes.

One `Sieve` serves one request. A code is judged once, by its JSON text: charts repeat a few hundred codes.
It may keep too much, since extraction decides, but never too little.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from cds_service.fhir import lean
from cds_service.fhir.allergies import named_reaction
from cds_service.fhir.answers import LABORATORY_GROUPS, LOINC
from cds_service.fhir.decoding import UNREADABLE, Head
from cds_service.fhir.reading import is_switched_off
from cds_service.knowledge import Terminology
from cds_service.knowledge.code_map import CodeKind, Meaning
from cds_service.knowledge.terminology import OWN, RESULT_GROUPS

_LABORATORY = "laboratory"
# An Observation or Condition may name a family history of restless legs (docs/rules.md R9.5).
_FAMILY_WORD = "restless"
_ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
_SNOMED_CT = "http://snomed.info/sct"
_LABORATORY_CODE, _PROBLEM = CodeKind.LABORATORY, CodeKind.PROBLEM

_ORDER_STEMS = ("iron", "ferr")

_concept = msgspec.json.Decoder(lean.CodeableConcept)


class _Part(msgspec.Struct, gc=False):
    code: lean.CodeableConcept | None = None


_parts = msgspec.json.Decoder(list[_Part])


class Sieve:
    """Tells the resources worth reading from the others."""

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology
        medicines: dict[bytes, bool] = {}
        self._known: dict[str, dict[bytes, bool]] = {
            "Observation": {},
            "Condition": {},
            "Procedure": {},
            "ServiceRequest": {},
            "MedicationStatement": medicines,
            "MedicationRequest": medicines,
            "MedicationAdministration": medicines,
        }
        self._checks: Mapping[str, Callable[[lean.CodeableConcept], bool]] = {
            "Observation": self._is_read_observation,
            "Condition": self._is_known_condition,
            "Procedure": self._is_known_condition,
            "ServiceRequest": self._is_known_order,
            "MedicationStatement": self._is_known_medicine,
            "MedicationRequest": self._is_known_medicine,
            "MedicationAdministration": self._is_known_medicine,
        }

    def keeps(self, head: Head, resource_type: str) -> bool:
        """Whether a resource of a type that we read may become a fact."""
        known = self._known.get(resource_type)
        if known is None:
            return True
        code = bytes(head.medicationCodeableConcept if resource_type[0] == "M" else head.code)
        is_kept = known.get(code)
        if is_kept is None:
            is_kept = known[code] = self._judge(code, resource_type)
        if is_kept or head.component is lean.ABSENT:
            return is_kept
        return self._keeps_component(head.component)

    def may_matter(self, resource_type: str, code: lean.CodeableConcept) -> bool:
        """Whether a code of this type belongs to something that the rules read."""
        check = self._checks.get(resource_type)
        return check is None or check(code)

    def is_judgeable(self, code: lean.CodeableConcept | None) -> bool:
        """Whether anything tells what an Observation measures: words, or a code of a named system.

        Not one of SNOMED CT, which has codes for all that is read and of which none is known here.
        """
        if code is None:
            return False
        if code.text and code.text.strip():
            return True
        for coding in code.coding or ():
            if coding.code and self._meaning(_LABORATORY_CODE, coding).system not in {"", _SNOMED_CT}:
                return True
        return any(text.strip() for text in _texts(code))

    def is_laboratory(self, resource: lean.Resource) -> bool:
        """Whether an Observation is a laboratory result: by category, or by a code of the iron studies."""
        return _is_laboratory_category(resource.category) or any(
            self._group(coding) in LABORATORY_GROUPS
            for coding in (resource.code.coding if resource.code else None) or ()
        )

    def _judge(self, code: bytes, resource_type: str) -> bool:
        if not code or code == b"null":
            # A medicine may be named by a reference, and an Observation may be any result; anything else
            # without a code says nothing.
            return resource_type.startswith(("Medication", "Observation"))
        try:
            concept = _concept.decode(code)
        except UNREADABLE:
            return True
        is_hidden = resource_type == "Observation" and not self.is_judgeable(concept)
        return is_hidden or self._checks[resource_type](concept)

    def _keeps_component(self, raw: msgspec.Raw) -> bool:
        try:
            parts = _parts.decode(raw)
        except UNREADABLE:
            return bytes(raw) != b"null"
        return any(part.code is not None and self._is_read_observation(part.code) for part in parts)

    def _is_read_observation(self, code: lean.CodeableConcept) -> bool:
        """Words count only without a LOINC code (docs/rules.md R8.13)."""
        is_local = True
        for coding in code.coding or ():
            if coding.code and self._meaning(_LABORATORY_CODE, coding).system in {LOINC, OWN}:
                is_local = False
                if self._group(coding) in RESULT_GROUPS:
                    return True
        texts = list(_texts(code))
        words = "; ".join(texts)
        if not words:
            return False
        if is_local and any(self._terminology.observation_group_by_text(text) for text in (words, *texts)):
            return True
        return self._terminology.is_family_history_text_of_rls(words) or _FAMILY_WORD in words.lower()

    def _is_known_condition(self, code: lean.CodeableConcept) -> bool:
        groups = self._terminology.condition_groups
        for coding in code.coding or ():
            system, bare, *_ = self._meaning(_PROBLEM, coding)
            # An ICD code also counts under a system of the site's own.
            if groups(system, bare) or groups(_ICD_10_CM, bare):
                return True
            if self._terminology.is_obstetric(_ICD_10_CM, bare):
                return True
        words = "; ".join(_texts(code))
        if not words:
            return is_switched_off(code, self._terminology)
        is_told = _FAMILY_WORD in words.lower() or self._terminology.condition_groups_by_text(words)
        return bool(is_told or named_reaction(words, self._terminology))

    def _is_known_order(self, code: lean.CodeableConcept) -> bool:
        meanings = [self._meaning(CodeKind.ORDER, coding) for coding in code.coding or ()]
        return any(self._terminology.is_order_code(one.system, one.code) for one in meanings) or any(
            stem in text.lower() for stem in _ORDER_STEMS for text in _texts(code)
        )

    def _is_known_medicine(self, code: lean.CodeableConcept) -> bool:
        terminology = self._terminology
        for coding in code.coding or ():
            bare = self._meaning(CodeKind.MEDICINE, coding).code
            if bare and (terminology.drug_by_rxnorm(bare) or terminology.drug_by_atc(bare)):
                return True
        words = [text for text in _texts(code) if terminology.is_medicine_readable(text)]
        # A medicine without a readable name is counted.
        return not words or any(terminology.drug_by_text(text) for text in _texts(code))

    def _group(self, coding: lean.Coding) -> str | None:
        if not coding.code:
            return None
        meaning = self._meaning(_LABORATORY_CODE, coding)
        return self._terminology.observation_group(meaning.system, meaning.code)

    def _meaning(self, kind: CodeKind, coding: lean.Coding) -> Meaning:
        return self._terminology.meaning(kind, coding.system, coding.code)


def _texts(code: lean.CodeableConcept) -> Iterator[str]:
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
