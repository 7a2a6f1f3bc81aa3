"""Charts as Mermaid text, which GitHub draws."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from mlactions.between import evenly, measured, value_between
from mlactions.escaping import one_line
from mlactions.report import Chart, Series

PALETTE = (
    '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#cf222e, #6e7781, #0969da"}}}}%%'
)
"""Readable on a light and a dark page."""

MAX_POINTS = 40
MAX_LABEL = 60
MAX_CHARTS = 4


def mermaid(chart: Chart, *, limit: float | None = None) -> str:
    """Return a fenced chart, or several: a line that begins or ends elsewhere has its own.

    Nothing where it cannot be drawn, because a table stands beside it.
    """
    if chart.kind == "line" and chart.categories:
        chart = chart if chart.positions else _by_place(chart)
        drawn = [_fenced(one, None) for one in _even(chart)[:MAX_CHARTS]]
        return "\n\n".join(filter(None, drawn))
    return _fenced(chart, limit)


def _by_place(chart: Chart) -> Chart:
    """Return a line chart whose categories lie one behind the other."""
    return replace(chart, positions=tuple(map(float, range(len(chart.categories)))))


def _even(chart: Chart) -> list[Chart]:
    """Return charts whose lines have a value everywhere, at equal distances: Mermaid's only way."""
    places = evenly(chart.positions, min(MAX_POINTS, len(chart.positions)))
    labels = tuple(_label(chart, place) for place in places)
    groups: dict[tuple[int, int, str], list[Series]] = {}
    for series in chart.series:
        points = measured(chart.positions, series.values)
        values = [value_between(points, place) for place in places]
        start, end = _stretch(values)
        bad = next((at for at, value in points if not math.isfinite(value)), None)
        stopped = end < len(values) and values[end] is not None
        broken = _label(chart, bad) if stopped and bad is not None else ""
        shown = Series(series.name, tuple(values[start:end]))
        if end - start > 1:  # a point is no line
            groups.setdefault((start, end, broken), []).append(shown)
    return [
        replace(
            chart,
            title=_title(chart, found, broken),
            categories=labels[start:end],
            series=tuple(found),
        )
        for (start, end, broken), found in groups.items()
    ]


def _stretch(values: list[float | None]) -> tuple[int, int]:
    """Return the places of the first stretch that is known, and where it breaks off at NaN."""
    start = next((at for at, value in enumerate(values) if value is not None), len(values))
    if start == 1:  # it begins between the first two places: that is near enough
        values[0], start = values[1], 0
    end = start
    while end < len(values) and (value := values[end]) is not None and math.isfinite(value):
        end += 1
    return start, end


def _title(chart: Chart, found: list[Series], broken: str) -> str:
    """Return the title, with the names of lines that are only some of all."""
    some = len(found) < len(chart.series)
    names = f": {', '.join(series.name for series in found)}" if some else ""
    return f"{chart.title}{names}{f', not finite from {broken}' if broken else ''}"


def _label(chart: Chart, place: float) -> str:
    """Return the category there; between categories that are numbers, the number."""
    at = min(range(len(chart.positions)), key=lambda at: abs(chart.positions[at] - place))
    numeric = chart.categories[at] == f"{chart.positions[at]:.0f}"
    return f"{place:.0f}" if numeric else chart.categories[at]


def _fenced(chart: Chart, limit: float | None) -> str:
    """Return one chart.

    `xychart-beta` is the keyword that every Mermaid since 10.6 knows. Its grammar has no gaps, no
    exponents, no empty strings, and takes two per cent signs for a comment. Left alone it begins
    its axis at the smallest value and paints bars that can hardly be seen, so both are set here.
    Bars lie down, because the names of metrics are long. `limit` is drawn as a line across them.
    """
    series = [values[:MAX_POINTS] for values in (one.values for one in chart.series)]
    known = [[value for value in values if value is not None] for values in series]
    if not chart.categories or known != list(map(list, series)):
        return ""
    if not all(math.isfinite(value) for values in known for value in values):
        return ""
    flat = chart.kind == "bar"
    lines = [f"title {_quoted(chart.title)}"] if chart.title else []
    lines.append(f"x-axis {_joined(map(_quoted, chart.categories[:MAX_POINTS]))}")
    y_axis = [_quoted(chart.y_label)] if chart.y_label else []
    y_axis += [_range(known, limit)] if flat else []
    lines += [f"y-axis {' '.join(y_axis)}"] if y_axis else []
    lines += [f"{chart.kind} {_joined(map(_number, values))}" for values in known]
    if limit is not None:
        lines.append(f"line {_joined([_number(limit)] * len(known[0]))}")
    opening = ["```mermaid", PALETTE, "xychart-beta horizontal" if flat else "xychart-beta"]
    return "\n".join([*opening, *(f"    {line}" for line in lines), "```"])


def _range(series: list[list[float]], limit: float | None) -> str:
    values = [value for one in series for value in one] + [0.0, limit or 0.0]
    top = max(values) if max(values) > min(values) else min(values) + 1
    return f"{_number(min(values))} --> {_number(top)}"


def _joined(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _number(value: float) -> str:
    return f"{Decimal(f'{value:.6g}'):f}"


def _quoted(text: str) -> str:
    words = re.sub(r"%%+", "%", re.sub(r"[^\w .,:/%=+()-]", "", one_line(text)))
    return f'"{words.strip()[:MAX_LABEL] or "-"}"'
