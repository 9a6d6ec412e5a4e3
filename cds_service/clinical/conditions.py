"""Which Conditions count today, and what they say about restless legs syndrome (docs/rules.md R1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from cds_service.clinical.assessment import RlsStatus
from cds_service.clinical.facts import TAKEN_BACK, ConditionFact, Facts, Need, NeedState, Source, Verification

_RLS = "rls"
_PLMD = "plmd"
# Haemochromatosis does not end: a status of remission only says that it is treated (docs/rules.md R12).
_LIFELONG = frozenset({"iron_overload"})


def is_current(condition: ConditionFact, today: date) -> bool:
    """Whether a Condition is on today: active, not refuted, and not ended.

    Any abatement ends it, except one whose day lies after today (docs/rules.md R8.9); a disorder for life
    is on whatever its clinical status.
    """
    if condition.verification in TAKEN_BACK:
        return False
    if condition.groups & _LIFELONG:
        return True
    if not condition.is_clinically_active:
        return False
    if not condition.has_abatement:
        return True
    return condition.abated is not None and condition.abated.earliest > today


def is_possible(condition: ConditionFact) -> bool:
    """Whether a Condition is unconfirmed, provisional or differential."""
    return condition.verification is Verification.UNCERTAIN


@dataclass(frozen=True, slots=True)
class CurrentConditions:
    """The current Conditions, by concept group, and whether the list was read completely."""

    conditions: tuple[ConditionFact, ...]
    is_complete: bool

    def of(self, *groups: str) -> tuple[ConditionFact, ...]:
        """Return the current Conditions of any of these groups."""
        wanted = frozenset(groups)
        return tuple(c for c in self.conditions if c.groups & wanted)

    def has(self, *groups: str) -> bool:
        """Whether a current Condition of any of these groups exists."""
        return bool(self.of(*groups))


def current_conditions(facts: Facts, today: date) -> CurrentConditions:
    """Return the Conditions that are on today."""
    return CurrentConditions(
        tuple(c for c in facts.conditions if is_current(c, today)),
        facts.needs[Need.CONDITIONS] is NeedState.ANSWERED,
    )


@dataclass(frozen=True, slots=True)
class RlsFinding:
    """The RLS status with the Conditions that it rests on."""

    status: RlsStatus
    is_plmd_only: bool
    sources: tuple[Source, ...]


def rls_finding(facts: Facts, current: CurrentConditions) -> RlsFinding:
    """Return the first of the five values that fits."""
    recorded = [c for c in facts.conditions if _RLS in c.groups]
    active = current.of(_RLS)
    confirmed = [c for c in active if c.verification is Verification.CONFIRMED]
    if confirmed:
        return RlsFinding(RlsStatus.DOCUMENTED, is_plmd_only=False, sources=_sources(confirmed))
    if active:
        return RlsFinding(RlsStatus.POSSIBLE, is_plmd_only=False, sources=_sources(active))
    plmd = current.of(_PLMD)
    if plmd:
        return RlsFinding(RlsStatus.POSSIBLE, is_plmd_only=True, sources=_sources(plmd))
    if not current.is_complete:
        return RlsFinding(RlsStatus.UNKNOWN, is_plmd_only=False, sources=())
    status = RlsStatus.RULED_OUT if recorded else RlsStatus.NOT_RECORDED
    return RlsFinding(status, is_plmd_only=False, sources=_sources(recorded))


def _sources(conditions: Iterable[ConditionFact]) -> tuple[Source, ...]:
    return tuple(c.source for c in conditions)
