"""What a report says, apart from how it looks: every word builds one, every reader renders it.

Text is escaped by the renderer, so nothing a user or an agent wrote can become markup.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mlactions.settings import Status


@dataclass(frozen=True)
class Code:
    """Inline code: names, paths, values as they are written in a file."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words that must not be missed."""

    text: str


@dataclass(frozen=True)
class Struck:
    """A claim that did not hold."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link that we made ourselves; `url` is https."""

    text: str
    url: str


@dataclass(frozen=True)
class Untrusted:
    """Prose of an agent or of user code: shown as words only, links and mentions broken."""

    text: str


@dataclass(frozen=True)
class Chip:
    """A verdict that is seen at a glance: a coloured word, or an icon and the word."""

    status: Status
    text: str


Span = str | Code | Strong | Struck | Link | Untrusted | Chip
Inline = Span | tuple[Span, ...]


def spans(text: Inline) -> tuple[Span, ...]:
    """Return a run of spans, also where there is only one."""
    return text if isinstance(text, tuple) else (text,)


def plain(text: Inline) -> str:
    """Return the words alone, as they were given: nothing is escaped."""
    return "".join(span if isinstance(span, str) else span.text for span in spans(text))


@dataclass(frozen=True)
class Heading:
    """A section's title; level 1 is the report's own."""

    level: int
    text: Inline


@dataclass(frozen=True)
class Paragraph:
    """A few sentences."""

    text: Inline


@dataclass(frozen=True)
class Column:
    """A column's name and the side its cells lean to: numbers to the right."""

    name: str
    align: Literal["left", "right", "center"] = "left"
    optional: bool = False  # a terminal too narrow for the whole table leaves it out


@dataclass(frozen=True)
class Table:
    """Rows of cells, the most important first: a comment that is too long loses the last ones."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Inline, ...], ...]


@dataclass(frozen=True)
class Items:
    """A bulleted list."""

    items: tuple[Inline, ...]


@dataclass(frozen=True)
class Listing:
    """Lines of a log, a diff or a file, shown as they are."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Series:
    """One line or one set of bars: a value per category, None where there is none."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Chart:
    """Values per category, beside a table. Mermaid in Markdown, SVG in HTML, bars in terminals.

    Lines may have `positions`, ascending numbers that say where their categories lie: steps, say.
    A value that is None was not measured there, and the line goes on to the next one; at NaN or
    infinity it breaks. With `decades` it may be drawn on a logarithmic axis, where it spans two.
    """

    title: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    y_label: str = ""
    kind: Literal["bar", "line"] = "bar"
    positions: tuple[float, ...] = ()
    decades: bool = False


@dataclass(frozen=True)
class Interval:
    """One row of an interval chart: an estimate, its bounds, and the limit it is held against."""

    label: str
    estimate: float
    low: float | None
    high: float | None
    limit: float
    status: Status


@dataclass(frozen=True)
class Intervals:
    """Degradations with their intervals, each against what is allowed; not drawn in Markdown.

    Values are in multiples of each rule's allowed degradation, so that one axis serves all:
    0 is no change, 1 is the limit.
    """

    title: str
    rows: tuple[Interval, ...]

    def named_once(self) -> Intervals:
        """Return it with a first word that all labels share, the only model's, in the title."""
        words = {row.label.partition(" ")[0] for row in self.rows}
        rest = [row.label.partition(" ")[2] for row in self.rows]
        if len(words) != 1 or not all(rest):
            return self
        rows = (replace(row, label=label) for row, label in zip(self.rows, rest, strict=True))
        return Intervals(f"{self.title}: {words.pop()}", tuple(rows))


@dataclass(frozen=True)
class Coordinate:
    """One axis of parallel coordinates; `best` says which values the marked lines have.

    `levels` lie evenly from the bottom up; where there are none, numbers from `low` to `high`.
    """

    name: str
    low: str = ""
    high: str = ""
    levels: tuple[str, ...] = ()
    note: str = ""
    best: str = ""


def range_of(axis: Coordinate) -> str:
    """Return the values of an axis in words."""
    if axis.levels:
        return ", ".join(axis.levels)
    return f"{axis.low} … {axis.high}" if axis.low != axis.high else axis.low


@dataclass(frozen=True)
class Coordinates:
    """Runs as lines over the axes of their parameters; in Markdown a table of the ranges.

    Each line has a place from 0 to 1 on each axis, None where there is no value; `marked` lines
    stand out.
    """

    title: str
    axes: tuple[Coordinate, ...]
    lines: tuple[tuple[float | None, ...], ...]
    marked: tuple[bool, ...]


@dataclass(frozen=True)
class Details:
    """Blocks folded behind a summary; `open` ones are shown at once and can be folded."""

    summary: Inline
    blocks: tuple[Block, ...]
    open: bool = False


Block = Heading | Paragraph | Table | Items | Listing | Chart | Intervals | Coordinates | Details


@dataclass(frozen=True)
class Report:
    """One word's report: the verdict in one sentence, then the evidence."""

    title: str
    status: Status
    verdict: Inline
    blocks: tuple[Block, ...]
