"""The commands for connecting a site."""

import os
import re
from pathlib import Path
from typing import IO

import click

from cds_service.addresses import parse_address
from cds_service.cli.commands import CommandError, ProblemsFoundError, _settings, _usable, main
from cds_service.cli.explain import line_width
from cds_service.clients import load_clients
from cds_service.completion import is_plain_id
from cds_service.onboarding import CLIENTS, DEFAULT_BASE
from cds_service.settings import DOCTOR_TOKEN

_WIDEST = 120
_MOST_PATIENTS = 50
_TOKEN = re.compile(r"[!-~]{1,10000}")


@main.command("build-sheet")
@click.option("--client", type=click.Choice(CLIENTS), required=True, help="Whose words the sheet uses.")
@click.option("--base-url", default=DEFAULT_BASE, help="Address under which the EHR reaches the service.")
@click.option("--profile", default="default", help="Client of the clients file whose order codes are shown.")
@click.option(
    "--format",
    "face",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    help="How to write it.",
)
def build_sheet_command(client: str, base_url: str, profile: str, face: str) -> None:
    """Print what an analyst enters in the EHR: addresses, queries, codes, scopes, claims, settings."""
    # The start of the service does not wait for what these commands alone need.
    from cds_service.cli.sheet import sheet_for, sheet_text  # noqa: PLC0415 - on demand

    if base_url != DEFAULT_BASE:
        base_url = _address(base_url)
    sheet = _usable(lambda: sheet_for(client, base_url, profile, settings=_settings()))
    click.echo(sheet_text(sheet, face, line_width(_WIDEST)))


@main.command("doctor")
@click.argument("fhir_base_url")
@click.option(
    "--token-file",
    type=click.File("r", encoding="utf-8"),
    help=f"File with the access token, - for standard input (or {DOCTOR_TOKEN}).",
)
@click.option(
    "--patients",
    type=click.IntRange(1, _MOST_PATIENTS),
    default=5,
    help="How many patients to look for and try.",
)
@click.option("--patient", "named", multiple=True, help="Id of a patient to try; can be repeated.")
@click.option("--client", help="Client of the clients file (default: the one that names this server).")
@click.option(
    "--format", "face", type=click.Choice(["text", "html", "json"]), default="text", help="How to write it."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write the report to.")
def doctor_command(
    fhir_base_url: str,
    token_file: IO[str] | None,
    patients: int,
    named: tuple[str, ...],
    client: str | None,
    face: str,
    out: Path | None,
) -> None:
    """Ask a FHIR server what the service would ask, and report what works, what is missing and what to set.

    Exit code 1 when something that the cards need does not work, 2 when the server cannot be examined.
    """
    from cds_service.cli.doctor import report_on, report_text  # noqa: PLC0415 - on demand
    from cds_service.onboarding.doctor import Wanted  # noqa: PLC0415 - on demand
    from cds_service.onboarding.unreachable import Unexaminable  # noqa: PLC0415 - on demand

    address = parse_address(fhir_base_url)
    if address is None:
        raise CommandError("FHIR_BASE_URL must be an address such as https://ehr.example.org/fhir")
    if not all(is_plain_id(one) for one in named):
        raise CommandError("--patient takes the id of a Patient, without its type")
    token = _token(token_file)
    settings = _settings()
    try:
        report = _usable(
            lambda: report_on(
                address,
                token,
                Wanted(named, patients),
                settings=settings,
                clients=load_clients(settings),
                client=client,
            )
        )
    except Unexaminable as error:
        raise CommandError(str(error)) from None
    _write(report_text(report, face, line_width(_WIDEST)), out)
    if report.problems:
        raise ProblemsFoundError(report.verdict)


def _token(file: IO[str] | None) -> str | None:
    """Return the token of a file or of the environment; raises `CommandError`, which never repeats it."""
    try:
        text = file.read() if file is not None else os.environ.get(DOCTOR_TOKEN, "")
    except UnicodeDecodeError:
        raise CommandError("--token-file: not a text file") from None
    token = text.strip()
    if not token and file is None:
        return None
    if not _TOKEN.fullmatch(token):
        raise CommandError("The token must be one word, without the word Bearer before it")
    return token


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text)
        return
    try:
        out.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--out: {error.strerror}") from None
    click.echo(f"Report written to {out}.", err=True)


def _address(url: str) -> str:
    """Return an address without a slash at its end; raises `CommandError`."""
    address = parse_address(url)
    if address is None:
        raise CommandError("--base-url must be an address such as https://cds.example.org")
    return f"{address.origin}{address.path}"
