"""How far facts are marked as verified, by id: a mark never says more than the source that was read."""

from collections.abc import Mapping
from typing import Any

import pytest

from cds_service.knowledge import Check, Knowledge, load
from cds_service.knowledge.basis import basis_of

KNOWLEDGE: Knowledge = load()

FACTORS = {
    # Only a project's list names nicotine; the cohort that was read speaks of onset.
    "nicotine": (Check.M, ()),
    "alcohol": (Check.V2, ("AASM25", "LIFE16")),
    "caffeine": (Check.V2, ("AASM25", "LIFE16")),
    # Augmentation, and the guideline's direction, were read in secondary sources.
    "drug.dopaminergic": (Check.V2, ("AASM25", "WSS25")),
    # The primary source has three patients on olanzapine, none of the class.
    "drug.antipsychotic_atypical": (Check.V2, ("AASM25", "OLZ10")),
    "drug.antipsychotic_typical": (Check.V2, ("AASM25",)),
    "drug.partial_agonist": (Check.M, ()),
    "stroke": (Check.V1, ("TREN16",)),
    "copd": (Check.V1, ("TREN16",)),
    "pregnancy": (Check.V1, ("PREG20", "JCSM12")),
    # That symptoms fade after delivery is not in the other source.
    "postpartum": (Check.V1, ("JCSM12",)),
    # Its source is not one that is cited to clinicians.
    "iron.loss_or_malabsorption": (Check.M, ()),
}
CLASSES = {
    "ANTIPSYCH_TYPICAL": (Check.V2, ("AASM25",)),
    "ANTIPSYCH_ATYPICAL": (Check.V2, ("AASM25", "OLZ10")),
    "ANTIPSYCH_PARTIAL_AGONIST": (Check.M, ("OLZ10",)),
    "RLS_DA": (Check.V2, ("AASM25", "WSS25")),
    "RLS_LEVODOPA": (Check.V2, ("AASM25",)),
}
RULES = {"IRON-08": (Check.M, ("AASM25", "PREG15", "PREG20"))}
# The trial in children used 50 to treat by, it saw no symptoms below it.
LIMITS = {"ferritin.symptom.adult": (Check.M, ()), "ferritin.treat.child": (Check.V2, ("AASM25", "PED19"))}
STATEMENTS = {
    "pregnancy.course": (Check.V1, ("PREG20", "JCSM12")),
    "da.augmentation": (Check.M, ()),
    "iv.trimester": (Check.M, ("PREG15",)),
}


@pytest.mark.parametrize(
    ("found", "pinned"),
    [
        (KNOWLEDGE.factors, FACTORS),
        (KNOWLEDGE.drug_classes, CLASSES),
        (KNOWLEDGE.rules, RULES),
        (KNOWLEDGE.thresholds, LIMITS),
        (basis_of(KNOWLEDGE).statements, STATEMENTS),
    ],
    ids=["factors", "classes", "rules", "limits", "statements"],
)
def test_marks_and_sources(found: Mapping[str, Any], pinned: Mapping[str, Any]) -> None:
    assert {i: (found[i].check, found[i].citations) for i in pinned} == pinned


def test_insufficient_evidence_is_said_on_the_line() -> None:
    said = [i for i, one in KNOWLEDGE.factors.items() if "the evidence is insufficient" in one.line]
    assert said == ["stroke", "copd"]


def test_a_factor_and_its_class_of_medicines_are_marked_alike() -> None:
    classes = KNOWLEDGE.drug_classes.values()
    marks = {(one.factor_id, one.check) for one in classes if one.factor_id}
    assert marks == {(i, KNOWLEDGE.factors[i].check) for i, _ in marks}
