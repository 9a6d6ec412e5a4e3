"""The card templates of `cards/`: read once, compiled once, and checked before the first request."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cds_service.clinical.assessment import CardKey, Form, Line, NotChecked, Order
from cds_service.clinical.facts import NeedState, ResultNote, Unreadable
from cds_service.resources import MANIFEST, cards_dir

SHARED_FILES = frozenset({MANIFEST, "shared.toml", "lines.toml", "not_checked.toml"})
SECTIONS = frozenset({"values", "rule", "options", "missing"})
OVERRIDES = frozenset({"iron", "drug"})
VALUES_OF_CARDS = frozenset(
    {"rls", "Rls", "on_record", "is_plmd", "is_child", "drug_count", "ingredients", "lines", "windows"}
)
"""Names that the rendering gives to every string of a card.

`ingredients` and `lines` are for conditions only; `windows` holds each look-back in words by its id."""

LISTS_OF_SUMMARIES = frozenset({"drugs", "factors"})
"""Names of lists, given to summaries only: a detail shows both in sections of their own."""

_ORIGINALS = {"value": "original", "tsat": "tsat_original"}
_VOCABULARIES = frozenset({"reasons", "notes", "whys", "states"})
_WORDED: Mapping[str, Iterable[str]] = {
    "reasons": (*Unreadable, "indeterminate"),
    "notes": tuple(ResultNote),
    "states": tuple(state for state in NeedState if state is not NeedState.ANSWERED),
    "orders": tuple(Order),
}


class CardTemplateError(Exception):
    """A template, or the values for one, is not as `cards/README.md` says."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One string of a template; `names` are the values that it uses, `words` its vocabularies."""

    names: frozenset[str]
    constant: str = ""
    template: Template | None = None
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def render(self, values: Mapping[str, object]) -> str:
        """Return the text with the values filled in."""
        if self.template is None:
            return self.constant
        # Shared: the values are the whole context, which saves merging the globals for each string.
        context = self.template.new_context({**values, **self.words}, shared=True)
        return "".join(self.template.root_render_func(context))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which values a form or a line needs, and which it takes."""

    required: frozenset[str]
    optional: frozenset[str]

    def check(self, given: Mapping[str, str], where: str) -> None:
        """Raise CardTemplateError when a value is missing, empty or unknown."""
        missing = sorted(name for name in self.required if not given.get(name))
        unknown = sorted(given.keys() - self.required - self.optional)
        if missing or unknown:
            message = f"{where}: missing {missing}, unknown {unknown}"
            raise CardTemplateError(message)

    def filled(self, given: Mapping[str, str], neutralise: Callable[[str], str]) -> dict[str, str]:
        """Return every value, neutralised; one that was not given is empty."""
        values = dict.fromkeys(self.optional, "")
        values.update((name, neutralise(text)) for name, text in given.items() if text)
        return values


@dataclass(frozen=True, slots=True)
class FormText:
    """One wording of a card; `rule` words the card's own rule where the general wording does not fit."""

    wanted: Wanted
    summary: tuple[Leaf, ...]
    finding: Leaf
    values: tuple[Leaf, ...]
    options: tuple[Leaf, ...]
    rule: Leaf
    lists: frozenset[str]

    @property
    def detail(self) -> tuple[Leaf, ...]:
        """Return every string of the detail."""
        return (self.finding, *self.values, *self.options, self.rule)


@dataclass(frozen=True, slots=True)
class CardText:
    """One card file."""

    topic: str
    overrides: str
    links: tuple[str, ...]
    awaits_review: bool
    instruction: str
    forms: Mapping[Form, FormText]


@dataclass(frozen=True, slots=True)
class LineText:
    """One sentence of `lines.toml` and the section where it stands."""

    section: str
    wanted: Wanted
    leaf: Leaf


@dataclass(frozen=True, slots=True)
class Templates:
    """Everything in `cards/`, compiled; `shared` keeps the tables that hold no placeholders."""

    version: str
    hash: str
    cards: Mapping[CardKey, CardText]
    lines: Mapping[Line, LineText]
    not_checked: Mapping[NotChecked, str]
    phrases: Mapping[str, Leaf]
    shared: Mapping[str, Any]


@cache
def packaged_templates() -> Templates:
    """Return the templates that belong to this package, compiled once in a process."""
    return read_templates(cards_dir())


def read_templates(directory: Path) -> Templates:
    """Return the compiled templates of a directory; raise CardTemplateError when anything does not fit."""
    files = {path.name: path.read_bytes() for path in sorted(directory.glob("*.toml"))}
    tables = {name: _toml(content) for name, content in files.items()}
    _check_files(tables)
    shared = tables["shared.toml"]
    _check_vocabularies(shared)
    compiler = _Compiler(shared)
    return Templates(
        version=tables[MANIFEST]["version"],
        hash=_hash(files),
        cards=MappingProxyType({key: compiler.card(key, tables[f"{key}.toml"]) for key in CardKey}),
        lines=MappingProxyType({line: compiler.line(line, tables["lines.toml"]) for line in Line}),
        not_checked=MappingProxyType({what: tables["not_checked.toml"][what] for what in NotChecked}),
        phrases=MappingProxyType(compiler.phrases()),
        shared=MappingProxyType(shared),
    )


