"""What no card may say, and what some must: on stopping medicines (hazard log, docs/safety/hazards.toml)."""

import re
from collections.abc import Callable

import pytest

from cds_service.clinical.assessment import CardKey, Form
from tests.builders import hook_request, prefetch
from tests.harness import Service
from tests.unit.rendering_samples import all_forms, decision, render

# The only sentences on ending anything: caution, iron before a blood sample, iron in overload.
ON_STOPPING = re.compile(r"(?i)[^.;\n]*\b(?:stop|discontinu|withdraw|halt)[^.;\n]*")
ALLOWED = re.compile(
    r"(?i)never stop|do not stop or lower it suddenly|stop iron 24 hours before|ask the prescriber to stop it"
)


@pytest.mark.parametrize(("key", "form"), all_forms())
def test_no_card_says_to_stop_a_medicine(key: CardKey, form: Form) -> None:
    card = render(decision(key, form))
    said = ON_STOPPING.findall(f"{card.summary}\n{card.detail}")
    assert [sentence for sentence in said if not ALLOWED.search(sentence)] == []


@pytest.mark.parametrize(
    ("drug", "key", "said"),
    [
        ("sertraline", "DRUG01", "Never stop abruptly"),
        ("venlafaxine", "DRUG01", "Never stop abruptly"),
        ("mirtazapine", "DRUG01", "Never stop abruptly"),
        ("amitriptyline", "DRUG01", "Never stop abruptly"),
        ("quetiapine", "DRUG01", "Never stop abruptly"),
        ("lithium carbonate", "DRUG01", "Never stop abruptly"),
        ("pramipexole", "DA01", "Do not stop or lower it suddenly"),
        ("carbidopa-levodopa", "DA01", "Do not stop or lower it suddenly"),
    ],
)
def test_a_medicine_that_must_not_end_suddenly_says_so(
    services: Callable[..., Service], drug: str, key: str, said: str
) -> None:
    record = ["RLS", {"ferritin": 120}, {"TSAT": 30}, {"takes": {"text": drug}}]
    (card,) = services("UTC").call(hook_request(prefetch(record))).cards
    assert card["source"]["topic"]["code"] == key
    assert said in card["detail"]


def test_a_gate_warns_too(services: Callable[..., Service]) -> None:
    (card,) = (
        services("UTC").call(hook_request(prefetch([{"takes": "pramipexole"}, {"ferritin": 120}]))).cards
    )
    assert card["source"]["topic"]["code"] == "GATE01"
    assert "Never stop a dopaminergic medicine suddenly" in card["detail"]
