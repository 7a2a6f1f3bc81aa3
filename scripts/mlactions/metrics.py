"""The metrics file a user's evaluation writes: one shape for whoever measures and whoever decides.

Flat or under `metrics`; a number, or a list with one number per seed; nested keys become dotted;
a slice is `name/slice=value`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlactions.errors import UserError

MAX_METRICS = 100_000
MAX_DEPTH = 20


@dataclass(frozen=True)
class Problem:
    """A value that is not a finite number: a stable reason code, the metric, what was found."""

    reason: str
    metric: str
    found: str


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
        raise UserError("bad metrics", f"expected an object, found {found}.", file=file)
    wrapped = isinstance(document.get("metrics"), dict)
    body = document["metrics"] if wrapped else document
    provenance = document.get("provenance") if wrapped else None
    values: dict[str, tuple[float, ...]] = {}
    problems: list[Problem] = []
    for count, (name, value) in enumerate(_flatten(body, "", 0)):
        if count >= MAX_METRICS:
            raise UserError("bad metrics", f"more than {MAX_METRICS:,} metrics.", file=file)
        if name in values:
            problems.append(Problem("duplicate-key", name, "two spellings of one name"))
            continue
        numbers, wrong = _numbers(name, value)
        problems += wrong
        if not wrong:
            values[name] = numbers
    if not values and not problems:
        raise UserError("bad metrics", "the file holds no metric.", file=file)
    return Metrics(values, tuple(problems), provenance if isinstance(provenance, dict) else {})


def _flatten(body: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in body.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < MAX_DEPTH:
            if value:
                yield from _flatten(value, f"{name}.", depth + 1)
            else:
                yield name, value
        else:
            yield name, value


def _numbers(name: str, value: Any) -> tuple[tuple[float, ...], list[Problem]]:
    items = value if isinstance(value, list) else [value]
    if not items:
        return (), [Problem("empty-list", name, "[]")]
    problems = [
        Problem(reason, name, repr(item)[:80])
        for item in items
        if (reason := problem_of(item)) is not None
    ]
    return (() if problems else tuple(float(item) for item in items)), problems


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
