"""Runs as lines over their parameters, as the parallel-coordinates chart draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mlactions.analyze.columns import telling
from mlactions.analyze.model import MAX_LINES, Parameter, Settings
from mlactions.analyze.observations import Observation, Value, Varying, brief, short

AXES = 7
MOST_LEVELS = 12
BEST_SHARE = 0.1


def coordinates(
    ranked: Sequence[Observation],
    varying: Sequence[Varying],
    parameters: Sequence[Parameter],
    bound: Sequence[Collection[str]],
    settings: Settings,
) -> dict[str, Any]:
    """Return axes and lines with places from 0 to 1: what matters most, then the metric.

    `ranked` is best first, `bound` are groups of parameters that always change together. Of many
    observations the best tenth and an even choice of the others are drawn.
    """
    if len(ranked) < 2:  # noqa: PLR2004  # one line compares nothing
        return {"axes": [], "lines": []}
    known = {item.name: item for item in parameters}
    columns = {item.name: item for item in varying if item.name in known}
    chosen = _chosen(ranked)
    axes: list[dict[str, Any]] = []
    places: list[list[float | None]] = []
    rows = [_row(columns, one) for one, _ in chosen]
    for one_of in telling(list(known), rows, bound, len(known)):
        parameter = known[one_of.name]
        values = [row.get(parameter.name) for row in rows]
        made = _axis(parameter, values)
        if made is not None:
            axis, place = made
            axes.append(axis)
            places.append([None if value is None else place(value) for value in values])
        if len(axes) == AXES:
            break
    means = [one.mean for one, _ in chosen]
    low, high = min(means), max(means)
    axes.append(_numeric(settings.metric, low, high, log=False))
    places.append([_share(mean, low, high) for mean in means])
    lines = [
        {"places": [column[position] for column in places], "best": best}
        for position, (_, best) in enumerate(chosen)
    ]
    return {"axes": axes, "lines": lines}


def _row(columns: Mapping[str, Varying], one: Observation) -> dict[str, float | str]:
    pairs = ((name, item.column.at(one.first)) for name, item in columns.items())
    return {name: value for name, value in pairs if value is not None}


def _chosen(ranked: Sequence[Observation]) -> list[tuple[Observation, bool]]:
    best = max(math.ceil(len(ranked) * BEST_SHARE), 1)
    top = ranked[: min(best, MAX_LINES // 3)]
    rest = ranked[best:]
    step = max(-(-len(rest) // (MAX_LINES - len(top))), 1)
    return [(one, True) for one in top] + [(one, False) for one in rest[::step]]


def _axis(
    parameter: Parameter, values: Sequence[Value]
) -> tuple[dict[str, Any], Callable[[float | str], float | None]] | None:
    texts = sorted({value for value in values if isinstance(value, str)})
    numbers = [value for value in values if isinstance(value, float)]
    if texts and len(texts) <= MOST_LEVELS and len({*numbers}) <= MOST_LEVELS:
        levels: list[float | str] = [*sorted({*numbers}), *texts]
        places = {value: (at + 0.5) / len(levels) for at, value in enumerate(levels)}
        shown = [short(value) for value in levels]
        axis = {"name": parameter.name, "levels": shown, "low": "", "high": "", "log": False}
        return axis, places.get
    if not numbers:
        return None
    low, high = min(numbers), max(numbers)
    log = parameter.log and low > 0

    def place(value: float | str) -> float | None:
        if isinstance(value, str):
            return None
        if log:
            return _share(math.log(value), math.log(low), math.log(high))
        return _share(value, low, high)

    return _numeric(parameter.name, low, high, log=log), place


def _numeric(name: str, low: float, high: float, *, log: bool) -> dict[str, Any]:
    return {"name": name, "levels": [], "low": brief(low), "high": brief(high), "log": log}


def _share(value: float, low: float, high: float) -> float:
    half = high / 2 - low / 2
    return round((value / 2 - low / 2) / half, 4) if half > 0 else 0.5
