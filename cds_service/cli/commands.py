"""The commands.

Exit codes: 0 done; 1 a check found problems; 2 usage, settings or unreadable input; 3 required data is
missing, so that no assessment was made.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import IO, TypeVar

import click

from cds_service import __version__
from cds_service.adapters.clock import FixedClock
from cds_service.app import (
    audit_key,
    build_assess,
    load_knowledge,
    publication_of,
    system_clock,
    warm_app,
)
from cds_service.assess import Answer, PatientView, RequiredDataMissing
from cds_service.cli.audit import checked, purged, shipped
from cds_service.cli.codes import codes_text
from cds_service.cli.explain import cards_text, explain_text, line_width
from cds_service.cli.metrics import metrics_hooks
from cds_service.cli.policy import policy_text
from cds_service.cli.shift import WRITTEN_FOR, write_shifted
from cds_service.cli.store import ready_store, upgrade
from cds_service.clients import load_clients, refuse_mixture
from cds_service.clinical.assessment import CardKey
from cds_service.knowledge import Knowledge, load
from cds_service.knowledge.basis import basis_of
from cds_service.knowledge.basis_lint import lint_basis
from cds_service.knowledge.code_map_file import CodeMapError, read_code_map
from cds_service.knowledge.lint import lint
from cds_service.knowledge.review import awaiting_review
from cds_service.policy import read_policy
from cds_service.protocol.envelope import parse_hook_request
from cds_service.protocol.errors import BadRequest
from cds_service.protocol.responses import to_json
from cds_service.resources import ResourceMissing, fixtures_dir
from cds_service.settings import Settings, SettingsError, load_settings
from cds_service.site_files import read_text
from cds_service.web.discovery import HOOK
from cds_service.web.errors import missing_outcome
from cds_service.web.logs import log_to_stderr
from cds_service.web.service import cards_response, patient_view

EXPOSED = (
    "Warning: the development profile answers whoever asks, and HOST opens it to the network. Not for use in "
    "care; every card says so. RLS_CDS_ENVIRONMENT=production asks callers who they are."
)

PROBLEMS, UNUSABLE, DATA_MISSING = 1, 2, 3

_Loaded = TypeVar("_Loaded")

_DAY = click.DateTime(formats=["%Y-%m-%d"])


class CommandError(click.ClickException):
    """Usage, settings or input that cannot be used."""

    exit_code = UNUSABLE


class ProblemsFoundError(click.ClickException):
    """A check found problems."""

    exit_code = PROBLEMS


class DataMissingError(click.ClickException):
    """No assessment was made, because required data is missing."""

    exit_code = DATA_MISSING

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(f"Required data is missing, no assessment was made: {', '.join(missing)}.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rls-cds")
def main() -> None:
    """Iron assessment in restless legs syndrome, as a CDS Hooks service.

    For clinicians, who decide. Not clinically validated, not CE marked.

    Exit codes: 0 done; 1 a check found problems; 2 usage, settings or unreadable input; 3 required data
    is missing.
    """


@main.command()
def serve() -> None:
    """Run the service. Settings come from HOST, PORT and RLS_CDS_* variables."""
    from cds_service.cli.server import Server  # noqa: PLC0415 - the other commands need no server

    settings = _settings()
    clients = _usable(lambda: load_clients(settings))
    _usable(lambda: refuse_mixture(settings, clients))
    if clients.is_authenticating:
        _usable(lambda: ready_store(settings))
    hooks = _usable(lambda: metrics_hooks(settings))
    log_to_stderr()
    if settings.is_exposed:
        click.echo(EXPOSED, err=True)
    click.echo(
        f"Serving http://{settings.host}:{settings.port}/cds-services ({settings.environment}"
        f"{'' if settings.snomed else ', SNOMED CT off'}), Ctrl+C stops",
        err=True,
    )
    Server(settings, lambda: warm_app(settings), hooks).run()


@main.command()
@click.argument("file", type=click.File("rb"))
@click.option("--as-of", type=_DAY, help="Day of assessment, YYYY-MM-DD (default: today).")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as the service sends it.")
@click.option(
    "--explain",
    is_flag=True,
    help="Add every factor and rule with its evidence, and why cards were not shown.",
)
def evaluate(file: IO[bytes], as_of: datetime | None, *, as_json: bool, explain: bool) -> None:
    """Assess the patient-view request in FILE (- for standard input) and print the cards."""
    settings = _settings()
    clock = FixedClock(settings.zone, as_of.date()) if as_of else system_clock(settings)
    try:
        assess = _usable(lambda: build_assess(settings, clock=clock))
        answer = assess_request(file.read(), assess, is_explained=explain)
        click.echo(answer_json(answer) if as_json else answer_text(answer))
    except RequiredDataMissing as error:
        if as_json:
            click.echo(missing_json(error))
        elif explain:
            click.echo(answer_text(error.answer))
        raise DataMissingError(error.missing) from None


@main.command()
@click.option("--as-of", type=_DAY, help="Day that the dates are moved to, YYYY-MM-DD (default: today).")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to."
)
def fixtures(as_of: datetime | None, out: Path) -> None:
    """Write the sample requests with their dates moved to a day, so that results stay fresh."""
    to = as_of.date() if as_of else _today()
    try:
        written = write_shifted(fixtures_dir(), out, to)
    except (ResourceMissing, OSError) as error:
        raise CommandError(str(error)) from None
    click.echo(f"{len(written)} sample requests written to {out}, moved from {WRITTEN_FOR} to {to}.")


@main.group()
def knowledge() -> None:
    """Look after the knowledge base."""


@knowledge.command("lint")
def knowledge_lint() -> None:
    """Check digits, sources, orphans, overlaps and dates; exit code 1 when something has to be mended."""
    base = load()
    if not _settings().snomed:
        click.echo(snomed_off(base))
    keys = [key.value for key in CardKey]
    report([*lint(base, keys), *lint_basis(base, basis_of(base), keys)], f"knowledge {base.version}")


@knowledge.command("review")
def knowledge_review() -> None:
    """List every fact that awaits clinical review, with its sources and mark (V2, M)."""
    base = load()
    found = awaiting_review(base, basis_of(base))
    for one in found:
        click.echo(f"{one.check} {one.kind} {one.id}: {one.text} [{', '.join(one.citations) or 'no source'}]")
    click.echo(f"knowledge {base.version}: {len(found)} await clinical review")


@knowledge.command("publish")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to."
)
def knowledge_publish(out: Path) -> None:
    """Write the knowledge base as FHIR R4 resources, as /knowledge/ serves them, one file each."""
    from cds_service.cli.publishing import write_publication  # noqa: PLC0415 - the other commands need none

    settings = _settings()
    publication = _usable(lambda: publication_of(settings, load_knowledge(settings)))
    try:
        count = write_publication(publication, out)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from None
    click.echo(f"{count} files written to {out}, knowledge {publication.version}.")


@main.group()
def audit() -> None:
    """Look after the audit log of RLS_CDS_AUDIT."""


@audit.command("verify")
@click.option("--head", "heads", multiple=True, help="A head from the ordinary log, CHAIN:NUMBER:HASH.")
def audit_verify(heads: tuple[str, ...]) -> None:
    """Check that nothing in the log was changed or taken out; exit code 1 when something was."""
    settings = _settings()
    lines, faults = _usable(lambda: checked(settings, audit_key(settings), heads))
    for line in lines:
        click.echo(line)
    report(faults, f"{len(lines)} chains")


@audit.command("purge")
def audit_purge() -> None:
    """Remove the files that are older than RLS_CDS_AUDIT_DAYS."""
    settings = _settings()
    removed = _usable(lambda: purged(settings, audit_key(settings), _today()))
    click.echo(f"{len(removed)} files removed, older than {settings.audit_days} days.")


@audit.command("ship")
@click.argument("server")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the bearer token.")
def audit_ship(server: str, token_file: Path | None) -> None:
    """Send the events that were not sent yet to the FHIR SERVER; exit code 1 when not all were."""
    settings = _settings()
    count, left = _usable(lambda: shipped(settings, server, token_file))
    click.echo(f"{count} events sent.")
    if left:
        raise ProblemsFoundError(left)


@main.group()
def store() -> None:
    """Look after the store of used tokens."""


@store.command("upgrade")
def store_upgrade() -> None:
    """Bring the tables of RLS_CDS_STORE up to this release; nothing happens where they are."""
    settings = _settings()
    _usable(lambda: upgrade(settings))
    click.echo("The store has the tables of this release.")


@main.group()
def policy() -> None:
    """Look after a site's policy."""


