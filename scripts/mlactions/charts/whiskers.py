"""Which intervals are drawn, over which range, and where their parts lie on the axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlactions.report import Interval
from mlactions.settings import Status

CAP = 60
"""Rules in one interval chart: more cannot be told apart."""

NO_CHANGE, LIMIT = 0.0, 1.0
_LOWEST, _HIGHEST = -5.0, 10.0
_SEVERITY = (Status.FAIL, Status.REFUSED, Status.WARN, Status.SKIPPED, Status.PASS)

End = Literal["closed", "open", "clipped"]


@dataclass(frozen=True)
class Range:
    """The stretch of the axis that is drawn, in multiples of the allowed degradation."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return where a value lies, clipped to 0 (low) … 1 (high)."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        """Return whether the value is drawn at its own place; not-a-number has none."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Whisker:
    """An interval as shares of the axis; an end is closed, open (unbounded) or clipped."""

    start: float
    stop: float
    left: End
    right: End
    point: float | None


def ranked(rows: Sequence[Interval], cap: int | None = CAP) -> tuple[Interval, ...]:
    """Return the rows as given, or where there are too many the gravest `cap` of them."""
    if cap is None or len(rows) <= cap:
        return tuple(rows)
    return tuple(sorted(rows, key=lambda row: _SEVERITY.index(row.status))[:cap])


def drawn_range(rows: Iterable[Interval]) -> Range:
    """Return a range with no change, the limit and what lies near; far values are clipped."""
    values = [value for row in rows for value in _known(row)]
    near = [value for value in values if _LOWEST <= value <= _HIGHEST]
    # Where something is clipped, its arrow still stands clearly beyond the limit.
    high = max(LIMIT, *near, 2.0 if max(values, default=0.0) > _HIGHEST else LIMIT)
    low = min(NO_CHANGE, *near, -1.0 if min(values, default=0.0) < _LOWEST else NO_CHANGE)
    pad = (high - low) * 0.06
    return Range(low - pad, high + pad)


def whisker(row: Interval, axis: Range) -> Whisker | None:
    """Return where the interval is drawn, None where nothing about it is known."""
    known = _known(row)
    if not known:
        return None
    return Whisker(
        start=axis.share(min(known)),
        stop=axis.share(max(known)),
        left="clipped" if min(known) < axis.low else _end(row.low, axis),
        right="clipped" if max(known) > axis.high else _end(row.high, axis),
        point=axis.share(row.estimate) if axis.holds(row.estimate) else None,
    )


def _known(row: Interval) -> list[float]:
    values = (row.low, row.estimate, row.high)
    return [value for value in values if value is not None and not math.isnan(value)]


def _end(bound: float | None, axis: Range) -> End:
    return "closed" if bound is not None and axis.holds(bound) else "open"
