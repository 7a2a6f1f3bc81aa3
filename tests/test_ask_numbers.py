"""Numbers in an agent's prose: what counts as one, and what it is held against."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlactions.ask.numbers import (
    Measured,
    groups_of,
    numbers_in,
    printed,
    sentence_of,
    unverified,
)

NO_SEEDS: frozenset[int] = frozenset()


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
        ("resnet50, vit-base-224, fp16, conv2d, v2", []),
        ("a 3x3 kernel, 5-fold, fixes #12, https://x.org/9876", []),
        ("1234567 samples", [1234567]),
        ("", []),
    ],
)
def test_what_is_a_number(text: str, expected: list[float]) -> None:
    assert [number.size for number in printed(text)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("accuracy is 0.95", ()),
        ("accuracy is 0.9499", ("0.9499",)),
        ("about 95 %", ()),
        ("94 percent", ("94",)),
        ("fell by 0.031", ()),
        ("fell by 3.1 points", ()),
        ("fell by 3.2 % of what it was", ()),
        ("fell by 0.04", ("0.04",)),
        ("takes 3,200 ms", ()),
        ("takes 3.2 s", ()),
        ("takes 53 ms", ("53",)),
        ("memory 2 GiB", ()),
        ("memory 2.1 GB", ()),
        ("memory 30 GiB", ("30",)),
        ("2x slower", ()),
        ("7x slower", ("7",)),
        ("both of the 2 seeds, all 10 classes", ()),
        ("all 11 classes", ("11",)),
        ("seed 1 and seed 4", ("seed 4",)),
        ("0.77 and 0.77 again", ("0.77", "0.77")),
        ("the log says 128", ()),
    ],
)
def test_numbers_against_measurements(text: str, wrong: tuple[str, ...]) -> None:
    groups = [[0.981, 0.95], [3.2, 1.6], [2.0 * 1024**3]]
    measured = Measured(groups, frozenset({0, 1}))
    assert unverified(text, measured, numbers_in(["batch size 128"]))[1] == wrong


def test_every_number_is_counted_once() -> None:
    count, wrong = unverified("0.95, 0.95, 0.5 with seed 3", Measured([[0.95]], frozenset({3})))
    assert (count, wrong) == (4, ("0.5",))


SIZES = st.floats(1e-6, 1e6, allow_nan=False, allow_infinity=False)


@given(value=SIZES, decimals=st.integers(0, 8), sign=st.sampled_from(["", "-", "+"]))
def test_a_measurement_rounded_to_any_digit_is_verified(
    value: float, decimals: int, sign: str
) -> None:
    text = f"it is {sign}{value:.{decimals}f} now"
    assert unverified(text, Measured([[-value]], NO_SEEDS))[1] == ()


@given(value=SIZES, decimals=st.integers(0, 4))
def test_percent_of_a_fraction_is_verified(value: float, decimals: int) -> None:
    text = f"it is {value * 100:.{decimals}f} % now"
    assert unverified(text, Measured([[value]], NO_SEEDS))[1] == ()


@given(low=SIZES, high=SIZES)
def test_differences_and_relative_changes_are_verified(low: float, high: float) -> None:
    measured = Measured([[low, high]], NO_SEEDS)
    assert unverified(f"changed by {high - low:.9f}", measured)[1] == ()
    assert unverified(f"changed by {(high - low) / low * 100:.3f} %", measured)[1] == ()


@given(value=SIZES, other=SIZES)
def test_a_number_further_off_than_its_rounding_is_not(value: float, other: float) -> None:
    assume(abs(value - other) > 0.0006 + 1e-8 * value)
    printed_value = f"{other:.3f}"
    assume(float(printed_value) > 0)
    assert unverified(f"it is {printed_value} now", Measured([[value]], NO_SEEDS))[1] == (
        printed_value,
    )


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    count, wrong = unverified(text, Measured([], NO_SEEDS))
    assert len(wrong) <= count
    assert all(math.isfinite(number.size) for number in printed(text))


def test_numbers_of_facts_stand_together_by_model_and_metric() -> None:
    fact = {"model": "cnn", "metric": "acc", "value": 0.5, "data": {"seeds": [1, {"x": True}]}}
    facts = [
        {**fact, "id": "a", "text": "acc is 0.25"},
        {**fact, "id": "b", "text": "none", "value": None, "data": {}},
        {"id": "c", "text": "free-standing", "value": 7},
    ]
    assert groups_of(facts) == [[0.5, 1.0, 0.25], [7.0]]


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
