"""`rls-cds doctor`: the work of the command, loaded when it is called."""

from cds_service.adapters.watched import WatchedSource
from cds_service.addresses import ServerAddress
from cds_service.app import load_knowledge, system_clock
from cds_service.clients import Clients
from cds_service.completion import Completion
from cds_service.live import serving_of
from cds_service.onboarding.doctor import Wanted, examine
from cds_service.onboarding.document import FACES
from cds_service.onboarding.onlooker import Onlooker
from cds_service.onboarding.report import Report
from cds_service.onboarding.report_document import report_document
from cds_service.onboarding.site_settings import base_of
from cds_service.onboarding.visits import Doctor
from cds_service.onboarding.wire import as_json
from cds_service.ports import FhirAccess
from cds_service.settings import Settings
from cds_service.web.discovery import templates

MOST_MS = 30_000
"""How long a patient may take here: the longest budget that can be configured."""


def report_on(
    address: ServerAddress,
    token: str | None,
    wanted: Wanted,
    *,
    settings: Settings,
    clients: Clients,
    client: str | None,
) -> Report:
    """Return the report on a server for a client, by default the one that names it.

    Raises `Unexaminable`, or `SettingsError` where no client has that name.
    """
    profile = clients.called(client) if client is not None else clients.profile_of(base_of(address))
    serving = serving_of(clients, load_knowledge(settings))
    knowledge = serving.knowledge[profile.name]
    onlooker = Onlooker(WatchedSource)
    doctor = Doctor(
        access=FhirAccess(address, token),
        onlooker=onlooker,
        knowledge=knowledge,
        profile=profile,
        clock=system_clock(settings),
        completion=Completion(onlooker, templates(knowledge), serving.local_codes[profile.name]),
        most_ms=MOST_MS,
    )
    return examine(doctor, wanted)


def report_text(report: Report, face: str, width: int) -> str:
    """Return the report in one of its faces, or as JSON."""
    return as_json(report) if face == "json" else FACES[face](report_document(report), width)