class _Compiler:
    """Compiles the strings of the templates in one sandbox that knows the shared vocabularies."""

    def __init__(self, shared: Mapping[str, Any]) -> None:
        # No HTML escaping: the output is plain text or Markdown, and values arrive neutralised.
        self._environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        self._environment.globals = {}
        self._environment.filters = {"sentence": _sentence}
        self._pieces: Mapping[str, str] = shared["pieces"]
        self._leaves_by_text: dict[str, Leaf] = {}
        self._shared = shared
        names = "|".join(map(re.escape, self._pieces))
        self._piece = re.compile(r"\{\{ (" + names + r") \}\}")

    def card(self, key: CardKey, table: Mapping[str, Any]) -> CardText:
        """Return one card file, checked."""
        links = tuple(table["links"])
        _check_known(key, links, self._shared["links"])
        _check_known(key, (table["overrides"],), OVERRIDES)
        instruction = table.get("instruction", "standard")
        _check_known(key, (instruction,), self._shared["instructions"])
        return CardText(
            topic=table["topic"],
            overrides=table["overrides"],
            links=links,
            awaits_review=table["awaits_review"],
            instruction=instruction,
            forms={Form(name): self._form(f"{key} {name}", form) for name, form in table["forms"].items()},
        )

    def line(self, line: Line, table: Mapping[str, Any]) -> LineText:
        """Return one sentence of `lines.toml`, checked."""
        entry = table[line]
        _check_known(line, (entry["section"],), SECTIONS)
        wanted = _wanted(entry)
        leaf = self._leaf(entry["text"])
        _check_names(line, (leaf,), wanted.required | wanted.optional)
        return LineText(entry["section"], wanted, leaf)

    def phrases(self) -> dict[str, Leaf]:
        """Return the shared sentences with placeholders, by table and name ("detail.versions")."""
        return {
            f"{table}.{name}": self._leaf(text)
            for table in ("summary", "detail", "medicines")
            for name, text in self._shared[table].items()
        }

    def _form(self, where: str, table: Mapping[str, Any]) -> FormText:
        wanted = _wanted(table)
        summary = self._leaves(table["summary"])
        form = FormText(
            wanted=wanted,
            summary=summary,
            finding=self._leaf(table["finding"]),
            values=self._leaves(table.get("values", ())),
            options=self._leaves(table["options"]),
            rule=self._leaf(table.get("rule", "")),
            lists=LISTS_OF_SUMMARIES & frozenset().union(*(leaf.names for leaf in summary)),
        )
        declared = wanted.required | wanted.optional | VALUES_OF_CARDS
        _check_names(where, form.detail, declared)
        _check_names(where, form.summary, declared | LISTS_OF_SUMMARIES)
        return form

    def _leaves(self, sources: Iterable[str]) -> tuple[Leaf, ...]:
        return tuple(map(self._leaf, sources))

    def _leaf(self, source: str) -> Leaf:
        whole = self._piece.sub(lambda match: self._pieces[match.group(1)], source)
        if "{" not in whole:
            return Leaf(frozenset(), constant=whole)
        # Many cards share a sentence; each is compiled once.
        known = self._leaves_by_text.get(whole)
        if known is None:
            known = self._leaves_by_text[whole] = self._compiled(whole, source)
        return known

    def _compiled(self, whole: str, source: str) -> Leaf:
        try:
            tree = self._environment.parse(whole)
            names = meta.find_undeclared_variables(tree)
            template = self._environment.from_string(tree)
        except TemplateError as error:
            message = f"{error}: {source}"
            raise CardTemplateError(message) from error
        words = {name: self._shared[name] for name in names & _VOCABULARIES}
        return Leaf(frozenset(names - _VOCABULARIES), template=template, words=words)


def _wanted(table: Mapping[str, Any]) -> Wanted:
    required, optional = frozenset(table.get("needs", ())), frozenset(table.get("optional", ()))
    originals = {original for name, original in _ORIGINALS.items() if name in required | optional}
    return Wanted(required, (optional | originals) - required)


def _check_files(tables: Mapping[str, Any]) -> None:
    expected = SHARED_FILES | {f"{key}.toml" for key in CardKey}
    _check_same("files", tables, expected)
    _check_same("lines.toml", tables["lines.toml"], Line)
    _check_same("not_checked.toml", tables["not_checked.toml"], NotChecked)


def _check_vocabularies(shared: Mapping[str, Any]) -> None:
    for table, words in _WORDED.items():
        _check_same(f"shared.toml {table}", shared[table], words)


def _check_same(where: str, found: Iterable[str], expected: Iterable[str]) -> None:
    has, wants = set(map(str, found)), set(map(str, expected))
    if has != wants:
        message = f"{where}: missing {sorted(wants - has)}, unknown {sorted(has - wants)}"
        raise CardTemplateError(message)


def _check_known(where: str, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = set(names) - set(known)
    if unknown:
        message = f"{where}: unknown {sorted(unknown)}"
        raise CardTemplateError(message)


def _check_names(where: str, leaves: Iterable[Leaf], declared: frozenset[str]) -> None:
    undeclared = {name for leaf in leaves for name in leaf.names} - declared
    if undeclared:
        message = f"{where}: names not declared: {sorted(undeclared)}"
        raise CardTemplateError(message)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _toml(content: bytes) -> dict[str, Any]:
    return tomllib.loads(content.decode())


def _hash(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
