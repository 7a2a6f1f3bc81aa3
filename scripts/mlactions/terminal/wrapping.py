"""Styled words and the lines they are wrapped into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from mlactions.report import Chip, Code, Inline, Link, Span, Strong, Struck, spans
from mlactions.terminal.theme import BOLD, CODE, COLOURS, DIM, STRUCK, Theme
from mlactions.text import pieces, width

_FIRM = "\u00a0"

Fragment = tuple[str, str]
"""Text and its style."""
Word = tuple[Fragment, ...]
"""Fragments without a space between them."""
Line = list[Fragment]


def words(text: Inline, theme: Theme) -> list[Word]:
    """Split a run of spans at its spaces; neighbours without a space stay one word."""
    found: list[Word] = []
    current: list[Fragment] = []
    for part, style in _fragments(text, theme):
        for position, word in enumerate(part.split(" ")):
            if position and current:
                found.append(tuple(current))
                current = []
            if word:
                current.append((word, style))
    return [*found, tuple(current)] if current else found


def wrap(text: Sequence[Word], cells: int) -> list[Line]:
    """Fill lines of at most `cells` with words; a word that is too wide for a line is broken."""
    lines: list[Line] = []
    line: Line = []
    used = 0
    for word in _fitting(text, cells):
        size = word_width(word)
        if line and used + 1 + size > cells:
            lines.append(line)
            line, used = [], 0
        if line:
            used += 1
            line.append(space(line, word))
        line.extend(word)
        used += size
    return [*lines, line] if line else lines or [[]]


def space(line: Sequence[Fragment], word: Word) -> Fragment:
    """Return the space between a line and its next word, in their style where they share one."""
    before, after = line[-1][1], word[0][1]
    return " ", before if before == after else ""


def word_width(word: Iterable[Fragment]) -> int:
    """Return how many cells fragments take side by side."""
    return sum(width(text) for text, _ in word)


def text_width(text: Sequence[Word]) -> int:
    """Return how many cells the words take on one line."""
    return sum(map(word_width, text)) + max(len(text) - 1, 0)


def painted(line: Line, theme: Theme) -> str:
    """Return a line as it is printed."""
    runs = groupby(line, key=itemgetter(1))
    parts = [("".join(text for text, _ in run), style) for style, run in runs]
    return "".join(theme.paint(text.replace(_FIRM, " "), style) for text, style in parts)


def paragraph(text: Inline, theme: Theme, cells: int, style: str = "") -> list[str]:
    """Return wrapped lines; `style` is for what has none of its own."""
    given = [tuple((part, own or style) for part, own in word) for word in words(text, theme)]
    return [painted(line, theme) for line in wrap(given, cells)]


def _fragments(text: Inline, theme: Theme) -> Iterator[Fragment]:
    for span in spans(text):
        yield from _span(span, theme)


def _span(span: Span, theme: Theme) -> Iterator[Fragment]:
    if isinstance(span, str):
        yield theme.line(span), ""
        return
    text = theme.line(span.text)
    match span:
        case Code():
            # Without colour only spaces make it unclear where a command or a path ends.
            yield (f"`{text}`" if " " in text and not theme.color else text), CODE
        case Strong():
            yield text, BOLD
        case Struck():
            # The tildes stay beside the style: not every terminal can strike through.
            yield f"~~{text}~~", STRUCK
        case Link(_, url):
            yield from (
                [(text, "")] if text == url else [(f"{text} ", ""), (f"<{theme.line(url)}>", DIM)]
            )
        case Chip(status, _):
            # A space that does not break: an icon at the end of a line belongs to nothing.
            yield f"{theme.glyphs.icons[status]}{_FIRM}{text}", f"{BOLD};{COLOURS[status]}"
        case _:
            yield text, ""


def _fitting(text: Sequence[Word], cells: int) -> Iterator[Word]:
    for word in text:
        if word_width(word) <= cells:
            yield word
        else:
            for part, style in word:
                yield from (((piece, style),) for piece in pieces(part, cells))
