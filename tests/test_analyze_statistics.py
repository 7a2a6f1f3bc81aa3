"""Ranks, shares, correlations and PED-ANOVA, held against SciPy and Optuna."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Literal

import optuna
import pytest
import scipy.stats
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from mlactions.analyze import pedanova
from mlactions.analyze.ranks import bins, explained, f_upper_tail, kendall, ranks, spearman
from mlactions.analyze.regression import beyond, terms

DISTRIBUTIONS: Mapping[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "optimizer": CategoricalDistribution(["adam", "lion", "sgd"]),
}
CHOICES = ["adam", "lion", "sgd"]


def trials(seed: int, count: int) -> list[tuple[dict[str, float | str], float]]:
    """Return a search over the whole space: the ends of each range occur."""
    rng = random.Random(seed)  # noqa: S311  # simulated noise, not cryptography
    found: list[tuple[dict[str, float | str], float]] = []
    for number in range(count):
        lr = (1e-5, 1e-1)[number] if number < 2 else 10 ** rng.uniform(-5, -1)
        dropout = (0.0, 0.5)[number] if number < 2 else rng.choice([0.0, 0.1, rng.random() / 2])
        choice = CHOICES[number % 3] if number < 3 else rng.choice(CHOICES)
        value = -abs(math.log10(lr) + 3) + 0.3 * (choice == "lion") + rng.gauss(0, 0.1)
        found.append(({"lr": lr, "dropout": dropout, "optimizer": choice}, round(value, 1)))
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [12, 60, 300])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_pedanova_is_that_of_optuna(
    seed: int, count: int, direction: Literal["maximize", "minimize"]
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=direction)
    found = trials(seed, count)
    for params, value in found:
        trial = optuna.trial.create_trial(
            params=params, distributions=dict(DISTRIBUTIONS), value=value
        )
        study.add_trial(trial)
    expected = optuna.importance.PedAnovaImportanceEvaluator().evaluate(study)
    best = pedanova.top([value for _, value in found], higher=direction == "maximize")
    numbers = {name: [float(params[name]) for params, _ in found] for name in ("lr", "dropout")}
    levels = tuple(CHOICES.index(str(params["optimizer"])) for params, _ in found)
    grids = {
        "lr": pedanova.numeric_grid(numbers["lr"], log=True),
        "dropout": pedanova.numeric_grid(numbers["dropout"]),
        "optimizer": pedanova.Grid(levels, 3, ordered=False),
    }
    for name, grid in grids.items():
        assert pedanova.importance(grid, best) == pytest.approx(expected[name], rel=1e-9)


def test_pedanova_of_a_parameter_that_some_runs_lack_is_that_of_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    found = [
        ({k: v for k, v in p.items() if k != "dropout" or n % 3 or n < 2}, y)
        for n, (p, y) in enumerate(trials(1, 90))
    ]
    for params, value in found:
        distributions = {name: DISTRIBUTIONS[name] for name in params}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=value)
        )
    expected = optuna.importance.PedAnovaImportanceEvaluator().evaluate(study)
    best = pedanova.top([value for _, value in found], higher=True)
    values = [float(p["dropout"]) if "dropout" in p else None for p, _ in found]
    grid = pedanova.numeric_grid(values)
    assert pedanova.importance(grid, best) == pytest.approx(expected["dropout"], rel=1e-9)


def test_shares_sum_to_one_or_are_all_nothing() -> None:
    assert pedanova.shares([1.0, 3.0]) == [0.25, 0.75]
    assert pedanova.shares([0.0, 0.0]) == [0.0, 0.0]


@pytest.mark.parametrize("seed", range(10))
def test_ranks_and_correlations_are_those_of_scipy(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # simulated noise, not cryptography
    first = [rng.choice([rng.random(), 0.5]) for _ in range(40)]
    second = [value + rng.choice([rng.gauss(0, 0.3), 0.0]) for value in first]
    assert ranks(first) == list(scipy.stats.rankdata(first))
    found = spearman(first, second)
    assert found is not None
    assert found.rho == pytest.approx(scipy.stats.spearmanr(first, second).statistic)
    assert kendall(first, second) == pytest.approx(scipy.stats.kendalltau(first, second).statistic)


def test_bounds_of_a_correlation_hold_their_level() -> None:
    rng = random.Random(7)  # noqa: S311  # simulated noise, not cryptography
    # Spearman's correlation of two normals with Pearson's 0.5.
    truth = 6 / math.pi * math.asin(0.25)
    held = 0
    for _ in range(600):
        first = [rng.gauss(0, 1) for _ in range(25)]
        second = [0.5 * x + math.sqrt(0.75) * rng.gauss(0, 1) for x in first]
        found = spearman(first, second)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.93 <= held / 600 <= 0.98


def test_correlations_without_variation_are_none() -> None:
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert kendall([1.0, 1.0], [1.0, 2.0]) is None
    perfect = spearman([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert perfect is not None
    assert (perfect.rho, perfect.low, perfect.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("seed", range(10))
def test_the_share_is_that_of_an_analysis_of_variance_on_ranks(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # simulated noise, not cryptography
    groups = [rng.choice("abc") for _ in range(50)]
    values = [rng.gauss(0, 1) + (group == "a") for group in groups]
    found = explained(groups, ranks(values))
    assert found is not None
    ranked = ranks(values)
    parts = [[r for r, g in zip(ranked, groups, strict=True) if g == name] for name in "abc"]
    expected = scipy.stats.f_oneway(*parts)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    # Epsilon squared by its textbook formula, from F.
    f, k, n = expected.statistic, 3, 50
    assert found.share == pytest.approx(max((k - 1) * (f - 1) / (f * (k - 1) + n - k), 0), rel=1e-9)


def test_the_tail_of_f_is_that_of_scipy() -> None:
    for value, degrees, rest in ((0.1, 1, 5), (3.0, 4, 200), (40.0, 7, 20)):
        found = f_upper_tail(value * degrees, float(rest), degrees, rest)
        assert found == pytest.approx(scipy.stats.f.sf(value, degrees, rest), rel=1e-9)


def test_bins_keep_equal_values_together() -> None:
    values = [float(n % 10) for n in range(100)]
    found = bins(values, 4)
    assert len({(v, b) for v, b in zip(values, found, strict=True)}) == 10
    assert len(set(found)) == 4
    assert bins([3.0, 1.0, 2.0], 8) == [2, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_beyond_is_the_partial_f_test(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # simulated noise, not cryptography
    first = [rng.gauss(0, 1) for _ in range(200)]
    second = [x + rng.gauss(0, 0.4) for x in first]
    target = [x + rng.gauss(0, 0.5) for x in first]
    of_second = beyond(terms(list(first)), terms(list(second)), target)
    of_first = beyond(terms(list(second)), terms(list(first)), target)
    assert of_first is not None
    assert of_second is not None
    assert of_first < 1e-6
    assert of_second > 0.005
    assert beyond(terms(list(first)), terms([2 * x for x in first]), target) is None, "the same"


def test_beyond_holds_its_level() -> None:
    rng = random.Random(11)  # noqa: S311  # simulated noise, not cryptography
    small = 0
    for _ in range(300):
        first = [rng.random() for _ in range(60)]
        second: list[float | str | None] = [rng.choice(["a", "b", None]) for _ in range(60)]
        target = [x + rng.gauss(0, 0.2) for x in first]
        p_value = beyond(terms(list(first)), terms(second), target)
        assert p_value is not None
        small += p_value <= 0.05
    assert small <= 30, "one in twenty, give or take"
