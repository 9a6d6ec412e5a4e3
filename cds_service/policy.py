"""What a site decides about the rules, in one file: screening, look-backs, and which cards are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field, StrictInt

from cds_service.clinical.assessment import CardKey, Policy
from cds_service.knowledge import Knowledge
from cds_service.knowledge.local import NotLocalError, with_windows
from cds_service.settings import SettingsError
from cds_service.site_files import Part, parse_toml


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """A site's decisions; `screening` None leaves it to the client's entry, `windows` are days by id."""

    screening: bool | None = None
    windows: Mapping[str, int] = field(default_factory=dict)
    cards_off: frozenset[CardKey] = frozenset()


class _Cards(Part):
    off: tuple[CardKey, ...] = ()


class _File(Part):
    screening: bool | None = None
    windows: dict[str, StrictInt] = Field(default_factory=dict)
    cards: _Cards = _Cards()


def read_policy(text: str, subject: str, knowledge: Knowledge) -> SitePolicy:
    """Return the policy of a TOML text; raises `SettingsError`, which begins with `subject`."""
    file = parse_toml(_File, text, subject)
    policy = SitePolicy(file.screening, file.windows, frozenset(file.cards.off))
    try:
        with_windows(knowledge, policy.windows)
        Policy(cards_off=policy.cards_off)
    except NotLocalError as error:
        raise SettingsError(f"{subject}: windows: {error}") from None
    except ValueError as error:
        raise SettingsError(f"{subject}: cards.off: {error}") from None
    return policy
