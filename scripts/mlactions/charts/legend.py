"""What bar and line charts share: which part of the data is drawn, and the key of the series."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlactions.charts.scale import number
from mlactions.charts.svg import Drawing, fitted, text_size
from mlactions.report import Chart

CATEGORIES = 60
SERIES = 8
"""Colours of the style sheet; more lines cannot be told apart."""
COLOURS = 6
DASHES = 4
_ROW = 20.0
_SWATCH = 22.0


def capped(chart: Chart) -> Chart:
    """Return the chart with at most `SERIES` series, and `CATEGORIES` groups of bars."""
    chart = replace(chart, series=chart.series[:SERIES])
    if chart.kind == "line":
        return chart
    series = tuple(replace(one, values=one.values[:CATEGORIES]) for one in chart.series)
    return replace(chart, categories=chart.categories[:CATEGORIES], series=series)


def left_out(chart: Chart) -> str:
    """Return a sentence about what is not drawn, or nothing."""
    drawn = capped(chart)
    parts = [
        f"the first {kept} of {total:,} {what}"
        for what, kept, total in (
            ("categories", len(drawn.categories), len(chart.categories)),
            ("series", len(drawn.series), len(chart.series)),
        )
        if kept < total
    ]
    return f"Drawn: {' and '.join(parts)}." if parts else ""


def finite(value: float | None) -> float | None:
    """Return a value that can be drawn, or None."""
    return value if value is not None and math.isfinite(value) else None


def value_at(values: tuple[float | None, ...], position: int) -> float | None:
    """Return the drawable value of a category; a series may be shorter than the categories."""
    return finite(values[position]) if position < len(values) else None


def description(chart: Chart) -> str:
    """Return the data as one sentence per series, for people who hear the chart."""
    sentences = []
    for series in chart.series:
        values = [
            f"{category} {'none' if value is None else number(value)}"
            for position, category in enumerate(chart.categories[:20])
            for value in [value_at(series.values, position)]
        ]
        more = "" if len(chart.categories) <= len(values) else " and more"
        sentences.append(f"{series.name}: {', '.join(values)}{more}.")
    return " ".join(sentences) or "No values."


@dataclass(frozen=True)
class Entry:
    """One name in the key, with its place."""

    name: str
    x: float
    y: float


def legend(chart: Chart, width: float) -> tuple[tuple[Entry, ...], float]:
    """Return the key's entries in rows, and its height; one unnamed series needs no key."""
    if len(chart.series) < 2:  # noqa: PLR2004  # a single series is named by the title
        return (), 0.0
    entries: list[Entry] = []
    x, y = 0.0, 14.0
    for series in chart.series:
        name = fitted(series.name, width - _SWATCH)
        size = _SWATCH + text_size(name)
        if x and x + size > width:
            x, y = 0.0, y + _ROW
        entries.append(Entry(name, x, y))
        x += size + 16.0
    return tuple(entries), y + 10.0


def draw_legend(drawing: Drawing, entries: tuple[Entry, ...], *, lines: bool = False) -> None:
    """Draw a piece of its bar or line and a name per series."""
    for position, entry in enumerate(entries):
        x, y = entry.x, entry.y - 4.0
        if lines:
            kind = f"{stroke(position)} key"
            drawing.shape(kind, [(x, y), (x + _SWATCH - 4.0, y)], closed=False)
        else:
            drawing.box(f"fill-{position % COLOURS}", x, y - 6.0, 12.0, 12.0)
        drawing.label(entry.name, x + _SWATCH, entry.y)


def stroke(series: int) -> str:
    """Return the class of a line: a colour and a dash, so that one is enough to tell it."""
    return f"stroke-{series % COLOURS} dash-{series % DASHES}"
