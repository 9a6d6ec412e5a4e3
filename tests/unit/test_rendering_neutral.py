"""Hostile text from a record stays text: on its own, and on every card that shows it."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cds_service.clinical.assessment import CardKey, DetailLine, Form, Line
from cds_service.rendering.neutral import ELLIPSIS, UNSHOWABLE, markdown, plain, shortened, utf16_length
from tests.unit.rendering_samples import decision, drug, library, render, values_of

GFM = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

# What GitHub-Flavored Markdown makes a link without any mark-up around it.
AUTOLINKS = re.compile(r"(?i)(?:https?|ftp)://|\bwww\.\w|[\w.+-]+@[\w-]+\.\w|(?:mailto|xmpp|javascript):\S")

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- comment",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "[click](https://evil.example/)",
    "![image](//evil.example/x.png)",
    "[ref]: https://evil.example",
    "<https://evil.example>",
    "https://evil.example/path?q=1",
    "HTTP://EVIL.EXAMPLE",
    "www.evil.example",
    "WWW.evil.example",
    "evil.example.com",
    "mail@evil.example",
    "mailto:mail@evil.example",
    "javascript:alert(1)",
    "# Heading",
    "- item",
    "+ item",
    "1. item",
    "1) item",
    "> quote",
    "---",
    "===",
    "| a | b |\n|---|---|\n| c | d |",
    "```\ncode\n```",
    "`code`",
    "~~struck~~",
    "**bold** __bold__ *it* _it_",
    "\\[escaped](x)",
    "$x^2$",
    "[^1]",
    "[ ] task",
    "line one\nline two\r\n\r\nparagraph",
    "right\u202eto left\u202c",
    "zero\u200bwidth\ufeff",
    "null\x00 bell\x07 escape\x1b[31m",
    "tag \U000e0041\U000e0042",
    "lone \ud83d surrogate",
    "sep\u2028arator\u2029 \u0085 nel",
    "{{ value }} {% raw %}",
    "a" * 5000,
    "1" * 5000,
    "\U0001f9e0" * 500,
]
FRAGMENTS = st.sampled_from(
    [*HOSTILE[:-3], " ", "\n", "\\", "[", "](", ")", "<", ">", "`", "*", "_", "://", "@"]
)
TEXTS = st.lists(st.one_of(FRAGMENTS, st.text(max_size=12)), max_size=8).map("".join)
SPOTS = [
    (CardKey.IRON_14, "condition"),
    (CardKey.IRON_14, "drug"),
    (CardKey.IRON_14, "value"),
    (CardKey.IRON_04, "value"),
    (CardKey.IRON_04, "original"),
    (CardKey.IRON_04, "date"),
    (CardKey.IRON_13, "drug"),
]


def inline_types(tokens: list[Token]) -> set[str]:
    return {child.type for token in tokens for child in token.children or ()}


def shape(tokens: list[Token]) -> list[str]:
    return [token.type for token in tokens]


def is_visible(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text_in_markdown(text: str) -> None:
    assert_only_text(text)


@given(TEXTS)
def test_any_text_is_only_text_in_markdown(text: str) -> None:
    assert_only_text(text)


def assert_only_text(text: str) -> None:
    for before in ("", "- ", "Ferritin ", "**"):
        after = "**" if before == "**" else ""
        tokens = GFM.parse(before + markdown(text) + after)
        expected = GFM.parse(f"{before}harmless{after}")
        assert shape(tokens) == shape(expected)
        assert inline_types(tokens) <= {"text", "text_special", "strong_open", "strong_close"}
        for shown in (child.content for token in tokens for child in token.children or ()):
            assert not AUTOLINKS.search(shown)


@given(TEXTS)
def test_plain_text_is_one_visible_line_without_addresses_or_tags(text: str) -> None:
    line = plain(text)
    assert all(map(is_visible, line))
    assert line == line.strip()
    assert not AUTOLINKS.search(line)
    assert not set("<>") & set(line)
    assert utf16_length(line) <= 80
    line.encode()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(("key", "name"), SPOTS)
def test_no_value_changes_the_structure_of_a_card(key: CardKey, name: str, text: str) -> None:
    assert_same_structure(key, name, text)


@given(TEXTS, st.sampled_from(SPOTS))
def test_no_value_whatever_changes_the_structure_of_a_card(text: str, spot: tuple[CardKey, str]) -> None:
    assert_same_structure(*spot, text)


def assert_same_structure(key: CardKey, name: str, text: str) -> None:
    values = values_of(key, Form.STANDARD)
    if not text:
        return
    usual = render(decision(key, values=values))
    hostile = render(decision(key, values=values | {name: text}))
    assert usual.detail is not None
    assert hostile.detail is not None
    assert shape(GFM.parse(hostile.detail)) == shape(GFM.parse(usual.detail))
    assert inline_types(GFM.parse(hostile.detail)) <= {"text", "text_special", "strong_open", "strong_close"}
    assert utf16_length(hostile.summary) <= 139
    assert not AUTOLINKS.search(hostile.summary)


@pytest.mark.parametrize("text", HOSTILE)
def test_drug_names_and_lines_are_neutralised_too(text: str) -> None:
    line = DetailLine(Line.INFLAMMATORY_DISEASE, {"condition": text})
    card = render(decision(CardKey.DRUG_01, drugs=(drug(text, "SSRI"),) * 9, lines=(line,)))
    assert card.detail is not None
    assert inline_types(GFM.parse(card.detail)) <= {"text", "text_special", "strong_open", "strong_close"}
    assert not AUTOLINKS.search(card.summary)
    assert len(card.summary.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "60 ng/mL",
        "below 75 ng/mL",
        "2026-11-01",
        "19.9 %",
        "205",
        "60 ug/L",
        "sertraline",
        "168 pmol/L",
        "TSAT",
    ],
)
def test_usual_values_stay_as_they_are(text: str) -> None:
    assert plain(text) == text
    assert markdown(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<10 ng/mL", "&lt;10 ng/mL"),
        ("a | b", "a \\| b"),
        ("- 60", "\\- 60"),
        ("12. May", "12\\. May"),
        ("R&D", "R&amp;D"),
        ("see https://evil.example", "see https :/ /evil. example"),
        ("www.evil.example", "www .evil. example"),
        ("me@evil.example", "me (at) evil. example"),
        ("  many \t blanks ", "many blanks"),
        ("60 μg/L", "60 μg/L"),
        ("\u200b", UNSHOWABLE),
    ],
)
def test_what_a_clinician_reads_instead(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_angle_brackets_in_a_summary_become_look_alikes() -> None:
    assert plain("<b>5</b>") == "\u2039b\u203a5\u2039/b\u203a"


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("short", 10, "short"),
        ("ferritin level 1234", 17, "ferritin level…"),
        ("abc12345", 6, "abc…"),
        ("abcdefgh", 5, "abcd…"),
        ("\U0001f9e0\U0001f9e0\U0001f9e0", 4, "\U0001f9e0…"),
        ("12.50", 4, "…"),
        ("word another", 5, "word…"),
    ],
)
def test_shortening_cuts_no_number_and_no_character(text: str, limit: int, kept: str) -> None:
    assert shortened(text, limit) == kept


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])), st.integers(2, 40))
def test_shortened_text_fits(text: str, limit: int) -> None:
    kept = shortened(text, limit)
    assert utf16_length(kept) <= limit
    assert text.startswith(kept.removesuffix(ELLIPSIS))


def test_every_line_neutralises_what_it_is_given() -> None:
    for line, text in library().templates.lines.items():
        named = {
            name for name in text.wanted.required | text.wanted.optional if name not in {"note", "reason"}
        }
        values = dict.fromkeys(named, "<b>[x](https://evil.example)</b>")
        values |= {"note": "unit assumed"} if "note" in text.wanted.required else {}
        card = render(decision(lines=(DetailLine(line, values),)))
        assert card.detail is not None
        assert inline_types(GFM.parse(card.detail)) <= {"text", "text_special", "strong_open", "strong_close"}
