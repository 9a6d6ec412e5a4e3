"""`rls-cds audit`: check the log, remove what is past its time, send it to a FHIR server."""

from datetime import date
from pathlib import Path

from cds_service.adapters.audit_check import Checked, purge, verify
from cds_service.adapters.audit_log import Head
from cds_service.addresses import parse_address
from cds_service.ports import AuditUnavailableError
from cds_service.settings import PREFIX, Settings, SettingsError


def folder_of(settings: Settings) -> Path:
    """Return the folder of the audit log; raises `SettingsError`."""
    if settings.audit is None:
        raise SettingsError(f"{PREFIX}AUDIT names no folder")
    if not settings.audit.is_dir():
        raise SettingsError(f"{PREFIX}AUDIT: no such folder")
    return settings.audit


def checked(settings: Settings, key: bytes, heads: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return a line for each chain, and every fault; `heads` are those that were noted elsewhere."""
    found = verify(folder_of(settings), key=key, heads=[_head(text) for text in heads])
    return [_told(one) for one in found], [fault for one in found for fault in one.faults]


def _told(one: Checked) -> str:
    return f"{one.head.chain}: events {one.first} to {one.head.number}, head {one.head}"


def _head(text: str) -> Head:
    """Return a head as it was noted; raises `SettingsError`."""
    chain, _, rest = text.partition(":")
    number, _, digest = rest.partition(":")
    if not (number.isdecimal() and len(number) < _DIGITS) or len(digest) != _DIGITS:
        raise SettingsError(f"{text!r} is no head; one looks like CHAIN:NUMBER:HASH")
    return Head(chain, int(number), digest)


_DIGITS = 64


def purged(settings: Settings, key: bytes, today: date) -> list[Path]:
    """Remove the files that are past `RLS_CDS_AUDIT_DAYS`, and return them; raises `SettingsError`."""
    try:
        return purge(folder_of(settings), today=today, days=settings.audit_days, key=key)
    except (AuditUnavailableError, OSError) as error:
        raise SettingsError(f"{PREFIX}AUDIT: nothing can be removed ({type(error).__name__})") from None


def shipped(settings: Settings, url: str, token_file: Path | None) -> tuple[int, str]:
    """Send what was not sent; return how many events were, and what is left; raises `SettingsError`."""
    # The HTTP library is loaded where it is needed: the other commands start without it.
    from cds_service.adapters.audit_fhir import ASIDE, ship  # noqa: PLC0415 - see above

    server = parse_address(url)
    if server is None or (server.scheme != "https" and not server.is_loopback):
        raise SettingsError("The server must be an https base address such as https://audit.example.org/fhir")
    try:
        token = token_file.read_text("ascii").strip() if token_file is not None else None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The token file cannot be read ({type(error).__name__})") from None
    folder = folder_of(settings)
    try:
        done = ship(folder, server, token)
    except AuditUnavailableError as error:
        raise SettingsError(f"{PREFIX}AUDIT: {error}") from None
    aside = [f"The server refused {done.aside} as invalid: {folder / ASIDE}."] if done.aside else []
    next_one = [f"The server did not take the next one: {done.reason}."] if done.reason else []
    return done.count, " ".join([*aside, *next_one])
