"""PED-ANOVA: how well a parameter tells the best runs from the others.

Watanabe, Bansal and Hutter, IJCAI 2023 (arXiv 2304.10255), with the regimes of parameters that
only some runs have (arXiv 2601.20800): the Pearson divergence between a parameter's distribution
among the best tenth and among all runs. The same numbers as Optuna's PedAnovaImportanceEvaluator,
whose import alone takes a second; the tests hold them against it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

TOP_QUANTILE = 0.1
STEPS = 50
FEWEST = 2

_PRIOR_WEIGHT = 1.0
_TINY = 1e-12
_NARROWEST = 0.5 / 1.64
"""A kernel's width on the grid: nine tenths of it then fall on one point."""


@dataclass(frozen=True)
class Grid:
    """A parameter's values as places on a grid of `size`, None where a run lacks it."""

    places: tuple[int | None, ...]
    size: int
    ordered: bool


def numeric_grid(values: Sequence[float | None], *, log: bool = False) -> Grid:
    """Lay numbers on at most STEPS equal steps; `log` where they span orders of magnitude."""
    known = [math.log(v) if log else v for v in values if v is not None]
    low, high = min(known), max(known)
    step = (high - low) / (STEPS - 1)
    places = iter([_place(value, low, step) for value in known])
    return Grid(tuple(None if v is None else next(places) for v in values), STEPS, ordered=True)


def _place(value: float, low: float, step: float) -> int:
    return min(max(math.ceil((value - low) / step - 0.5), 0), STEPS - 1) if step > 0 else 0


def top(values: Sequence[float], *, higher: bool, quantile: float = TOP_QUANTILE) -> set[int]:
    """Return the positions of the best values; all that equal the last of them belong to it."""
    signed = [-value if higher else value for value in values]
    cutoff = sorted(signed)[math.ceil(quantile * len(signed)) - 1]
    return {position for position, value in enumerate(signed) if value <= cutoff}


def importance(grid: Grid, best: set[int]) -> float:
    """Return a parameter's importance, not yet divided by the sum over all parameters."""
    known = [position for position, place in enumerate(grid.places) if place is not None]
    chosen = [position for position in known if position in best]
    if len(known) < FEWEST or not chosen or grid.size < FEWEST:
        return 0.0
    n = len(grid.places)
    among_best, among_all = len(chosen) / len(best), len(known) / n
    divergence = _divergence(_counts(grid, chosen), _counts(grid, known), ordered=grid.ordered)
    return float((len(best) / n) ** 2 * among_best**2 / among_all * divergence)


def shares(found: Sequence[float]) -> list[float]:
    """Return importances as shares of their sum; zeros where nothing has any."""
    total = math.fsum(found)
    return [value / total if total > 0 else 0.0 for value in found]


def _counts(grid: Grid, positions: Sequence[int]) -> list[int]:
    counts = [0] * grid.size
    for position in positions:
        place = grid.places[position]
        assert place is not None  # noqa: S101  # only known positions are counted
        counts[place] += 1
    return counts


def _divergence(best: Sequence[int], everyone: Sequence[int], *, ordered: bool) -> float:
    density = _ordered_density if ordered else _level_density
    first, second = density(best), density(everyone)
    return math.fsum(
        (q + _TINY) * ((p + _TINY) / (q + _TINY) - 1) ** 2
        for p, q in zip(first, second, strict=True)
    )


def _level_density(counts: Sequence[int]) -> list[float]:
    """Return smoothed shares of levels: each level seen is a kernel, and so is the prior."""
    seen = [place for place, count in enumerate(counts) if count]
    size, kernels = len(counts), len(seen) + 1
    total = sum(counts) + _PRIOR_WEIGHT
    base = _PRIOR_WEIGHT / kernels
    mass = base * size + 1
    flat = sum(counts[place] for place in seen) / total * base / mass
    flat += _PRIOR_WEIGHT / total / size
    return [flat + count / total / mass for count in counts]


def _ordered_density(counts: Sequence[int]) -> list[float]:
    """Return a mixture of normal kernels, cut at the ends of the grid, and of a wide prior."""
    size = len(counts)
    seen = [place for place, count in enumerate(counts) if count]
    total = sum(counts) + _PRIOR_WEIGHT
    width = max(_scott_width(seen, [counts[place] for place in seen]), _NARROWEST)
    kernels = [(counts[place] / total, float(place), width) for place in seen]
    kernels.append((_PRIOR_WEIGHT / total, (size - 1) / 2, float(size)))
    density = [0.0] * size
    for weight, middle, deviation in kernels:
        whole = _mass((-0.5 - middle) / deviation, (size - 0.5 - middle) / deviation)
        for place in range(size):
            low, high = (place - 0.5 - middle) / deviation, (place + 0.5 - middle) / deviation
            density[place] += weight * _mass(low, high) / whole
    return density


def _scott_width(places: Sequence[int], weights: Sequence[int]) -> float:
    """Return Scott's bandwidth (Multivariate Density Estimation, 1992), or that by quartiles."""
    total = sum(weights)
    mean = sum(p * w for p, w in zip(places, weights, strict=True)) / total
    squares = sum((p - mean) ** 2 * w for p, w in zip(places, weights, strict=True))
    deviation = math.sqrt(squares / max(1, total - 1))
    cumulated = list(accumulate(weights))
    low = places[bisect_left(cumulated, total // 4)]
    high = places[min(len(places) - 1, bisect_right(cumulated, total * 3 // 4))]
    return float(1.059 * min((high - low) / 1.34, deviation) * total**-0.2)


def _mass(low: float, high: float) -> float:
    """Return the standard normal's mass between two points, exact far out too."""
    if low > 0:
        return 0.5 * (math.erfc(low / math.sqrt(2)) - math.erfc(high / math.sqrt(2)))
    if high < 0:
        return _mass(-high, -low)
    return 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)))
