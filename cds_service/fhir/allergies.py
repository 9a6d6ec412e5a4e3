"""Allergies and reactions to iron medicines as facts, from the allergy list and from the problem list."""

import re

from cds_service.clinical.facts import TAKEN_BACK, AllergyFact, Certainty
from cds_service.fhir.conditions import is_active, verification
from cds_service.fhir.lean import CodeableConcept, Resource
from cds_service.fhir.needs import Item
from cds_service.fhir.products import coded_product, products_certainty
from cds_service.fhir.reading import Reading, label, texts, words_of
from cds_service.knowledge import Terminology

_IRON_GROUPS = frozenset({"IV_IRON", "ORAL_IRON", "IRON_ANY"})
ADVERSE_EFFECT_OF_IRON = "adverse_effect_of_iron"
_IRON_REACTIONS = _IRON_GROUPS | {ADVERSE_EFFECT_OF_IRON}
# A reaction to iron that names no product may have been one to an infusion, or to tablets.
_BY_VEIN = frozenset({"IV_IRON", ADVERSE_EFFECT_OF_IRON})
_BY_MOUTH = frozenset({"ORAL_IRON", "IRON_ANY", ADVERSE_EFFECT_OF_IRON})
_ANAPHYLAXIS = "anaphylaxis_unspecified"
# Codes of an allergy that do not say to what.
_ALLERGY_TO_SOMETHING = frozenset({_ANAPHYLAXIS, "drug_allergy_status_other"})
_ANAPHYLAXIS_WORD = re.compile(r"(?<!no )(?<!non)(?<!non-)(?<!not )\banaphyla", re.IGNORECASE)
# What makes a problem an allergy; taken away, it leaves the name of the medicine.
_REACTION_WORDS = re.compile(
    r"\b(?:allerg(?:y|ies|ic)|hypersensitiv(?:e|ity)|anaphyla(?:xis|ctic|ctoid)|intoleran(?:ce|t)"
    r"|(?:adverse|drug|infusion|side)[\s-]+(?:drug[\s-]+)?(?:effects?|reactions?|events?)"
    r"|reactions?|shock|status)\b(?:[\s-]+(?:to|of|from|with|after|due to|caused by))?",
    re.IGNORECASE,
)
_BY_VEIN_WORDS = re.compile(r"\b(?:infusions?|injections?|intravenous|iv)\b")


def read_allergy(item: Item, reading: Reading) -> AllergyFact | None:
    """Return an active, not refuted allergy or adverse reaction to an iron medicine."""
    resource = item.resource
    groups: frozenset[str] = frozenset()
    certainties: set[Certainty] = set()
    for substance in substances_of(resource):
        found, certainty = _substance_groups(substance, reading)
        groups |= found
        if found & _IRON_REACTIONS:
            certainties.add(certainty)
    if not certainties:
        return None
    name = "AllergyIntolerance"
    if verification(resource.verificationStatus, reading, name) in TAKEN_BACK:
        return None
    if not is_active(resource.clinicalStatus, reading, name):
        return None
    return AllergyFact(
        source=item.source,
        display=label(resource.code, "iron"),
        is_to_iv_iron=bool(groups & _BY_VEIN),
        is_to_oral_iron=bool(groups & _BY_MOUTH),
        is_high_criticality=(resource.criticality or "").strip().lower() == "high",
        names_anaphylaxis=_names_anaphylaxis(resource, reading),
        certainty=next(one for one in Certainty if one in certainties),
    )


def read_allergy_problem(item: Item, reading: Reading) -> AllergyFact | None:
    """Return a reaction to iron that stands on the problem list, by T45.4X5 or by words.

    One that is over was one all the same: only a refuted entry, or one made in error, does not count.
    """
    resource = item.resource
    concept = resource.code
    if concept is None:
        return None
    groups = reading.coded_groups(concept) & {ADVERSE_EFFECT_OF_IRON}
    certainty = reading.groups_certainty(concept.coding or ())
    if not groups and reading.coded_groups(concept) <= _ALLERGY_TO_SOMETHING:
        groups, certainty = named_reaction(words_of(concept), reading.terminology), Certainty.BY_TEXT
    if not groups or verification(resource.verificationStatus, reading, "Condition") in TAKEN_BACK:
        return None
    return AllergyFact(
        source=item.source,
        display=label(concept, "adverse effect of iron"),
        is_to_iv_iron=bool(groups & _BY_VEIN),
        is_to_oral_iron=bool(groups & _BY_MOUTH),
        names_anaphylaxis=_names_anaphylaxis(resource, reading),
        certainty=certainty,
    )


def named_reaction(words: str, terminology: Terminology) -> frozenset[str]:
    """Return the groups of the iron medicine to which words tell an allergy of this patient."""
    # "Iron deficiency, allergy to nickel": the iron belongs to a disorder.
    if _REACTION_WORDS.search(words) is None or terminology.condition_groups_by_text(words):
        return frozenset()
    lasting = terminology.lasting_words(words)
    product = terminology.drug_by_text(_REACTION_WORDS.sub(" ", lasting)) if lasting else None
    found = (i.groups for i in product.ingredients) if product is not None else ()
    groups = frozenset().union(*found) & _IRON_GROUPS
    return frozenset({"IV_IRON"}) if groups and _BY_VEIN_WORDS.search(lasting) else groups


def substances_of(resource: Resource) -> list[CodeableConcept]:
    """Return what an allergy is to: its own code and the substances of its reactions."""
    named = (resource.code, *(reaction.substance for reaction in resource.reaction or ()))
    return [concept for concept in named if concept is not None]


def _substance_groups(concept: CodeableConcept, reading: Reading) -> tuple[frozenset[str], Certainty]:
    codings = concept.coding or ()
    products = [coded_product(reading, coding) for coding in codings]
    groups = reading.coded_groups(concept)
    certainty = reading.groups_certainty(codings) if groups else products_certainty(reading, codings)
    if not any(products) and not groups:
        products = [reading.terminology.drug_by_text(words) for words in texts(concept)]
        certainty = Certainty.BY_TEXT
    return groups.union(*(i.groups for p in products if p is not None for i in p.ingredients)), certainty


def _names_anaphylaxis(resource: Resource, reading: Reading) -> bool:
    manifestations = [m for r in resource.reaction or () for m in r.manifestation or ()]
    return any(
        _ANAPHYLAXIS in reading.coded_groups(concept)
        or any(_ANAPHYLAXIS_WORD.search(words) for words in texts(concept))
        for concept in (resource.code, *manifestations)
    )
