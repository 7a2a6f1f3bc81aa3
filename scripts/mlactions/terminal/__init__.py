"""Reports for a terminal: quick to read, as wide as asked, and free of anybody's escape codes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from mlactions.report import (
    Block,
    Chart,
    Coordinates,
    Details,
    Heading,
    Inline,
    Intervals,
    Items,
    Listing,
    Paragraph,
    Report,
    Table,
    plain,
)
from mlactions.terminal.plots import chart, coordinates, intervals
from mlactions.terminal.table import table
from mlactions.terminal.theme import BOLD, DIM, Theme
from mlactions.terminal.wrapping import paragraph
from mlactions.text import chunks, width

__all__ = ["render", "show"]

_ROWS = 40
_NARROWEST = 30
_READABLE = 110
"""Cells beyond which prose and charts only get harder to read; tables may use more."""


def render(
    report: Report,
    *,
    width: int,
    color: bool,
    unicode: bool = True,
    verbose: bool = False,
    unfold: str = "",
) -> str:
    """Return the report as text whose lines take at most `width` cells (30 or more).

    `color` allows SGR codes, `unicode` symbols outside ASCII. Folded parts are one line and long
    tables are cut unless `verbose`. `unfold` says how to open them, on the first that is folded.
    """
    theme = Theme(color, unicode, verbose, None if verbose else _ROWS)
    cells = max(width, _NARROWEST)
    title = theme.banner(report.status) + "  "
    heading = paragraph(report.title, theme, cells - len(report.status.value) - 4, BOLD)
    verdict = paragraph(report.verdict, theme, min(cells, _READABLE))
    lines = [title + heading[0], *heading[1:], "", *verdict]
    lines += _blocks(report.blocks, theme, cells, unfold)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def show(
    report: Report,
    stream: TextIO,
    environ: Mapping[str, str],
    *,
    verbose: bool = False,
    unfold: str = "",
) -> None:
    """Print a report the way the stream can show it.

    Colour on a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is dumb; anywhere
    where FORCE_COLOR is set.
    """
    terminal = stream.isatty() and environ.get("TERM") != "dumb"
    color = bool(environ.get("FORCE_COLOR")) or (terminal and not environ.get("NO_COLOR"))
    columns = environ.get("COLUMNS", "")
    cells = int(columns) if columns.isdecimal() else shutil.get_terminal_size((100, 24)).columns
    symbols = _has_symbols(stream)
    stream.write(
        render(report, width=cells, color=color, unicode=symbols, verbose=verbose, unfold=unfold)
    )
    stream.flush()


def _has_symbols(stream: TextIO) -> bool:
    return (stream.encoding or "ascii").lower().replace("-", "").startswith("utf")


def _blocks(blocks: Iterable[Block], theme: Theme, cells: int, unfold: str = "") -> Iterator[str]:
    """Yield the lines of blocks with a blank line between; folds in a row stay together."""
    hint = f"  ({unfold})" if unfold else ""
    after_fold = False
    for block in blocks:
        lines = _block(block, theme, cells)
        folded = isinstance(block, Details) and len(lines) == 1
        if lines and not (folded and after_fold):
            yield ""
        if isinstance(block, Details) and folded and hint and _has_room(block, hint, theme, cells):
            lines, hint = [lines[0] + theme.paint(hint, DIM)], ""
        yield from lines
        after_fold = folded


def _has_room(block: Details, hint: str, theme: Theme, cells: int) -> bool:
    size = width(theme.line(plain(block.summary)) + hint)
    return not theme.verbose and size <= cells - 2


def _block(block: Block, theme: Theme, cells: int) -> list[str]:
    readable = min(cells, _READABLE)
    match block:
        case Heading(level, text):
            return _heading(level, text, theme, readable)
        case Paragraph(text):
            return paragraph(text, theme, readable)
        case Table():
            return _indented(table(block, theme, cells - _indent(cells)), cells)
        case Items(items):
            return [line for item in items for line in _item(item, theme, readable)]
        case Listing(text, language):
            return _listing(text, language, theme, cells)
        case Chart() | Intervals() | Coordinates():
            return _indented(_chart(block, theme, readable - _indent(cells)), cells)
        case Details():
            return _details(block, theme, cells)


def _chart(block: Chart | Intervals | Coordinates, theme: Theme, cells: int) -> list[str]:
    if isinstance(block, Chart):
        return chart(block, theme, cells)
    if isinstance(block, Coordinates):
        return coordinates(block, theme, cells)
    return intervals(block.named_once(), theme, cells)


def _heading(level: int, text: Inline, theme: Theme, cells: int) -> list[str]:
    lines = paragraph(text, theme, cells, BOLD)
    if level > 2:  # noqa: PLR2004  # only sections are underlined
        return lines
    size = min(width(theme.line(plain(text))), cells)
    return [*lines, theme.paint(theme.glyphs.rule * size, DIM)]


def _item(item: Inline, theme: Theme, cells: int) -> list[str]:
    first, *rest = paragraph(item, theme, cells - 4)
    return [f"  {theme.glyphs.bullet} {first}", *(f"    {line}" for line in rest)]


def _listing(text: str, language: str, theme: Theme, cells: int) -> list[str]:
    lines = theme.lines(text.rstrip("\n"))
    shown = lines if theme.rows is None else lines[-theme.rows :]
    gutter = "  " + theme.paint(theme.glyphs.gutter, DIM) + " "
    printed: list[str] = []
    if len(shown) < len(lines):
        note = f"{theme.glyphs.ellipsis} {len(lines) - len(shown):,} earlier lines"
        printed.append(gutter + theme.paint(note, DIM))
    for line in shown:
        colour = {"+": "32", "-": "31"}.get(line[:1], "") if language == "diff" else ""
        parts = chunks(line, cells - 4)
        printed += [gutter + theme.paint(part, colour) for part in parts]
    return printed


def _details(block: Details, theme: Theme, cells: int) -> list[str]:
    opened = theme.verbose or block.open
    sign = theme.glyphs.unfolded if opened else theme.glyphs.folded
    first, *rest = paragraph(block.summary, theme, cells - 2)
    lines = [f"{sign} {first}", *(f"  {line}" for line in rest)]
    if opened:
        inner = list(_blocks(block.blocks, theme, cells - _indent(cells)))
        lines += _indented(inner[1:], cells)
    return lines


def _indent(cells: int) -> int:
    """Return how far to indent: not at all where folds inside folds have used up the width."""
    return 2 if cells > _NARROWEST else 0


def _indented(lines: Iterable[str], cells: int) -> list[str]:
    return [" " * _indent(cells) + line if line else "" for line in lines]
