"""The packaged knowledge as a site has it: its own look-backs, and without SNOMED CT where it has no licence.

Only project rules can be set, within their ranges; what a guideline says changes with the knowledge version
alone.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from cds_service.knowledge.loader import worded
from cds_service.knowledge.model import Knowledge, Threshold


class NotLocalError(ValueError):
    """A window that a site cannot set, or not to this value; the text says which and what it takes."""


def with_windows(knowledge: Knowledge, days: Mapping[str, int]) -> Knowledge:
    """Return the knowledge with these windows, in days by id; raises `NotLocalError`.

    Texts of rules follow. The hash differs, so that a card tells under which windows it was made.
    """
    if not days:
        return knowledge
    own = {window: _set(knowledge, window, count) for window, count in days.items()}
    thresholds = {**knowledge.thresholds, **own}
    rules = {i: replace(rule, text=worded(rule.wording, thresholds)) for i, rule in knowledge.rules.items()}
    listed = ";".join(f"{window}={count}" for window, count in sorted(days.items()))
    return replace(knowledge, thresholds=thresholds, rules=rules, hash=_hash(knowledge, listed))


def without_snomed(knowledge: Knowledge) -> Knowledge:
    """Return the knowledge without any code of SNOMED CT; the hash differs, so that a card tells."""
    terminology = knowledge.terminology.without_snomed()
    return replace(knowledge, terminology=terminology, hash=_hash(knowledge, "without SNOMED CT"))


def _hash(knowledge: Knowledge, what: str) -> str:
    return hashlib.sha256(f"{knowledge.hash} {what}".encode()).hexdigest()[: len(knowledge.hash)]


def _set(knowledge: Knowledge, window: str, days: int) -> Threshold:
    found = knowledge.thresholds.get(window)
    if found is None or found.local is None:
        there_are = ", ".join(sorted(i for i, t in knowledge.thresholds.items() if t.local is not None))
        reason = "is no window" if found is None else "is not for a site to set"
        raise NotLocalError(f"{window} {reason}; there are: {there_are}")
    least, most = found.local
    if not least <= days <= most:
        raise NotLocalError(f"{window} must be between {least} and {most} days")
    return replace(found, value=Decimal(days), is_set_locally=True)
