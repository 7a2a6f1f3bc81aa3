"""Change values in a YAML file and nothing else: comments, order, quotes and spaces stay.

Works on the text, at the places a parser marks. A round trip through a YAML writer would spell
the rest of the file anew.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mlactions.errors import UserError
from mlactions.strict_yaml import Keys, parse_yaml, resolve

Changes = Mapping[tuple[str, ...], Mapping[str, Any]]
"""New values by the path of the mapping they stand in and their key."""

AT_END = "provenance"
"""Fields go to the front of a rule and to the end of a provenance."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*[A-Za-z0-9]")
_LIKE_A_NUMBER = re.compile(r"[0-9.:_]+")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replace a span of the text."""

    start: int
    end: int
    text: str


def edit(text: str, changes: Changes, *, name: str) -> str:
    """Return the text with new values; what is not there yet is added.

    A key `value` that becomes a list is renamed to `values`. Raises UserError where the result
    would not read as intended, for example behind an alias.
    """
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    edits = [
        change
        for path, fields in changes.items()
        for change in _edits(text, _node(root, path, name), fields, at_end=path[-1] == AT_END)
    ]
    return _applied(text, edits)


def append(text: str, blocks: Mapping[tuple[str, ...], Sequence[str]], *, name: str) -> str:
    """Return the text with more lines at the end of some mappings, given by their paths.

    Lines are YAML indented from 0. Raises UserError for a mapping that stands in braces and is
    not empty: lines do not go there.
    """
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    edits = [_at_end(text, _node(root, block[0], name), block, name) for block in blocks.items()]
    return _applied(text, edits)


def _at_end(
    text: str, node: yaml.MappingNode, block: tuple[Keys, Sequence[str]], name: str
) -> _Edit:
    path, lines = block
    if not node.value:
        indent = newline(text) + "  " * len(path)
        return _Edit(
            node.start_mark.index, node.end_mark.index, "".join(indent + line for line in lines)
        )
    if node.flow_style:
        where = ".".join(map(str, path))
        raise UserError(
            "cannot edit",
            f"`{where}` stands in braces.",
            "Write it in lines, or paste the rules yourself.",
            name,
            node.start_mark.line + 1,
        )
    return _behind(text, node, lines)


def _applied(text: str, edits: Sequence[_Edit]) -> str:
    """Return the text with all edits; of two at one place, the later one comes first."""
    for change in sorted(edits, key=lambda change: change.start, reverse=True):
        text = text[: change.start] + change.text + text[change.end :]
    return text


def check(before: str, after: str, changes: Changes, *, name: str) -> None:
    """Raise UserError unless `after` reads as `before` with the changes and nothing else."""
    wanted = copy.deepcopy(parse_yaml(before, name=name))
    for path, fields in changes.items():
        body = wanted
        for key in path:
            body = body[key]
        for key, value in fields.items():
            if key == "values":
                body.pop("value", None)
            body[key] = value
    try:
        same = parse_yaml(after, name=name) == wanted
    except UserError:
        same = False
    if not same:
        raise UserError(
            "cannot edit",
            "a value stands behind an alias, a merge or an unusual spelling.",
            "Write it out where it belongs.",
            name,
        )


def _node(root: yaml.Node | None, path: Keys, name: str) -> yaml.MappingNode:
    node = root
    for key in path:
        node = _value(node, str(key))
    if not isinstance(node, yaml.MappingNode):
        where = ".".join(map(str, path))
        raise UserError("cannot edit", f"`{where}` is written in an unusual way.", file=name)
    return node


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return value  # type: ignore[no-any-return]  # PyYAML's nodes are not typed
    return None


def _edits(
    text: str, node: yaml.MappingNode, fields: Mapping[str, Any], *, at_end: bool
) -> Iterator[_Edit]:
    present = {name.value: (name, value) for name, value in node.value}
    missing = {}
    for key, value in fields.items():
        if key in present:
            yield from _replaced(text, present[key], value)
        elif key == "values" and "value" in present:
            name, old = present["value"]
            yield _Edit(name.start_mark.index, name.end_mark.index, "values")
            yield from _replaced(text, (name, old), value)
        else:
            missing[key] = value
    if missing and at_end and node.value:
        yield _appended(text, node, missing)
    elif missing:
        yield _added(text, node, missing)


def _replaced(text: str, pair: tuple[Any, Any], value: Any) -> Iterator[_Edit]:
    name, node = pair
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list):
        if len(value) == len(node.value) or not node.flow_style:
            yield from _items(text, node, value)
            return
    elif isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index:
        colon = text.index(":", name.end_mark.index) + 1
        yield _Edit(colon, colon, f" {spell(value)}")
        return
    elif isinstance(node, yaml.ScalarNode) and not isinstance(value, list):
        yield from _scalar(node, value)
        return
    start, end = node.start_mark.index, _end(node)
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        # A block list begins on its own line; the value goes behind the key.
        start = text.index(":", name.end_mark.index) + 1
        yield _Edit(start, end, f" {spell(value)}")
        return
    yield _Edit(start, end, spell(value))


def _items(text: str, node: yaml.SequenceNode, values: Sequence[Any]) -> Iterator[_Edit]:
    """Replace the items of a list one by one; those that stay keep the comments beside them."""
    for child, item in zip(node.value, values, strict=False):
        yield from _scalar(child, item)
    for child in node.value[len(values) :]:
        start = text.rfind("\n", 0, child.start_mark.index) + 1
        yield _Edit(start, text.find("\n", _end(child)) + 1 or len(text), "")
    more = values[len(node.value) :]
    if more:
        place = _line_end(text, _end(node.value[-1]))
        indent = newline(text) + " " * node.start_mark.column
        yield _Edit(place, place, "".join(f"{indent}- {spell(item)}" for item in more))


def _scalar(node: yaml.Node, value: Any) -> Iterator[_Edit]:
    """Replace one value; an equal one keeps its spelling: `0.980` stays `0.980`."""
    start, end = node.start_mark.index, node.end_mark.index
    if not _same(node, value):
        yield _Edit(start, end, spell(value))


def _same(node: yaml.Node, value: Any) -> bool:
    if not isinstance(node, yaml.ScalarNode):
        return False
    if isinstance(value, str):
        return bool(node.value == value)
    try:
        return value is not None and float(node.value) == float(value)
    except ValueError:
        return False


def _end(node: yaml.Node) -> int:
    """Return where a node's last word ends: a block's own end lies behind comments below it."""
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        key, value = node.value[-1]
        return max(_end(key), _end(value))
    return int(node.end_mark.index)


def _appended(text: str, node: yaml.MappingNode, fields: Mapping[str, Any]) -> _Edit:
    """Add fields behind the last one; a comment beside that one stays beside it."""
    pairs = [f"{key}: {spell(value)}" for key, value in fields.items()]
    if node.flow_style:
        place = max(map(_end, node.value[-1]))
        return _Edit(place, place, "".join(f", {pair}" for pair in pairs))
    return _behind(text, node, pairs)


def _behind(text: str, node: yaml.MappingNode, lines: Sequence[str]) -> _Edit:
    """Add lines behind a block mapping's last one, with its indentation."""
    place = _line_end(text, max(map(_end, node.value[-1])))
    indent = newline(text) + " " * node.start_mark.column
    return _Edit(place, place, "".join(indent + line for line in lines))


