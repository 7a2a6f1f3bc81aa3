"""What one Python file imports, read from its syntax tree: nothing of it is run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

# Calls that import what their first argument names; without a literal start it could be anything.
_IMPORTERS = frozenset(
    {"import_module", "__import__", "run_module", "lazy_import", "import_string", "import_object"}
    | {"locate", "get_class", "get_method", "get_object", "resolve_name"}
)
# Calls that run code which cannot be read from here.
_LOADERS = frozenset({"run_path", "spec_from_file_location", "SourceFileLoader", "exec"})
_WALKERS = frozenset({"iter_modules", "walk_packages"})
_HYDRA = {
    "main": ("config_path", "config_name"),
    "initialize": ("config_path",),
    "initialize_config_dir": ("config_dir",),
    "compose": ("config_name",),
}
_OWN_NAME = frozenset({"__name__", "__package__", "__path__"})

_SILENT = (ast.Name, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)

_WORD = re.compile(r"[^\s]{1,300}")


@dataclass(frozen=True)
class HydraEntry:
    """`@hydra.main(config_path=…, config_name=…)` and its relatives; None: not written there."""

    path: str | None
    name: str | None


@dataclass
class Imports:
    """What a file imports.

    `modules` are dotted names; a leading dot is relative, the longest existing prefix is meant.
    `below` are packages of which any module may be imported. `words` are string constants that
    may name a file or a module. `doubt` says why anything at all may be imported.
    """

    modules: set[str] = field(default_factory=set)
    below: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    hydra: set[HydraEntry] = field(default_factory=set)
    doubt: str | None = None


def read_imports(text: str | None) -> Imports:
    """Return a file's imports; one that cannot be parsed is in doubt."""
    if text is None:
        return Imports(doubt="cannot be read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user's invalid escapes are none of our business
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Imports(doubt="cannot be parsed")
    found = Imports()
    for node in _nodes(tree):
        _read_node(node, found)
    return found


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node but names and operators: half of them, and nothing is said there."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        for value in vars(node).values():
            if isinstance(value, list):
                stack.extend(v for v in reversed(value) if isinstance(v, ast.AST))
            elif isinstance(value, ast.AST) and not isinstance(value, _SILENT):
                stack.append(value)


def _read_node(node: ast.AST, found: Imports) -> None:
    match node:
        case ast.Import(names):
            found.modules.update(alias.name for alias in names)
        case ast.ImportFrom(module, names, level):
            _read_from("." * level + (module or ""), [alias.name for alias in names], found)
        case ast.Constant(str() as text) if _WORD.fullmatch(text):
            found.words.add(text)
        case ast.Call():
            _read_call(node, found)


def _read_from(package: str, names: list[str], found: Imports) -> None:
    found.modules.add(package)
    joint = "" if package.endswith(".") else "."
    for name in names:
        if name == "*":
            found.below.add(package)  # `__all__` may name submodules
        else:
            found.modules.add(f"{package}{joint}{name}")


def _read_call(call: ast.Call, found: Imports) -> None:
    name = _name(call.func)
    if name in _HYDRA:
        _read_hydra(call, name, found)
    elif name in _IMPORTERS:
        _read_importer(call, name, found)
    elif _is_lazy(call.func) or (name in _WALKERS and _own_name(call.args[:1])):
        found.below.add(".")
    elif name in _LOADERS | _WALKERS:
        found.doubt = found.doubt or f"loads code at run time (`{name}`, line {call.lineno})"


def _read_importer(call: ast.Call, name: str, found: Imports) -> None:
    start, whole = _literal_start(call.args[0]) if call.args else ("", False)
    package = call.args[1] if len(call.args) > 1 else None
    package = next((k.value for k in call.keywords if k.arg == "package"), package)
    if start.startswith(".") and package is not None:
        start = (_literal_start(package)[0].rstrip(".") + start) or start
    if whole:
        found.modules.add(start)
    elif "." in start:
        found.below.add(start.rpartition(".")[0] or ".")
    else:
        found.doubt = found.doubt or f"imports by name at run time (`{name}`, line {call.lineno})"


def _read_hydra(call: ast.Call, name: str, found: Imports) -> None:
    if name == "main" and not isinstance(call.func, ast.Attribute) and not call.keywords:
        return  # somebody's own main()
    fields = dict(zip(_HYDRA[name], call.args, strict=False))
    fields |= {k.arg: k.value for k in call.keywords if k.arg in _HYDRA[name]}
    literal = {key: _literal_start(node) for key, node in fields.items()}
    known = {key: text for key, (text, whole) in literal.items() if whole}
    if known:
        folder = known.get("config_path", known.get("config_dir"))
        found.hydra.add(HydraEntry(folder, known.get("config_name")))


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return "" if function.attr == "exec" else function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_lazy(function: ast.expr) -> bool:
    """Say whether this is `lazy_loader.attach(__name__, …)`, whatever it was imported as."""
    match function:
        case ast.Attribute(ast.Name(module), "attach" | "attach_stub"):
            return module.startswith("lazy")
    return False


def _own_name(arguments: list[ast.expr]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in _OWN_NAME for node in arguments)


def _literal_start(node: ast.expr) -> tuple[str, bool]:
    """Return the literal text an expression starts with, and whether that is all of it."""
    match node:
        case ast.Constant(str() as text):
            return text, True
        case ast.Name() if _own_name([node]):
            return ".", False
        case ast.FormattedValue(value):
            return _literal_start(value)[0], False
        case ast.JoinedStr(values) if values:
            return _literal_start(values[0])[0], False
        case ast.BinOp(left, ast.Add() | ast.Mod(), _):
            return _literal_start(left)[0].partition("%")[0], False
        case ast.Call(ast.Attribute(ast.Constant(str() as text), "format"), _, _):
            return text.partition("{")[0], False
    return "", False
