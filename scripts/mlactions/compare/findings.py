"""Findings about rules, and those that say the same of several metrics said once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mlactions.compare.model import Finding, Level, Rule

NAMED = 5


def named(rule: Rule) -> str:
    """Return how a message names a rule."""
    return f"`{rule.metric}` of `{rule.model}`"


def finding(
    rule: Rule, reason: str, message: str, *, level: Level = "fail", at: str | None = None
) -> Finding:
    """Return a finding about a rule, at the rule's place in the baseline or at one field of it."""
    keys = ("models", rule.model, "metrics", rule.metric)
    return Finding(reason, level, message, rule.model, rule.metric, (*keys, at) if at else keys)


def shared_finding(finding: Finding, shared: str) -> Finding:
    """Return the finding with its message: the metric's name, and what others may share."""
    message = f"`{finding.metric}` of `{finding.model}`{shared}"
    return replace(finding, message=message, shared=shared)


def united(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding, listing the metrics, for those that differ in their level at most.

    It fails where one of them does; what is waived stays apart.
    """
    groups: dict[Finding | int, list[Finding]] = {}
    for number, finding in enumerate(findings):
        same: Finding | int = number
        if finding.shared:
            level: Level = "warn" if finding.waived else "fail"
            same = replace(finding, metric="", message="", level=level, keys=finding.keys[:2])
        groups.setdefault(same, []).append(finding)
    return [group[0] if len(group) == 1 else _one(group) for group in groups.values()]


def _one(group: Sequence[Finding]) -> Finding:
    first = group[0]
    metrics = listed([finding.metric for finding in group])
    keys = first.keys if len({finding.keys for finding in group}) == 1 else first.keys[:2]
    message = f"{metrics} of `{first.model}`{first.shared}"
    level: Level = "fail" if any(finding.level == "fail" for finding in group) else first.level
    return replace(first, metric="", level=level, keys=keys, message=message)


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them, at most NAMED of them."""
    shown = [f"`{name}`" for name in names[:NAMED]]
    if len(names) > NAMED:
        return f"{', '.join(shown)} and {len(names) - NAMED:,} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
