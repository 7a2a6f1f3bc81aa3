"""Tolerances above the noise, from runs that differ in their seeds only. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlactions.compare.decide import difference
from mlactions.compare.edit import spell
from mlactions.compare.model import Baseline, Candidate, Direction, Rule
from mlactions.compare.statistics import noise_margin, variance
from mlactions.compare.suggest import as_written, direction, key, severity_of
from mlactions.errors import UserError
from mlactions.text import plural

_PROPOSED = {"value", "values", "direction", "tolerance"}

FORMULA = (
    "Tolerance = t(1 - a, n - 1) * s * sqrt(1/n + 1/m), rounded up to two digits: n runs with"
    " standard deviation s are the baseline, the gate measures m seeds, and a is the share of"
    " unchanged candidates that may exceed it. It is the upper prediction bound of a difference"
    " of means (Hahn and Meeker, Statistical Intervals, chapter 4)."
)


@dataclass(frozen=True)
class Asked:
    """What the tolerances are for: the seeds the gate will measure, and its false alarms."""

    seeds: int | None
    false_alarms: float


@dataclass(frozen=True)
class Proposal:
    """One metric's noise and the tolerance above it; None where the runs show no noise.

    `kept` are the other fields of the rule in use, as its file has them.
    """

    model: str
    metric: str
    values: tuple[float, ...]
    direction: Direction
    guessed: bool
    tolerance: float | None
    current: float | None
    kept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def deviation(self) -> float:
        """The standard deviation of the runs."""
        return math.sqrt(variance(self.values))

    @property
    def too_tight(self) -> bool:
        """True where the tolerance in use lies below the noise."""
        return (
            self.current is not None
            and self.tolerance is not None
            and self.current < self.tolerance
        )


def propose(candidate: Candidate, baseline: Baseline | None, asked: Asked) -> tuple[Proposal, ...]:
    """Return a proposal for every metric that has two or more values.

    Raises UserError where none has: one run says nothing of the noise.
    """
    proposals = tuple(_proposals(candidate, baseline, asked))
    if not proposals:
        raise UserError(
            "nothing to calibrate",
            "no metric has two values or more, so none shows its noise.",
            "Measure with several `--seeds`, or give one `--metrics` for each run.",
        )
    return proposals


def _proposals(candidate: Candidate, baseline: Baseline | None, asked: Asked) -> Iterator[Proposal]:
    for model, side in candidate.head.items():
        group = baseline.models.get(model) if baseline else None
        for metric, values in side.values.items():
            if len(values) == 1:
                continue
            known = group.rules.get(metric) if group else None
            bounded = known is None or known.bounds_only
            yield Proposal(
                model=model,
                metric=metric,
                values=values,
                direction=known.direction if known else direction(metric),
                guessed=known is None,
                tolerance=noise_margin(values, asked.seeds or len(values), asked.false_alarms),
                current=None
                if known is None or bounded
                else difference(known, known.values or values, values).allowed,
                kept=_kept(known, baseline) if known and baseline else {},
            )


def _kept(rule: Rule, baseline: Baseline) -> dict[str, Any]:
    """Return what a rule says besides what is proposed anew."""
    written: Any = baseline.marked.value if baseline.marked else {}
    for place in ("models", rule.model, "metrics", rule.metric):
        written = written.get(place, {}) if isinstance(written, dict) else {}
    return {name: value for name, value in written.items() if name not in _PROPOSED}


def any_false_alarm(proposals: Sequence[Proposal], false_alarms: float) -> float:
    """Return how often at least one of independent rules would fail without any change."""
    rules = sum(1 for proposal in proposals if proposal.tolerance)
    return float(1 - (1 - false_alarms) ** rules)


def as_yaml(proposals: Sequence[Proposal]) -> str:
    """Return the proposals as YAML to paste; guessed directions are marked."""
    lines = ["models:"]
    model = ""
    for item in proposals:
        if item.model != model:
            model = item.model
            lines += [f"  {key(model)}:", "    metrics:"]
        lines.append(f"      {key(item.metric)}: {_rule(item)}")
    return "\n".join([*lines, ""])


def _rule(item: Proposal) -> str:
    values = ", ".join(map(repr, as_written(item.values)))
    allowed = "0" if item.tolerance is None else f"{item.tolerance:g}"
    note = "  # check direction" if item.guessed else ""
    kept = "".join(f", {key(name)}: {spell(value)}" for name, value in item.kept.items())
    rest = severity_of(item.metric) if item.guessed else kept
    still = "  # no noise seen" if item.tolerance is None else ""
    return (
        f"{{values: [{values}], direction: {item.direction},"
        f" tolerance: {{absolute: {allowed}}}{rest}}}{note}{still}"
    )


def document(proposals: Sequence[Proposal], asked: Asked, head: dict[str, Any]) -> dict[str, Any]:
    """Return `result.json` of a calibration; `head` holds what every result has."""
    return {
        **head,
        "mode": "calibrate",
        "verdict": sentence(proposals),
        "false_alarms": asked.false_alarms,
        "any_false_alarm": any_false_alarm(proposals, asked.false_alarms),
        "seeds": asked.seeds,
        "rows": [
            {
                "model": item.model,
                "metric": item.metric,
                "direction": item.direction,
                "guessed": item.guessed,
                "n": len(item.values),
                "mean": math.fsum(item.values) / len(item.values),
                "deviation": item.deviation,
                "tolerance": item.tolerance,
                "current": item.current,
                "too_tight": item.too_tight,
            }
            for item in proposals
        ],
        "paste": as_yaml(proposals),
        "findings": [],
    }


def sentence(proposals: Sequence[Proposal]) -> str:
    """Return the outcome in one sentence."""
    models = len({item.model for item in proposals})
    tight = sum(1 for item in proposals if item.too_tight)
    known = f"; {plural(tight, 'tolerance')} in use below the noise" if tight else ""
    metrics = plural(len(proposals), "metric")
    return f"Proposed tolerances for {metrics} of {plural(models, 'model')}{known}."
