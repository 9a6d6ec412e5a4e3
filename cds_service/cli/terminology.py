"""`rls-cds terminology`: renews what the knowledge base knows of code systems."""

import json
from datetime import datetime
from pathlib import Path

import click

from cds_service.cli.commands import CommandError, ProblemsFoundError, main
from cds_service.knowledge import load
from cds_service.terminology_build.build import files_of, packaged, renew_packaged
from cds_service.terminology_build.changes import changes_of, plain, text
from cds_service.terminology_build.renewal import Wishes
from cds_service.terminology_build.rrf import ReleaseError
from cds_service.terminology_build.valuesets import Edition

_FOLDER = click.Path(file_okay=False, path_type=Path)


@main.group("terminology")
def terminology_group() -> None:
    """Renew the codes of the knowledge base from the releases of their owners."""


@terminology_group.command("build-drugs")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--release",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    required=True,
    help="Day of the release, YYYY-MM-DD, as its file name has it.",
)
@click.option("--out", type=_FOLDER, help="Folder for the new files and the report.")
@click.option("--write", is_flag=True, help="Replace the packaged files; refused while there are problems.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option(
    "--absent",
    multiple=True,
    metavar="NAME",
    help="An ingredient known not to be in this release (repeatable).",
)
@click.option(
    "--drop-retired", is_flag=True, help="Drop codes that RxNorm retired; records may still hold them."
)
def build_drugs(
    folder: Path,
    release: datetime,
    out: Path | None,
    absent: tuple[str, ...],
    *,
    write: bool,
    as_json: bool,
    drop_retired: bool,
) -> None:
    """Renew the drug table from RXNCONSO.RRF, RXNREL.RRF and RXNSAT.RRF in DIR and report what changes.

    Without --out and --write nothing is written. Exit code 1: an ingredient is not in the release, or the
    drugs of one or a whole group would be gone; 2: the files cannot be read.
    """
    _refuse_packaged(out)
    try:
        renewal = renew_packaged(folder, Wishes(frozenset(absent), drop_retired))
    except ReleaseError as error:
        raise CommandError(str(error)) from None
    base = load()
    day = release.date().isoformat()
    changes = changes_of(renewal)
    report = json.dumps(plain(renewal, changes, day), indent=2, ensure_ascii=False)
    new = files_of(renewal, Edition(base.version, base.date.isoformat()), day)
    if out is not None:
        _write(out, {**new, "report.json": report + "\n", "report.txt": text(renewal, changes, day) + "\n"})
    if write and not renewal.problems:
        _write(Path(str(packaged())), new)
    click.echo(report if as_json else text(renewal, changes, day))
    if renewal.problems:
        told = "; nothing was written over the packaged files" if write else ""
        raise ProblemsFoundError(f"{len(renewal.problems)} problems{told}")


def _refuse_packaged(out: Path | None) -> None:
    """Raise `CommandError` when the new files would fall onto the packaged ones without --write."""
    if out is not None and out.resolve().is_relative_to(Path(str(packaged())).resolve()):
        raise CommandError("--out names the packaged data; --write replaces those.")


def _write(folder: Path, new: dict[str, str]) -> None:
    """Write the files; raises `CommandError`."""
    try:
        for name, content in new.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}") from None
