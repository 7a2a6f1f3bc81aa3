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
