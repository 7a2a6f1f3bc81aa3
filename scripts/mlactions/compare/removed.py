"""Models whose config a change removed or renamed: their rules must not go quiet with it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mlactions.compare.model import (
    Baseline,
    Candidate,
    Finding,
    ModelRules,
    Removed,
    Settings,
    Waiver,
)
from mlactions.compare.presence import expected_models
from mlactions.compare.renames import vanished
from mlactions.yaml_lines import Marked

_WAS = {
    "deleted": "was deleted",
    "renamed": "was renamed to one that is no model config",
    "changed": "is no model config any more",
}


def removed_rules(
    baseline: Baseline, candidate: Candidate, settings: Settings
) -> dict[str, Removed]:
    """Return the models with rules whose config this change took away, by their old name."""
    gone = vanished(baseline, candidate, expected_models(candidate, settings.expected))
    known = {one.model: one for one in candidate.removed}
    return {model: known[model] for model in gone if model in known}


def removed_models(
    baseline: Baseline, candidate: Candidate, settings: Settings
) -> Iterator[Finding]:
    """Yield a failure for each of them, a warning where the head's baseline let go of it too."""
    moves = _moves(baseline, candidate, settings)
    for model, gone in removed_rules(baseline, candidate, settings).items():
        kept = settings.still_ruled is None or model in settings.still_ruled
        yield Finding(
            "removed-model",
            "fail" if kept else "warn",
            _sentence(gone, moves.get(model), baseline.name, settings.still_ruled),
            model,
            keys=("models", model),
        )


def followed(baseline: Baseline, candidate: Candidate, settings: Settings) -> Baseline:
    """Return the baseline as the change's configs have it.

    What was renamed is judged by its rules under its new name; what was removed has none to judge.
    """
    gone = removed_rules(baseline, candidate, settings)
    if not gone:
        return baseline
    moves = _moves(baseline, candidate, settings)
    names = {model: moves.get(model, model) for model in baseline.models}
    staying = {model: name for model, name in names.items() if model not in gone or model in moves}
    return replace(
        baseline,
        models={name: _moved(baseline.models[model], name) for model, name in staying.items()},
        waivers=tuple(_waiver(waiver, moves) for waiver in baseline.waivers),
        marked=baseline.marked and _marked(baseline.marked, moves),
    )


def _moves(baseline: Baseline, candidate: Candidate, settings: Settings) -> dict[str, str]:
    """Return the new name of each renamed model; one that has rules of its own keeps those."""
    moves: dict[str, str] = {}
    for model, gone in removed_rules(baseline, candidate, settings).items():
        new = gone.renamed_to
        if new in candidate.head and new not in baseline.models and new not in moves.values():
            moves[model] = str(new)
    return moves


def _moved(group: ModelRules, name: str) -> ModelRules:
    """Return the rules for another name; the base has no predictions under it to pair with."""
    rules = {
        metric: replace(rule, model=name, paired=False)
        for metric, rule in group.rules.items()
        if rule.values or not rule.paired
    }
    return replace(group, rules=rules)


def _marked(marked: Marked, moves: Mapping[str, str]) -> Marked:
    """Return the document with the lines of the old names under the new ones too."""
    old = marked.value["models"]
    models = {**old, **{new: old[model] for model, new in moves.items()}}
    root = {**marked.value, "models": models}
    lines = marked.marks.get(id(old), {})
    named = {new: lines[model] for model, new in moves.items() if model in lines}
    marks = {id(root): marked.marks.get(id(marked.value), {}), id(models): {**lines, **named}}
    return Marked(root, {**marked.marks, **marks})


def _waiver(waiver: Waiver, moves: Mapping[str, str]) -> Waiver:
    return replace(waiver, model=moves.get(waiver.model, waiver.model))


def _sentence(gone: Removed, judged: str | None, file: str, ruled: frozenset[str] | None) -> str:
    """Return what was removed, what becomes of its rules, and what to do about it."""
    new, old = gone.renamed_to, gone.model
    became = f"was renamed, its model is `{new}` now" if new else _WAS[gone.kind]
    what = f"`{gone.config}` {became}"
    applied = f" Here `{judged}` is held against the rules of `{old}`." if judged else ""
    if ruled is None or old in ruled:
        ask = f"move them from `{old}` to `{new}`" if new else "remove them"
        still = f"and `{file}` still has rules for `{old}`"
        return f"{what}, {still}: {ask} in the same pull request.{applied}"
    if new in ruled:
        return f"{what}, and its rules in `{file}` moved with it.{applied}"
    return f"{what}, and its rules left `{file}` with it: after this, nothing holds it.{applied}"
