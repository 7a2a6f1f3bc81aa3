"""The best configurations of a sweep, with Student's bounds over their seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mlactions.analyze.ranges import Range, range_of
from mlactions.compare.statistics import student_quantile, variance
from mlactions.sweep.lookup import counted, value_of
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
    """Return configurations that have a finite metric, the best mean first.

    Those of which a seed failed, diverged or has not run come after all that are whole: a mean of
    the seeds that went well says nothing against a mean of all.
    """
    ranked, all_values = [], []
    for pairs in groups(manifest, states).values():
        known = [(row, value) for row, state in pairs if (value := _finite(state)) is not None]
        if known:
            values = [value for _, value in known]
            all_values += values
            mean = math.fsum(values) / len(values)
            order = (len(pairs) - len(known), -mean if metric.higher else mean)
            ranked.append((*order, known[0][0]["number"], known, pairs))
    ranked.sort(key=lambda item: item[:3])
    limits = range_of(metric.name, all_values, None)
    return [
        {"rank": rank, **_described(known, limits), **_missing(pairs), "runs": _runs(pairs)}
        for rank, (*_, known, pairs) in enumerate(ranked[:MAX_BEST], start=1)
    ]


def _runs(pairs: list[tuple[Row, State]]) -> list[str]:
    """Return the runs whose values count."""
    attempts = (counted(state) for _, state in pairs if _finite(state) is not None)
    return [attempt.id for attempt in attempts if attempt is not None]


def _missing(pairs: list[tuple[Row, State]]) -> dict[str, int]:
    """Return how many seeds were planned, failed, and finished without a finite metric."""
    return {
        "planned": len(pairs),
        "failed": sum(state.name == "failed" for _, state in pairs),
        "invalid": sum(_is_invalid(state) for _, state in pairs),
    }


def _is_invalid(state: State) -> bool:
    return state.name == "finished" and _finite(state) is None


def whole(item: Mapping[str, Any]) -> bool:
    """Tell whether all seeds of a configuration have a finite metric."""
    return bool(len(item["values"]) == item["planned"])


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


def _described(known: list[tuple[Row, float]], limits: Range | None) -> dict[str, Any]:
    values = [value for _, value in known]
    first, n = known[0][0], len(values)
    mean = math.fsum(values) / n
    low = high = None
    if n > 1:
        margin = student_quantile(0.975, n - 1) * math.sqrt(variance(values) / n)
        low, high = mean - margin, mean + margin
        if limits is not None:
            low, high = limits.clip(low), limits.clip(high)
    return {
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
    """Return what a search knows: each configuration once, with the mean of its seeds.

    One of which a seed failed or diverged has failed.
    """
    found = []
    for pairs in groups(manifest, states).values():
        values = [value for _, state in pairs if (value := _finite(state)) is not None]
        failed = any(state.name == "failed" or _is_invalid(state) for _, state in pairs)
        mean = math.fsum(values) / len(values) if values and not failed else None
        found.append(Observed(pairs[0][0]["overrides"], mean, failed=failed))
    return found


def reached(metric: Metric, found: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a configuration is as good as the target."""
    return any(whole(item) and metric.reached(item["mean"]) for item in found)
