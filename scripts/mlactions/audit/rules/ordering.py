"""Order: sets, folders and hashes come in another order on another machine, or each run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from mlactions.audit.model import Conditional, Finding, Rule
from mlactions.audit.names import Scope
from mlactions.audit.sets import is_set
from mlactions.audit.source import LEARNING, Source, called

FAMILY = "ordering"

SET = Rule(
    "set-order",
    FAMILY,
    "warning",
    "The order of a set decides",
    "Strings hash differently in every process (PYTHONHASHSEED), so a set of them has another order"
    " each run: class indices, vocabularies and columns change places.",
    "Sort it: `sorted(set(labels))`; or keep the first occurrence: `dict.fromkeys(labels)`.",
    "https://docs.python.org/3/reference/datamodel.html#object.__hash__",
)
LISTING = Rule(
    "listing-order",
    FAMILY,
    "warning",
    "The order of a folder's files decides",
    "`os.listdir`, `glob` and `Path.iterdir` return files in the order of the file system, which"
    " differs between machines and copies of the data.",
    "Sort it: `sorted(path.glob(...))`.",
    "https://docs.python.org/3/library/os.html#os.listdir",
)
HASH = Rule(
    "hash-order",
    FAMILY,
    "warning",
    "`hash()` of a string decides",
    "Python's `hash` of strings and bytes is salted anew in each process.",
    "Take a stable hash: `hashlib.sha256(text.encode()).digest()` or `zlib.crc32`.",
    "https://docs.python.org/3/reference/datamodel.html#object.__hash__",
)
RULES = (SET, LISTING, HASH)

_LISTERS = frozenset({"os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob"})
_PATH_METHODS = frozenset({"iterdir", "rglob"})
# What gives the same whatever order its argument has.
_FREE = frozenset(
    {"builtins.sorted", "builtins.len", "builtins.set", "builtins.frozenset", "builtins.any"}
    | {"builtins.all", "builtins.sum", "builtins.min", "builtins.max", "builtins.bool"}
    | {"collections.Counter", "numpy.sort", "numpy.unique", "natsort.natsorted", "builtins.print"}
    | {
        "natsort.os_sorted",
        "builtins.next",
        "builtins.isinstance",
        "os.path.exists",
        "shutil.rmtree",
    }
)
_KEEPS = frozenset({"builtins.list", "builtins.tuple", "builtins.enumerate", "numpy.array"})
_WRAPS = frozenset(
    {"builtins.list", "builtins.tuple", "builtins.iter", "builtins.filter", "builtins.map"}
    | {"builtins.zip", "builtins.enumerate", "builtins.reversed", "tqdm.tqdm", "tqdm.auto.tqdm"}
)
_SORTS = frozenset({"sorted", "sort", "natsorted", "os_sorted"})
_GROWS = frozenset({"append", "extend", "write", "add_module", "append_row", "insert"})


def check(source: Source) -> Iterator[Finding]:
    """Yield places where an order that is not fixed becomes part of a result."""
    if _learns(source):
        yield from _found(source)


def candidates(source: Source) -> Iterator[Conditional]:
    """Yield the same for other files: they count where a program that learns reaches them."""
    if not _learns(source):
        yield from map(Conditional, _found(source))


def _learns(source: Source) -> bool:
    return bool(source.roots & (LEARNING - {"mlflow"}))


def _found(source: Source) -> Iterator[Finding]:
    for call, scope, name in source.calls:
        if name in _KEEPS and call.args and is_set(call.args[0], scope, source):
            if not _order_lost(call, scope, source):
                yield source.finding(SET, call, f"`{called(call)}` keeps the order of a set.")
        elif _lists(call, name, source) and not _order_lost(call, scope, source):
            yield source.finding(LISTING, call, f"`{called(call)}` returns files in any order.")
        elif name == "builtins.hash" and _reduced(call, source) and not _own_hash(call, source):
            yield source.finding(HASH, call, "`hash` differs from process to process.")
    yield from _loops(source)


def _loops(source: Source) -> Iterator[Finding]:
    for node, scope in source.names.loops:
        iterated = node.iter  # type: ignore[attr-defined]  # a loop or a comprehension
        if isinstance(node, ast.comprehension):
            made = source.names.parents.get(node)
            matters = isinstance(made, ast.ListComp) and not _order_lost(made, scope, source)
        else:
            matters = _builds(node, source)
        if matters and is_set(iterated, scope, source):
            line = iterated
            yield source.finding(SET, line, "The loop takes a set in its order.")


def _builds(loop: ast.AST, source: Source) -> bool:
    """Say whether a loop's body appends, yields or numbers what it sees, unsorted afterwards."""
    for statement in loop.body:  # type: ignore[attr-defined]  # a loop
        for node in ast.walk(statement):
            if isinstance(node, ast.Yield | ast.YieldFrom) or _numbers(node, loop):
                return True
            if isinstance(node, ast.Call) and called(node) in _GROWS:
                grown = node.func
                if not isinstance(grown, ast.Attribute) or not _is_sorted(grown.value, source):
                    return True
    return False


