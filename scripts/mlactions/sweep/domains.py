"""What values a parameter may take, and which of them stands at a point between 0 and 1.

The transforms are those of W&B's sweep reference
(https://docs.wandb.ai/models/sweeps/sweep-config-keys) and of Optuna's distributions.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

Family = Literal["uniform", "log", "inverse-log", "normal", "log-normal"]

_NEARLY = 1e-9
_EXACT = 2**53
"""Whole numbers up to this are exact as floats."""

_LARGEST = 1e300
_FARTHEST = 8.0
"""Standard deviations; no point that is drawn lies farther out."""


@dataclass(frozen=True)
class Glob:
    """Options of a config group that match; they are known once the config tree is read."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Some values, in the order they are tried; `weights` add up to 1."""

    values: Sequence[Any]
    weights: tuple[float, ...] = ()
    glob: Glob | None = None
    shuffled: bool = False

    def at(self, point: float) -> Any:
        """Return the value at a point of [0, 1)."""
        if not self.weights:
            return self.values[min(int(point * len(self.values)), len(self.values) - 1)]
        place = bisect_right(list(accumulate(self.weights)), point)
        return self.values[min(place, len(self.values) - 1)]

    def levels(self) -> Sequence[Any]:
        """Return all values."""
        return self.values


@dataclass(frozen=True)
class Numbers:
    """Numbers of a family between `low` and `high`, both included, in steps of `step`.

    A normal one has `mu` and `sigma` instead of bounds. `aligned` steps begin at `low` (Optuna),
    others at 0 (W&B).
    """

    family: Family
    low: float = -math.inf
    high: float = math.inf
    mu: float = 0.0
    sigma: float = 1.0
    step: float | None = None
    integer: bool = False
    aligned: bool = False

    def problem(self) -> str:
        """Say why no arithmetic with these numbers is possible; nothing where it is."""
        low, high = self._ends()
        if not all(map(math.isfinite, (low, high, self.step or 1.0))):
            return "the numbers have to be finite."
        largest = max(abs(low), abs(high))
        if self.family == "log-normal" and largest > math.log(_LARGEST):
            return f"`mu` and `sigma` are exponents of e, and reach e^{largest:g}."
        if largest > (_EXACT if self.integer else _LARGEST):
            return f"{largest:g} is too large a number."
        if self.step is not None and self._steps(low, high) > _EXACT:
            return f"{self.step:g} is too small a step for such numbers."
        return ""

    def _ends(self) -> tuple[float, float]:
        if self.family not in {"normal", "log-normal"}:
            return self.low, self.high
        return self.mu - _FARTHEST * self.sigma, self.mu + _FARTHEST * self.sigma

    def _steps(self, low: float, high: float) -> float:
        """Return how many steps lead from 0 to the farther end."""
        step = self.step or 1.0
        largest = max(abs(low), abs(high))
        return (math.exp(largest) if self.family == "log-normal" else largest) / step

    def at(self, point: float) -> float:
        """Return the value at a point of [0, 1)."""
        if self.integer:
            return self._integer(point)
        value = self._continuous(point)
        return value if self.step is None else self._stepped(value)

    def _integer(self, point: float) -> int:
        first, step = int(self.low), int(self.step or 1)
        last = int(self.high)
        if self.family == "log":
            low, high = math.log(first - 0.5), math.log(last + 0.5)
            return min(max(round(math.exp(low + point * (high - low))), first), last)
        count = (last - first) // step + 1
        return first + step * min(int(point * count), count - 1)

    def _continuous(self, point: float) -> float:
        if self.family == "uniform":
            return min(self.low + point * (self.high - self.low), self.high)
        if self.family in {"log", "inverse-log"}:
            share = 1.0 - point if self.family == "inverse-log" else point
            low, high = math.log(self.low), math.log(self.high)
            return min(max(math.exp(low + share * (high - low)), self.low), self.high)
        from statistics import NormalDist

        # The inverse has no value at the very ends.
        place = min(max(point, 1e-12), 1.0 - 1e-12)
        value = NormalDist(self.mu, self.sigma).inv_cdf(place)
        return math.exp(value) if self.family == "log-normal" else value

    def _stepped(self, value: float) -> float:
        step = self.step or 1.0
        origin = self.low if self.aligned else 0.0
        count = round((value - origin) / step)
        found = origin + count * step
        if found > self.high + _NEARLY * step:
            found -= step
        if found < self.low - _NEARLY * step:
            found += step
        return self._kind(found)

    def _kind(self, value: float) -> float:
        """Return a multiple of the step: W&B's are whole numbers where the step is written so."""
        return round(value) if type(self.step) is int and not self.aligned else tidy(value)

    def levels(self) -> Sequence[Any] | None:
        """Return all values, None where there is no end of them."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return None
        if self.integer:
            return range(int(self.low), int(self.high) + 1, int(self.step or 1))
        if self.step is None:
            return None
        origin = self.low if self.aligned else 0.0
        first = math.ceil((self.low - origin) / self.step - _NEARLY)
        last = math.floor((self.high - origin) / self.step + _NEARLY)
        return Steps(origin, self.step, range(first, last + 1), self._kind)


class Steps(Sequence[float]):
    """Multiples of a step, made when they are asked for: there may be millions."""

    def __init__(
        self, origin: float, step: float, counts: range, kind: Callable[[float], float]
    ) -> None:
        self._origin, self._step, self._counts, self._kind = origin, step, counts, kind

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        return self._kind(self._origin + self._counts[place] * self._step)


def tidy(value: float) -> float:
    """Return a number without the last digits' noise: 3 × 0.1 is 0.3."""
    return float(f"{value:.12g}")


Domain = Choice | Numbers


def is_constant(domain: Domain) -> bool:
    """Tell whether a parameter has one value only."""
    levels = domain.levels()
    pending = isinstance(domain, Choice) and domain.glob is not None and not domain.values
    return levels is not None and len(levels) == 1 and not pending
