"""Mutants: a module with one check removed, turned round, or moved by one.

Made on the syntax tree and applied to the text, so that lines stay where they are.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

_OPPOSITE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}

# What is said to people, or measured: no check hides there.
_SILENT = frozenset({"logger", "_logger", "logging", "trace", "warnings"})


@dataclass(frozen=True, order=True)
class Mutant:
    """One change.

    Attributes:
        path: of the module, from the root of the tree.
        line: where.
        function: qualified name of what it is in.
        kind: what was done.
        original, changed: the piece of source before and after.
        start, end: its place, in bytes.
    """

    path: str
    line: int
    function: str
    kind: str
    original: str
    changed: str
    start: int
    end: int

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.changed.encode() + source[self.end :]

    def __str__(self) -> str:
        return (
            f"{self.path}:{self.line}: {self.function}: {self.kind}: {_short(self.original)} -> {_short(self.changed)}"
        )


def _short(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= 100 else joined[:97] + "..."


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    source = (root / path).read_bytes()
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted({(it.start, it.end, it.changed): it for it in finder.found}.values())


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._path = path
        self._source = source
        self._scope: list[str] = []
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    # --- scopes -------------------------------------------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._within(node.name, node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name not in ("__repr__", "__str__"):
            self._within(node.name, node)

    def _within(self, name: str, node: ast.AST) -> None:
        self._scope.append(name)
        self.generic_visit(node)
        self._scope.pop()

    # --- statements ---------------------------------------------------------------------------------------------------

    def visit_Assert(self, node: ast.Assert) -> None:
        """Not a check: what it says cannot happen."""

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if any(isinstance(statement, ast.Raise) for statement in node.body):
            self._replace(node.test, "False", "guard removed")
        else:
            self._replace(node.test, f"not ({self._text(node.test)})", "condition negated")
        self.visit(node.test)
        for statement in (*node.body, *node.orelse):
            if statement not in node.body or len(node.body) > 1 or not isinstance(statement, ast.Raise):
                self.visit(statement)  # a raise alone in its guard goes with the guard

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._replace(node.test, f"not ({self._text(node.test)})", "condition negated")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.exc is not None:
            self._replace(node, "pass", "raise removed")

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value
        if not isinstance(call, ast.Call) or _root(call.func) in _SILENT:
            return
        if isinstance(call.func, ast.Name) and call.func.id == "rule" and len(call.args) > 1:
            self._replace(call.args[1], "True", "rule removed")
        else:
            self._replace(node, "pass", "call removed")
        self.generic_visit(node)

    # --- expressions --------------------------------------------------------------------------------------------------

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        word = " and " if isinstance(node.op, ast.And) else " or "
        parts = [f"({self._text(value)})" for value in node.values]
        for index in range(len(parts)):
            self._replace(node, word.join(parts[:index] + parts[index + 1 :]), "part of a condition removed")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for index, operator in enumerate(node.ops):
            pieces = [self._text(operands[0])]
            for at, (one, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
                pieces += [_OPPOSITE[type(operator)] if at == index else _symbol(one), self._text(right)]
            kind = (
                "boundary moved" if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) else "comparison negated"
            )
            self._replace(node, " ".join(pieces), kind)
        for operand in operands:
            if isinstance(operand, ast.Constant) and type(operand.value) is int:
                self._replace(operand, str(operand.value + 1), "bound moved")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in ("min", "max", "any", "all"):
            other = {"min": "max", "max": "min", "any": "all", "all": "any"}[node.func.id]
            self._replace(node.func, other, "extreme swapped")
        self.generic_visit(node)

    # --- text ---------------------------------------------------------------------------------------------------------

    def _replace(self, node: ast.expr | ast.stmt, changed: str, kind: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._lines[node.lineno - 1] + node.col_offset
        end = self._lines[node.end_lineno - 1] + node.end_col_offset
        original = self._source[start:end].decode()
        if not self._scope or original == changed:
            return  # tables of a module are held by what uses them
        function = ".".join(self._scope)
        self.found.append(Mutant(self._path, node.lineno, function, kind, original, changed, start, end))

    def _text(self, node: ast.expr) -> str:
        """A piece of source on one line, so that the lines after it stay where they are."""
        return ast.unparse(node)


def _symbol(operator: ast.cmpop) -> str:
    comparison = ast.Compare(ast.Name("a"), [operator], [ast.Name("b")])
    return ast.unparse(comparison)[2:-2]


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
