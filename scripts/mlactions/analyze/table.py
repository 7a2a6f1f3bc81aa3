"""The runs of an experiment as columns: 20,000 of them take megabytes, not hundreds of them."""

from __future__ import annotations

import json
import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlactions import mlflow_tags
from mlactions.analyze.nested import Families, settle
from mlactions.curves import is_usable
from mlactions.mlflow_store import Run
from mlactions.values import canonical_key, parse, spread

ABSENT = -1
NUMBER = -2

Presence = Literal["finite", "not-finite", "absent"]
_PRESENCE: tuple[Presence, ...] = ("absent", "finite", "not-finite")


@dataclass
class Column:
    """One parameter over all runs: `codes` hold ABSENT, NUMBER, or the place in `levels`.

    Both arrays may be shorter than the table: what follows is absent.
    """

    numbers: array[float] = field(default_factory=lambda: array("d"))
    codes: array[int] = field(default_factory=lambda: array("i"))
    levels: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict, repr=False)

    def put(self, row: int, value: Any) -> None:
        """Set the value of the next row; rows in between lack it."""
        missing = row - len(self.codes)
        if missing > 0:
            self.numbers.extend([math.nan] * missing)
            self.codes.extend([ABSENT] * missing)
        if isinstance(value, int | float) and not isinstance(value, bool) and is_usable(value):
            self.numbers.append(float(value))
            self.codes.append(NUMBER)
            return
        text = level(value)
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = len(self.levels)
            self.levels.append(text)
        self.numbers.append(math.nan)
        self.codes.append(place)

    def take_over(self, row: int, other: int) -> None:
        """Give a row that lacks the parameter the value of another row."""
        if self.at(row) is not None or self.at(other) is None:
            return
        missing = row + 1 - len(self.codes)
        if missing > 0:
            self.numbers.extend([math.nan] * missing)
            self.codes.extend([ABSENT] * missing)
        self.codes[row], self.numbers[row] = self.codes[other], self.numbers[other]

    def at(self, row: int) -> float | str | None:
        """Return a number, a text, or None where the run lacks the parameter."""
        code = self.codes[row] if row < len(self.codes) else ABSENT
        if code == NUMBER:
            return self.numbers[row]
        return None if code == ABSENT else self.levels[code]


def level(value: Any) -> str:
    """Return a value that is no finite number as text: `None`, `true`, a list as JSON."""
    if value is None:
        return "None"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return sys.intern(value) if len(value) <= 100 else value  # noqa: PLR2004  # long ones differ
    return json.dumps(value, sort_keys=True, default=str)


@dataclass
class Table:
    """All runs that were read, in the order they came. `metric` is the one that is analysed."""

    metric: str
    renames: Mapping[str, str] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    starts: array[int] = field(default_factory=lambda: array("q"))
    ends: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    presence: array[int] = field(default_factory=lambda: array("b"))
    parents: dict[int, str] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    families: Families = field(default_factory=Families)
    seed_tags: dict[int, str] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    metric_names: Counter[str] = field(default_factory=Counter)
    sweeps: Counter[str] = field(default_factory=Counter)
    _keys: dict[str, str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, run: Run) -> None:
        """Append one run."""
        row = len(self.ids)
        self.ids.append(run.id)
        self.names.append(run.name)
        self.statuses.append(sys.intern(run.status))
        self.starts.append(run.start_ms or 0)
        self.ends.append(run.end_ms or 0)
        if run.parent_id:
            self.parents[row] = run.parent_id
        value = run.metrics.get(self.metric)
        self.values.append(math.nan if value is None else value)
        self.presence.append(0 if value is None else 1 if is_usable(value) else 2)
        self.metric_names.update(run.metrics.keys())
        if sweep := run.tags.get(mlflow_tags.SWEEP, ""):
            self.sweeps[sweep] += 1
        if seed := run.tags.get(mlflow_tags.SEED, ""):
            self.seed_tags[row] = sys.intern(seed)
        self._add_params(row, run.params)

    def _add_params(self, row: int, params: Mapping[str, str]) -> None:
        seen: set[str] = set()
        for key, value in _values(params):
            name = self._keys.get(key) or self._name(key)
            if name in seen:
                # An old and a new name in one run: the new one came first.
                if canonical_key(key) == name and name not in self.renames.values():
                    self.twice.add(name)
                continue
            seen.add(name)
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = Column()
            column.put(row, value)

    def _name(self, key: str) -> str:
        name = canonical_key(key)
        name = self._keys[key] = sys.intern(self.renames.get(name, name))
        return name

    @property
    def logged_names(self) -> set[str]:
        """All parameters by the names that runs logged, before any was renamed."""
        return {canonical_key(key) for key in self._keys}

    def has(self, row: int) -> Presence:
        """Say whether a run has the metric, as a number that can be used."""
        return _PRESENCE[self.presence[row]]

    @property
    def sweep(self) -> str:
        """The sweep that all runs belong to; empty where there is none, or several."""
        ((name, count),) = self.sweeps.most_common(1) or [("", 0)]
        return name if count == len(self) else ""

    def seconds(self, row: int) -> float | None:
        """Return how long a run took; None where it has no end, or one before its start."""
        start, end = self.starts[row], self.ends[row]
        return (end - start) / 1000 if start and end >= start else None


def _values(params: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
    """Return parameters with what their texts stand for.

    Only where one holds a mapping, or a list was logged item by item, is the slower way needed.
    """
    pairs = [(key, parse(text)) for key, text in params.items()]
    for key, value in pairs:
        nested = isinstance(value, dict | list)
        if nested or key[-1:] == "]" or (key[-2:-1] == "." and key[-1:].isdigit()):
            return [
                (name, parse(value) if isinstance(value, str) else value)
                for name, value in spread(params).items()
            ]
    return pairs


def read(runs: Iterable[Run], metric: str, renames: Mapping[str, str] | None = None) -> Table:
    """Return a table of runs; each is forgotten once its row is written."""
    table = Table(metric, renames or {})
    for run in runs:
        table.add(run)
    table.families = settle(table)
    return table
