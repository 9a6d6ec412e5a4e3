"""Names that others rest on: of what decides a card (its fingerprint), of data issues (log and counters)."""

from collections.abc import Callable

from cds_service.assess import RequiredDataMissing
from cds_service.clinical.facts import IssueKind
from tests.harness import Service
from tests.scenarios.test_scenarios import SCENARIOS

KINDS = {
    "C-reactive protein",
    "condition",
    "factor",
    "ferritin",
    "ferritin not readable",
    "intravenous iron",
    "medicine",
    "oral iron",
    "required data",
    "transferrin saturation",
}


def test_every_kind_of_finding_that_decides_is_of_the_list_and_met(services: Callable[..., Service]) -> None:
    met: set[str] = set()
    for scenario in SCENARIOS:
        service = services("UTC", is_screening_on=scenario.is_screening_on)
        try:
            answer = service.view(scenario.body)
        except RequiredDataMissing as missing:
            answer = missing.answer
        met |= {one.kind for card in answer.assessment.cards for one in card.deciding}
    assert met == KINDS


def test_kinds_of_data_issues_keep_their_names() -> None:
    assert [kind.value for kind in IssueKind] == [
        "cleaned up",
        "skipped",
        "belongs to another patient",
        "replaced by another record",
        "wrong shape",
        "not valid FHIR",
        "FHIR version not read",
        "list cut off",
        "search failed",
        "reference not resolved",
        "modifier extension not understood",
    ]
