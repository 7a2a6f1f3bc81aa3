"""What a configuration value means, however it was spelt: MLflow keeps parameters as text.

`0.1`, `1e-1` and `"0.10"` are one number, `None` and `null` one nothing, `(1, 2)` and `[1, 2]` one
list. Types count otherwise: `1` is not `True`.
"""

from __future__ import annotations

import ast
import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from mlactions.errors import UserError
from mlactions.strict_yaml import parse_yaml

Match = Literal["same", "different", "order", "location", "beyond"]
"""How two values compare.

`order`: the same items, ordered otherwise. `location`: an absolute path that ends with the other
one. `beyond`: the logged text was cut, and is equal as far as it goes.
"""

Place = tuple[str | int, ...]
"""Mapping keys and list positions from the root of a document."""

LIMITS = frozenset({250, 500, 6000})
"""The lengths in characters that MLflow, by its age and server, cuts parameters to."""

FLOAT32_NOISE = 1e-7
"""Relative; a float32 that was printed as a float64 is off by less."""

MAX_TEXT = 100_000
MAX_DEPTH = 50
"""Brackets within brackets; what is nested deeper is text."""

_NULLS = frozenset({"None", "null", "Null", "NULL", "~"})
_BOOLS = {"True": True, "true": True, "TRUE": True, "False": False, "false": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,3999})")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_NOT_FINITE = re.compile(r"[-+]?\.?(?:inf|Inf|INF|Infinity|infinity)|[-+]?\.?(?:nan|NaN|NAN)")
_PATH = re.compile(r"[^\s:;,=<>|*?\"']+")
_INDEX = re.compile(r"\[(\d+)\]")


