"""Numbers in an agent's prose: what counts as one, and what it is held against."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlactions.ask.measured import MAX_LEVELS, Group, group_of, sentence_of
from mlactions.ask.number_words import value_of
from mlactions.ask.numbers import lines_in, numbers_in, places_in, printed
from mlactions.ask.scope import Scope
from mlactions.escaping import JOINER, prose

ACCURACY = Group((0.981, 0.95))
"""An accuracy before and after."""


def unverified(
    text: str, *groups: Group, quoted: tuple[str, ...] = (), seeds: frozenset[int] = frozenset()
) -> tuple[int, tuple[str, ...]]:
    """Return how many numbers a text states, and those that nothing measured bears out."""
    return Scope(groups, numbers_in(quoted), seeds, lines=40).unverified(text, {"accuracy"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy fell from 0.981 to .95", [0.981, 0.95]),
        ("it is -0.031, or \u22123.1 %", [0.031, 3.1]),
        ("1,797 images, 12,345.5 ms", [1797, 12345.5]),
        ("the rate is 1e-3 and 2.5E+2", [0.001, 250]),
        ("between 0.98-0.97 or 0.98/0.96", [0.98, 0.97, 0.98, 0.96]),
        ("took 41.2s", [41.2]),
        ("see src/train.py:42 and lines 10-14, 20 and 31, line 7", []),
        ("torch 2.13.0 since 2026-11-22T10:00:00Z at 4f3a9c1", []),
        ("resnet50, vit-base-224, fp16, conv2d, v2, nn.Conv2d, float32", []),
        ("see https://x.org/9876", []),
        ("1234567 samples", [1234567]),
        ("a 3x3 kernel, 224x224 pixels, 93x1", [3, 3, 224, 224, 93, 1]),
        ("5-fold, 40-fold, 12-layer, fixes #12", [5, 40, 12, 12]),
        ("", []),
    ],
)
def test_what_is_a_number(text: str, expected: list[float]) -> None:
    assert [number.size for number in printed(text)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("fell to 4\u200b2\u200b.\u200b7\u200b %", "42.7 %"),
        ("fell to 0\u200b.\u200b4\u200b2", "0.42"),
        ("fell by 4[2]() percent", "42 percent"),
        ("fell by [4]()[2]() percent", "42 percent"),
        ("fell by 4`2` percent", "42 percent"),
        ("fell by 4\x1b[0m2 percent", "42 percent"),
        ("fell by 4\u00ad2 percent", "42 percent"),
        ("fell to 0\u0336.\u03369\u03363\u0336", "0.93"),
        ("\uff10.\uff19\uff13 now", "0.93"),
        ("\U0001d7ce.\U0001d7d7\U0001d7d1 now", "0.93"),
        ("a 42-percent drop", "42 percent"),
        ("a 40-point margin", "40 point"),
        ("a 40-fold loss", "40 fold"),
        ("fell by #42 percent", "42 percent"),
        ("fell: line 42 percent", "42 percent"),
        ("L42 percentage points", "42 percentage points"),
        ("approx-93 percent", "93 percent"),
        ("about-93 of them", "93"),
        ("accuracy_93 now", "93"),
        ("accuracy93 now", "93"),
        ("93x1", "93"),
        ("93-ish", "93"),
        ("accuracy #93", "93"),
        ("93 per cent", "93 per cent"),
        ("93\u2030", "93 \u2030"),
        ("ninety-three percent", "ninety-three percent"),
        ("one hundred and five points", "one hundred and five points"),
        ("forty-two point five percent", "forty-two point five percent"),
        ("fell by \u2154", "\u2154"),
        ("1\u00bd times slower", "1\u00bd"),
    ],
)
def test_no_way_of_writing_hides_a_number(text: str, token: str) -> None:
    assert unverified(text, ACCURACY)[1] == (token,)


HIDDEN = st.sampled_from(
    ["\u200b", "\u2060", "\u202e", "\x1b[0m", "\u00ad", "[]()", "\u0335", "\x07"]
)


@given(st.tuples(HIDDEN, HIDDEN, HIDDEN))
def test_what_a_reader_does_not_see_parts_no_number(hidden: tuple[str, str, str]) -> None:
    first, second, third = hidden
    text = f"fell to 0{first}.{second}4{third}2 now"
    assert prose(text).replace(JOINER, "") == "fell to 0.42 now" or "\u0335" in hidden
    assert [number.token for number in printed(text)] == ["0.42"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("seven", (7, 0)),
        ("ninety-three", (93, 0)),
        ("two hundred and six", (206, 0)),
        ("hundred", (100, 0)),
        ("three thousand four hundred", (3400, 0)),
        ("forty-two point zero five", (42.05, 2)),
    ],
)
def test_numbers_that_are_written_out(words: str, expected: tuple[float, int]) -> None:
    assert value_of(words) == expected


def test_places_and_lines_are_told_apart() -> None:
    text = "src/train.py:42, a.py:7:3, http://x.org:80/y, lines 10-14, L93, line 7, L2 loss"
    assert places_in(text) == [("src/train.py", 42), ("a.py", 7)]
    assert lines_in(text) == [14, 93, 7, 2]


def test_numbers_of_logs_and_sources() -> None:
    text = "shapes (64x48 and 12x10), 1,797 images, n=1_000, lr: 5e-4, conv2d, [300,400], v1.5.2"
    found = numbers_in([text])
    assert {64, 48, 12, 10, 1797, 1000, 5e-4, 300, 400} <= found
    assert 2 not in found, "a digit in a name"


def test_a_line_that_no_cited_file_has_is_unverified() -> None:
    assert unverified("line 40, lines 3 to 41") == (2, ("line 41",))
    assert unverified("it says line 1739", quoted=("File x, line 1739",)) == (1, ())


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("accuracy is 0.95", ()),
        ("accuracy is 0.9499", ("0.9499",)),
        ("about 95 %", ()),
        ("94 percent", ("94 percent",)),
        ("fell to 0.95 %", ("0.95 %",)),
        ("fell by 0.031 %", ("0.031 %",)),
        ("latency 0.95 ms", ("0.95",)),
        ("0.95 s", ("0.95",)),
        ("0.95k", ("0.95",)),
        ("fell by 0.031", ()),
        ("fell by 3.1 points", ()),
        ("fell by 3.1 points to 95 percent", ()),
        ("fell by 3.2 % of what it was", ()),
        ("fell by 3.2 points", ("3.2 points",)),
        ("fell by 0.04", ("0.04",)),
        ("takes 3,200 ms, 53.3 ms less", ("53.3",)),
        ("takes 3.2 s", ()),
        ("takes 53 ms", ("53",)),
        ("takes 0.0533 min", ()),
        ("takes 3.2", ()),
        ("takes 1.6 %", ("1.6 %",)),
        ("half the time: 50 %", ()),
        ("memory 2 GiB", ()),
        ("memory 2.1 GB", ()),
        ("memory 2147483.6 kB, 2097152 KiB", ()),
        ("memory 2.1 GiB", ("2.1",)),
        ("memory 30 GiB", ("30",)),
        ("2x slower", ()),
        ("7x slower", ("7",)),
        ("both of the 2 seeds, all 10 classes", ()),
        ("all 11 classes", ("11",)),
        ("seed 1 and seed 4", ("seed 4",)),
        ("0.77 and 0.77 again", ("0.77", "0.77")),
        ("12 000 steps", ("12",)),
        ("1.2k steps, 0.0012 million", ()),
        ("1.3k steps", ("1.3",)),
        ("the log says 128", ()),
        ("the log says 128 %", ("128 %",)),
        ("the log says 128 ms", ("128",)),
        ("the log says 128 points", ("128 points",)),
        ("the log says 128x", ("128",)),
    ],
)
def test_numbers_against_measurements(text: str, wrong: tuple[str, ...]) -> None:
    groups = (
        ACCURACY,
        Group((3.2, 1.6), unit="s"),
        Group((2.0 * 1024**3,), unit="bytes"),
        Group((1200.0,)),
    )
    seeds = frozenset({0, 1})
    assert unverified(text, *groups, quoted=("batch size 128",), seeds=seeds)[1] == wrong


def test_a_percentage_of_a_percentage_is_read_as_it_is_written() -> None:
    share = Group((93.5, 91.0), unit="%")
    assert unverified("fell by 2.5 points to 91 %", share)[1] == ()
    assert unverified("fell to 0.91 %", share)[1] == ("0.91 %",)


def test_a_number_that_is_no_number_any_more_is_unverified() -> None:
    assert unverified("9" * 400, ACCURACY) == (1, ("9" * 400,))


def test_a_loss_is_no_share() -> None:
    loss = Group((2.5, 0.93))
    assert unverified("loss 2.5, now 0.93", loss)[1] == ()
    assert unverified("fell to 93 %, by 157 points", loss)[1] == ("93 %", "157 points")


def test_differences_are_taken_of_a_few_values_only() -> None:
    few = Group(tuple(float(value**2) for value in range(100, 100 + MAX_LEVELS)))
    many = Group((*few.levels, 1.0))
    assert unverified("201 more", few)[1] == ()
    assert unverified("201 more", many)[1] == ("201",)
    assert unverified("10,201 in all", many)[1] == ()
    assert unverified("2.01 %", few)[1] == ()
    assert unverified("2.01 %", many)[1] == ("2.01 %",)
    assert 20 <= MAX_LEVELS <= 30, "with more of them some difference is near any number"


def test_without_known_seeds_none_is_wrong() -> None:
    assert unverified("seed 7")[1] == ()
    assert unverified("seed 7", seeds=frozenset({1}))[1] == ("seed 7",)


def test_every_number_is_counted_once() -> None:
    count, wrong = unverified("0.95, 0.95, 0.5 with seed 3", Group((0.95,)), seeds=frozenset({3}))
    assert (count, wrong) == (4, ("0.5",))


SIZES = st.floats(1e-6, 1e6, allow_nan=False, allow_infinity=False)


@given(value=SIZES, decimals=st.integers(0, 8), sign=st.sampled_from(["", "-", "+"]))
def test_a_measurement_rounded_to_any_digit_is_verified(
    value: float, decimals: int, sign: str
) -> None:
    text = f"it is {sign}{value:.{decimals}f} now"
    assert unverified(text, Group((-value,)))[1] == ()


@given(value=st.floats(1e-6, 1), decimals=st.integers(0, 4))
def test_percent_of_a_fraction_is_verified(value: float, decimals: int) -> None:
    text = f"it is {value * 100:.{decimals}f} % now"
    assert unverified(text, Group((value,)))[1] == ()


@given(low=SIZES, high=SIZES)
def test_differences_and_relative_changes_are_verified(low: float, high: float) -> None:
    group = Group((low, high))
    assert unverified(f"changed by {high - low:.9f}", group)[1] == ()
    assert unverified(f"changed by {(high - low) / low * 100:.3f} %", group)[1] == ()


@given(value=SIZES, other=SIZES)
def test_a_number_further_off_than_its_rounding_is_not(value: float, other: float) -> None:
    assume(abs(value - other) > 0.0006 + 1e-8 * value)
    printed_value = f"{other:.3f}"
    assume(float(printed_value) > 0)
    assert unverified(f"it is {printed_value} now", Group((value,)))[1] == (printed_value,)


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    count, wrong = unverified(text)
    assert len(wrong) <= count
    assert all(math.isfinite(number.size) for number in printed(text))


def test_the_numbers_of_facts() -> None:
    fact = {"value": 0.5, "data": {"seeds": [1, {"x": True}], "p": 0.25}, "id": "a"}
    facts: list[dict[str, Any]] = [
        {**fact, "text": "acc is 0.125, 95 % bounds"},
        {"id": "b", "text": "none", "value": None},
        {"id": "c", "text": "took 7 ms", "value": "slow"},
    ]
    assert group_of(facts) == Group((0.5,), (1.0, 0.25, 0.125))
    timed = [{"id": "d", "text": "took 7 ms at most", "value": 6.5, "unit": "ms"}]
    assert group_of(timed, Group((1.0,), (2.0,))) == Group((1.0, 6.5), (2.0, 7.0), "ms")


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ({"text": "cnn took", "value": 41.25, "unit": "s"}, "cnn took: 41.25 s"),
        ({"text": "it used", "value": 1234567, "unit": "bytes"}, "it used: 1,234,567 bytes"),
        ({"text": "acc fell by 0.031", "value": -0.031, "unit": ""}, "acc fell by 0.031"),
        ({"text": "it crashed", "value": "crashed"}, "it crashed"),
        ({"text": "nothing", "value": None}, "nothing"),
    ],
)
def test_a_fact_is_shown_with_its_value(fact: dict[str, object], expected: str) -> None:
    assert sentence_of(fact) == expected
