"""From runs to observations: which runs count, what varies, and seeds put together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mlactions.analyze.identifiers import Runs, names_run
from mlactions.analyze.model import Configuration, Kind, Settings, Unit
from mlactions.analyze.nested import is_fold, is_seed
from mlactions.analyze.ranges import Range
from mlactions.analyze.table import Column, Table
from mlactions.compare.statistics import student_quantile, variance
from mlactions.confidential import HIDDEN

FINISHED = "FINISHED"
RUNNING = frozenset({"RUNNING", "SCHEDULED"})
LOG_RATIO = 100.0
"""Positive numbers that span this much are laid on a logarithmic axis."""

DAY_MS = 86_400_000
STALE_DAYS = 2
STALE_FACTOR = 3
_TEXT = 60

Value = float | str | None


@dataclass(frozen=True)
class Selection:
    """Which rows of the table count, and why the others do not."""

    used: tuple[int, ...]
    failed: tuple[int, ...]
    running: tuple[int, ...]
    stale: tuple[int, ...]
    parents: tuple[int, ...]
    parts: tuple[int, ...]
    without_metric: tuple[int, ...]
    not_finite: tuple[int, ...]


def select(table: Table, day_ms: int) -> Selection:
    """Sort the runs: those that finished with a finite metric count.

    Of a family of nested runs its frame, or its parts, are left out. RUNNING for more than two
    days, and three times as long as any run took, has died.
    """
    families = table.families
    left_out = families.frames | families.parts
    rest = [row for row in range(len(table)) if row not in left_out]
    finished = [row for row in rest if table.statuses[row] == FINISHED]
    running = tuple(row for row in rest if table.statuses[row] in RUNNING)
    return Selection(
        used=tuple(row for row in finished if table.has(row) == "finite"),
        failed=tuple(
            row
            for row in rest
            if table.statuses[row] != FINISHED and table.statuses[row] not in RUNNING
        ),
        running=running,
        stale=_stale(table, running, finished, day_ms),
        parents=tuple(sorted(families.frames)),
        parts=tuple(sorted(families.parts)),
        without_metric=tuple(row for row in finished if table.has(row) == "absent"),
        not_finite=tuple(row for row in finished if table.has(row) == "not-finite"),
    )


def _stale(
    table: Table, running: Sequence[int], finished: Sequence[int], day_ms: int
) -> tuple[int, ...]:
    longest = max((table.seconds(row) or 0.0 for row in finished), default=0.0)
    patience = max(STALE_DAYS * DAY_MS, STALE_FACTOR * longest * 1000)
    return tuple(
        row for row in running if table.starts[row] and table.starts[row] < day_ms - patience
    )


@dataclass(frozen=True)
class Varying:
    """A parameter that differs between the runs that count."""

    name: str
    column: Column
    kind: Kind
    distinct: int
    present: int


@dataclass(frozen=True)
class View:
    """The parameters: those that vary, those that are the same everywhere, those left out."""

    varying: tuple[Varying, ...]
    constants: dict[str, str]
    seed_names: tuple[str, ...]
    seeds: tuple[str, ...]
    identifiers: tuple[str, ...]
    ignored: tuple[str, ...]
    hidden: tuple[str, ...]

    @property
    def unit(self) -> Unit:
        """What runs are repeated with."""
        folds = sum(map(is_fold, self.seeds))
        return "seed" if not folds else "fold" if folds == len(self.seeds) else "repeat"


def view(table: Table, rows: Sequence[int], settings: Settings) -> View:
    """Tell what differs between runs from what does not."""
    varying: list[Varying] = []
    constants: dict[str, str] = {}
    left: dict[str, list[str]] = {"seeds": [], "identifiers": [], "ignored": [], "hidden": []}
    names = [name for name in table.columns if is_seed(name, settings.seeds)]
    runs = Runs(table, rows, [table.columns[name] for name in names])
    for name in sorted(table.columns):
        column = table.columns[name]
        counts = Counter(column.at(row) for row in rows)
        present = len(rows) - counts.pop(None, 0)
        if not present:
            continue
        if any(HIDDEN in text for text in column.levels):
            left["hidden"].append(name)
        elif len(counts) == 1 and present == len(rows):
            constants[name] = short(next(iter(counts)))
        elif is_seed(name, settings.seeds):
            left["seeds"].append(name)
        elif any(fnmatchcase(name, pattern) for pattern in settings.ignore):
            left["ignored"].append(name)
        elif names_run(name, column, runs):
            left["identifiers"].append(name)
        else:
            varying.append(Varying(name, column, _kind(counts), len(counts), present))
    varying.sort(key=lambda item: (-item.present, item.name))
    return View(tuple(varying), constants, tuple(names), *(tuple(found) for found in left.values()))


def _kind(counts: Counter[Value]) -> Kind:
    kinds = {isinstance(value, float) for value in counts}
    return "mixed" if len(kinds) > 1 else "number" if kinds == {True} else "category"


def short(value: Value) -> str:
    """Return a value on one line that is not long."""
    if value is None:
        return "not logged"
    text = " ".join((f"{value:.6g}" if isinstance(value, float) else value).split())
    # From the middle: lists and paths differ at their ends.
    half = _TEXT // 2
    return text if len(text) <= _TEXT else f"{text[: half - 1]}…{text[-half:]}"


def brief(value: float) -> str:
    """Return the end of a range: three digits tell it."""
    return f"{value:.3g}" if abs(value) < 1000 or not value.is_integer() else f"{value:.6g}"  # noqa: PLR2004  # sizes


@dataclass(frozen=True, slots=True)
class Observation:
    """Runs with the same parameters but for their seeds, as one: a value per seed.

    Runs of one seed are one value, their mean. `seeds` is None where a run does not say its seed.
    """

    rows: tuple[int, ...]
    values: tuple[float, ...]
    seeds: int | None
    unit: Unit = "seed"

    @property
    def mean(self) -> float:
        """The mean of their metric."""
        return mean(self.values)

    @property
    def first(self) -> int:
        """A row whose parameters are those of all."""
        return self.rows[0]


def observations(table: Table, rows: Sequence[int], seen: View) -> tuple[Observation, ...]:
    """Put runs together that differ in nothing but seeds: they are one observation, repeated."""
    # Column by column: a key of all values at once would take more memory than the table.
    labels = [0] * len(rows)
    for item in seen.varying:
        places: dict[tuple[int, Value], int] = {}
        labels = [
            places.setdefault((label, item.column.at(row)), len(places))
            for label, row in zip(labels, rows, strict=True)
        ]
    groups: dict[int, list[int]] = {}
    for label, row in zip(labels, rows, strict=True):
        groups.setdefault(label, []).append(row)
    seeds = [table.columns[name] for name in seen.seed_names]
    return tuple(_observation(table, found, seeds, seen.unit) for found in groups.values())


def _observation(
    table: Table, rows: Sequence[int], seeds: Sequence[Column], unit: Unit
) -> Observation:
    by_seed: dict[tuple[Value, ...], list[float]] = {}
    unknown: list[float] = []
    for row in rows:
        seed = (*(column.at(row) for column in seeds), table.seed_tags.get(row))
        known = any(part is not None for part in seed)
        (by_seed.setdefault(seed, []) if known else unknown).append(table.values[row])
    # A run that does not say its seed repeats no other one, as far as anybody can tell.
    values = (*map(mean, by_seed.values()), *unknown)
    return Observation(tuple(rows), values, None if unknown else len(values), unit)


def mean(values: Sequence[float]) -> float:
    """Return the mean, also of numbers whose sum no float holds."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)


