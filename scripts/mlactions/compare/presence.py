"""Whether everything that had to be measured was: models, evaluations, the baseline's age."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from mlactions.compare.findings import listed
from mlactions.compare.model import (
    Baseline,
    Candidate,
    Failure,
    Finding,
    Level,
    ModelRules,
    Settings,
)
from mlactions.compare.renames import did_you_mean, renamed, renames, vanished
from mlactions.text import plural

_ENDED = {
    "crashed": "crashed",
    "timed-out": "ran out of time",
    "killed": "was killed",
    "no-metrics": "wrote no metrics",
    "bad-metrics": "wrote metrics that cannot be used",
    "interrupted": "was interrupted",
    "not-run": "was not run",
}
_RENAMED: Mapping[bool, tuple[str, Level]] = {
    True: ("missing-model", "fail"),
    False: ("renamed-model", "warn"),
}
"""By whether every model with rules had to be measured."""


def models_present(
    baseline: Baseline, candidate: Candidate, settings: Settings
) -> Iterator[Finding]:
    """Yield what is missing, failed, orphaned, stale or without rules, model by model."""
    yield from map(evaluation_failed, candidate.failures)
    yield from missing_models(candidate, settings.expected)
    expected = expected_models(candidate, settings.expected)
    pairs = renames(baseline, candidate, expected)
    names = candidate.head.keys() | candidate.skipped.keys() | (expected or frozenset())
    for model in vanished(baseline, candidate, expected):
        owed = candidate.expected is None or model in candidate.base
        yield _absent(model, pairs.get(model), names - baseline.models.keys(), owed=owed)
    for model, group in baseline.models.items():
        if model in candidate.head:
            yield from _age(model, group, baseline, candidate, settings)
            yield from _dirty(model, candidate)
    if not (candidate.head or candidate.failures or candidate.skipped):
        yield Finding("nothing-measured", "fail", "Nothing was measured.")
    elif candidate.head and not candidate.head.keys() & baseline.models:
        yield from _nothing_compared(candidate, expected, baseline, settings)


def _nothing_compared(
    candidate: Candidate, expected: frozenset[str] | None, baseline: Baseline, settings: Settings
) -> Iterator[Finding]:
    """Fail where rules lead nowhere: one mistyped name must not switch the whole check off.

    A change that mends the name in its own baseline is judged by the old one, and only warned.
    """
    gone = vanished(baseline, candidate, expected)
    kept = settings.still_ruled
    lost = [model for model in gone if kept is None or model in kept]
    if lost and candidate.expected is not None:
        have, close = plural(len(lost), "model"), did_you_mean(lost[0], sorted(candidate.head))
        message = (
            f"No rule was compared: no measured model has rules, and {have} with rules"
            f" {'exists' if len(lost) == 1 else 'exist'} nowhere ({listed(lost)}).{close}"
        )
        yield Finding("nothing-compared", "fail", message, keys=("models", lost[0]))
    elif candidate.head.keys() - renames(baseline, candidate, expected).values():
        yield Finding("nothing-compared", "warn", "No measured model has rules in the baseline.")


def expected_models(candidate: Candidate, listed: frozenset[str] | None) -> frozenset[str] | None:
    """Return the models that had to be measured: the bundle's and the caller's; None if unsaid."""
    if listed is None and candidate.expected is None:
        return None
    return (listed or frozenset()) | (candidate.expected or frozenset()) | candidate.elsewhere


def missing_models(candidate: Candidate, listed: frozenset[str] | None) -> Iterator[Finding]:
    """Yield the expected models of which nothing at all is known."""
    failed = {failure.model for failure in candidate.failures if failure.side == "head"}
    wanted = expected_models(candidate, listed) or frozenset[str]()
    for model in sorted(wanted):
        if model not in candidate.head and model not in failed:
            if model in candidate.elsewhere:
                yield _left(model)
            else:
                yield _missing(model, candidate.head.keys() - wanted)


def evaluation_failed(failure: Failure) -> Finding:
    """Return what an evaluation that did not end ok means: a failure, a warning for the base."""
    seed = "" if failure.seed is None else f" (seed {failure.seed})"
    what = f"{seed} {_ENDED.get(failure.outcome, failure.outcome)}"
    detail = f": {failure.detail.rstrip('.')}" if failure.detail else ""
    log = f" Log: {failure.log}." if failure.log else ""
    if failure.side == "base":
        return Finding(
            "base-evaluation-failed",
            "warn",
            f"At the base, `{failure.model}`{what}{detail}. Its recorded values are used.{log}",
            failure.model,
        )
    return Finding(
        f"evaluation-{failure.outcome}",
        "fail",
        f"`{failure.model}`{what}{detail}.{log}",
        failure.model,
        keys=("models", failure.model),
        file=failure.file,
        line=failure.line,
    )


def _missing(model: str, others: Iterable[str]) -> Finding:
    close = did_you_mean(model, sorted(others))
    message = f"`{model}` was expected and not measured.{close}"
    return Finding("missing-model", "fail", message, model, keys=("models", model))


def _left(model: str) -> Finding:
    message = (
        f"`{model}` was expected and not measured: another job was to do it. Name the bundles of"
        " all jobs, or evaluate with `--configs` instead of `--only`."
    )
    return Finding("missing-model", "fail", message, model, keys=("models", model))


def _absent(model: str, new: str | None, others: Iterable[str], *, owed: bool) -> Finding:
    """Return what it means that nothing is known of a model with rules.

    `new` is what it may be called now, `others` are the names of this run that have no rules.
    It is `owed` unless a bundle knows all configs and that none of them is it: whoever lists
    models that must be there does not say that the others need not.
    """
    keys = ("models", model)
    if owed and new is None:
        message = f"`{model}` has rules and was not measured."
        return Finding("missing-model", "fail", message, model, keys=keys)
    if new is not None:
        reason, level = _RENAMED[owed]
        return Finding(reason, level, renamed(model, new), model, keys=keys)
    message = (
        f"`{model}` has rules, and this run knows no config of that name: it was deleted, "
        f"renamed, or is not among `configs`.{did_you_mean(model, sorted(others))}"
    )
    return Finding("orphan-model", "warn", message, model, keys=keys)


def _dirty(model: str, candidate: Candidate) -> Iterator[Finding]:
    if candidate.head[model].provenance.get("dirty") is True:
        message = f"`{model}` was measured with uncommitted changes."
        yield Finding("dirty", "notice", message, model)


def _age(
    model: str, group: ModelRules, baseline: Baseline, candidate: Candidate, settings: Settings
) -> Iterator[Finding]:
    """Yield a warning if recorded values that were used are older than they may get."""
    limit = group.max_age_days or baseline.max_age_days or settings.max_age_days
    recorded = any(rule.values for rule in group.rules.values())
    if limit is None or not recorded or model in candidate.base:
        return
    keys = ("models", model, "provenance", "measured")
    measured = group.provenance.get("measured")
    if measured is None:
        message = f"The baseline of `{model}` does not say when it was `measured`."
        yield Finding("baseline-age-unknown", "warn", message, model, keys=keys)
        return
    days = (date.fromisoformat(settings.today) - date.fromisoformat(measured)).days
    if days > limit:
        message = f"The baseline of `{model}` is {days} days old, allowed are {limit}."
        yield Finding("stale-baseline", "warn", message, model, keys=keys)
