"""Terminal reports: they fit, they carry nobody's escape codes, numbers stay whole."""

from __future__ import annotations

import io
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlactions import terminal
from mlactions.between import by_step
from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Interval,
    Intervals,
    Items,
    Listing,
    Paragraph,
    Report,
    Series,
    Struck,
    Table,
)
from mlactions.settings import Status
from mlactions.terminal.table import table
from mlactions.terminal.theme import Theme
from mlactions.text import shorten, width
from tests.report_strategies import reports
from tests.sample_reports import failing, passing

STYLE = re.compile(r"\x1b\[[0-9;]*m")
PLAIN = Theme(color=False, unicode=True, verbose=True, rows=None)


def report(*blocks: Block, status: Status = Status.PASS, verdict: str = "All is well.") -> Report:
    return Report("Gate", status, verdict, blocks)


def text(*blocks: Block, cells: int = 100, verbose: bool = False) -> str:
    return terminal.render(report(*blocks), width=cells, color=False, verbose=verbose)


def cells_of(line: str) -> int:
    """Measure by the standard's own property, not with the code under test."""
    marks = {"Mn", "Me", "Cf"}
    shown = [sign for sign in line if unicodedata.category(sign) not in marks]
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in shown)
    return len(shown) + wide


@settings(max_examples=150, deadline=None)
@given(reports(), st.integers(40, 160), st.booleans(), st.booleans(), st.booleans())
def test_any_report_fits_and_holds_no_control_character(
    given_report: Report, cells: int, color: bool, symbols: bool, verbose: bool
) -> None:
    shown = terminal.render(
        given_report, width=cells, color=color, unicode=symbols, verbose=verbose
    )
    bare = STYLE.sub("", shown)
    assert color or bare == shown
    for line in bare.split("\n"):
        assert cells_of(line) <= cells
        assert not any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in line)
    assert symbols or bare.isascii()
    shown.encode()


@pytest.mark.parametrize("cells", range(40, 161))
def test_a_real_report_fits(cells: int) -> None:
    shown = terminal.render(failing(), width=cells, color=False, verbose=True)
    assert max(map(cells_of, shown.split("\n"))) <= cells


@pytest.mark.parametrize("cells", range(40, 161))
def test_numbers_and_verdicts_are_never_broken(cells: int) -> None:
    shown = terminal.render(failing(), width=cells, color=False)
    for number in ("0.9814", "-0.0310", "[0.0271, 0.0349]", "[-0.0110, 0.0870]", "41.00×"):
        assert number in shown
    assert "✗ inconclusive" in shown


@pytest.mark.parametrize("status", list(Status))
def test_the_verdict_comes_first_in_words_and_colour(status: Status) -> None:
    plain = terminal.render(report(status=status), width=80, color=False)
    assert re.match(rf"\S {status.value.upper()}  Gate\n\nAll is well\.\n", plain)
    colored = terminal.render(report(status=status), width=80, color=True)
    assert colored.startswith("\x1b[1;")
    assert f" {status.value.upper()} \x1b[0m" in colored.splitlines()[0]


def test_statuses_have_colours_of_their_own() -> None:
    heads = {
        terminal.render(report(status=status), width=80, color=True).split("m", 1)[0]
        for status in Status
    }
    assert len(heads) == len(Status)


def test_escape_codes_of_data_are_gone_and_ours_are_closed() -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\x9b2J\x08\x00\u202e"
    shown = terminal.render(
        report(Paragraph(evil), Listing(evil), Table((Column(evil),), ((Code(evil),),))),
        width=80,
        color=True,
    )
    assert "red" in shown
    assert "title" not in shown
    assert shown.count("\x1b[") == 2 * shown.count("\x1b[0m")
    assert not re.search("[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202e]", shown)
    assert set(STYLE.findall(shown)) <= {
        "\x1b[0m",
        "\x1b[1;30;42m",
        "\x1b[1m",
        "\x1b[2m",
        "\x1b[36m",
    }


def test_columns_line_up_with_wide_characters() -> None:
    rows = (("模型一", "1.0"), ("cafe\u0301", "22.0"), ("x", "3.0"))
    lines = table(Table((Column("Model"), Column("Value", "right")), rows), PLAIN, 60)
    assert {cells_of(line) for line in lines} == {13}
    assert [line.split()[-1] for line in lines[2:]] == ["1.0", "22.0", "3.0"]


