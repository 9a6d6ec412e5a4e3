"""Runs the scenario files: over HTTP for what a clinician sees, on the use case for the factors behind it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds_service.assess import Answer, RequiredDataMissing
from cds_service.clinical.assessment import Assessment, CardDecision
from cds_service.clinical.facts import Presence
from tests.builders import FHIR_SERVER, SHAPES, Json, hook_request, prefetch
from tests.harness import Reply, Service

FOLDER = Path(__file__).parent
LONGEST_SUMMARY = 139
MOST_CARDS = 2
ORDER_CODES = {"2276-4": "ferritin", "50190-8": "iron panel", "1988-5": "CRP"}
NOT_CHECKED_WORDS = {
    "current iron": "current iron",
    "iron overload": "overload",
    "pregnancy": "pregnancy",
    "kidney failure": "kidney failure",
    "iron allergy": "allergy",
}
SOURCE = ("RLS iron assessment (AASM 2025)", "https://doi.org/10.5664/jcsm.11390")
FAR_ZONES = ("America/New_York", "Pacific/Kiritimati")

EXACT_FACTORS = frozenset(
    {
        "rls.diagnosis",
        "rls.plmd",
        "iron.low",
        "iron.borderline",
        "iron.adequate",
        "iron.discordant",
        "iron.low.esrd",
        "tsat.low",
        "ferritin.inflamed",
        "iron.overload",
        "iron.oral",
        "iron.iv",
        "drug.ssri",
        "drug.snri",
        "drug.nassa",
        "drug.tca",
        "drug.antihistamine_sedating",
        "drug.antipsychotic_typical",
        "drug.antipsychotic_atypical",
        "drug.da_antiemetic",
        "drug.dopaminergic",
        "drug.partial_agonist",
        "pregnancy",
        "kidney.disease",
        "kidney.esrd",
    },
)
"""The factors of which a scenario lists all that are present."""

SCENARIO_PARTS = frozenset(
    {"case", "title", "patient", "record", "sends", "sends only", "shape", "screening", "expect", "explains"},
)
EXPECT_PARTS = frozenset({"answer", "rls", "factors", "not present", "absent", "unknown", "cards"})
CARD_PARTS = frozenset(
    {"indicator", "starts", "shows", "hides", "suggests", "lines", "not checked", "not checked includes"},
)


@dataclass(frozen=True)
class Scenario:
    """One case of a file."""

    case: str
    title: str
    file: str
    is_screening_on: bool
    body: Json
    expect: Mapping[str, Any]

    @property
    def status(self) -> int:
        """The HTTP status that is expected."""
        return int(self.expect.get("answer", 200))

    @property
    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """The cards that are expected, in order, by key."""
        listed = self.expect.get("cards", "none")
        return {} if listed == "none" else {key: wanted or {} for key, wanted in listed.items()}

    def __str__(self) -> str:
        """Return the id of the test."""
        return f"{self.case} {self.title}"


@dataclass
class Findings:
    """What differs from the expected answer; all of it is told at once."""

    scenario: Scenario
    differences: list[str] = field(default_factory=list)

    def check(self, what: str, wanted: object, got: object) -> None:
        """Note a difference between two values."""
        if wanted != got:
            self.differences.append(f"{what}: expected {wanted!r}, got {got!r}")

    def need(self, is_met: bool, what: str) -> None:
        """Note something that is not as it must be."""
        if not is_met:
            self.differences.append(what)

    def report(self, context: str = "") -> None:
        """Fail with everything that was noted."""
        if self.differences:
            told = "\n  - ".join(self.differences)
            pytest.fail(f"case {self.scenario} ({self.scenario.file})\n  - {told}\n{context}", pytrace=False)


def load_scenarios() -> list[Scenario]:
    """Return the scenarios of all files, in the order of the files."""
    return [
        _scenario(entry, str(path.relative_to(FOLDER)))
        for path in sorted(FOLDER.glob("*/*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def _scenario(entry: Mapping[str, Any], file: str) -> Scenario:
    _refuse_unknown(entry, SCENARIO_PARTS, entry)
    _refuse_unknown(entry["expect"], EXPECT_PARTS, entry)
    prefetched = prefetch(
        entry["record"],
        of=entry.get("patient"),
        sends=entry.get("sends"),
        sends_only=entry.get("sends only"),
    )
    shapes = entry.get("shape", [])
    for shape in shapes:
        prefetched = SHAPES[shape](prefetched)
    members = {"fhirServer": FHIR_SERVER} if "absolute references" in shapes else {}
    scenario = Scenario(
        case=str(entry["case"]),
        title=entry["title"],
        file=file,
        is_screening_on=bool(entry.get("screening", True)),
        body=hook_request(prefetched or None, **members),
        expect=entry["expect"],
    )
    for wanted in scenario.cards.values():
        _refuse_unknown(wanted, CARD_PARTS, entry)
    return scenario


def _refuse_unknown(part: Mapping[str, Any], known: frozenset[str], entry: Mapping[str, Any]) -> None:
    if unknown := set(part) - known:
        message = f"case {entry['case']} has parts that nobody reads: {sorted(unknown)}"
        raise ValueError(message)


SCENARIOS = load_scenarios()
SCENARIO = pytest.mark.parametrize("scenario", SCENARIOS, ids=str)


def test_every_case_has_its_own_number() -> None:
    numbers = [scenario.case for scenario in SCENARIOS]
    assert len(set(numbers)) == len(numbers)


def test_all_worked_cases_without_an_order_hook_are_here() -> None:
    needs_an_order_hook = set(range(87, 93))
    named = {int(scenario.case.rstrip("abcd")) for scenario in SCENARIOS if scenario.case[0].isdigit()}
    assert named == set(range(1, 151)) - needs_an_order_hook


@SCENARIO
def test_what_the_clinician_sees(scenario: Scenario, services: Callable[..., Service]) -> None:
    reply = services("UTC", is_screening_on=scenario.is_screening_on).call(scenario.body)
    findings = Findings(scenario)
    _check_reply(findings, reply)
    findings.report(_shown(reply))


# Which lines run is known from the same patients at home.
@pytest.mark.no_cover
@SCENARIO
def test_the_same_in_a_far_zone(scenario: Scenario, services: Callable[..., Service]) -> None:
    at_home = _at_home(scenario, services)
    for zone in FAR_ZONES:
        reply = services(zone, is_screening_on=scenario.is_screening_on).call(scenario.body)
        assert (zone, reply.status) == (zone, at_home.status)
        assert (zone, reply.raw) == (zone, at_home.raw)


def _at_home(scenario: Scenario, services: Callable[..., Service]) -> Reply:
    return services("UTC", is_screening_on=scenario.is_screening_on).call(scenario.body)


@pytest.mark.parametrize("variable", FAR_ZONES)
def test_the_zone_of_the_machine_does_not_matter(
    variable: str, services: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [_at_home(scenario, services).raw for scenario in SCENARIOS[::10]]
    try:
        monkeypatch.setitem(os.environ, "TZ", variable)
        time.tzset()
        assert [_at_home(scenario, services).raw for scenario in SCENARIOS[::10]] == before
    finally:
        monkeypatch.undo()
        time.tzset()


@SCENARIO
def test_the_factors_behind_it(scenario: Scenario, services: Callable[..., Service]) -> None:
    service = services("UTC", is_screening_on=scenario.is_screening_on)
    try:
        answer = service.view(scenario.body)
    except RequiredDataMissing as missing:
        answer = missing.answer
    findings = Findings(scenario)
    _check_assessment(findings, answer.assessment)
    findings.report(_explained(answer))


# ------------------------------------------------------------------------------------------- over HTTP
def _check_reply(findings: Findings, reply: Reply) -> None:
    scenario = findings.scenario
    findings.check("status", scenario.status, reply.status)
    if reply.status != 200:
        findings.check("error body", "OperationOutcome", reply.body.get("resourceType"))
        findings.need("cards" not in reply.body, "an error carries cards")
        return
    wanted = [key.replace("-", "") for key in scenario.cards]
    findings.check("cards", wanted, [card["source"]["topic"]["code"] for card in reply.cards])
    findings.need(len(reply.cards) <= MOST_CARDS, "more than two cards")
    uuids = {card["uuid"] for card in reply.cards}
    findings.check("distinct uuids", len(reply.cards), len(uuids))
    for (key, expected), card in zip(scenario.cards.items(), reply.cards, strict=False):
        _check_card(findings, key, expected, card)


def _check_card(findings: Findings, key: str, expected: Mapping[str, Any], card: Json) -> None:
    summary, detail = card["summary"], card["detail"]
    text = f"{summary}\n{detail}"
    if "indicator" in expected:
        findings.check(f"{key} indicator", expected["indicator"], card["indicator"])
    if "starts" in expected:
        starts = tuple(expected["starts"].split("|"))
        findings.need(summary.startswith(starts), f"{key} summary must begin with {starts}: {summary!r}")
    for part in expected.get("shows", []):
        findings.need(_holds(text, part), f"{key} must show {part!r}")
    for part in expected.get("hides", []):
        findings.need(not _holds(text, part), f"{key} must not show {part!r}")
    if "suggests" in expected:
        wanted = [] if expected["suggests"] == "none" else expected["suggests"]
        findings.check(f"{key} suggests", sorted(wanted), sorted(_ordered(card)))
    findings.need(len(summary.encode("utf-16-le")) // 2 <= LONGEST_SUMMARY, f"{key} summary is too long")
    has_prefix = summary.startswith("If restless legs: ")
    findings.check(f"{key} prefix", _is_rls_unknown(findings.scenario), has_prefix)
    _check_not_checked_line(findings, key, expected, detail)
    _check_frame(findings, key, card)


def _check_frame(findings: Findings, key: str, card: Json) -> None:
    """Check what every card has in common: source, override reasons, links, suggestions."""
    findings.check(f"{key} source", SOURCE, (card["source"]["label"], card["source"]["url"]))
    findings.need(all(reason["display"] for reason in card["overrideReasons"]), f"{key} reason without words")
    secure = all(link["url"].startswith("https://") for link in card.get("links", []))
    findings.need(secure, f"{key} has a link that is not https")
    suggestions = card.get("suggestions", [])
    findings.check(f"{key} selectionBehavior", "any" if suggestions else None, card.get("selectionBehavior"))
    for suggestion in suggestions:
        order = suggestion["actions"][0]["resource"]
        findings.check(f"{key} actions of a suggestion", 1, len(suggestion["actions"]))
        got = (order["resourceType"], order["status"], order["intent"])
        findings.check(f"{key} order", ("ServiceRequest", "draft", "proposal"), got)


def _holds(text: str, part: str) -> bool:
    return any(alternative in text for alternative in part.split("|"))


def _is_rls_unknown(scenario: Scenario) -> bool:
    return scenario.expect.get("rls") == "unknown"


def _ordered(card: Json) -> Iterator[str]:
    for suggestion in card.get("suggestions", []):
        for action in suggestion["actions"]:
            codes = [coding["code"] for coding in action["resource"]["code"]["coding"]]
            yield next((ORDER_CODES[code] for code in codes if code in ORDER_CODES), f"unknown {codes}")


def _check_not_checked_line(findings: Findings, key: str, expected: Mapping[str, Any], detail: str) -> None:
    line = next((line for line in detail.splitlines() if "Not checked" in line), "")
    wanted = expected.get("not checked", expected.get("not checked includes"))
    if not wanted:
        may_have_one = "not checked includes" in expected
        findings.need(may_have_one or not line, f"{key} must have no 'Not checked' line: {line!r}")
        return
    for item in wanted:
        findings.need(NOT_CHECKED_WORDS[item] in line, f"{key} must name {item!r} as not checked: {line!r}")


# --------------------------------------------------------------------------------------- the use case
def _check_assessment(findings: Findings, assessment: Assessment) -> None:
    expect = findings.scenario.expect
    if "rls" in expect:
        findings.check("RLS status", expect["rls"], assessment.rls.value)
    by_presence = {
        presence: {factor.id for factor in assessment.factors if factor.presence is presence}
        for presence in Presence
    }
    present = by_presence[Presence.PRESENT]
    if "factors" in expect:
        wanted = set(expect["factors"])
        findings.check("factors not found", [], sorted(wanted - present))
        findings.check("factors too many", [], sorted((present - wanted) & EXACT_FACTORS))
    for factor in expect.get("not present", []):
        findings.need(factor not in present, f"{factor} must not be present")
    for factor in expect.get("absent", []):
        findings.need(factor in by_presence[Presence.ABSENT], f"{factor} must be absent")
    for factor in expect.get("unknown", []):
        findings.need(factor in by_presence[Presence.UNKNOWN], f"{factor} must be unknown")
    if findings.scenario.status == 200:
        for card in assessment.cards:
            _check_decision(findings, card)


def _check_decision(findings: Findings, card: CardDecision) -> None:
    key = card.key.value
    expected = findings.scenario.cards.get(key)
    if expected is None:
        findings.need(False, f"{key} was not expected")
        return
    lines = {line.line.value for line in card.lines}
    findings.check(f"{key} lines missing", [], sorted(set(expected.get("lines", [])) - lines))
    got = {item.value for item in card.not_checked}
    if "not checked includes" in expected:
        missing = set(expected["not checked includes"]) - got
        findings.check(f"{key} not checked, missing of {sorted(got)}", [], sorted(missing))
    else:
        findings.check(f"{key} not checked", sorted(expected.get("not checked", [])), sorted(got))


# ----------------------------------------------------------------------------------- readable failures
def _shown(reply: Reply) -> str:
    if reply.status != 200:
        return f"answer {reply.status}: {reply.body}"
    told = [f"[{card['indicator']}] {card['summary']}\n{card['detail']}" for card in reply.cards]
    return "\n\n".join(["shown:", *told]) if told else "shown: no card"


def _explained(answer: Answer) -> str:
    present = [
        f"{factor.id}: {', '.join(evidence.text for evidence in factor.evidence)}"
        for factor in answer.assessment.factors
        if factor.presence is Presence.PRESENT
    ]
    withheld = [f"{one.key.value}: {one.reason}" for one in answer.assessment.withheld]
    return "\n  ".join(["present:", *present, "not shown:", *withheld])
