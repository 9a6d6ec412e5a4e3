"""House rules that no linter knows; prints each breach and exits 1 if there is any.

- `type: ignore` names its code and its reason, `noqa` its reason
- no coverage pragma in the package
- no function over 60 lines, no module over 450
- no open, print or input, and no reading of files, in clinical and protocol (knowledge and rendering read
  their own files once)
- no unfinished work left in a comment
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("cds_service", "tests", "bench", "scripts")
PURE = ("clinical", "protocol")
MAX_FUNCTION = 60
MAX_MODULE = 450
SIDE_EFFECTS = frozenset({"open", "print", "input", "exec", "eval", "read_text", "read_bytes", "write_text"})

IGNORE = re.compile(r"#\s*type:\s*ignore")
REASONED_IGNORE = re.compile(r"#\s*type:\s*ignore\[[a-z-]+(,\s*[a-z-]+)*\]\s+#\s*\S{2,}.*\s\S")
NOQA = re.compile(r"#\s*noqa")
REASONED_NOQA = re.compile(r"#\s*noqa:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*\s+-\s+\S")
PRAGMA = re.compile(r"#\s*pragma:\s*no\s*(cover|branch)")
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and text of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def comment_breaches(source: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with the comments of a module."""
    for line, text in comments(source):
        if IGNORE.search(text) and not REASONED_IGNORE.search(text):
            yield line, "`type: ignore[code]  # reason` is the only form"
        if NOQA.search(text) and not REASONED_NOQA.search(text):
            yield line, "`noqa: CODE - reason` is the only form"
        if is_package and PRAGMA.search(text):
            yield line, "the package has no coverage pragma: test the line or take it out"
        if UNFINISHED.search(text):
            yield line, "unfinished work belongs into an issue"


def size_breaches(tree: ast.Module, lines: int) -> Iterator[tuple[int, str]]:
    """Yield functions and modules that are too long."""
    if lines > MAX_MODULE:
        yield 1, f"{lines} lines: does the module hold two answers?"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MAX_FUNCTION:
                yield node.lineno, f"{node.name} has {size} lines"


def effect_breaches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield calls that reach outside a pure room."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name in SIDE_EFFECTS:
                yield node.lineno, f"{name}() in a room without side effects"


def breaches(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every breach of one module as line and text."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    inside = path.relative_to(ROOT).parts
    is_package = inside[0] == "cds_service"
    yield from comment_breaches(source, is_package=is_package)
    if is_package:
        yield from size_breaches(tree, source.count("\n"))
        if inside[1] in PURE:
            yield from effect_breaches(tree)


def main() -> int:
    """Return 1 if any module breaks a rule."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    found = [f"{path.relative_to(ROOT)}:{line}: {text}" for path in paths for line, text in breaches(path)]
    print("\n".join(found) or f"{len(paths)} modules keep the house rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
