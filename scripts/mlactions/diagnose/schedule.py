"""Whether the scheduler is stepped in the unit that its lengths are written in. Pure.

A schedule says where it acts; the logged rate says where it did. Positions are steps where the run
names steps, else epochs: with as many of them as the run has epochs they are told apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.curves import Value
from mlactions.diagnose.config import EPOCHS, Found, find
from mlactions.diagnose.model import Number, Sign, Training
from mlactions.diagnose.words import number

FIRST_STEP = ("step_size", "lr_step_size", "decay_epochs", "lr_decay_epochs")
WHOLE = ("t_max", "lr_t_max")
FACTORS = ("gamma", "lr_gamma", "decay_rate")
MUCH = 2.0
"""A schedule that acted at less than the half of its length, or not before its double, is off."""

_NUMBER = re.compile(r"\d+")


def schedule_unit(name: str, rate: Sequence[Value], training: Training) -> Iterator[Sign]:
    """Yield the sign of a scheduler that is stepped in another unit than its lengths have."""
    epochs = find(training.params, EPOCHS)
    if epochs is None or epochs.value < 1:
        return
    acted = _acted(rate, training.params)
    if acted is None:
        yield from _per_factor(name, rate, training.params, epochs)
        return
    length, position = acted
    by_epoch = rate[-1][0] <= epochs.value + 1
    if position is None:
        if by_epoch and length.value > MUCH * epochs.value:
            yield _too_slow(name, length, epochs)
        return
    gap = max(b[0] - a[0] for a, b in itertools.pairwise(rate))
    if length.value > epochs.value:
        return
    early = position < length.value / MUCH
    near = abs(position - length.value) <= gap and rate[-1][0] > MUCH * epochs.value
    if (by_epoch and early) or (not by_epoch and near):
        yield _too_fast(name, length, epochs, position, rate[-1][0], by_epoch=by_epoch)


def _acted(rate: Sequence[Value], params: Mapping[str, Any]) -> tuple[Found, int | None] | None:
    """Return a length of the schedule, and where the rate first followed it; None without one."""
    first = find(params, FIRST_STEP) or _milestone(params)
    whole = find(params, WHOLE)
    values = [value for _, value in rate]
    peak = max(values)
    begin = rate[0][0]
    behind = rate[values.index(peak) :]
    if first is not None:
        fell = next((step for step, value in behind if value < peak), None)
        return first, None if fell is None else fell - begin
    if whole is not None:
        low = min(value for _, value in behind)
        bottom = next(step for step, value in behind if value == low)
        return whole, bottom - begin if low < peak / MUCH else None
    return None


def _milestone(params: Mapping[str, Any]) -> Found | None:
    """Return the first of several milestones, however they were logged."""
    for key in sorted(params):
        if "milestones" in key.lower() and (numbers := _NUMBER.findall(str(params[key]))):
            return Found(key, float(numbers[0]))
    return None


def _per_factor(
    name: str, rate: Sequence[Value], params: Mapping[str, Any], epochs: Found
) -> Iterator[Sign]:
    """Say that a rate which is to shrink with each epoch shrinks with each step."""
    factor = find(params, FACTORS)
    if factor is None or not 0 < factor.value < 1 or rate[-1][0] <= MUCH * epochs.value:
        return
    falls = [(b[0] - a[0], b[1] / a[1]) for a, b in itertools.pairwise(rate) if a[1] > 0]
    held = [abs(share - factor.value**steps) < 0.01 for steps, share in falls]  # noqa: PLR2004
    if held and all(held[: len(held) // 2 + 1]):
        told = (
            f"`{factor.key}` is {number(factor.value)} and the run has {number(epochs.value)}"
            f" epochs, but `{name}` shrinks by it with each of {rate[-1][0]:,} steps: the scheduler"
            " is stepped with each batch."
        )
        about: dict[str, Number] = {"setting": factor.value, "steps": rate[-1][0]}
        yield Sign("schedule-unit", "fail", told, name, about)


def _too_fast(
    name: str, length: Found, epochs: Found, position: int, last: int, *, by_epoch: bool
) -> Sign:
    where = f"within {max(position, 1):,}" if by_epoch else f"after {position:,} of {last:,}"
    unit = "epochs" if by_epoch else "steps"
    told = (
        f"`{length.key}` is {number(length.value)} and the run has {number(epochs.value)} epochs,"
        f" but `{name}` acted on it {where} {unit}: the scheduler is stepped with each batch."
    )
    about: dict[str, Number] = {"setting": length.value, "acted_after": position, "last": last}
    return Sign("schedule-unit", "fail", told, name, about)


def _too_slow(name: str, length: Found, epochs: Found) -> Sign:
    told = (
        f"`{length.key}` is {number(length.value)} and the run has {number(epochs.value)} epochs,"
        f" and `{name}` never came down: the scheduler is stepped with each epoch, and its length"
        " is in steps."
    )
    about: dict[str, Number] = {"setting": length.value, "epochs": epochs.value}
    return Sign("schedule-unit", "fail", told, name, about)
