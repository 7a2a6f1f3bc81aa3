"""Charts as inline SVG: bars, lines, intervals, coordinates; the page gives the colours."""

from __future__ import annotations

from mlactions.charts import bars, coordinates, forest, lines
from mlactions.charts.coordinates import place_at
from mlactions.charts.legend import finite, left_out
from mlactions.charts.scale import number, times
from mlactions.charts.whiskers import CAP, Range, Whisker, drawn_range, ranked, whisker
from mlactions.report import Chart, Coordinates, Intervals

__all__ = [
    "CAP",
    "WIDTHS",
    "Range",
    "Whisker",
    "drawn_range",
    "finite",
    "left_out",
    "number",
    "place_at",
    "ranked",
    "svg",
    "times",
    "whisker",
]

WIDTHS = {"wide": 760.0, "narrow": 340.0}
"""Each image is drawn for a desktop and for a phone: scaled text would be too small to read."""


def svg(block: Chart | Intervals | Coordinates, shape: str, key: str) -> str:
    """Return a chart as one `<svg>`; `shape` is a key of `WIDTHS`, `key` makes its ids unique."""
    width, stacked = WIDTHS[shape], shape == "narrow"
    if isinstance(block, Intervals):
        return forest.draw(block, width, key, stacked=stacked)
    if isinstance(block, Coordinates):
        return coordinates.draw(block, width, key, stacked=stacked)
    if block.kind == "line":
        return lines.draw(block, width, key)
    return bars.draw(block, width, key, stacked=stacked)