def _numbers(node: ast.AST, loop: ast.AST) -> bool:
    """Say whether a statement counts: `index[name] = len(index)`, or the index of `enumerate`."""
    if not isinstance(node, ast.Assign):
        return False
    if not any(isinstance(target, ast.Subscript) for target in node.targets):
        return False
    if isinstance(node.value, ast.Call) and called(node.value) == "len":
        return True
    match loop:
        case ast.For(ast.Tuple([ast.Name(index), _]), ast.Call() as made):
            counted = {item.id for item in ast.walk(node.value) if isinstance(item, ast.Name)}
            return called(made) == "enumerate" and index in counted
    return False


def _lists(call: ast.Call, name: str, source: Source) -> bool:
    if name in _LISTERS:
        return True
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in _PATH_METHODS and "pathlib" in source.roots:
        return True
    return call.func.attr == "glob" and "pathlib" in source.roots and name != "glob.glob"


def _order_lost(node: ast.AST | None, scope: Scope, source: Source) -> bool:
    """Say whether what an expression gives is sorted, counted or otherwise freed of its order."""
    before = node
    for above in source.names.above(node) if node is not None else ():
        answer = _frees(above, before, scope, source)
        if answer is not None:
            return answer
        before = above
    return False


def _frees(above: ast.AST, before: ast.AST | None, scope: Scope, source: Source) -> bool | None:
    """Say whether a node frees what is below it of its order; None: look further up."""
    match above:
        case ast.Call():
            return _call_frees(above, before, scope, source)
        case ast.SetComp() | ast.Compare() | ast.JoinedStr() | ast.Raise() | ast.DictComp():
            return not (isinstance(above, ast.DictComp) and _is_numbered(above))
        case ast.comprehension():
            return _walk_sorted(before, scope, source) or None
        case ast.For() | ast.AsyncFor():
            sorts = _walk_sorted(before, scope, source)
            return before is above.iter and (sorts or not _builds(above, source))
        case ast.Assign() | ast.AnnAssign():
            return _sorted_later(above, scope, source)
        case ast.AugAssign(target):
            return _is_sorted(target, source)
        case ast.Subscript() | ast.stmt():
            return isinstance(above, ast.Expr | ast.If | ast.While | ast.Assert)
    return None


def _walk_sorted(walked: ast.AST | None, scope: Scope, source: Source) -> bool:
    """Say whether a function that loops over `os.walk` sorts: folders, files, or what it made."""
    if not isinstance(walked, ast.Call) or called(walked) != "walk":
        return False
    return any(where is scope and called(call) in _SORTS for call, where, _ in source.calls)


def _is_numbered(made: ast.DictComp) -> bool:
    """Say whether a dict's values count what is taken; else its keys find them in any order."""
    parts = (node for item in made.generators for node in ast.walk(item.iter))
    return any(isinstance(node, ast.Call) and called(node) == "enumerate" for node in parts)


