"""Trials that TPE proposes from those that are finished, through Optuna's ask and tell.

Reference: https://optuna.readthedocs.io/en/stable/reference/samplers/generated/optuna.samplers.TPESampler.html
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlactions.sweep.domains import Choice, Domain, Numbers
from mlactions.sweep.identity import canonical_value
from mlactions.sweep.model import Space
from mlactions.sweep.trials import STARTUP, is_excluded

PATIENCE = 50
"""Proposals that may be refused, because they are excluded or were there, for each one wanted."""

_EDGE = 1e-9


@dataclass(frozen=True)
class Observed:
    """A configuration that was tried: its mean over the seeds, None where it runs or failed."""

    values: Mapping[str, Any]
    mean: float | None = None
    failed: bool = False


def propose(space: Space, observed: Sequence[Observed]) -> Iterator[Mapping[str, Any]]:
    """Yield configurations to try next, the same ones for the same observations.

    Those that run already count as poor (constant liar), so that no two ask for the same place.
    """
    study = _study(space, observed)
    for _ in range(PATIENCE * 1000):
        trial = study.ask()
        values = _suggested(space, trial)
        if is_excluded(space, values):
            from optuna.trial import TrialState

            study.tell(trial, state=TrialState.FAIL)
            continue
        yield values


def _study(space: Space, observed: Sequence[Observed]) -> Any:
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant_liar is called experimental
        # A sampler that was seeded once and asked n times is not at hand: the number of
        # observations takes the place of its state.
        sampler = optuna.samplers.TPESampler(
            seed=(space.sampler_seed + len(observed)) % 2**32,
            n_startup_trials=STARTUP,
            constant_liar=True,
        )
    higher = space.metric is not None and space.metric.higher
    study = optuna.create_study(sampler=sampler, direction="maximize" if higher else "minimize")
    for item in observed:
        params, distributions = _params(space, item.values)
        known = item.mean is not None and math.isfinite(item.mean)
        state = TrialState.COMPLETE if known else TrialState.RUNNING
        if item.failed and not known:
            state = TrialState.FAIL
        study.add_trial(
            create_trial(
                state=state,
                params=params,
                distributions=distributions,
                value=item.mean if known else None,
            )
        )
    return study


def _distribution(domain: Domain) -> Any:
    """Return Optuna's distribution. What it does not know is asked for as a share of 1."""
    from optuna import distributions as known

    if isinstance(domain, Choice):
        return known.CategoricalDistribution([canonical_value(value) for value in domain.values])
    if domain.family not in {"uniform", "log"}:
        return known.FloatDistribution(_EDGE, 1.0 - _EDGE)
    log = domain.family == "log"
    if domain.integer:
        low, high, step = int(domain.low), int(domain.high), int(domain.step or 1)
        return known.IntDistribution(low, high, log=log, step=1 if log else step)
    if domain.step is not None:
        levels = domain.levels() or ()
        return known.IntDistribution(0, len(levels) - 1)
    return known.FloatDistribution(domain.low, domain.high, log=log)


def _suggested(space: Space, trial: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if parameter.when is None or parameter.when.holds(values):
            distribution = _distribution(parameter.domain)
            found = trial._suggest(parameter.key, distribution)  # noqa: SLF001  # any distribution
            values[parameter.key] = _value(parameter.domain, found)
    return values


def _value(domain: Domain, found: Any) -> Any:
    """Return what a suggestion stands for."""
    if isinstance(domain, Choice):
        return next(value for value in domain.values if canonical_value(value) == found)
    if domain.family not in {"uniform", "log"}:
        return domain.at(found)
    if domain.step is not None and not domain.integer:
        return (domain.levels() or ())[found]
    return found


def _params(space: Space, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a configuration as Optuna has it: the inverse of `_value`."""
    params, distributions = {}, {}
    for parameter in space.parameters:
        if parameter.key not in values:
            continue
        domain = parameter.domain
        distribution = _distribution(domain)
        found = _inverse(domain, values[parameter.key])
        if distribution._contains(distribution.to_internal_repr(found)):  # noqa: SLF001  # the check add_trial makes
            params[parameter.key], distributions[parameter.key] = found, distribution
    return params, distributions


def _inverse(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return canonical_value(value)
    if domain.family in {"normal", "log-normal", "inverse-log"}:
        return _share(domain, float(value))
    if domain.step is not None and not domain.integer:
        origin = domain.low if domain.aligned else 0.0
        first = math.ceil((domain.low - origin) / domain.step - _EDGE)
        return round((value - origin) / domain.step) - first
    return value


def _share(domain: Numbers, value: float) -> float:
    from statistics import NormalDist

    if domain.family == "inverse-log":
        low, high = math.log(domain.low), math.log(domain.high)
        share = 1.0 - (math.log(value) - low) / (high - low)
    else:
        number = math.log(value) if domain.family == "log-normal" else value
        share = NormalDist(domain.mu, domain.sigma).cdf(number)
    return min(max(share, _EDGE), 1.0 - _EDGE)
