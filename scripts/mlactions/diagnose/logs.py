"""Read metrics out of a training log, in the shapes that training programs print. Pure.

`key=value` and `key: value` (also tqdm's and Lightning's bars), JSON lines, and the Python dicts of
Hugging Face's Trainer, and tables. A line without a number that belongs to a name is no error: most
have none.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlactions.curves import Value
from mlactions.diagnose.tables import Table

MAX_SERIES = 200
MAX_LINE = 20_000

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)"
_PAIR = re.compile(
    rf"(?<![\w./-])['\"]?(?P<key>[A-Za-z_][\w./-]{{0,99}})['\"]?"
    rf"(?:\s?[=:]\s{{0,6}}|\s)(?:tensor\()?(?P<value>{_NUMBER})(?P<total>/\d+)?%?(?=[\s,;|)\]}}'\":]|\.?$)",
    re.IGNORECASE,
)
_BAR = re.compile(r"\|\s*(?P<done>\d+)/(?P<total>\d+)\s*\[")
_ERROR = re.compile(r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b.*|Killed\b.*)")
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_STEPS = ("global_step", "step", "iteration", "iter", "it", "update", "batch")
_EPOCHS = ("epoch", "epochs")
_NOT_METRICS = frozenset(
    {*_STEPS, *_EPOCHS, "time", "timestamp", "v_num", "pid", "rank", "line", "lineno", "wall_time"}
)
_TRACEBACK = "Traceback (most recent call last)"
_RANK = re.compile(r"^\[?(?:rank|worker)[ _]?\d+\]?:? ?", re.IGNORECASE)
WENT_ON = 3
"""So many values behind an exception, and the run went on: it is not how the log ends."""


@dataclass(frozen=True)
class Log:
    """What a log says: values by metric, and the exception at its end.

    `stepped` are the metrics whose positions are steps that the log names, not epochs or lines.
    """

    series: Mapping[str, tuple[Value, ...]]
    error: str = ""
    lines: int = 0
    stepped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Record:
    """The numbers of one line; `step` and `epoch` are None where it names none."""

    values: Mapping[str, float]
    step: float | None = None
    epoch: float | None = None


@dataclass
class _Series:
    records: list[tuple[float | None, float | None, float]] = field(default_factory=list)


def parse_log(text: str) -> Log:
    """Return the metrics of a log; names are as the program printed them."""
    found: dict[str, _Series] = {}
    reader = _Reader()
    for raw in _lines(text):
        record = reader.read(raw)
        if record is None:
            continue
        for name, value in record.values.items():
            if name in found or len(found) < MAX_SERIES:
                found.setdefault(name, _Series()).records.append((record.step, record.epoch, value))
    ordered = {name: _in_order(known.records) for name, known in found.items()}
    series = {name: values for name, (values, _) in ordered.items()}
    stepped = frozenset(name for name, (_, by_step) in ordered.items() if by_step)
    return Log(series, reader.error, reader.lines, stepped)


@dataclass
class _Reader:
    """Reads line by line; knows whether it is in a traceback, whose code holds no metrics."""

    error: str = ""
    lines: int = 0
    table: Table = field(default_factory=Table)
    inside: bool = False
    since: int = 0

    def read(self, raw: str) -> _Record | None:
        """Return the numbers of a line, None where it holds none that were measured."""
        line = _RANK.sub("", raw.strip())
        self.lines += bool(line)
        if line.startswith(_TRACEBACK):
            self.inside = True
            return None
        if _ERROR.match(line):
            self.error, self.inside, self.since = line[:500], False, 0
            return None
        if self.inside:
            self.inside = not line or _RANK.sub("", raw)[:1].isspace()
            if self.inside:
                return None
        record = _record(line, self.table.read(line))
        self.since += record is not None
        if self.since >= WENT_ON:
            self.error = ""
        return record


def _lines(text: str) -> Iterator[str]:
    """Yield lines as they were last seen: a bar redraws itself behind a carriage return."""
    for raw in text.split("\n"):
        states = [state for state in raw.split("\r") if state.strip()]
        for state in states or [""]:
            yield _ESCAPE.sub("", state[:MAX_LINE]).rstrip()


def _record(line: str, row: Mapping[str, float] | None) -> _Record | None:
    document = _document(line) if row is None else None
    pairs = row or (_numbers(document) if document is not None else _pairs(line))
    step = _first(pairs, _STEPS)
    epoch = _first(pairs, _EPOCHS)
    bar = _BAR.search(line) if document is None else None
    if bar and step is None:
        step = (epoch or 0.0) * int(bar["total"]) + int(bar["done"])
    values = {name: value for name, value in pairs.items() if name.lower() not in _NOT_METRICS}
    return _Record(values, step, epoch) if values else None


def _document(line: str) -> Mapping[str, Any] | None:
    """Return a JSON line's object; a logger may have written something before it."""
    at = line.find("{")
    if at < 0 or not line.endswith("}"):
        return None
    try:
        found = json.loads(line[at:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _numbers(document: Mapping[str, Any], below: str = "") -> dict[str, float]:
    """Return the numbers of a document by their dotted names."""
    found: dict[str, float] = {}
    for key, value in document.items():
        name = f"{below}{key}"
        if isinstance(value, dict):
            found |= _numbers(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
        elif value is None and _is_measured(name):
            found[name] = math.nan
        elif isinstance(value, str) and re.fullmatch(_NUMBER, value, re.IGNORECASE):
            found[name] = float(value)
    return found


def _is_measured(name: str) -> bool:
    """Tell whether a JSON null can only be a NaN that JSON has no word for."""
    return "loss" in name.lower()


def _pairs(line: str) -> dict[str, float]:
    return {match["key"]: float(match["value"]) for match in _PAIR.finditer(line)}


def _first(pairs: Mapping[str, float], names: Iterable[str]) -> float | None:
    lowered = {name.lower(): value for name, value in pairs.items()}
    found = next((lowered[n] for n in names if n in lowered and math.isfinite(lowered[n])), None)
    return None if found is None else float(found)


def _in_order(
    records: list[tuple[float | None, float | None, float]],
) -> tuple[tuple[Value, ...], bool]:
    """Return values by step where all have one, else by epoch, else as they came.

    The second says whether it is by steps.
    """
    for position in (0, 1):
        places = [record[position] for record in records]
        steps = [int(place) for place in places if place is not None and place.is_integer()]
        if len(steps) == len(records) and all(a < b for a, b in itertools.pairwise(steps)):
            values = (record[2] for record in records)
            return tuple(zip(steps, values, strict=True)), position == 0
    return tuple((number, record[2]) for number, record in enumerate(records, 1)), False
