"""What names mean in a module: through imports, aliases and scopes, without running it."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

_BUILTINS = frozenset(dir(builtins))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_OWN = frozenset({"self", "cls"})


@dataclass(eq=False)
class Scope:
    """A module, class, function or lambda; `key` names the function that its code counts to."""

    node: ast.AST
    parent: Scope | None
    key: str
    is_class: bool = False
    imports: dict[str, str] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    values: dict[str, list[ast.expr]] = field(default_factory=dict)
    stores: Counter[str] = field(default_factory=Counter)

    def lookup(self, name: str) -> tuple[Scope, str] | None:
        """Return the scope that binds a name, and the dotted name if it is an import's."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.imports:
                return scope, scope.imports[name]
            if name in scope.bound and (not scope.is_class or scope is self):
                return scope, ""
            scope = scope.parent
        return None

    def value_of(self, name: str) -> ast.expr | None:
        """Return what a name is assigned, if that happens once where it is bound."""
        found = self.lookup(name)
        if found is None or found[0].stores[name] != 1:
            return None
        given = found[0].values.get(name, [])
        return given[0] if len(given) == 1 else None


@dataclass(frozen=True, eq=False)
class Site:
    """A node where it stands: its scope, and the statement's last line for comments."""

    node: ast.AST
    scope: Scope


@dataclass(eq=False)
class Names:
    """A module walked once: scopes, parents, and the nodes that rules ask for, in source order."""

    module: Scope
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    calls: list[tuple[ast.Call, Scope]] = field(default_factory=list)
    loads: list[tuple[ast.expr, Scope]] = field(default_factory=list)
    texts: list[tuple[ast.Constant, Scope]] = field(default_factory=list)
    loops: list[tuple[ast.AST, Scope]] = field(default_factory=list)
    assigned: list[tuple[ast.Assign | ast.AnnAssign, Scope]] = field(default_factory=list)
    imported: list[tuple[ast.stmt, Scope]] = field(default_factory=list)
    functions: list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, Scope]] = field(
        default_factory=list
    )
    stars: list[str] = field(default_factory=list)

    def name(self, node: ast.AST | None, scope: Scope) -> str:
        """Return a dotted name: an import's, `@local` of this module, or `builtins.x`; else ""."""
        if isinstance(node, ast.Name):
            return self._name(node.id, scope)
        if isinstance(node, ast.Attribute):
            base = self.name(node.value, scope)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def _name(self, name: str, scope: Scope) -> str:
        found = scope.lookup(name)
        if found is None:
            return f"builtins.{name}" if name in _BUILTINS else ""
        holder, dotted = found
        if dotted:
            return dotted
        if name in _OWN and (owner := _class_of(holder)):
            return f"@{owner}"
        return f"@{name}" if holder.bound is self.module.bound else ""

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around one, the nearest first."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def statement(self, node: ast.AST) -> ast.AST:
        """Return the statement that a node is part of."""
        while not isinstance(node, ast.stmt) and node in self.parents:
            node = self.parents[node]
        return node


def _class_of(scope: Scope) -> str:
    """Return the class whose method a function scope is."""
    parent = scope.parent
    return parent.key if parent is not None and parent.is_class else ""


def read_names(tree: ast.Module) -> Names:
    """Walk a module once."""
    names = Names(Scope(tree, None, ""))
    stack: list[tuple[ast.AST, Scope]] = [(tree, names.module)]
    while stack:
        node, scope = stack.pop()
        children = list(_children(node, scope, names))
        for child, _ in children:
            names.parents[child] = node
        stack.extend(reversed(children))
    return names


def _children(node: ast.AST, scope: Scope, names: Names) -> Iterator[tuple[ast.AST, Scope]]:
    """Record a node and yield what is below it, each with its scope."""
    match node:
        case ast.Name(name, context):
            if isinstance(context, ast.Load):
                names.loads.append((node, scope))
            else:
                scope.bound.add(name)
                scope.stores[name] += isinstance(context, ast.Store)
        case ast.Constant(value):
            if isinstance(value, str):
                names.texts.append((node, scope))
        case ast.Attribute(value):
            names.loads.append((node, scope))
            yield value, scope
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.ClassDef():
            yield from _inner(node, scope, names)
        case _:
            _record(node, scope, names)
            yield from _fields(node, scope, names)


def _fields(node: ast.AST, scope: Scope, names: Names) -> Iterator[tuple[ast.AST, Scope]]:
    main = isinstance(node, ast.If) and scope is names.module and is_main_guard(node)
    for name in node._fields:
        value = getattr(node, name)
        inside = _main_scope(scope, node) if main and name == "body" else scope
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, ast.AST) and type(item) not in _LEAVES:
                yield item, inside


