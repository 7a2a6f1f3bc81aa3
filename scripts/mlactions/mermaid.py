"""Charts as Mermaid text, which GitHub draws."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal

from mlactions.escaping import one_line
from mlactions.report import Chart

MAX_POINTS = 40
MAX_LABEL = 60


def mermaid(chart: Chart) -> str:
    """Return a fenced chart; nothing where it cannot be drawn, because a table stands beside it.

    `xychart-beta` is the keyword that every Mermaid since 10.6 knows. Its grammar has no gaps, no
    exponents, no empty strings, and takes two per cent signs for a comment.
    """
    series = [values[:MAX_POINTS] for values in (one.values for one in chart.series)]
    known = [[value for value in values if value is not None] for values in series]
    if not chart.categories or known != list(map(list, series)):
        return ""
    if not all(math.isfinite(value) for values in known for value in values):
        return ""
    lines = [f"title {_quoted(chart.title)}"] if chart.title else []
    lines.append(f"x-axis {_joined(map(_quoted, chart.categories[:MAX_POINTS]))}")
    lines += [f"y-axis {_quoted(chart.y_label)}"] if chart.y_label else []
    lines += [f"{chart.kind} {_joined(map(_number, values))}" for values in known]
    return "\n".join(["```mermaid", "xychart-beta", *(f"    {line}" for line in lines), "```"])


def _joined(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _number(value: float) -> str:
    return f"{Decimal(f'{value:.6g}'):f}"


def _quoted(text: str) -> str:
    words = re.sub(r"%%+", "%", re.sub(r"[^\w .,:/%=+()-]", "", one_line(text)))
    return f'"{words.strip()[:MAX_LABEL] or "-"}"'
