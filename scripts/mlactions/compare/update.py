"""A baseline brought up to date: what would change, and whether it may. Pure but for `edit`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlactions.compare import fields
from mlactions.compare.edit import check, edit, spell
from mlactions.compare.findings import shared_finding
from mlactions.compare.judge import problems_of
from mlactions.compare.model import Baseline, Candidate, Finding, Measured, ModelRules, Rule
from mlactions.compare.presence import evaluation_failed, missing_models
from mlactions.compare.suggest import as_written, key, rule_lines
from mlactions.text import plural

BEGUN = "# Written by `compare update`: check each direction and tolerance, then commit it."

FEWER, DIRTY = "fewer-seeds", "dirty"
ALLOWED = (FEWER, DIRTY)
"""What replaces recorded values only where somebody says so."""

_RECORDED = ("commit", "protocol", "config", "data", "seeds", "hardware", "python", "torch")


@dataclass(frozen=True)
class Update:
    """The new text of a baseline file, and which values in it moved."""

    text: str
    moved: tuple[Moved, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class Moved:
    """One metric's recorded values before and after."""

    model: str
    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]


def refusals(
    candidate: Candidate,
    expected: frozenset[str] | None,
    baseline: Baseline | None,
    allowed: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield every reason why what was measured must not become a baseline.

    Those in ALLOWED, which a person may have wanted, are no reason where they are `allowed`.
    """
    for failure in candidate.failures:
        if failure.side == "head":
            yield evaluation_failed(failure)
    yield from missing_models(candidate, expected)
    if not candidate.head:
        yield Finding("nothing-measured", "fail", "Nothing was measured.")
    for model, side in candidate.head.items():
        group = baseline.models.get(model) if baseline else None
        yield from _broken(model, side)
        yield from _uneven(model, side)
        yield from _unmeasured(model, side, group)
        if group and FEWER not in allowed:
            yield from _fewer(model, side, group)
        if group and DIRTY not in allowed:
            yield from _dirty(model, side, group)


def _broken(model: str, side: Measured) -> Iterator[Finding]:
    for metric, problems in problems_of(side).items():
        for reason, clause in problems:
            yield Finding(reason, "fail", f"`{metric}` of `{model}` {clause}.", model, metric)


def _uneven(model: str, side: Measured) -> Iterator[Finding]:
    for metric, values in side.values.items():
        if side.seeds and len(values) != len(side.seeds):
            count = plural(len(values), "value")
            message = f"`{metric}` of `{model}` has {count} for {len(side.seeds)} seeds."
            yield Finding("missing-seeds", "fail", message, model, metric)


def _unmeasured(model: str, side: Measured, group: ModelRules | None) -> Iterator[Finding]:
    broken = {problem.metric for problem in side.problems}
    for metric in group.rules if group else ():
        if metric not in side.values and metric not in broken:
            message = f"`{metric}` of `{model}` has a rule and was not reported."
            keys = ("models", model, "metrics", metric)
            yield Finding("missing-metric", "fail", message, model, metric, keys)


def _fewer(model: str, side: Measured, group: ModelRules) -> Iterator[Finding]:
    """Yield the metric that loses most: fewer values say less of the noise."""
    lost = {
        name: len(rule.values) - len(side.values[name])
        for name, rule in group.rules.items()
        if name in side.values and not rule.bounds_only
    }
    metric = max(lost, key=lost.__getitem__, default="")
    if metric and lost[metric] > 0:
        now, then = plural(len(side.values[metric]), "value"), len(group.rules[metric].values)
        message = (
            f"`{metric}` of `{model}` was measured with {now}, and the baseline has {then}, which"
            f" say more of the noise. Measure as many seeds as before, or give `--allow {FEWER}`."
        )
        yield Finding("fewer-values", "fail", message, model, keys=("models", model))


def _dirty(model: str, side: Measured, group: ModelRules) -> Iterator[Finding]:
    if side.provenance.get("dirty") is True and any(rule.values for rule in group.rules.values()):
        message = (
            f"`{model}` was measured with uncommitted changes, so nobody can measure it again."
            f" Commit them and measure then, or give `--allow {DIRTY}`."
        )
        yield Finding("dirty", "fail", message, model, keys=("models", model))


def update(baseline: Baseline, candidate: Candidate, today: str) -> Update:
    """Return the baseline with what was measured; raises UserError where it cannot be edited."""
    changes: dict[tuple[str, ...], dict[str, Any]] = {}
    moved: list[Moved] = []
    updated = [model for model in baseline.models if model in candidate.head]
    for model in updated:
        group, side = baseline.models[model], candidate.head[model]
        for name, known in group.rules.items():
            if not known.bounds_only:
                place = ("models", model, "metrics", name)
                changes[place] = _values(known, side.values[name], baseline)
                moved.append(Moved(model, name, known.values, side.values[name]))
        recorded = provenance(side, candidate, today, group.provenance)
        if group.provenance:
            changes["models", model, "provenance"] = recorded
        else:
            changes["models", model] = {"provenance": recorded}
    text = edit(baseline.text, changes, name=baseline.name)
    check(baseline.text, text, changes, name=baseline.name)
    return Update(text, tuple(moved), tuple(updated))


def _values(known: Rule, values: tuple[float, ...], baseline: Baseline) -> dict[str, Any]:
    """Return what to write: a single value stays under the name it has."""
    numbers = as_written(values)
    place = ("models", known.model, "metrics", known.metric, "values")
    listed = baseline.marked is not None and baseline.marked.holds(place)
    if len(values) == 1 and len(known.values) == 1 and not listed:
        return {"value": numbers[0]}
    return {"values": numbers}


def provenance(
    side: Measured, candidate: Candidate, today: str, before: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what to record of where values came from.

    A field that was recorded and is not reported any more becomes null: its old value would
    speak of other numbers.
    """
    reported = dict(side.provenance)
    reported["commit"] = reported.get("commit") or candidate.commit or None
    reported["seeds"] = list(side.seeds) or reported.get("seeds")
    recorded = {}
    for name in _RECORDED:
        value = reported.get(name)
        if value is not None and fields.PROVENANCE[name](value) is None:
            recorded[name] = value
        elif name in before:
            recorded[name] = None
    if reported.get("dirty") is True or "dirty" in before:
        recorded["dirty"] = reported.get("dirty")
    return {**recorded, "measured": today}


def new_baseline(candidate: Candidate, today: str) -> str:
    """Return a first baseline: every metric measured, directions guessed and marked."""
    lines = [BEGUN, "version: 1", "", "models:"]
    for model in candidate.head:
        lines += [f"  {line}" for line in model_lines(model, candidate, today)]
    return "\n".join([*lines, ""])


def model_lines(model: str, candidate: Candidate, today: str) -> list[str]:
    """Return a model that has no rules yet as YAML below `models:`, metrics in their order."""
    side = candidate.head[model]
    recorded = provenance(side, candidate, today, {})
    return [
        f"{key(model)}:",
        "  provenance:",
        *(f"    {name}: {spell(value)}" for name, value in recorded.items()),
        "  metrics:",
        *(f"    {line}" for line in rule_lines(side.values, side.values)),
    ]


def fewer_values(moved: Iterable[Moved]) -> Iterator[Finding]:
    """Yield a warning for each metric that was measured with fewer seeds than are recorded."""
    for item in moved:
        if len(item.after) < len(item.before):
            now, then = plural(len(item.after), "value"), len(item.before)
            told = Finding("fewer-values", "warn", "", item.model, item.metric)
            yield shared_finding(
                told,
                f": {now} where the baseline had {then}, so less is known of the noise."
                " Measure with as many seeds as before.",
            )
