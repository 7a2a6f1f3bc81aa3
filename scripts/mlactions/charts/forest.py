"""The interval plot: a row per rule, its estimate and interval against no change and the limit."""

from __future__ import annotations

from dataclasses import dataclass

from mlactions.charts.scale import number, times
from mlactions.charts.svg import Drawing, fitted, text_size
from mlactions.charts.whiskers import (
    LIMIT,
    NO_CHANGE,
    Range,
    Whisker,
    drawn_range,
    ranked,
    whisker,
)
from mlactions.report import Interval, Intervals
from mlactions.settings import Status

_ROW, _STACKED_ROW = 24.0, 38.0
_HEAD, _FOOT = 22.0, 22.0
_NAME = 17.0
_VALUE = 62.0
_MARK = 5.0


@dataclass(frozen=True)
class _Layout:
    """Pixels; a row's interval lies `middle` below its top, between `left` and `right`.

    The axis is drawn in `bands`, from top to bottom, so that it crosses no name.
    """

    left: float
    right: float
    row: float
    middle: float
    bottom: float
    bands: tuple[tuple[float, float], ...]

    def x(self, share: float) -> float:
        return self.left + share * (self.right - self.left)


def draw(block: Intervals, width: float, key: str, *, stacked: bool) -> str:
    """Return the plot as SVG; `stacked` puts each name above its interval, for narrow screens."""
    rows = ranked(block.rows)
    axis = drawn_range(rows)
    layout = _layout(rows, width, stacked=stacked)
    drawing = Drawing(
        width, layout.bottom + _FOOT, key, "intervals", block.title, _description(rows)
    )
    _draw_axis(drawing, axis, layout)
    for position, row in enumerate(rows):
        _draw_row(drawing, row, _HEAD + position * layout.row, axis, layout, stacked=stacked)
    return drawing.markup()


def _layout(rows: tuple[Interval, ...], width: float, *, stacked: bool) -> _Layout:
    if stacked:
        tops = [_HEAD + place * _STACKED_ROW for place in range(len(rows))]
        bands = tuple((top + _NAME, top + _STACKED_ROW) for top in tops)
        bottom = _HEAD + len(rows) * _STACKED_ROW
        return _Layout(4.0, width - _VALUE, _STACKED_ROW, 26.0, bottom, bands)
    names = max((text_size(row.label) for row in rows), default=0.0)
    left = min(names, width * 0.38) + 16.0
    bottom = _HEAD + len(rows) * _ROW
    return _Layout(left, width - _VALUE, _ROW, 12.0, bottom, ((_HEAD - 6.0, bottom),))


def _draw_axis(drawing: Drawing, axis: Range, layout: _Layout) -> None:
    zero, limit = (layout.x(axis.share(value)) for value in (NO_CHANGE, LIMIT))
    drawing.box("beyond", limit, _HEAD - 6.0, layout.right - limit, layout.bottom - _HEAD + 6.0)
    step = 1 if axis.high - axis.low <= 8 else 2  # noqa: PLR2004  # labels stay apart
    for tick in range(-4, 11, step):
        if axis.holds(tick) and tick not in (NO_CHANGE, LIMIT):
            _draw_upright(drawing, "grid", layout.x(axis.share(tick)), layout)
    _draw_upright(drawing, "zero", zero, layout)
    _draw_upright(drawing, "limit", limit, layout)
    _draw_axis_words(drawing, axis, layout, zero, limit)


def _draw_upright(drawing: Drawing, kind: str, x: float, layout: _Layout) -> None:
    for top, bottom in layout.bands:
        drawing.line(kind, (x, top), (x, bottom))


def _draw_axis_words(
    drawing: Drawing, axis: Range, layout: _Layout, zero: float, limit: float
) -> None:
    drawing.label("limit", limit, _HEAD - 10.0, kind="limit-word", anchor="middle")
    right = drawing.width - 2.0
    if limit + text_size("limit") / 2 + text_size("worse →") < layout.right:
        drawing.label("worse →", layout.right, _HEAD - 10.0, kind="tick", anchor="end")
    if zero - layout.left > text_size("← better") + 8.0:
        drawing.label("← better", layout.left, _HEAD - 10.0, kind="tick")
    free = 0.0
    for tick in range(-4, 11):
        x = layout.x(axis.share(tick))
        text = f"{tick}×" if tick else "0"
        half = text_size(text) / 2
        if axis.holds(tick) and x - half >= free and x + half <= right:
            drawing.label(text, x, layout.bottom + 16.0, kind="tick", anchor="middle")
            free = x + half + 8.0


def _draw_row(
    drawing: Drawing, row: Interval, top: float, axis: Range, layout: _Layout, *, stacked: bool
) -> None:
    y = top + layout.middle
    room = drawing.width if stacked else layout.left - 12.0
    drawing.group(_sentence(row))
    drawing.label(fitted(row.label, room), 0.0, top + 12.0 if stacked else y + 4.0)
    placed = whisker(row, axis)
    if placed:
        _draw_whisker(drawing, placed, row.status, y, layout)
    drawing.label(times(row.estimate), drawing.width - 2.0, y + 4.0, kind="value", anchor="end")
    drawing.end_group()


def _draw_whisker(
    drawing: Drawing, placed: Whisker, status: Status, y: float, layout: _Layout
) -> None:
    start, stop = layout.x(placed.start), layout.x(placed.stop)
    stroke, fill = f"stroke-{status}", f"fill-{status}"
    if stop > start:
        drawing.line(stroke, (start, y), (stop, y))
    for end, x, inward in ((placed.left, start, 1.0), (placed.right, stop, -1.0)):
        if end == "closed" and stop > start:
            drawing.line(stroke, (x, y - 4.0), (x, y + 4.0))
        elif end == "clipped":
            back = x + inward * 8.0
            drawing.shape(fill, [(x, y), (back, y - 5.0), (back, y + 5.0)])
    if placed.point is not None:
        _draw_mark(drawing, status, layout.x(placed.point), y)


def _draw_mark(drawing: Drawing, status: Status, x: float, y: float) -> None:
    """Draw the estimate: a shape per verdict, so that colour is never the only difference."""
    kind = f"fill-{status} mark"
    if status is Status.FAIL:
        drawing.box(kind, x - _MARK, y - _MARK, 2 * _MARK, 2 * _MARK)
    elif status is Status.WARN:
        reach = _MARK + 1.0
        drawing.shape(kind, [(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)])
    else:
        drawing.dot(kind, x, y, _MARK)


def _sentence(row: Interval) -> str:
    low, high = ("" if bound is None else number(bound) for bound in (row.low, row.high))
    bounds = f", interval {low or 'open'} to {high or 'open'}" if low or high else ""
    return f"{row.label}: {row.status.value}, {times(row.estimate)} the limit{bounds}"


def _description(rows: tuple[Interval, ...]) -> str:
    return ". ".join(map(_sentence, rows[:20])) + ("." if rows else "No rules.")
