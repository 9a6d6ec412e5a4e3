"""On whom to try a server: patients that were named, or a few that it offers."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from cds_service.adapters.watched import Exchange
from cds_service.completion import is_plain_id
from cds_service.fhir.references import normalise_base, parse_reference
from cds_service.onboarding.onlooker import Onlooker
from cds_service.onboarding.resources import sent_resources
from cds_service.ports import FetchedPages, FhirAccess, Query, Search

_LOINC = "http://loinc.org"
_PATIENT = "Patient"
_RESULTS = "50"


class Chosen(NamedTuple):
    """The ids to try, how they were come by, and what the server answered to the searches for them."""

    ids: tuple[str, ...]
    found_by: str
    answers: tuple[tuple[Query, FetchedPages], ...] = ()
    exchanges: tuple[Exchange, ...] = ()


class _Reference(msgspec.Struct):
    reference: str | None = None


class _Subject(msgspec.Struct):
    subject: _Reference | None = None


_subject = msgspec.json.Decoder(_Subject)


def find_patients(
    access: FhirAccess,
    onlooker: Onlooker,
    ferritin_codes: Iterable[str],
    count: int,
    *,
    budget_seconds: float,
) -> Chosen:
    """Return some patients: those with a ferritin on record first, then any others."""
    tokens = ",".join(f"{_LOINC}|{code}" for code in ferritin_codes)
    results = Search("ferritin of anybody", "Observation", (("code", tokens), ("_count", _RESULTS)), None, 1)
    anybody = Search("any patients", _PATIENT, (("_count", str(count)),), None, 1)
    with onlooker.open(access, budget_seconds=budget_seconds) as session:
        with_ferritin, any_patients = session.fetch([results, anybody])
    base = normalise_base(f"{access.address.origin}{access.address.path}")
    first = list(_subjects(with_ferritin, base))
    others = [one.resource_id for one in sent_resources(any_patients.pages) if one.resource_type == _PATIENT]
    ids = [one for one in dict.fromkeys([*first, *others]) if is_plain_id(one)][:count]
    known = len(set(ids) & set(first))
    seen = onlooker.take()
    return Chosen(
        tuple(ids), f"{known} with a ferritin on record, {len(ids) - known} others", tuple(seen.asked)
    )


def _subjects(answer: FetchedPages, base: str) -> Iterator[str]:
    for sent in sent_resources(answer.pages):
        try:
            subject = _subject.decode(sent.text).subject
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        reference = parse_reference(subject.reference or "") if subject is not None else None
        if reference is not None and reference.resource_type == _PATIENT and reference.base in {"", base}:
            yield reference.resource_id
