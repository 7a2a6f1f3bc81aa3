"""Each label is wrong as rarely as it claims: simulated seeds, fixed random numbers."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mlactions.compare.decide import Policy, decide
from mlactions.compare.model import Direction, Rule
from mlactions.compare.paired import weigh_hits, weigh_scores
from mlactions.compare.statistics import (
    benjamini_hochberg,
    noise_margin,
    spread,
    student_quantile,
    welch_p_value,
)

RUNS = 2500
CLAIMED = 0.05
ALLOWED = 0.005
RULE = Rule("cnn", "accuracy", "higher", absolute=ALLOWED)

SEEDS = [(5, 1), (5, 2), (5, 3), (5, 5), (3, 3), (10, 4)]


def at_most(rate: float, runs: int = RUNS) -> float:
    """Return the share that a rate of `rate` exceeds once in ten thousand simulations."""
    return rate + 3.7 * math.sqrt(rate * (1 - rate) / runs)


def labels(
    worse_by: float,
    n0: int,
    n1: int,
    *,
    direction: Direction = "higher",
    deviation: float = 0.003,
    allowed: float = ALLOWED,
) -> Counter[str]:
    """Count the labels of RUNS pairs of trainings whose true means differ by `worse_by`."""
    random = np.random.default_rng([n0, n1, round(abs(worse_by) * 1e6), worse_by < 0])
    baseline = random.normal(0.98, deviation, (RUNS, n0)).tolist()
    candidate = random.normal(0.98 - worse_by, deviation, (RUNS, n1)).tolist()
    rule = replace(RULE, direction=direction, absolute=allowed)
    found: Counter[str] = Counter()
    for before, after in zip(baseline, candidate, strict=True):
        evidence = decide(rule, before, after, Policy())
        assert evidence is not None
        found[evidence.label] += 1
    return found


@pytest.mark.parametrize(("n0", "n1"), SEEDS)
def test_proven_is_seldom_wrong_at_the_limit(n0: int, n1: int) -> None:
    found = labels(ALLOWED, n0, n1)

    assert found["proven"] / RUNS <= at_most(CLAIMED)
    assert found["proven"] > 0, "the simulation can fail"


@pytest.mark.parametrize(("n0", "n1"), SEEDS)
def test_worse_than_before_is_seldom_said_of_no_change(n0: int, n1: int) -> None:
    found = labels(0.0, n0, n1, deviation=0.01)

    assert (found["proven"] + found["observed"]) / RUNS <= at_most(CLAIMED)


@pytest.mark.parametrize(("n0", "n1"), SEEDS)
def test_non_inferior_is_seldom_said_of_what_is_not(n0: int, n1: int) -> None:
    found = labels(ALLOWED, n0, n1)

    assert found["non-inferior"] / RUNS <= at_most(CLAIMED)
    assert found["non-inferior"] > 0, "the simulation can fail"


@pytest.mark.parametrize(("n0", "n1"), [(5, 1), (5, 5)])
@pytest.mark.parametrize("worse_by", [-ALLOWED, ALLOWED])
def test_equal_holds_its_claims_on_both_sides(n0: int, n1: int, worse_by: float) -> None:
    found = labels(worse_by, n0, n1, direction="equal")
    unchanged = labels(0.0, n0, n1, direction="equal", deviation=0.01)

    assert found["proven"] / RUNS <= at_most(CLAIMED)
    assert found["non-inferior"] / RUNS <= at_most(CLAIMED)
    assert (unchanged["proven"] + unchanged["observed"]) / RUNS <= at_most(CLAIMED)


def test_intervals_of_welch_cover_what_they_claim() -> None:
    random = np.random.default_rng(11)
    missed = 0
    for _ in range(RUNS):
        before, after = random.normal(0, 1, 5).tolist(), random.normal(0, 2, 4).tolist()
        found = spread(before, after)
        assert found is not None
        missed += np.mean(before) - np.mean(after) - found.margin(0.95) > 0

    assert abs(missed / RUNS - CLAIMED) <= at_most(CLAIMED) - CLAIMED


@pytest.mark.parametrize(("runs", "seeds", "alarms"), [(5, 5, 0.05), (5, 1, 0.05), (8, 3, 0.01)])
def test_calibrated_tolerances_let_as_many_false_alarms_through_as_asked(
    runs: int, seeds: int, alarms: float
) -> None:
    random = np.random.default_rng([runs, seeds])
    trials = 6000
    failed = 0
    for _ in range(trials):
        baseline = random.normal(0.98, 0.003, runs).tolist()
        tolerance = noise_margin(baseline, seeds, alarms)
        assert tolerance is not None
        failed += np.mean(baseline) - random.normal(0.98, 0.003, seeds).mean() > tolerance

    assert failed / trials <= at_most(alarms, trials)
    assert failed / trials >= alarms / 2, "and not far fewer: the tolerance is no wider than needed"


def test_the_detectable_effect_is_detected_in_four_of_five_runs() -> None:
    deviation, n = 0.003, 5
    degrees = 2 * n - 2
    effect = (student_quantile(0.95, degrees) + student_quantile(0.8, degrees)) * deviation
    effect *= math.sqrt(2 / n)

    found = labels(effect, n, n, deviation=deviation, allowed=0.0)

    assert 0.76 <= found["proven"] / RUNS <= 0.84


@pytest.mark.parametrize(("items", "changing"), [(450, 0.012), (450, 0.10), (2000, 0.03)])
def test_hits_are_seldom_called_worse_without_a_change(items: int, changing: float) -> None:
    random = np.random.default_rng(items)
    wrong = covered = 0
    for _ in range(RUNS):
        lost, won, _ = random.multinomial(items, [changing / 2, changing / 2, 1 - changing])
        shown = weigh_hits([1.0] * lost + [-1.0] * won + [0.0] * (items - lost - won), 0.95)
        wrong += shown.worse
        covered += shown.low <= 0

    assert wrong / RUNS <= at_most(CLAIMED)
    assert 1 - covered / RUNS <= at_most(CLAIMED)


@pytest.mark.parametrize("gap", [0.01, 0.02])
def test_bounds_of_hits_cover_a_true_difference(gap: float) -> None:
    random = np.random.default_rng(3)
    items, lost_share, won_share = 1000, 0.02 + gap, 0.02
    below = above = 0
    for _ in range(RUNS):
        lost, won, _ = random.multinomial(items, [lost_share, won_share, 1 - gap - 0.04])
        shown = weigh_hits([1.0] * lost + [-1.0] * won + [0.0] * (items - lost - won), 0.95)
        below += shown.high < gap
        above += shown.low > gap

    assert max(below, above) / RUNS <= at_most(CLAIMED + 0.005)


def test_bounds_of_scores_cover_a_true_difference() -> None:
    random = np.random.default_rng(5)
    runs, items, gap = 150, 80, 0.1
    below = above = 0
    for _ in range(runs):
        # Rounded scores repeat, so few of them are distinct and the counts are drawn.
        shown = weigh_scores(np.round(random.normal(gap, 1, items), 1).tolist(), 0.95)
        below += shown.high < gap
        above += shown.low > gap

    assert max(below, above) / runs <= at_most(CLAIMED + 0.01, runs)


def test_slices_are_seldom_called_worse_when_none_is() -> None:
    random = np.random.default_rng(9)
    families = 400
    alarms = 0
    for _ in range(families):
        values = random.normal(0.9, 0.01, (20, 2, 5)).tolist()
        p_values = [welch_p_value(before, after) for before, after in values]
        assert all(p_value is not None for p_value in p_values)
        adjusted = benjamini_hochberg([p_value for p_value in p_values if p_value is not None])
        alarms += min(adjusted) <= CLAIMED

    assert alarms / families <= at_most(CLAIMED, families)
