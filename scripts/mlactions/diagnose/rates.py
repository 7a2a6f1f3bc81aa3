"""What the logged learning rate and gradient norm say of the schedule and of clipping. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from mlactions.curves import Value, finite_values
from mlactions.diagnose.config import clip_of, highest_rate_of
from mlactions.diagnose.model import Number, Roles, Sign, Training
from mlactions.diagnose.schedule import schedule_unit
from mlactions.diagnose.shapes import MOVED, end_of, start_of
from mlactions.diagnose.words import number

FEWEST = 8
GONE = 0.01
"""A learning rate below this share of its peak trains nothing any more."""

GONE_SHARE = 0.5
ALWAYS = 0.95
ZERO_NORM = 1e-8
EXPLODES = 100.0
REACHED = 0.5
STANDS = 0.9


def rates(training: Training, roles: Roles) -> Iterator[Sign]:
    """Yield what the logged learning rate and gradients show."""
    rate = finite_values(training.series.get(roles.rate, ()))
    if len(rate) >= FEWEST:
        yield from _rising(roles.rate, rate, training.params)
        yield from _gone(roles.rate, rate, learns=_learns(training, roles))
        yield from schedule_unit(roles.rate, rate, training)
    gradient = training.series.get(roles.gradient, ())
    if len(gradient) >= FEWEST:
        norms = finite_values(gradient)
        yield from _gradient(roles.gradient, norms)
        yield from _clipping(roles.gradient, norms, training.params)


def _rising(name: str, rate: Sequence[Value], params: Mapping[str, Any]) -> Iterator[Sign]:
    """Say that the schedule never came down: its end is its peak, far above its start."""
    values = [value for _, value in rate]
    falls = any(b < a for a, b in itertools.pairwise(values))
    stands = values.index(values[-1]) < STANDS * len(values)  # a constant rate behind a warm-up
    if falls or stands or values[-1] < 2 * max(values[0], 1e-30):
        return
    wanted = highest_rate_of(params)
    reached = f", {values[-1] / wanted:.0%} of the configured {number(wanted)}" if wanted else ""
    told = f"`{name}` rose until the last step and ended at {number(values[-1])}{reached}."
    about: dict[str, Number] = {"first": values[0], "end": values[-1], "configured": wanted}
    yield Sign("rate-rising-to-end", "warn", told, name, about)
    if wanted and values[-1] < REACHED * wanted:
        told = f"`{name}` got to {number(values[-1])} of the configured {number(wanted)}."
        yield Sign("rate-below-configured", "warn", told, name, about)


def _learns(training: Training, roles: Roles) -> bool:
    """Tell whether the loss got better: something trained it, whatever rate was printed."""
    loss = finite_values(training.series.get(roles.loss or roles.held_out_loss, ()))
    return bool(loss) and start_of(loss) - end_of(loss) > MOVED * abs(start_of(loss))


def _gone(name: str, rate: Sequence[Value], *, learns: bool) -> Iterator[Sign]:
    values = [value for _, value in rate]
    peak = max(values)
    if peak <= 0 and learns:
        told = f"`{name}` is 0 throughout, and it learned: it was logged with too few digits."
        yield Sign("rate-not-shown", "notice", told, name)
        return
    if peak <= 0:
        yield Sign("rate-zero", "fail", f"`{name}` is 0 throughout.", name)
        return
    # What is small before the peak is a warm-up.
    behind = values[values.index(peak) :]
    gone = sum(value <= GONE * peak for value in behind)
    if gone / len(values) >= GONE_SHARE:
        at = next(step for step, value in rate[values.index(peak) :] if value <= GONE * peak)
        share = gone / len(values)
        told = (
            f"`{name}` fell below a hundredth of its peak, {number(peak)}, at step {at:,}:"
            f" {share:.0%} of the run trained next to nothing."
        )
        about: dict[str, Number] = {"peak": peak, "step": at, "share": round(share, 3)}
        yield Sign("rate-gone-early", "warn", told, name, about)


def _gradient(name: str, gradient: Sequence[Value]) -> Iterator[Sign]:
    values = [value for _, value in gradient]
    zeros = sum(value <= ZERO_NORM for value in values) / max(len(values), 1)
    if values and zeros >= GONE_SHARE:
        told = f"`{name}` is 0 at {zeros:.0%} of its steps: nothing reaches the weights."
        yield Sign("gradient-zero", "fail", told, name, {"share": round(zeros, 3)})
        return
    if not values:
        return
    middle, highest = median(values), max(values)
    if middle > 0 and highest > EXPLODES * middle:
        step = next(step for step, value in gradient if value == highest)
        told = f"`{name}` went to {number(highest)} at step {step:,}; its median is {middle:.3g}."
        about: dict[str, Number] = {"highest": highest, "median": middle, "step": step}
        yield Sign("gradient-explodes", "warn", told, name, about)


def _clipping(name: str, gradient: Sequence[Value], params: Mapping[str, Any]) -> Iterator[Sign]:
    """Say how often clipping acted, where the norm was logged before it."""
    clip = clip_of(params)
    if clip is None or not gradient:
        return
    share = sum(value > clip for _, value in gradient) / len(gradient)
    about: dict[str, Number] = {"limit": clip, "share": round(share, 3)}
    if share >= ALWAYS:
        told = f"Clipping at {number(clip)} acted at {share:.0%} of the steps: it sets their size."
        yield Sign("clipping-always", "notice", told, name, about)
    elif share == 0:
        told = f"Clipping at {number(clip)} never acted."
        yield Sign("clipping-never", "notice", told, name, about)
