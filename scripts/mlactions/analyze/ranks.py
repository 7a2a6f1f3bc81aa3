"""Ranks and what is made of them: Spearman with its interval, Kendall, shares of variance.

Plain floats: importing a numerical library would cost more than the work.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from mlactions.compare.statistics import incomplete_beta

FEWEST_FOR_INTERVAL = 5
_NORMAL_95 = 1.959963984540054


def ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1; equal values share their mean rank."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start
        while stop + 1 < len(order) and values[order[stop + 1]] == values[order[start]]:
            stop += 1
        for position in range(start, stop + 1):
            found[order[position]] = (start + stop) / 2 + 1
        start = stop + 1
    return found


def pearson(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the linear correlation; None where one side does not vary."""
    n = len(first)
    if n < 2:  # noqa: PLR2004  # one point has no direction
        return None
    a, b = math.fsum(first) / n, math.fsum(second) / n
    across = math.fsum([(x - a) * (y - b) for x, y in zip(first, second, strict=True)])
    size = math.fsum([(x - a) ** 2 for x in first]) * math.fsum([(y - b) ** 2 for y in second])
    return max(min(across / math.sqrt(size), 1.0), -1.0) if size > 0 else None


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with 95 % bounds; the bounds are None for fewer than five values."""

    rho: float
    low: float | None
    high: float | None
    n: int


def spearman(first: Sequence[float], second: Sequence[float]) -> Correlation | None:
    """Return Spearman's correlation; None where one side does not vary.

    Bounds by Fisher's z with the variance (1 + rho²/2) / (n - 3) of Bonett and Wright,
    Psychometrika 65 (2000): it holds its level for ranks where Fisher's own 1 / (n - 3) does not.
    """
    rho = pearson(ranks(first), ranks(second))
    if rho is None:
        return None
    n = len(first)
    if n < FEWEST_FOR_INTERVAL:
        return Correlation(rho, None, None, n)
    if abs(rho) >= 1:
        return Correlation(rho, rho, rho, n)
    z, error = math.atanh(rho), math.sqrt((1 + rho * rho / 2) / (n - 3))
    low, high = (math.tanh(z + side * _NORMAL_95 * error) for side in (-1, 1))
    return Correlation(rho, low, high, n)


def kendall(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Kendall's tau-b, ties counted; None where one side is all ties. For short lists."""
    across = ties_first = ties_second = pairs = 0
    for i in range(len(first)):
        for j in range(i):
            a, b = first[i] - first[j], second[i] - second[j]
            pairs += 1
            ties_first += a == 0
            ties_second += b == 0
            across += (a * b > 0) - (a * b < 0)
    size = (pairs - ties_first) * (pairs - ties_second)
    return across / math.sqrt(size) if size > 0 else None


@dataclass(frozen=True)
class Share:
    """How much of a variance a split into groups explains; `share` is corrected for chance."""

    share: float
    p_value: float
    groups: int
    n: int


def explained(groups: Sequence[Hashable], ranked: Sequence[float]) -> Share | None:
    """Return the share of the variance of `ranked` that groups explain, and its p-value.

    Epsilon squared (Kelley 1935; Tomczak and Tomczak 2014): eta squared without what as many
    random groups would explain. The p-value is that of an analysis of variance on ranks (Conover
    and Iman, The American Statistician 35, 1981). None where there is nothing to split.
    """
    sums: dict[Hashable, list[float]] = defaultdict(list)
    for group, value in zip(groups, ranked, strict=True):
        sums[group].append(value)
    n, k = len(ranked), len(sums)
    middle = (n + 1) / 2
    between = math.fsum(
        len(part) * (math.fsum(part) / len(part) - middle) ** 2 for part in sums.values()
    )
    total = math.fsum([(value - middle) ** 2 for value in ranked])
    if k < 2 or n <= k or total <= 0:  # noqa: PLR2004  # one group explains nothing
        return None
    within = max(total - between, 0.0)
    spread = within / (n - k)
    share = max((between - (k - 1) * spread) / total, 0.0)
    return Share(share, f_upper_tail(between, within, k - 1, n - k), k, n)


def f_upper_tail(explains: float, leaves: float, degrees: int, rest: int) -> float:
    """Return the p-value of an F test, from two sums of squares and their degrees of freedom."""
    if leaves <= 0:
        return 0.0 if explains > 0 else 1.0
    return incomplete_beta(rest / 2, degrees / 2, leaves / (leaves + max(explains, 0.0)))


def bins(values: Sequence[float], most: int) -> list[int]:
    """Return for each value one of at most so many groups of about equal size.

    Equal values are never parted; few distinct values are a group each.
    """
    distinct = sorted(set(values))
    if len(distinct) <= most:
        places = {value: place for place, value in enumerate(distinct)}
        return [places[value] for value in values]
    n = len(values)
    return [min(int((rank - 0.5) * most / n), most - 1) for rank in ranks(values)]
