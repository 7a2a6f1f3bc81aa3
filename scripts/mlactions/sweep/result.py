"""The result of `sweep` as JSON: all that the report, the facts and the outputs need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlactions.schema import validate
from mlactions.settings import Status
from mlactions.sweep.domains import Choice, Domain
from mlactions.sweep.generate import Plan
from mlactions.sweep.jobs import listed, matrix
from mlactions.sweep.model import Condition, Space
from mlactions.sweep.settings import Settings
from mlactions.text import plural

MAX_NOTES = 50


def space_document(space: Space, file: str) -> dict[str, Any]:
    """Return what a report says of the space."""
    return {
        "file": file,
        "description": space.description[:2000],
        "method": space.method,
        "metric": None if space.metric is None else asdict(space.metric),
        "parameters": [
            {
                "name": f"{item.prefix}{item.key}",
                "values": domain_text(item.domain),
                "when": condition_text(item.when),
            }
            for item in space.parameters
        ],
        "exclude": [condition_text(item) for item in space.exclude],
        "seeds": list(space.seeds[:100]),
        "seed_count": len(space.seeds),
        "retry": space.retry,
        "run_cap": space.run_cap,
        "max_parallel": space.max_parallel,
        "reuse_across_commits": space.reuse_across_commits,
        "budget": asdict(space.budget),
    }


def domain_text(domain: Domain, most: int = 12) -> str:
    """Return a domain in words."""
    if isinstance(domain, Choice):
        if domain.glob is not None:
            return f"options {', '.join(domain.glob.include)}"
        shown = ", ".join(_short(value) for value in domain.values[:most])
        rest = len(domain.values) - most
        return shown if rest <= 0 else f"{shown} and {rest:,} more"
    if domain.family in {"normal", "log-normal"}:
        text = f"{domain.family}, μ {domain.mu:g}, σ {domain.sigma:g}"
    else:
        kind = "" if domain.family == "uniform" else f", {domain.family}"
        text = f"{domain.low:g} … {domain.high:g}{kind}"
    if domain.integer:
        text += ", integer"
    return text if domain.step is None else f"{text}, in steps of {domain.step:g}"


def _short(value: Any) -> str:
    from mlactions.values import show

    text = " ".join(show(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004  # a cell's width


def condition_text(condition: Condition | None) -> str:
    """Return a condition in words."""
    if condition is None:
        return ""
    parts = []
    for test in condition.tests:
        if test.low is None and test.high is None:
            parts.append(f"{test.parameter} = {' or '.join(map(_short, test.values))}")
        else:
            low = "" if test.low is None else f"{test.low:g} ≤ "
            high = "" if test.high is None else f" ≤ {test.high:g}"
            parts.append(f"{low}{test.parameter}{high}")
    return " and ".join(parts)


def document(
    plan: Plan, settings: Settings, commit: str, lookup: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the result of generating, checked against its schema."""
    refused = bool(plan.refused)
    status = Status.REFUSED if refused else Status.WARN if plan.warnings else Status.PASS
    jobs = matrix(plan.left, max_jobs=settings.max_jobs)
    found = {
        **head("plan", status, verdict(plan), commit, settings),
        "sweep": plan.name,
        "folder": settings.place(plan.name),
        "space": space_document(plan.space, settings.space_name),
        "counts": {
            "trials": plan.trials,
            "configurations": plan.configurations,
            "left": len(plan.left),
            "states": dict(sorted(plan.states.items())),
        },
        "left": listed(plan.left),
        "estimate": asdict(plan.estimate) if plan.estimate else None,
        "refused": list(plan.refused),
        "coverage": plan.coverage.rows(),
        "notes": list(plan.space.notes)[:MAX_NOTES],
        "warnings": list(plan.warnings)[:MAX_NOTES],
        "composed": {
            "how": settings.compose,
            "config": settings.config_name,
            "choices": len(plan.samples.values),
            "files": plan.composed,
        },
        "backends": list(settings.backends),
        "scripts": [] if refused else list(plan.scripts),
        "jobs": len(jobs["include"]),
        "lookup": dict(lookup),
        "best": [],
        "analysis": None,
        "proposed": [],
    }
    validate(found, "sweep-result", file="result.json")
    return found


def head(kind: str, status: Status, text: str, commit: str, settings: Settings) -> dict[str, Any]:
    """Return what every result begins with; `kind` is plan, status or next."""
    return {
        "version": 1,
        "word": "sweep",
        "kind": kind,
        "status": str(status),
        "verdict": text[:2000],
        "commit": commit,
        "key": settings.key,
    }


def verdict(plan: Plan) -> str:
    """Return the result in one sentence."""
    trials = plural(plan.trials, "trial")
    if plan.refused:
        return f"Refused: {'; '.join(plan.refused)}."
    seeds = f" of {plural(plan.configurations, 'configuration')}" if plan.space.seeds else ""
    cost = ""
    found = plan.estimate
    if found is not None and found.gpu_hours is not None and plan.left:
        cost = f", {found.gpu_hours:,.3g} GPU hours"
        if found.money is not None:
            cost += f" ({found.money:,.2f} {found.currency})"
    left = len(plan.left)
    if left == plan.trials:
        return f"`{plan.name}` has {trials}{seeds}{cost}."
    return f"`{plan.name}` has {trials}{seeds}; {left:,} left to run{cost}."
