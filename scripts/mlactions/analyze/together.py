"""Parameters that change together: how tightly, and whether one explains what the other does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from mlactions.analyze.model import Pair
from mlactions.analyze.observations import Value
from mlactions.analyze.ranks import bins, pearson, ranks
from mlactions.analyze.regression import beyond, terms

ALWAYS, NEARLY, LINKED = 0.999, 0.9, 0.3
MOST_BINS, FEWEST_BINS, PER_BIN = 8, 3, 10
MOST_IN_PAIRS = 40
MOST_ROWS = 2_000
FEWEST_FOR_LINK = 8


@dataclass(frozen=True)
class Data:
    """Values by parameter and the metric, one per observation, all in the same order."""

    values: Mapping[str, list[Value]]
    target: list[float]
    ranked: list[float]


def groups(values: Sequence[Value]) -> list[Hashable]:
    """Return a group per value: numbers in bins of equal size, texts by themselves."""
    numbers = [value for value in values if isinstance(value, float)]
    most = min(max(len(numbers) // PER_BIN, FEWEST_BINS), MOST_BINS)
    places = iter(bins(numbers, most))
    counts = Counter(value for value in values if not isinstance(value, float))
    found: list[Hashable] = []
    for value in values:
        if isinstance(value, float):
            found.append(next(places))
        else:
            found.append(("text", value) if counts[value] > 1 else ("rare",))
    return found


@dataclass(frozen=True)
class _Profile:
    """What each pair of a parameter asks of it; `ranks` are None unless all are numbers."""

    values: Sequence[Value]
    distinct: int
    groups: list[Hashable]
    ranks: list[float] | None


def _profile(values: Sequence[Value]) -> _Profile:
    numbers = [value for value in values if isinstance(value, float)]
    found = ranks(numbers) if len(numbers) == len(values) else None
    return _Profile(values, len(set(values)), groups(values), found)


def always(data: Data) -> tuple[Pair, ...]:
    """Return the pairs that always change together, where nothing else can be told."""
    profiles = {name: _profile(data.values[name]) for name in list(data.values)[:MOST_IN_PAIRS]}
    found = ((a, b, _strength(profiles[a], profiles[b])) for a, b in combinations(profiles, 2))
    return tuple(Pair(a, b, "always", 1.0) for a, b, strength in found if strength >= ALWAYS)


def pairs(names: Sequence[str], tested: Collection[str], data: Data) -> list[Pair]:
    """Return the pairs that are linked; whether one explains the other is told of `tested` ones."""
    step = -(-len(data.target) // MOST_ROWS)
    profiles = {name: _profile(data.values[name][::step]) for name in names[:MOST_IN_PAIRS]}
    target = data.target[::step]
    found: list[Pair] = []
    for a, b in combinations(profiles, 2):
        strength = _strength(profiles[a], profiles[b])
        if strength >= ALWAYS:
            found.append(Pair(a, b, "always", 1.0))
        elif strength >= LINKED and {a, b} <= set(tested):
            first, second = terms(profiles[a].values), terms(profiles[b].values)
            kind: Literal["nearly", "linked"] = "nearly" if strength >= NEARLY else "linked"
            tests = (beyond(first, second, target), beyond(second, first, target))
            found.append(Pair(a, b, kind, strength, *tests, tested=True))
        elif strength >= NEARLY:
            found.append(Pair(a, b, "nearly", strength))
    return found


def _strength(first: _Profile, second: _Profile) -> float:
    """Return how tightly two parameters are bound, 0 to 1; 1 where one tells the other exactly."""
    n, a, b = len(first.values), first.distinct, second.distinct
    repeats = max(a, b) <= n / 2 and min(a, b) > 1
    if repeats and a == b == len(set(zip(first.values, second.values, strict=True))):
        return 1.0
    if n < FEWEST_FOR_LINK:
        return 0.0
    rho = 0.0
    if first.ranks is not None and second.ranks is not None:
        rho = abs(pearson(first.ranks, second.ranks) or 0.0)
    return max(rho, min(_cramer(first.groups, second.groups), ALWAYS - 1e-6))


def _cramer(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return Cramér's V corrected for chance (Bergsma, J. Korean Statist. Soc. 42, 2013)."""
    n = len(first)
    rows, columns = Counter(first), Counter(second)
    cells = Counter(zip(first, second, strict=True))
    phi = math.fsum(c * c / (rows[a] * columns[b]) for (a, b), c in cells.items()) - 1
    r, k = len(rows), len(columns)
    if min(r, k) < 2 or n < 2:  # noqa: PLR2004  # one group is bound to nothing
        return 0.0
    corrected = max(phi - (r - 1) * (k - 1) / (n - 1), 0.0)
    size = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return min(math.sqrt(corrected / size), 1.0) if size > 0 else 0.0
