"""Parallel coordinates: a vertical axis per parameter, a line per run, the best ones in colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlactions.charts.svg import Drawing, fitted, text_size
from mlactions.report import Coordinate, Coordinates

_HEIGHT = 220.0
_TOP, _BOTTOM = 40.0, 22.0
_NARROW_AXES = 4
_LEVEL_GAP = 13.0
LINES = 200


@dataclass(frozen=True)
class _Layout:
    """Pixels: axes stand `gap` apart from `left`; places run from `bottom` up to `top`."""

    left: float
    gap: float
    top: float
    bottom: float

    def x(self, axis: int) -> float:
        return self.left + axis * self.gap

    def y(self, place: float) -> float:
        return self.bottom - place * (self.bottom - self.top)


def draw(block: Coordinates, width: float, key: str, *, stacked: bool) -> str:
    """Return the plot as SVG; where it is narrow, the first axes and the last one."""
    shown = list(range(len(block.axes)))
    if stacked and len(shown) > _NARROW_AXES:
        shown = [*shown[: _NARROW_AXES - 1], shown[-1]]
    room = width / max(len(shown), 1)
    layout = _Layout(room / 2, room, _TOP, _TOP + _HEIGHT)
    drawing = Drawing(
        width, layout.bottom + _BOTTOM, key, "coordinates", block.title, description(block)
    )
    _draw_lines(drawing, block, shown, layout, marked=False)
    _draw_lines(drawing, block, shown, layout, marked=True)
    for position, axis in enumerate(shown):
        _draw_axis(drawing, block.axes[axis], layout, position, room)
    return drawing.markup()


def _draw_lines(
    drawing: Drawing, block: Coordinates, shown: Sequence[int], layout: _Layout, *, marked: bool
) -> None:
    kind = "stroke-0 chosen" if marked else "other"
    for line, chosen in list(zip(block.lines, block.marked, strict=False))[:LINES]:
        if chosen is not marked:
            continue
        part: list[tuple[float, float]] = []
        for position, axis in enumerate(shown):
            place = place_at(line, axis)
            if place is None:
                _draw_part(drawing, kind, part)
                part = []
            else:
                part.append((layout.x(position), layout.y(place)))
        _draw_part(drawing, kind, part)


def _draw_part(drawing: Drawing, kind: str, part: list[tuple[float, float]]) -> None:
    if len(part) > 1:
        drawing.shape(kind, part, closed=False)


def place_at(line: Sequence[float | None], axis: int) -> float | None:
    """Return where a line crosses an axis, from 0 to 1; None where the run lacks the value."""
    value = line[axis] if axis < len(line) else None
    if value is None or not math.isfinite(value):
        return None
    return min(max(value, 0.0), 1.0)


def _draw_axis(
    drawing: Drawing, axis: Coordinate, layout: _Layout, position: int, room: float
) -> None:
    x = layout.x(position)
    drawing.line("zero", (x, layout.top), (x, layout.bottom))
    _draw_word(drawing, axis.name, x, layout.top - 25.0, room, kind="")
    if axis.levels:
        free = layout.bottom + _LEVEL_GAP
        for number, level in enumerate(axis.levels):
            y = layout.y((number + 0.5) / len(axis.levels))
            if free - y >= _LEVEL_GAP:
                _draw_word(drawing, level, x, y + 4.0, room, kind="tick")
                free = y
        return
    high = f"{axis.high} ({axis.note})" if axis.note else axis.high
    _draw_word(drawing, high, x, layout.top - 8.0, room, kind="tick")
    _draw_word(drawing, axis.low, x, layout.bottom + 15.0, room, kind="tick")


def _draw_word(drawing: Drawing, text: str, x: float, y: float, room: float, *, kind: str) -> None:
    shown = fitted(text, room - 8.0)
    half = min(text_size(shown) / 2, drawing.width / 2)
    middle = min(max(x, half), drawing.width - half)
    drawing.label(shown, middle, y, kind=kind, anchor="middle")


def description(block: Coordinates) -> str:
    """Return the axes in words, for people who hear the chart."""
    parts = []
    for axis in block.axes:
        span = ", ".join(axis.levels) if axis.levels else f"{axis.low} to {axis.high}"
        best = f", the best ones {axis.best}" if axis.best else ""
        parts.append(f"{axis.name}: {span}{best}.")
    return " ".join(parts) or "No axes."
