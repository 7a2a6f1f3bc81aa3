"""What matters: importance by two methods, correlations, and parameters that cannot be parted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from mlactions.analyze.ranks import explained, kendall, ranks, spearman
from mlactions.analyze.regression import fit, terms
from mlactions.analyze.together import (
    MOST_IN_PAIRS,
    MOST_ROWS,
    NEARLY,
    Data,
    always,
    groups,
    pairs,
)
from mlactions.compare.statistics import benjamini_hochberg

SIGNIFICANT = 0.01
"""After correction for how many parameters were tried; one false alarm in a hundred reports."""

FEWEST_BEST = 5
"""PED-ANOVA describes the best tenth: fewer of them have no distribution (so Optuna's pages)."""

MOST_TESTED = 8
MOST_BESIDE = 4


@dataclass(frozen=True)
class Influence:
    """Every varying parameter, the most important first, and the pairs that change together."""

    parameters: tuple[Parameter, ...]
    pairs: tuple[Pair, ...]
    agreement: Agreement | None


def influence(
    found: Sequence[Observation], varying: Sequence[Varying], settings: Settings
) -> Influence:
    """Return what is known of each parameter; nothing is tested on too few observations."""
    target = [one.mean for one in found]
    values = {item.name: [item.column.at(one.first) for one in found] for item in varying}
    data = Data(values, target, ranks(target))
    best = pedanova.top(data.target, higher=settings.direction == "higher") if found else set()
    described = [_described(item, data.values[item.name], best) for item in varying]
    if len(found) < FEWEST_CONFIGURATIONS or settings.selects_by_metric:
        # Not tested: what was tried with most values comes first, as it was searched.
        described.sort(key=lambda item: (-item.distinct, -item.present, item.name))
        return Influence(tuple(described), always(data), None)
    measured = _adjusted(_measured(described, data, best))
    order = sorted(measured, key=lambda item: (-(item.share or 0.0), item.name))
    tested = {item.name for item in order[:MOST_TESTED] if _matters(item)}
    found_pairs = pairs([item.name for item in order], tested, data)
    judged = _beside(tuple(_judged(item, found_pairs) for item in order), data)
    judged = tuple(sorted(judged, key=lambda item: item.verdict == "not-shown"))
    shown = tuple(
        pair for pair in found_pairs if pair.strength >= NEARLY or _explains(pair, judged)
    )
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


def _measured(described: Sequence[Parameter], data: Data, best: set[int]) -> list[Parameter]:
    if len(best) < FEWEST_BEST:
        return [_ranked(item, data) for item in described]
    grids = [_grid(item, data.values[item.name]) for item in described]
    shares = pedanova.shares([pedanova.importance(grid, best) for grid in grids])
    return [
        replace(_ranked(item, data), pedanova=share)
        for item, share in zip(described, shares, strict=True)
    ]


def _ranked(item: Parameter, data: Data) -> Parameter:
    values = data.values[item.name]
    found = explained(groups(values), data.ranked)
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


def _grid(item: Parameter, values: Sequence[Value]) -> pedanova.Grid:
    if item.kind == "number":
        numbers = [value if isinstance(value, float) else None for value in values]
        return pedanova.numeric_grid(numbers, log=item.log)
    known = [
        None if value is None else group
        for value, group in zip(values, groups(values), strict=True)
    ]
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


def _beside(judged: tuple[Parameter, ...], data: Data) -> tuple[Parameter, ...]:
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
