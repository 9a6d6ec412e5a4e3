"""The request of a hook: the envelope around the medical record (CDS Hooks 2.0.1, "HTTP Request").

The record itself (`prefetch`) stays undecoded and uncopied, so that it is read once, by the `fhir` room.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cds_service.protocol.errors import BadRequest
from cds_service.protocol.jsonio import check_json, decode_strictly, load_checked, refuse_repeated

EPIC_FHIR_VERSION = "com.epic.cdshooks.request.fhir-version"
"""The request extension in which Epic names the FHIR version of the data (R4, STU3, DSTU2)."""

LONGEST_ID = 1024
"""Characters of an identifier; FHIR's have 64, and each stands in every audit event of a call."""

_WORTH_CUTTING = 1024
_ENDS = 256
_NULL = b"null"
_PREFETCH_MEMBER = re.compile(rb'"prefetch"[ \t\r\n]*:[ \t\r\n]*')


@dataclass(frozen=True, slots=True)
class FhirAuthorization:
    """Access to the client's FHIR server; a transient secret that is never shown or logged."""

    access_token: str = field(repr=False)
    expires_in: int | None
    scope: str
    subject: str
    patient: str | None


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One call of a service, its envelope checked; `prefetch` is the raw JSON object, None if absent.

    `fhir_authorization` is None as well when it was granted for another patient than the context's, which
    `is_access_for_another` tells.
    """

    hook: str
    hook_instance: str
    patient_id: str
    user_id: str
    encounter_id: str | None
    fhir_server: str | None
    fhir_authorization: FhirAuthorization | None
    extension: Mapping[str, Any]
    prefetch: msgspec.Raw | None
    is_access_for_another: bool

    @property
    def version_hint(self) -> str | None:
        """Return what the client says about the FHIR version of its data, None when it says nothing."""
        hint = self.extension.get(EPIC_FHIR_VERSION)
        return hint if isinstance(hint, str) and hint else None


class _Outer(msgspec.Struct, gc=False):
    """The one member that is taken out whole; the decoder checks the syntax of all the others."""

    prefetch: msgspec.Raw = msgspec.Raw(b"")


_OUTER = msgspec.json.Decoder(_Outer)


def parse_hook_request(body: bytes, *, expected_hook: str) -> HookRequest:
    """Return the checked envelope of a call of `expected_hook`; raises `BadRequest`.

    Unknown members are ignored at every level. Decisions that the specification leaves open: any
    non-empty `hookInstance` is taken (it need not be a UUID and may come twice); `userId` must be there
    but its form is not checked; null stands for an absent optional member.
    """
    check_json(body)
    prefetch = decode_strictly(_OUTER.decode, body).prefetch
    members = load_checked(_without(prefetch, body))
    refuse_repeated(members, "the request")
    hook = _required(members, "hook")
    if hook != expected_hook:
        raise BadRequest("value", f"hook must be {expected_hook} for this service.")
    context = _context(members)
    patient_id = _identifier(context, "patientId", "context.")
    encounter_id = _optional(context, "encounterId", "context.")
    fhir_server = _optional(members, "fhirServer")
    granted = members.get("fhirAuthorization")
    authorization = _authorization(granted, fhir_server, patient_id)
    return HookRequest(
        hook=hook,
        hook_instance=_identifier(members, "hookInstance"),
        patient_id=patient_id,
        user_id=_identifier(context, "userId", "context."),
        encounter_id=_short(encounter_id, "context.encounterId") if encounter_id else None,
        fhir_server=fhir_server,
        fhir_authorization=authorization,
        extension=_extension(members.get("extension")),
        prefetch=_prefetch(prefetch),
        is_access_for_another=granted is not None and authorization is None,
    )


def _without(prefetch: msgspec.Raw, body: bytes) -> bytes:
    """Return the body with a large prefetch value replaced by a number, still valid JSON.

    The value is found by its length and its two ends behind a member name "prefetch", so that megabytes
    are neither copied nor compared. Should that be another value that looks like it, the remainder is
    merely longer, or a member inside an extension is lost: nothing of the envelope proper.
    """
    value = memoryview(prefetch)
    if len(value) < _WORTH_CUTTING:
        return body
    first, last = bytes(value[:_ENDS]), bytes(value[-_ENDS:])
    for member in _PREFETCH_MEMBER.finditer(body):
        begin, end = member.end(), member.end() + len(value)
        if body.startswith(first, begin) and body.endswith(last, begin, end):
            return body[:begin] + b"0" + body[end:]
    return body


def _prefetch(raw: msgspec.Raw) -> msgspec.Raw | None:
    start = bytes(memoryview(raw)[: len(_NULL)])
    if start in {b"", _NULL}:
        return None
    if not start.startswith(b"{"):
        raise BadRequest("structure", "prefetch must be an object.")
    return raw


def _context(members: Mapping[str, Any]) -> Mapping[str, Any]:
    context = members.get("context")
    if context is None:
        raise BadRequest("required", "context is required.")
    if not isinstance(context, dict):
        raise BadRequest("structure", "context must be an object.")
    refuse_repeated(context, "context")
    return context


def _extension(value: Any) -> Mapping[str, Any]:
    """Return the extension object; anything else is no reason to refuse a call, and is ignored."""
    return value if isinstance(value, dict) else {}


def _required(members: Mapping[str, Any], name: str, path: str = "") -> str:
    value = members.get(name)
    if value is None:
        raise BadRequest("required", f"{path}{name} is required.")
    if not isinstance(value, str) or not value.strip():
        raise BadRequest("value", f"{path}{name} must be a string that is not empty.")
    return value


def _optional(members: Mapping[str, Any], name: str, path: str = "") -> str | None:
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest("value", f"{path}{name} must be a string.")
    return value or None


def _identifier(members: Mapping[str, Any], name: str, path: str = "") -> str:
    return _short(_required(members, name, path), f"{path}{name}")


def _short(value: str, name: str) -> str:
    if len(value) > LONGEST_ID:
        raise BadRequest("value", f"{name} has more than {LONGEST_ID} characters.")
    return value


def _authorization(value: Any, fhir_server: str | None, patient_id: str) -> FhirAuthorization | None:
    """Return the authorization that may be used for this patient; raises `BadRequest`.

    `scope` is free text at some vendors and `expires_in` is left out by others: neither is required.
    """
    if value is None:
        return None
    path = "fhirAuthorization."
    if not isinstance(value, dict):
        raise BadRequest("structure", "fhirAuthorization must be an object.")
    refuse_repeated(value, "fhirAuthorization")
    if fhir_server is None:
        raise BadRequest("required", "fhirServer is required where fhirAuthorization is given.")
    access_token = _required(value, "access_token", path)
    if _required(value, "token_type", path).lower() != "bearer":
        raise BadRequest("value", "fhirAuthorization.token_type must be Bearer.")
    patient = _optional(value, "patient", path)
    if patient is not None and patient != patient_id:
        return None
    return FhirAuthorization(
        access_token=access_token,
        expires_in=_seconds(value.get("expires_in")),
        scope=_optional(value, "scope", path) or "",
        subject=_optional(value, "subject", path) or "",
        patient=patient,
    )


def _seconds(value: Any) -> int | None:
    """Return whole seconds from a number or its text, None when left out; raises `BadRequest`."""
    if value is None:
        return None
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise BadRequest("value", "fhirAuthorization.expires_in must be a number of seconds.")
    return int(seconds)