@policy.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def policy_check(file: Path) -> None:
    """Validate the policy in FILE and tell what it changes, also for the sample patients."""
    settings = _settings()
    base = load_knowledge(settings)
    found = _usable(lambda: read_policy(read_text(file, str(file)), str(file), base))
    clients = _usable(lambda: load_clients(settings))
    click.echo(policy_text(found, clients, base, fixtures_dir()))


@main.group()
def codes() -> None:
    """Look after a site's code map."""


@codes.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def codes_check(file: Path) -> None:
    """Validate the code map in FILE, CSV or ConceptMap, and tell what it maps; exit code 1 for a fault."""
    text = _usable(lambda: read_text(file, str(file)))
    terminology = load_knowledge(_settings()).terminology
    try:
        found = read_code_map(text, terminology)
    except CodeMapError as error:
        report(error.faults, str(file))
    else:
        click.echo(codes_text(found, terminology))
        report((), str(file))


def snomed_off(base: Knowledge) -> str:
    """Return what is not read while SNOMED CT is switched off."""
    before, after = base.terminology, base.terminology.without_snomed()
    lost = sorted(before.codes.keys() - after.codes.keys())
    return (
        f"SNOMED CT is switched off: {len(before.snomed)} codes are not read. Groups without another code, "
        f"read by words at most: {', '.join(lost)}"
    )


