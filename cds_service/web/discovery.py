"""GET /cds-services: what this service offers and which data it asks for."""

from collections.abc import Mapping

from cds_service.protocol.responses import Discovery, Service

SERVICE_ID = "rls-iron-assessment"
HOOK = "patient-view"

TITLE = "Iron assessment in restless legs syndrome"
INTENDED_USE = (
    "For clinicians, who decide: it supports the assessment of patients and never replaces clinical judgement. "
    "Not clinically validated, not CE marked, not a medical device."
)
DESCRIPTION = (
    "Reads iron studies, conditions and medicines of a patient with restless legs syndrome, on record or likely, "
    "and answers with cards: iron tests that are missing or out of date, results that the 2025 AASM guideline "
    f"acts on, and medicines that can worsen restless legs. {INTENDED_USE}"
)
USAGE = (
    "FHIR R4 data by prefetch. The Patient and the iron results are required, everything else makes the answer "
    "more precise; a part that is missing is named on the card and never read as absent."
)


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
