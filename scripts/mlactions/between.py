"""Lines over numbers: what lies between measured values, and where they break off."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from mlactions.report import Chart, Series

Point = tuple[float, float]
"""A position and a value, which is NaN or infinite where the line breaks."""

DECADES = 100.0


def measured(positions: Sequence[float], values: Sequence[float | None]) -> list[Point]:
    """Return where something was measured, and what."""
    pairs = zip(positions, values, strict=False)
    return [(position, value) for position, value in pairs if value is not None]


def value_between(points: Sequence[Point], position: float) -> float | None:
    """Return the value of the straight line through the points; None before and behind them.

    Beside a value that is not finite it is NaN.
    """
    place = bisect_left(points, (position, -math.inf))
    if place < len(points) and points[place][0] == position:
        return points[place][1]
    if place in {0, len(points)}:
        return None
    (x0, y0), (x1, y1) = points[place - 1], points[place]
    if not (math.isfinite(y0) and math.isfinite(y1)):
        return math.nan
    share = (position - x0) / (x1 - x0)
    return y0 * (1 - share) + y1 * share


def evenly(positions: Sequence[float], count: int) -> list[float]:
    """Return `count` positions at equal distances, from the first to the last one."""
    low, high = positions[0], positions[-1]
    if high <= low or count < 2:  # noqa: PLR2004  # a single place has no distance
        return [low]
    return [low + (high - low) * at / (count - 1) for at in range(count)]


def spans_decades(values: Sequence[float]) -> bool:
    """Tell whether values are positive, and so far apart that most would lie on the floor."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= DECADES


def by_step(
    title: str, curves: Sequence[tuple[str, Mapping[int, float | None]]], *, decades: bool = False
) -> Chart:
    """Return curves over their steps. A value that is None was no finite number."""
    steps = sorted({step for _, values in curves for step in values})
    series = tuple(
        Series(name, tuple(_told(values, step) for step in steps)) for name, values in curves
    )
    places = tuple(map(float, steps))
    return Chart(title, tuple(map(str, steps)), series, "", "line", places, decades)


def _told(values: Mapping[int, float | None], step: int) -> float | None:
    value = values.get(step)
    return math.nan if step in values and value is None else value
