"""What the curves of loss and score show, each as a sign with its numbers. Pure.

A loss is held against that of a predictor that always says the same: ln K for K balanced classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from mlactions.curves import FEWEST, NOISE_FACTOR, Value, classify, finite_values, noise_of
from mlactions.diagnose.model import Constant, Level, Number, Roles, Sign, Training
from mlactions.diagnose.roles import direction_of
from mlactions.diagnose.shapes import MOVED, end_of, is_steady, start_of, without_spikes
from mlactions.diagnose.words import number
from mlactions.text import plural

AT_CONSTANT = 0.97
"""A loss that ends above this share of the constant predictor's has learned nothing."""

LEARNS = 0.9
"""A loss below this share of the constant predictor's has learned something."""

WIDE = 0.05
"""Ups and downs within this share of its start are those of a loss that has arrived."""

FAR_ABOVE = 1.3
"""A loss that began so many times above the constant predictor's is another loss than that."""

LEAST_SHOWN = 0.01
FLAT_PARTS = 20
FAR_FROM_NOTHING = 0.2


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
    found = list(_non_finite(series, roles))
    broken = [sign for sign in found if sign.level == "fail"]
    yield from found
    loss, spikes = without_spikes(roles.loss, finite_values(series.get(roles.loss, ())))
    yield from spikes
    held = finite_values(series.get(roles.held_out_loss, ()))
    if loss and not broken:
        yield from _movement(roles.loss, loss)
    yield from _against_constant(roles, loss, held, constant)
    if not broken:
        yield from _apart(training, roles)
        yield from _jumping(training, roles)
    yield from _short(roles, loss or held)
    yield from _exception(training)


def _non_finite(series: Mapping[str, Sequence[Value]], roles: Roles) -> Iterator[Sign]:
    """Say where a value is no number first; scores stay finite when the loss does not."""
    names = [name for name, values in series.items() if not _is_finite(values)]
    grave = [name for name in names if _stays_broken(name, series[name], roles)]
    yield from _first_broken(series, grave, "non-finite", "fail")
    if not grave:
        yield from _first_broken(series, names, "non-finite-elsewhere", "notice")


def _is_finite(values: Sequence[Value]) -> bool:
    return all(math.isfinite(value) for _, value in values)


def _stays_broken(name: str, values: Sequence[Value], roles: Roles) -> bool:
    """Tell what trains no more from a step that a gradient scaler skips, or a class without items.

    A training loss is never NaN in a run that is well; of all else the end counts.
    """
    if name == roles.loss:
        return True
    broken = [not math.isfinite(value) for _, value in values]
    return broken[-1] and (name == roles.held_out_loss or not all(broken))


def _first_broken(
    series: Mapping[str, Sequence[Value]], among: Sequence[str], code: str, level: Level
) -> Iterator[Sign]:
    found = [
        (step, name, value)
        for name in among
        for step, value in series[name]
        if not math.isfinite(value)
    ]
    if found:
        step, name, value = min(found, key=lambda item: (item[0], item[1]))
        names = sorted(set(among))
        before = [item for item in series[name] if item[0] < step]
        last = f"; the value before was {number(before[-1][1])}" if before else ""
        message = f"`{name}` is {_word(value)} at step {step:,}, the first of it{last}."
        values: dict[str, Number] = {"step": step, "metrics": ", ".join(names)[:300]}
        yield Sign(code, level, message, name, values)


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"


def _movement(name: str, loss: Sequence[Value]) -> Iterator[Sign]:
    """Say whether the training loss moved, when it began to, and whether it ended worse."""
    if len(loss) < FEWEST:
        return
    first, end = start_of(loss), end_of(loss)
    best = min(value for _, value in loss)
    about: dict[str, Number] = {"first": first, "best": best, "end": end}
    noise = NOISE_FACTOR * noise_of([value for _, value in loss]) / math.sqrt(len(loss) / 10)
    if end > first + max(MOVED * abs(first), noise):
        told = f"`{name}` ended around {number(end)}, above its start of {number(first)}."
        yield Sign("diverged", "fail", told, name, about)
    elif first - best < MOVED * abs(first) and is_steady(loss):
        yield slow(name, loss)
    elif first - best < MOVED * abs(first) and loss[0][0] > loss[-1][0] - loss[0][0]:
        told = f"`{name}` stands at {number(end)} in a run that went on from step {loss[0][0]:,}."
        yield Sign("stands-still", "notice", told, name, about)
    elif first - best < MOVED * abs(first):
        told = f"`{name}` did not move: {number(first)} first, {number(best)} at best."
        yield Sign("never-moved", "fail", told, name, about)
    else:
        yield from _late(name, loss, first, end)
        yield from _flat(name, loss, first, end)


def slow(name: str, loss: Sequence[Value]) -> Sign:
    """Return the sign of a loss that falls steadily and has not come far."""
    first, end = start_of(loss), end_of(loss)
    share = (first - end) / abs(first)
    told = f"`{name}` falls steadily, and came from {number(first)} to {number(end)} only."
    return Sign("slow", "warn", told, name, {"first": first, "end": end, "share": round(share, 4)})


def _flat(name: str, loss: Sequence[Value], first: float, end: float) -> Iterator[Sign]:
    """Say that a loss fell at once and then stood still, far from nothing."""
    size = max(len(loss) // FLAT_PARTS, 1)
    rest = [value for _, value in loss[size:]]
    if first <= 0 or len(rest) < 4 * FEWEST or end / first < FAR_FROM_NOTHING:
        return
    half = len(rest) // 2
    fell = fmean(rest[:half]) - fmean(rest[half:])
    if first - fmean(rest) > abs(fell) * FLAT_PARTS and abs(fell) < MOVED / 2 * first:
        told = f"`{name}` fell at once, and has stood still at {number(end)} ever since."
        about: dict[str, Number] = {"first": first, "end": end, "since": loss[size][0]}
        yield Sign("flat", "warn" if end / first > 1 / 2 else "notice", told, name, about)


def _late(name: str, loss: Sequence[Value], first: float, end: float) -> Iterator[Sign]:
    begun = next(
        position for position, (_, value) in enumerate(loss) if first - value >= MOVED * abs(first)
    )
    share = begun / (len(loss) - 1)
    if share >= LATE_SHARE:
        told = f"`{name}` did not move for the first {share:.0%} of the run."
        yield Sign("late-start", "warn", told, name, {"share": round(share, 3)})
    if first > 0 and (first - end) / first < 1 / 2:
        share = (first - end) / first
        shown = f"{share:.0%}" if share >= LEAST_SHOWN else "less than 1%"
        told = f"`{name}` got better by {shown} only, to {number(end)}."
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
        if start_of(loss) > FAR_ABOVE * limit:
            told = f"`{roles.loss}` came down to {number(end_of(loss))}, near {told_constant}."
            yield Sign("near-constant", "notice", told, roles.loss, {"constant": limit})
            return
        if is_steady(loss):
            first = start_of(loss)
            if first - min(value for _, value in loss) >= MOVED * abs(first):
                yield slow(roles.loss, loss)  # of one that did not move that is said already
            return
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
        if len(values) < FEWEST or start_of(list(enumerate(values))) != values[0]:
            continue  # around 0 a loss goes up and down as it likes
        smooth = _smoothed(values)
        span = max(values) - min(values)
        if span <= WIDE * abs(values[0]):
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
