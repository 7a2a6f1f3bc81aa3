"""One rule, two sets of values, one label. Pure: numbers in, evidence out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Any

from mlactions.compare.model import Direction, Evidence, Label, Outcome, Rule
from mlactions.compare.statistics import ONE_SIDED, seeds_to_settle, spread

TWO_SIDED = (1 + ONE_SIDED) / 2
"""`equal` has two ways to fail: 2.5 % at each end make the same 5 %."""

# Sums of floats of any likely size are exact in so many digits.
_EXACT = Context(prec=200)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of means; `exceeds` is decided on the decimals the user wrote."""

    baseline: float
    candidate: float
    change: float
    degradation: float
    allowed: float
    exceeds: bool

    @property
    def finite(self) -> bool:
        """False where the numbers are too large to compute with."""
        return all(map(math.isfinite, (self.change, self.allowed, self.baseline, self.candidate)))


@dataclass(frozen=True, slots=True)
class Policy:
    """What a rule asks of its evidence."""

    non_inferior: bool = False
    inconclusive: Outcome = "fail"


def difference(rule: Rule, baseline: Sequence[float], candidate: Sequence[float]) -> Difference:
    """Compare two means exactly, as decimals: 0.981 - 0.976 is not more than 0.005.

    Both sides are multiplied by the numbers of values, so that no division rounds.
    """
    with localcontext(_EXACT):
        first, second = _total(baseline), _total(candidate)
    return difference_of_totals(rule, (first, len(baseline)), (second, len(candidate)))


def difference_of_totals(
    rule: Rule, baseline: tuple[Decimal, int], candidate: tuple[Decimal, int]
) -> Difference:
    """Compare two means that are given as a total and a number of values."""
    (first, n0), (second, n1) = baseline, candidate
    with localcontext(_EXACT):
        change = second * n0 - first * n1
        allowed = (_decimal(rule.absolute) * n0 + _decimal(rule.relative) * abs(first)) * n1
        worse = degradation(change, rule.direction)
        both = n0 * n1
        return Difference(
            baseline=float(first / n0),
            candidate=float(second / n1),
            change=float(change / both),
            degradation=float(worse / both),
            allowed=float(allowed / both),
            exceeds=worse > allowed,
        )


def _total(values: Sequence[float]) -> Decimal:
    return sum(map(_decimal, values), Decimal(0))


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def degradation(change: Decimal, direction: Direction) -> Decimal:
    """Return a change signed so that worse is positive; `equal` calls any change worse."""
    if direction == "equal":
        return abs(change)
    return -change if direction == "higher" else change


def confidence(direction: Direction) -> float:
    """Return the confidence at each end of an interval."""
    return TWO_SIDED if direction == "equal" else ONE_SIDED


def decide(
    rule: Rule, baseline: Sequence[float], candidate: Sequence[float], policy: Policy
) -> Evidence | None:
    """Hold one candidate against one baseline; None where the numbers overflow.

    Values are one per seed. Fewer than two baseline values, or no spread at all: the point rule.
    """
    seen = difference(rule, baseline, candidate)
    if not seen.finite:
        return None
    found = spread(baseline, candidate)
    level = confidence(rule.direction)
    margin = found.margin(level) if found else math.inf
    if found is None or not math.isfinite(margin):
        return point(rule, seen, policy)
    bounds = (seen.degradation - margin, seen.degradation + margin)
    label = label_of(seen, bounds, worse=bounds[0] > 0)
    limit = limit_to_settle(seen, label, policy)
    return evidence(
        rule,
        seen,
        label,
        policy,
        bounds=bounds,
        margin=margin,
        detectable=found.detectable(margin),
        limit_to_settle=limit,
        seeds_to_settle=None
        if limit is None
        else seeds_to_settle(baseline, candidate, limit, level),
    )


def point(rule: Rule, seen: Difference, policy: Policy, items: int | None = None) -> Evidence:
    """Compare two numbers: nothing is known of their noise, so nothing is shown beyond them."""
    return evidence(rule, seen, "point", policy, items=items)


def label_of(seen: Difference, bounds: tuple[float, float], *, worse: bool) -> Label:
    """Label a degradation by its interval; `worse` says it is shown to be above 0."""
    low, high = bounds
    if not seen.exceeds:
        return "non-inferior" if high <= seen.allowed else "not-proven"
    proven = worse and low > seen.allowed
    return "proven" if proven else "observed" if worse else "inconclusive"


def evidence(
    rule: Rule,
    seen: Difference,
    label: Label,
    policy: Policy,
    *,
    bounds: tuple[float, float] | tuple[None, None] = (None, None),
    **more: Any,
) -> Evidence:
    """Return what was seen under its label; `bounds` of the degradation become the change's."""
    low, high = bounds
    mirrored = rule.direction == "higher" or (rule.direction == "equal" and seen.change < 0)
    if low is not None and high is not None and mirrored:
        low, high = -high, -low
    return Evidence(
        label=label,
        outcome=_outcome(seen, label, policy),
        baseline=seen.baseline,
        candidate=seen.candidate,
        change=seen.change,
        degradation=seen.degradation,
        allowed=seen.allowed,
        low=low,
        high=high,
        **more,
    )


def _outcome(seen: Difference, label: Label, policy: Policy) -> Outcome:
    if policy.non_inferior:
        return "pass" if label == "non-inferior" else "fail"
    if label == "inconclusive":
        return policy.inconclusive
    return "fail" if seen.exceeds else "pass"


def limit_to_settle(seen: Difference, label: Label, policy: Policy) -> float | None:
    """Return the margin at which more seeds would bring a clear answer; None if they need not."""
    if label == "inconclusive":
        return seen.allowed
    if policy.non_inferior and label == "not-proven":
        return seen.allowed - seen.degradation
    return None