def test_the_widest_text_shrinks_first() -> None:
    columns = (Column("A"), Column("B"), Column("N", "right"))
    row = ("short", "a long explanation of many words that has to be wrapped", "0.123456")
    lines = table(Table(columns, (row,)), PLAIN, 40)
    assert "short" in lines[2]
    assert "0.123456" in lines[2]
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40


def test_rows_become_records_where_columns_cannot_fit() -> None:
    columns = (Column("Model"), *(Column(f"Number {i}", "right") for i in range(6)))
    lines = table(Table(columns, (("cnn", *["0.123456"] * 6),)), PLAIN, 40)
    assert lines[:2] == ["Model", "cnn"]
    assert " ".join(lines).count("0.123456") == 6
    assert "Number 5 0.123456" in " ".join(lines)


def test_folds_are_one_line_unless_open_or_verbose() -> None:
    fold = Details("12 passing rules", (Paragraph("all of them"),))
    assert "▸ 12 passing rules\n" in text(fold)
    assert "all of them" not in text(fold)
    assert "▾ 12 passing rules\n  all of them" in text(fold, verbose=True)
    crash = Details("crash", (Listing("Traceback"),), open=True)
    assert "▾ crash\n    │ Traceback" in text(crash)


def test_long_tables_are_counted_not_shown() -> None:
    rows = tuple((f"row{i}",) for i in range(1234))
    assert "… 1,194 more rows" in text(Table((Column("A"),), rows))
    assert "row1233" in text(Table((Column("A"),), rows), verbose=True)


def test_long_listings_keep_their_end() -> None:
    shown = text(Listing("\n".join(f"line {i}" for i in range(100))))
    assert "… 60 earlier lines" in shown
    assert "line 99" in shown
    assert "line 59\n" not in shown


def test_a_struck_claim_is_marked_without_colour_too() -> None:
    shown = terminal.render(report(Paragraph(Struck("it was the seed"))), width=80, color=True)
    assert "~~it was the seed~~" in STYLE.sub("", shown)


def test_bars_are_as_long_as_their_values() -> None:
    chart = Chart("T", ("a", "b", "c"), (Series("s", (1.0, 0.5, None)),))
    a, b, c = text(chart).splitlines()[-3:]
    assert a.count("█") == pytest.approx(2 * b.count("█"), abs=1)
    assert "█" not in c
    assert c.endswith("no value")


def test_negative_bars_end_at_zero() -> None:
    chart = Chart("T", ("a", "b"), (Series("s", (-1.0, 1.0)),))
    negative, positive = text(chart, cells=60).splitlines()[-2:]
    assert negative.rindex("█") < positive.index("█")


def test_a_line_chart_shows_its_course_and_its_gaps() -> None:
    chart = Chart("Loss", ("1", "2", "3"), (Series("cnn", (2.0, None, 1.0)),), "", "line")
    assert text(chart).splitlines()[-1] == "  cnn █ ▁ 2 → 1"


def test_intervals_show_zero_limit_and_clipped_ends() -> None:
    rows = (
        Interval("ok", 0.5, 0.25, 0.75, 1.0, Status.PASS),
        Interval("far", 99.0, 50.0, None, 1.0, Status.FAIL),
    )
    lines = text(Intervals("D", rows), cells=60).splitlines()
    zero, limit = lines[-3].index("0"), lines[-3].index("limit")
    assert lines[-2][zero] == "┊"
    assert lines[-2][limit] == "│"
    assert zero < lines[-2].index("├") < lines[-2].index("●") < lines[-2].index("┤") < limit
    assert lines[-1].index("▸") > limit
    assert lines[-1].endswith("99.00×")


def test_multiples_stand_under_each_other() -> None:
    rows = tuple(
        Interval(f"cnn m{value}", value, None, None, 1.0, Status.FAIL)
        for value in (3.4, 3.43, 16.17)
    )
    lines = text(Intervals("D", rows), cells=60).splitlines()
    assert "  D: cnn" in lines
    assert [line.split()[0] for line in lines[-3:]] == ["m3.4", "m3.43", "m16.17"]
    assert [line.split()[-1] for line in lines[-3:]] == ["3.40×", "3.43×", "16.17×"]
    assert {line.rindex(".") for line in lines[-3:]} == {len(lines[-1]) - 4}


def test_ascii_keeps_the_meaning() -> None:
    shown = terminal.render(failing(), width=80, color=False, unicode=False)
    assert shown.isascii()
    assert shown.startswith("x FAIL")
    assert "8 x 8 image" in shown
    assert "\\u6a21" in terminal.render(
        report(Paragraph("模")), width=80, color=False, unicode=False
    )


