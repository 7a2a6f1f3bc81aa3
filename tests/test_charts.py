"""SVG charts: well-formed, inside their view box for any numbers, readable without colour."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlactions import charts
from mlactions.between import by_step
from mlactions.charts.scale import number, scale, times
from mlactions.report import Chart, Coordinate, Coordinates, Interval, Intervals, Series
from mlactions.settings import Status
from tests.report_strategies import charts as any_charts
from tests.report_strategies import coordinates as any_coordinates
from tests.report_strategies import intervals as any_intervals
from tests.sample_reports import BARS, COORDINATES, INTERVALS, LINES

SHAPES = list(charts.WIDTHS)
EXTREMES = (1e-300, -1e-300, 1e300, -1e300, 1.7e308, -1.7e308, 5e-324, 0.0, 0.981, 1.0)
HORIZONTAL = ("x", "x1", "x2", "cx", "width")
VERTICAL = ("y", "y1", "y2", "cy", "height")


def draw(block: Chart | Intervals | Coordinates, shape: str = "wide") -> ET.Element:
    """Return the parsed image, after checking that every coordinate is in its view box."""
    root = ET.fromstring(charts.svg(block, shape, "k"))  # noqa: S314  # our own output
    _, _, right, bottom = map(float, root.attrib["viewBox"].split())
    assert math.isfinite(right)
    assert 0 < bottom < 50_000
    for element in root.iter():
        for names, most in ((HORIZONTAL, right), (VERTICAL, bottom)):
            for name in names:
                assert 0 <= float(element.get(name, "0")) <= most, ET.tostring(element)
        for pair in element.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= right
            assert 0 <= y <= bottom
    return root


def marks(root: ET.Element) -> list[tuple[str, str]]:
    return [
        (one.tag, one.get("class", "")) for one in root.iter() if "mark" in one.get("class", "")
    ]


def texts(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter("text")]


@settings(max_examples=200, deadline=None)
@given(st.one_of(any_charts(), any_intervals(), any_coordinates()), st.sampled_from(SHAPES))
def test_any_chart_stays_inside_its_view_box(
    block: Chart | Intervals | Coordinates, shape: str
) -> None:
    draw(block, shape)


@pytest.mark.parametrize("kind", ["bar", "line"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "values",
    [*[(value,) for value in EXTREMES], EXTREMES, (0.981,) * 5, (), (None, math.nan, math.inf)],
)
def test_extreme_values(values: tuple[float | None, ...], kind: str, shape: str) -> None:
    categories = tuple(f"c{i}" for i in range(len(values)))
    chart = Chart("T", categories, (Series("s", values),), "", "line" if kind == "line" else "bar")
    root = draw(chart, shape)
    drawn = [one for one in root.iter() if one.get("class") == "fill-0"]
    assert len(drawn) == sum(value is not None and math.isfinite(value) for value in values)


@pytest.mark.parametrize("block", [BARS, LINES, INTERVALS, COORDINATES])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_says_what_it_shows(block: Chart | Intervals | Coordinates, shape: str) -> None:
    root = draw(block, shape)
    title, description = root[0], root[1]
    assert (title.tag, title.text) == ("title", block.title)
    assert description.tag == "desc"
    assert "digits_cnn" in (description.text or "")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_a_line_crosses_each_axis_at_its_place_and_stops_at_a_gap() -> None:
    def crossings(shape: str, axes: int) -> list[list[tuple[float, float]]]:
        block = Coordinates(
            "T",
            tuple(Coordinate(f"p{n}", "0", "1") for n in range(axes)),
            ((0.0, 1.0, 0.5, 0.5, 1.0)[:axes], (0.5, 0.5, None, 0.0, 0.0)[:axes]),
            (True, False),
        )
        lines = list(draw(block, shape).iter("polyline"))
        assert [one.attrib["class"] for one in lines].count("stroke-0 chosen") == 1
        return [
            [(float(x), float(y)) for x, y in (p.split(",") for p in one.attrib["points"].split())]
            for one in lines
        ]

    first, second, marked = crossings("wide", 5)
    assert [len(first), len(second), len(marked)] == [2, 2, 5], "the gap parts a line"
    heights = [y for _, y in marked]
    assert heights[0] > heights[2] > heights[1], "0 lies below, 1 on top"
    assert [x for x, _ in marked] == sorted({x for x, _ in marked})
    assert len(crossings("narrow", 5)[-1]) == 4, "the first three axes and the last one"


def test_bars_are_as_long_as_their_values() -> None:
    root = draw(Chart("T", ("a", "b", "c"), (Series("s", (1.0, 0.5, -0.25)),)))
    long, half, quarter = (
        float(one.attrib["width"]) for one in root.iter("rect") if one.get("class") == "fill-0"
    )
    assert long == pytest.approx(2 * half, abs=0.2)
    assert long == pytest.approx(4 * quarter, abs=0.4)


def test_lines_stop_where_values_are_missing() -> None:
    chart = Chart("T", tuple("abcdef"), (Series("s", (1, 2, None, 3, 2, 1)),), "", "line")
    counts = [len(one.attrib["points"].split()) for one in draw(chart).iter("polyline")]
    assert counts == [2, 3]


def test_long_lines_keep_their_spikes() -> None:
    values = tuple(100.0 if i == 7_777 else 1.0 for i in range(10_000))
    chart = Chart("T", tuple(map(str, range(10_000))), (Series("s", values),), "", "line")
    points = [one.attrib["points"].split() for one in draw(chart).iter("polyline")]
    assert len(points[0]) < 500
    assert len({pair.split(",")[1] for pair in points[0]}) == 2


def test_a_line_over_steps_is_drawn_to_scale_and_goes_on_where_nothing_was_measured() -> None:
    curves: list[tuple[str, dict[int, float | None]]] = [
        ("a", {0: 0.0, 10: 1.0, 100: 1.0}),
        ("b", {0: 0.0, 50: 0.5, 100: None}),
    ]
    block = by_step("loss by step", curves)
    first, second = (list(map(float, line)) for line in polylines(block, "wide")[:2])
    assert len(first) == 3, "step 50 was not measured, and does not break the line"
    assert first[1] - first[0] == pytest.approx((first[2] - first[0]) / 10, abs=0.2)
    assert len(second) == 2, "at NaN it ends"


def polylines(block: Chart, shape: str) -> list[list[str]]:
    """Return the places along the x axis of each line, without those of the key."""
    lines = draw(block, shape).iter("polyline")
    points = [one.attrib["points"].split() for one in lines if "key" not in one.attrib["class"]]
    return [[pair.split(",")[0] for pair in one] for one in points]


def test_a_spike_does_not_press_a_loss_to_the_floor() -> None:
    values: dict[int, float | None] = {step: 0.7 - step / 1000 for step in range(40)}
    values[10] = 80.0
    plain = by_step("loss", [("loss", values)])
    logged = by_step("loss", [("loss", values)], decades=True)
    assert "100" in labels(logged)
    assert "0.1" in labels(logged)
    assert "0.1" not in labels(plain)
    flat = by_step("loss", [("loss", {0: 0.5, 1: 0.6})], decades=True)
    assert labels(flat) == labels(by_step("loss", [("loss", {0: 0.5, 1: 0.6})]))


def labels(block: Chart) -> set[str]:
    return {one.text or "" for one in draw(block, "wide").iter("text")}


def test_a_mark_has_a_shape_of_its_own() -> None:
    rows = tuple(
        Interval(status.value, 0.5, None, None, 1.0, status)
        for status in (Status.FAIL, Status.WARN, Status.PASS)
    )
    assert marks(draw(Intervals("T", rows))) == [
        ("rect", "fill-fail mark"),
        ("polygon", "fill-warn mark"),
        ("circle", "fill-pass mark"),
    ]


def test_an_interval_lies_between_its_bounds() -> None:
    root = draw(Intervals("T", (Interval("a", 0.5, 0.0, 1.0, 1.0, Status.PASS),)))
    zero, limit = (
        float(one.attrib["x1"])
        for kind in ("zero", "limit")
        for one in root.iter("line")
        if one.get("class") == kind
    )
    whisker = next(one for one in root.iter("line") if one.get("class") == "stroke-pass")
    assert (float(whisker.attrib["x1"]), float(whisker.attrib["x2"])) == (zero, limit)
    dot = next(root.iter("circle"))
    assert float(dot.attrib["cx"]) == pytest.approx((zero + limit) / 2, abs=0.1)


def test_far_intervals_are_clipped_with_an_arrow() -> None:
    near = Interval("near", 0.5, 0.2, 0.8, 1.0, Status.PASS)
    far = Interval("far", 400.0, 300.0, 500.0, 1.0, Status.FAIL)
    root = draw(Intervals("T", (near, far)))
    arrows = [one for one in root.iter("polygon") if one.get("class") == "fill-fail"]
    assert len(arrows) == 1
    tip, *back = (float(pair.split(",")[0]) for pair in arrows[0].attrib["points"].split())
    assert all(tip > x for x in back)
    assert "400.00×" in texts(root)
    assert [kind for _, kind in marks(root)] == ["fill-pass mark"]


def test_only_the_gravest_rules_are_drawn() -> None:
    rows = tuple(
        Interval(f"rule {i}", 0.5, None, None, 1.0, Status.FAIL if i == 9_999 else Status.PASS)
        for i in range(10_000)
    )
    labels = [text for text in texts(draw(Intervals("T", rows))) if text.startswith("rule")]
    assert len(labels) == charts.CAP
    assert labels[:2] == ["rule 9999", "rule 0"]


def test_what_is_not_drawn_is_said() -> None:
    names = tuple(f"c{i}" for i in range(200))
    chart = Chart("T", names, tuple(Series(f"s{i}", (1.0,) * 200) for i in range(20)))
    assert (
        charts.left_out(chart)
        == "Drawn: the first 60 of 200 categories and the first 8 of 20 series."
    )
    assert charts.left_out(BARS) == ""
    assert len(list(draw(chart).iter("rect"))) == 8 + 60 * 8


def test_labels_of_an_axis_do_not_overlap() -> None:
    chart = Chart(
        "T", tuple(f"epoch {i}" for i in range(300)), (Series("s", (1.0,) * 300),), "", "line"
    )
    ticks = sorted(
        float(one.attrib["x"])
        for one in draw(chart).iter("text")
        if (one.text or "").startswith("epoch")
    )
    assert len(ticks) > 3
    assert all(b - a > 7 * 6 for a, b in pairwise(ticks))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=20))
def test_a_scale_holds_its_values(values: list[float]) -> None:
    axis = scale(values)
    written = [Decimal(repr(value)) for value in values]
    assert axis.low <= min(written)
    assert max(written) <= axis.high
    assert 2 <= len(axis.ticks) <= 8
    shares = [axis.share(value) for value in sorted(values)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert len(axis.labels()) == len(axis.ticks)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.95, 0.99), ("0.95", "0.96", "0.97", "0.98", "0.99")),
        ((0, 1), ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")),
        ((0, 45_000), ("0", "10,000", "20,000", "30,000", "40,000", "50,000")),
        ((0, 4e-9), ("0", "1e-9", "2e-9", "3e-9", "4e-9")),
        ((-1e300, 1e300), ("-1e300", "-5e299", "0", "5e299", "1e300")),
        ((), ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")),
    ],
)
def test_ticks_are_round(values: tuple[float, ...], labels: tuple[str, ...]) -> None:
    assert scale(values).labels() == labels


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.9814, "0.9814"),
        (-0.031, "-0.031"),
        (12.3456, "12.35"),
        (999.96, "1,000"),
        (123_456.7, "123,457"),
        (1e-300, "1e-300"),
        (1.23456e9, "1.235e9"),
        (math.inf, "∞"),
        (math.nan, "?"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.6134, "2.61×"),
        (-0.02547, "-0.03×"),
        (-0.001, "0.00×"),
        (41.0, "41.00×"),
        (1e5, "100,000×"),
        (math.inf, "∞×"),
    ],
)
def test_multiples_of_the_limit_have_two_decimals(value: float, text: str) -> None:
    assert times(value) == text


@given(finite)
def test_a_short_number_is_close_to_the_value(value: float) -> None:
    shown = Decimal(number(value).replace(",", ""))
    assert abs(shown - Decimal(value)) <= abs(Decimal(value)) * Decimal("6e-4")


def test_the_same_data_give_the_same_bytes() -> None:
    for block in (BARS, LINES, INTERVALS):
        assert charts.svg(block, "wide", "a") == charts.svg(block, "wide", "a")
    assert not re.search(
        r"\d\.\d{2,}", re.sub(r"<(text|title|desc)\b.*?</\1>", "", charts.svg(LINES, "wide", "a"))
    )
