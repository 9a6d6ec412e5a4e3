"""Documents for a terminal, in Markdown, and as a page that loads and runs nothing."""

import re

import pytest

from cds_service.onboarding.document import (
    Document,
    Items,
    Listing,
    Literal,
    Paragraph,
    Section,
    Table,
    as_html,
    as_markdown,
    as_text,
)

QUERY = "Observation?patient={{context.patientId}}&code=" + ",".join(["http://loinc.org|2276-4"] * 6)
DOCUMENT = Document(
    "A sheet",
    (
        Paragraph(
            "What stands <before> the first heading, *long* enough to be wrapped once in a narrow place."
        ),
    ),
    (
        Section("Rows", (Table("Codes", ("code", "meaning"), ((Literal("a|b"), "one | two"), ("", "x"))),)),
        Section("Lines", (Items(("first & foremost", "second")), Listing(QUERY, "key"), Listing("bare"))),
    ),
)


def test_text_is_wrapped_and_listings_are_not() -> None:
    assert as_text(DOCUMENT, 40).splitlines() == [
        "A sheet",
        "=======",
        "",
        "What stands <before> the first heading,",
        "*long* enough to be wrapped once in a",
        "narrow place.",
        "",
        "Rows",
        "----",
        "",
        "Codes",
        "",
        "code  meaning",
        "----  ---------",
        "a|b   one | two",
        "      x",
        "",
        "Lines",
        "-----",
        "",
        "- first & foremost",
        "- second",
        "",
        "key:",
        "",
        QUERY,
        "",
        "bare",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_keeps_to_the_width_and_tears_no_word(width: int) -> None:
    words = "several words that are wrapped inside of their own column when the terminal is narrow"
    table = Table("Caption", ("one", "two", "three"), (("a", words, "b"), (words, "c", words)))
    lines = as_text(Document("T", (table,), ()), width).splitlines()
    assert max(map(len, lines)) <= width
    assert set(words.split()) <= {word for line in lines for word in line.split()}
    assert lines[6].startswith("---")


def test_a_table_with_longer_words_than_columns_becomes_a_list() -> None:
    table = Table("Caption", ("name", "value", "note"), (("a", "v" * 50, "n" * 20), ("b", "w" * 50, "")))
    lines = as_text(Document("T", (table,), ()), 60).splitlines()[3:]
    assert lines == [
        "Caption",
        "",
        "name: a",
        "value: " + "v" * 50,
        "note: " + "n" * 20,
        "",
        "name: b",
        "value: " + "w" * 50,
    ]


def test_markdown_escapes_what_is_not_to_be_read_as_markdown() -> None:
    text = as_markdown(DOCUMENT, level=2)
    assert text.startswith("## A sheet\n\nWhat stands \\<before> the first heading, \\*long\\* enough")
    assert (
        "### Rows\n\nCodes\n\n| code | meaning |\n| --- | --- |\n| `a\\|b` | one \\| two |\n|  | x |" in text
    )
    assert f"- first & foremost\n- second\n\n`key`\n\n```text\n{QUERY}\n```\n\n```text\nbare\n```" in text


def test_the_page_is_whole_and_holds_nothing_that_runs_or_loads() -> None:
    page = as_html(DOCUMENT)
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<h1>A sheet</h1>" in page
    assert "What stands &lt;before&gt; the first heading" in page
    assert '<th scope="row"><code>a|b</code></th><td>one | two</td>' in page
    assert "<li>first &amp; foremost</li>" in page
    assert f"<figcaption>key</figcaption>\n<pre>{QUERY.replace('&', '&amp;')}</pre>" in page
    assert page.count("<figcaption>") == 1
    assert not re.search(r"<script|<link|<img|\son\w+=|src=|@import|url\(", page)
    assert "@media print" in page
