"""What was never asked for is said to be so, and never counts as looked for."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from cds_service.clinical.assessment import CardDecision, Line, NotChecked, Policy
from cds_service.clinical.evaluate import evaluate
from cds_service.clinical.facts import (
    Analyte,
    ConditionFact,
    Facts,
    IronSearch,
    Need,
    NeedState,
    PartialDate,
    PatientFact,
    Result,
    ResultStatus,
    Sex,
    Source,
    Verification,
)
from cds_service.clinical.findings import unread_medicines
from cds_service.clinical.interval import Interval
from cds_service.knowledge import load

TODAY = date(2026, 11, 22)


def day(value: date) -> PartialDate:
    return PartialDate(
        value, value, datetime(value.year, value.month, value.day, tzinfo=UTC), value.isoformat()
    )


def condition(group: str, number: int) -> ConditionFact:
    return ConditionFact(
        Source(number, "Condition"),
        frozenset({group}),
        group,
        is_clinically_active=True,
        verification=Verification.CONFIRMED,
    )


def card_of(*groups: str) -> CardDecision:
    """Return the card of a ferritin of 40 where a saturation was never asked for."""
    ferritin = Result(
        source=Source(1, "Observation"),
        analyte=Analyte.FERRITIN,
        status=ResultStatus.FINAL,
        when=day(date(2026, 11, 1)),
        interval=Interval.exactly(Decimal(40)),
        shown="40 ng/mL",
    )
    states = dict.fromkeys(Need, NeedState.ANSWERED)
    facts = Facts(
        patient=PatientFact(Source(0, "Patient"), Sex.MALE, day(date(1970, 1, 1))),
        needs=states,
        iron_searches={
            IronSearch.FERRITIN: NeedState.ANSWERED,
            IronSearch.TSAT: NeedState.NOT_ASKED,
            IronSearch.CRP: NeedState.NOT_ASKED,
        },
        results=(ferritin,),
        conditions=tuple(condition(group, number) for number, group in enumerate(("rls", *groups), start=10)),
    )
    (card,) = evaluate(facts, load(), today=TODAY, policy=Policy()).cards
    return card


def test_an_adult_card_says_that_no_saturation_was_supplied() -> None:
    card = card_of()
    assert Line.TSAT_NOT_ASKED in {found.line for found in card.lines}
    assert NotChecked.OVERLOAD in card.not_checked


def test_all_that_keeps_a_list_of_medicines_from_being_complete_is_told() -> None:
    needs = dict.fromkeys(Need, NeedState.ANSWERED) | {Need.MEDICATION_REQUESTS: NeedState.CUT_OFF}
    searches = dict.fromkeys(IronSearch, NeedState.ANSWERED)
    facts = Facts(patient=None, needs=needs, iron_searches=searches)
    assert unread_medicines(facts) == "medicationRequests: list cut off"
    told = unread_medicines(replace(facts, unreadable_medicines=2))
    assert told == "medicationRequests: list cut off; a medicine without a readable name"


def test_in_kidney_failure_the_saturation_is_not_read_instead_of_missing() -> None:
    card = card_of("esrd")
    assert (card.values["what"], card.values["why"]) == ("TSAT", "not read")
