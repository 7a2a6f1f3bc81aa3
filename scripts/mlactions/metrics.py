"""The metrics file a user's evaluation writes: one shape for whoever measures and whoever decides.

Flat or under `metrics`; a number, or a list with one number per seed; nested keys become dotted;
a slice is `name/slice=value`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlactions.errors import UserError

MAX_METRICS = 100_000
MAX_DEPTH = 20
MAX_QUOTED = 80
SHAPES = (
    'Write {"accuracy": 0.98} or {"metrics": {"accuracy": 0.98}} for one model, and'
    ' {"models": {"<model>": {"metrics": {"accuracy": 0.98}}}} for several in one file.'
)

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """A value that is not a finite number: a stable reason code, the metric, what was found.

    `keys` is its place in the document.
    """

    reason: str
    metric: str
    found: str
    keys: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Metrics:
    """Values per metric, one per seed, and what was wrong with the rest."""

    values: Mapping[str, tuple[float, ...]]
    problems: tuple[Problem, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def parse_metrics(document: Any, *, file: str) -> Metrics:
    """Read a metrics document: `{"metrics": {…}, "provenance": {…}}` or a flat mapping.

    Broken values are collected as problems, so that one report names them all.
    Raises UserError when the document is no mapping, is empty, or is absurdly large.
    """
    if not isinstance(document, dict):
        found = "nothing" if document is None else f"a {kind(document)}"
        raise UserError("bad metrics", f"expected an object, found {found}.", SHAPES, file)
    wrapped = isinstance(document.get("metrics"), dict)
    body = document["metrics"] if wrapped else document
    provenance = document.get("provenance") if wrapped else None
    values: dict[str, tuple[float, ...]] = {}
    problems: list[Problem] = []
    root = ("metrics",) if wrapped else ()
    for count, (name, keys, value) in enumerate(_flatten(body, "", root)):
        if count >= MAX_METRICS:
            raise UserError("bad metrics", f"more than {MAX_METRICS:,} metrics.", file=file)
        if name in values:
            found = "two spellings of one name"
            problems.append(Problem("duplicate-key", name, found, keys))
            continue
        numbers, wrong = _numbers(name, value, keys)
        problems += wrong
        if not wrong:
            values[name] = numbers
    if not values and not problems:
        raise UserError("bad metrics", "the file holds no metric.", SHAPES, file)
    return Metrics(values, tuple(problems), provenance if isinstance(provenance, dict) else {})


def _flatten(body: Mapping[str, Any], prefix: str, keys: Keys) -> Iterator[tuple[str, Keys, Any]]:
    for key, value in body.items():
        name, place = f"{prefix}{key}", (*keys, key)
        if isinstance(value, dict) and value and len(keys) < MAX_DEPTH:
            yield from _flatten(value, f"{name}.", place)
        else:
            yield name, place, value


def _numbers(name: str, value: Any, keys: Keys) -> tuple[tuple[float, ...], list[Problem]]:
    items = value if isinstance(value, list) else [value]
    if not items:
        return (), [Problem("empty-list", name, "[]", keys)]
    problems = [
        Problem(reason, name, as_json(item), keys)
        for item in items
        if (reason := problem_of(item)) is not None
    ]
    return (() if problems else tuple(float(item) for item in items)), problems


def as_json(value: Any) -> str:
    """Return a value as its file has it, cut to what a message can hold."""
    # JSON can spell half a surrogate pair, which no file can hold.
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…"


def problem_of(value: Any) -> str | None:
    """Return the reason code why a value is no finite number, or None if it is one."""
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, str):
        return "string"
    if not isinstance(value, int | float):
        return "not-a-number"
    try:
        number = float(value)
    except OverflowError:
        return "infinite"
    if math.isnan(number):
        return "nan"
    return "infinite" if math.isinf(number) else None


def kind(value: Any) -> str:
    """Name a JSON value's type as its writer would."""
    names: dict[type, str] = {
        dict: "mapping",
        list: "list",
        str: "string",
        bool: "boolean",
        int: "number",
        float: "number",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)
