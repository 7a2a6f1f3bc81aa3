"""Reports as GitHub-flavoured Markdown, and the escaping that keeps data from becoming markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
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
)
from mlactions.settings import Status

LIMIT = 65_000
"""Characters of a report: GitHub refuses a comment above 65,536."""

ICONS = {
    Status.PASS: "✅",
    Status.WARN: "⚠️",
    Status.FAIL: "❌",
    Status.SKIPPED: "⏭️",
    Status.REFUSED: "⛔",
}

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$&])")
_CHART_POINTS = 40


def escape(text: str) -> str:
    """Escape one line of plain text so that it reads as written, also inside a table cell."""
    return _SPECIAL.sub(r"\\\1", neutral(" ".join(text.split())))


def code(text: str) -> str:
    """Return inline code; a pipe is escaped for table cells, backticks get a longer fence."""
    line = " ".join(text.split()) or " "
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line.replace('|', chr(92) + '|')}{pad}{fence}"


def listing(text: str, language: str = "") -> str:
    """Return a fenced block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def render(report: Report, *, limit: int = LIMIT, artifact: str = "") -> str:
    """Return the report as Markdown of at most `limit` characters, cut at table rows."""
    for rows in (None, 200, 80, 40, 20, 10, 5, 2, 0):
        text = _render(report, rows, artifact)
        if len(text) <= limit:
            return text
    head = _render(replace(report, blocks=()), 0, artifact)
    return head[:limit]


def _render(report: Report, rows: int | None, artifact: str) -> str:
    icon = ICONS[report.status]
    parts = [f"## {icon} {escape(report.title)}", inline(report.verdict)]
    blocks = report.blocks if rows is None else _cut(report.blocks, rows)
    parts += [_block(block) for block in blocks]
    if rows is not None:
        parts.append(f"_Shortened to fit. {artifact or 'The artifact has the whole report.'}_")
    return "\n\n".join(part for part in parts if part) + "\n"


def _cut(blocks: Iterable[Block], rows: int) -> tuple[Block, ...]:
    return tuple(_cut_block(block, rows) for block in blocks)


def _cut_block(block: Block, rows: int) -> Block:
    if isinstance(block, Details):
        return replace(block, blocks=_cut(block.blocks, rows))
    if isinstance(block, Table) and len(block.rows) > rows:
        more = f"… {len(block.rows) - rows} more rows"
        filler = ("",) * (len(block.columns) - 1)
        return replace(block, rows=(*block.rows[:rows], (more, *filler)))
    if isinstance(block, Items) and len(block.items) > rows:
        return Items((*block.items[:rows], f"… {len(block.items) - rows} more"))
    if isinstance(block, Listing):
        lines = block.text.splitlines()
        kept = lines[-rows:] if rows else []
        return replace(block, text="\n".join(line[:500] for line in kept))
    return block


def inline(text: Inline) -> str:
    """Return a run of spans as one line of Markdown."""
    spans = text if isinstance(text, tuple) else (text,)
    return "".join(_span(span) for span in spans)


def _span(span: Span) -> str:
    match span:
        case str():
            lead, trail = span[:1].isspace(), span[-1:].isspace()
            return (" " if lead else "") + escape(span) + (" " if trail and span.strip() else "")
        case Code(text):
            return code(text)
        case Strong(text):
            return f"**{escape(text)}**"
        case Struck(text):
            return f"~~{escape(untrusted(text))}~~"
        case Link(text, url):
            return f"[{escape(text)}](<{url}>)"
        case Untrusted(text):
            return escape(untrusted(text))
        case Chip(status, text):
            return f"{ICONS[status]} {escape(text)}"


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * (level + 1)} {inline(text)}"
        case Paragraph(text):
            return inline(text)
        case Table(columns, rows):
            return _table(columns, rows)
        case Items(items):
            return "\n".join(f"- {inline(item)}" for item in items)
        case Listing(text, language):
            return listing(printable(text), language)
        case Chart():
            return _mermaid(block)
        case Intervals():
            return ""
        case Details(summary, blocks, opened):
            body = "\n\n".join(part for part in map(_block, blocks) if part)
            tag = "<details open>" if opened else "<details>"
            return f"{tag}<summary>{_html(summary)}</summary>\n\n{body}\n\n</details>"


def _table(columns: tuple[Column, ...], rows: tuple[tuple[Inline, ...], ...]) -> str:
    rule = {"left": ":---", "right": "---:", "center": ":---:"}
    lines = ["| " + " | ".join(escape(column.name) for column in columns) + " |"]
    lines.append("|" + "|".join(rule[column.align] for column in columns) + "|")
    lines += ["| " + " | ".join(inline(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _html(text: Inline) -> str:
    """Return HTML: GitHub renders no Markdown in a `<summary>`."""
    spans = text if isinstance(text, tuple) else (text,)
    words = "".join(span if isinstance(span, str) else neutral(span.text) for span in spans)
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mermaid(chart: Chart) -> str:
    """Draw with `xychart-beta`, the keyword every Mermaid since 10.6 knows."""
    points = slice(None, _CHART_POINTS)
    if not chart.categories or any(None in s.values[points] for s in chart.series):
        return ""
    lines = ["```mermaid", "xychart-beta", f"    title {_quoted(chart.title)}"]
    lines.append("    x-axis [" + ", ".join(map(_quoted, chart.categories[points])) + "]")
    lines.append(f"    y-axis {_quoted(chart.y_label)}")
    lines += [f"    {chart.kind} {_values(series, points)}" for series in chart.series]
    return "\n".join([*lines, "```"])


def _values(series: Series, points: slice) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in series.values[points]) + "]"


def _quoted(text: str) -> str:
    return '"' + re.sub(r"[^\w .,:/%=+()-]", "", text) + '"'


_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    """Drop control, zero-width, bidirectional and tag characters: they hide or reorder text."""
    return _INVISIBLE.sub("", text)


def neutral(text: str) -> str:
    """Return text that notifies nobody and closes nothing: mentions and issue numbers broken."""
    text = re.sub(r"@(?=[\w-])", "@\u2060", printable(text))
    return re.sub(r"#(?=\d)", "#\u2060", text)


def untrusted(text: str) -> str:
    """Return agent prose or log text as words only: comments, links and images taken apart."""
    text = re.sub(r"<!--.*?(?:-->|$)", "", printable(text), flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\(([^)]*)\)", r"\1 (\2)", text)
    return re.sub(r"\b(https?|ftp)://", r"\1:\u2060//", text)
