"""Small faults for a module, one at a time: what a slip of the hand would change.

A mutant turns a comparison, an operator or a condition round, moves a number by one, alters a text, returns
nothing, or leaves a statement out. What declares and does not run is left alone: annotations, docstrings,
decorators, the texts of exceptions.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_LEFT_OUT = (ast.Expr, ast.Raise, ast.Continue, ast.Break, ast.AugAssign, ast.Delete)
# Where each kind of node keeps what only declares.
_DECLARED = frozenset({"annotation", "returns", "decorator_list", "type_params", "bases"})


@dataclass(frozen=True)
class Mutant:
    """One fault: where it is, and the words of the code before and after."""

    path: str
    line: int
    owner: str
    before: str
    after: str
    number: int
    """Its place among the mutants of its module."""

    @property
    def name(self) -> str:
        """What it is called in documents; it does not change when lines above it do."""
        return f"{self.path}:{self.owner}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class _Place:
    """A field of a node, or one item of a field that is a list."""

    node: ast.AST
    field: str
    index: int | None
    owner: str

    def read(self) -> ast.AST:
        value = getattr(self.node, self.field)
        found: ast.AST = value if self.index is None else value[self.index]
        return found

    def write(self, value: ast.AST) -> None:
        if self.index is None:
            setattr(self.node, self.field, value)
        else:
            getattr(self.node, self.field)[self.index] = value


def mutants(path: str, source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its source."""
    found = []
    for number, (place, changed) in enumerate(_changes(ast.parse(source))):
        node = place.read()
        line = getattr(node, "lineno", None) or getattr(place.node, "lineno", None) or 1
        found.append(Mutant(path, line, place.owner, _words(node), _words(changed), number))
    return found


def mutated(source: str, number: int) -> ast.Module:
    """Return the module with the fault of this number; raises IndexError where there is none."""
    tree = ast.parse(source)
    for at, (place, changed) in enumerate(_changes(tree)):
        if at == number:
            place.write(changed)
            return ast.fix_missing_locations(tree)
    raise IndexError(number)


def _words(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:60]}...{text[-25:]}"  # noqa: PLR2004 - a line of a document


def _changes(tree: ast.Module) -> Iterator[tuple[_Place, ast.AST]]:
    for place in _places(tree, "module"):
        node = place.read()
        for changed in _changed(place, node):
            yield place, ast.copy_location(changed, node)


def _places(node: ast.AST, owner: str) -> Iterator[_Place]:
    """Yield every place of a tree that holds code, from the top to the bottom."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        owner = node.name if owner == "module" else f"{owner}.{node.name}"
    for name, value in ast.iter_fields(node):
        if name in _DECLARED or isinstance(node, ast.Raise | ast.JoinedStr) or _is_for_types(node):
            continue
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            if isinstance(item, ast.AST) and not _is_docstring(node, item):
                yield _Place(node, name, index if isinstance(value, list) else None, owner)
                yield from _places(item, owner)


def _is_docstring(node: ast.AST, item: ast.AST) -> bool:
    is_text = isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)
    return is_text and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)


def _is_for_types(node: ast.AST) -> bool:
    """Whether it holds imports or names for the type checker alone."""
    named = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return named or isinstance(node, ast.Import | ast.ImportFrom)


def _changed(place: _Place, node: ast.AST) -> Iterator[ast.AST]:
    is_condition = place.field in {"test", "ifs", "guard"}
    if is_condition and isinstance(node, ast.expr):
        yield _negated(node)
    match node:
        # A condition of two equal or identical things is already turned round.
        case ast.Compare(ops=[operator]) if not is_condition or isinstance(operator, _ORDERED):
            if type(operator) in _COMPARED:
                yield _with(node, ops=[_COMPARED[type(operator)]()])
        case ast.BoolOp():
            yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not()) if not is_condition:
            yield copy.deepcopy(node.operand)
        case ast.BinOp() if type(node.op) in _COMPUTED:
            yield _with(node, op=_COMPUTED[type(node.op)]())
        case ast.Constant():
            yield from _other_constants(node)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.stmt() if isinstance(node, _LEFT_OUT):
            yield ast.Pass()


def _negated(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return copy.deepcopy(node.operand)
    return ast.UnaryOp(ast.Not(), copy.deepcopy(node))


def _with(node: ast.AST, **fields: object) -> ast.AST:
    made = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _other_constants(node: ast.Constant) -> Iterator[ast.AST]:
    match node.value:
        case bool():
            yield ast.Constant(not node.value)
        case int() | float():
            yield ast.Constant(node.value + 1)
        case str():
            yield ast.Constant(node.value + "X")
        case bytes():
            yield ast.Constant(node.value + b"X")
