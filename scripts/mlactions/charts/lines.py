"""Line charts: values over epochs, steps or commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from mlactions.between import spans_decades
from mlactions.charts.legend import (
    COLOURS,
    capped,
    description,
    draw_legend,
    legend,
    stroke,
    value_at,
)
from mlactions.charts.scale import Decades, Scale, decades, number, scale
from mlactions.charts.svg import Drawing, fitted, text_size
from mlactions.report import Chart

_HEIGHT = 200.0
_AXIS = 24.0
_POINTS = 400
_DOTS = 40

Point = tuple[int, float]
"""A category's position and its value."""


@dataclass(frozen=True)
class _Layout:
    """Pixels of the plot's edges; the value axis runs from `bottom` up to `top`."""

    axis: Scale | Decades
    left: float
    right: float
    top: float
    bottom: float
    positions: tuple[float, ...]

    def x(self, place: int) -> float:
        low, high = self.positions[0], self.positions[-1]
        share = (self.positions[place] - low) / (high - low) if high > low else 0.5
        return self.left + share * (self.right - self.left)

    def y(self, value: float | Decimal) -> float:
        return self.bottom - self.axis.share(value) * (self.bottom - self.top)


def draw(chart: Chart, width: float, key: str) -> str:
    """Return the chart as SVG."""
    drawn = capped(chart)
    runs = [list(_runs(series.values, drawn)) for series in drawn.series]
    known = [value for series in runs for run in series for _, value in run]
    axis = decades(known) if chart.decades and spans_decades(known) else scale(known)
    entries, top = legend(drawn, width)
    layout = _Layout(
        axis=axis,
        left=max(map(text_size, axis.labels())) + 8.0,
        right=width - 8.0,
        top=top + 6.0,
        bottom=top + 6.0 + _HEIGHT,
        positions=chart.positions or tuple(map(float, range(len(drawn.categories)))),
    )
    drawing = Drawing(width, layout.bottom + _AXIS, key, "lines", chart.title, description(drawn))
    draw_legend(drawing, entries, lines=True)
    _draw_axes(drawing, drawn, layout)
    for colour, series in enumerate(runs):
        for run in series:
            _draw_run(drawing, drawn, colour, run, layout)
    return drawing.markup()


def _draw_axes(drawing: Drawing, chart: Chart, layout: _Layout) -> None:
    for tick, text in zip(layout.axis.ticks, layout.axis.labels(), strict=True):
        y = layout.y(tick)
        drawing.line("zero" if tick == 0 else "grid", (layout.left, y), (layout.right, y))
        drawing.label(text, layout.left - 6.0, y + 4.0, kind="tick", anchor="end")
    room = (layout.right - layout.left) / 2
    free = 0.0
    for position, category in enumerate(chart.categories):
        text = fitted(category, room)
        half = text_size(text) / 2
        middle = min(max(layout.x(position), half), drawing.width - half)
        if middle - half >= free:
            y = layout.bottom + 17.0
            drawing.label(text, middle, y, kind="tick", anchor="middle")
            free = middle + half + 12.0


def _draw_run(
    drawing: Drawing, chart: Chart, series: int, run: list[Point], layout: _Layout
) -> None:
    colour = series % COLOURS
    places = [(layout.x(at), layout.y(value)) for at, value in run]
    if len(places) > 1:
        drawing.shape(stroke(series), places, closed=False)
    if len(run) == 1 or len(run) <= _DOTS:
        for (at, value), (x, y) in zip(run, places, strict=True):
            drawing.group(f"{chart.categories[at]}, {chart.series[series].name}: {number(value)}")
            drawing.dot(f"fill-{colour}", x, y, 3.0)
            drawing.end_group()


def _runs(values: tuple[float | None, ...], chart: Chart) -> Iterator[list[Point]]:
    """Yield the stretches of a series, thinned where they are long.

    Where categories have positions, a value that was not measured does not end a stretch.
    """
    run: list[Point] = []
    for position in range(len(chart.categories)):
        value = value_at(values, position)
        if value is not None:
            run.append((position, value))
        elif chart.positions and (position >= len(values) or values[position] is None):
            continue
        elif run:
            yield _thinned(run)
            run = []
    if run:
        yield _thinned(run)


def _thinned(run: list[Point]) -> list[Point]:
    """Keep the lowest and highest point of each stretch, so that no spike is lost."""
    if len(run) <= _POINTS:
        return run
    size = -(-len(run) * 2 // _POINTS)
    kept: set[Point] = {run[0], run[-1]}
    for start in range(0, len(run), size):
        part = run[start : start + size]
        kept |= {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
    return sorted(kept)
