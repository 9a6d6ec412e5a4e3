"""The commands for connecting a site."""

import click

from cds_service.addresses import parse_address
from cds_service.cli.commands import CommandError, _settings, _usable, main
from cds_service.cli.explain import line_width
from cds_service.clients import load_clients
from cds_service.knowledge import load
from cds_service.onboarding.document import FACES
from cds_service.onboarding.sheet import DEFAULT_BASE, build_sheet
from cds_service.onboarding.sheet_document import sheet_document
from cds_service.onboarding.vendors import vendors
from cds_service.onboarding.wire import as_json
from cds_service.rendering import CardLibrary
from cds_service.web.discovery import templates

_WIDEST = 120


@main.command("build-sheet")
@click.option(
    "--client", type=click.Choice(list(vendors())), required=True, help="Whose words the sheet uses."
)
@click.option("--base-url", default=DEFAULT_BASE, help="Address under which the EHR reaches the service.")
@click.option("--profile", default="default", help="Client of the clients file whose order codes are shown.")
@click.option(
    "--format", "face", type=click.Choice([*FACES, "json"]), default="text", help="How to write it."
)
def build_sheet_command(client: str, base_url: str, profile: str, face: str) -> None:
    """Print what an analyst enters in the EHR: addresses, queries, codes, scopes, claims, settings."""
    if base_url != DEFAULT_BASE:
        base_url = _address(base_url)
    settings = _settings()
    sheet = build_sheet(
        client,
        vendors()[client],
        base_url=base_url,
        profile=_usable(lambda: load_clients(settings).called(profile)),
        templates=templates(load()),
        cards=CardLibrary.load(),
        canonical_base=settings.canonical_base,
    )
    if face == "json":
        click.echo(as_json(sheet))
    else:
        click.echo(FACES[face](sheet_document(sheet), line_width(_WIDEST)))


def _address(url: str) -> str:
    """Return an address without a slash at its end; raises `CommandError`."""
    address = parse_address(url)
    if address is None:
        raise CommandError("--base-url must be an address such as https://cds.example.org")
    return f"{address.origin}{address.path}"
