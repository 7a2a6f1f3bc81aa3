"""Where a loss begins and ends, whether it falls steadily, and values far out of it. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean, median

from mlactions.curves import FEWEST, NOISE_FACTOR, Value, noise_of
from mlactions.diagnose.model import Number, Sign
from mlactions.diagnose.words import number

MOVED = 0.02
"""A loss that got better by less than this share of its start has not moved."""

LEAST_GAIN = 0.002
SPIKE = 100.0


def end_of(values: Sequence[Value]) -> float:
    """Return the median of the last tenth of finite values."""
    return median(value for _, value in values[-max(len(values) // 10, 1) :])


def start_of(values: Sequence[Value]) -> float:
    """Return where a curve begins: its first value, or, where that is next to 0, its first tenth's.

    The loss of reinforcement learning begins at 0 and says nothing there.
    """
    first = values[0][1]
    if abs(first) < MOVED * median(abs(value) for _, value in values):
        return median(value for _, value in values[: max(len(values) // 10, FEWEST // 2)])
    return first


def is_steady(values: Sequence[Value]) -> bool:
    """Tell a loss that falls all along, however little, from one that stands still."""
    size = len(values) // 4
    if not size:
        return False
    means = [fmean(value for _, value in values[at * size :][:size]) for at in range(4)]
    falls = [before - after for before, after in itertools.pairwise(means)]
    noise = noise_of([value for _, value in values]) / math.sqrt(size)
    gain = means[0] - means[-1]
    enough = gain > max(LEAST_GAIN * abs(means[0]), NOISE_FACTOR * noise)
    return enough and all(fall > gain / 10 for fall in falls)


def without_spikes(name: str, loss: Sequence[Value]) -> tuple[list[Value], list[Sign]]:
    """Take single values out that are out of all proportion: they hide the shape of the rest."""
    if len(loss) < FEWEST:
        return list(loss), []
    limit = SPIKE * max(median(abs(value) for _, value in loss), abs(loss[0][1]))
    spikes = [(step, value) for step, value in loss if abs(value) > limit]
    if not spikes or len(spikes) > len(loss) // 10 or spikes[-1] == loss[-1]:
        return list(loss), []
    step, value = max(spikes, key=lambda item: abs(item[1]))
    told = f"`{name}` went to {number(value)} at step {step:,} and came back."
    about: dict[str, Number] = {"step": step, "value": value, "times": len(spikes)}
    kept = [item for item in loss if abs(item[1]) <= limit]
    return kept, [Sign("spike", "warn", told, name, about)]
