"""Whether everything that had to be measured was: models, evaluations, the baseline's age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from mlactions.compare.model import Baseline, Candidate, Failure, Finding, ModelRules, Settings

_ENDED = {
    "crashed": "crashed",
    "timed-out": "ran out of time",
    "killed": "was killed",
    "no-metrics": "wrote no metrics",
    "bad-metrics": "wrote metrics that cannot be used",
    "interrupted": "was interrupted",
    "not-run": "was not run",
}


def models_present(
    baseline: Baseline, candidate: Candidate, settings: Settings
) -> Iterator[Finding]:
    """Yield what is missing, failed, orphaned, stale or without rules, model by model."""
    yield from map(evaluation_failed, candidate.failures)
    yield from missing_models(candidate, settings.expected)
    expected = expected_models(candidate, settings.expected)
    failed = {failure.model for failure in candidate.failures if failure.side == "head"}
    for model, group in baseline.models.items():
        if model in candidate.head:
            yield from _age(model, group, baseline, candidate, settings)
            yield from _dirty(model, candidate)
        elif model not in failed:
            yield from _absent(model, expected, candidate)
    if not (candidate.head or candidate.failures or candidate.skipped):
        yield Finding("nothing-measured", "fail", "Nothing was measured.")
    elif candidate.head and not candidate.head.keys() & baseline.models.keys():
        yield Finding("nothing-compared", "warn", "No measured model has rules in the baseline.")


def expected_models(candidate: Candidate, listed: frozenset[str] | None) -> frozenset[str] | None:
    """Return the models that had to be measured: the bundle's and the caller's; None if unsaid."""
    if listed is None or candidate.expected is None:
        return listed or candidate.expected
    return listed | candidate.expected


def missing_models(candidate: Candidate, listed: frozenset[str] | None) -> Iterator[Finding]:
    """Yield the expected models of which nothing at all is known."""
    failed = {failure.model for failure in candidate.failures if failure.side == "head"}
    for model in sorted(expected_models(candidate, listed) or ()):
        if model not in candidate.head and model not in failed:
            yield _missing(model)


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


def _missing(model: str) -> Finding:
    message = f"`{model}` was expected and not measured."
    return Finding("missing-model", "fail", message, model, keys=("models", model))


def _absent(model: str, expected: frozenset[str] | None, candidate: Candidate) -> Iterator[Finding]:
    if expected is None:
        yield _missing(model)
    elif model not in expected and model not in candidate.skipped:
        message = (
            f"`{model}` has rules, and this run knows no config of that name: it was deleted, "
            "renamed, or is not among `configs`."
        )
        yield Finding("orphan-model", "warn", message, model, keys=("models", model))


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
