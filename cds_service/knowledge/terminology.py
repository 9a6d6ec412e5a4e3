"""Code systems, code groups, medicines, words and units: the one place that knows what a code means."""

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from cds_service.knowledge.answer_words import AnswerWords, answer_words
from cds_service.knowledge.code_map import EMPTY, CodeKind, CodeMap, Key, Meaning
from cds_service.knowledge.drugs import (
    UNKNOWN,
    DrugProduct,
    Drugs,
    ProductIngredient,
    is_readable,
    load_drugs,
)
from cds_service.knowledge.text_match import (
    ConditionWords,
    ObservationWords,
    condition_words,
    observation_words,
)
from cds_service.knowledge.units import UnitFactor, Units, load_units, plain

__all__ = ["DrugProduct", "ProductIngredient", "Terminology", "UnitFactor", "load_terminology"]

LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"

_OIDS = {
    LOINC: "2.16.840.1.113883.6.1",
    SNOMED_CT: "2.16.840.1.113883.6.96",
    ICD_10_CM: "2.16.840.1.113883.6.90",
    RXNORM: "2.16.840.1.113883.6.88",
    ATC: "2.16.840.1.113883.6.73",
}
_OTHER_ADDRESSES = {
    "loinc.org": LOINC,
    "www.loinc.org": LOINC,
    "snomed.info/sct": SNOMED_CT,
    "www.snomed.info/sct": SNOMED_CT,
    "hl7.org/fhir/sid/icd-10-cm": ICD_10_CM,
    "www.nlm.nih.gov/research/umls/rxnorm": RXNORM,
    "nlm.nih.gov/research/umls/rxnorm": RXNORM,
    "www.whocc.no/atc": ATC,
    "whocc.no/atc": ATC,
}
_SNOMED_EDITION = "snomed.info/sct/"

_NOTHING: frozenset[str] = frozenset()
# For what no standard code is known: a site's code map may name these.
OWN = "urn:rls-iron-cds:observation"
OWN_CODES = {"caffeine-intake": "caffeine_intake", "irls-total": "severity_score"}

_LONGEST_ICD = 8
_MASS, _MOLAR = "mass", "molar"
RESULT_GROUPS: Mapping[str, tuple[str, str | None]] = {
    "ferritin": ("ferritin", _MASS),
    "ferritin_molar": ("ferritin", _MOLAR),
    "tsat": ("tsat", None),
    "iron_mass": ("iron", _MASS),
    "iron_molar": ("iron", _MOLAR),
    "tibc_mass": ("tibc", _MASS),
    "tibc_molar": ("tibc", _MOLAR),
    "crp": ("crp", _MASS),
    "crp_hs": ("crp", _MASS),
    "crp_molar": ("crp", _MOLAR),
    "hemoglobin": ("haemoglobin", _MASS),
    "hemoglobin_molar": ("haemoglobin", _MOLAR),
    "egfr": ("egfr", None),
    "pregnancy_status": ("pregnancy status", None),
    "pregnancy_edd": ("estimated delivery date", None),
    "pregnancy_test": ("pregnancy test", None),
    "hba1c": ("hba1c", None),
    "b12": ("b12", _MASS),
    "b12_molar": ("b12", _MOLAR),
    "folate": ("folate", _MASS),
    "folate_molar": ("folate", _MOLAR),
    "vitd25oh": ("vitamin d", _MASS),
    "tsh": ("tsh", None),
    "phosphate": ("phosphate", _MASS),
    "phosphate_molar": ("phosphate", _MOLAR),
    "smoking_status": ("smoking status", None),
    "alcohol_score": ("alcohol score", None),
    "alcohol_intake": ("drinks per day", None),
    "sleep_duration": ("sleep duration", None),
    "gene_studied": ("gene studied", None),
    "caffeine_intake": ("caffeine intake", None),
    "severity_score": ("severity score", None),
}
"""The groups of LOINC codes that are read as results: the analyte, and mass or molar where the code says."""

# Chapter 15, delivery outcome and postpartum care: the pregnancy rules read these codes themselves.
_OBSTETRIC = ("O", "Z37", "Z39")
_ORDERS = {
    "ferritin": "ferritin",
    "ferritin_molar": "ferritin",
    "order_iron_panel": "iron panel",
}

Codes = Mapping[str, tuple[tuple[str, str], ...]]
"""The codes of each group, as system and code."""


