"""What a FHIR server answered, judged before it is read: a page of JSON of bounded size, or why not."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec
import requests

from cds_service.ports import FetchProblem
from cds_service.protocol.errors import NotJson
from cds_service.protocol.jsonio import check_json

MAX_PAGE_BYTES = 5 * 1024 * 1024

_PAUSE = 0.05
_JSON_TYPE = re.compile(r"(?:application|text)/(?:json|[a-z0-9.+-]*\+json|json\+fhir)", re.IGNORECASE)
_PROBLEMS = {
    401: FetchProblem.REFUSED,
    403: FetchProblem.REFUSED,
    404: FetchProblem.NOT_FOUND,
    410: FetchProblem.NOT_FOUND,
    429: FetchProblem.BUSY,
    502: FetchProblem.BUSY,
    503: FetchProblem.BUSY,
    504: FetchProblem.BUSY,
}
_OK = 200
_FIRST_REDIRECT, _FIRST_ERROR = 300, 400


class _Link(msgspec.Struct):
    relation: str | None = None
    url: str | None = None


class _Page(msgspec.Struct):
    link: msgspec.Raw = msgspec.Raw(b"[]")
    entry: msgspec.Raw = msgspec.Raw(b"[]")


_page = msgspec.json.Decoder(_Page)
_links = msgspec.json.Decoder(list[_Link])
_entries = msgspec.json.Decoder(list[msgspec.Raw])


class Failed(Exception):
    """A query brought no (further) page."""

    def __init__(self, problem: FetchProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def check_head(response: requests.Response) -> None:
    """Raise `Failed` for what is no good answer in FHIR JSON."""
    status = response.status_code
    if _FIRST_REDIRECT <= status < _FIRST_ERROR:
        raise Failed(FetchProblem.REDIRECTED)
    if status != _OK:
        raise Failed(_PROBLEMS.get(status, FetchProblem.UNEXPECTED_STATUS))
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if not _JSON_TYPE.fullmatch(media_type) or encoding != "identity":
        raise Failed(FetchProblem.NOT_FHIR)


def check_length(response: requests.Response) -> None:
    """Raise `Failed` where a page says that it is too large."""
    length = response.headers.get("Content-Length", "").strip().lstrip("0")
    # Python reads no number of more than some thousand figures, and needs not.
    if length.isdecimal() and (len(length) > len(str(MAX_PAGE_BYTES)) or int(length) > MAX_PAGE_BYTES):
        raise Failed(FetchProblem.TOO_LARGE)


def read_page(body: bytes) -> tuple[str | None, int]:
    """Return the link to the next page and the number of entries; raises `Failed` if it is no JSON object.

    Links and entries of an odd shape are for the reader of the record to judge; no page follows them.
    """
    try:
        check_json(body)
        page = _page.decode(body)
    except (NotJson, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Failed(FetchProblem.NOT_FHIR) from None
    try:
        links, entries = _links.decode(page.link), _entries.decode(page.entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None, 0
    return next((link.url for link in links if link.relation == "next" and link.url), None), len(entries)


def pause_of(retry_after: str | None, now: datetime) -> float:
    """Return the seconds to wait before the second try: what the server asks for, else a moment."""
    text = (retry_after or "").strip()
    if text.isdecimal():
        return max(_PAUSE, float(text[:9]))
    try:
        moment = parsedate_to_datetime(text)
        return max(_PAUSE, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return _PAUSE