@lru_cache(maxsize=65_536)
def _parse(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and _is_kept(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    if text[:1] in {"[", "{", "("} and len(text) <= MAX_TEXT:
        return _collection(text)
    return text


def _is_kept(text: str) -> bool:
    """Tell digits that a float can hold from a digest that only looks like them: `62e44511`."""
    value = float(text)
    mantissa = re.split("[eE]", text)[0]
    return math.isfinite(value) and (value != 0 or not mantissa.strip("+-0."))


def parse(text: str) -> Any:
    """Return what a logged text stands for; text that is nothing else stands for itself.

    Digits that begin with a zero, or that no float can hold, are a name: a commit, a digest.
    """
    return _parse(text.strip()) if len(text) <= MAX_TEXT else text


def _collection(text: str) -> Any:
    """Read JSON, a Python literal, or YAML's flow style; anything else is text."""
    if _depth(text) > MAX_DEPTH:
        return text
    try:
        return normal(json.loads(text))
    except (ValueError, RecursionError):
        pass
    try:
        return normal(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    try:
        found = parse_yaml(text, name="value")
    except UserError:
        return text
    return normal(found) if isinstance(found, dict | list) else text


def _depth(text: str) -> int:
    """Return how deep brackets are nested; those in quotes count, too."""
    deepest = depth = 0
    for character in text:
        if character in "[{(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]})":
            depth -= 1
    return deepest


def normal(value: Any) -> Any:
    """Return a value with its texts parsed, its tuples and sets as lists, its keys as text."""
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, Mapping):
        return {str(key): normal(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [normal(item) for item in sorted(value, key=repr)]
    if isinstance(value, list | tuple):
        return [normal(item) for item in value]
    return value


def equal(first: Any, second: Any) -> bool:
    """Return whether two normal values mean the same. NaN is what it is: the same as NaN."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, int | float) and isinstance(second, int | float):
        return _same_number(first, second)
    if isinstance(first, str) and isinstance(second, str):
        return first == second or (_is_path(first) and _path(first) == _path(second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            equal(first[key], second[key]) for key in first
        )
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(equal, first, second))
    return type(first) is type(second) and bool(first == second)


def _same_number(first: float, second: float) -> bool:
    if first == second:
        return True
    if isinstance(first, int) and isinstance(second, int):
        return False  # exact, however large: not every integer fits into a float
    if not (_is_finite(first) and _is_finite(second)):
        return first != first and second != second  # noqa: PLR0124  # only NaN is not itself
    if float(first).is_integer() and float(second).is_integer():
        return False  # seeds and sizes: one more is another one
    return math.isclose(first, second, rel_tol=FLOAT32_NOISE, abs_tol=0.0)


def _is_finite(value: float) -> bool:
    """Return whether a number is a finite float, or an integer that one can stand for."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def match(current: Any, logged: Any) -> Match:
    """Compare a value of a configuration with a logged one, which is text or already a value."""
    value = normal(current)
    text = logged if isinstance(logged, str) else None
    other = normal(logged)
    if equal(value, other):
        return "same"
    if text is not None and len(text) in LIMITS and _starts_with(current, text):
        return "beyond"
    if isinstance(value, list) and isinstance(other, list) and _same_items(value, other):
        return "order"
    if isinstance(value, str) and isinstance(other, str) and _same_ending(value, other):
        return "location"
    return "different"


def _starts_with(current: Any, text: str) -> bool:
    """Return whether one of the ways in which loggers spell a value begins with the cut text."""
    spellings = [str(current)]
    if isinstance(current, dict | list):
        spellings += [json.dumps(current), json.dumps(current, separators=(",", ":"))]
    return any(len(full) > len(text) and full.startswith(text) for full in spellings)


def _same_items(first: list[Any], second: list[Any]) -> bool:
    if len(first) != len(second):
        return False
    left = sorted(map(_key, first))
    return left == sorted(map(_key, second))


def _key(value: Any) -> str:
    """Return text that is equal for equal values, to sort and compare by."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _is_path(value):
        value = _path(value)
    return json.dumps(value, sort_keys=True, default=str)


def _is_path(text: str) -> bool:
    return "/" in text and "://" not in text and bool(_PATH.fullmatch(text))


def _path(text: str) -> str:
    return posixpath.normpath(text)


def _same_ending(first: str, second: str) -> bool:
    """Return whether one is absolute, and the other relative and its end."""
    if not (_PATH.fullmatch(first) and _PATH.fullmatch(second)):
        return False
    absolute, relative = sorted((_path(first), _path(second)), key=lambda path: path[:1] != "/")
    outside = relative.startswith(("/", "..")) or relative == "."
    return absolute.startswith("/") and not outside and absolute.endswith(f"/{relative}")


def canonical_key(key: str) -> str:
    """Return a parameter's name with dots: loggers write `a/b`, `a.b` and `a[0]` for one place."""
    return _INDEX.sub(r".\1", key).replace("/", ".").strip(".")


def flatten(document: Any, below: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield the places and values of a document, as loggers spread them.

    A list is one value, unless it holds mappings or lists; an empty mapping is a value.
    """
    if isinstance(document, Mapping) and document:
        for key, value in document.items():
            yield from flatten(value, (*below, key))
    elif _is_nested(document):
        for position, value in enumerate(document):
            yield from flatten(value, (*below, position))
    else:
        yield below, document


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(item, Mapping | list | tuple) for item in value
    )


def dotted(place: Sequence[str | int]) -> str:
    """Return a place as one name: `model.layers.0.width`."""
    return ".".join(map(str, place))


def spread(params: Mapping[str, str]) -> dict[str, Any]:
    """Return logged parameters by their dotted names, one value each.

    A parameter that holds a whole mapping is spread out; `a.0`, `a.1`, … become the list `a`. A
    parameter of that very name wins.
    """
    found: dict[str, Any] = {}
    for key, text in params.items():
        value = parse(text)
        if isinstance(value, dict) or _is_nested(value):
            for place, item in flatten(value):
                found.setdefault(dotted((canonical_key(key), *place)), item)
    found |= {
        canonical_key(key): text
        for key, text in params.items()
        if not isinstance(parse(text), dict) and not _is_nested(parse(text))
    }
    return found | {name: items for name, items in _lists(found).items() if name not in found}


def _lists(found: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the lists that were logged item by item, without a gap."""
    items: dict[str, dict[int, Any]] = {}
    for key, value in found.items():
        name, _, position = key.rpartition(".")
        if name and position.isascii() and position.isdigit():
            items.setdefault(name, {})[int(position)] = value
    return {
        name: [by_position[index] for index in range(len(by_position))]
        for name, by_position in items.items()
        if sorted(by_position) == list(range(len(by_position)))
    }


def show(value: Any) -> str:
    """Return a value as a reader writes it: JSON, but text without quotes where that is clear."""
    if isinstance(value, str):
        return value if parse(value) == value and value.strip() == value != "" else repr(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        return str(value)
