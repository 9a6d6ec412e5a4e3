"""What names the medicine of a record, and what its codes say."""

from collections.abc import Iterable
from functools import partial

from cds_service.clinical.facts import Certainty
from cds_service.fhir.lean import CodeableConcept, Coding, Resource
from cds_service.fhir.reading import ATC, RXNORM, Reading
from cds_service.knowledge import DrugProduct
from cds_service.knowledge.code_map import CodeKind


def concepts_of(resource: Resource, medication: Resource | None) -> list[CodeableConcept]:
    """Return what names the medicine of a record; `medication` is the Medication that it refers to."""
    concepts = [resource.medicationCodeableConcept, medication.code if medication is not None else None]
    reference = resource.medicationReference
    if reference is not None and reference.display:
        concepts.append(CodeableConcept(text=reference.display))
    return [concept for concept in concepts if concept is not None]


def coded_product(reading: Reading, coding: Coding) -> DrugProduct | None:
    """Return the product of an RxNorm or ATC code, or of a local code that the site maps to one."""
    meaning = reading.meaning(CodeKind.MEDICINE, coding)
    if not meaning.code:
        return None
    if meaning.system == RXNORM:
        return reading.terminology.drug_by_rxnorm(meaning.code)
    return reading.terminology.drug_by_atc(meaning.code) if meaning.system == ATC else None


def products_certainty(reading: Reading, codings: Iterable[Coding]) -> Certainty:
    """Return how codings tell their products: by a code of the record's own, or by the site's map alone."""
    return reading.certainty(CodeKind.MEDICINE, codings, partial(coded_product, reading))
