"""The knowledge lint finds what it says it finds: every check is fed something broken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical.assessment import CardKey
from cds_service.knowledge import Check, Citation, Knowledge, load
from cds_service.knowledge.lint import _VERHOEFF_MULTIPLY as VERHOEFF_PRODUCTS
from cds_service.knowledge.lint import _VERHOEFF_PERMUTE as VERHOEFF_POWERS
from cds_service.knowledge.lint import ALLOWED_OVERLAPS, is_loinc, is_snomed, lint

LOINC = "http://loinc.org"
SNOMED_CT = "http://snomed.info/sct"


@dataclass(frozen=True)
class Codes:
    """Stands in for the terminology, of which the lint reads the codes by group only."""

    codes: Mapping[str, tuple[tuple[str, str], ...]]


def broken(**changes: Any) -> list[str]:
    return [str(problem) for problem in lint(replace(load(), **changes))]


def with_codes(**groups: tuple[tuple[str, str], ...]) -> list[str]:
    return broken(terminology=Codes({**load().terminology.codes, **groups}))


def test_the_packaged_knowledge_has_no_problem() -> None:
    assert [str(p) for p in lint(load(), [key.value for key in CardKey])] == []


@pytest.mark.parametrize("code", ["2276-4", "50190-8", "1988-5", "82810-3"])
def test_real_loinc_codes_pass(code: str) -> None:
    assert is_loinc(code)


@pytest.mark.parametrize("code", ["2276-5", "2276", "-4", "2276-44", "22a6-4", "2276-x", ""])
def test_other_texts_are_no_loinc_codes(code: str) -> None:
    assert not is_loinc(code)


@pytest.mark.parametrize("code", ["32914008", "1511000119107", "77386006"])
def test_real_snomed_codes_pass(code: str) -> None:
    assert is_snomed(code)


# The check digit of all of these is right: what is wrong with the last two is their length.
@pytest.mark.parametrize(
    ("code", "is_one"),
    [
        ("111115", True),
        ("111111111111111118", True),
        ("11117", False),
        ("1111111111111111110", False),
    ],
)
def test_a_snomed_code_has_6_to_18_digits(code: str, *, is_one: bool) -> None:
    assert is_snomed(code) is is_one


def test_the_check_digit_of_snomed_is_that_of_verhoeff() -> None:
    """The products of the symmetries of a pentagon, and the powers of one permutation."""

    def turned(one: int, other: int) -> int:
        # 0 to 4 are turns, 5 to 9 reflections; after a reflection the other one turns backwards.
        is_mirrored = (one >= 5) is not (other >= 5)
        return (one - other if one >= 5 else one + other) % 5 + 5 * is_mirrored

    digits = range(10)
    assert tuple(tuple(turned(one, other) for other in digits) for one in digits) == VERHOEFF_PRODUCTS
    powers = [tuple(digits)]
    while len(powers) < 8:
        powers.append(tuple(VERHOEFF_POWERS[1][digit] for digit in powers[-1]))
    assert tuple(powers) == VERHOEFF_POWERS
    assert VERHOEFF_POWERS[1] == (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


@pytest.mark.parametrize("code", ["32914009", "329140", "3291400a", "1" * 19, ""])
def test_other_texts_are_no_snomed_codes(code: str) -> None:
    assert not is_snomed(code)


@given(st.sampled_from(["2276-4", "20567-4", "14723-1", "50190-8"]), st.data())
def test_one_changed_digit_of_a_loinc_code_is_noticed(code: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([i for i, c in enumerate(code) if c.isdigit()]))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != code[place]]))
    assert not is_loinc(code[:place] + digit + code[place + 1 :])


@given(st.sampled_from(["32914008", "1052284009", "399187006"]), st.data())
def test_one_changed_digit_of_a_snomed_code_is_noticed(code: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(code) - 1))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != code[place]]))
    assert not is_snomed(code[:place] + digit + code[place + 1 :])


def test_a_wrong_check_digit_in_a_group_is_found() -> None:
    assert "group x: code 2276-5 has a wrong check digit" in with_codes(x=((LOINC, "2276-5"),))
    assert "group x: code 32914009 has a wrong check digit" in with_codes(x=((SNOMED_CT, "32914009"),))


@pytest.mark.parametrize(
    ("system", "good", "bad"),
    [
        (
            "http://hl7.org/fhir/sid/icd-10-cm",
            ["O", "D50", "G25.81", "O99.350"],
            ["25.81", "G2581", "G25.", "g25"],
        ),
        (
            "http://www.nlm.nih.gov/research/umls/rxnorm",
            ["704", "2119365"],
            ["0704", "36437x", "123456789", ""],
        ),
        ("http://www.whocc.no/atc", ["N06AB06"], ["N06AB", "N06AB061", "n06ab06"]),
    ],
)
def test_a_code_without_the_form_of_its_system_is_found(system: str, good: list[str], bad: list[str]) -> None:
    def said(code: str) -> bool:
        return f"group x: code {code} has not the form of its code system" in with_codes(x=((system, code),))

    assert [code for code in good if said(code)] == []
    assert [code for code in bad if not said(code)] == []


def test_a_code_in_two_groups_is_found() -> None:
    assert "code 2276-4: stands in ferritin and in x" in with_codes(x=((LOINC, "2276-4"),))


def test_every_allowed_overlap_is_one() -> None:
    """An allowance that no code needs would hide the first code that does."""
    codes = load().terminology.codes
    shared = {frozenset(pair) for pair in combinations(codes, 2) if set(codes[pair[0]]) & set(codes[pair[1]])}
    assert shared == ALLOWED_OVERLAPS


def changed(knowledge: Knowledge, table: str, key: str, **fields: Any) -> dict[str, Any]:
    entries = dict(getattr(knowledge, table))
    entries[key] = replace(entries[key], **fields)
    return {table: entries}


NOT_LOCAL = "may be set by a site, but is no project rule in days within its range"
CASES: list[tuple[Callable[[Knowledge], dict[str, Any]], str]] = [
    (
        lambda k: changed(k, "rules", "IRON-03", citations=("NOWHERE",)),
        "rule IRON-03: cites NOWHERE, which does not exist",
    ),
    (
        lambda k: changed(k, "thresholds", "tsat.low", citations=()),
        "threshold tsat.low: is marked V1 and cites nothing",
    ),
    (
        lambda k: changed(k, "factors", "pregnancy", check=Check.P),
        "factor pregnancy: is a project rule and cites a source",
    ),
    (
        lambda k: {"citations": {**k.citations, "NEW": Citation("NEW", "A paper", "https://example.org")}},
        "citation NEW: is cited by nothing",
    ),
    (
        lambda k: changed(k, "citations", "AASM25", url="http://doi.org/10.5664/jcsm.11390"),
        "citation AASM25: has no https address",
    ),
    (
        lambda k: changed(k, "thresholds", "tsat.low", valid_from=date(2099, 1, 1)),
        "threshold tsat.low: applies from a day after the date of the knowledge base",
    ),
    (
        lambda k: changed(k, "thresholds", "tsat.low", value=Decimal(0)),
        "threshold tsat.low: is not above zero",
    ),
    (
        lambda k: changed(k, "thresholds", "window.result", local=(0, 730)),
        f"threshold window.result: {NOT_LOCAL}",
    ),
    (
        lambda k: changed(k, "thresholds", "window.result", local=(366, 730)),
        f"threshold window.result: {NOT_LOCAL}",
    ),
    (
        lambda k: changed(k, "thresholds", "window.result", local=(90, 364)),
        f"threshold window.result: {NOT_LOCAL}",
    ),
    (
        lambda k: changed(k, "drug_classes", "SSRI", check=Check.P),
        "drug class SSRI: is a project rule and cites a source",
    ),
    (
        lambda k: changed(k, "factors", "stroke", check=Check.V2, citations=()),
        "factor stroke: is marked V2 and cites nothing",
    ),
    (
        lambda k: changed(k, "factors", "stroke", look_backs=("nothing",)),
        "factor stroke: names the look-back nothing, which does not exist",
    ),
    (
        lambda k: changed(k, "factors", "stroke", groups=frozenset({"nothing"})),
        "factor stroke: names the group nothing, which has no code",
    ),
    (
        lambda k: changed(k, "factors", "drug.ssri", drug_groups=frozenset({"nothing"})),
        "factor drug.ssri: names the drug group nothing, which has no ingredient",
    ),
    (
        lambda k: changed(k, "factors", "rls.drug_proxy", ingredients=frozenset({"nothing"})),
        "factor rls.drug_proxy: names the ingredient nothing, which does not exist",
    ),
    (
        lambda k: changed(k, "drug_classes", "SSRI", group="nothing"),
        "drug class nothing: has no ingredient",
    ),
    (
        lambda k: changed(k, "drug_classes", "SSRI", factor_id="nothing"),
        "drug class SSRI: names the factor nothing",
    ),
]


@pytest.mark.parametrize(("breaks", "finding"), CASES, ids=[finding for _, finding in CASES])
def test_a_broken_entry_is_found(breaks: Callable[[Knowledge], dict[str, Any]], finding: str) -> None:
    assert finding in broken(**breaks(load()))


@pytest.mark.parametrize(
    "fields",
    [
        {"local": (1, 365), "value": Decimal(365)},
        {"local": (1, 365), "value": Decimal(1)},
        {"valid_from": load().date},
    ],
)
def test_an_entry_at_the_edge_of_what_is_allowed_is_no_problem(fields: dict[str, Any]) -> None:
    assert broken(**changed(load(), "thresholds", "window.result", **fields)) == []


def test_a_card_without_a_rule_is_found() -> None:
    assert [str(p) for p in lint(load(), ["IRON-99"])] == ["rule IRON-99: is missing"]