def test_prose_stays_readable_on_a_wide_screen() -> None:
    shown = text(Paragraph("word " * 100), cells=250)
    assert max(map(len, shown.splitlines())) <= 110


def test_only_folded_lines_stay_together() -> None:
    folds = (Details("a", ()), Details("b", ()), Details("c", (Paragraph("text"),), open=True))
    assert text(*folds, Details("d", ())).endswith("\n▸ a\n▸ b\n\n▾ c\n  text\n\n▸ d\n")


def test_the_first_folded_line_says_how_to_unfold() -> None:
    folds = (Details("a", ()), Details("b", ()))
    shown = terminal.render(report(*folds), width=60, color=False, unfold="--verbose unfolds")
    assert shown.endswith("\n▸ a  (--verbose unfolds)\n▸ b\n")
    shown = terminal.render(
        report(*folds), width=60, color=False, verbose=True, unfold="--verbose unfolds"
    )
    assert "unfolds" not in shown


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:  # noqa: D102  # the base class says it
        return True


class OldScreen(Screen):
    """A terminal whose encoding has no symbols."""

    encoding = "latin-1"


def test_columns_of_the_environment_set_the_width() -> None:
    stream = Screen()
    terminal.show(passing(), stream, {"COLUMNS": "60", "NO_COLOR": "1"})
    assert 55 < max(map(cells_of, stream.getvalue().splitlines())) <= 60


@pytest.mark.parametrize(
    ("stream", "environ", "color"),
    [
        (Screen(), {"TERM": "xterm"}, True),
        (Screen(), {"TERM": "dumb"}, False),
        (Screen(), {"NO_COLOR": "1"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
    ],
)
def test_colour_follows_the_stream_and_the_environment(
    stream: io.StringIO, environ: dict[str, str], color: bool
) -> None:
    terminal.show(passing(), stream, environ)
    assert ("\x1b[" in stream.getvalue()) is color


def test_an_encoding_without_symbols_gets_ascii() -> None:
    stream = OldScreen()
    terminal.show(failing(), stream, {})
    assert stream.getvalue().isascii()


def test_ten_thousand_rows_are_fast() -> None:
    cells = ("0.9814", "0.9504", "[-0.0110, 0.0870]", Chip(Status.PASS, "ok"))
    block = Table(tuple(Column(name) for name in "abcd"), (cells,) * 10_000)
    start = time.process_time()
    text(block)
    assert time.process_time() - start < 3


def test_headings_and_lists_have_their_marks() -> None:
    shown = text(Heading(2, "Section"), Items(("one", "two " * 40)))
    assert "\nSection\n───────\n" in shown
    assert "\n  • one\n  • two two" in shown
    assert "\n    two two" in shown


@given(st.text(), st.integers(1, 30))
def test_shortened_text_fits(data: str, cells: int) -> None:
    assert width(shorten(data, cells)) <= cells


def test_optional_columns_go_before_the_table_is_given_up() -> None:
    names = ("Verdict", "Metric", "Change", "Interval")
    columns = tuple(Column(name, "right", optional=name == "Interval") for name in names)
    row = ("proven", Code("test_accuracy/class=8"), "-0.168", "-0.232 … -0.105")
    block = Table(columns, (row, row))

    assert re.search("Verdict.*Metric.*Change.*Interval", text(block, cells=80))
    narrow = text(block, cells=45)
    assert re.search("Verdict.*Metric.*Change", narrow)
    assert "Interval" not in narrow.partition("…")[0]
    assert "… no room for Interval\n" in narrow
    assert "Interval" in text(block, cells=20)  # records have room for all


def spark(block: Block) -> str:
    return next(row for row in text(block).splitlines() if "→" in row)


def test_a_sparkline_is_to_scale_and_a_spike_leaves_the_rest_to_be_read() -> None:
    line = spark(by_step("loss", [("loss", {0: 0.0, 10: 1.0, 100: 1.0})]))
    assert line.count("█") > 6 * line.count("▁"), "ten steps of a hundred rise"
    values: dict[int, float | None] = {step: 0.7 if step % 2 else 0.4 for step in range(40)}
    values[10] = 80.0
    assert len({*spark(by_step("loss", [("loss", values)], decades=True))} & {*"▁▂▃▄▅▆▇█"}) > 2
