"""The best configurations of a sweep, with Student's bounds over their seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mlactions.analyze.ranges import Range, range_of
from mlactions.compare.statistics import student_quantile, variance
from mlactions.sweep.lookup import value_of
from mlactions.sweep.manifest import Manifest
from mlactions.sweep.model import Metric
from mlactions.sweep.tpe import Observed
from mlactions.sweep.user.sweep_trials import State

MAX_BEST = 100
MAX_NAMED = 5

Row = Mapping[str, Any]


def groups(manifest: Manifest, states: Mapping[int, State]) -> dict[str, list[tuple[Row, State]]]:
    """Return the trials by configuration, in their order."""
    found: dict[str, list[tuple[Row, State]]] = {}
    for row in manifest.rows:
        found.setdefault(row["hash"], []).append((row, states[row["number"]]))
    return found


def best(manifest: Manifest, states: Mapping[int, State], metric: Metric) -> list[dict[str, Any]]:
    """Return configurations that have a finite metric, the best mean first."""
    ranked, all_values = [], []
    for pairs in groups(manifest, states).values():
        known = [(row, value) for row, state in pairs if (value := _finite(state)) is not None]
        if known:
            values = [value for _, value in known]
            all_values += values
            mean = math.fsum(values) / len(values)
            ranked.append((-mean if metric.higher else mean, known[0][0]["number"], known, values))
    ranked.sort(key=lambda item: item[:2])
    limits = range_of(metric.name, all_values, None)
    return [
        _described(rank, known, values, limits)
        for rank, (_, _, known, values) in enumerate(ranked[:MAX_BEST], start=1)
    ]


def _finite(state: State) -> float | None:
    value = value_of(state)
    return value if value is not None and math.isfinite(value) else None


def named(item: Mapping[str, Any]) -> str:
    """Return the trials of a configuration: its name, or the numbers of those with its seeds."""
    if len(item["trials"]) == 1:
        return f"`{item['trial']}`"
    numbers = [f"`{name.partition('-')[0]}`" for name in item["trials"]]
    more = len(numbers) - MAX_NAMED
    return ", ".join(numbers[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _described(
    rank: int, known: list[tuple[Row, float]], values: list[float], limits: Range | None
) -> dict[str, Any]:
    first, n = known[0][0], len(values)
    mean = math.fsum(values) / n
    low = high = None
    if n > 1:
        margin = student_quantile(0.975, n - 1) * math.sqrt(variance(values) / n)
        low, high = mean - margin, mean + margin
        if limits is not None:
            low, high = limits.clip(low), limits.clip(high)
    return {
        "rank": rank,
        "trial": first["name"],
        "hash": f"sha256:{first['hash']}",
        "mean": mean,
        "low": low,
        "high": high,
        "values": values,
        "seeds": [row["seed"] for row, _ in known],
        "trials": [row["name"] for row, _ in known],
        "overrides": dict(first["overrides"]),
    }


def observed(manifest: Manifest, states: Mapping[int, State]) -> list[Observed]:
    """Return what a search knows: each configuration once, with the mean of its seeds."""
    found = []
    for pairs in groups(manifest, states).values():
        values = [value for _, state in pairs if (value := _finite(state)) is not None]
        failed = all(state.name == "failed" for _, state in pairs)
        mean = math.fsum(values) / len(values) if values else None
        found.append(Observed(pairs[0][0]["overrides"], mean, failed=failed))
    return found


def reached(metric: Metric, found: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a configuration is as good as the target."""
    return any(metric.reached(item["mean"]) for item in found)
