"""One rule against one model's measurements: is there a number, may it be compared, is it worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlactions.compare.comparable import incomparable
from mlactions.compare.decide import Policy, decide
from mlactions.compare.model import (
    Baseline,
    Evidence,
    Finding,
    Label,
    Level,
    Measured,
    ModelRules,
    Rule,
    Settings,
    Source,
)
from mlactions.compare.sentences import below_noise, regression
from mlactions.compare.words import plain, plural, with_unit

Paired = Mapping[tuple[str, str], Evidence | Finding]
"""Evidence of the `paired` rules, which comes from predictions; or why there is none."""

BROKEN = {
    "nan": "is NaN",
    "infinite": "is infinite or too large",
    "boolean": "is a boolean, not a number",
    "null": "is null",
    "string": "is text, not a number",
    "not-a-number": "is no number",
    "empty-list": "is an empty list",
    "duplicate-key": "is written twice, nested and with dots",
}


@dataclass(frozen=True, slots=True)
class Judging:
    """What the rules of one model are judged by; `base` is None where it cannot be used."""

    group: ModelRules
    head: Measured
    base: Measured | None
    baseline: Baseline
    settings: Settings
    paired: Paired
    problems: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


def problems_of(side: Measured) -> dict[str, list[tuple[str, str]]]:
    """Return what is wrong with a side's values, by metric: reason codes and clauses."""
    found: dict[str, list[tuple[str, str]]] = {}
    lines = side.lines or (None,) * len(side.problems)
    for problem, line in zip(side.problems, lines, strict=True):
        what = BROKEN.get(problem.reason, problem.reason)
        where = f"{side.file}:{line}" if line else side.file
        clause = f"{what}: found `{problem.found}` in {where}"
        found.setdefault(problem.metric, []).append((problem.reason, clause))
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one rule."""

    label: Label
    findings: tuple[Finding, ...] = ()
    evidence: Evidence | None = None
    reference: tuple[float, ...] = ()
    source: Source = "recorded"


def judge(rule: Rule, judging: Judging) -> Judged:
    """Judge one rule. Whatever stands in the way of a comparison is a finding, never a pass."""
    broken = tuple(_broken(rule, judging)) or tuple(_absent(rule, judging))
    if broken:
        return Judged("unmeasured", broken)
    values = judging.head.values[rule.metric]
    bounds = tuple(_out_of_bounds(rule, values, judging.head.seeds))
    if rule.bounds_only:
        return Judged("bound", bounds)
    if rule.paired:
        return _judge_paired(rule, judging, bounds)
    reference, source, provenance = _reference(rule, judging)
    if not reference:
        message = f"{named(rule)} has no recorded value: run `compare update`, or write one."
        return Judged("unmeasured", (*bounds, finding(rule, "no-baseline-value", message)))
    differs = tuple(_differs(rule, provenance, judging.head.provenance))
    if differs:
        return Judged("incomparable", (*differs, *bounds), None, reference, source)
    evidence = None
    if not _zero_relative(rule, reference):
        evidence = decide(rule, reference, values, policy(rule, judging.baseline, judging.settings))
    found = (*_weighed(rule, evidence, reference), *bounds)
    label: Label = evidence.label if evidence else "unmeasured"
    return Judged(label, found, evidence, reference, source)


def named(rule: Rule) -> str:
    """Return how a message names a rule."""
    return f"`{rule.metric}` of `{rule.model}`"


def finding(
    rule: Rule, reason: str, message: str, *, level: Level = "fail", at: str | None = None
) -> Finding:
    """Return a finding about a rule, at the rule's place in the baseline or at one field of it."""
    keys = ("models", rule.model, "metrics", rule.metric)
    return Finding(reason, level, message, rule.model, rule.metric, (*keys, at) if at else keys)


def policy(rule: Rule, baseline: Baseline, settings: Settings) -> Policy:
    """Return what a rule asks: its own word first, then the file's, then the caller's."""
    return Policy(
        non_inferior=rule.non_inferior or settings.non_inferior or baseline.non_inferior,
        inconclusive=rule.on_inconclusive
        or baseline.on_inconclusive
        or settings.on_inconclusive
        or "fail",
    )


def _broken(rule: Rule, judging: Judging) -> Iterator[Finding]:
    for reason, clause in judging.problems.get(rule.metric, ()):
        yield finding(rule, reason, f"{named(rule)} {clause}.")