@dataclass(frozen=True, slots=True)
class Terminology:
    """What codes, names, words and units mean; built once, read by every room above.

    `codes` has the members of every group: conditions, observations, and the ingredients of medicines.
    `ingredients` has the groups of every ingredient by its one name. `has_snomed` is False where a site has
    no licence for SNOMED CT: its codes then say nothing, neither yes nor no.
    """

    codes: Codes
    ingredients: Mapping[str, frozenset[str]]
    snomed: Mapping[str, frozenset[str]]
    icd: Mapping[str, frozenset[str]]
    loinc: Mapping[str, str]
    drugs: Drugs
    units: Units
    conditions: ConditionWords
    observations: ObservationWords
    systems: Mapping[str, str]
    answers: Mapping[str, frozenset[str]]
    answer_words: AnswerWords
    in_remission: frozenset[str]
    has_snomed: bool = True
    code_map: CodeMap = EMPTY

    def without_snomed(self) -> Self:
        """Return the same without any code of SNOMED CT; groups that have no other code are read by words."""
        others = {group: tuple(c for c in codes if c[0] != SNOMED_CT) for group, codes in self.codes.items()}
        codes = {group: members for group, members in others.items() if members}
        return replace(self, codes=codes, snomed={}, has_snomed=False)

    def with_code_map(self, code_map: CodeMap) -> Self:
        """Return the terminology of a client whose own codes count as this map says."""
        return replace(self, code_map=code_map) if code_map else self

    def meaning(self, kind: CodeKind, system: str | None, code: str | None) -> Meaning:
        """Return what a coding stands for: what the site's map says, else the coding itself.

        The system is canonical and "" when none is given, the code without surrounding blanks.
        """
        own = self.normalise_system(system.strip()) if system else ""
        bare = code.strip() if code else ""
        mapped = self.code_map.find(kind, own, bare)
        return Meaning(own, bare) if mapped is None else mapped.meaning

    def normalise_system(self, uri: str) -> str:
        """Return the canonical URL of a code system, an unknown one as it came."""
        known = self.systems.get(uri)
        if known is not None:
            return known
        address = uri.strip().casefold().removeprefix("https://").removeprefix("http://")
        if address.startswith(_SNOMED_EDITION):
            return SNOMED_CT
        return self.systems.get(address.rstrip("/"), uri)

    def condition_groups(self, system: str, code: str) -> frozenset[str]:
        """Return the groups of a code: SNOMED CT exactly, ICD-10-CM with all parents, dot or none."""
        if system == SNOMED_CT:
            return self.snomed.get(code, _NOTHING)
        if system == ICD_10_CM:
            return self._icd_groups(code)
        return _NOTHING

    def _icd_groups(self, code: str) -> frozenset[str]:
        bare = code.replace(".", "").upper()
        # The second place of every ICD-10-CM code is a digit: other strings are no codes.
        if len(bare) > _LONGEST_ICD or not bare[1:2].isdigit() or bare in self.in_remission:
            return _NOTHING
        found = [self.icd[p] for end in range(1, len(bare) + 1) if (p := bare[:end]) in self.icd]
        return _NOTHING.union(*found)

    def coded_value_groups(self, system: str, code: str) -> frozenset[str]:
        """Return the groups of a coded value of an Observation: a SNOMED CT code or a LOINC answer."""
        if system == LOINC:
            return self.answers.get(code, _NOTHING)
        return self.condition_groups(system, code)

    def answer_groups_by_text(self, text: str) -> frozenset[str]:
        """Return what a whole text answers: a smoking status, positive, negative, yes or no."""
        return self.answer_words.groups(text)

    def genes_by_text(self, text: str) -> frozenset[str]:
        """Return the genes linked to restless legs that a text names."""
        return self.answer_words.genes(text)

    def condition_groups_by_text(self, text: str) -> frozenset[str]:
        """Return the groups that a text asserts of the patient."""
        return self.conditions.groups(text)

    def lasting_words(self, text: str) -> str:
        """Return a text without its words of the past, "" where it denies or is not of this patient now."""
        return self.conditions.lasting(text)

    def is_family_history_text_of_rls(self, text: str) -> bool:
        """Whether a text names restless legs syndrome in a relative."""
        return self.conditions.is_family_history_of_rls(text)

    def is_family_history_of_rls_denied(self, text: str) -> bool:
        """Whether a text says that no relative has restless legs syndrome."""
        return self.conditions.is_family_history_of_rls_denied(text)

    def observation_group(self, system: str, code: str) -> str | None:
        """Return the group of an Observation code, groups that are never a result included."""
        if system == OWN:
            return OWN_CODES.get(code)
        return self.loinc.get(code) if system == LOINC else None

    def observation_group_by_text(self, text: str) -> str | None:
        """Return the analyte that a text names."""
        return self.observations.group(text)

    def is_observation_contradicted(self, analyte: str, text: str) -> bool:
        """Whether the words beside a code of this analyte say that it is another one."""
        return self.observations.contradicts(analyte, text)

    def loinc_codes(self, *groups: str) -> tuple[str, ...]:
        """Return the LOINC codes of these groups."""
        return tuple(
            code for group in groups for system, code in self.codes.get(group, ()) if system == LOINC
        )

    def searched_group(self, token: str) -> str | None:
        """Return the group of Observation codes that a token of a search names: `system|code` or `code`.

        A token without a system matches the code in every system.
        """
        system, _, code = token.strip().rpartition("|")
        if system:
            meaning = self.meaning(CodeKind.LABORATORY, system, code)
            return self.observation_group(meaning.system, meaning.code)
        mapped = (one.target_code for one in self.code_map.of_kind(CodeKind.LABORATORY) if one.code == code)
        return next(filter(None, (self.observation_group(LOINC, one) for one in (code, *mapped))), None)

    def local_results(self) -> dict[str, list[Key]]:
        """Return the site's own codes of results by their analyte, as system ("" for none) and code."""
        found: dict[str, list[Key]] = {}
        for one in self.code_map.of_kind(CodeKind.LABORATORY):
            group = self.observation_group(one.target_system, one.target_code)
            found.setdefault(RESULT_GROUPS[group or ""][0], []).append(one.key)
        return found

    def is_obstetric(self, system: str, code: str) -> bool:
        """Whether a code dates or ends a pregnancy, so that the rules read the code itself."""
        return system == ICD_10_CM and code.upper().startswith(_OBSTETRIC)

    def is_order_code(self, system: str, code: str) -> str | None:
        """Return "ferritin" or "iron panel" for a code that orders it."""
        return _ORDERS.get(self.observation_group(system, code) or "")

    def drug_by_rxnorm(self, code: str) -> DrugProduct | None:
        """Return the product of an RxNorm clinical drug or ingredient."""
        return self.drugs.by_rxnorm.get(code)

    def drug_by_atc(self, code: str) -> DrugProduct | None:
        """Return the ingredient of an ATC code of the fifth level, or the iron of one of its groups."""
        return self.drugs.by_atc_code(code.upper())

    def drug_by_text(self, text: str) -> DrugProduct | None:
        """Return the product that a text names."""
        return self.drugs.by_text(text)

    def is_medicine_not_taken(self, text: str) -> bool:
        """Whether a text says of the medicine it names that it is not taken."""
        return self.drugs.is_not_taken(text)

    def is_medicine_readable(self, text: str) -> bool:
        """Whether a text can name a medicine for us: in letters that we read."""
        return is_readable(text)

    def unit(self, analyte: str, unit_text: str) -> UnitFactor | None:
        """Return the conversion of a unit for this analyte, None when it has no such unit."""
        return self.units.get(analyte, {}).get(plain(unit_text))


