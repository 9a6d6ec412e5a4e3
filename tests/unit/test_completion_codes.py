"""A site's own codes in the searches by code."""

import pytest

from cds_service.clinical.facts import Analyte
from cds_service.completion import Completion, LocalCodes, complete, search, with_codes
from cds_service.knowledge import load
from cds_service.ports import Search
from cds_service.protocol.prefetch import PREFETCH_NEEDS
from cds_service.web.discovery import templates
from tests.unit.test_completion_releases import ACCESS, PATIENT, TYPES, Server, opened

LAB = "urn:oid:1.2.3.4"
TEMPLATES = templates(load())


def asked(local_codes: LocalCodes) -> dict[str, Search]:
    """Return the first searches that a site with these codes makes."""
    server = Server([PATIENT], TYPES, version="4.0.1")
    completion = Completion(server, TEMPLATES, local_codes)
    complete(opened(None), ACCESS, completion, budget_ms=2000, is_of_use=lambda _: False)
    return {one.key: one for one in server.rounds[0]}


def test_local_codes_stand_beside_those_of_loinc_in_the_search_for_their_analyte() -> None:
    local: LocalCodes = {
        Analyte.FERRITIN: ((LAB, "FER"), (LAB, "FER2")),
        Analyte.TSAT: ((LAB, "TSAT"),),
        Analyte.HAEMOGLOBIN: ((LAB, "HB"),),
    }
    searches = asked(local)
    changed = {key: one for key, one in searches.items() if one != search(key, TEMPLATES[key], "p1")}
    tails = {"ironResults": f",{LAB}|FER,{LAB}|FER2,{LAB}|TSAT", "contextResults": f",{LAB}|HB"}
    assert set(changed) == set(tails)
    for key, tail in tails.items():
        before = dict(search(key, TEMPLATES[key], "p1").parameters)
        assert dict(changed[key].parameters) == {**before, "code": before["code"] + tail}


def test_without_local_codes_the_searches_are_those_of_the_prefetch() -> None:
    assert asked({}) == {key: search(key, TEMPLATES[key], "p1") for key in PREFETCH_NEEDS}


def test_genes_are_never_asked_for() -> None:
    assert asked({Analyte.GENE: ((LAB, "X"),)}) == asked({})


@pytest.mark.parametrize("analyte", [one for one in Analyte if one is not Analyte.GENE])
def test_every_other_analyte_has_a_search(analyte: Analyte) -> None:
    codes = [dict(one.parameters).get("code", "") for one in asked({analyte: ((LAB, "X"),)}).values()]
    assert sum(code.endswith(f",{LAB}|X") for code in codes) == 1


@pytest.mark.parametrize(
    ("pair", "token"),
    [
        ((LAB, "FER"), f"{LAB}|FER"),
        (("", "FER"), "FER"),
        ((LAB, "A,B|C$D\\E"), f"{LAB}|A\\,B\\|C\\$D\\\\E"),
        (("a,b", "c"), "a\\,b|c"),
    ],
)
def test_a_code_is_escaped_as_a_search_value(pair: tuple[str, str], token: str) -> None:
    query = Search("k", "Observation", (("code", "x|1"), ("_count", "9")))
    assert with_codes(query, [pair]).parameters == (("code", f"x|1,{token}"), ("_count", "9"))


def test_a_search_without_codes_stays_as_it_is() -> None:
    query = Search("k", "Condition", (("patient", "p1"),))
    assert with_codes(query, [(LAB, "FER")]) == query
