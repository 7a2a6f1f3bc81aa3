"""What the curves of loss and score show, each as a sign with its numbers. Pure.

A loss is held against that of a predictor that always says the same: ln K for K balanced classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from mlactions.curves import FEWEST, Value, classify, finite_values
from mlactions.diagnose.model import Constant, Number, Roles, Sign, Training
from mlactions.diagnose.roles import direction_of
from mlactions.diagnose.words import number
from mlactions.text import plural

AT_CONSTANT = 0.97
"""A loss that ends above this share of the constant predictor's has learned nothing."""

LEARNS = 0.9
"""A loss below this share of the constant predictor's has learned something."""

MOVED = 0.02
"""A loss that got better by less than this share of its start has not moved."""

LATE_SHARE = 0.3
GAP_SHARE = 0.1
JUMPS = 3
JUMP_SHARE = 0.1


def symptoms(training: Training, roles: Roles, constant: Constant | None) -> Iterator[Sign]:
    """Yield what the curves show."""
    series = training.series
    if not (roles.loss or roles.held_out_loss or roles.held_out_score or roles.score):
        metrics = plural(len(series), "metric")
        yield Sign(
            "no-values",
            "fail",
            f"There is no loss and no score among its {metrics}: nothing was logged"
            " that tells how it trained.",
        )
        yield from _exception(training)
        return
    broken = list(_non_finite(series))
    yield from broken
    loss = finite_values(series.get(roles.loss, ()))
    held = finite_values(series.get(roles.held_out_loss, ()))
    if loss and not broken:
        yield from _movement(roles.loss, loss)
    yield from _against_constant(roles, loss, held, constant)
    if not broken:
        yield from _apart(training, roles)
        yield from _jumping(training, roles)
    yield from _short(roles, loss or held)
    yield from _exception(training)