def load_terminology(read: Callable[[str], bytes]) -> Terminology:
    """Return the terminology of the packaged data; `read` gives a data file by its name."""
    conditions = dict(_value_sets(read("valuesets/conditions.json")))
    observations = dict(_value_sets(read("valuesets/observations.json")))
    terms = tomllib.loads(read("text_terms.toml").decode())
    extra = tomllib.loads(read("extra_codes.toml").decode())
    drugs = load_drugs(read("drugs.json"), terms["medicines"], extra)
    return Terminology(
        codes={**conditions, **observations, **_ingredient_codes(drugs)},
        ingredients={name: part.groups for name, part in drugs.ingredients.items()},
        snomed=_by_code(conditions, SNOMED_CT),
        icd={code.replace(".", ""): g for code, g in _by_code(conditions, ICD_10_CM).items()},
        loinc={code: group for group, members in observations.items() for _, code in members},
        drugs=drugs,
        units=load_units(read),
        conditions=condition_words(terms["conditions"]),
        observations=observation_words(terms["observations"]),
        systems=_systems(),
        answers={row["code"]: frozenset(row["groups"]) for row in extra["answers"]},
        answer_words=answer_words(terms["answers"], terms["genes"]),
        in_remission=frozenset(c.replace(".", "") for row in extra["in_remission"] for c in row["codes"]),
    )


def _value_sets(content: bytes) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    for entry in json.loads(content)["entry"]:
        value_set: Mapping[str, Any] = entry["resource"]
        members = value_set["expansion"]["contains"]
        yield value_set["identifier"][0]["value"], tuple((m["system"], m["code"]) for m in members)


def _by_code(groups: Codes, wanted: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group, members in groups.items():
        for code in _of_system(members, wanted):
            found.setdefault(code, set()).add(group)
    return {code: frozenset(names) for code, names in found.items()}


def _ingredient_codes(drugs: Drugs) -> Codes:
    """Return the codes of each drug group that stand for an ingredient, clinical drugs left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    for system, codes in ((RXNORM, drugs.by_rxnorm), (ATC, drugs.by_atc)):
        for code, product in codes.items():
            # A brand or a combination of substances can have no one route either.
            if product.route == UNKNOWN and product.name in drugs.ingredients:
                for group in sorted(product.ingredients[0].groups):
                    found.setdefault(group, []).append((system, code))
    return {group: tuple(members) for group, members in found.items()}


def _of_system(members: Iterable[tuple[str, str]], wanted: str) -> Iterator[str]:
    return (code for system, code in members if system == wanted)


def _systems() -> dict[str, str]:
    by_oid = {spelling: url for url, oid in _OIDS.items() for spelling in (oid, f"urn:oid:{oid}")}
    return {**{url: url for url in _OIDS}, **by_oid, **_OTHER_ADDRESSES}
