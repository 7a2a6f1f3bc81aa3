"""Tables that fit: text columns shrink and wrap, numbers never break, else one record a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from mlactions.report import Column, Inline, Table
from mlactions.terminal.records import Row, records
from mlactions.terminal.theme import BOLD, CODE, DIM, Theme
from mlactions.terminal.wrapping import (
    Line,
    Word,
    painted,
    text_width,
    word_width,
    words,
    wrap,
)
from mlactions.text import chunks

GAP = 2
_NUMBER = re.compile(r"[(\[]*[+\-−±]?\d[\d.,]*(?:[eE][+-]?\d+)?\S{0,3}")
_NARROWEST = 14
_LONGEST_WORD = 18
_WIDEST_UNBROKEN = 24


def table(block: Table, theme: Theme, cells: int) -> list[str]:
    """Return lines of at most `cells`; rows beyond the theme's cap are counted, not shown."""
    given, block = block, _narrowed(block, theme, cells)
    shown = block.rows[: theme.rows]
    rows = [_row(row, len(block.columns), theme) for row in shown]
    header = _row(tuple(column.name for column in block.columns), len(block.columns), theme)
    sizes = _sizes(block.columns, header, rows, cells)
    if sizes is None:
        lines = records(block.columns, header, rows, theme, cells)
    else:
        lines = _grid(block.columns, header, rows, sizes, theme)
    left_out = len(block.rows) - len(shown)
    if left_out:
        note = f"{theme.glyphs.ellipsis} {left_out:,} more row{'s' if left_out > 1 else ''}"
        lines.append(theme.paint(note, DIM))
    lines += _missing(given, block, theme, cells)
    return lines if rows else [*lines, theme.paint("(no rows)", DIM)]


def _narrowed(block: Table, theme: Theme, cells: int) -> Table:
    """Leave out optional columns, the last first, where that is what makes the table fit."""
    keep = list(range(len(block.columns)))
    optional = [place for place in keep if block.columns[place].optional]
    narrowed = block
    while optional and not _fits(narrowed, theme, cells):
        keep.remove(optional.pop())
        narrowed = Table(
            tuple(block.columns[place] for place in keep),
            tuple(tuple(row[place] for place in keep if place < len(row)) for row in block.rows),
        )
    return narrowed if _fits(narrowed, theme, cells) else block


def _missing(given: Table, shown: Table, theme: Theme, cells: int) -> list[str]:
    """Return a line that names the columns left out."""
    names = [column.name for column in given.columns if column not in shown.columns]
    if not names:
        return []
    note = f"{theme.glyphs.ellipsis} no room for {', '.join(names)}"
    return [theme.paint(part, DIM) for part in chunks(theme.line(note), cells)]


def _fits(block: Table, theme: Theme, cells: int) -> bool:
    rows = [_row(row, len(block.columns), theme) for row in block.rows[: theme.rows]]
    header = _row(tuple(column.name for column in block.columns), len(block.columns), theme)
    return _sizes(block.columns, header, rows, cells) is not None


def _row(row: Sequence[Inline], columns: int, theme: Theme) -> Row:
    filled = [*row, *[""] * (columns - len(row))][:columns]
    return tuple(words(cell, theme) for cell in filled)


def _sizes(
    columns: Sequence[Column], header: Row, rows: Sequence[Row], cells: int
) -> list[int] | None:
    """Return a width per column, or None where even the narrowest ones are too wide together."""
    if not columns:
        return None
    natural = [max(map(text_width, column)) for column in zip(header, *rows, strict=True)]
    smallest = [
        _smallest(column.align == "right", title, cells_of)
        for column, title, cells_of in zip(
            columns, header, zip(*rows, strict=True) if rows else [()] * len(columns), strict=True
        )
    ]
    room = cells - GAP * (len(columns) - 1)
    if sum(smallest) > room:
        return None
    cap = max(natural)
    while sum(_capped(natural, smallest, cap)) > room:
        cap -= 1
    return _spread(_capped(natural, smallest, cap), natural, room)


def _capped(natural: Sequence[int], smallest: Sequence[int], cap: int) -> list[int]:
    return [max(least, min(size, cap)) for size, least in zip(natural, smallest, strict=True)]


def _spread(sizes: list[int], natural: Sequence[int], room: int) -> list[int]:
    """Give the cells that rounding left over to the first columns that want them."""
    spare = room - sum(sizes)
    for position, want in enumerate(natural):
        extra = min(spare, max(want - sizes[position], 0))
        sizes[position] += extra
        spare -= extra
    return sizes


def _smallest(numeric: bool, title: list[Word], column: Sequence[list[Word]]) -> int:
    """Return how far a column may shrink: numbers stay whole, names keep a readable part."""
    title_size = min(max(map(word_width, title), default=1), _NARROWEST)
    natural = max(map(text_width, column), default=1)
    if numeric and natural <= _WIDEST_UNBROKEN:
        return max(natural, title_size, 2)
    whole = [
        word_width(word)
        for cell in column
        for word in cell
        if numeric or _is_whole("".join(text for text, _ in word), word[0][1])
    ]
    return max(min(natural, _NARROWEST), max(whole, default=1), title_size, 2)


def _is_whole(text: str, style: str) -> bool:
    """Return whether a word must not be broken: a number, and what is neither name nor path."""
    return bool(_NUMBER.fullmatch(text)) or (style != CODE and len(text) <= _LONGEST_WORD)


def _grid(
    columns: Sequence[Column], header: Row, rows: Sequence[Row], sizes: Sequence[int], theme: Theme
) -> list[str]:
    bold = tuple([tuple((text, BOLD) for text, _ in word) for word in title] for title in header)
    lines = _physical(columns, bold, sizes, theme)
    rule = (" " * GAP).join(theme.glyphs.rule * size for size in sizes)
    lines.append(theme.paint(rule, DIM))
    for row in rows:
        lines += _physical(columns, row, sizes, theme)
    return lines


def _physical(columns: Sequence[Column], row: Row, sizes: Sequence[int], theme: Theme) -> list[str]:
    """Return the one or more printed lines of a row."""
    wrapped = [wrap(cell, size) for cell, size in zip(row, sizes, strict=True)]
    lines: list[str] = []
    for parts in zip_longest(*wrapped, fillvalue=[]):
        cells = [
            _aligned(part, size, column.align, theme)
            for part, size, column in zip(parts, sizes, columns, strict=True)
        ]
        lines.append((" " * GAP).join(cells).rstrip())
    return lines


def _aligned(line: Line, size: int, align: str, theme: Theme) -> str:
    space = max(size - word_width(line), 0)
    before = {"left": 0, "right": space, "center": space // 2}[align]
    return " " * before + painted(line, theme) + " " * (space - before)
