"""What matters: importance by two methods, correlations, and parameters that cannot be parted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from mlactions.analyze import pedanova
from mlactions.analyze.model import (
    FEWEST_CONFIGURATIONS,
    Agreement,
    Pair,
    Parameter,
    Settings,
    Verdict,
)
from mlactions.analyze.observations import Observation, Value, Varying, brief, is_logarithmic, short
from mlactions.analyze.ranks import bins, explained, kendall, pearson, ranks, spearman
from mlactions.analyze.regression import beyond, fit, terms
from mlactions.compare.statistics import benjamini_hochberg

SIGNIFICANT = 0.01
"""After correction for how many parameters were tried; one false alarm in a hundred reports."""

ALWAYS, NEARLY, LINKED = 0.999, 0.9, 0.3
MOST_BINS, FEWEST_BINS, PER_BIN = 8, 3, 10
MOST_IN_PAIRS = 40
MOST_ROWS = 2_000
FEWEST_BEST = 5
"""PED-ANOVA describes the best tenth: fewer of them have no distribution (so Optuna's pages)."""

MOST_TESTED = 8
MOST_BESIDE = 4
FEWEST_FOR_LINK = 8


@dataclass(frozen=True)
class Influence:
    """Every varying parameter, the most important first, and the pairs that change together."""

    parameters: tuple[Parameter, ...]
    pairs: tuple[Pair, ...]
    agreement: Agreement | None


@dataclass(frozen=True)
class _Data:
    """Values by parameter and the metric, one per observation, all in the same order."""

    values: Mapping[str, list[Value]]
    target: list[float]
    ranked: list[float]


def influence(
    found: Sequence[Observation], varying: Sequence[Varying], settings: Settings
) -> Influence:
    """Return what is known of each parameter; nothing is tested on too few observations."""
    target = [one.mean for one in found]
    values = {item.name: [item.column.at(one.first) for one in found] for item in varying}
    data = _Data(values, target, ranks(target))
    best = pedanova.top(data.target, higher=settings.direction == "higher") if found else set()
    described = [_described(item, data.values[item.name], best) for item in varying]
    if len(found) < FEWEST_CONFIGURATIONS or settings.selects_by_metric:
        return Influence(tuple(described), _together(data), None)
    measured = _adjusted(_measured(described, data, best))
    order = sorted(measured, key=lambda item: (-(item.share or 0.0), item.name))
    pairs = _pairs(order, data)
    judged = _beside(tuple(_judged(item, pairs) for item in order), data)
    shown = tuple(pair for pair in pairs if pair.strength >= NEARLY or _explains(pair, judged))
    return Influence(judged, shown, _agreement(judged))


def _described(item: Varying, values: Sequence[Value], best: set[int]) -> Parameter:
    numbers = [value for value in values if isinstance(value, float)]
    return Parameter(
        name=item.name,
        kind=item.kind,
        distinct=item.distinct,
        present=item.present,
        low=brief(min(numbers)) if numbers else "",
        high=brief(max(numbers)) if numbers else "",
        best=_range([values[position] for position in sorted(best)]),
        log=bool(numbers) and is_logarithmic(numbers),
    )


def _range(values: Sequence[Value]) -> str:
    """Return which values the best observations have."""
    numbers = [value for value in values if isinstance(value, float)]
    parts = []
    if numbers:
        low, high = brief(min(numbers)), brief(max(numbers))
        parts.append(low if low == high else f"{low} … {high}")
    texts = Counter(short(value) for value in values if not isinstance(value, float))
    parts += [text for text, _ in sorted(texts.items(), key=lambda item: (-item[1], item[0]))[:3]]
    return ", ".join(parts)


def _measured(described: Sequence[Parameter], data: _Data, best: set[int]) -> list[Parameter]:
    if len(best) < FEWEST_BEST:
        return [_ranked(item, data) for item in described]
    grids = [_grid(item, data.values[item.name]) for item in described]
    shares = pedanova.shares([pedanova.importance(grid, best) for grid in grids])
    return [
        replace(_ranked(item, data), pedanova=share)
        for item, share in zip(described, shares, strict=True)
    ]


def _ranked(item: Parameter, data: _Data) -> Parameter:
    values = data.values[item.name]
    found = explained(_groups(values), data.ranked)
    numeric = [
        (value, target)
        for value, target in zip(values, data.target, strict=True)
        if isinstance(value, float)
    ]
    correlation = spearman([v for v, _ in numeric], [t for _, t in numeric]) if numeric else None
    return replace(
        item,
        share=found.share if found else None,
        p_value=found.p_value if found else None,
        rho=correlation.rho if correlation else None,
        rho_low=correlation.low if correlation else None,
        rho_high=correlation.high if correlation else None,
        n=len(data.target),
    )


def _groups(values: Sequence[Value]) -> list[Hashable]:
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


def _grid(item: Parameter, values: Sequence[Value]) -> pedanova.Grid:
    if item.kind == "number":
        numbers = [value if isinstance(value, float) else None for value in values]
        return pedanova.numeric_grid(numbers, log=item.log)
    groups = _groups(values)
    known = [None if value is None else group for value, group in zip(values, groups, strict=True)]
    order = sorted({repr(group) for group in known if group is not None})
    places = {text: place for place, text in enumerate(order)}
    found = tuple(None if group is None else places[repr(group)] for group in known)
    return pedanova.Grid(found, len(order), ordered=False)


def _adjusted(measured: Sequence[Parameter]) -> list[Parameter]:
    """Correct for how many parameters were tried: one in twenty would matter by chance."""
    tested = [item.p_value for item in measured if item.p_value is not None]
    adjusted = iter(benjamini_hochberg(tested))
    return [
        replace(item, adjusted=next(adjusted)) if item.p_value is not None else item
        for item in measured
    ]


def _matters(item: Parameter) -> bool:
    return item.adjusted is not None and item.adjusted <= SIGNIFICANT


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
    return _Profile(values, len(set(values)), _groups(values), found)


def _together(data: _Data) -> tuple[Pair, ...]:
    """Return the pairs that always change together, where nothing else can be told."""
    profiles = {name: _profile(data.values[name]) for name in list(data.values)[:MOST_IN_PAIRS]}
    found = ((a, b, _strength(profiles[a], profiles[b])) for a, b in combinations(profiles, 2))
    return tuple(Pair(a, b, "always", 1.0) for a, b, strength in found if strength >= ALWAYS)


def _pairs(order: Sequence[Parameter], data: _Data) -> list[Pair]:
    """Return the pairs that are linked, among the parameters that matter most."""
    step = -(-len(data.target) // MOST_ROWS)
    profiles = {
        item.name: _profile(data.values[item.name][::step]) for item in order[:MOST_IN_PAIRS]
    }
    target = data.target[::step]
    tested = {item.name for item in order[:MOST_TESTED] if _matters(item)}
    found: list[Pair] = []
    for a, b in combinations(profiles, 2):
        strength = _strength(profiles[a], profiles[b])
        if strength >= ALWAYS:
            found.append(Pair(a, b, "always", 1.0))
        elif strength >= LINKED and {a, b} <= tested:
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


def _judged(item: Parameter, pairs: Sequence[Pair]) -> Parameter:
    """Give a verdict: a parameter that matters may still owe all of it to another one."""
    if item.adjusted is None:
        return item
    if not _matters(item):
        return replace(item, verdict="not-shown")
    found: dict[Verdict, list[str]] = {"follows": [], "confounded": []}
    for pair in pairs:
        verdict = _owes(item.name, pair)
        if verdict is not None:
            other = pair.second if item.name == pair.first else pair.first
            found[verdict].append(other)
    for verdict, partners in found.items():
        if partners:
            return replace(item, verdict=verdict, partners=tuple(sorted(partners)))
    return replace(item, verdict="matters")


def _owes(name: str, pair: Pair) -> Verdict | None:
    """Return what a pair makes of one of its two; None where it stands on its own."""
    if name not in (pair.first, pair.second):
        return None
    if pair.kind == "always":
        return "confounded"
    if not pair.tested:
        return None
    mine, theirs = pair.beyond_second, pair.beyond_first
    if name == pair.second:
        mine, theirs = theirs, mine
    if _tells(mine):
        return None
    return "follows" if _tells(theirs) else "confounded"


def _beside(judged: tuple[Parameter, ...], data: _Data) -> tuple[Parameter, ...]:
    """Look again for what a strong parameter hides: effects beside those that are known.

    What a large effect leaves of the metric's ranks shows small ones that drown in the whole.
    """
    strong = [item for item in judged if item.verdict in {"matters", "confounded"}][:MOST_BESIDE]
    quiet = [item for item in judged if item.verdict == "not-shown"][:MOST_IN_PAIRS]
    if not strong or not quiet:
        return judged
    step = -(-len(data.target) // MOST_ROWS)
    target = data.target[::step]
    columns = [column for item in strong for column in terms(data.values[item.name][::step])]
    known = fit(columns, target)
    found = {
        item.name: p_value
        for item in quiet
        if (p_value := known.beyond(terms(data.values[item.name][::step]))) is not None
    }
    adjusted = dict(zip(found, benjamini_hochberg(list(found.values())), strict=True))
    return tuple(
        replace(
            item,
            beside=adjusted[item.name],
            verdict="matters" if adjusted[item.name] <= SIGNIFICANT else item.verdict,
        )
        if item.name in adjusted
        else item
        for item in judged
    )


def _tells(p_value: float | None) -> bool:
    return p_value is not None and p_value <= SIGNIFICANT


def _explains(pair: Pair, judged: Sequence[Parameter]) -> bool:
    """Tell whether a pair is behind a verdict."""
    return any(
        {item.name, partner} == {pair.first, pair.second}
        for item in judged
        for partner in item.partners
    )


def _agreement(judged: Sequence[Parameter]) -> Agreement | None:
    both = [item for item in judged if item.share is not None and item.pedanova is not None]
    if len(both) < 2:  # noqa: PLR2004  # an order needs two
        return None
    shares = [item.share or 0.0 for item in both]
    others = [item.pedanova or 0.0 for item in both]
    first = max(range(len(both)), key=shares.__getitem__)
    same = others[first] == max(others)
    return Agreement(kendall(shares, others), same, len(both))
