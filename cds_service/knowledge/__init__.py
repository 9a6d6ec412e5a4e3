"""What the guideline says, as dated and cited data: thresholds, factors, drug classes, code groups."""

from cds_service.knowledge.loader import load
from cds_service.knowledge.model import (
    Check,
    Citation,
    DrugClass,
    FactorDefinition,
    Ingredient,
    Knowledge,
    RuleDefinition,
    Threshold,
)
from cds_service.knowledge.terminology import (
    DrugProduct,
    ProductIngredient,
    Terminology,
    UnitFactor,
)

__all__ = [
    "Check",
    "Citation",
    "DrugClass",
    "DrugProduct",
    "FactorDefinition",
    "Ingredient",
    "Knowledge",
    "ProductIngredient",
    "RuleDefinition",
    "Terminology",
    "Threshold",
    "UnitFactor",
    "load",
]
