"""Quantiles, intervals and adjustments, held against scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from mlactions.compare import statistics as ours

DEGREES = [1, 1.3, 2, 2.5, 3, 4, 4.7, 8, 12.5, 30, 99.9, 1000, 1e5]
seeds = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("probability", "degrees"),
    list(itertools.product([0.5, 0.6, 0.8, 0.9, 0.95, 0.975, 0.99, 0.999], DEGREES)),
)
def test_student_quantile(probability: float, degrees: float) -> None:
    expected = special.stdtrit(degrees, probability)

    found = ours.student_quantile(probability, degrees)

    assert found == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(st.floats(-50, 50), st.floats(1, 500))
def test_student_tail(t: float, degrees: float) -> None:
    expected = special.stdtr(degrees, -t)

    assert ours.student_upper_tail(t, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.floats(0.1, 300), st.floats(0.1, 300), st.floats(0, 1))
def test_incomplete_beta(a: float, b: float, x: float) -> None:
    expected = special.betainc(a, b, x)

    assert ours.incomplete_beta(a, b, x) == pytest.approx(expected, rel=1e-8, abs=1e-13)


def test_many_degrees_are_the_normal_distribution() -> None:
    assert ours.student_quantile(0.95, 1e12) == pytest.approx(special.ndtri(0.95))


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's word on one constant side
@given(seeds, seeds)
def test_welch_is_scipys_interval(baseline: list[float], candidate: list[float]) -> None:
    assume(len(candidate) >= ours.MIN_FOR_WELCH)
    assume(max(np.ptp(baseline), np.ptp(candidate)) > 1e-6)
    expected = stats.ttest_ind(candidate, baseline, equal_var=False).confidence_interval(0.9)
    change = np.mean(candidate) - np.mean(baseline)

    found = ours.spread(baseline, candidate)

    assert found is not None
    margin = found.margin(0.95)
    assert change - margin == pytest.approx(expected.low, rel=1e-6, abs=1e-6)
    assert change + margin == pytest.approx(expected.high, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("candidate", [[0.97], [0.97, 0.5]])
def test_few_candidate_values_are_predicted_from_the_baseline(candidate: list[float]) -> None:
    baseline = [0.981, 0.983, 0.979, 0.984, 0.980]
    expected = stats.t.ppf(0.95, 4) * np.std(baseline, ddof=1)
    expected *= math.sqrt(1 / 5 + 1 / len(candidate))

    found = ours.spread(baseline, candidate)

    assert found is not None
    assert found.margin(0.95) == pytest.approx(expected)
    power = expected * (1 + stats.t.ppf(0.8, 4) / stats.t.ppf(0.95, 4))
    assert found.detectable(expected) == pytest.approx(power)


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        ([0.9], [0.8, 0.7, 0.6]),
        ([0.9, 0.9], [0.8]),
        ([0.9, 0.9, 0.9], [0.1, 0.1, 0.1]),
        ([1e308, -1e308], [0.0]),
        ([1e308, -1e308], [1.0, 2.0, 3.0]),
    ],
)
def test_no_spread_to_see(baseline: list[float], candidate: list[float]) -> None:
    assert ours.spread(baseline, candidate) is None


def test_one_varying_side_is_enough_for_welch() -> None:
    found = ours.spread([0.9, 0.9, 0.9], [0.8, 0.81, 0.82])

    assert found is not None
    assert found.degrees == pytest.approx(2)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_variance(values: list[float]) -> None:
    assert ours.variance(values) == pytest.approx(np.var(values, ddof=1), rel=1e-9, abs=1e-9)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's word on one constant side
@given(seeds, seeds)
def test_welch_p_value(baseline: list[float], candidate: list[float]) -> None:
    assume(max(np.ptp(baseline), np.ptp(candidate)) > 1e-6)
    expected = stats.ttest_ind(baseline, candidate, equal_var=False, alternative="greater").pvalue

    found = ours.welch_p_value(baseline, candidate)

    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_benjamini_hochberg(p_values: list[float]) -> None:
    expected = stats.false_discovery_control(p_values)

    assert ours.benjamini_hochberg(p_values) == pytest.approx(list(expected))


def test_nothing_to_adjust() -> None:
    assert ours.benjamini_hochberg([]) == []


@pytest.mark.parametrize("limit", [0.01, 0.004, 0.001])
def test_seeds_to_settle_is_the_least_number_that_does(limit: float) -> None:
    baseline, candidate = [0.98, 0.985, 0.975], [0.97, 0.99, 0.98]
    first, second = (float(np.var(side, ddof=1)) for side in (baseline, candidate))

    n = ours.seeds_to_settle(baseline, candidate, limit, 0.95)

    assert n is not None
    margins = [ours.welch(first, k, second, k) for k in (n, n - 1)]
    assert margins[0] is not None
    assert margins[0].margin(0.95) <= limit
    if n > 2:
        assert margins[1] is not None
        assert margins[1].margin(0.95) > limit


@pytest.mark.parametrize("limit", [0.0, -0.1, 1e-9])
def test_some_limits_no_number_of_seeds_settles(limit: float) -> None:
    assert ours.seeds_to_settle([0.9, 0.8, 0.7], [0.6, 0.9, 0.5], limit, 0.95) is None


def test_noise_margin_is_the_prediction_bound_rounded_up() -> None:
    values = [0.981, 0.983, 0.979, 0.984, 0.980]
    exact = stats.t.ppf(0.99, 4) * np.std(values, ddof=1) * math.sqrt(1 / 5 + 1 / 3)

    found = ours.noise_margin(values, 3, 0.01)

    assert found is not None
    assert exact <= found <= exact * 1.1
    assert len(f"{found:.10g}".lstrip("0.")) <= 2


@pytest.mark.parametrize("values", [[0.9], [0.9, 0.9, 0.9]])
def test_no_noise_no_margin(values: list[float]) -> None:
    assert ours.noise_margin(values, 3, 0.01) is None


@given(st.floats(1e-12, 1e12), st.integers(1, 4))
def test_round_up(value: float, digits: int) -> None:
    rounded = ours.round_up(value, digits)

    assert value * (1 - 1e-8) <= rounded <= value * (1 + 10 ** (1 - digits) * 1.0001)
    assert float(f"{rounded:.{digits - 1}e}") == rounded


@given(st.floats(0, 3), st.floats(4, 50))
def test_the_fast_tail_is_the_exact_one(t: float, degrees: float) -> None:
    logarithm = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    scale = math.exp(logarithm) / math.sqrt(degrees * math.pi)

    fast = ours._upper_tail(t, degrees, scale)

    assert fast == pytest.approx(ours.student_upper_tail(t, degrees), abs=1e-13)
