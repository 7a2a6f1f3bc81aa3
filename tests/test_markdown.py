"""Markdown from untrusted text, read by GitHub's own parser: words stay words."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlactions import escaping, markdown
from mlactions.between import by_step
from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
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
    Strong,
    Struck,
    Table,
    Untrusted,
)
from mlactions.settings import Status
from tests.github_html import page, words

HOSTILE = (
    "@alice look, @octo/team and @octo_corp",
    "fixes #12",
    "closes octo/digits#3",
    "Resolves: https://github.com/octo/digits/issues/4",
    "GH-12 gh-13",
    "close #1 closes #1 closed #1 fix #1 fixes #1 fixed #1 resolve #1 resolves #1 resolved #1",
    "![x](https://evil.example/?leak) and [click](https://evil.example)",
    "![x][1] [y][1] [1]: https://evil.example",
    "[1]: https://evil.example",
    "<https://evil.example> <a@evil.example>",
    "https://evil.example www.evil.example mail@evil.example ftp://evil.example HTTPS://Evil.example",
    '<img src="https://evil.example"> <script>x</script> <details open>',
    "<!-- mlactions:gate:v1 --> <!-- hidden",
    "<![CDATA[x]]> <?php ?> <!DOCTYPE html>",
    "# heading",
    "> quote",
    "- item",
    "+ item",
    "* item",
    "7. item",
    "7) item",
    "---",
    "- - -",
    "===",
    "***",
    "___",
    "~~~",
    "```",
    "````mermaid",
    "    indented",
    "\tindented",
    "a | b | c",
    "|---|---|",
    "a\\|b \\\\| c\\",
    "`code` and ``more` and `",
    "**bold** _it_ __b__ *i* ~~s~~ ~s~ snake_case_name a__b _a_b_",
    "$x^2$ $$y$$ costs $5 and $6",
    "&amp; &#64;alice &commat;alice &lt;b&gt; &",
    ":smile: :+1: :100: 12:30:45",
    "- [ ] task",
    "[^1] [^1]: note",
    "a\u202eb\u200bc\ufeffd\U000e0041e\u2066f\x00g\x1b[31mred\x1b[0m",
    "@\u200balice #\u206012 https:\u2060//evil.example",
    "a\r\nb\rc\u2028d\n\n# e",
    "line  \nbreak\\\nbreak",
    "\ud800 half",
    "!",
    "look!",
    "\\",
    "&",
    "<",
    "@",
    "#",
    "_",
    "www",
    "http:",
)

# Characters that mean something somewhere, so that random text hits the grammar often.
TEXT = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(
        st.sampled_from(list("ab1 @#<>&;:/.!?[](){}|`~*_-+=$\\\n\t'\"\u2060\u200bé漢")), max_size=40
    ),
    st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join),
    st.text(max_size=40),
)


def report(*blocks: Block, verdict: Inline = "All good.") -> Report:
    return Report("Compare", Status.PASS, verdict, blocks)


def shown(text: str) -> str:
    return words(escaping.printable(text))


def paragraph(text: Inline) -> str:
    return markdown.render(report(Paragraph(text)))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", [str, Untrusted, Strong, Struck])
def test_hostile_text_is_only_text(text: str, kind: type) -> None:
    found = page(paragraph(kind(text)))

    allowed = {"h2", "p", "code", "span", "strong", "del"}
    assert set(found.tags) <= allowed
    assert not found.links
    assert not found.comments
    assert not found.notifies()


@given(TEXT)
def test_text_reads_as_it_was_written(text: str) -> None:
    found = page(paragraph(("x ", text, " y")))

    assert words(found.text) == words(f"✅ Compare All good. x {shown(text)} y")
    assert set(found.tags) <= {"h2", "p", "span"}
    assert not found.links
    assert not found.notifies()


@given(TEXT)
def test_a_paragraph_stays_one_paragraph(text: str) -> None:
    found = page(paragraph(text))

    assert [tag for tag in found.tags if tag != "span"] == ["h2", "p", "p"][: 2 + bool(shown(text))]
    assert words(found.text) == words(f"✅ Compare All good. {shown(text)}")


@example("http:", "_:", "x")
@example("x:", "+1:", "x")
@given(TEXT, TEXT, TEXT)
def test_neighbouring_spans_do_not_grow_together(first: str, second: str, third: str) -> None:
    spans = (first, Untrusted(second), Code("x"), Untrusted(third), Link("t", "https://x.example"))
    found = page(paragraph(spans))

    assert set(found.tags) <= {"h2", "p", "code", "span", "a"}
    assert found.links == ["https://x.example"]
    assert not found.notifies()


@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from([str, Code, Strong, Untrusted]))
def test_a_table_keeps_its_shape(texts: list[str], kind: type) -> None:
    columns = tuple(Column(name) for name in texts)
    row = tuple(kind(text) for text in texts)
    found = page(markdown.render(report(Table(columns, (row, row)))))

    assert found.tags.count("th") == len(texts)
    assert found.tags.count("td") == 2 * len(texts)
    assert not found.links
    assert not found.notifies()


@given(TEXT)
def test_cells_read_as_they_were_written(text: str) -> None:
    columns = (Column("a"), Column("b"))
    found = page(markdown.render(report(Table(columns, ((text, Code(text)),)))))

    assert words(found.text) == words(f"✅ Compare All good. a b {shown(text)} {shown(text)}")


@given(TEXT)
def test_inline_code_reads_as_it_was_written(text: str) -> None:
    found = page(paragraph(("x ", Code(text), " y")))

    assert found.tags == ["h2", "p", "p", "code"]
    assert words(found.text) == words(f"✅ Compare All good. x {shown(text)} y")


@pytest.mark.parametrize(("kind", "tag"), [(Strong, "strong"), (Struck, "del")])
@pytest.mark.parametrize("text", ["Mind: ", " (so) ", "what to do? ", "plain ", " ."])
def test_a_mark_closes_whatever_follows_its_space(text: str, kind: type, tag: str) -> None:
    found = page(paragraph(("x ", kind(text), " " * text.startswith(" "), Untrusted("it."))))

    assert found.tags.count(tag) == 1
    assert words(found.text) == words(f"✅ Compare All good. x {text} it.")


@given(TEXT)
def test_strong_words_keep_their_distance(text: str) -> None:
    found = page(paragraph(("x", Strong(f" {text} "), "y")))

    assert words(found.text) == words(f"✅ Compare All good. x {shown(text)} y")
    assert "strong" in found.tags or not shown(text)
    assert not found.links
    assert not found.notifies()


def test_strong_words_of_a_fold_keep_their_distance() -> None:
    found = page(markdown.render(report(Details((Strong("Mind: "), "it", Struck(" so")), ()))))

    assert "Mind: it so" in found.text


@given(TEXT)
def test_a_listing_cannot_be_left(text: str) -> None:
    found = page(markdown.render(report(Listing(text, "text"), Paragraph("after"))))

    assert found.tags == ["h2", "p", "pre", "code", "p"]
    assert not found.notifies()
    expected = escaping.printable(text).rstrip().replace(escaping.JOINER, "")
    assert expected in found.text.replace(escaping.JOINER, "")


@given(TEXT, TEXT)
def test_items_stay_items(first: str, second: str) -> None:
    found = page(markdown.render(report(Items((("a ", first), second or "b", "c")))))

    assert found.tags.count("li") == 3
    assert set(found.tags) <= {"h2", "p", "ul", "li", "span"}


@given(TEXT, st.integers(1, 9))
def test_a_heading_is_one_heading(text: str, level: int) -> None:
    found = page(markdown.render(report(Heading(level, ("About ", text)))))

    assert [tag for tag in found.tags if tag != "span"] == ["h2", "p", f"h{min(level + 1, 6)}"]
    assert words(found.text) == words(f"✅ Compare All good. About {shown(text)}")


@given(TEXT)
def test_a_fold_stays_closed(text: str) -> None:
    summary = (text, " ", Code(text), Strong(text), Chip(Status.FAIL, text))
    found = page(markdown.render(report(Details(summary, (Paragraph(Untrusted(text)),)))))

    assert found.tags.count("details") == 1
    assert found.tags.count("summary") == 1
    assert not found.links
    assert not found.comments
    assert not found.notifies()


@given(TEXT)
def test_neutral_is_stable(text: str) -> None:
    once = escaping.neutral(text)

    assert escaping.neutral(once) == once
    assert escaping.printable(once) == escaping.printable(text)


@given(st.text())
def test_printable_is_stable_and_fits_into_a_file(text: str) -> None:
    once = escaping.printable(text)

    assert escaping.printable(once) == once
    once.encode()


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("test_accuracy of digits_cnn fell by -0.031", None),
        ("p < 0.05, d > Δ, 40 % of (a, b]; 1e-3 & more!", None),
        ("C:\\Users\\model", None),
        ("12:30:45", None),
        ("a_b_c and _d", "a_b_c and \\_d"),
        ("[L, U]", "\\[L, U]"),
        ("<b>", "\\<b>"),
    ],
)
def test_plain_words_stay_readable_in_the_file(text: str, raw: str | None) -> None:
    assert markdown.escape(text) == (raw or text)


def test_an_agents_code_and_links_are_readable() -> None:
    text = "See [cnn.py](/src/cnn.py:12): `x[0] = @y` hides ![chart](https://evil.example/p.png)."

    assert markdown.inline(Untrusted(text)) == (
        "See cnn.py (/src/cnn.py:12): `x[0] = @y` hides chart (https:\u2060//evil.example/p.png)."
    )


def test_very_long_text_is_shortened() -> None:
    assert len(paragraph(Untrusted("x" * 100_000))) < escaping.MAX_PROSE + 200
    listing = markdown.listing("x" * 100_000)
    assert "(98,000 more characters)" in listing


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", [":", "[", "![", "`", "_", ":a", "<", "@", "\\", "&", "[a](", "\x1b["]
)
def test_hostile_repetition_costs_little(piece: str) -> None:
    markdown.inline((piece * 200_000, Untrusted(piece * 200_000)))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//x.example", ""])
def test_only_web_addresses_become_links(url: str) -> None:
    assert not page(paragraph(Link("x", url))).links


@given(TEXT)
def test_a_link_keeps_its_host(text: str) -> None:
    found = page(paragraph(Link(text, f"https://x.example/{text}")))

    assert len(found.links) == 1
    assert found.links[0].startswith("https://x.example/")
    assert set(found.tags) <= {"h2", "p", "a", "span"}


def chart(*values: float | None, **more: str) -> str:
    names = tuple(f"m{index}" for index in range(len(values)))
    settings = {"title": "Change", "y_label": "multiples", **more}
    return markdown.render(
        report(Chart(settings["title"], names, (Series("s", values),), settings["y_label"]))
    )


def test_numbers_are_written_out() -> None:
    assert "bar [0.00001, 1234570, -0.5]" in chart(1e-5, 1234567.0, -0.5)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_mermaid_cannot_draw_is_left_out(value: float | None) -> None:
    assert "mermaid" not in chart(0.1, value)


def test_no_empty_strings() -> None:
    assert '""' not in chart(0.1, title="", y_label="")
    assert 'title "-"' in chart(0.1, title='"`;')


@given(TEXT)
def test_text_cannot_leave_its_quotes(text: str) -> None:
    found = chart(0.1, title=text, y_label=text)
    for line in re.findall(r"(?:title|y-axis) (.*)", found):
        assert re.fullmatch(r'("[^"`;#\[\]{}<>\\]+")?( ?0 --> 0\.1)?', line)
        assert "%%" not in line


def long_report(rows: int, *, folded: int = 0) -> Report:
    def table(count: int) -> Table:
        lines = tuple((f"row {index}", "0.98 | <b>") for index in range(count))
        return Table((Column("name"), Column("value", "right")), lines)

    fold = (Details("All", (table(folded),)),) if folded else ()
    return report(table(rows), *fold)


def test_what_fits_is_whole() -> None:
    assert "Shortened" not in markdown.render(long_report(50))


@pytest.mark.parametrize("limit", [500, 2_000, 30_000, 65_000])
def test_as_many_rows_as_fit(limit: int) -> None:
    text = markdown.render(long_report(20_000), limit=limit, artifact="https://x.example/a")
    kept = text.count("| row ")

    assert limit - 40 < len(text) <= limit
    assert f"… {20_000 - kept:,} more rows" in text
    assert "[The artifact](https://x.example/a)" in text
    assert page(text).tags.count("td") == 2 * (kept + 1)


def test_folded_rows_go_first() -> None:
    text = markdown.render(long_report(500, folded=20_000))

    assert text.count("| row ") > 500
    assert "| row 499 |" in text.split("<details>")[0]
    assert len(text) <= markdown.LIMIT


def test_open_rows_go_when_folding_is_not_enough() -> None:
    text = markdown.render(long_report(20_000, folded=500))

    assert "| row 499 |" not in text.split("<details>")[1]
    assert markdown.LIMIT - 40 < len(text) <= markdown.LIMIT


def test_a_log_keeps_its_end() -> None:
    log = "\n".join(f"line {number}" for number in range(20_000))
    text = markdown.render(report(Listing(log)))

    assert "line 19999\n```" in text
    assert re.search(r"```\n… [\d,]+ lines before\nline \d+\n", text)
    assert page(text).tags == ["h2", "p", "pre", "code", "p"]


def test_text_that_cannot_be_cut_at_rows_is_left_out() -> None:
    many = tuple(Paragraph("word " * 100) for _ in range(500))
    text = markdown.render(report(*many))

    assert "Shortened to fit" in text
    assert len(text) < 500


@given(st.integers(0, 60), st.integers(0, 60), st.integers(200, 4_000))
def test_never_longer_than_the_limit(rows: int, folded: int, limit: int) -> None:
    assert len(markdown.render(long_report(rows, folded=folded), limit=limit)) <= limit


def limits(*rows: Interval) -> str:
    return markdown.render(report(Intervals("Worsening", rows)))


def test_intervals_become_bars_with_their_limit() -> None:
    text = limits(
        Interval("cnn accuracy", 3.4, 2.0, 4.8, 1.0, Status.FAIL),
        Interval("cnn loss", 0.6, -0.2, 1.4, 1.0, Status.WARN),
        Interval("cnn f1", -0.5, -0.9, 0.1, 1.0, Status.PASS),
    )

    assert 'title "Worsening: cnn"' in text
    assert 'x-axis ["accuracy", "loss", "f1"]' in text
    assert 'y-axis "1 is the limit" -0.5 --> 3.4' in text
    assert "bar [3.4, 0.6, -0.5]\n    line [1, 1, 1]" in text


def test_one_long_bar_does_not_flatten_the_others() -> None:
    text = limits(
        Interval("cnn loss", 16.17, 14.0, 18.0, 1.0, Status.FAIL),
        Interval("cnn accuracy", 3.4, 2.0, 4.8, 1.0, Status.FAIL),
    )

    assert 'y-axis "1 is the limit, bars end at 8" 0 --> 8' in text
    assert "bar [8, 3.4]" in text


def test_where_all_pass_no_chart_is_needed() -> None:
    assert "mermaid" not in limits(Interval("cnn f1", -0.5, -0.9, 0.1, 1.0, Status.PASS))


def test_a_long_curve_is_drawn_to_its_end() -> None:
    values: dict[int, float | None] = {step: 1.0 + step for step in range(0, 1000, 10)}
    drawn = markdown.render(report(by_step("loss by step", [("loss", values)])))
    (axis,) = re.findall(r"x-axis \[(.*)\]", drawn)
    places = [int(label) for label in re.findall(r"\d+", axis)]
    assert (places[0], places[-1], len(places)) == (0, 990, 40)
    (line,) = re.findall(r"line \[(.*)\]", drawn)
    assert [float(value) for value in line.split(", ")][-1] == 991


def test_a_curve_that_begins_later_has_a_chart_of_its_own() -> None:
    dense: dict[int, float | None] = dict.fromkeys(range(48), 2.0)
    sparse: dict[int, float | None] = {7: 1.0, 15: 0.9, 23: 0.8, 31: 0.7, 39: 0.6, 47: 0.5}
    drawn = markdown.render(report(by_step("loss", [("loss", dense), ("val_loss", sparse)])))
    assert re.findall(r'title "(.*)"', drawn) == ["loss: loss", "loss: val_loss"]
    assert drawn.count("```mermaid") == 2


def test_a_curve_that_breaks_is_drawn_up_to_there_and_says_so() -> None:
    values: dict[int, float | None] = {step: None if step >= 50 else 1.0 for step in range(100)}
    drawn = markdown.render(report(by_step("loss", [("loss", values)])))
    assert 'title "loss, not finite from 50"' in drawn
    (axis,) = re.findall(r"x-axis \[(.*)\]", drawn)
    assert max(int(label) for label in re.findall(r"\d+", axis)) < 50
    assert "y-axis" not in drawn, "an axis without a name needs none"
