"""GET /cds-services: what this service offers and which data it asks for."""

from collections.abc import Mapping

from cds_service.knowledge import Knowledge
from cds_service.protocol.prefetch import prefetch_templates
from cds_service.protocol.responses import Discovery, Service

SERVICE_ID = "rls-iron-assessment"
HOOK = "patient-view"

TITLE = "Iron assessment in restless legs syndrome"
INTENDED_USE = (
    "For clinicians, who decide: it supports the assessment of patients and never replaces clinical "
    "judgement. Not clinically validated, not CE marked."
)
DESCRIPTION = (
    "Reads iron studies, conditions and medicines of a patient with restless legs syndrome, on record or "
    "likely, and answers with cards: iron tests that are missing or out of date, results that the 2025 AASM "
    f"guideline acts on, and medicines that can worsen restless legs. {INTENDED_USE}"
)
USAGE = (
    "FHIR data by prefetch or from the FHIR server. The Patient and the iron results are required, "
    "everything else makes the answer more precise; what is missing is named on the card and never read "
    "as absent."
)


_IRON_GROUPS = (
    "ferritin",
    "ferritin_molar",
    "tsat",
    "iron_mass",
    "iron_molar",
    "tibc_mass",
    "tibc_molar",
    "crp",
    "crp_hs",
    "crp_molar",
)

OBSERVATION_GROUPS: Mapping[str, tuple[str, ...]] = {
    "ironResults": _IRON_GROUPS,
    "contextResults": (
        *("hemoglobin", "hemoglobin_molar", "egfr"),
        *("pregnancy_status", "pregnancy_edd", "pregnancy_test"),
    ),
    "metabolicResults": (
        *("hba1c", "b12", "b12_molar", "folate", "folate_molar", "vitd25oh", "tsh"),
        *("phosphate", "phosphate_molar"),
    ),
    "socialHistory": ("smoking_status", "alcohol_score", "alcohol_intake"),
    "sleepDuration": ("sleep_duration",),
}
"""Groups of Observation codes that a prefetch key asks for."""


def templates(knowledge: Knowledge) -> Mapping[str, str]:
    """Return the prefetch templates with the codes of the knowledge base."""
    codes = knowledge.terminology.loinc_codes
    return prefetch_templates({key: codes(*groups) for key, groups in OBSERVATION_GROUPS.items()})


def discovery(prefetch: Mapping[str, str]) -> Discovery:
    """Return the discovery answer with these prefetch templates."""
    return Discovery(
        services=(
            Service(
                hook=HOOK,
                title=TITLE,
                description=DESCRIPTION,
                id=SERVICE_ID,
                prefetch=prefetch,
                usage_requirements=USAGE,
            ),
        ),
    )
