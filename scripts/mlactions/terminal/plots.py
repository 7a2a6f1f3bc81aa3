"""Charts out of characters: bars, sparklines and intervals, one line each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from mlactions.between import evenly, measured, spans_decades, value_between
from mlactions.charts import (
    Range,
    Whisker,
    drawn_range,
    finite,
    number,
    place_at,
    ranked,
    times,
    whisker,
)
from mlactions.report import Chart, Coordinates, Interval, Intervals
from mlactions.settings import Status
from mlactions.terminal.theme import BOLD, COLOURS, DIM, SERIES, Theme
from mlactions.text import shorten, width

_NARROWEST = 8


def chart(block: Chart, theme: Theme, cells: int) -> list[str]:
    """Return a title, then a line per bar, or a sparkline per series."""
    unit = f" ({theme.line(block.y_label)})" if block.y_label else ""
    title = theme.paint(_fitted(theme.line(block.title) + unit, cells, theme), BOLD)
    body = _sparklines(block, theme, cells) if block.kind == "line" else _bars(block, theme, cells)
    return [title, *(body or [theme.paint("(no values)", DIM)])]


def _bars(block: Chart, theme: Theme, cells: int) -> list[str]:
    categories = block.categories[: theme.rows]
    rows = [
        (category if not row else "", row, _value(series.values, position))
        for position, category in enumerate(categories)
        for row, series in enumerate(block.series)
    ]
    known = [value for _, _, value in rows if value is not None]
    if not known:
        return []
    several = len(block.series) > 1
    label = _column([category for category, _, _ in rows], cells // (4 if several else 3), theme)
    names = [series.name for series in block.series]
    key = _column(names, cells // 4, theme) if several else 0
    texts = ["no value" if value is None else number(value) for _, _, value in rows]
    size = max(map(len, texts))
    room = max(cells - label - key - size - (3 if several else 2), 0)
    low, high = min(0.0, *known), max(0.0, *known)
    lines = []
    for (category, row, value), text in zip(rows, texts, strict=True):
        head = _padded(theme.line(category), label, theme) + " "
        head += _padded(theme.line(names[row]), key, theme) + " " if several else ""
        bar = theme.paint(_bar(value, low, high, room, theme), SERIES[row % len(SERIES)])
        lines.append(f"{head}{bar} {text:>{size}}")
    return lines + _more(len(block.categories) - len(categories), theme)


def _bar(value: float | None, low: float, high: float, room: int, theme: Theme) -> str:
    """Draw from the zero point; parts of a cell where the character set has them."""
    parts = theme.glyphs.bar
    # Halves first: the span of two finite numbers may be too large for a float.
    span = high / 2 - low / 2
    if value is None or not span or not room:
        return " " * room
    zero = round(-low / 2 / span * room)
    if value < 0:
        size = max(round(-value / 2 / span * room), 1)
        return " " * max(zero - size, 0) + parts[-1] * min(size, zero) + " " * (room - zero)
    steps = round(value / 2 / span * room * (len(parts) - 1))
    full, rest = divmod(min(steps, (room - zero) * (len(parts) - 1)), len(parts) - 1)
    bar = parts[-1] * full + parts[rest]
    return " " * zero + bar + " " * (room - zero - len(bar))


def _sparklines(block: Chart, theme: Theme, cells: int) -> list[str]:
    lines = []
    shown = block.series[: theme.rows]
    label = _column([one.name for one in shown], cells // 3, theme)
    for series in shown:
        values = list(map(finite, series.values))
        known = [value for value in values if value is not None]
        if not known:
            continue
        first, last = (theme.line(number(value)) for value in (known[0], known[-1]))
        ends = f"{first} {theme.glyphs.arrow} {last}"
        room = max(cells - label - 2 - width(ends), _NARROWEST)
        if block.positions:
            values = _even(block.positions, series.values, room)
        if block.decades and spans_decades(known):
            values = [None if value is None else math.log10(value) for value in values]
        spark = _spark(values, room, theme.glyphs.spark)
        name = _padded(theme.line(series.name), label, theme)
        lines.append(shorten(f"{name} {spark} {ends}", cells, theme.glyphs.ellipsis))
    return lines + _more(len(block.series) - len(shown), theme)


def _even(
    positions: Sequence[float], values: Sequence[float | None], room: int
) -> list[float | None]:
    """Return values at equal distances, one for each cell or more, so that steps have lengths."""
    points = measured(positions, values)
    places = evenly(positions, max(len(positions), room))
    return [finite(value_between(points, place)) for place in places]


def _spark(values: Sequence[float | None], room: int, levels: str) -> str:
    """Draw the largest value of each stretch, so that no spike is lost; a gap is a space."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    span = high / 2 - low / 2
    count = min(len(values), room)
    edges = [round(position * len(values) / count) for position in range(count + 1)]
    drawn = ""
    for start, stop in pairwise(edges):
        stretch = [value for value in values[start:stop] if value is not None]
        share = (max(stretch, default=low) / 2 - low / 2) / span if span else 0.5
        drawn += levels[min(int(share * len(levels)), len(levels) - 1)] if stretch else " "
    return drawn


@dataclass(frozen=True)
class _Strip:
    """Where intervals are drawn: cells of names, axis and values, and the axis's range."""

    label: int
    room: int
    value: int
    axis: Range

    def cell(self, share: float) -> int:
        return round(share * (self.room - 1))


