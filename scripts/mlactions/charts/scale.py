"""Axes for any finite numbers: round ticks, their labels, and places on the axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_PLAIN_LOW, _PLAIN_HIGH = Decimal("0.0001"), Decimal(1_000_000)
_WHOLE_FROM = Decimal("999.95")


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`. Decimals: neither 1e300 nor 1e-300 overflows or vanishes."""

    low: Decimal
    high: Decimal
    ticks: tuple[Decimal, ...]

    def share(self, value: float | Decimal) -> float:
        """Return where a finite value lies, clipped to 0 (low) … 1 (high)."""
        position = (_decimal(value) - self.low) / (self.high - self.low)
        return min(max(float(position), 0.0), 1.0)

    def labels(self) -> tuple[str, ...]:
        """Return the ticks as text, all with the same number of decimals."""
        largest = max(abs(tick) for tick in self.ticks)
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else largest
        if step >= _PLAIN_LOW and largest < _PLAIN_HIGH:
            places = max(-_exponent(step), 0)
            return tuple(f"{tick + 0:,.{places}f}" for tick in self.ticks)
        digits = min(max(_exponent(largest) - _exponent(step), 0), 15)
        return tuple(_scientific(tick, digits) for tick in self.ticks)


@dataclass(frozen=True)
class Decades:
    """A logarithmic axis between powers of ten; values are positive."""

    low: int
    high: int

    @property
    def ticks(self) -> tuple[Decimal, ...]:
        """Powers of ten, not more than about five of them."""
        step = -(-(self.high - self.low) // 5)
        return tuple(Decimal(1).scaleb(at) for at in range(self.low, self.high + 1, step))

    def share(self, value: float | Decimal) -> float:
        """Return where a positive value lies, clipped to 0 (low) … 1 (high)."""
        position = (math.log10(value) - self.low) / (self.high - self.low)
        return min(max(position, 0.0), 1.0)

    def labels(self) -> tuple[str, ...]:
        """Return the ticks as text."""
        return tuple(number(float(tick)) for tick in self.ticks)


def decades(values: Sequence[float]) -> Decades:
    """Return a logarithmic axis around positive values."""
    low = math.floor(math.log10(min(values)))
    return Decades(low, max(math.ceil(math.log10(max(values))), low + 1))


def scale(values: Iterable[float], *, include: Sequence[float] = (), count: int = 5) -> Scale:
    """Return an axis of about `count` round steps around finite values and those to `include`."""
    known = [_decimal(value) for value in (*values, *include)] or [Decimal(0), Decimal(1)]
    low, high = min(known), max(known)
    if low == high:
        pad = abs(low) / 10 if low else Decimal(1)
        low, high = low - pad, high + pad
    step = _round_step((high - low) / count)
    first = (low / step).to_integral_value(ROUND_FLOOR)
    last = (high / step).to_integral_value(ROUND_CEILING)
    ticks = tuple((first + position) * step for position in range(int(last - first) + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def number(value: float) -> str:
    """Return a value as short text, four significant digits, the way people write it."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "?"
    if value == 0:
        return "0"
    if _WHOLE_FROM <= abs(value) < _PLAIN_HIGH:
        return f"{value:,.0f}"
    if _PLAIN_LOW <= abs(value) < _WHOLE_FROM:
        return f"{value:.4g}"
    return _scientific(Decimal(value), 3)


def times(value: float) -> str:
    """Return a multiple of a limit: two decimals, so that points stand under each other."""
    if not math.isfinite(value) or abs(value) >= _WHOLE_FROM:
        return f"{number(value)}×"
    # Adding zero takes the sign from a zero.
    return f"{round(value, 2) + 0.0:.2f}×"


def _decimal(value: float | Decimal) -> Decimal:
    """Return the number that people read, so that 0.95 lies on the tick 0.95."""
    return Decimal(str(value))


def _round_step(raw: Decimal) -> Decimal:
    """Return the smallest of 1, 2 or 5 times a power of ten that is not below `raw`."""
    unit = Decimal(1).scaleb(_exponent(raw))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)


def _exponent(value: Decimal) -> int:
    return value.adjusted() if value else 0


def _scientific(value: Decimal, digits: int) -> str:
    if not value:
        return "0"
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"