_LEAVES = frozenset({ast.Load, ast.Store, ast.Del, ast.Pass, ast.Break, ast.Continue})


class _Main(Scope):
    """The body of `if __name__ == "__main__"`: it binds names of the module."""


def _main_scope(scope: Scope, node: ast.AST) -> Scope:
    main = _Main(node, scope.parent, "__main__")
    main.imports, main.bound = scope.imports, scope.bound
    main.values, main.stores = scope.values, scope.stores
    return main


def is_main_guard(node: ast.If) -> bool:
    """Say whether a statement is `if __name__ == "__main__":`."""
    match node.test:
        case ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]):
            return True
        case ast.Compare(ast.Constant("__main__"), [ast.Eq()], [ast.Name("__name__")]):
            return True
    return False


def _inner(node: ast.AST, scope: Scope, names: Names) -> Iterator[tuple[ast.AST, Scope]]:
    """Yield a function's or class's parts: decorators and defaults stand outside of it."""
    if isinstance(node, ast.ClassDef):
        scope.bound.add(node.name)
        inner = Scope(node, scope, _key(scope, node.name), is_class=True)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            yield part, scope
        for statement in node.body:
            yield statement, inner
        return
    arguments: ast.arguments = node.args  # type: ignore[attr-defined]
    name = getattr(node, "name", "")
    inner = Scope(node, scope, _key(scope, name) if name else scope.key)
    if isinstance(node, _FUNCTIONS):
        scope.bound.add(node.name)
        names.functions.append((node, scope))
        for part in (*node.decorator_list, *([node.returns] if node.returns else ())):
            yield part, scope
    for part in (*arguments.defaults, *(item for item in arguments.kw_defaults if item)):
        yield part, scope
    for argument in (
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        *(item for item in (arguments.vararg, arguments.kwarg) if item),
    ):
        inner.bound.add(argument.arg)
        inner.stores[argument.arg] += 1
        if argument.annotation is not None:
            yield argument.annotation, scope
    body = node.body  # type: ignore[attr-defined]
    for part in body if isinstance(body, list) else [body]:
        yield part, inner


def _key(scope: Scope, name: str) -> str:
    """Return the key of what is defined in a scope: nested functions count to the outer one."""
    if scope.is_class:
        inside = scope.parent is not None and isinstance(scope.parent.node, _FUNCTIONS)
        return scope.key if inside else f"{scope.key}.{name}"
    return scope.key if isinstance(scope.node, (*_FUNCTIONS, ast.Lambda)) else name


_LOOPS = (ast.For, ast.AsyncFor, ast.comprehension)


def _record(node: ast.AST, scope: Scope, names: Names) -> None:
    """Note a node that rules ask for, and the names that it binds."""
    match node:
        case ast.Call():
            names.calls.append((node, scope))
        case ast.Import() | ast.ImportFrom():
            _record_import(node, scope, names)
        case ast.Assign(targets, value):
            names.assigned.append((node, scope))
            for target in targets:
                _bind(target, value, scope)
        case ast.AnnAssign(target, _, value) if value is not None:
            names.assigned.append((node, scope))
            _bind(target, value, scope)
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            names.loops.append((node, scope))
        case _:
            _record_binding(node, scope)


def _record_binding(node: ast.AST, scope: Scope) -> None:
    match node:
        case ast.NamedExpr(target, value) | ast.AugAssign(target, _, value):
            _bind(target, value, scope)
        case (
            ast.ExceptHandler(_, str() as name, _)
            | ast.MatchAs(_, str() as name)
            | ast.MatchStar(str() as name)
        ):
            scope.bound.add(name)


def _record_import(node: ast.Import | ast.ImportFrom, scope: Scope, names: Names) -> None:
    names.imported.append((node, scope))
    if isinstance(node, ast.ImportFrom):
        _record_from(node, scope, names)
        return
    for alias in node.names:
        bound = alias.asname or alias.name.partition(".")[0]
        scope.imports.setdefault(bound, alias.name if alias.asname else bound)


def _record_from(node: ast.ImportFrom, scope: Scope, names: Names) -> None:
    module = "." * node.level + (node.module or "")
    joint = "" if module.endswith(".") else "."
    for alias in node.names:
        if alias.name == "*":
            names.stars.append(module)
        else:
            dotted = f"{module}{joint}{alias.name}"
            scope.imports.setdefault(alias.asname or alias.name, dotted)


def _bind(target: ast.expr, value: ast.expr, scope: Scope) -> None:
    if isinstance(target, ast.Name):
        scope.values.setdefault(target.id, []).append(value)
