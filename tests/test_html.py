"""HTML reports: well-formed, self-contained, and made of nothing but our own markup."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlactions import html
from mlactions.escaping import printable
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Interval,
    Intervals,
    Link,
    Listing,
    Paragraph,
    Report,
    Struck,
    Table,
)
from mlactions.settings import Status
from tests.report_strategies import reports, words
from tests.sample_reports import failing, passing

VOID = {"meta", "link", "wbr"}
SELF_CLOSED = {"line", "rect", "circle", "polygon", "polyline"}
TAGS = {
    *("html", "head", "title", "style", "body", "header", "main", "nav", "p", "ul", "li", "div"),
    *("h1", "h2", "h3", "h4", "a", "code", "pre", "s", "strong", "span", "small"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
    *("figure", "figcaption", "svg", "desc", "text", "g"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "rel", "href", "class", "id"),
    *("role", "aria-label", "aria-labelledby", "tabindex", "scope", "colspan", "open"),
    *("viewbox", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx"),
    *("width", "height", "points", "text-anchor"),
}


class Page(HTMLParser):
    """Parse a page and refuse what is not nested, not closed, or not ours."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Check an element that opens."""
        assert tag in TAGS | VOID, tag
        self._check(tag, attributes)
        if tag not in VOID:
            self.stack.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Check a shape of an image."""
        assert tag in SELF_CLOSED, tag
        self._check(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        """Check that the element that opened last closes."""
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep text for every element around it."""
        for tag in set(self.stack):
            self.texts[tag][-1] += data

    def handle_comment(self, data: str) -> None:
        """Refuse it: we write none."""
        pytest.fail(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        """Refuse it: we write none."""
        pytest.fail(f"a processing instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        """Refuse it: we write none."""
        pytest.fail(f"a declaration: {data}")

    def _check(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert set(names) <= ATTRIBUTES, names
        assert len(names) == len(set(names))
        self.tags.append((tag, dict(attributes)))
        for name, value in attributes:
            if name == "id":
                self.ids[value or ""] += 1
            if name == "href":
                self.links.append(value or "")


def page(*blocks: Block, verdict: Inline = "All is well.") -> Page:
    return Page(html.render(Report("Gate", Status.PASS, verdict, blocks), title="Gate"))


@settings(max_examples=200, deadline=None)
@given(reports(), words())
def test_any_report_is_well_formed_and_only_our_markup(report: Report, title: str) -> None:
    parsed = Page(html.render(report, title=title))
    assert max(parsed.ids.values(), default=1) == 1
    for link in parsed.links:
        assert link == "data:," or link[1:] in parsed.ids or link.startswith("https://example.org/")


@settings(deadline=None)
@given(words())
def test_text_reads_as_written(data: str) -> None:
    table = Table((Column(data),), ((data,), (Code(data),), (Chip(Status.FAIL, data),)))
    parsed = page(Paragraph(data), table, Details(data, (Paragraph(Struck(data)),)))
    shown = printable(data)
    paragraphs = parsed.texts["p"]
    assert paragraphs[2:] == [shown, shown]
    assert parsed.texts["th"] == [shown] * 4
    assert parsed.texts["summary"] == [shown]


@settings(deadline=None)
@given(words())
def test_listings_read_as_written(data: str) -> None:
    shown = printable(data).rstrip("\n")
    for language in ("", "diff"):
        assert page(Listing(data, language)).texts["pre"] == [shown]


@pytest.mark.parametrize("report", [failing(), passing()])
def test_nothing_is_requested_and_nothing_runs(report: Report) -> None:
    text = html.render(report, title="Gate")
    tags = {tag for tag, _ in Page(text).tags}
    assert not tags & {"script", "img", "iframe", "object", "embed", "form", "base", "image", "use"}
    assert not re.search(r"@import|url\(|src=|javascript:| on[a-z]+=", text)
    outside = re.findall(r"https?://[^\s\"<]+", text)
    assert set(outside) <= {"https://github.com/octo/digits/commit/4f1c2ab"}


def test_the_policy_names_the_style_sheet_by_its_hash() -> None:
    text = html.render(passing(), title="Gate")
    (policy,) = (
        attributes["content"] or ""
        for tag, attributes in Page(text).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_only_links_we_can_trust_become_links() -> None:
    parsed = page(
        Paragraph(
            (
                Link("good", "https://github.com/a?b=1&c=2"),
                Link("bad", "javascript:alert(1)"),
                Link("plain", "http://example.org"),
            )
        )
    )
    assert parsed.links == ["data:,", "https://github.com/a?b=1&c=2"]
    assert parsed.texts["p"][-1] == "goodbadplain"


def test_sections_have_anchors_and_many_of_them_a_list() -> None:
    parsed = page(Heading(2, "Rules"), Heading(2, "Rules"), Heading(3, "漢字"), Heading(2, "End"))
    assert set(parsed.ids) == {"rules", "rules--2", "section", "end"}
    assert [link for link in parsed.links if link.startswith("#")].count("#rules--2") == 2
    assert "nav" not in page(Heading(2, "One")).texts


def test_a_row_shows_its_verdict_and_numbers_lean_right() -> None:
    columns = (Column("Model"), Column("Value", "right"), Column("Verdict"))
    row = ("cnn", "0.98", Chip(Status.FAIL, "proven"))
    parsed = page(Table(columns, (row, ("vit", "0.97", "none"))))
    rows = [attributes for tag, attributes in parsed.tags if tag == "tr"]
    assert rows == [{}, {"class": "fail"}, {}]
    cells = [attributes for tag, attributes in parsed.tags if tag == "td"]
    assert cells == [{"class": "right"}, {}] * 2
    assert parsed.texts["span"][-1] == "proven"


def test_an_empty_table_says_so() -> None:
    assert page(Table((Column("A"), Column("B")), ())).texts["td"] == ["No rows"]


def test_folds_open_where_the_report_says_so() -> None:
    parsed = page(Details("a", (), open=True), Details("b", ()))
    folds = [attributes for tag, attributes in parsed.tags if tag == "details"]
    assert folds == [{"open": None}, {}]


def test_long_names_may_break_but_copy_whole() -> None:
    name = "digits_mixer_large_patch2/test_accuracy"
    parsed = page(Paragraph(Code(name)), Paragraph(Code("digits_cnn")))
    assert parsed.texts["code"] == [name, "digits_cnn"]
    assert [tag for tag, _ in parsed.tags].count("wbr") == 5


def test_charts_come_for_desktop_and_phone_and_say_what_is_left_out() -> None:
    rows = tuple(Interval(f"r{i}", 0.5, None, None, 1.0, Status.PASS) for i in range(100))
    parsed = page(Intervals("How far", rows))
    assert [tag for tag, _ in parsed.tags].count("svg") == 2
    assert "The gravest 60 of 100 rules." in parsed.texts["figcaption"][0]


def test_the_only_model_is_named_once() -> None:
    def named(*labels: str) -> tuple[str, set[str]]:
        rows = tuple(Interval(label, 0.5, None, None, 1.0, Status.PASS) for label in labels)
        parsed = page(Intervals("How far", rows))
        return parsed.texts["figcaption"][0], set(parsed.texts["text"])

    caption, words_drawn = named("cnn accuracy", "cnn loss")
    assert caption == "How far: cnn"
    assert {"accuracy", "loss"} <= words_drawn
    caption, words_drawn = named("cnn accuracy", "vit accuracy")
    assert caption == "How far"
    assert {"cnn accuracy", "vit accuracy"} <= words_drawn
    assert named("cnn", "cnn loss")[0] == "How far"


def test_a_verdict_is_never_broken() -> None:
    style = html.render(passing(), title="Gate")
    chips = re.findall(r"([^{}]*\.chip[^{}]*)\{([^}]*)\}", style)
    assert any("white-space: nowrap" in rule for _, rule in chips)
    assert not any("white-space: normal" in rule for _, rule in chips)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert html.render(failing(), title="Gate") == html.render(failing(), title="Gate")


@pytest.mark.parametrize("status", list(Status))
def test_the_verdict_is_in_the_title_and_on_top(status: Status) -> None:
    text = html.render(Report("Gate", status, "Because.", ()), title="Pull request")
    parsed = Page(text)
    assert parsed.texts["title"][0] == f"{status.value.upper()}: Pull request"
    assert parsed.texts["p"] == [status.value.upper(), "Because."]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_colour_and_an_icon(status: Status) -> None:
    style = html.render(passing(), title="Gate")
    for rule in (
        f".{status} {{",
        f".chip.{status}::before",
        f".fill-{status} ",
        f".stroke-{status} ",
    ):
        assert rule in style


def test_ten_thousand_rows_are_fast_and_linear() -> None:
    cells: tuple[Inline, ...] = (Code("cnn"), *["0.9814"] * 7, Chip(Status.PASS, "ok"))
    columns = tuple(Column(name) for name in "abcdefghi")

    def seconds(rows: int) -> float:
        report = Report("Gate", Status.PASS, "ok", (Table(columns, (cells,) * rows),))
        start = time.process_time()
        html.render(report, title="Gate")
        return time.process_time() - start

    seconds(100)
    assert seconds(10_000) < 3
    assert min(seconds(40_000) for _ in range(2)) < 16 * min(seconds(10_000) for _ in range(2))


@given(st.lists(words(), max_size=6))
def test_anchors_are_unique_whatever_the_titles(titles: list[str]) -> None:
    parsed = page(*(Heading(2, title) for title in titles))
    assert all(count == 1 for count in parsed.ids.values())
