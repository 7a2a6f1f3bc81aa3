"""Reports out of hostile text and extreme numbers, for property tests of the renderers."""

from __future__ import annotations

from hypothesis import strategies as st

from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
    Coordinate,
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
    Strong,
    Struck,
    Table,
    Untrusted,
)
from mlactions.settings import Status

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='x",
    "</style></title></svg></code>]]>",
    "<!-- --><a href=javascript:alert(1)>",
    "&lt;b&gt; &#60;i&#62;",
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "\u202e\u200b\u2066right to left",
    "漢字かな交じり文 한국어 🤖🏽",
    "e\u0301" * 20,
    "\ud800 half a pair",
    "a\r\nb\tc\u2028d",
    "digits_cnn/test_accuracy/class=8",
    "x" * 300,
    "-0.0310 1e-300 [0.1, 0.2]",
)


def words() -> st.SearchStrategy[str]:
    """Return any text, often one that has broken a renderer somewhere."""
    return st.one_of(
        st.sampled_from(HOSTILE),
        st.text(st.characters(), max_size=40),
        st.lists(st.sampled_from(HOSTILE), max_size=3).map(" ".join),
    )


def spans() -> st.SearchStrategy[Inline]:
    """Return one span or a run of them; links only to our own kind of address."""
    text = words()
    span = st.one_of(
        text,
        text.map(Code),
        text.map(Strong),
        text.map(Struck),
        text.map(Untrusted),
        st.builds(Chip, statuses(), text),
        st.builds(Link, text, st.sampled_from(("https://example.org/a?b=1&c=\"'<", "no link"))),
    )
    return st.one_of(span, st.lists(span, max_size=4).map(tuple))


def statuses() -> st.SearchStrategy[Status]:
    """Return a status."""
    return st.sampled_from(list(Status))


def numbers() -> st.SearchStrategy[float]:
    """Return any number, not-a-number and infinities among them."""
    extreme = (1e-300, -1e300, 1.7e308, -1.7e308, 5e-324, 0.0, -0.0, 1.0, 0.981)
    return st.one_of(st.sampled_from(extreme), st.floats())


def charts() -> st.SearchStrategy[Chart]:
    """Return charts whose series may be shorter or longer than the categories."""
    values = st.lists(st.one_of(st.none(), numbers()), max_size=8).map(tuple)
    return st.builds(
        Chart,
        words(),
        st.lists(words(), max_size=6).map(tuple),
        st.lists(st.builds(Series, words(), values), max_size=10).map(tuple),
        words(),
        st.sampled_from(("bar", "line")),
    )


def intervals() -> st.SearchStrategy[Intervals]:
    """Return interval charts, also with bounds that contradict the estimate."""
    bound = st.one_of(st.none(), numbers())
    row = st.builds(Interval, words(), numbers(), bound, bound, st.just(1.0), statuses())
    return st.builds(Intervals, words(), st.lists(row, max_size=8).map(tuple))


def coordinates() -> st.SearchStrategy[Coordinates]:
    """Return parallel coordinates whose lines may miss places or have too many."""
    levels = st.lists(words(), max_size=5).map(tuple)
    axis = st.builds(Coordinate, words(), words(), words(), levels, words(), words())
    line = st.lists(st.one_of(st.none(), numbers()), max_size=6).map(tuple)
    return st.builds(
        Coordinates,
        words(),
        st.lists(axis, max_size=6).map(tuple),
        st.lists(line, max_size=6).map(tuple),
        st.lists(st.booleans(), max_size=6).map(tuple),
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Return tables of up to eight columns."""
    align = st.sampled_from(("left", "right", "center"))
    columns = draw(st.lists(st.builds(Column, words(), align), min_size=1, max_size=8))
    row = st.lists(spans(), min_size=len(columns), max_size=len(columns)).map(tuple)
    return Table(tuple(columns), tuple(draw(st.lists(row, max_size=4))))


def blocks() -> st.SearchStrategy[Block]:
    """Return blocks of every kind, folds inside folds too."""
    leaf: st.SearchStrategy[Block] = st.one_of(
        st.builds(Heading, st.integers(1, 4), spans()),
        st.builds(Paragraph, spans()),
        tables(),
        st.builds(Items, st.lists(spans(), max_size=4).map(tuple)),
        st.builds(Listing, words(), st.sampled_from(("", "diff"))),
        charts(),
        intervals(),
        coordinates(),
    )
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            Details, spans(), st.lists(inner, max_size=3).map(tuple), st.booleans()
        ),
        max_leaves=4,
    )


def reports() -> st.SearchStrategy[Report]:
    """Return whole reports."""
    return st.builds(
        Report, words(), statuses(), spans(), st.lists(blocks(), max_size=5).map(tuple)
    )
