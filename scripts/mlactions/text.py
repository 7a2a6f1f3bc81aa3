"""Plain text in terminals and images: how wide it is, and where it may break."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from mlactions.escaping import printable

_ON_ONE_LINE = {ord("\n"): " ", ord("\t"): " ", 0xFE0F: None}
_FITTING = re.compile(r"[^/_.,:;=+-]*[/_.,:;=+-]?")


def one_line(text: str) -> str:
    """Return printable text on one line; spaces at its ends stay, they part words and code."""
    text = printable(text)
    # An emoji's variation selector: terminals disagree about the width of the pair.
    return text if text.isascii() and text.isprintable() else text.translate(_ON_ONE_LINE)


def width(text: str) -> int:
    """Return how many terminal cells printable text takes.

    Wide and full-width characters take two, combining marks none (Unicode annex 11). Ambiguous
    ones count as one: that is how terminals outside East Asian locales draw them.
    """
    return len(text) if text.isascii() else sum(map(_cells, text))


@lru_cache(maxsize=4096)
def _cells(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"} or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def head(text: str, cells: int) -> str:
    """Return the longest start of `text` that fits into `cells`."""
    if text.isascii():
        return text[:cells]
    used = 0
    for position, character in enumerate(text):
        used += _cells(character)
        if used > cells:
            return text[:position]
    return text


def shorten(text: str, cells: int, mark: str = "…") -> str:
    """Return `text`, cut in its middle where it is too wide: both ends of a name tell it apart."""
    if width(text) <= cells:
        return text
    room = max(cells - len(mark), 0)
    start = head(text, room - room // 2)
    end = head(text[::-1], room - width(start))[::-1]
    return f"{start}{mark}{end}" if cells >= len(mark) else ""


def chunks(line: str, cells: int) -> list[str]:
    """Break a line of a log wherever it is full."""
    parts: list[str] = []
    while width(line) > cells:
        start = head(line, cells) or line[0]
        parts.append(start)
        line = line[len(start) :]
    return [*parts, line]


def pieces(word: str, cells: int) -> list[str]:
    """Break a word into parts of at most `cells`, after a separator where there is one."""
    parts: list[str] = []
    line = ""
    for part in filter(None, _FITTING.findall(word)):
        if width(line) + width(part) <= cells:
            line += part
            continue
        if line:
            parts.append(line)
        *full, line = chunks(part, cells)
        parts += full
    return [*parts, line] if line else parts


def plural(count: int, noun: str) -> str:
    """Return a count and its noun: `1 rule`, `2 rules`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
