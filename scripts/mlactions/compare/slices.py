"""Slices nobody wrote a rule for: they may advise, and they cannot fail a check."""

from __future__ import annotations

from collections.abc import Iterator

from mlactions.compare.model import Baseline, Candidate, Direction, Finding, ModelRules
from mlactions.compare.statistics import benjamini_hochberg, welch_p_value
from mlactions.compare.words import plain

FALSE_DISCOVERIES = 0.05


def parent(metric: str) -> str | None:
    """Return the metric a slice belongs to: `accuracy` of `accuracy/class=8`."""
    name, slash, _ = metric.partition("/")
    return name if slash else None


def undeclared(group: ModelRules, metric: str) -> Direction | None:
    """Return the direction of a slice without a rule whose metric has one."""
    name = parent(metric)
    if name is None or metric in group.rules or name not in group.rules:
        return None
    return group.rules[name].direction


def worse_slices(baseline: Baseline, candidate: Candidate) -> Iterator[Finding]:
    """Yield the undeclared slices that got worse, at 5 % false discoveries over all of them.

    Nothing is recorded for them, so this needs the base measured too, on two or more seeds.
    """
    tested = list(_tested(baseline, candidate))
    adjusted = benjamini_hochberg([p_value for _, _, p_value in tested])
    for (model, metric, _), q_value in zip(tested, adjusted, strict=True):
        if q_value <= FALSE_DISCOVERIES:
            before, after = (
                plain(sum(values) / len(values))
                for values in (
                    candidate.base[model].values[metric],
                    candidate.head[model].values[metric],
                )
            )
            yield Finding(
                "slice-worse",
                "notice",
                f"`{metric}` of `{model}`, a slice without a rule, got worse: {before} to {after}"
                f" (adjusted p {q_value:.2g} over {len(tested)} slices).",
                model,
                metric,
            )


def _tested(baseline: Baseline, candidate: Candidate) -> Iterator[tuple[str, str, float]]:
    for model, group in baseline.models.items():
        head, base = candidate.head.get(model), candidate.base.get(model)
        if head is None or base is None:
            continue
        for metric, values in head.values.items():
            direction = undeclared(group, metric)
            if direction is not None and metric in base.values:
                p_value = _p_value(direction, base.values[metric], values)
                if p_value is not None:
                    yield model, metric, p_value


def _p_value(
    direction: Direction, before: tuple[float, ...], after: tuple[float, ...]
) -> float | None:
    smaller, larger = welch_p_value(before, after), welch_p_value(after, before)
    if smaller is None or larger is None:
        return None
    if direction == "equal":
        return min(1.0, 2 * min(smaller, larger))
    return smaller if direction == "higher" else larger
