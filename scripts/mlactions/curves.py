"""What a learning curve says: diverged, over-fitting, still improving, a plateau, or too short.

Pure rules on a metric's values by step, shared by the words that read training runs. The noise of
a curve is estimated from its second differences, which a steady trend does not touch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

Direction = Literal["higher", "lower"]
Shape = Literal["diverged", "over-fitting", "improving", "plateau", "too-short", "empty"]

FEWEST = 6
"""Values below which no shape is told."""

LARGEST = 1e150
"""Squares of larger numbers overflow; a loss that gets there has diverged."""

LOST_SHARE = 0.5
"""A curve that gave back more than this share of its gain has diverged."""

OVERFIT_SHARE = 0.05
"""Giving back less than this share of the gain is not over-fitting."""

IMPROVING_SHARE = 0.02
"""Share of the whole gain in the last quarter, against the one before, that is still progress."""

NOISE_FACTOR = 3.0
_TO_DEVIATION = 1.4826 / math.sqrt(6)
"""From the median of |second differences|, of 6 times the variance, to a standard deviation."""

Value = tuple[int, float]
"""A step and what was logged there."""


@dataclass(frozen=True)
class Curve:
    """A curve's shape and the numbers behind it; None where there is none.

    `lost` is how much worse the end is than the best value; `gap` how much worse the curve ends
    than its training partner; `broken_at` the first step whose value is NaN or infinite.
    """

    shape: Shape
    points: int
    first: float | None = None
    best: float | None = None
    best_step: int | None = None
    last: float | None = None
    last_step: int | None = None
    lost: float | None = None
    gain: float | None = None
    gap: float | None = None
    broken_at: int | None = None


def is_usable(value: float) -> bool:
    """Tell whether a value is a number to reckon with: one that has diverged is none."""
    return abs(value) <= LARGEST  # false for NaN


def finite_values(values: Sequence[Value]) -> list[Value]:
    """Return the part of a curve that can be reckoned with."""
    return [item for item in values if is_usable(item[1])]


def classify(
    values: Sequence[Value], direction: Direction, training: Sequence[Value] = ()
) -> Curve:
    """Return the shape of a curve; `training` is the same metric on the training data."""
    finite = finite_values(values)
    broken = next((step for step, value in values if not is_usable(value)), None)
    if not finite:
        return Curve("diverged" if values else "empty", len(values), broken_at=broken)
    sign = 1.0 if direction == "higher" else -1.0
    best_step, best = max(finite, key=lambda item: sign * item[1])
    end = _end(finite)
    known = Curve(
        "too-short",
        len(values),
        first=finite[0][1],
        best=best,
        best_step=best_step,
        last=finite[-1][1],
        last_step=finite[-1][0],
        lost=max(sign * (best - end), 0.0),
        gain=max(sign * (best - finite[0][1]), 0.0),
        gap=_gap(end, training, sign),
        broken_at=broken,
    )
    return _shaped(known, _shape(known, finite, training, sign))


def _shaped(curve: Curve, shape: Shape) -> Curve:
    return Curve(**{**vars(curve), "shape": shape})


def _shape(curve: Curve, finite: Sequence[Value], training: Sequence[Value], sign: float) -> Shape:
    if curve.broken_at is not None:
        return "diverged"
    if len(finite) < FEWEST:
        return "too-short"
    lost, gain = curve.lost or 0.0, curve.gain or 0.0
    noise = noise_of([value for _, value in finite])
    beyond_noise = lost > NOISE_FACTOR * noise
    if beyond_noise and lost > OVERFIT_SHARE * gain and _trains_on(curve, training, sign):
        return "over-fitting"
    if beyond_noise and lost > LOST_SHARE * gain:
        return "diverged"
    return "improving" if _progress(finite, sign, gain, noise) else "plateau"


def _end(finite: Sequence[Value]) -> float:
    """Return the median of the last twentieth: one odd value at the end says nothing."""
    return median(value for _, value in finite[-max(len(finite) // 20, 1) :])


def _gap(end: float, training: Sequence[Value], sign: float) -> float | None:
    usable = finite_values(training)
    return sign * (_end(usable) - end) if usable else None


def noise_of(values: Sequence[float]) -> float:
    """Return a standard deviation of what jumps from one step to the next."""
    seconds = [
        abs(values[at] - 2 * values[at + 1] + values[at + 2]) for at in range(len(values) - 2)
    ]
    return _TO_DEVIATION * median(seconds) if seconds else 0.0


def _trains_on(curve: Curve, training: Sequence[Value], sign: float) -> bool:
    """Tell whether the training curve got better after the best step of the other one."""
    usable = finite_values(training)
    until = [value for step, value in usable if step <= (curve.best_step or 0)]
    if not until or len(until) == len(usable):
        return False
    return sign * (_end(usable) - max(until, key=lambda value: sign * value)) > 0


def _progress(finite: Sequence[Value], sign: float, gain: float, noise: float) -> bool:
    """Compare the last quarter with the one before."""
    size = max(len(finite) // 4, 1)
    last = fmean(value for _, value in finite[-size:])
    before = fmean(value for _, value in finite[-2 * size : -size])
    improved = sign * (last - before)
    return improved > IMPROVING_SHARE * gain and improved > NOISE_FACTOR * noise / math.sqrt(size)


def partner(metric: str, known: Sequence[str]) -> str:
    """Return the metric on the training data that belongs to one on held-out data; or nothing.

    `val_accuracy` belongs to `train_accuracy`, `valid/loss` to `train/loss`.
    """
    names = set(known)
    for held_out in ("validation", "valid", "val", "test", "eval", "dev"):
        for separator in ("_", "/", ".", "-"):
            for head, tail in ((f"{held_out}{separator}", ""), ("", f"{separator}{held_out}")):
                if metric.startswith(head) and metric.endswith(tail):
                    base = metric[len(head) : len(metric) - len(tail)]
                    for training in ("train", "training"):
                        found = (
                            f"{training}{separator}{base}"
                            if head
                            else f"{base}{separator}{training}"
                        )
                        if found in names:
                            return found
    return ""
