"""What no answer may ever suggest, whatever the record holds: cautions that outlast every rule."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.builders import Fact, Json, hook_request, prefetch
from tests.harness import Reply, service_in
from tests.property.strategies import PATIENTS, RECORDS

TODAY = date(2026, 11, 22)
LAST_UNRELIABLE_DAY = 55
# A card names iron by mouth in these words; "on iron by mouth" of a course is one of them.
ORAL_IRON = re.compile(r"oral iron|oral first|iron by mouth|ferrous sulfate", re.IGNORECASE)
ORAL_ALLERGY = "Allergy or intolerance to iron by mouth on record"
OVERLOAD_ON_RECORD = ("E83.110", "E83.111", "E83.118", "E83.119")

quick = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])

LOW: list[Fact] = ["RLS", {"ferritin": 30}, {"TSAT": 12}]


def answer(record: list[Fact], of: Json) -> Reply:
    return service_in("UTC").call(hook_request(prefetch(record, of=of)))


def suggested_tests(card: Json) -> Iterator[str]:
    for suggestion in card.get("suggestions", []):
        for action in suggestion["actions"]:
            yield action["resource"]["code"]["coding"][0]["code"]


@quick
@given(record=RECORDS, of=PATIENTS)
@example(record=LOW, of={})
@example(record=LOW, of={"born": "2015-01-01"})
@example(record=LOW, of={"born": "none"})
@example(record=[*LOW, {"takes": {"drug": "ferrous sulfate", "since": "2026-05-01"}}], of={})
@example(record=[*LOW, {"takes": {"drug": "ferrous sulfate", "since": "2026-08-20"}}], of={})
@example(record=["RLS", {"ferritin": 90}], of={})
def test_no_card_names_oral_iron_without_the_allergy_to_it(record: list[Fact], of: Json) -> None:
    for card in answer([*record, {"allergy": {"drug": "ferrous sulfate"}}], of).cards:
        text = f"{card['summary']}\n{card['detail']}"
        names_oral_iron = ORAL_IRON.search(text.replace(ORAL_ALLERGY, "")) is not None
        assert ORAL_ALLERGY in text or not names_oral_iron, text


@quick
@given(record=RECORDS, of=PATIENTS, days=st.integers(0, LAST_UNRELIABLE_DAY))
@example(record=["RLS", {"takes": {"drug": "pramipexole", "since": "2024-01-01"}}], of={}, days=55)
@example(record=[{"takes": "sertraline"}, {"diagnosis": "N18.4"}], of={}, days=0)
@example(record=["RLS", {"diagnosis": "E83.110"}], of={}, days=55)
def test_no_test_is_suggested_while_iron_by_vein_falsifies_it(
    record: list[Fact], of: Json, days: int
) -> None:
    dose = {"given": {"drug": "ferric carboxymaltose", "date": TODAY - timedelta(days=days)}}
    for card in answer([*record, dose], of).cards:
        assert list(suggested_tests(card)) == []


@quick
@given(record=RECORDS, of=PATIENTS)
@example(record=["RLS", {"takes": {"drug": "pramipexole", "since": "2026-06-01"}}], of={})
@example(record=["RLS", {"takes": {"drug": "pramipexole", "since": "2026-06-01"}}, {"ferritin": 40}], of={})
def test_no_two_cards_suggest_the_same_test(record: list[Fact], of: Json) -> None:
    found = [test for card in answer(record, of).cards for test in suggested_tests(card)]
    assert len(found) == len(set(found))


@quick
@given(
    record=RECORDS,
    of=PATIENTS,
    code=st.sampled_from(OVERLOAD_ON_RECORD),
    status=st.sampled_from(["active", "inactive", "remission", "resolved"]),
)
@example(record=LOW, of={}, code="E83.110", status="remission")
def test_iron_overload_on_record_never_lets_a_card_offer_iron(
    record: list[Fact], of: Json, code: str, status: str
) -> None:
    reply = answer([*record, {"diagnosis": {"code": code, "status": status}}], of)
    cards = {card["source"]["topic"]["code"] for card in reply.cards}
    assert {name for name in cards if name.startswith("IRON")} <= {"IRON14"}
