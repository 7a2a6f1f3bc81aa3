"""OmegaConf's `${…}`: what refers to other keys is looked up, all else is left unresolved.

Grammar: https://omegaconf.readthedocs.io/en/latest/grammar.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlactions.drift.model import Unresolved
from mlactions.values import Place

Lookup = Callable[[Place], Any]
"""Returns what stands at a place; raises KeyError where nothing does."""

MAX_DEPTH = 30
MAX_STEPS = 1000
MAX_LENGTH = 100_000
MISSING = "???"
ENVIRONMENT = "the environment decides when the program runs"
_ELSEWHERE = frozenset({"oc.env", "env", "now", "hydra"})
_REFERENCE = re.compile(r"(?P<dots>\.*)(?P<path>[^.\s:{}$][^:{}$]*|)")


def resolve(document: Any, lookup: Lookup | None = None, place: Place = ()) -> Any:
    """Return a document with its interpolations resolved, each Unresolved that cannot be."""
    find = lookup or _finder(document)
    if isinstance(document, Mapping):
        return {key: resolve(value, find, (*place, key)) for key, value in document.items()}
    if isinstance(document, list):
        return [resolve(value, find, (*place, index)) for index, value in enumerate(document)]
    return _Resolver(find).value(document, place)


def _finder(document: Any) -> Lookup:
    def find(place: Place) -> Any:
        value = document
        for key in place:
            if isinstance(value, list) and str(key).isdigit() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, Mapping):
                value = value[key] if key in value else _by_text(value, key)
            else:
                raise KeyError(key)
        return value

    return find


def _by_text(mapping: Mapping[Any, Any], key: str | int) -> Any:
    """Return the value of a key that YAML read as a number."""
    for other, value in mapping.items():
        if str(other) == str(key):
            return value
    raise KeyError(key)


@dataclass
class _Resolver:
    """Resolves one value; `depth` ends circles, `steps` what would double at every level."""

    find: Lookup
    depth: int = 0
    steps: int = 0

    def value(self, value: Any, place: Place) -> Any:
        if value == MISSING and isinstance(value, str):
            return Unresolved(MISSING, "it must be given on the command line")
        if isinstance(value, dict):
            return {key: self.value(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*place, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        self.depth, self.steps = self.depth + 1, self.steps + 1
        try:
            return self._text(value, place)
        except _UnresolvedError as error:
            return Unresolved(value, error.why)
        finally:
            self.depth -= 1

    def _text(self, text: str, place: Place) -> Any:
        """Return text with every interpolation replaced; one alone keeps its type."""
        if self.depth > MAX_DEPTH or self.steps > MAX_STEPS:
            raise _UnresolvedError("it refers to itself, or to too many others")
        parts: list[Any] = []
        position = 0
        while (start := text.find("${", position)) >= 0:
            if start and text[start - 1] == "\\":
                parts.append(text[position : start - 1] + "${")
                position = start + 2
                continue
            end = _closing(text, start + 2)
            parts += [text[position:start]] if start > position else []
            parts.append(self._reference(text[start + 2 : end], place))
            position = end + 1
        parts += [text[position:]] if position < len(text) else []
        if len(parts) == 1:
            return parts[0]
        joined = "".join(map(_spelled, parts))
        if len(joined) > MAX_LENGTH:
            raise _UnresolvedError("it grows too long")
        return joined

    def _reference(self, inner: str, place: Place) -> Any:
        if "${" in inner:
            inner = _spelled(self._text(inner, place))
        name, colon, arguments = inner.strip().partition(":")
        if colon and name == "oc.select":
            key, _, default = arguments.partition(",")
            try:
                return self._node(key.strip(), ())
            except _UnresolvedError:
                return default.strip() or None
        if colon:
            if name in _ELSEWHERE:
                raise _UnresolvedError(ENVIRONMENT)
            raise _UnresolvedError(f"the resolver `{name}` decides when the program runs")
        return self._node(name, place)

    def _node(self, path: str, place: Place) -> Any:
        """Look a key up: from the root, or from as many levels above as there are dots."""
        match = _REFERENCE.fullmatch(path)
        if match is None:
            raise _UnresolvedError("it cannot be read")
        dots = len(match["dots"])
        keys = re.findall(r"[^.\[\]]+", match["path"])
        target = (*place[: len(place) - dots], *keys) if dots else tuple(keys)
        if dots > len(place):
            raise _UnresolvedError("it leads above the root")
        try:
            found = self.find(target)
        except KeyError:
            raise _UnresolvedError(f"there is no key `{'.'.join(map(str, target))}`") from None
        value = self.value(found, target)
        if isinstance(value, Unresolved):
            raise _UnresolvedError(value.why)
        return value


class _UnresolvedError(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _closing(text: str, start: int) -> int:
    """Return where the brace closes that opened before `start`."""
    level = 1
    for position in range(start, len(text)):
        level += (text[position] == "{") - (text[position] == "}")
        if level == 0:
            return position
    raise _UnresolvedError("a brace is not closed")


def _spelled(value: Any) -> str:
    return "null" if value is None else str(value)
