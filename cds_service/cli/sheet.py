"""`rls-cds build-sheet`: the work of the command, loaded when it is called."""

from cds_service.app import load_knowledge
from cds_service.clients import load_clients
from cds_service.onboarding.document import FACES
from cds_service.onboarding.sheet import BuildSheet, build_sheet
from cds_service.onboarding.sheet_document import sheet_document
from cds_service.onboarding.vendors import vendors
from cds_service.onboarding.wire import as_json
from cds_service.rendering import CardLibrary
from cds_service.settings import Settings
from cds_service.web.discovery import templates


def sheet_for(client: str, base_url: str, profile: str, *, settings: Settings) -> BuildSheet:
    """Return the sheet of a client; raises `SettingsError` where no profile has that name."""
    return build_sheet(
        client,
        vendors()[client],
        base_url=base_url,
        profile=load_clients(settings).called(profile),
        templates=templates(load_knowledge(settings)),
        # Each card links to its page below the public address.
        cards=CardLibrary.load(public_url=base_url),
        canonical_base=settings.canonical_base,
    )


def sheet_text(sheet: BuildSheet, face: str, width: int) -> str:
    """Return the sheet in one of its faces, or as JSON."""
    return as_json(sheet) if face == "json" else FACES[face](sheet_document(sheet), width)