def intervals(block: Intervals, theme: Theme, cells: int) -> list[str]:
    """Return a line per rule: its interval between the lines of no change and of the limit."""
    rows = ranked(block.rows, theme.rows)
    title = theme.paint(_fitted(theme.line(block.title), cells, theme), BOLD)
    if not rows:
        return [title, theme.paint("(no rules)", DIM)]
    label = _column([row.label for row in rows], cells * 2 // 5, theme)
    value = max(width(_times(row, theme)) for row in rows)
    strip = _Strip(label, max(cells - label - 4 - value, 1), value, drawn_range(rows))
    lines = [_interval(row, theme, strip) for row in rows]
    scale = theme.paint(_scale(strip), DIM)
    return [title, scale, *lines, *_more(len(block.rows) - len(rows), theme)]


def _scale(strip: _Strip) -> str:
    zero, limit = (strip.cell(strip.axis.share(value)) for value in (0.0, 1.0))
    words = " " * (strip.label + 3 + zero) + "0" + " " * max(limit - zero - 1, 1) + "limit"
    return words[: strip.label + strip.room + 4 + strip.value]


def _interval(row: Interval, theme: Theme, strip: _Strip) -> str:
    glyphs = theme.glyphs
    canvas = [" "] * strip.room
    axis = {" ", glyphs.zero, glyphs.limit}
    for value, sign in ((0.0, glyphs.zero), (1.0, glyphs.limit)):
        canvas[strip.cell(strip.axis.share(value))] = sign
    placed = whisker(row, strip.axis)
    if placed:
        _draw(canvas, row, placed, theme, strip)
    colour = COLOURS[row.status]
    name = _padded(theme.line(row.label), strip.label, theme)
    icon = theme.paint(glyphs.icons[row.status], colour)
    parts = groupby(canvas, key=lambda sign: DIM if sign in axis else colour)
    drawn = "".join(theme.paint("".join(signs), style) for style, signs in parts)
    return f"{name} {icon} {drawn} {_times(row, theme):>{strip.value}}"


def _times(row: Interval, theme: Theme) -> str:
    return theme.line(times(row.estimate))


def _draw(canvas: list[str], row: Interval, placed: Whisker, theme: Theme, strip: _Strip) -> None:
    glyphs = theme.glyphs
    start, stop = strip.cell(placed.start), strip.cell(placed.stop)
    for position in range(start, stop + 1 if stop > start else start):
        canvas[position] = glyphs.whisker if canvas[position] == " " else glyphs.crossing
    ends = ((placed.left, start, 0), (placed.right, stop, 1))
    for end, position, side in ends:
        if end == "closed" and stop > start:
            canvas[position] = glyphs.ends[side]
        elif end == "clipped":
            canvas[position] = glyphs.clipped[side]
    if placed.point is not None:
        canvas[strip.cell(placed.point)] = glyphs.marks[row.status]


def coordinates(block: Coordinates, theme: Theme, cells: int) -> list[str]:
    """Return a title, then a strip per axis: where the runs lie, and the best of them."""
    title = theme.paint(_fitted(theme.line(block.title), cells, theme), BOLD)
    label = _column([axis.name for axis in block.axes], cells // 4, theme)
    most = min(cells // 6, 10)
    words = [word for axis in block.axes for word in (axis.low, axis.high, *axis.levels)]
    ends = _column(words, most, theme)
    room = min(cells - label - 2 * ends - 3, 60)
    lines = [title]
    for position, axis in enumerate(block.axes):
        strip = _strip(block, position, room, theme)
        outer = (axis.levels[0], axis.levels[-1]) if axis.levels else (axis.low, axis.high)
        low, high = (_fitted(theme.line(end), ends, theme) for end in outer)
        name = _padded(theme.line(axis.name), label, theme)
        lines.append(f"{name} {' ' * (ends - width(low))}{low} {strip} {high}")
    return lines


def _strip(block: Coordinates, axis: int, room: int, theme: Theme) -> str:
    signs = [" "] * room
    for marked in (False, True):
        sign = theme.glyphs.marks[Status.PASS] if marked else theme.glyphs.dot
        for line, chosen in zip(block.lines, block.marked, strict=False):
            place = place_at(line, axis)
            if chosen is marked and place is not None:
                signs[min(int(place * room), room - 1)] = sign
    best = theme.glyphs.marks[Status.PASS]
    parts = groupby(signs, key=lambda sign: sign == best)
    return "".join(
        theme.paint("".join(part), SERIES[0] if is_best else DIM) for is_best, part in parts
    )


def _value(values: tuple[float | None, ...], position: int) -> float | None:
    return finite(values[position]) if position < len(values) else None


def _column(names: Sequence[str], most: int, theme: Theme) -> int:
    """Return the cells of the widest name, but not more than `most`."""
    return min(max((width(theme.line(name)) for name in names), default=0), most)


def _fitted(text: str, cells: int, theme: Theme) -> str:
    return shorten(text, cells, theme.glyphs.ellipsis)


def _padded(text: str, cells: int, theme: Theme) -> str:
    fitted = _fitted(text, cells, theme)
    return fitted + " " * (cells - width(fitted))


def _more(left_out: int, theme: Theme) -> list[str]:
    return [theme.paint(f"{theme.glyphs.ellipsis} {left_out:,} more", DIM)] if left_out > 0 else []
