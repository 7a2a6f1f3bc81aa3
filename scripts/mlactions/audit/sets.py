"""Which expressions are sets, whose order changes with every process."""

from __future__ import annotations

import ast

from mlactions.audit.names import Scope
from mlactions.audit.source import Source

_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})


def is_set(node: ast.expr, scope: Scope, source: Source, depth: int = 0) -> bool:
    """Say whether an expression is surely a set of more than numbers."""
    if isinstance(node, ast.Set):
        return len(node.elts) > 1 and not all(
            isinstance(item, ast.Constant) and isinstance(item.value, int | float)
            for item in node.elts
        )
    if isinstance(node, ast.SetComp):
        return not _numbers(node.elt, scope, source)
    if isinstance(node, ast.Call):
        name = source.names.name(node.func, scope)
        if name in {"builtins.set", "builtins.frozenset"}:
            return bool(node.args) and not _ranges(node.args[0], scope, source)
        return (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in _METHODS
            and is_set(node.func.value, scope, source, depth + 1)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub):
        return is_set(node.left, scope, source, depth + 1) and is_set(
            node.right, scope, source, depth + 1
        )
    if isinstance(node, ast.Name) and depth < 3:  # noqa: PLR2004  # a chain of names is rare
        value = scope.value_of(node.id)
        return value is not None and is_set(value, scope, source, depth + 1)
    return False


def _numbers(node: ast.expr, scope: Scope, source: Source) -> bool:
    if isinstance(node, ast.Call):
        return source.names.name(node.func, scope) in {"builtins.int", "builtins.len"}
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


def _ranges(node: ast.expr, scope: Scope, source: Source) -> bool:
    return isinstance(node, ast.Call) and source.names.name(node.func, scope) == "builtins.range"
