"""What GitHub shows for Markdown: its own parser, then the filters it runs over the text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from cmarkgfm import markdown_to_html_with_extensions
from cmarkgfm.cmark import Options

from mlactions.escaping import JOINER

# html-pipeline's mention filter, and the references GitHub documents under "Autolinked references".
NOTIFYING = {
    "mention": re.compile(r"(?:^|[^\w`])@[a-z0-9][\w-]*", re.IGNORECASE),
    "reference": re.compile(r"(?:^|\W)(?:[\w.-]+/[\w.-]+|[\w-]+)?#\d+|\bGH-\d+", re.IGNORECASE),
    "url": re.compile(r"(?:[a-z][a-z0-9+.-]*://\S|www\.\S)", re.IGNORECASE),
    "address": re.compile(r"[\w.+-]+@[\w-]+\.\w"),
    "emoji": re.compile(r":(?:[a-z_]+|[+-]1|100|1234):"),
    "formula": re.compile(r"\$"),
}
QUIET = {"code", "pre", "a"}
VOID = {"br", "hr", "img", "input"}


@dataclass
class Page(HTMLParser):
    """The elements of a page, its whole text, and the text that GitHub's filters look at."""

    tags: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    text: str = ""
    filtered: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and where it leads."""
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Elements must close in order: nothing may break out."""
        assert self._open.pop() == tag

    def handle_comment(self, data: str) -> None:
        """Note a comment."""
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        """Note text; the filters skip code and links."""
        self.text += data
        if not QUIET & set(self._open):
            # A dollar alone in its span is how GitHub wants one to be written.
            self.filtered += "¤" if self._open[-1:] == ["span"] and data == "$" else data
        else:
            self.filtered += " "

    def notifies(self) -> dict[str, list[str]]:
        """Return what GitHub would link, notify, close or draw, by kind."""
        found = {kind: pattern.findall(self.filtered) for kind, pattern in NOTIFYING.items()}
        return {kind: hits for kind, hits in found.items() if hits}


def page(markdown: str) -> Page:
    """Return what GitHub's parser makes of Markdown, raw HTML included."""
    html = markdown_to_html_with_extensions(
        markdown,
        options=Options.CMARK_OPT_UNSAFE,
        extensions=["table", "autolink", "strikethrough", "tasklist"],
    )
    found = Page()
    found.feed(html)
    found.close()
    assert not found._open
    return found


def words(text: str) -> str:
    """Return text as a reader compares it: joiners gone, white space even."""
    return " ".join(text.replace(JOINER, "").split())
