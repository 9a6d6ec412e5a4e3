"""The CDS Hooks endpoints: discovery, the hook, feedback."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from flask import Blueprint, Response, g

from cds_service.assess import Answer, PatientView, RequiredDataMissing
from cds_service.audit import AuditKind
from cds_service.ports import Metrics
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
        view = patient_view(parse_hook_request(read_json_body(max_body), expected_hook=HOOK))
        if client is not None:
            view = replace(view, client=client.name)
        g.identity = view.identity
        answer = _counted(assess, view, metrics)
        _note_for_log(answer, metrics)
        if client is not None and client.is_silent:
            return json_response(_NOTHING)
        g.card_uuids = [card.uuid for card in answer.cards]
        return json_response(to_json(cards_response(answer)))

    def feedback() -> Response:
        # Clients differ on whether the token of a feedback names the service or the feedback address.
        callers.caller((_SERVICE, f"{_SERVICE}/feedback"))
        g.audit_kind = AuditKind.FEEDBACK
        told = parse_feedback(read_json_body(max_body))
        g.card_uuids = [entry.card for entry in told.feedback[:_MOST_LOGGED]]
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


def _counted(assess: Assess, view: PatientView, metrics: Metrics) -> Answer:
    """Return the answer; its unmapped codes are counted also where required data is missing."""
    try:
        answer = assess(view)
    except RequiredDataMissing as error:
        _count_unmapped(error.answer, metrics)
        raise
    _count_unmapped(answer, metrics)
    return answer


def _count_unmapped(answer: Answer, metrics: Metrics) -> None:
    """Count each local code that only words told, under names of the knowledge base and never its own."""
    for code in answer.unmapped:
        metrics.count("unmapped_code", kind=code.kind.value, group=code.group)


def _note_for_log(answer: Answer, metrics: Metrics) -> None:
    """Keep for the log line which cards were shown and which kinds of data issues were met."""
    shown = {card.source.topic.code for card in answer.cards if card.source.topic is not None}
    g.cards = [card.key.value for card in answer.assessment.cards if card.key.topic_code in shown]
    g.issues = sorted({issue.kind.value for issue in answer.facts.issues})
    for key in g.cards:
        metrics.count("card", service=SERVICE_ID, card=key)