def _line_end(text: str, place: int) -> int:
    """Return where the line of a place ends: before its line feed, and what stands before that."""
    end = text.find("\n", place)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1] == "\r" and end > place else end


def newline(text: str) -> str:
    """Return what ends the lines of a text: that of its first one."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def _added(text: str, node: yaml.MappingNode, fields: Mapping[str, Any]) -> _Edit:
    """Add fields before the first one."""
    pairs = [f"{key}: {spell(value)}" for key, value in fields.items()]
    if node.flow_style:
        place = node.start_mark.index + 1
        return _Edit(place, place, ", ".join(pairs) + (", " if node.value else ""))
    place = node.start_mark.index
    indent = newline(text) + " " * node.start_mark.column
    return _Edit(place, place, indent.join(pairs) + indent)


def _is_plain(text: str) -> bool:
    """Tell whether text needs no quotes, also for readers that follow YAML 1.1."""
    if not _PLAIN.fullmatch(text) or _LIKE_A_NUMBER.fullmatch(text):
        return False
    return text.lower() not in _WORDS and isinstance(resolve(text), str)


def quoted(text: str) -> str:
    """Return text in double quotes, with what YAML does not allow to stand there escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    letters = (letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in escaped)
    return f'"{"".join(letters)}"'


def spell(value: Any) -> str:
    """Return a value as YAML on one line."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {spell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(spell, value)) + "]"
    if isinstance(value, str):
        return value if _is_plain(value) else quoted(value)
    return json.dumps(value) if isinstance(value, bool) else repr(value)
