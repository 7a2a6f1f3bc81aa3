"""Tables for narrow terminals: a row's words on one line, its numbers with their names below."""

from __future__ import annotations

from collections.abc import Sequence

from mlactions.report import Column
from mlactions.terminal.theme import BOLD, DIM, Theme
from mlactions.terminal.wrapping import Line, Word, painted, space, text_width, word_width, wrap

Row = tuple[list[Word], ...]

_GAP = 2
_FIELD_GAP = 3


def records(
    columns: Sequence[Column], header: Row, rows: Sequence[Row], theme: Theme, cells: int
) -> list[str]:
    """Return the rows as lines of at most `cells`; numbers of one column stand under each other."""
    words_at = [at for at, column in enumerate(columns) if column.align != "right"] or [0]
    numbers_at = [at for at in range(len(columns)) if at not in words_at]
    sizes = [
        max(
            (text_width(row[at]) for row in (*rows, *([header] if at in words_at else []))),
            default=0,
        )
        for at in range(len(columns))
    ]
    header = tuple([tuple((text, DIM) for text, _ in word) for word in one] for one in header)
    lines = _title(header, words_at, sizes, theme, cells)
    for row in rows:
        lines += _title(row, words_at, sizes, theme, cells)
        lines += [
            [(" " * _GAP, ""), *line]
            for line in _fields(header, row, numbers_at, sizes, cells - _GAP)
        ]
    return [painted(line, theme).rstrip() for line in lines]


def _title(
    row: Row, columns: Sequence[int], sizes: Sequence[int], theme: Theme, cells: int
) -> list[Line]:
    """Return the row's words: in columns where these fit, else one after the other."""
    shown = [
        [tuple((text, own or BOLD) for text, own in word) for word in row[at]] for at in columns
    ]
    if sum(sizes[at] + _GAP for at in columns) - _GAP > cells:
        return wrap(_separated([cell for cell in shown if cell], theme), cells)
    line: Line = []
    for at, cell in zip(columns, shown, strict=True):
        line += [*_joined(cell), (" " * (sizes[at] + _GAP - text_width(cell)), "")]
    return [line]


def _separated(titles: Sequence[Sequence[Word]], theme: Theme) -> list[Word]:
    dot: Word = ((theme.glyphs.dot, DIM),)
    joined = [word for title in titles for word in (dot, *title)]
    return joined[1:]


def _fields(
    header: Row, row: Row, columns: Sequence[int], sizes: Sequence[int], cells: int
) -> list[Line]:
    lines: list[Line] = []
    free = 0
    for at in columns:
        pad = (" " * (sizes[at] - text_width(row[at])), "")
        field = [*_joined(header[at]), (" ", ""), pad, *_joined(row[at])]
        size = word_width(field)
        if size > cells:
            lines += wrap([*header[at], *row[at]], cells)
            free = 0
        elif lines and size + _FIELD_GAP <= free:
            lines[-1] += [(" " * _FIELD_GAP, ""), *field]
            free -= size + _FIELD_GAP
        else:
            lines.append(field)
            free = cells - size
    return lines


def _joined(words: Sequence[Word]) -> Line:
    line: Line = []
    for word in words:
        line += [space(line, word), *word] if line else word
    return line
