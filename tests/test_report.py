"""The report model: every renderer takes every block, and tells the same story."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable

import pytest
from hypothesis import given, settings

from mlactions import html, markdown, terminal
from mlactions.report import Block, Chip, Code, Report, Span, plain, spans
from mlactions.settings import Status
from tests.report_strategies import reports
from tests.sample_reports import failing, passing


@settings(max_examples=60, deadline=None)
@given(reports())
def test_every_renderer_takes_every_report(report: Report) -> None:
    for text in (
        markdown.render(report),
        html.render(report, title=report.title),
        terminal.render(report, width=80, color=True, verbose=True),
    ):
        text.encode()
        assert text.endswith("\n")


@pytest.mark.parametrize("report", [failing(), passing()])
def test_all_renderers_show_the_same_words(report: Report) -> None:
    shown = (
        markdown.render(report).replace("\\", ""),
        html.render(report, title="Gate").replace("<wbr>", ""),
        terminal.render(report, width=160, color=False, verbose=True),
    )
    for words in ("Gate: metrics against the baseline", "non-inferior", "Provenance", "+0.0010"):
        for text in shown:
            assert words in text


def test_the_sample_uses_every_block_and_span() -> None:
    def kinds(value: object) -> set[type]:
        parts: Iterable[object] = value if isinstance(value, tuple) else ()
        if dataclasses.is_dataclass(value):
            parts = vars(value).values()
        return {type(value)}.union(*map(kinds, parts))

    used = kinds(failing())
    assert set(typing.get_args(Block)) <= used
    assert set(typing.get_args(Span)) <= used


def test_plain_words() -> None:
    text = ("a ", Code("b"), Chip(Status.PASS, " c"))
    assert plain(text) == "a b c"
    assert plain(Code("<b>")) == "<b>"
    assert spans("a") == ("a",)
    assert spans(text) == text
