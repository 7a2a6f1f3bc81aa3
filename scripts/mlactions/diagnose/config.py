"""Settings of a run by their usual names, and what is unusual about their values. Pure.

Ranges are wide on purpose: what lies outside is a mistake far more often than a choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlactions.curves import finite_values
from mlactions.diagnose.model import Number, Roles, Sign, Training
from mlactions.diagnose.words import number
from mlactions.values import parse

RATES = ("max_lr", "peak_lr", "lr", "learning_rate", "base_lr", "learningrate")
WARM_UPS = ("warmup_steps", "num_warmup_steps", "warmup_iters", "lr_warmup_steps")
WARM_UP_EPOCHS = ("warmup_epochs", "num_warmup_epochs")
WARM_UP_SHARES = ("warmup_ratio", "warmup_fraction", "warmup_proportion", "pct_start")
EPOCHS = ("epochs", "max_epochs", "num_epochs", "num_train_epochs", "n_epochs")
STEPS = ("max_steps", "total_steps", "num_training_steps", "train_steps", "max_iters")
DECAYS = ("weight_decay", "wd", "l2", "l2_reg")
CLIPS = ("grad_clip", "max_grad_norm", "gradient_clip_val", "clip_grad_norm", "grad_clip_norm")
CLASSES = ("num_classes", "n_classes", "classes", "num_labels")
OPTIMIZERS = ("optimizer", "optimizer_name", "optim", "optimiser")

ADAPTIVE_RATES = (1e-7, 2e-2)
PLAIN_RATES = (1e-5, 2.0)
"""Learning rates in use, for Adam and its kin, and for SGD."""

HIGHER = 2.0
CONTRADICTS = 5.0
"""A rate so many times the configured one was scaled by no batch size."""

UPPER = 5.0
"""So near to the highest usual rate, one that does harm may be too high."""

ADAPTIVE_DECAY = 0.5
PLAIN_DECAY = 0.05
LONG_WARM_UP = 0.5


@dataclass(frozen=True)
class Found:
    """A number among the settings, and the name that it stands under."""

    key: str
    value: float


def find(params: Mapping[str, Any], names: Sequence[str]) -> Found | None:
    """Return the setting whose last part is one of the names, the first of them that is there."""
    for name in names:
        for key in sorted(params, key=lambda key: (key.count("."), key)):
            last = key.rpartition(".")[2].lower().replace("-", "_")
            value = parse(params[key]) if isinstance(params[key], str) else params[key]
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if last == name and is_number and math.isfinite(value):
                return Found(key, float(value))
    return None


def highest_rate_of(params: Mapping[str, Any]) -> float | None:
    """Return the configured learning rate."""
    found = find(params, RATES)
    return found.value if found else None


def clip_of(params: Mapping[str, Any]) -> float | None:
    """Return the norm that gradients are clipped at; None without clipping."""
    found = find(params, CLIPS)
    return found.value if found and found.value > 0 else None


def optimizer_of(params: Mapping[str, Any]) -> str:
    """Return the optimiser's name in lower case; empty where nothing names it."""
    for key in sorted(params, key=lambda key: (key.count("."), key)):
        parts = key.lower().split(".")
        is_target = parts[-1] in {"_target_", "name", "type"} and len(parts) > 1
        named = parts[-2] if is_target else parts[-1]
        if named in OPTIMIZERS and isinstance(params[key], str):
            return str(params[key]).rpartition(".")[2].lower()
    return ""


def is_adaptive(optimizer: str) -> bool | None:
    """Tell Adam and its kin from SGD; None where the name says neither."""
    if any(word in optimizer for word in ("adam", "lamb", "lion", "rmsprop", "adagrad", "sophia")):
        return True
    return False if "sgd" in optimizer else None


def checks(training: Training, roles: Roles) -> Iterator[Sign]:
    """Yield what is unusual about the settings."""
    params = training.params
    yield from _rate(training, roles)
    yield from _decay(params)
    yield from _warm_up(training, roles)


def _rate(training: Training, roles: Roles) -> Iterator[Sign]:
    """Judge the configured rate, or the logged one where that is another: it was trained with."""
    found, optimizer = find(training.params, RATES), optimizer_of(training.params)
    logged = [value for _, value in finite_values(training.series.get(roles.rate, ()))]
    peak = max(logged, default=0.0)
    if peak > HIGHER * (found.value if found else 0.0):
        if found and found.value > 0 and peak > CONTRADICTS * found.value:
            told = f"`{roles.rate}` was logged as {number(peak)}, and `{found.key}` is"
            told = f"{told} {number(found.value)}: an override, or the settings of another run."
            about: dict[str, Number] = {"logged": peak, "configured": found.value}
            yield Sign("rate-not-as-configured", "warn", told, roles.rate, about)
        yield from rate_signs(peak, optimizer, f"`{roles.rate}`, as it was logged,")
    elif found is not None:
        yield from rate_signs(found.value, optimizer, f"`{found.key}`")


