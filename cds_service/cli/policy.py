"""`rls-cds policy check`: what a site's policy changes, in words and by the sample patients."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from cds_service.adapters.clock import FixedClock
from cds_service.adapters.quiet import NothingKnown
from cds_service.assess import Answer, PatientView, RequiredDataMissing, assess
from cds_service.cli.shift import WRITTEN_FOR, is_request
from cds_service.clients import Clients
from cds_service.clinical.assessment import CardKey
from cds_service.knowledge import Knowledge
from cds_service.knowledge.local import with_windows
from cds_service.policy import SitePolicy
from cds_service.profile import ClientProfile
from cds_service.protocol.envelope import parse_hook_request
from cds_service.protocol.errors import BadRequest
from cds_service.rendering import CardLibrary
from cds_service.web.discovery import HOOK
from cds_service.web.service import patient_view

_MISSING = "no answer, required data is missing (412)"
_NONE = "no card"


@dataclass(frozen=True, slots=True)
class Changed:
    """A sample patient who gets other cards under the policy."""

    sample: str
    before: str
    after: str


def policy_text(policy: SitePolicy, clients: Clients, knowledge: Knowledge, samples: Path) -> str:
    """Return what a policy changes, for a reader at a terminal."""
    changed, count = changes(policy, clients.default, knowledge, samples)
    told = [*_decisions(policy, clients.default, knowledge), ""]
    told.append(f"Of {count} sample patients {len(changed)} get another answer:" if changed else "")
    if not changed:
        told[-1] = f"All {count} sample patients get the same answer as without it."
    told += (f"  {one.sample}: {one.before} -> {one.after}" for one in changed)
    return "\n".join(told)


def _decisions(policy: SitePolicy, default: ClientProfile, knowledge: Knowledge) -> Iterator[str]:
    if policy.screening is not None:
        was = _on(default.is_screening_on)
        yield f"Screening (SCREEN-01): {_on(policy.screening)}; without the policy {was}."
    for window, days in sorted(policy.windows.items()):
        packaged = knowledge.thresholds[window]
        yield f"{window}: {days} days in place of {packaged.value}. {packaged.text}"
    for key in sorted(policy.cards_off):
        yield f"{key} is not shown, and no other card in its place. {knowledge.rules[key].text}."
    if policy == SitePolicy():
        yield "The policy decides nothing."


def _on(is_on: bool) -> str:  # noqa: FBT001 - a word for a value
    return "on" if is_on else "off"


def changes(
    policy: SitePolicy, default: ClientProfile, knowledge: Knowledge, samples: Path
) -> tuple[list[Changed], int]:
    """Return the sample patients whose cards the policy changes, and how many were tried."""
    screening = default.is_screening_on if policy.screening is None else policy.screening
    under = replace(default, is_screening_on=screening, cards_off=policy.cards_off, windows=policy.windows)
    cards = CardLibrary.load()
    calls = dict(_calls(samples))
    changed = []
    for sample, call in calls.items():
        before, after = (_shown(call, profile, knowledge, cards) for profile in (default, under))
        if before != after:
            changed.append(Changed(sample, before, after))
    return changed, len(calls)


def _calls(samples: Path) -> Iterator[tuple[str, PatientView]]:
    for path in sorted(samples.rglob("*.json")):
        body = path.read_bytes()
        if not is_request(body.decode()):
            continue
        try:
            yield path.parent.name, patient_view(parse_hook_request(body, expected_hook=HOOK))
        except BadRequest:
            continue  # a sample of another hook


def _shown(call: PatientView, profile: ClientProfile, knowledge: Knowledge, cards: CardLibrary) -> str:
    """Return the keys and indicators of a call's cards; the periods in their texts follow the windows."""
    ask = partial(
        assess,
        knowledge=with_windows(knowledge, profile.windows),
        profile=profile,
        clock=FixedClock(ZoneInfo("UTC"), WRITTEN_FOR),
        quiet=NothingKnown(),
        cards=cards,
        canonical_base="https://policy.invalid",
    )
    try:
        return _words(ask(call))
    except RequiredDataMissing:
        return _MISSING


def _words(answer: Answer) -> str:
    keys = {key.topic_code: key for key in CardKey}
    shown = (f"{keys[card.source.topic.code]} {card.indicator}" for card in answer.cards if card.source.topic)
    return ", ".join(shown) or _NONE
