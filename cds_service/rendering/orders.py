"""Suggestions: draft laboratory orders, one action each; never a treatment order."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cds_service.clinical.assessment import Assessment, CardDecision, Order
from cds_service.profile import ClientProfile
from cds_service.protocol.responses import Action, Suggestion
from cds_service.rendering.identity import suggestion_uuid
from cds_service.rendering.templates import Templates

_FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PREPARED = frozenset({Order.FERRITIN, Order.IRON_PANEL})


def suggestions(
    decision: CardDecision,
    *,
    assessment: Assessment,
    profile: ClientProfile,
    patient_id: str,
    card: str,
    templates: Templates,
) -> tuple[Suggestion, ...]:
    """Return one suggestion for each order of a card; `card` is the card's uuid."""
    instruction = templates.shared["instructions"][templates.cards[decision.key].instruction]
    reasons = _reason_references(assessment)
    found = []
    for order in decision.orders:
        words = templates.shared["orders"][order]
        resource = _service_request(order, words["text"], profile, patient_id)
        if order in _PREPARED:
            resource["patientInstruction"] = instruction
        if reasons:
            resource["reasonReference"] = reasons
        action = Action(type="create", description=words["description"], resource=resource)
        found.append(Suggestion(label=words["label"], uuid=suggestion_uuid(card, order), actions=(action,)))
    return tuple(found)


def _service_request(order: Order, text: str, profile: ClientProfile, patient_id: str) -> dict[str, Any]:
    """Return a draft proposal in R4; some clients take no other status and intent from a suggestion."""
    code: dict[str, Any] = {"text": text}
    codings = profile.order_codings.get(order, ())
    if codings:
        code["coding"] = [{"system": c.system, "code": c.code, "display": c.display} for c in codings]
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "code": code,
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _reason_references(assessment: Assessment) -> list[Mapping[str, str]]:
    """Return references to the Conditions of RLS that have a usable id."""
    return [{"reference": f"Condition/{resource_id}"} for resource_id in _condition_ids(assessment)]


def _condition_ids(assessment: Assessment) -> Iterable[str]:
    ids = (s.resource_id for s in assessment.rls_sources if s.resource_type == "Condition")
    return sorted({i for i in ids if i is not None and _FHIR_ID.fullmatch(i)})