def rate_signs(value: float, optimizer: str, called: str) -> Iterator[Sign]:
    """Hold a learning rate against what is usual for its optimiser."""
    adaptive = is_adaptive(optimizer)
    low, high = PLAIN_RATES if adaptive is False else ADAPTIVE_RATES
    if adaptive is None:
        high = PLAIN_RATES[1]
    usual = f"{number(low)} to {number(high)} is usual{f' for {optimizer}' if optimizer else ''}"
    about: dict[str, Number] = {"value": value, "low": low, "high": high}
    if value > high:
        yield Sign("rate-high", "warn", f"{called} is {number(value)}; {usual}.", "", about)
    elif value >= high / UPPER and adaptive is not None:
        told = f"{called} is {number(value)}, at the upper end of what is usual for {optimizer}."
        yield Sign("rate-upper", "notice", told, "", about)
    elif 0 <= value < low:
        yield Sign("rate-low", "warn", f"{called} is {number(value)}; {usual}.", "", about)


def _decay(params: Mapping[str, Any]) -> Iterator[Sign]:
    found = find(params, DECAYS)
    if found is not None:
        yield from decay_signs(found.value, optimizer_of(params), f"`{found.key}`")


def decay_signs(value: float, optimizer: str, called: str) -> Iterator[Sign]:
    """Hold a weight decay against what is usual for its optimiser."""
    limit = PLAIN_DECAY if is_adaptive(optimizer) is False else ADAPTIVE_DECAY
    if value > limit:
        told = f"{called} is {number(value)}; up to {number(limit)} is usual."
        yield Sign("decay-high", "warn", told, "", {"value": value, "limit": limit})


def _warm_up(training: Training, roles: Roles) -> Iterator[Sign]:
    """Hold the warm-up against the length of the run, in steps, epochs or as a share."""
    params = training.params
    steps, epochs = find(params, STEPS), find(params, EPOCHS)
    for names, whole in ((WARM_UPS, _steps(training, roles, steps)), (WARM_UP_EPOCHS, epochs)):
        found = find(params, names)
        if found and whole and whole.value > 0:
            yield from _warm_up_sign(found, found.value / whole.value, whole)
            return
    found = find(params, WARM_UP_SHARES)
    if found and found.value > 0:
        yield from _warm_up_sign(found, found.value, None)


def _steps(training: Training, roles: Roles, configured: Found | None) -> Found | None:
    """Return how many steps the run has: as configured, else as the learning rate was logged.

    Lines of a log, and epochs, are no steps: then nothing is held against them.
    """
    if configured is not None and configured.value > 0:
        return configured
    logged = training.series.get(roles.rate, ())
    if len(logged) < 2 or not _by_step(training, roles.rate, logged[-1][0]):  # noqa: PLR2004
        return None
    return Found("the run's last step", float(logged[-1][0]))


def _by_step(training: Training, name: str, last: int) -> bool:
    if training.stepped is not None:
        return name in training.stepped
    epochs = find(training.params, EPOCHS)
    return epochs is None or last > 2 * epochs.value


def _warm_up_sign(found: Found, share: float, whole: Found | None) -> Iterator[Sign]:
    length = f", and {_called(whole)} is {number(whole.value)}" if whole else ""
    about: dict[str, Number] = {"value": found.value, "share": round(share, 4)}
    if share >= 1:
        told = f"`{found.key}` is {number(found.value)}{length}: the warm-up outlasts the run."
        yield Sign("warm-up-beyond-run", "fail", told, "", about)
    elif share > LONG_WARM_UP:
        told = f"`{found.key}` is {number(found.value)}{length}: {share:.0%} of it is warm-up."
        yield Sign("warm-up-long", "warn", told, "", about)


def _called(found: Found) -> str:
    return found.key if " " in found.key else f"`{found.key}`"


def constant_loss(params: Mapping[str, Any], classes: int | None) -> tuple[float, int, str] | None:
    """Return ln K, K, and how K is known; None where nothing says how many classes there are."""
    if classes is not None:
        return math.log(classes), classes, f"ln {classes}"
    found = find(params, CLASSES)
    if found and found.value.is_integer() and found.value > 1:
        return math.log(found.value), int(found.value), f"ln {int(found.value)}"
    return None
