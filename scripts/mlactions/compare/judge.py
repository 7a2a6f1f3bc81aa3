"""One rule against one model's measurements: is there a number, may it be compared, is it worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlactions.compare.bounds import out_of_bounds
from mlactions.compare.comparable import incomparable
from mlactions.compare.decide import Policy, decide
from mlactions.compare.findings import finding, named, shared_finding
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
from mlactions.text import plural

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

REMEDIES = {
    "string": "Write a finite number, without quotes",
    "empty-list": "Write one finite number per seed",
    "duplicate-key": "Keep one of them",
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
        write = REMEDIES.get(problem.reason, "Write a finite number")
        clause = f"{what}: found `{problem.found}` in {where}. {write}"
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
    if rule.bounds_only:
        return Judged("bound", _bounds(rule, judging))
    if rule.paired:
        return _judge_paired(rule, judging)
    reference, source, provenance = _reference(rule, judging)
    if not reference:
        message = f"{named(rule)} has no recorded value: run `compare update`, or write one."
        absent = finding(rule, "no-baseline-value", message)
        return Judged("unmeasured", (*_bounds(rule, judging), absent))
    differs = tuple(_differs(rule, provenance, judging.head.provenance, source))
    if differs:
        bounds = _bounds(rule, judging, None, reference)
        return Judged("incomparable", (*differs, *bounds), None, reference, source)
    evidence = None
    if not _zero_relative(rule, reference):
        evidence = decide(rule, reference, values, policy(rule, judging.baseline, judging.settings))
    bounds = _bounds(rule, judging, evidence, reference)
    found = (*_weighed(rule, evidence, reference), *bounds)
    label: Label = evidence.label if evidence else "unmeasured"
    return Judged(label, found, evidence, reference, source)


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


def _bounds(
    rule: Rule,
    judging: Judging,
    evidence: Evidence | None = None,
    reference: tuple[float, ...] = (),
) -> tuple[Finding, ...]:
    if rule.minimum is None and rule.maximum is None:
        return ()
    head = judging.head
    return tuple(out_of_bounds(rule, head, evidence, reference or rule.values))


def _reference(rule: Rule, judging: Judging) -> tuple[tuple[float, ...], Source, Mapping[str, Any]]:
    """Return the values to hold against: measured at the base if they were, else recorded."""
    base = judging.base
    if base is not None and rule.metric in base.values:
        return base.values[rule.metric], "base", base.provenance
    return rule.values, "recorded", judging.group.provenance


def _differs(
    rule: Rule, reference: Mapping[str, Any], measured: Mapping[str, Any], source: Source
) -> Iterator[Finding]:
    for found in incomparable(rule, reference, measured, source):
        told = finding(rule, found.reason, "", level=rule.severity)
        yield shared_finding(told, f" cannot be compared: {found.why}.")


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


def _judge_paired(rule: Rule, judging: Judging) -> Judged:
    evidence = judging.paired.get((rule.model, rule.metric))
    known = evidence if isinstance(evidence, Evidence) else None
    bounds = _bounds(rule, judging, known)
    _, source, provenance = _reference(rule, judging)
    differs = tuple(_differs(rule, provenance, judging.head.provenance, source))
    if differs:
        return Judged("incomparable", (*differs, *bounds))
    if evidence is None:
        message = f"{named(rule)} is `paired`, and there are no predictions of both sides."
        return Judged("unmeasured", (*bounds, finding(rule, "no-predictions", message)))
    if isinstance(evidence, Finding):
        return Judged("unmeasured", (*bounds, evidence))
    found = (*_weighed(rule, evidence, ()), *bounds)
    return Judged(evidence.label, found, evidence, (evidence.baseline,), "base")
