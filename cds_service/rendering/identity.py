"""Card identity: the same request gives the same uuids, another finding gives others.

Feedback and the silence after an override recognise a card by its fingerprint, so it covers only what
decided the card: no resource ids, no date of today, no unrelated data.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable

from cds_service.clinical.assessment import CardKey, Deciding

NAMESPACE = uuid.UUID("52339d7c-8529-53f4-817a-15898f33bba6")
"""Namespace of every uuid of this service; changing it would orphan all feedback."""


def fingerprint(deciding: Iterable[Deciding]) -> str:
    """Return the SHA-256 (hex) of what decided a card, whatever order it came in."""
    findings = sorted({(finding.kind, finding.value, finding.unit, finding.day) for finding in deciding})
    return hashlib.sha256(_canonical(*findings).encode()).hexdigest()


def card_uuid(*, client: str, hook_instance: str, service_id: str, key: CardKey, fingerprint: str) -> str:
    """Return the uuid (version 5) of a card in one call of one client."""
    return str(uuid.uuid5(NAMESPACE, _canonical(client, hook_instance, service_id, key.value, fingerprint)))


def suggestion_uuid(card: str, order: str) -> str:
    """Return the uuid (version 5) of the suggestion of one order on one card."""
    return str(uuid.uuid5(NAMESPACE, _canonical(card, order)))


def _canonical(*parts: object) -> str:
    # JSON keeps the parts apart, so that no two lists of parts read the same.
    return json.dumps(parts, separators=(",", ":"))
