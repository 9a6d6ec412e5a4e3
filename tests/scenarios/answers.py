"""The list of what every patient of the scenarios gets: a change shows for which of them it is another one.

    python -m tests.scenarios.answers    writes answers.txt anew; its diff belongs into the review

A line holds the cards with their indicators, and three short hashes: of what was decided (lines, orders,
deciding findings, factors), of the words of the answer, and of its explanation. What a clinician must see is
written by hand in the scenarios; this list only tells that something changed.
"""

import hashlib
import json
from pathlib import Path

from cds_service.assess import Answer, RequiredDataMissing
from cds_service.knowledge import load
from cds_service.protocol.responses import CardsResponse, to_json
from cds_service.rendering import CardLibrary
from tests.harness import service_in
from tests.scenarios.test_scenarios import SCENARIOS, Scenario

FILE = Path(__file__).with_name("answers.txt")
_DIGITS = 10


def line_of(scenario: Scenario) -> str:
    """Return the line of one patient."""
    service = service_in("UTC", is_screening_on=scenario.is_screening_on)
    try:
        answer = service.view(scenario.body, is_explained=True)
        cards = (
            ", ".join(f"{card.key} {card.indicator.name.lower()}" for card in answer.assessment.cards)
            or "none"
        )
    except RequiredDataMissing as missing:
        answer, cards = missing.answer, "412"
    hashes = " ".join(_short(text) for text in (_decided(answer), _words(answer), _explained(answer)))
    return f"{scenario.case}: {cards} | {hashes}"


def lines() -> list[str]:
    """Return the lines of all patients."""
    return [line_of(scenario) for scenario in SCENARIOS]


def _decided(answer: Answer) -> str:
    found = answer.assessment
    several = [*found.cards, *found.factors, *found.withheld]
    single = [found.rls, found.outcome, found.missing, found.presentation, found.is_child, found.is_plmd_only]
    # The order of a set is not the same in every process.
    return "\n".join([*map(repr, several), *map(repr, single), *sorted(map(repr, found.sources))])


def _words(answer: Answer) -> str:
    return to_json(CardsResponse(cards=answer.cards)).decode()


def _explained(answer: Answer) -> str:
    assert answer.explanation is not None
    return json.dumps(answer.explanation.model_dump(by_alias=True, mode="json"), sort_keys=True)


def _short(text: str) -> str:
    """Return the hash of a text without the hashes of files, which change with every comment in them."""
    for version in (load().hash, CardLibrary.load().hash):
        text = text.replace(version, "")
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def main() -> None:
    """Write the list."""
    FILE.write_text("\n".join([*lines(), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
