"""The use case: read what came, apply the rules, check fully what decided, word the cards."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from cds_service.audit import CallIdentity
from cds_service.clinical.assessment import (
    Assessment,
    CardDecision,
    CardKey,
    Outcome,
    Policy,
    RlsStatus,
)
from cds_service.clinical.evaluate import evaluate
from cds_service.clinical.facts import Facts
from cds_service.completion import Completion, complete
from cds_service.fhir import Record, UnmappedCode, open_record, unmapped_codes
from cds_service.knowledge import Knowledge
from cds_service.ports import Clock, FhirAccess, Quiet
from cds_service.profile import ClientProfile, FhirPolicy
from cds_service.protocol.envelope import FhirAuthorization
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from cds_service.protocol.responses import Card
from cds_service.rendering import CardLibrary, RenderContext
from cds_service.rendering.identity import fingerprint

if TYPE_CHECKING:
    from cds_service.explain import Explanation


@dataclass(frozen=True, slots=True)
class PatientView:
    """One patient-view call; `prefetch` is the raw JSON of that member, None when the call has none.

    `client` is the name of a caller that has proved to be that client, None for anybody else.

    `authorization` gives access to `fhir_server` for this patient; None where the call grants none.
    `is_explained`: explain the answer whatever the client's profile says.
    """

    service_id: str
    hook_instance: str
    patient_id: str
    prefetch: bytes | msgspec.Raw | None
    fhir_server: str | None = None
    version_hint: str | None = None
    client: str | None = None
    authorization: FhirAuthorization | None = None
    user_id: str = ""
    is_explained: bool = False

    @property
    def identity(self) -> CallIdentity:
        """Who calls for whom, for the audit log."""
        return CallIdentity(self.hook_instance, self.patient_id, self.user_id, self.client or "")


@dataclass(frozen=True, slots=True)
class Answer:
    """The cards, with the assessment and the facts behind them, and the explanation where one is wanted.

    `unmapped` are the local codes that were recognised by their words alone. `searches` are those on the
    client's FHIR server, each as what hindered it, None where nothing did.
    """

    cards: tuple[Card, ...]
    assessment: Assessment
    facts: Facts
    unmapped: tuple[UnmappedCode, ...] = ()
    explanation: "Explanation | None" = None
    searches: tuple[str | None, ...] = ()


class RequiredDataMissing(Exception):
    """The patient or the iron results are not available and RLS is not on record (CDS Hooks: 412)."""

    def __init__(self, missing: tuple[str, ...], answer: Answer) -> None:
        """Keep what is missing, and the assessment for explanations."""
        super().__init__(" and ".join(missing))
        self.missing = missing
        self.answer = answer


def assess(
    call: PatientView,
    *,
    knowledge: Knowledge,
    profile: ClientProfile,
    clock: Clock,
    quiet: Quiet,
    cards: CardLibrary,
    canonical_base: str,
    completion: Completion | None = None,
) -> Answer:
    """Return the answer to one call; raises `RequiredDataMissing` when nothing can be said.

    Without `completion`, or where the profile allows no server, the prefetch is all there is.
    """
    access = fhir_access(call, profile.fhir)
    # Once: a call that lasts over midnight is answered for one day.
    today = clock.today()
    record = read_record(
        call,
        access,
        knowledge=knowledge,
        profile=profile,
        zone=clock.zone,
        today=today,
        completion=completion,
    )
    record, assessment = decide(record, knowledge, today, profile.policy)
    quiet_keys = frozenset(one.key for one in assessment.cards if _is_quiet(quiet, call, profile.name, one))
    explanation = None
    if call.is_explained or profile.is_explained:
        explanation = _explanation(record.facts, assessment, knowledge, today, profile.policy, quiet_keys)
    silent = Answer(
        cards=(),
        assessment=assessment,
        facts=record.facts,
        unmapped=unmapped_codes(record),
        explanation=explanation,
        searches=tuple(fetched.problem for fetched in record.call.fetched),
    )
    if assessment.outcome is Outcome.REQUIRED_DATA_MISSING:
        raise RequiredDataMissing(assessment.missing, silent)
    context = _context(call, profile, canonical_base)
    shown = tuple(
        cards.render(
            decision,
            assessment=assessment,
            knowledge=knowledge,
            profile=profile,
            context=context,
        )
        for decision in assessment.cards
        if decision.key not in quiet_keys
    )
    return replace(silent, cards=shown)


def _context(call: PatientView, profile: ClientProfile, canonical_base: str) -> RenderContext:
    return RenderContext(
        service_id=call.service_id,
        hook_instance=call.hook_instance,
        client=profile.name,
        patient_id=call.patient_id,
        canonical_base=canonical_base,
        is_exposed=profile.is_exposed,
    )


def _explanation(
    facts: Facts,
    assessment: Assessment,
    knowledge: Knowledge,
    today: date,
    policy: Policy,
    quiet: Collection[CardKey],
) -> "Explanation":
    """Return why the answer is as it is."""
    from cds_service.explain import explain  # noqa: PLC0415 - most deployments explain nothing

    return explain(facts, assessment, knowledge, today=today, policy=policy, quiet=quiet)


def read_record(
    call: PatientView,
    access: FhirAccess | None,
    *,
    knowledge: Knowledge,
    profile: ClientProfile,
    zone: ZoneInfo,
    today: date,
    completion: Completion | None,
) -> Record:
    """Return the record of a call: its prefetch, completed from the server that may be asked."""
    record = open_record(
        call.prefetch,
        own_keys=PREFETCH_NEEDS,
        patient_id=call.patient_id,
        fhir_server=call.fhir_server,
        version_hint=call.version_hint,
        knowledge=knowledge,
        zone=zone,
        today=today,
    )
    if completion is None or access is None:
        return record
    return complete(
        record,
        access,
        completion,
        budget_ms=profile.fhir.budget_ms,
        is_of_use=lambda found: _may_change_cards(
            evaluate(found.facts, knowledge, today=today, policy=profile.policy)
        ),
    )


def fhir_access(call: PatientView, policy: FhirPolicy) -> FhirAccess | None:
    """Return the FHIR server that may be asked for this call, None when there is none.

    An authorization that has run out is none. Without one only an open server in development is asked.
    """
    address = policy.address(call.fhir_server)
    authorization = call.authorization
    if address is None:
        return None
    if authorization is None:
        return FhirAccess(address, call=call.identity) if policy.is_open_allowed else None
    if authorization.expires_in is not None and authorization.expires_in <= 0:
        return None
    return FhirAccess(address, authorization.access_token, call.identity)


def _may_change_cards(assessment: Assessment) -> bool:
    """Whether a ferritin that is not known yet could: RLS is on record, or a card is shown without it."""
    return bool(assessment.cards) or assessment.rls in {RlsStatus.DOCUMENTED, RlsStatus.POSSIBLE}


def decide(record: Record, knowledge: Knowledge, today: date, policy: Policy) -> tuple[Record, Assessment]:
    """Return the assessment whose deciding resources are all valid FHIR.

    A resource that decides is validated in full; one that fails is dropped and the choice is made
    again. Each round drops at least one resource, so the loop ends.
    """
    while True:
        assessment = evaluate(record.facts, knowledge, today=today, policy=policy)
        smaller = record.without_invalid(assessment.sources)
        if smaller is None:
            return record, assessment
        record = smaller


def _is_quiet(quiet: Quiet, call: PatientView, client: str, decision: CardDecision) -> bool:
    return quiet.is_quiet(
        client=client,
        patient_id=call.patient_id,
        card_key=decision.key.value,
        fingerprint=fingerprint(decision.deciding),
    )
