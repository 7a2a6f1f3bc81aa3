"""Charts as Mermaid text, which GitHub draws."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal

from mlactions.escaping import one_line
from mlactions.report import Chart

PALETTE = (
    '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#cf222e, #6e7781, #0969da"}}}}%%'
)
"""Readable on a light and a dark page."""

MAX_POINTS = 40
MAX_LABEL = 60


def mermaid(chart: Chart, *, limit: float | None = None) -> str:
    """Return a fenced chart; nothing where it cannot be drawn, because a table stands beside it.

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
    lines.append(f"y-axis {_quoted(chart.y_label)}{_range(known, limit) if flat else ''}")
    lines += [f"{chart.kind} {_joined(map(_number, values))}" for values in known]
    if limit is not None:
        lines.append(f"line {_joined([_number(limit)] * len(known[0]))}")
    opening = ["```mermaid", PALETTE, "xychart-beta horizontal" if flat else "xychart-beta"]
    return "\n".join([*opening, *(f"    {line}" for line in lines), "```"])


def _range(series: list[list[float]], limit: float | None) -> str:
    values = [value for one in series for value in one] + [0.0, limit or 0.0]
    top = max(values) if max(values) > min(values) else min(values) + 1
    return f" {_number(min(values))} --> {_number(top)}"


def _joined(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _number(value: float) -> str:
    return f"{Decimal(f'{value:.6g}'):f}"


def _quoted(text: str) -> str:
    words = re.sub(r"%%+", "%", re.sub(r"[^\w .,:/%=+()-]", "", one_line(text)))
    return f'"{words.strip()[:MAX_LABEL] or "-"}"'
