"""The CDS Hooks endpoints: discovery, the hook, feedback."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from flask import Blueprint, Response, g

from cds_service.assess import Answer, PatientView, RequiredDataMissing
from cds_service.audit import AuditKind
from cds_service.clinical.facts import Facts, IssueKind
from cds_service.ports import Declined, Metrics
from cds_service.protocol.envelope import HookRequest, parse_hook_request
from cds_service.protocol.feedback import parse_feedback
from cds_service.protocol.responses import EXPLANATION, CardsResponse, to_json
from cds_service.web.auth import Callers
from cds_service.web.discovery import HOOK, SERVICE_ID, discovery
from cds_service.web.http import json_response, read_json_body
from cds_service.web.logs import log_event

Assess = Callable[[PatientView], Answer]
"""The use case with all its collaborators given."""

_DISCOVERY = "/cds-services"
_SERVICE = f"{_DISCOVERY}/{SERVICE_ID}"
_EMPTY = b"{}"
_NOTHING = to_json(CardsResponse(cards=()))
_MOST_LOGGED = 100
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def service_blueprint(
    *, assess: Assess, callers: Callers, prefetch: Mapping[str, str], metrics: Metrics, max_body: int
) -> Blueprint:
    """Return the endpoints under `/cds-services`.

    A client that was given the discovery address with a trailing slash calls `/cds-services//<id>`; that
    is answered like the address itself: some clients lose a redirected POST, others send it twice.
    """
    blueprint = Blueprint("cds_services", __name__)
    offered = to_json(discovery(prefetch))

    def discover() -> Response:
        callers.caller((_DISCOVERY,))
        return json_response(offered)

    def call() -> Response:
        client = callers.caller((_SERVICE,))
        g.audit_kind = AuditKind.CALL
        request = parse_hook_request(read_json_body(max_body), expected_hook=HOOK)
        view = patient_view(request)
        if client is not None:
            view = replace(view, client=client.name)
        g.identity = view.identity
        if request.is_access_for_another:
            g.refusal = Declined.OTHER_ACCESS.value
        answer = _noted(assess, view, metrics)
        if client is not None and client.is_silent:
            metrics.count("silent", service=SERVICE_ID)
            return json_response(_NOTHING)
        g.card_uuids = [card.uuid for card in answer.cards]
        return json_response(to_json(cards_response(answer)))

    def feedback() -> Response:
        # Clients differ on whether the token of a feedback names the service or the feedback address.
        callers.caller((_SERVICE, f"{_SERVICE}/feedback"))
        g.audit_kind = AuditKind.FEEDBACK
        told = parse_feedback(read_json_body(max_body))
        # A card of ours has a uuid; anything else may be any text.
        named = (entry.card for entry in told.feedback[:_MOST_LOGGED])
        g.card_uuids = [card for card in named if _UUID.fullmatch(card)]
        for entry in told.feedback:
            metrics.count("feedback", service=SERVICE_ID, outcome=entry.outcome)
        log_event("feedback", outcomes=[entry.outcome for entry in told.feedback[:_MOST_LOGGED]])
        return json_response(_EMPTY)

    blueprint.add_url_rule(_DISCOVERY, view_func=discover)
    for base in (_SERVICE, f"{_DISCOVERY}//{SERVICE_ID}"):
        blueprint.add_url_rule(base, view_func=call, methods=["POST"])
        blueprint.add_url_rule(f"{base}/feedback", view_func=feedback, methods=["POST"])
    return blueprint


def cards_response(answer: Answer) -> CardsResponse:
    """Return the answer as it goes out; an explanation stands in `extension` (docs/explain.md)."""
    if answer.explanation is None:
        return CardsResponse(cards=answer.cards)
    told = answer.explanation.model_dump(by_alias=True)
    return CardsResponse(cards=answer.cards, extension={EXPLANATION: told})


def patient_view(call: HookRequest) -> PatientView:
    """Return what the use case needs of a call."""
    return PatientView(
        service_id=SERVICE_ID,
        hook_instance=call.hook_instance,
        patient_id=call.patient_id,
        prefetch=call.prefetch,
        fhir_server=call.fhir_server,
        version_hint=call.version_hint,
        authorization=call.fhir_authorization,
        user_id=call.user_id,
    )


def _noted(assess: Assess, view: PatientView, metrics: Metrics) -> Answer:
    """Return the answer, noted for the log and counted, also where required data is missing."""
    try:
        answer = assess(view)
    except RequiredDataMissing as error:
        _note(error.answer, metrics)
        raise
    _note(answer, metrics)
    return answer


def _note(answer: Answer, metrics: Metrics) -> None:
    """Keep which cards were shown and what was met on the way: names of ours and counts, nothing else."""
    shown = {card.source.topic.code for card in answer.cards if card.source.topic is not None}
    g.cards = [card.key.value for card in answer.assessment.cards if card.key.topic_code in shown]
    g.issues = sorted({issue.kind.value for issue in answer.facts.issues})
    for key in g.cards:
        metrics.count("card", service=SERVICE_ID, card=key)
    for kind in g.issues:
        metrics.count("data_issue", kind=kind)
    # A local code is counted under names of the knowledge base, never its own.
    for code in answer.unmapped:
        metrics.count("unmapped_code", kind=code.kind.value, group=code.group)
    if answer.searches:
        g.searches = len(answer.searches)
        g.searches_failed = sum(problem is not None for problem in answer.searches)
    for problem in answer.searches:
        metrics.count("search", outcome=problem or "answered")
    if _is_of_another(answer.facts):
        g.refusal = Declined.OTHER_PATIENT.value


def _is_of_another(facts: Facts) -> bool:
    """Whether a Patient came that is not the one of the context, and no other."""
    return facts.patient is None and any(
        issue.kind is IssueKind.OTHER_PATIENT and issue.resource_type == "Patient" for issue in facts.issues
    )
