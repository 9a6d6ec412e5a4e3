"""The examination of a FHIR server: it is asked as the service would ask it, and a report tells of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cds_service import __version__
from cds_service.addresses import ServerAddress
from cds_service.clinical.facts import Analyte
from cds_service.fhir import FhirVersion
from cds_service.knowledge.terminology import RESULT_GROUPS
from cds_service.onboarding.codes import (
    map_rows,
    read_rows,
    system_rows,
    unit_rows,
    unknown_laboratory_codes,
    unreadable_rows,
)
from cds_service.onboarding.findings import Tables, findings, keys_to_leave_out, suggested_budget
from cds_service.onboarding.patients import Chosen, find_patients
from cds_service.onboarding.report import (
    FORMAT,
    Finding,
    Report,
    ServerPart,
    ValidationPart,
)
from cds_service.onboarding.searches import search_rows
from cds_service.onboarding.server import ServerFacts, ask_server
from cds_service.onboarding.sheet import worded
from cds_service.onboarding.site_settings import base_of, site_settings
from cds_service.onboarding.tally import (
    card_rows,
    count_without_card,
    issue_rows,
    need_rows,
    sent_to,
    time_part,
    validation_part,
)
from cds_service.onboarding.unreachable import check_answers, check_reachable, nobody_found
from cds_service.onboarding.visits import Doctor, Visit


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to try: the named patients, else so many of those that the server offers."""

    named: tuple[str, ...] = ()
    count: int = 5


def examine(doctor: Doctor, wanted: Wanted) -> Report:
    """Return the report on a server; raises `Unexaminable`."""
    seconds = doctor.most_ms / 1000
    server = ask_server(doctor.access, doctor.onlooker, budget_seconds=seconds)
    check_reachable(server, doctor.access)
    chosen = Chosen(wanted.named, "named") if wanted.named else _offered(doctor, wanted.count, seconds)
    if not chosen.ids:
        raise nobody_found(chosen, server, doctor.access)
    visits = [doctor.visit(patient_id) for patient_id in chosen.ids]
    check_answers(visits, server, doctor.access)
    return _report(doctor, server, chosen, visits)


def _offered(doctor: Doctor, count: int, seconds: float) -> Chosen:
    codes = doctor.knowledge.terminology.loinc_codes(
        *(group for group, (analyte, _) in RESULT_GROUPS.items() if analyte == Analyte.FERRITIN.value)
    )
    return find_patients(doctor.access, doctor.onlooker, codes, count, budget_seconds=seconds)


# ----------------------------------------------------------------------------------------------- report
def _report(doctor: Doctor, server: ServerFacts, chosen: Chosen, visits: Sequence[Visit]) -> Report:
    records = [visit.wider for visit in visits]
    sent = [sent_to(visit) for visit in visits]
    terminology = doctor.knowledge.terminology
    release = _release(server, visits)
    needs = need_rows(visits)
    unmapped = map_rows(records)
    without_card, not_assessed = count_without_card(visits)
    tables = Tables(
        patients=len(visits),
        server=server,
        release=release,
        time=time_part(visits, doctor.profile.fhir.budget_ms),
        searches=search_rows(visits, server),
        needs=needs,
        not_assessed=not_assessed,
        read=read_rows(records),
        units=unit_rows(records),
        unreadable=unreadable_rows(records),
        unmapped=unmapped,
        unknown_laboratory=unknown_laboratory_codes(sent, terminology, unmapped),
        unreadable_medicines=sum(visit.record.facts.unreadable_medicines for visit in visits),
        issues=issue_rows(visits),
        validation=None if release is FhirVersion.OTHER else validation_part(sent, release),
    )
    return Report(
        format=FORMAT,
        service=__version__,
        knowledge=doctor.knowledge.version,
        client=doctor.profile.name,
        patients=len(visits),
        found_by=chosen.found_by,
        server=_server_part(doctor.access.address, server),
        findings=(*findings(tables), *access_findings(doctor)),
        settings=site_settings(
            doctor.access.address,
            doctor.profile,
            budget_ms=suggested_budget(tables.time),
            left_out=keys_to_leave_out(tables.searches, len(visits)),
            unmapped=unmapped,
            queries=_other_words(doctor.completion.templates, release),
        ),
        time=tables.time,
        searches=tuple(tables.searches),
        needs=needs,
        cards=card_rows(visits, needs, doctor.profile),
        no_card=without_card,
        not_assessed=not_assessed,
        read=tuple(tables.read),
        units=tuple(tables.units),
        unreadable=tuple(tables.unreadable),
        code_systems=system_rows(sent, terminology),
        unmapped=unmapped,
        unknown_laboratory=tuple(tables.unknown_laboratory),
        unreadable_medicines=tables.unreadable_medicines,
        issues=tuple(tables.issues),
        validation=tables.validation or ValidationPart(release="", resources=0, valid=0, faults=()),
    )


def _release(server: ServerFacts, visits: Sequence[Visit]) -> FhirVersion:
    """Return the release that the server names, else that of the records."""
    return server.release or visits[0].record.table.release


def _other_words(templates: Mapping[str, str], release: FhirVersion) -> Mapping[str, str]:
    """Return the queries that a release wants in other words."""
    usual = worded(templates, FhirVersion.R4)
    return {key: query for key, query in worded(templates, release).items() if query != usual[key]}


def _server_part(address: ServerAddress, server: ServerFacts) -> ServerPart:
    return ServerPart(
        base=base_of(address),
        version=server.version,
        release=server.release.value if server.release is not None else "",
        software=server.software,
        formats=server.formats,
        problem=server.problem.value if server.problem is not None else "",
    )


def access_findings(doctor: Doctor) -> Iterable[Finding]:
    """Yield what would keep the service from asking this server."""
    address = doctor.access.address
    if address.scheme != "https" and not address.is_loopback:
        text, fix = "The address is plain http: the service asks such a server nothing.", "Use https."
        yield Finding(severity="problem", code="http", text=text, fix=fix)
    if not doctor.profile.fhir.is_named(base_of(address)):
        text = f"The client {doctor.profile.name} does not name this server: in production it is not asked."
        yield Finding(severity="note", code="not-allowed", text=text, fix="See the settings below.")
    if doctor.access.token is None:
        text = (
            "The server was asked without a token; in production the service asks only with that of the call."
        )
        yield Finding(severity="note", code="no-token", text=text, fix="")