def end_of(values: Sequence[Value]) -> float:
    """Return the median of the last tenth of finite values."""
    return median(value for _, value in values[-max(len(values) // 10, 1) :])


def _non_finite(series: Mapping[str, Sequence[Value]]) -> Iterator[Sign]:
    """Say where a value is no number first; scores stay finite when the loss does not."""
    found = [
        (step, name, value)
        for name, values in series.items()
        for step, value in values
        if not math.isfinite(value)
    ]
    if found:
        step, name, value = min(found, key=lambda item: (item[0], item[1]))
        names = sorted({name for _, name, _ in found})
        before = [item for item in series[name] if item[0] < step]
        last = f"; the value before was {number(before[-1][1])}" if before else ""
        message = f"`{name}` is {_word(value)} at step {step:,}, the first of it{last}."
        values: dict[str, Number] = {"step": step, "metrics": ", ".join(names)[:300]}
        yield Sign("non-finite", "fail", message, name, values)


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"


def _movement(name: str, loss: Sequence[Value]) -> Iterator[Sign]:
    """Say whether the training loss moved, when it began to, and whether it ended worse."""
    if len(loss) < FEWEST:
        return
    first, end = loss[0][1], end_of(loss)
    best = min(value for _, value in loss)
    about: dict[str, Number] = {"first": first, "best": best, "end": end}
    if end > first + MOVED * abs(first):
        told = f"`{name}` ended at {number(end)}, above its start of {number(first)}."
        yield Sign("diverged", "fail", told, name, about)
    elif first - best < MOVED * abs(first):
        told = f"`{name}` did not move: {number(first)} first, {number(best)} at best."
        yield Sign("never-moved", "fail", told, name, about)
    else:
        yield from _late(name, loss, first, end)


def _late(name: str, loss: Sequence[Value], first: float, end: float) -> Iterator[Sign]:
    begun = next(
        position for position, (_, value) in enumerate(loss) if first - value >= MOVED * abs(first)
    )
    share = begun / (len(loss) - 1)
    if share >= LATE_SHARE:
        told = f"`{name}` did not move for the first {share:.0%} of the run."
        yield Sign("late-start", "warn", told, name, {"share": round(share, 3)})
    if first > 0 and (first - end) / first < 1 / 2:
        told = f"`{name}` got better by {(first - end) / first:.0%} only, to {number(end)}."
        yield Sign("learned-little", "notice", told, name, {"first": first, "end": end})


def _against_constant(
    roles: Roles, loss: Sequence[Value], held: Sequence[Value], constant: Constant | None
) -> Iterator[Sign]:
    """Hold losses against that of a predictor that always says the same."""
    if constant is None:
        return
    limit = constant.loss
    told_constant = f"{number(limit)}, which a constant predictor gets ({constant.source})"
    if len(loss) >= FEWEST and limit * AT_CONSTANT <= end_of(loss) <= limit * 1.2:
        told = f"`{roles.loss}` ends at {number(end_of(loss))}, at the loss of {told_constant}."
        values: dict[str, Number] = {"end": end_of(loss), "constant": limit}
        yield Sign("at-constant", "fail", told, roles.loss, values)
    elif loss and end_of(loss) < LEARNS * limit and _never_below(held, AT_CONSTANT * limit):
        told = (
            f"`{roles.held_out_loss}` never got below {told_constant}, while"
            f" `{roles.loss}` fell to {number(end_of(loss))}."
        )
        values = {"best": min(v for _, v in held), "constant": limit, "loss": end_of(loss)}
        yield Sign("held-out-at-constant", "fail", told, roles.held_out_loss, values)


def _never_below(values: Sequence[Value], limit: float) -> bool:
    return len(values) >= FEWEST and min(value for _, value in values) >= limit


def _apart(training: Training, roles: Roles) -> Iterator[Sign]:
    """Say whether held-out data got worse while training data got better."""
    for held, partner in (
        (roles.held_out_loss, roles.loss),
        (roles.held_out_score, roles.score),
    ):
        values = training.series.get(held, ())
        other = training.series.get(partner, ())
        if not values or not other:
            continue  # a score is asked only where there is no loss: it moves in steps of an item
        curve = classify(values, direction_of(held), other)
        gain = curve.gain or 0.0
        lost, gap = curve.lost or 0.0, curve.gap or 0.0
        if curve.shape == "over-fitting" and (lost > GAP_SHARE * gain) and gap > 0:
            told = (
                f"`{held}` was best at step {curve.best_step:,} with {number(curve.best)} and ended"
                f" at {number(curve.last)}, while `{partner}` kept getting better."
            )
            values_of: dict[str, Number] = {
                "best": curve.best, "step": curve.best_step, "end": curve.last, "gap": gap,
            }  # fmt: skip
            yield Sign("over-fitting", "warn", told, held, values_of)
        return


def _jumping(training: Training, roles: Roles) -> Iterator[Sign]:
    """Say whether the training loss goes back up, time and again, by a tenth of all it gained."""
    for name in (roles.loss, roles.held_out_loss):
        values = [value for _, value in training.series.get(name, ())]
        if len(values) < FEWEST:
            continue
        smooth = _smoothed(values)
        span = max(values) - min(values)
        if span <= MOVED * abs(values[0]):
            continue
        ups = [b - a for a, b in itertools.pairwise(smooth) if b - a > JUMP_SHARE * span]
        lost = sum(ups)
        if ups and (len(ups) >= JUMPS or lost > span / 2):
            told = (
                f"`{name}` went up again {len(ups)} time{'s' if len(ups) > 1 else ''}, by"
                f" {number(lost)} in all; from its highest to its lowest value are {number(span)}."
            )
            about: dict[str, Number] = {"times": len(ups), "up": lost, "span": span}
            yield Sign("oscillation", "warn", told, name, about)
            return


def _smoothed(values: Sequence[float], most: int = 40) -> list[float]:
    """Return at most `most` means of neighbours: single batches jump in every healthy run."""
    size = max(-(-len(values) // most), 1)
    parts = [values[at : at + size] for at in range(0, len(values), size)]
    return [sum(part) / len(part) for part in parts]


def _short(roles: Roles, values: Sequence[Value]) -> Iterator[Sign]:
    name = roles.loss or roles.held_out_loss
    if name and values and len(values) < FEWEST:
        told = f"`{name}` has {len(values)} values, too few to tell the shape of its curve."
        yield Sign("too-short", "notice", told, name, {"values": len(values)})


def _exception(training: Training) -> Iterator[Sign]:
    if training.error:
        told = f"The log ends with an exception: {training.error[:300]}"
        yield Sign("exception", "fail", told)
