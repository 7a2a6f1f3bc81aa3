"""Slices nobody wrote a rule for: they may advise, and they cannot fail a check."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlactions.compare.decide import difference
from mlactions.compare.model import Baseline, Candidate, Direction, Finding, ModelRules, Rule
from mlactions.compare.statistics import benjamini_hochberg, welch_p_value
from mlactions.compare.words import plain
from mlactions.text import plural

FALSE_DISCOVERIES = 0.05


def parent(metric: str) -> str | None:
    """Return the metric a slice belongs to: `accuracy` of `accuracy/class=8`."""
    name, slash, _ = metric.partition("/")
    return name if slash else None


def undeclared(group: ModelRules, metric: str) -> Rule | None:
    """Return the rule of the metric that a slice without a rule belongs to."""
    name = parent(metric)
    if name is None or metric in group.rules or name not in group.rules:
        return None
    return group.rules[name]


@dataclass(frozen=True, slots=True)
class _Slice:
    """A slice without a rule on both sides; `p_value` is None where no spread is known."""

    rule: Rule
    before: tuple[float, ...]
    after: tuple[float, ...]
    p_value: float | None


def worse_slices(baseline: Baseline, candidate: Candidate) -> Iterator[Finding]:
    """Yield the undeclared slices that got worse, at 5 % false discoveries over all of them.

    Nothing is recorded for them, so this needs the base measured too. Without two or more seeds,
    or where they are all equal, the numbers alone decide: by the tolerance of the slice's metric.
    """
    found = list(_slices(baseline, candidate))
    p_values = [one.p_value for one in found if one.p_value is not None]
    adjusted = iter(benjamini_hochberg(p_values))
    for one in found:
        if one.p_value is None:
            if difference(one.rule, one.before, one.after).exceeds:
                yield _worse(one, "no spread is known; more than its metric may")
        elif (q_value := next(adjusted)) <= FALSE_DISCOVERIES:
            yield _worse(one, f"adjusted p {q_value:.2g} over {plural(len(p_values), 'slice')}")


def _worse(one: _Slice, why: str) -> Finding:
    model, metric = one.rule.model, one.rule.metric
    before, after = (plain(math.fsum(v) / len(v)) for v in (one.before, one.after))
    text = f"got worse: {before} to {after} ({why})."
    message = f"`{metric}` of `{model}`, a slice without a rule, {text}"
    return Finding("slice-worse", "notice", message, model, metric)


def _slices(baseline: Baseline, candidate: Candidate) -> Iterator[_Slice]:
    for model, group in baseline.models.items():
        head, base = candidate.head.get(model), candidate.base.get(model)
        if head is None or base is None:
            continue
        for metric, after in head.values.items():
            rule = undeclared(group, metric)
            before = base.values.get(metric)
            if rule is not None and before is not None:
                mine = replace(rule, metric=metric)
                yield _Slice(mine, before, after, _p_value(rule.direction, before, after))


def _p_value(
    direction: Direction, before: tuple[float, ...], after: tuple[float, ...]
) -> float | None:
    smaller, larger = welch_p_value(before, after), welch_p_value(after, before)
    if smaller is None or larger is None:
        return None
    if direction == "equal":
        return min(1.0, 2 * min(smaller, larger))
    return smaller if direction == "higher" else larger
