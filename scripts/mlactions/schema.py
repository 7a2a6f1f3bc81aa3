"""Strict reading of JSON and YAML: duplicate keys, alias bombs and oversized files are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mlactions.errors import UserError

MAX_BYTES = 5 * 1024 * 1024
MAX_NODES = 500_000

Keys = Sequence[str | int]
"""A place in a document: mapping keys and list positions from the root."""


class _Loader(yaml.CSafeLoader):
    """YAML 1.2's core types: `1e-3` is a number, `no` and `2026-11-01` are strings."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # the base class declares it so


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), None
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Return a UTF-8 file's text; missing, oversized, linked or binary files are user errors."""
    name = str(path)
    try:
        if path.stat().st_size > max_bytes:
            raise UserError("file too large", f"more than {max_bytes:,} bytes.", file=name)
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError("file not found", "there is no such file.", file=name) from None
    except IsADirectoryError:
        raise UserError("not a file", "this is a folder.", file=name) from None
    except UnicodeDecodeError as error:
        raise UserError("not text", f"byte {error.start} is not UTF-8.", file=name) from None
    except OSError as error:
        raise UserError("cannot read", f"{error.strerror}.", file=name) from None


def load_yaml(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read one YAML document from a file."""
    return parse_yaml(read_text(path, max_bytes=max_bytes), name=str(path))


def parse_yaml(text: str, *, name: str) -> Any:
    """Parse one YAML document; `name` is the file the messages speak of.

    Raises UserError for syntax errors, a second document, duplicate keys, unknown tags,
    recursion, and aliases that expand beyond MAX_NODES nodes.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node, name)
        _check_keys(node, name)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(
            "not valid YAML",
            f"{error.problem or error.context}.",
            file=name,
            line=mark.line + 1 if mark else None,
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError("not valid YAML", f"{error}.", file=name) from None
    finally:
        loader.dispose()


def _check_size(root: yaml.Node, name: str) -> None:
    """Refuse documents that grow when their aliases are expanded (a `billion laughs` bomb)."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, children_done = stack.pop()
        children = _children(node)
        if children_done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
            if sizes[id(node)] > MAX_NODES:
                raise UserError(
                    "too many values",
                    f"more than {MAX_NODES:,} once aliases are expanded.",
                    file=name,
                )
        elif id(node) in open_nodes:
            raise UserError(
                "endless alias", "an alias contains itself.", file=name, line=_line(node)
            )
        elif id(node) not in sizes:
            if children:
                open_nodes.add(id(node))
                stack.append((node, True))
                stack.extend((child, False) for child in children)
            else:
                sizes[id(node)] = 1


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check_keys(root: yaml.Node, name: str) -> None:
    """Refuse a key that is written twice in one mapping: the last would silently win."""
    stack, seen = [root], set[int]()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _refuse_duplicates(node, name)
        stack.extend(_children(node))


def _refuse_duplicates(node: yaml.MappingNode, name: str) -> None:
    keys: set[Hashable] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            if key.value in keys:
                raise UserError(
                    "duplicate key",
                    f"`{key.value}` is written twice in one mapping.",
                    "Keep one of them.",
                    file=name,
                    line=_line(key),
                )
            keys.add(key.value)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def line_of(text: str, keys: Keys) -> int | None:
    """Return the 1-based line where a place in a YAML or JSON text stands, or the nearest above.

    Only called once something is wrong, so reading the text again costs nobody anything.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except (yaml.YAMLError, RecursionError):
        return None
    finally:
        loader.dispose()
    line = _line(node) if node is not None else None
    for key in keys:
        found = _step(node, key)
        if found is None:
            break
        line, node = found
    return line


def _step(node: yaml.Node | None, key: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if getattr(name, "value", None) == str(key):
                return _line(name), value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return _line(node.value[key]), node.value[key]
    return None


def load_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read one JSON document from a file."""
    return parse_json(read_text(path, max_bytes=max_bytes), name=str(path))


def parse_json(text: str, *, name: str) -> Any:
    """Parse JSON strictly. NaN and Infinity become floats, so that callers can name them.

    Raises UserError for syntax errors and duplicate keys.
    """

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _DuplicateKeyError(_first_duplicate([key for key, _ in pairs]))
        return found

    try:
        return json.loads(text, object_pairs_hook=mapping)
    except _DuplicateKeyError as error:
        raise UserError(
            "duplicate key",
            f"`{error.key}` is written twice in one object.",
            "Keep one of them.",
            file=name,
            line=_second_line(text, error.key),
        ) from None
    except json.JSONDecodeError as error:
        message = "the file is empty" if not text.strip() else error.msg[:1].lower() + error.msg[1:]
        raise UserError("not valid JSON", f"{message}.", file=name, line=error.lineno) from None
    except RecursionError:
        raise UserError("not valid JSON", "nested too deeply.", file=name) from None


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _first_duplicate(keys: list[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _second_line(text: str, key: str) -> int | None:
    places = [match.start() for match in re.finditer(re.escape(json.dumps(key)) + r"\s*:", text)]
    return text.count("\n", 0, places[1]) + 1 if len(places) > 1 else None


def resource(name: str) -> Path:
    """Return a file of this repository (`schemas/…`, `actions/…`), also when installed."""
    package = Path(__file__).resolve().parent
    checkout = package.parent.parent / name
    return checkout if checkout.exists() else package / "resources" / name


@cache
def schema(name: str) -> dict[str, Any]:
    """Return one of our JSON Schemas: a file next to the code, or under `schemas/`."""
    own = Path(__file__).resolve().parent / "schemas" / f"{name}.schema.json"
    path = own if own.exists() else resource(f"schemas/{name}.schema.json")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # our own file


def validate(document: Any, name: str, *, file: str) -> None:
    """Check a document against one of our schemas; the first violation becomes a UserError."""
    from jsonschema import Draft202012Validator  # 90 ms to import: only who validates pays
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema(name)).iter_errors(document))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or "the document"
        raise UserError(f"not a valid {name} file", f"{place}: {_short(error.message)}", file=file)


def _short(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"


def canonical(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON with one spelling for equal documents: sorted keys, no spaces, no NaN."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
