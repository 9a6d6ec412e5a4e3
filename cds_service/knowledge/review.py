"""What awaits clinical review: every fact that no primary source was read for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cds_service.knowledge.basis import Basis
from cds_service.knowledge.model import Check, Knowledge


@dataclass(frozen=True, slots=True)
class Awaiting:
    """One fact of the knowledge base that a clinician has to confirm."""

    kind: str
    id: str
    text: str
    citations: tuple[str, ...]
    check: Check


def awaiting_review(knowledge: Knowledge, basis: Basis) -> tuple[Awaiting, ...]:
    """Return every fact marked V2 or M: rules, limits, statements, factors, drug classes, in this order."""
    return tuple(one for one in _facts(knowledge, basis) if one.check.awaits_review)


def _facts(knowledge: Knowledge, basis: Basis) -> Iterator[Awaiting]:
    for rule in knowledge.rules.values():
        yield Awaiting("rule", rule.id, rule.text, rule.citations, rule.check)
    for limit in knowledge.thresholds.values():
        yield Awaiting("limit", limit.id, f"{limit.words}: {limit.text}", limit.citations, limit.check)
    for one in basis.statements.values():
        graded = f" ({one.strength}, certainty {one.certainty})" if one.strength else ""
        yield Awaiting("statement", one.id, f"{one.text}{graded}", one.citations, one.check)
    for factor in knowledge.factors.values():
        yield Awaiting("factor", factor.id, factor.line, factor.citations, factor.check)
    for group, found in knowledge.drug_classes.items():
        yield Awaiting("drug class", group, f"{found.name}: {found.why}", found.citations, found.check)


def counted(found: tuple[Awaiting, ...]) -> Mapping[str, int]:
    """Return how many facts of each kind await review."""
    kinds = dict.fromkeys((one.kind for one in found), 0)
    for one in found:
        kinds[one.kind] += 1
    return kinds