def report(problems: Sequence[object], subject: str) -> None:
    """Print what was checked and every problem; raises `ProblemsFoundError` when there is one."""
    for problem in problems:
        click.echo(str(problem))
    if problems:
        raise ProblemsFoundError(f"{subject}: {len(problems)} to mend")
    click.echo(f"{subject}: nothing to mend")


def assess_request(
    body: bytes, assess: Callable[[PatientView], Answer], *, is_explained: bool = False
) -> Answer:
    """Return the answer to the bytes of one call; raises `CommandError`, `RequiredDataMissing`."""
    try:
        call = parse_hook_request(body, expected_hook=HOOK)
    except BadRequest as error:
        raise CommandError(f"Not a {HOOK} request: {error.diagnostics}") from None
    return assess(replace(patient_view(call), is_explained=is_explained))


def answer_text(answer: Answer) -> str:
    """Return the answer for a reader at a terminal, with its explanation if it has one."""
    width = line_width()
    shown = cards_text(answer, width)
    return f"{shown}\n\n{explain_text(answer.explanation, width)}" if answer.explanation else shown


def answer_json(answer: Answer) -> str:
    """Return the answer as the service sends it, with its explanation if it has one."""
    return _indented(json.loads(to_json(cards_response(answer))))


def missing_json(error: RequiredDataMissing) -> str:
    """Return what the service sends where data is missing; beside an explanation it is a member."""
    outcome = json.loads(missing_outcome(error))
    if error.answer.explanation is None:
        return _indented(outcome)
    extension = json.loads(to_json(cards_response(error.answer)))["extension"]
    return _indented({"operationOutcome": outcome, "extension": extension})


def _indented(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _settings() -> Settings:
    return _usable(load_settings)


def _usable(load: Callable[[], _Loaded]) -> _Loaded:
    """Return what `load` brings; a bad setting or file ends the command with its reason."""
    try:
        return load()
    except SettingsError as error:
        raise CommandError(str(error)) from None


def _today() -> date:
    return system_clock(_settings()).today()
