"""No text can carry the mark by which our own comment is found again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlactions import escaping

PARTS = st.sampled_from(
    ["<!--", "<!", "--", "<", "!", "-", "`", "\u2060", "\u200b", "x", " ", "\n"]
)
TEXT = st.lists(PARTS, max_size=12).map("".join)

Writer = Callable[[str], str]
WRITERS: list[Writer] = [escaping.escape, escaping.code, escaping.listing, escaping.prose]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@given(TEXT)
@example("<!-- mlactions:gate:v1 -->")
@example("see `<!-- mlactions:gate:v1 -->`")
@example("<\u200b!-\u2060- mlactions:gate:v1 -->")
def test_no_comment_is_opened(write: Writer, text: str) -> None:
    """Not in code either: the mark is looked for in the text, which knows no code."""
    assert "<!--" not in write(text)


def test_what_only_looks_like_a_comment_is_left_alone() -> None:
    assert escaping.code("a <!- b -->") == "`a <!- b -->`"


INVISIBLE = {
    "soft hyphen": "\u00ad",
    "combining grapheme joiner": "\u034f",
    "Arabic letter mark": "\u061c",
    "Hangul choseong filler": "\u115f",
    "Hangul jungseong filler": "\u1160",
    "Khmer inherent vowel": "\u17b4",
    "Mongolian vowel separator": "\u180e",
    "zero width space": "\u200b",
    "right-to-left override": "\u202e",
    "word joiner": "\u2060",
    "right-to-left isolate": "\u2067",
    "Hangul filler": "\u3164",
    "variation selector": "\ufe00",
    "byte order mark": "\ufeff",
    "half-width Hangul filler": "\uffa0",
    "interlinear annotation": "\ufff9",
    "shorthand format": "\U0001bca0",
    "musical beam": "\U0001d173",
    "tag": "\U000e0041",
    "variation selector 17": "\U000e0100",
    "C1 control": "\x9d",
}


@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE)
def test_what_cannot_be_seen_is_dropped(character: str) -> None:
    assert escaping.printable(f"a{character}b") == "ab"


@pytest.mark.parametrize("text", ["漢字", "שלום", "한글", "❤️", "e\u0301", "a\tb", "a\nb", "ﬃ"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert escaping.printable(text) == text


@pytest.mark.parametrize(
    "language", ["mermaid", "math", "geojson", "topojson", "stl", "suggestion", "Mermaid", "a b"]
)
def test_a_listing_is_shown_and_not_drawn(language: str) -> None:
    assert escaping.listing("x", language) == "```\nx\n```"


def test_a_listing_keeps_its_language() -> None:
    assert escaping.listing("x = 1", "python") == "```python\nx = 1\n```"