def _call_frees(
    call: ast.Call, before: ast.AST | None, scope: Scope, source: Source
) -> bool | None:
    if before is call.func:
        return called(call) in {"exists", "unlink", "is_file"}
    if isinstance(call.func, ast.Attribute) and call.func.attr == "extend":
        return _is_sorted(call.func.value, source)
    name = source.names.name(call.func, scope)
    if name in _FREE or called(call) in {"sort", "sort_values", "natsorted", "update"}:
        return True
    return None if name in _WRAPS or called(call) in {"tqdm", "track"} else False


def _sorted_later(assign: ast.Assign | ast.AnnAssign, scope: Scope, source: Source) -> bool:
    """Say whether the name is sorted afterwards, or only used where order does not count."""
    target = assign.targets[0] if isinstance(assign, ast.Assign) else assign.target
    if isinstance(target, ast.Tuple | ast.List) and len(target.elts) == 1:
        return True  # `(only,) = ...` takes the one there is
    if not isinstance(target, ast.Name | ast.Attribute):
        return False
    if _is_sorted(target, source) or _only_asked(assign, target, scope, source):
        return True
    text = ast.unparse(target)
    loops = [n for n, _ in source.names.loops if ast.unparse(n.iter) == text]  # type: ignore[attr-defined]
    if loops:
        return all(isinstance(n, ast.For) and not _builds(n, source) for n in loops)
    uses = [name for call, _, name in source.calls if _names(call.args, text)]
    return bool(uses) and all(name in _FREE for name in uses) and isinstance(target, ast.Name)


def _only_asked(assign: ast.stmt, target: ast.expr, scope: Scope, source: Source) -> bool:
    """Say whether a name is afterwards only asked what it holds: `x in names`."""
    if not isinstance(target, ast.Name):
        return False
    later = [
        node
        for node, where in source.names.loads
        if where is scope and isinstance(node, ast.Name) and node.id == target.id
        if node.lineno > assign.lineno
    ]
    return bool(later) and all(_is_asked(node, source) for node in later)


def _is_asked(node: ast.Name, source: Source) -> bool:
    match source.names.parents.get(node):
        case ast.Compare(_, [ast.In() | ast.NotIn()], [holder]):
            return holder is node
    return False


def _names(given: Sequence[ast.expr], text: str) -> bool:
    kinds = ast.Name | ast.Attribute
    return any(isinstance(item, kinds) and ast.unparse(item) == text for item in given)


def _is_sorted(target: ast.expr, source: Source) -> bool:
    """Say whether a name is sorted somewhere in the file: in place, or through `sorted`."""
    text = ast.unparse(target)
    for call, _, name in source.calls:
        function = call.func
        in_place = isinstance(function, ast.Attribute) and function.attr == "sort"
        if in_place and ast.unparse(function.value) == text:  # type: ignore[attr-defined]  # so
            return True
        if name in {"builtins.sorted", "natsort.natsorted"}:
            parts = [node for item in call.args for node in ast.walk(item)]
            if _names([node for node in parts if isinstance(node, ast.expr)], text):
                return True
    return False


def _reduced(call: ast.Call, source: Source) -> bool:
    """Say whether the hash becomes a number in a range, a seed or a bucket: `hash(x) % n`."""
    for above in source.names.above(call):
        if isinstance(above, ast.BinOp) and isinstance(above.op, ast.Mod | ast.BitAnd):
            return True
        if isinstance(above, ast.Call) and "seed" in called(above).lower():
            return True
        if isinstance(above, ast.stmt):
            return False
    return False


def _own_hash(call: ast.Call, source: Source) -> bool:
    if call.args and isinstance(call.args[0], ast.Constant | ast.Tuple):
        node = call.args[0]
        if isinstance(node, ast.Constant):
            return not isinstance(node.value, str | bytes)
    return any(
        isinstance(above, ast.FunctionDef) and above.name == "__hash__"
        for above in source.names.above(call)
    )
