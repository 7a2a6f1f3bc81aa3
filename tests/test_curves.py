"""Shapes of learning curves: whatever the noise, the scale and the direction."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlactions.curves import FEWEST, Curve, Direction, classify, is_usable, partner


def noisy(values: list[float], noise: float, seed: int) -> list[tuple[int, float]]:
    rng = random.Random(seed)  # noqa: S311  # simulated noise, not cryptography
    return [(step, value + rng.gauss(0, noise)) for step, value in enumerate(values)]


def saturating(steps: int, speed: float) -> list[float]:
    return [0.9 - 0.8 * math.exp(-step / speed) for step in range(steps)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_the_shape_is_told_through_the_noise(seed: int, noise: float) -> None:
    plateau = classify(noisy(saturating(60, 5), noise, seed), "higher")
    improving = classify(noisy(saturating(60, 60), noise, seed), "higher")
    collapsed = classify(noisy([*saturating(40, 5), *[0.1] * 20], noise, seed), "higher")
    assert [plateau.shape, improving.shape, collapsed.shape] == ["plateau", "improving", "diverged"]
    assert collapsed.broken_at is None


@pytest.mark.parametrize("seed", range(10))
def test_over_fitting_needs_a_training_curve_that_went_on(seed: int) -> None:
    held_out = [2.3 * math.exp(-step / 8) + 0.012 * step for step in range(60)]
    training = [(step, 2.3 * math.exp(-step / 8)) for step in range(60)]
    values = noisy(held_out, 0.01, seed)
    found = classify(values, "lower", training)
    assert found.shape == "over-fitting"
    assert found.best_step is not None
    assert 15 < found.best_step < 40
    assert found.gap == pytest.approx(0.7, abs=0.1), "the end, against the end of training"
    assert classify(values, "lower").shape in {"plateau", "diverged"}, "nothing shows it alone"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_divergence_and_says_where(bad: float) -> None:
    found = classify([(0, 2.0), (10, 1.0), (20, bad), (30, bad)], "lower")
    assert (found.shape, found.broken_at, found.best) == ("diverged", 20, 1.0)
    assert classify([(0, bad)], "lower").shape == "diverged"


def test_few_values_tell_nothing_and_none_is_said_to_be_none() -> None:
    assert classify([], "higher") == Curve("empty", 0)
    few = [(step, 0.1 * step) for step in range(FEWEST - 1)]
    assert classify(few, "higher").shape == "too-short"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30),
    st.sampled_from(["higher", "lower"]),
    st.lists(st.floats(-1e300, 1e300), max_size=10),
)
def test_any_values_get_a_shape(
    values: list[float], direction: Direction, other: list[float]
) -> None:
    found = classify(list(enumerate(values)), direction, list(enumerate(other)))
    finite = [value for value in values if is_usable(value)]
    assert found.points == len(values)
    if finite:
        assert found.best == (max if direction == "higher" else min)(finite)


@given(st.floats(0.01, 100), st.floats(-100, 100))
def test_scale_and_direction_change_nothing(factor: float, offset: float) -> None:
    for values in (saturating(40, 4), saturating(40, 60), [*saturating(30, 4), *[0.1] * 10]):
        plain = classify(list(enumerate(values)), "higher")
        flipped = [(step, offset - factor * value) for step, value in enumerate(values)]
        assert classify(flipped, "lower").shape == plain.shape


@pytest.mark.parametrize(
    ("metric", "known", "expected"),
    [
        ("val_accuracy", ["train_accuracy", "val_accuracy"], "train_accuracy"),
        ("valid/loss", ["train/loss"], "train/loss"),
        ("accuracy_val", ["accuracy_train"], "accuracy_train"),
        ("test.f1", ["training.f1"], "training.f1"),
        ("val_accuracy", ["train_loss"], ""),
        ("accuracy", ["train_accuracy"], ""),
        ("evaluation", ["train_uation"], ""),
    ],
)
def test_the_training_metric_is_found_by_its_name(
    metric: str, known: list[str], expected: str
) -> None:
    assert partner(metric, known) == expected
