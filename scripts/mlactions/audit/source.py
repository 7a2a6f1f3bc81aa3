"""One Python file or notebook, parsed and walked: what the rules look at."""

from __future__ import annotations

import ast
import contextlib
import io
import tokenize
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlactions.audit.model import Finding, Level, Place, Rule
from mlactions.audit.names import Names, Scope, read_names
from mlactions.audit.notebook import NOTEBOOK_FLAGS, Notebook, NotebookError, read_notebook

LEARNING = frozenset(
    {"torch", "torchvision", "torchaudio", "lightning", "pytorch_lightning", "accelerate"}
    | {"transformers", "datasets", "diffusers", "timm", "numpy", "sklearn", "pandas", "jax"}
    | {"tensorflow", "keras", "PIL", "cv2", "monai", "mlflow", "ignite", "trl", "peft"}
)
MAX_QUOTE = 200


class UnreadableError(ValueError):
    """A source that cannot be parsed; the message says why."""


@dataclass(eq=False)
class Source:
    """A parsed file. Lines of the tree are those of `text`; `place` gives those people open."""

    path: str
    text: str
    tree: ast.Module
    notebook: Notebook | None = None

    @cached_property
    def names(self) -> Names:
        """Scopes, calls, loops and assignments of the file."""
        return read_names(self.tree)

    @cached_property
    def lines(self) -> list[str]:
        """The source, line by line, as `ast` counts them."""
        return self.text.splitlines() if "\f" not in self.text else self.text.split("\n")

    @cached_property
    def roots(self) -> frozenset[str]:
        """The top-level packages that the file imports."""
        found: set[str] = set()
        for node, _ in self.names.imported:
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
        return frozenset(found)

    @property
    def learns(self) -> bool:
        """True where the file imports something that machine learning code is made of."""
        return bool(self.roots & LEARNING)

    def place(self, line: int) -> Place:
        """Return where a line of the tree stands in the file."""
        if self.notebook is None:
            return Place(line)
        places = self.notebook.places
        return places[line - 1] if 0 < line <= len(places) else Place(1)

    def quote(self, line: int) -> str:
        """Return a line of the source, without its indent."""
        return self.lines[line - 1].strip()[:MAX_QUOTE] if 0 < line <= len(self.lines) else ""

    def finding(
        self, rule: Rule, node: ast.AST, message: str, *, level: Level | None = None
    ) -> Finding:
        """Return a finding at a node; a comment anywhere in its statement may answer it."""
        line = getattr(node, "lineno", 1)
        last = getattr(node, "end_lineno", None) or line
        return Finding(
            rule=rule.id,
            level=level or rule.level,
            file=self.path,
            place=self.place(line),
            message=message,
            quote=self.quote(line),
            source_line=line,
            last_line=last,
        )

    @cached_property
    def calls(self) -> list[tuple[ast.Call, Scope, str]]:
        """Every call with its scope and the dotted name of what is called, "" if unknown."""
        names = self.names
        return [(call, scope, names.name(call.func, scope)) for call, scope in names.calls]

    @cached_property
    def held(self) -> Mapping[str, Sequence[tuple[ast.expr, Scope]]]:
        """What attributes are assigned, by dotted name: `@Engine.optimizer`."""
        found: dict[str, list[tuple[ast.expr, Scope]]] = {}
        for node, scope in self.names.assigned:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                name = self.names.name(target, scope) if isinstance(target, ast.Attribute) else ""
                if name and node.value is not None:
                    found.setdefault(name, []).append((node.value, scope))
        return found

    @cached_property
    def declared(self) -> Mapping[tuple[ast.AST, str], ast.expr]:
        """The types that assignments declare, by the scope's node and the name."""
        return {
            (scope.node, node.target.id): node.annotation
            for node, scope in self.names.assigned
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }

    @cached_property
    def bases(self) -> Mapping[str, Sequence[str]]:
        """The bases of the module's classes, by `@Class`, as dotted names."""
        module = self.names.module
        return {
            f"@{node.name}": [self.names.name(base, module) for base in node.bases]
            for node in self.tree.body
            if isinstance(node, ast.ClassDef)
        }


def parse_source(path: str, data: bytes) -> Source:
    """Parse a file. Raises UnreadableError: not text, no Python, no notebook, too deep."""
    if path.endswith(".ipynb"):
        return _parse_notebook(path, data)
    text = _decode(data)
    return Source(path, text, _parse(text))


def _parse_notebook(path: str, data: bytes) -> Source:
    try:
        book = read_notebook(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"byte {error.start} is not UTF-8") from None
    except NotebookError as error:
        raise UnreadableError(str(error)) from None
    return Source(path, book.source, _parse(book.source, NOTEBOOK_FLAGS), book)


def _decode(data: bytes) -> str:
    """Decode as Python does: by the byte order mark or the coding comment, else UTF-8."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding, newline=None).read()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"byte {error.start} is not {error.encoding.upper()}") from None
    except (SyntaxError, LookupError) as error:
        with contextlib.suppress(UnicodeDecodeError):
            data.decode("utf-8-sig")
            raise UnreadableError(f"{error}"[:200]) from None
    raise UnreadableError("its first lines are not UTF-8")


def _parse(text: str, flags: int = ast.PyCF_ONLY_AST) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user's invalid escapes are none of our business
            tree = compile(text, "source", "exec", flags=flags, dont_inherit=True)
    except SyntaxError as error:
        where = f" (line {error.lineno}: {error.msg})" if error.lineno else f" ({error.msg})"
        raise UnreadableError(f"it cannot be parsed{where}"[:200]) from None
    except ValueError as error:
        raise UnreadableError(f"it cannot be parsed ({error})"[:200]) from None
    except (RecursionError, MemoryError):
        raise UnreadableError("it cannot be parsed: it is nested too deeply") from None
    assert isinstance(tree, ast.Module)  # noqa: S101  # for the type checker: we asked for it
    return tree


def keyword(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """Return the argument of a call, by its name or its position."""
    for given in call.keywords:
        if given.arg == name:
            return given.value
    if position is not None and len(call.args) > position:
        before = call.args[: position + 1]
        return None if any(isinstance(item, ast.Starred) for item in before) else before[-1]
    return None


def is_open(call: ast.Call) -> bool:
    """Say whether `*args` or `**kwargs` may hold any argument."""
    return any(item.arg is None for item in call.keywords) or any(
        isinstance(item, ast.Starred) for item in call.args
    )


def constant(node: ast.expr | None) -> object:
    """Return a literal's value, negative numbers too; `...` for anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = constant(node.operand)
        return -value if isinstance(value, int | float) else ...
    return ...


def last_part(name: str) -> str:
    """Return what a dotted name ends with."""
    return name.rpartition(".")[2]


def called(call: ast.Call) -> str:
    """Return the last part of what is called, whatever it belongs to."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def receiver(call: ast.Call) -> str:
    """Return the text of the name before `.method(...)`: `self.trainer` is `trainer`."""
    if not isinstance(call.func, ast.Attribute):
        return ""
    match call.func.value:
        case ast.Name(name):
            return name
        case ast.Attribute(_, name):
            return name
        case ast.Call() as inner:
            return called(inner)
    return ""


def joined(items: Sequence[str], word: str = "and") -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return f"{', '.join(items[:-1])} {word} {items[-1]}" if len(items) > 1 else "".join(items)
