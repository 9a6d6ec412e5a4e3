"""A sheet or report as plain parts, and its faces: a terminal, Markdown, one self-contained web page."""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

_GAP = "  "
_NARROWEST_COLUMN = 8


class Literal(str):
    """A text to be copied as it stands: a code, a key, an address."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines to be copied as they stand, never wrapped; `label` names them."""

    text: str
    label: str = ""
    language: str = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; `caption` says what they are."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Paragraph | Items | Listing | Table


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A title, what stands before the first heading, and the sections."""

    title: str
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]


# ------------------------------------------------------------------------------------------ terminal
def as_text(document: Document, width: int) -> str:
    """Return the document for a terminal of so many columns; listings alone may be wider."""
    parts = [_underlined(document.title, "=")]
    parts += [_text_block(block, width) for block in document.lead]
    for section in document.sections:
        parts.append(_underlined(section.title, "-"))
        parts += [_text_block(block, width) for block in section.blocks]
    return "\n\n".join(parts)


def _underlined(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}"


def _text_block(block: Block, width: int) -> str:
    match block:
        case Paragraph(text):
            return _wrapped(text, width)
        case Items(items):
            return "\n".join(_wrapped(item, width, "- ", "  ") for item in items)
        case Listing(text, label):
            return f"{label}:\n\n{text}" if label else text
        case Table(caption, head, rows):
            return f"{_wrapped(caption, width)}\n\n{_text_table(head, rows, width)}"


def _wrapped(text: str, width: int, first: str = "", later: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text_table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Return columns under each other; where words would be torn, every row becomes a small list."""
    widths = _column_widths([head, *rows], width)
    if widths is None:
        return "\n\n".join(
            "\n".join(
                _wrapped(f"{name}: {cell}", width, later="    ")
                for name, cell in zip(head, row, strict=True)
                if cell
            )
            for row in rows
        )
    ruled = [head, ["-" * size for size in widths], *rows]
    return "\n".join(line for row in ruled for line in _row_lines(row, widths))


def _column_widths(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the columns' widths, None when their longest words leave no room for each other."""
    columns = list(zip(*rows, strict=True))
    wanted = [max(map(len, column)) for column in columns]
    least = [max(len(word) for cell in column for word in [*cell.split(), ""]) for column in columns]
    least = [max(size, min(_NARROWEST_COLUMN, full)) for size, full in zip(least, wanted, strict=True)]
    room = width - len(_GAP) * (len(columns) - 1)
    if sum(least) > room:
        return None
    widths = list(wanted)
    while sum(widths) > room:
        # The widest column that can still give way gives way.
        slack = [size - low for size, low in zip(widths, least, strict=True)]
        number = max(range(len(widths)), key=lambda n: (slack[n] > 0, widths[n]))
        widths[number] -= 1
    return widths


def _row_lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    cells = [
        textwrap.wrap(cell, size, break_long_words=False, break_on_hyphens=False) or [""]
        for cell, size in zip(row, widths, strict=True)
    ]
    for number in range(max(map(len, cells))):
        parts = [
            (cell[number] if number < len(cell) else "").ljust(size)
            for cell, size in zip(cells, widths, strict=True)
        ]
        yield _GAP.join(parts).rstrip()


# ------------------------------------------------------------------------------------------ Markdown
def as_markdown(document: Document, level: int = 1) -> str:
    """Return the document as Markdown, its title being a heading of this level."""
    parts = [f"{'#' * level} {document.title}"]
    parts += [_markdown_block(block) for block in document.lead]
    for section in document.sections:
        parts.append(f"{'#' * (level + 1)} {section.title}")
        parts += [_markdown_block(block) for block in section.blocks]
    return "\n\n".join(parts)


def _markdown_block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return _escaped(text)
        case Items(items):
            return "\n".join(f"- {_escaped(item)}" for item in items)
        case Listing(text, label, language):
            fenced = f"```{language}\n{text}\n```"
            return f"`{label}`\n\n{fenced}" if label else fenced
        case Table(caption, head, rows):
            lines = [head, ["---"] * len(head), *([_markdown_cell(cell) for cell in row] for row in rows)]
            table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
            return f"{_escaped(caption)}\n\n{table}"


def _markdown_cell(cell: str) -> str:
    bare = cell.replace("|", r"\|")
    return f"`{bare}`" if isinstance(cell, Literal) and cell else _escaped(cell).replace("|", r"\|")


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_<\[\]])", r"\\\1", text)


# ------------------------------------------------------------------------------------------ web page
def as_html(document: Document) -> str:
    """Return the document as one page that loads nothing, runs nothing, and prints."""
    return _page().render(
        document=document, kind_of=lambda block: type(block).__name__, is_literal=_is_literal
    )


def _is_literal(cell: str) -> bool:
    return isinstance(cell, Literal)


@cache
def _page() -> Template:
    environment = Environment(
        loader=PackageLoader("cds_service.onboarding", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("document.html")


FACES: Mapping[str, Callable[[Document, int], str]] = MappingProxyType(
    {
        "text": as_text,
        "markdown": lambda document, _: as_markdown(document),
        "html": lambda document, _: as_html(document),
    }
)
"""How a document is written in each format; the number is the width of the terminal."""
