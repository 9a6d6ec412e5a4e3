"""The prefetch templates: what the service asks of a record, one query of one resource type per key.

Every template keeps to the query subset of CDS Hooks 2.0.1 ("Prefetch query restrictions"): a read by id,
or a search with `patient`, token parameters by equality, `_count` and `_sort`. No parameter is repeated
(the public sandbox joins repeated ones with a comma, which turns AND into OR), no date is bounded
(that would need the `today()` token of later versions), no value is encoded.

Reasons behind the choices:

- Observations are asked for by code; a chart holds thousands of others.
- Medicines are asked for by status and never by code: their codes are too many, and local ones are
  common. Completed courses are needed because iron given lately decides what a ferritin means; they are
  asked for apart, so that their number never cuts off the current list.
- Conditions and allergies are neither filtered nor sorted: a refuted or resolved entry matters, many
  entries carry no status, an old diagnosis counts as much as a new one, and many servers refuse to sort
  these two types. They are only counted.
- Everything else comes newest first, so that a cut-off list has lost its oldest entries.
- The last six only add factors. The searches for relatives and devices are only counted, since servers
  sort these types by nothing that says how old they are. Sleep has a key of its own: a wearable may send
  a value each night, which must not push a smoking status off the list.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

PATIENT_TOKEN = "{{context.patientId}}"  # noqa: S105 - a token of a prefetch template
"""What stands for the id of the patient in a template."""

_PATIENT = f"patient={PATIENT_TOKEN}"

PREFETCH_NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "patient": "patient",
        "ironResults": "ironResults",
        "contextResults": "contextResults",
        "conditions": "conditions",
        "medicationStatements": "medicationStatements",
        "medicationRequests": "medicationRequests",
        "ironTreatmentStatements": "ironTreatments",
        "ironTreatmentRequests": "ironTreatments",
        "ironAdministrations": "ironTreatments",
        "procedures": "procedures",
        "allergies": "allergies",
        "ironOrders": "ironOrders",
        "familyHistory": "familyHistory",
        "metabolicResults": "metabolicResults",
        "socialHistory": "socialHistory",
        "sleepDuration": "sleepDuration",
        "deviceUse": "deviceUse",
        "devices": "devices",
    },
)
"""Which need each of our prefetch keys helps to answer."""


def prefetch_templates(codes: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Return the template of each key of `PREFETCH_NEEDS`; `codes` are LOINC codes of Observations by key."""
    return MappingProxyType(
        {
            "patient": f"Patient/{PATIENT_TOKEN}",
            "ironResults": _observations(codes.get("ironResults", ())),
            "contextResults": _observations(codes.get("contextResults", ())),
            "conditions": f"Condition?{_PATIENT}&_count=200",
            "medicationStatements": _search("MedicationStatement", "active,unknown", "-effective", 200),
            "medicationRequests": _search("MedicationRequest", "active", "-authoredon", 200),
            "ironTreatmentStatements": _search("MedicationStatement", "completed", "-effective", 100),
            "ironTreatmentRequests": _search("MedicationRequest", "completed", "-authoredon", 100),
            "ironAdministrations": _search("MedicationAdministration", "completed", "-effective-time", 200),
            "procedures": f"Procedure?{_PATIENT}&_sort=-date&_count=100",
            "allergies": f"AllergyIntolerance?{_PATIENT}&_count=100",
            "ironOrders": _search("ServiceRequest", "active,draft,on-hold", "-authored", 100),
            "familyHistory": f"FamilyMemberHistory?{_PATIENT}&_count=100",
            "metabolicResults": _observations(codes.get("metabolicResults", ())),
            "socialHistory": _observations(codes.get("socialHistory", ())),
            "sleepDuration": _observations(codes.get("sleepDuration", ())),
            "deviceUse": f"DeviceUseStatement?{_PATIENT}&_count=100",
            "devices": f"Device?{_PATIENT}&_count=100",
        },
    )


def _observations(codes: Sequence[str]) -> str:
    listed = ",".join(f"http://loinc.org|{code}" for code in codes)
    return f"Observation?{_PATIENT}&code={listed}&_sort=-date&_count=100"


def _search(resource_type: str, status: str, sort: str, count: int) -> str:
    return f"{resource_type}?{_PATIENT}&status={status}&_sort={sort}&_count={count}"
