"""What can still be said of a resource that cannot be used: its type, code, status, date and subject.

Enough to know whether it could have mattered. Never its value.
"""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from cds_service.fhir import lean
from cds_service.fhir.decoding import UNREADABLE, text_of

_Part = TypeVar("_Part")


class _Loose(msgspec.Struct, gc=False):
    resourceType: msgspec.Raw = lean.ABSENT
    id: msgspec.Raw = lean.ABSENT
    status: msgspec.Raw = lean.ABSENT
    code: msgspec.Raw = lean.ABSENT
    medicationCodeableConcept: msgspec.Raw = lean.ABSENT
    subject: msgspec.Raw = lean.ABSENT
    patient: msgspec.Raw = lean.ABSENT
    effectiveDateTime: msgspec.Raw = lean.ABSENT
    effectiveInstant: msgspec.Raw = lean.ABSENT
    issued: msgspec.Raw = lean.ABSENT
    authoredOn: msgspec.Raw = lean.ABSENT
    dateAsserted: msgspec.Raw = lean.ABSENT


_loose = msgspec.json.Decoder(_Loose)
_concept = msgspec.json.Decoder(lean.CodeableConcept)
_reference = msgspec.json.Decoder(lean.Reference)
_text = msgspec.json.Decoder(str)


@dataclass(frozen=True, slots=True)
class Remains:
    """The readable parts of an unusable resource; None is what is missing or unreadable too."""

    resource_type: str | None
    resource_id: str | None = None
    code: lean.CodeableConcept | None = None
    status: str | None = None
    when: str | None = None
    subject: lean.Reference | None = None
    patient: lean.Reference | None = None


def salvage(raw: bytes) -> Remains:
    """Return what can be read of a resource of the wrong shape."""
    try:
        parts = _loose.decode(raw)
    except UNREADABLE:
        return Remains(None)
    return Remains(
        resource_type=text_of(parts.resourceType),
        resource_id=text_of(parts.id),
        code=_read(_concept, parts.code) or _read(_concept, parts.medicationCodeableConcept),
        status=_read(_text, parts.status),
        when=_first(
            parts.effectiveDateTime,
            parts.effectiveInstant,
            parts.issued,
            parts.authoredOn,
            parts.dateAsserted,
        ),
        subject=_read(_reference, parts.subject),
        patient=_read(_reference, parts.patient),
    )


def remains_of(resource: lean.Resource) -> Remains:
    """Return the same of a resource that was read but must not be used."""
    period = resource.effectivePeriod
    return Remains(
        resource_type=resource.resourceType,
        resource_id=None if resource.id is None else str(resource.id),
        code=resource.code or resource.medicationCodeableConcept,
        status=resource.status,
        when=resource.effectiveDateTime
        or resource.effectiveInstant
        or (period.end or period.start if period else None)
        or resource.issued
        or resource.authoredOn
        or resource.dateAsserted,
        subject=resource.subject,
        patient=resource.patient,
    )


def _read(decoder: msgspec.json.Decoder[_Part], raw: msgspec.Raw) -> _Part | None:
    try:
        return decoder.decode(raw)
    except UNREADABLE:
        return None


def _first(*raws: msgspec.Raw) -> str | None:
    for raw in raws:
        text = text_of(raw)
        if text:
            return text
    return None
