"""Reports as GitHub-flavoured Markdown, cut at table rows where they are too long."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from mlactions.cutting import cut, longest
from mlactions.escaping import (
    JOINER,
    block_start,
    cell,
    code,
    escape,
    listing,
    neutral,
    one_line,
    printable,
    prose,
    spaced,
    untrusted,
)
from mlactions.mermaid import mermaid
from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
    Coordinates,
    Details,
    Heading,
    Inline,
    Interval,
    Intervals,
    Items,
    Link,
    Listing,
    Paragraph,
    Report,
    Series,
    Span,
    Strong,
    Struck,
    Table,
    Untrusted,
    plain,
    range_of,
    spans,
)
from mlactions.settings import Status

__all__ = [
    "ICONS",
    "LIMIT",
    "code",
    "escape",
    "inline",
    "length",
    "link",
    "listing",
    "neutral",
    "printable",
    "render",
    "untrusted",
]

LIMIT = 65_000
"""Characters of a report: GitHub refuses a comment above 65,536."""

ICONS = {
    Status.PASS: "✅",
    Status.WARN: "⚠️",
    Status.FAIL: "❌",
    Status.SKIPPED: "⏭️",
    Status.REFUSED: "⛔",
}

_HEADINGS = 6
_MERMAID_ROWS = 12
_LONGEST_BAR = 8.0
"""In multiples of the limit: a longer one would flatten all others."""

_KEPT = 4096
"""Rendered rows and items that are remembered: to find how many fit, all are asked for often."""


def render(report: Report, *, limit: int = LIMIT, artifact: str = "") -> str:
    """Return the report as Markdown of at most `limit` characters.

    Too long a report loses the last rows of folded tables, lists and logs first, then those of
    the open ones; as many as fit stay. `artifact` is the URL where the whole report lies.
    """
    whole = _render(report, report.blocks)
    if len(whole) <= limit:
        return whole
    note = _shortened_note(artifact)

    def folded(rows: int) -> str:
        return _render(report, (*cut(report.blocks, None, rows), note))

    def all_of_them(rows: int) -> str:
        return _render(report, (*cut(report.blocks, rows, 0), note))

    for build in (folded, all_of_them):
        text = longest(build, limit)
        if text is not None:
            return text
    return _render(report, (note,))[:limit]


def length(block: Block) -> int:
    """Return how many characters a block takes."""
    return len(_block(block)) + 2


def inline(text: Inline) -> str:
    """Return a run of spans as one line of Markdown."""
    line, before = "", None
    for span in spans(text):
        piece = _span(span)
        if line and piece and _grow_together(before, span, line[-1] + piece[0]):
            line += JOINER
        line += piece
        before = span
    return line


def link(text: str, url: str) -> str:
    """Return a link that we made; whatever is not a web address stays text."""
    words = escape(text or url).replace("]", "\\]")
    if not re.match(r"https?://[\w.\[\]-]", url):
        return words
    return f"[{words}]({quote(printable(url), safe=_URL_CHARACTERS).replace('&', '&amp;')})"


# A parenthesis would end the link, a dollar sign could begin a formula.
_URL_CHARACTERS = "!#%&'*+,/:;=?@[]~"


def _render(report: Report, blocks: Iterable[Block]) -> str:
    head = f"## {ICONS[report.status]} {escape(report.title)}"
    parts = [head, block_start(inline(report.verdict).strip()), *map(_block, blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shortened_note(artifact: str) -> Paragraph:
    where: Inline = Link("The artifact", artifact) if artifact else "The artifact"
    return Paragraph((*spans("Shortened to fit. "), *spans(where), " has the whole report."))


def _grow_together(before: Span | None, span: Span, seam: str) -> bool:
    """Say whether two spans would become a name, a URL, longer code or an image."""
    if isinstance(before, str | Untrusted) and isinstance(span, str | Untrusted):
        return not any(map(str.isspace, seam))
    return seam in ("``", "![")


def _span(span: Span) -> str:
    match span:
        case str():
            return spaced(span)
        case Code(text):
            return code(text)
        case Strong(text):
            return _wrapped("**", spaced(text))
        case Struck(text):
            return _wrapped("~~", prose(text))
        case Link(text, url):
            return link(text, url)
        case Untrusted(text):
            return prose(text)
        case Chip(status, text):
            return f"{ICONS[status]} {escape(text)}"


def _wrapped(mark: str, line: str) -> str:
    """Wrap a line in marks, its outer spaces outside of them: inside they would undo a mark."""
    words = line.strip(" ")
    return line.replace(words, f"{mark}{words}{mark}") if words else line


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * min(level + 1, _HEADINGS)} {inline(text).strip()}"
        case Paragraph(text):
            return block_start(inline(text).strip())
        case Table(columns, rows):
            return _table(columns, rows)
        case Items(items):
            return "\n".join(map(_item, items))
        case Listing(text, language):
            return listing(text, language)
        case Chart() | Intervals() | Coordinates():
            return _chart(block)
        case Details(summary, blocks, opened):
            body = "\n\n".join(part for part in map(_block, blocks) if part)
            tag = "<details open>" if opened else "<details>"
            return f"{tag}<summary>{_html(summary)}</summary>\n\n{body}\n\n</details>"


def _chart(block: Chart | Intervals | Coordinates) -> str:
    if isinstance(block, Chart):
        return mermaid(block)
    return _limits(block) if isinstance(block, Intervals) else _ranges(block)


def _limits(intervals: Intervals) -> str:
    """Return the estimates of models with a problem as bars: Mermaid draws no intervals."""
    models = {_model(row) for row in intervals.rows if row.status is not Status.PASS}
    rows = [row for row in intervals.rows if _model(row) in models]
    rows = sorted(rows, key=lambda row: row.status is Status.PASS)[:_MERMAID_ROWS]
    common = models.pop() if len(models) == 1 else ""
    labels = tuple(row.label.removeprefix(common).strip() for row in rows)
    values = tuple(round(min(max(row.estimate, -_LONGEST_BAR), _LONGEST_BAR), 2) for row in rows)
    cut = any(abs(row.estimate) > _LONGEST_BAR for row in rows)
    label = f"1 is the limit{f', bars end at {_LONGEST_BAR:g}' if cut else ''}"
    title = f"{intervals.title}{': ' if common else ''}{common}"
    return mermaid(Chart(title, labels, (Series("", values),), label), limit=1)


def _model(row: Interval) -> str:
    return row.label.partition(" ")[0]


def _ranges(block: Coordinates) -> str:
    """Return the axes as a table: GitHub draws no parallel coordinates."""
    columns = (Column(block.title), Column("All"), Column("The best"))
    rows = tuple((Code(axis.name), range_of(axis), axis.best) for axis in block.axes if axis.best)
    return _table(columns, rows) if rows else ""


def _table(columns: tuple[Column, ...], rows: tuple[tuple[Inline, ...], ...]) -> str:
    rule = {"left": ":---", "right": "---:", "center": ":---:"}
    lines = [_row(tuple(column.name for column in columns))]
    lines.append("|" + "|".join(rule[column.align] for column in columns) + "|")
    lines += map(_row, rows)
    return "\n".join(lines)


@lru_cache(maxsize=_KEPT)
def _row(cells: tuple[Inline, ...]) -> str:
    return "| " + " | ".join(cell(inline(text).strip()) for text in cells) + " |"


@lru_cache(maxsize=_KEPT)
def _item(item: Inline) -> str:
    return f"- {block_start(inline(item).strip())}"


def _html(text: Inline) -> str:
    """Return HTML: GitHub renders no Markdown in a `<summary>`."""
    return "".join(map(_html_span, spans(text))).strip()


def _html_span(span: Span) -> str:
    words = plain(span)
    lead, trail = words[:1].isspace(), words[-1:].isspace() and not words.isspace()
    line = html.escape(neutral(one_line(words)), quote=False).replace("$", "<span>$</span>")
    match span:
        case Code():
            return f"<code>{line}</code>"
        case Strong():
            line = f"<b>{line}</b>"
        case Struck():
            line = f"<s>{line}</s>"
        case Chip(status, _):
            return f"{ICONS[status]} {line}"
    return f"{' ' * lead}{line}{' ' * trail}"