def ranked(found: Sequence[Observation], settings: Settings) -> list[Observation]:
    """Return observations, the best first; equal ones in the order of reading."""
    return sorted(found, key=lambda item: (-settings.sign * item.mean, item.first))


def configuration(
    rank: int,
    found: Observation,
    table: Table,
    varying: Sequence[Varying],
    limits: Range | None = None,
) -> Configuration:
    """Return an observation as it is shown; bounds are Student's over its seeds, within limits."""
    n = len(found.values)
    deviation = math.sqrt(variance(found.values)) if n > 1 else None
    low = high = None
    if deviation is not None and math.isfinite(deviation):
        margin = student_quantile(0.975, n - 1) * deviation / math.sqrt(n)
        low, high = found.mean - margin, found.mean + margin
        if limits is not None:
            low, high = limits.clip(low), limits.clip(high)
    seconds = [table.seconds(row) for row in found.rows]
    known = [value for value in seconds if value is not None]
    return Configuration(
        rank=rank,
        mean=found.mean,
        low=low,
        high=high,
        deviation=deviation if low is not None else None,
        runs=tuple(table.ids[row] for row in found.rows),
        values=found.values,
        seeds=found.seeds,
        unit=found.unit,
        params=params_of(found.first, varying),
        seconds=math.fsum(known) if known else None,
    )


def params_of(row: int, varying: Sequence[Varying]) -> dict[str, float | str]:
    """Return the parameters of a run that vary."""
    pairs = ((item.name, item.column.at(row)) for item in varying)
    return {
        name: value if isinstance(value, float) else value[:200]
        for name, value in pairs
        if value is not None
    }


def is_logarithmic(values: Sequence[float]) -> bool:
    """Tell whether numbers span so much that a logarithmic axis shows them better."""
    return min(values) > 0 and max(values) / min(values) >= LOG_RATIO
