"""What a name holds: the class or function that made what was assigned to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mlactions.audit.names import Scope
from mlactions.audit.source import Source

# Methods of a module that return the module itself.
_SAME = frozenset({"cuda", "to", "cpu", "eval", "train", "half", "float", "bfloat16", "double"})


def origin(source: Source, node: ast.expr, scope: Scope, seen: set[str] | None = None) -> str:
    """Return the dotted name of what made a value, or of its annotated type; "" if unknown.

    `seen` are names on the way, each of which is asked once: `model = model.cuda()`.
    """
    seen = set() if seen is None else seen
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in _SAME:
            return origin(source, function.value, scope, seen)
        return source.names.name(function, scope)
    if isinstance(node, ast.Name):
        return _of_name(source, node.id, scope, seen)
    if isinstance(node, ast.Attribute):
        name = source.names.name(node, scope)
        held = () if name in seen else source.held.get(name, ())
        seen.add(name)
        return next(
            (made for value, where in held if (made := origin(source, value, where, seen))), ""
        )
    return ""


def _of_name(source: Source, name: str, scope: Scope, seen: set[str]) -> str:
    found = scope.lookup(name)
    if found is None or found[1] or name in seen:
        return ""
    seen.add(name)
    holder = found[0]
    if annotated := _annotation(source, name, holder):
        return annotated
    values = holder.values.get(name, ())
    return next((made for value in values if (made := origin(source, value, scope, seen))), "")


def _annotation(source: Source, name: str, holder: Scope) -> str:
    """Return the type that a parameter or an assignment declares."""
    if (holder.node, name) in source.declared:
        return source.names.name(source.declared[holder.node, name], holder)
    arguments = getattr(holder.node, "args", None)
    if not isinstance(arguments, ast.arguments):
        return ""
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name:
            return source.names.name(argument.annotation, holder)
    return ""


def lineage(source: Source, name: str) -> Iterator[str]:
    """Yield a class's name and those of its bases, as far as the file tells."""
    stack, seen = [name], set()
    while stack:
        current = stack.pop()
        if current and current not in seen:
            seen.add(current)
            yield current
            stack.extend(source.bases.get(current, ()))


def is_module(source: Source, name: str) -> bool:
    """Say whether a dotted name is a PyTorch module's class, or builds such a model."""
    for item in lineage(source, name):
        last = item.rpartition(".")[2]
        if item.startswith("torch.nn.") and ".functional." not in item and last[:1].isupper():
            return True
        if last == "LightningModule" or item.startswith("torchvision.models."):
            return True
        if item == "timm.create_model":
            return True
    return False