def _absent(rule: Rule, judging: Judging) -> Iterator[Finding]:
    head, base = judging.head, judging.base
    values = head.values.get(rule.metric)
    if values is None and base is not None and not _reports(base, rule.metric):
        message = f"{named(rule)} has a rule, and neither the head nor the base reports it."
        yield finding(rule, "orphan-rule", message, level="warn")
    elif values is None:
        yield finding(rule, "missing-metric", f"{named(rule)} was not reported.")
    elif head.seeds and len(values) != len(head.seeds):
        message = f"{named(rule)} has {plural(len(values), 'value')} for {len(head.seeds)} seeds."
        yield finding(rule, "missing-seeds", message)


def _reports(side: Measured, metric: str) -> bool:
    return metric in side.values or any(problem.metric == metric for problem in side.problems)


def _out_of_bounds(
    rule: Rule, values: tuple[float, ...], seeds: tuple[int, ...]
) -> Iterator[Finding]:
    """Yield the broken bounds: they are absolute and hold for every seed."""
    if rule.minimum is not None:
        low = [n for n, value in enumerate(values) if value < rule.minimum]
        if low:
            worst = min(low, key=values.__getitem__)
            limit = f"below its `min` of {with_unit(plain(rule.minimum), rule.unit)}"
            message = _beyond(rule, values, seeds, worst, f"{limit}{_share(low, values)}")
            yield finding(rule, "below-min", message, level=rule.severity, at="min")
    if rule.maximum is not None:
        high = [n for n, value in enumerate(values) if value > rule.maximum]
        if high:
            worst = max(high, key=values.__getitem__)
            limit = f"above its `max` of {with_unit(plain(rule.maximum), rule.unit)}"
            message = _beyond(rule, values, seeds, worst, f"{limit}{_share(high, values)}")
            yield finding(rule, "above-max", message, level=rule.severity, at="max")


def _beyond(
    rule: Rule, values: tuple[float, ...], seeds: tuple[int, ...], worst: int, limit: str
) -> str:
    seed = f" (seed {seeds[worst]})" if seeds else ""
    value = f"{with_unit(plain(values[worst]), rule.unit)}{seed}"
    if len(values) == 1:
        return f"{named(rule)} is {value}, {limit}."
    return f"{named(rule)} is {limit}; the worst is {value}."


def _share(beyond: Sequence[int], values: tuple[float, ...]) -> str:
    return f" in {len(beyond)} of {plural(len(values), 'run')}" if len(values) > 1 else ""


def _reference(rule: Rule, judging: Judging) -> tuple[tuple[float, ...], Source, Mapping[str, Any]]:
    """Return the values to hold against: measured at the base if they were, else recorded."""
    base = judging.base
    if base is not None and rule.metric in base.values:
        return base.values[rule.metric], "base", base.provenance
    return rule.values, "recorded", judging.group.provenance


def _differs(
    rule: Rule, reference: Mapping[str, Any], measured: Mapping[str, Any]
) -> Iterator[Finding]:
    for reason, why in incomparable(rule, reference, measured):
        message = f"{named(rule)} cannot be compared: {why}."
        yield finding(rule, reason, message, level=rule.severity)


def _zero_relative(rule: Rule, reference: tuple[float, ...]) -> bool:
    return bool(rule.relative) and not rule.absolute and sum(reference) == 0


def _weighed(
    rule: Rule, evidence: Evidence | None, reference: tuple[float, ...]
) -> Iterator[Finding]:
    if evidence is None and _zero_relative(rule, reference):
        message = f"{named(rule)}: a relative tolerance of a baseline of 0 allows nothing."
        yield finding(rule, "zero-baseline", message, at="tolerance")
    elif evidence is None:
        message = f"{named(rule)} has values too large to compute with."
        yield finding(rule, "out-of-range", message)
    elif evidence.outcome != "pass":
        level: Level = "warn" if evidence.outcome == "warn" else rule.severity
        yield finding(rule, _reason(evidence), regression(rule, evidence), level=level)
    elif evidence.margin is not None and evidence.margin > evidence.allowed:
        yield finding(
            rule, "tolerance-below-noise", below_noise(rule, evidence), level="warn", at="tolerance"
        )


def _reason(evidence: Evidence) -> str:
    if evidence.label in {"not-proven", "point"} and evidence.degradation <= evidence.allowed:
        return "non-inferiority-not-shown"
    return "regression" if evidence.label == "point" else f"regression-{evidence.label}"


def _judge_paired(rule: Rule, judging: Judging, bounds: tuple[Finding, ...]) -> Judged:
    evidence = judging.paired.get((rule.model, rule.metric))
    if evidence is None:
        message = f"{named(rule)} is `paired`, and there are no predictions of both sides."
        return Judged("unmeasured", (*bounds, finding(rule, "no-predictions", message)))
    if isinstance(evidence, Finding):
        return Judged("unmeasured", (*bounds, evidence))
    found = (*_weighed(rule, evidence, ()), *bounds)
    return Judged(evidence.label, found, evidence, (evidence.baseline,), "base")
