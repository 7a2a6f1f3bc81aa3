"""Reports as one self-contained HTML file: no script, no request, every word of data escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape as escape_markup
from pathlib import Path

from mlactions.charts import CAP, WIDTHS, left_out, svg
from mlactions.escaping import printable
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
    Intervals,
    Items,
    Link,
    Listing,
    Paragraph,
    Report,
    Span,
    Strong,
    Struck,
    Table,
    plain,
    spans,
)

_CONTENTS_FROM = 3
_UNBROKEN = 24
_SEPARATOR = re.compile(r"[/_.=-](?=[^/_.=-])")


def render(report: Report, *, title: str) -> str:
    """Return the report as an HTML document; `title` is what the browser's tab says."""
    page = _Page()
    body = "\n".join(page.block(block) for block in report.blocks)
    status = report.status.value
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{status.upper()}: {escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_style()}</style>
</head>
<body>
<header class="{status}">
<p><span class="chip {status}">{status.upper()}</span></p>
<h1>{escape(report.title)}</h1>
<p class="sentence">{inline(report.verdict)}</p>
</header>
{page.contents()}<main>
{body}
</main>
</body>
</html>
"""


def escape(text: str) -> str:
    """Return data as text of an element or of a quoted attribute."""
    return escape_markup(printable(text))


def inline(text: Inline) -> str:
    """Return a run of spans."""
    if isinstance(text, str):
        return escape_markup(printable(text))
    return "".join(map(_span, spans(text)))


def _span(span: Span) -> str:
    if isinstance(span, str):
        return escape(span)
    text = escape(span.text)
    match span:
        case Code():
            return _code(text)
        case Strong():
            return f"<strong>{text}</strong>"
        case Struck():
            return f"<s>{text}</s>"
        case Link(_, url) if url.startswith("https://"):
            return f'<a href="{escape(url)}" rel="noopener noreferrer">{text}</a>'
        case Chip(status, _):
            return f'<span class="chip {status.value}">{text}</span>'
        case _:
            return text


def _code(text: str) -> str:
    """Return inline code; long names may break after a separator, which copying leaves out."""
    if len(text) <= _UNBROKEN:
        return f"<code>{text}</code>"
    broken = _SEPARATOR.sub(r"\g<0><wbr>", text)
    return f'<code class="long">{broken}</code>'


@dataclass
class _Page:
    """What blocks share: anchors are unique, charts are numbered."""

    headings: list[tuple[str, Heading]] = field(default_factory=list)
    _slugs: Counter[str] = field(default_factory=Counter)
    _charts: int = 0

    def block(self, block: Block) -> str:
        match block:
            case Heading():
                return self._heading(block)
            case Paragraph(text):
                return f"<p>{inline(text)}</p>"
            case Table(columns, rows):
                return "\n".join(_table(columns, rows))
            case Items(items):
                return "\n".join(["<ul>", *(f"<li>{inline(i)}</li>" for i in items), "</ul>"])
            case Listing(text, language):
                return _listing(text, language)
            case Chart() | Intervals() | Coordinates():
                return self._figure(block)
            case Details():
                return self._details(block)

    def contents(self) -> str:
        """Return links to the sections, where there are enough of them to get lost."""
        sections = [(slug, one) for slug, one in self.headings if one.level <= 2]  # noqa: PLR2004
        if len(sections) < _CONTENTS_FROM:
            return ""
        links = [
            f'<li><a href="#{slug}">{escape(plain(one.text))}</a></li>' for slug, one in sections
        ]
        return "\n".join(['<nav aria-label="Sections">', "<ul>", *links, "</ul>", "</nav>", ""])

    def _heading(self, block: Heading) -> str:
        slug = self._slug(plain(block.text))
        self.headings.append((slug, block))
        tag = f"h{min(max(block.level, 2), 4)}"
        anchor = f'<a class="anchor" href="#{slug}" aria-label="Link to this section">#</a>'
        return f'<{tag} id="{slug}">{inline(block.text)}{anchor}</{tag}>'

    def _slug(self, text: str) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "section"
        self._slugs[slug] += 1
        seen = self._slugs[slug]
        # The suffix starts with two dashes, which no slug of a text has.
        return slug if seen == 1 else f"{slug}--{seen}"

    def _figure(self, block: Chart | Intervals | Coordinates) -> str:
        self._charts += 1
        if isinstance(block, Intervals):
            block = block.named_once()
        images = [
            f'<div class="{shape}">{svg(block, shape, f"chart-{self._charts}-{shape}")}</div>'
            for shape in WIDTHS
        ]
        note = _not_drawn(block)
        small = f"<small>{escape(note)}</small>" if note else ""
        caption = f"<figcaption>{escape(block.title)}{small}</figcaption>"
        return "\n".join(["<figure>", caption, *images, "</figure>"])

    def _details(self, block: Details) -> str:
        body = "\n".join(self.block(part) for part in block.blocks)
        tag = "<details open>" if block.open else "<details>"
        summary = f"<summary>{inline(block.summary)}</summary>"
        return f'{tag}{summary}\n<div class="folded">\n{body}\n</div>\n</details>'


def _table(columns: Sequence[Column], rows: Iterable[tuple[Inline, ...]]) -> Iterator[str]:
    classes = ["" if one.align == "left" else f' class="{one.align}"' for one in columns]
    yield '<div class="table" role="region" aria-label="Table" tabindex="0"><table>'
    titles = zip(columns, classes, strict=True)
    names = "".join(f'<th scope="col"{kind}>{escape(one.name)}</th>' for one, kind in titles)
    yield f"<thead><tr>{names}</tr></thead>\n<tbody>"
    opening = [f"<td{kind}>" for kind in classes]
    closing = ["</td>"] * len(classes)
    if columns:
        opening[0], closing[0] = f'<th scope="row"{classes[0]}>', "</th>"
    empty = True
    for row in rows:
        empty = False
        cells = zip(opening, row, closing, strict=False)
        yield _row_tag(row) + "".join([a + inline(cell) + z for a, cell, z in cells]) + "</tr>"
    if empty:
        yield f'<tr><td class="none" colspan="{max(len(columns), 1)}">No rows</td></tr>'
    yield "</tbody></table></div>"


def _row_tag(row: tuple[Inline, ...]) -> str:
    """Return the row's tag, marked with the first verdict in it."""
    for cell in row:
        if isinstance(cell, Chip):
            return f'<tr class="{cell.status.value}">'
    return "<tr>"


def _listing(text: str, language: str) -> str:
    lines = printable(text).rstrip("\n").split("\n")
    if language == "diff":
        marked = "\n".join(map(_diff_line, lines))
    else:
        marked = escape_markup("\n".join(lines))
    return f'<pre tabindex="0"><code>{marked}</code></pre>'


def _diff_line(line: str) -> str:
    kind = {"+": "added", "-": "removed"}.get(line[:1])
    text = escape_markup(line)
    return f'<span class="{kind}">{text}</span>' if kind else text


def _not_drawn(block: Chart | Intervals | Coordinates) -> str:
    if isinstance(block, Coordinates):
        return f"{len(block.lines):,} lines, the best of them in colour."
    if isinstance(block, Chart):
        return " ".join(part for part in (block.y_label, left_out(block)) if part)
    return f"The gravest {CAP} of {len(block.rows):,} rules." if len(block.rows) > CAP else ""


@cache
def _style() -> str:
    return Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def _policy() -> str:
    """Return a policy that allows our one style sheet, by its hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    rules = ("default-src 'none'", f"style-src 'sha256-{digest}'", "img-src data:")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))
