"""Bar charts, drawn sideways: names of models and metrics are long."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mlactions.charts.legend import COLOURS, capped, description, draw_legend, legend, value_at
from mlactions.charts.scale import Scale, number, scale
from mlactions.charts.svg import Drawing, fitted, text_size
from mlactions.report import Chart

_BAR, _GAP, _GROUP_GAP = 14.0, 2.0, 12.0
_LINE = 16.0
_AXIS = 22.0
_VALUE_GAP = 6.0


@dataclass(frozen=True)
class _Layout:
    """Pixels: the bars lie between `left` and `right`; `above` is the room of a name over them."""

    axis: Scale
    top: float
    left: float
    right: float
    above: float
    bars: float

    def x(self, value: float | Decimal) -> float:
        return self.left + self.axis.share(value) * (self.right - self.left)

    def y(self, position: int) -> float:
        return self.top + position * (self.above + self.bars + _GROUP_GAP)


def draw(chart: Chart, width: float, key: str, *, stacked: bool) -> str:
    """Return the chart as SVG; `stacked` puts each name above its bars, for narrow screens."""
    drawn = capped(chart)
    entries, top = legend(drawn, width)
    layout = _layout(drawn, width, top + 4.0, stacked=stacked)
    height = layout.y(len(drawn.categories)) + _AXIS
    drawing = Drawing(width, height, key, "bars", chart.title, description(drawn))
    draw_legend(drawing, entries)
    _draw_axis(drawing, layout, height - _AXIS)
    for position in range(len(drawn.categories)):
        _draw_group(drawing, drawn, position, layout)
    return drawing.markup()


def _layout(chart: Chart, width: float, top: float, *, stacked: bool) -> _Layout:
    values = _values(chart)
    names = max(map(text_size, chart.categories), default=0.0)
    names = 0.0 if stacked else min(names, width * 0.32) + 8.0
    numbers = max((text_size(number(value)) for value in values), default=0.0) + _VALUE_GAP
    return _Layout(
        axis=scale(values, include=(0.0,), count=3 if stacked else 5),
        top=top,
        # A value is written at the free end of its bar: on the left where bars point there.
        left=names + (numbers if any(value < 0 for value in values) else 0.0),
        right=width - numbers,
        above=_LINE if stacked else 0.0,
        bars=max(len(chart.series), 1) * (_BAR + _GAP),
    )


def _values(chart: Chart) -> list[float]:
    places = range(len(chart.categories))
    values = [value_at(series.values, place) for series in chart.series for place in places]
    return [value for value in values if value is not None]


def _draw_axis(drawing: Drawing, layout: _Layout, bottom: float) -> None:
    free = 0.0
    for tick, text in zip(layout.axis.ticks, layout.axis.labels(), strict=True):
        x = layout.x(tick)
        drawing.line("zero" if tick == 0 else "grid", (x, layout.top), (x, bottom))
        half = text_size(text) / 2
        middle = min(max(x, half), drawing.width - half)
        if middle - half >= free:
            drawing.label(text, middle, bottom + 15.0, kind="tick", anchor="middle")
            free = middle + half + 6.0


def _draw_group(drawing: Drawing, chart: Chart, position: int, layout: _Layout) -> None:
    top = layout.y(position)
    category = chart.categories[position]
    if layout.above:
        drawing.label(fitted(category, drawing.width), 0.0, top + 11.0)
    else:
        name = fitted(category, drawing.width * 0.32)
        drawing.label(name, 0.0, top + layout.bars / 2 + 3.0)
    for row, series in enumerate(chart.series):
        value = value_at(series.values, position)
        y = top + layout.above + row * (_BAR + _GAP)
        drawing.group(f"{category}, {series.name}: {'none' if value is None else number(value)}")
        _draw_bar(drawing, value, y, row % COLOURS, layout)
        drawing.end_group()


def _draw_bar(
    drawing: Drawing, value: float | None, y: float, colour: int, layout: _Layout
) -> None:
    zero = layout.x(0.0)
    base = y + _BAR - 3.0
    if value is None:
        drawing.label("no value", zero + _VALUE_GAP, base, kind="tick")
        return
    end = layout.x(value)
    drawing.box(f"fill-{colour}", min(zero, end), y, max(abs(end - zero), 1.0), _BAR)
    if value < 0:
        drawing.label(number(value), end - _VALUE_GAP, base, kind="value", anchor="end")
    else:
        drawing.label(number(value), end + _VALUE_GAP, base, kind="value")
