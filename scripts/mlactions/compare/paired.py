"""The same items before and after: exact McNemar for hits, a paired bootstrap for scores.

Only for the same weights under another runtime, precision or preprocessing. Two trainings differ
by their seeds too, and that noise is not in a pair of predictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist

from mlactions.compare.decide import (
    Difference,
    Policy,
    confidence,
    difference_of_totals,
    evidence,
    label_of,
    limit_to_settle,
    point,
)
from mlactions.compare.model import Baseline, Candidate, Direction, Evidence, Finding, Rule
from mlactions.compare.predictions import CORRECT, Pairs, PredictionsError, pairs
from mlactions.compare.statistics import POWER
from mlactions.errors import UserError

RESAMPLES = 10_000
MIN_RESAMPLES = 1_000
RANDOM_SEED = 20_261_101
_DRAWS = 20_000_000


def gather(
    baseline: Baseline, candidate: Candidate, policy: Callable[[Rule], Policy]
) -> dict[tuple[str, str], Evidence | Finding]:
    """Return the evidence of every `paired` rule, or why there is none."""
    found: dict[tuple[str, str], Evidence | Finding] = {}
    for model, group in baseline.models.items():
        if model in candidate.head:
            for rule in group.rules.values():
                if rule.paired:
                    found[model, rule.metric] = _evidence(rule, candidate, policy(rule))
    return found


def _evidence(rule: Rule, candidate: Candidate, policy: Policy) -> Evidence | Finding:
    try:
        return weigh_pairs(rule, pairs(rule, candidate), policy)
    except PredictionsError as error:
        message = f"`{rule.metric}` of `{rule.model}` cannot be paired: {error.message}."
        keys = ("models", rule.model, "metrics", rule.metric, "paired")
        return Finding(error.reason, "fail", message, rule.model, rule.metric, keys)


def weigh_pairs(rule: Rule, both: Pairs, policy: Policy) -> Evidence:
    """Weigh one rule's pairs: hits exactly, scores by resampling items."""
    seen = _difference(rule, both)
    items = len(both.baseline)
    sign = _sign_of_worse(rule.direction, seen.change)
    worsened = [
        sign * (after - before) for before, after in zip(both.baseline, both.candidate, strict=True)
    ]
    level = confidence(rule.direction)
    hits = both.column == CORRECT and both.single
    if not hits and worsened.count(worsened[0]) == items:
        return point(rule, seen, policy, items)
    shown = weigh_hits(worsened, level) if hits else weigh_scores(worsened, level)
    label = label_of(seen, (shown.low, shown.high), worse=shown.worse)
    margin = (shown.high - shown.low) / 2
    ratio = NormalDist().inv_cdf(POWER) / NormalDist().inv_cdf(level)
    return evidence(
        rule,
        seen,
        label,
        policy,
        bounds=(shown.low, shown.high),
        margin=margin,
        detectable=margin * (1 + ratio),
        limit_to_settle=limit_to_settle(seen, label, policy),
        p_value=shown.p_value,
        items=items,
    )


def _difference(rule: Rule, both: Pairs) -> Difference:
    count = len(both.baseline)
    first, second = (
        (Decimal(repr(math.fsum(values))), count) for values in (both.baseline, both.candidate)
    )
    return difference_of_totals(rule, first, second)


def _sign_of_worse(direction: Direction, change: float) -> int:
    if direction == "equal":
        return -1 if change < 0 else 1
    return -1 if direction == "higher" else 1


@dataclass(frozen=True, slots=True)
class Shown:
    """Bounds of a worsening, and whether it is shown to be above 0."""

    low: float
    high: float
    worse: bool
    p_value: float | None = None


def weigh_hits(worsened: Sequence[float], level: float) -> Shown:
    """Weigh items that are right or wrong: +1 was lost, -1 was won.

    Tango's bounds are good for many items. Of a few they can exclude 0 where the exact test does
    not; then it is the exact test that counts, for the label as for the bounds that are shown.
    """
    lost = sum(1 for value in worsened if value > 0)
    won = sum(1 for value in worsened if value < 0)
    low, high = tango_bounds(lost, won, len(worsened), level)
    p_value = mcnemar(lost, won)
    worse = p_value <= 1 - level
    return Shown(low if worse else min(low, 0.0), high, worse, p_value)


def mcnemar(lost: int, won: int) -> float:
    """Return the exact one-sided p-value of losing so many of the items that changed.

    McNemar, Psychometrika 12 (1947): P(X >= lost) for X ~ Binomial(lost + won, 1/2).
    """
    changed = lost + won
    logarithm = math.lgamma(changed + 1) - changed * math.log(2)
    terms = (
        math.exp(logarithm - math.lgamma(n + 1) - math.lgamma(changed - n + 1))
        for n in range(lost, changed + 1)
    )
    return min(1.0, math.fsum(terms))


def tango_bounds(lost: int, won: int, items: int, level: float) -> tuple[float, float]:
    """Return score bounds of (lost - won) / items, each with one-sided confidence `level`.

    Tango, Statistics in Medicine 17 (1998). Unlike a resampling of nothing but ties, it does not
    take no difference in 100 items for proof of none. They are approximate: with 10 to 100 items
    each can err in up to 7 % of cases at level 0.95.
    """
    z = NormalDist().inv_cdf(level)
    estimate = (lost - won) / items
    low = _crossing(lambda d: _tango(lost, won, items, d) <= z, -1.0, estimate)
    high = _crossing(lambda d: _tango(lost, won, items, d) <= -z, estimate, 1.0)
    return low, high


def _tango(lost: int, won: int, items: int, difference: float) -> float:
    """Return Tango's statistic for a true difference; it falls as that rises."""
    a = 2.0 * items
    b = -lost - won + (2 * items - lost + won) * difference
    c = -won * difference * (1 - difference)
    chance = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = items * (2 * chance + difference * (1 - difference))
    distance = lost - won - items * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _crossing(beyond: Callable[[float], bool], low: float, high: float) -> float:
    """Return where `beyond` turns true between `low` and `high`, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high


def weigh_scores(worsened: Sequence[float], level: float) -> Shown:
    """Weigh scores by resampling items: percentile bounds of the mean, always the same draws."""
    try:
        import numpy as np  # 0.1 s to import: only predictions with scores pay
    except ImportError:
        raise UserError(
            "numpy is missing",
            "the scores of a `paired` rule are resampled with it.",
            "Install it where this runs: `pip install 'numpy>=2'`. The launcher does it itself.",
        ) from None
    random = np.random.default_rng(RANDOM_SEED)
    values, counts = np.unique(np.asarray(worsened), return_counts=True)
    items = len(worsened)
    if len(values) * RESAMPLES <= _DRAWS:
        # How often each distinct value is drawn is all that a mean needs.
        drawn = random.multinomial(items, counts / items, size=RESAMPLES)
        means = drawn @ values / items
    else:
        resamples = max(MIN_RESAMPLES, min(RESAMPLES, _DRAWS // items))
        expanded = np.asarray(worsened)
        means = np.array(
            [expanded[random.integers(0, items, items)].mean() for _ in range(resamples)]
        )
    low, high = (float(bound) for bound in np.quantile(means, [1 - level, level]))
    return Shown(low, high, low > 0)
