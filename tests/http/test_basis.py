"""The public basis over the wire: every page is there and says what the knowledge files say."""

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from cds_service.adapters.clock import FixedClock
from cds_service.adapters.metrics import InProcessMetrics
from cds_service.app import build_assess, create_app
from cds_service.basis import Library
from cds_service.clinical.assessment import CardKey
from cds_service.knowledge import FactorDefinition, Threshold, load
from cds_service.knowledge.basis import basis_of
from cds_service.settings import Settings
from cds_service.web import basis as web_basis
from cds_service.web.basis import basis_blueprint
from cds_service.web.html import STYLE
from cds_service.web.pages import pages_blueprint
from tests.builders import SERVICE, TODAY, hook_request, prefetch
from tests.http.conftest import FakeAssess, Web
from tests.http.requests import check_headers, holds_nothing_empty, outcome

KNOWLEDGE = load()
BASIS = basis_of(KNOWLEDGE)
PAGES = ["", "factors", "source-attributes", *(key.topic_code for key in CardKey)]
EACH_PAGE = pytest.mark.parametrize("name", PAGES)
EACH_CARD = pytest.mark.parametrize("key", list(CardKey), ids=str)
BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
AWAITS = "awaiting clinical review"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """One application for all tests of this file: each page is drawn once."""
    assess, metrics = FakeAssess(), InProcessMetrics()
    yield Web(create_app(Settings(), assess=assess, metrics=metrics).test_client(), assess, metrics)
    assert assess.calls == []


