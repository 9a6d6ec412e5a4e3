"""One patient after the other, as a call without prefetch would read them, with some looks of our own."""

import time
from dataclasses import dataclass, replace

from cds_service.assess import PatientView, decide, read_record
from cds_service.clinical.assessment import Assessment
from cds_service.completion import LABORATORY_KEY, Completion, laboratory_list
from cds_service.fhir import Fetched, Record
from cds_service.knowledge import Knowledge
from cds_service.onboarding.onlooker import Onlooker, Seen
from cds_service.ports import Clock, FhirAccess
from cds_service.profile import ClientProfile
from cds_service.web.discovery import SERVICE_ID


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of one patient: the record as the service reads it, its assessment, the seconds it took.

    `wider` holds the newest laboratory results of any code beside it; `extra` what was asked for them.
    """

    record: Record
    assessment: Assessment
    seconds: float
    seen: Seen
    wider: Record
    extra: Seen


@dataclass(frozen=True, slots=True)
class Doctor:
    """What a visit needs: the service's own collaborators, and the time that a visit may take at most."""

    access: FhirAccess
    onlooker: Onlooker
    knowledge: Knowledge
    profile: ClientProfile
    clock: Clock
    completion: Completion
    most_ms: int

    def visit(self, patient_id: str) -> Visit:
        """Return what the service would see of a patient."""
        address = self.access.address
        call = PatientView(SERVICE_ID, "doctor", patient_id, None, f"{address.origin}{address.path}")
        profile = replace(self.profile, fhir=replace(self.profile.fhir, budget_ms=self.most_ms))
        start = time.monotonic()
        today = self.clock.today()
        record = read_record(
            call,
            self.access,
            knowledge=self.knowledge,
            profile=profile,
            zone=self.clock.zone,
            today=today,
            completion=self.completion,
        )
        seconds = time.monotonic() - start
        seen = self.onlooker.take()
        wider = self._with_laboratory(record)
        record, assessment = decide(record, self.knowledge, today, profile.policy)
        return Visit(record, assessment, seconds, seen, wider, self.onlooker.take())

    def _with_laboratory(self, record: Record) -> Record:
        """Return the record with the newest laboratory results; a call looks for them only if it must."""
        if any(one.key == LABORATORY_KEY for one in record.call.fetched):
            return record
        queries = laboratory_list(record)
        with self.onlooker.open(self.access, budget_seconds=self.most_ms / 1000) as session:
            answers = session.fetch(queries)
        return record.completed(
            Fetched(answer.key, answer.pages, None, is_lookup=True) for answer in answers if answer.pages
        )