class Outline(HTMLParser):
    """What a reader, a screen reader and a browser meet on a page."""

    def __init__(self, html: str) -> None:
        """Read the whole page."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag with its attributes."""
        self.tags.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        """Note text that is shown."""
        if not self._in_style:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The words of the page on one line."""
        return " ".join(" ".join(self.words).split())

    def all(self, *names: str) -> list[str]:
        """The tags of these names, in order."""
        return [tag for tag, _ in self.tags if tag in names]

    def links(self) -> set[str]:
        """Every address that the page names."""
        return {
            str(attrs[name]) for _, attrs in self.tags for name in ("href", "src", "action") if name in attrs
        }


def get(web: Web, name: str) -> Outline:
    response = web.client.get(f"/basis/{name}" if name else "/basis", headers=BROWSER)
    assert response.status_code == 200
    return Outline(response.text)


def flat(text: str) -> str:
    return " ".join(text.split())


# ------------------------------------------------------------------------------------- every page
@EACH_PAGE
def test_a_page_is_whole_and_brings_nothing_along(web: Web, name: str) -> None:
    response = web.client.get(f"/basis/{name}" if name else "/basis")
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    check_headers(response)
    check_policy(response)
    page = Outline(response.text)
    assert dict(page.tags)["html"]["lang"] == "en"
    for single in ("title", "h1", "main", "header", "nav", "footer"):
        assert len(page.all(single)) == 1, single
    assert not page.all("script", "img", "link", "iframe", "form", "object", "svg")
    assert not [attrs for _, attrs in page.tags if "style" in attrs or any(n.startswith("on") for n in attrs)]
    outside = {address for address in page.links() if "://" in address}
    assert outside <= {citation.url for citation in KNOWLEDGE.citations.values()}


def check_policy(response: TestResponse) -> None:
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert f"<style>{STYLE}</style>" in response.text


@EACH_PAGE
def test_headings_go_down_one_level_at_a_time(web: Web, name: str) -> None:
    levels = [int(tag[1]) for tag in get(web, name).all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


@EACH_PAGE
def test_every_name_within_a_page_is_there_once(web: Web, name: str) -> None:
    page = get(web, name)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {attrs[key] for _, attrs in page.tags for key in ("aria-labelledby",) if key in attrs}
    inside = {address[1:] for address in page.links() if address.startswith("#")}
    assert named | inside <= set(ids)


@EACH_PAGE
def test_a_page_states_use_version_and_contact(web: Web, name: str) -> None:
    text = get(web, name).text
    for said in (
        "For clinicians, who decide",
        "Not clinically validated, not CE marked",
        "has not been clinically validated",
        "Never send data of a patient",
        f"Knowledge {KNOWLEDGE.version} of {KNOWLEDGE.date}",
        KNOWLEDGE.hash,
    ):
        assert said in text, said


@pytest.mark.parametrize("name", ["IRON03", "", "source-attributes"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_links_within_the_basis_lead_somewhere(web: Web, name: str, slash: str) -> None:
    address = f"/basis/{name}".rstrip("/") + slash
    page = Outline(web.client.get(address, headers=BROWSER).text)
    inside = [link for link in page.links() if "://" not in link and not link.startswith("#")]
    assert len(inside) >= 4
    for link in inside:
        # A browser resolves a relative address against the folder of the page.
        parts = address.rsplit("/", 1)[0].split("/")
        for step in link.split("/"):
            if step == "..":
                parts.pop()
            elif step not in {"", "."}:
                parts.append(step)
        found = web.client.get("/".join(parts) or "/", headers=BROWSER)
        assert found.status_code == 200, (link, parts)


# ------------------------------------------------------------------------------------- the cards
def test_the_link_on_a_card_leads_to_its_page() -> None:
    settings = Settings(public_url="https://cds.example.org/rls")
    assess = build_assess(settings, clock=FixedClock(ZoneInfo("UTC"), TODAY))
    client = create_app(Settings(), assess=assess).test_client()
    body = hook_request(prefetch(["RLS", {"ferritin": 40}, {"takes": {"drug": "sertraline"}}]))
    cards = client.post(SERVICE, json=body).get_json()["cards"]
    urls = [card["links"][-1]["url"] for card in cards]
    assert urls == ["https://cds.example.org/rls/basis/IRON03", "https://cds.example.org/rls/basis/DRUG01"]
    for url in urls:
        assert client.get(url.removeprefix("https://cds.example.org/rls")).status_code == 200


def test_what_stands_in_the_knowledge_files_is_text_and_never_markup() -> None:
    rules = {**KNOWLEDGE.rules, "IRON-03": replace(KNOWLEDGE.rules["IRON-03"], text="<b>75</b> & more")}
    app = Flask("pages")
    app.register_blueprint(basis_blueprint(replace(KNOWLEDGE, rules=rules)))
    app.register_blueprint(pages_blueprint({}))
    html = app.test_client().get("/basis/IRON03").text
    assert "&lt;b&gt;75&lt;/b&gt; &amp; more" in html
    assert "<b>" not in html


def test_a_page_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    draw = web_basis._draw

    def noted(library: Library, name: str, root: str) -> str | None:
        drawn.append(name)
        return draw(library, name, root)

    monkeypatch.setattr(web_basis, "_draw", noted)
    client = create_app(Settings()).test_client()
    first, second = (client.get("/basis/IRON03").data for _ in range(2))
    assert first == second
    assert drawn == ["IRON03"]


@EACH_CARD
def test_a_card_is_found_by_its_key_and_by_its_code(web: Web, key: CardKey) -> None:
    by_code, by_key = (web.client.get(f"/basis/{name}").data for name in (key.topic_code, key.value))
    assert by_code == by_key


@EACH_CARD
def test_the_page_of_a_card_says_what_the_knowledge_files_say(web: Web, key: CardKey) -> None:
    page = get(web, key.topic_code)
    rule, card = KNOWLEDGE.rules[key], BASIS.cards[key]
    wanted = [rule.text, card.urgency, *card.conditions, *card.notes]
    wanted += [*card.silences, *card.missing, *card.not_considered, *card.inputs]
    wanted += [KNOWLEDGE.rules[name].text for name in card.rules]
    for limit in (KNOWLEDGE.thresholds[name] for name in card.limits):
        wanted += [limit.words, limit.text, limit.id, limit.valid_from.isoformat()]
    for one in BASIS.statements_of(key):
        wanted += [one.text, one.strength, one.certainty]
    for change in BASIS.changes_of(key):
        wanted += [change.text, change.day.isoformat(), change.version]
    text = page.text
    assert [said for said in wanted if flat(said) not in text] == []
    cited = {*rule.citations, *(c for one in BASIS.statements_of(key) for c in one.citations)}
    cited |= {c for name in card.limits for c in KNOWLEDGE.thresholds[name].citations}
    assert {KNOWLEDGE.citations[name].url for name in cited} <= page.links()


@EACH_CARD
def test_what_awaits_review_is_marked_on_the_page_of_a_card(web: Web, key: CardKey) -> None:
    html = web.client.get(f"/basis/{key}").text
    marked = len(re.findall(rf'<span class="awaits">{AWAITS}: ', html))
    shown = [KNOWLEDGE.rules[key].check, *(KNOWLEDGE.rules[name].check for name in BASIS.cards[key].rules)]
    shown += [KNOWLEDGE.thresholds[name].check for name in BASIS.cards[key].limits]
    shown += [one.check for one in BASIS.statements_of(key)]
    if key is CardKey.SCREEN_01:
        shown += [factor.check for factor in KNOWLEDGE.factors.values() if factor.is_opening]
    if key is CardKey.DRUG_01:
        shown += [found.check for found in KNOWLEDGE.drug_classes.values() if found.is_flagged]
    if key is CardKey.DA_01:
        shown += [KNOWLEDGE.drug_classes[group].check for group in ("RLS_DA", "RLS_LEVODOPA")]
    assert marked == sum(check in {"V2", "M"} for check in shown)


def test_the_card_page_by_hand(web: Web) -> None:
    text = get(web, "IRON05").text
    for said in (
        "IRON-05: Ferritin 75 to 100 ng/mL",
        "Adults: between 75 and 100 ng/mL iron by vein only",
        "at most 365 days old, is certainly above 75 ng/mL and at or below 100 ng/mL.",
        "awaiting clinical review: read in a secondary source only",
        "by vein, in adults with appropriate iron status: suggested for strong moderate",
        "Winkelman JW, Berkowski JA, DelRosso LM",
    ):
        assert said in text, said
    drug = get(web, "DRUG-01").text
    assert "sertraline" in drug
    assert "mirtazapine" in drug
    assert "no published source gives them" in get(web, "GATE01").text


def test_the_index_leads_to_every_card_and_counts_what_awaits_review(web: Web) -> None:
    page = get(web, "")
    assert {f"basis/{key.topic_code}" for key in CardKey} <= page.links()
    awaiting = sum(rule.awaits_review for rule in KNOWLEDGE.rules.values())
    assert f"{awaiting} rules" in page.text
    assert [limit.id for limit in KNOWLEDGE.thresholds.values() if limit.id not in page.text] == []


def test_every_factor_stands_on_its_page(web: Web) -> None:
    text = get(web, "factors").text
    assert [f.id for f in KNOWLEDGE.factors.values() if flat(f.line) not in text] == []


def test_every_factor_says_what_can_be_done_how_it_is_found_and_how_far_back(web: Web) -> None:
    rows = re.findall(r'<tr role="row">(.*?)</tr>', web.client.get("/basis/factors").text, re.DOTALL)
    told = [flat(re.sub(r"<[^>]+>", " ", html.unescape(row))) for row in rows]
    missing = [
        f.id
        for f in KNOWLEDGE.factors.values()
        if not any(
            row.startswith(flat(f"{f.name} {f.action} {f.detected}"))
            and all(flat(f"{limit.words}: {limit.text}") in row for limit in look_backs(f))
            and row.endswith("none") is not bool(f.look_backs)
            for row in told
        )
    ]
    assert missing == []


def look_backs(factor: FactorDefinition) -> list[Threshold]:
    return [KNOWLEDGE.thresholds[i] for i in factor.look_backs]


def test_the_tables_of_the_factors_have_headings_captions_and_row_headers(web: Web) -> None:
    text = web.client.get("/basis/factors").text
    headings = re.findall(r'<h2 id="(\w+)">', text)
    regions = re.findall(r'role="region" aria-labelledby="(\w+)" tabindex="0"', text)
    assert headings[:3] == regions == ["factors", "detection", "medicines"]
    assert text.count("<caption>") == len(regions)
    heads = re.findall(r"<thead.*?</thead>", text, re.DOTALL)
    bodies = re.findall(r"<tbody.*?</tbody>", text, re.DOTALL)
    for head, body in zip(heads, bodies, strict=True):
        labels = re.findall(r'scope="col" role="columnheader">(.*?)</th>', head)
        rows = body.count('<tr role="row">')
        assert body.count('<th scope="row" role="rowheader">') == rows
        assert re.findall(r'data-label="(.*?)"', body) == labels[1:] * rows


# -------------------------------------------------------------------------------- what is not there
@pytest.mark.parametrize("name", ["IRON-06", "iron03", "nothing", "unknown", "%3Cscript%3E", "a" * 3000])
def test_an_unknown_page_is_a_page_for_a_reader(web: Web, name: str) -> None:
    response = web.client.get(f"/basis/{name}", headers=BROWSER)
    assert response.status_code == 404
    check_policy(response)
    page = Outline(response.text)
    assert "The basis has no page of this name." in page.text
    assert "../basis" in page.links()
    assert "<script" not in response.text
    assert "aaaa" not in response.text


@pytest.mark.parametrize("accept", [{}, {"Accept": "application/json"}, {"Accept": "*/*"}])
def test_an_unknown_page_is_an_error_like_any_other_for_a_program(web: Web, accept: dict[str, str]) -> None:
    issues = outcome(web.client.get("/basis/nothing", headers=accept), 404)
    assert issues[0]["code"] == "not-found"


def test_a_page_below_a_page_is_not_there(web: Web) -> None:
    assert outcome(web.client.get("/basis/IRON03/more", headers=BROWSER), 404)


@pytest.mark.parametrize("path", ["/basis", "/basis/IRON03", "/basis/source-attributes.json"])
def test_a_page_is_only_to_be_read(web: Web, path: str) -> None:
    assert outcome(web.client.post(path, json={}), 405)
    head = web.client.head(path)
    assert (head.status_code, head.data) == (200, b"")


# ----------------------------------------------------------------------------- source attributes
def attributes(web: Web) -> Any:
    response = web.client.get("/basis/source-attributes.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    check_headers(response)
    return response.get_json()


def test_there_are_thirteen_source_attributes_and_none_is_empty(web: Web) -> None:
    told = attributes(web)
    assert holds_nothing_empty(told)
    assert [(one["number"], one.get("used")) for one in told["attributes"]] == [
        (1, None),
        (2, None),
        (3, None),
        (4, None),
        (5, False),
        (6, False),
        (7, False),
        (8, False),
        (9, False),
        (10, True),
        (11, True),
        (12, False),
        (13, True),
    ]
    for one in told["attributes"]:
        assert one["name"]
        assert all(text.strip() for text in one["text"])
        assert len(one["why"]) > 10


def test_the_attributes_are_those_of_the_rule(web: Web) -> None:
    names = [one["name"].lower() for one in attributes(web)["attributes"]]
    for name, word in zip(
        names,
        (
            "citation",
            "developer",
            "funding",
            "release and revision",
            "race",
            "ethnicity",
            "language",
            "sexual orientation",
            "gender identity",
            "sex",
            "date of birth",
            "social determinants",
            "health status",
        ),
        strict=True,
    ):
        assert word in name


def test_citations_and_dates_come_from_the_knowledge_files(web: Web) -> None:
    told = attributes(web)
    listed = "\n".join(told["attributes"][0]["text"])
    assert all(one.reference in listed and one.url in listed for one in KNOWLEDGE.citations.values())
    dates = "\n".join(told["attributes"][3]["text"])
    assert KNOWLEDGE.version in dates
    assert all(change.text in dates for change in BASIS.changes)
    assert told["knowledge"]["hash"] == KNOWLEDGE.hash


def test_the_page_of_the_attributes_says_the_same(web: Web) -> None:
    text = get(web, "source-attributes").text
    for one in attributes(web)["attributes"]:
        for said in (one["name"], *one["text"], one["why"]):
            assert flat(said) in re.sub(r"\s+([.,])", r"\1", text) or flat(said) in text, said


def test_the_contact_is_that_of_the_project(web: Web) -> None:
    security = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    assert "security advisories" in flat(security)
    assert "security advisories of the project's repository" in get(web, "").text
    notice = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
    assert "the rls-iron-cds contributors" in notice


def test_nothing_of_the_basis_or_of_explanations_is_loaded_by_a_start_and_a_call() -> None:
    script = """
import sys
from cds_service.app import build_assess, create_app
from cds_service.cli import main
from cds_service.settings import Settings
from cds_service.resources import fixtures_dir
body = (fixtures_dir() / "readme-patient" / "request.json").read_bytes()
assess = build_assess(Settings(public_url="https://cds.example.org"))
client = create_app(Settings(), assess=assess).test_client()
answer = client.post("/cds-services/rls-iron-assessment", data=body, content_type="application/json")
assert "/basis/" in answer.text, answer.text
late = ("cds_service.basis", "cds_service.explain", "cds_service.clinical.trace")
print(sorted(name for name in sys.modules if name.startswith(late)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")
