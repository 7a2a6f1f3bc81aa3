"""Intervals and tests, in plain floats: no import costs a start-up its time.

`scipy.special` has the same quantiles and takes five times as long to import as everything else
here takes to run; the tests hold these functions against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

ONE_SIDED = 0.95
POWER = 0.80
SEEDS_SEARCHED = 1000

MIN_FOR_SPREAD = 2
MIN_FOR_WELCH = 3
"""Fewer candidate values than this say too little of their own spread."""

_TINY = 1e-300
_CLOSE = 1e-15
_NORMAL_FROM = 1e10
_EXPANSION_FROM = 3
_FEWEST, _MOST = 4, 50
_FARTHEST = 3.0
"""Degrees and t up to which sixteen points give a density's integral to the last digits.

Of fewer degrees it is not smooth enough; of more, its height is a difference of large logarithms.
"""

_GAUSS_LEGENDRE = (
    (0.09501250983763744, 0.18945061045506864),
    (0.2816035507792589, 0.18260341504492364),
    (0.45801677765722737, 0.16915651939500265),
    (0.6178762444026438, 0.1495959888165767),
    (0.755404408355003, 0.12462897125553407),
    (0.8656312023878318, 0.0951585116824926),
    (0.9445750230732326, 0.062253523938647456),
    (0.9894009349916499, 0.027152459411754176),
)
"""Positive abscissae and weights for sixteen points, Abramowitz and Stegun 25.4.30."""

_POINTS = tuple(
    (((1 + sign * place) / 2) ** 2, weight / 2)
    for place, weight in _GAUSS_LEGENDRE
    for sign in (1, -1)
)

_LAST_STEP = 1e-4
"""Relative to the quantile: its fourth power is below what a float holds."""


def student_upper_tail(t: float, degrees: float) -> float:
    """Return P(T > t) of Student's t distribution, for any positive real degrees of freedom."""
    square = t * t
    if square < 1:
        # Near the middle, degrees / (degrees + square) would round to 1.
        middle = 0.5 * incomplete_beta(0.5, degrees / 2, square / (degrees + square))
        return 0.5 - math.copysign(middle, t)
    half = 0.5 * incomplete_beta(degrees / 2, 0.5, degrees / (degrees + square))
    return half if t > 0 else 1 - half


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), DLMF 8.17."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logarithm + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(a, b, x) / a
    return 1 - front * _continued_fraction(b, a, 1 - x) / b


def _continued_fraction(a: float, b: float, x: float) -> float:
    """Evaluate DLMF 8.17.22 from the front, with Lentz's method; two terms a round."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or _TINY)
    result = d
    for m in range(1, 10_000):
        k = a + 2 * m
        term = m * (b - m) * x / ((k - 1) * k)
        d = 1 / (1 + term * d or _TINY)
        c = 1 + term / c or _TINY
        result *= c * d
        term = -(a + m) * (a + b + m) * x / (k * (k + 1))
        d = 1 / (1 + term * d or _TINY)
        c = 1 + term / c or _TINY
        last = c * d
        result *= last
        if abs(last - 1) < _CLOSE:
            break
    return result


@lru_cache(maxsize=4096)
def student_quantile(probability: float, degrees: float) -> float:
    """Return t with P(T <= t) = `probability`, for a probability of at least one half.

    From the expansion of Abramowitz and Stegun 26.7.5 by Halley's method; the last step has one
    more term of the inverse's series, so that its error is of the fourth order.
    """
    if degrees > _NORMAL_FROM:
        return _normal(probability)
    logarithm = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    scale = math.exp(logarithm) / math.sqrt(degrees * math.pi)
    t = _first_guess(_normal(probability), degrees)
    for _ in range(60):
        missing = _upper_tail(t, degrees, scale) - (1 - probability)
        density = scale * math.exp(-(degrees + 1) / 2 * math.log1p(t * t / degrees))
        step = missing / density
        around = degrees + t * t
        # The density's derivative over itself, and that one's derivative.
        first = -(degrees + 1) * t / around
        if abs(step) <= _LAST_STEP * t:
            second = -(degrees + 1) * (degrees - t * t) / (around * around)
            return t + step * (1 - step * (first / 2 - step * (2 * first**2 - second) / 6))
        t += step / (1 - step * first / 2)
    return t


def _upper_tail(t: float, degrees: float, scale: float) -> float:
    """Return `student_upper_tail`, where possible by integrating the density: four times faster."""
    if not (_FEWEST <= degrees <= _MOST and 0 <= t <= _FARTHEST):
        return student_upper_tail(t, degrees)
    square, power = t * t / degrees, -(degrees + 1) / 2
    area: float = sum([weight * (1 + place * square) ** power for place, weight in _POINTS])
    return 0.5 - t * scale * area


def _first_guess(z: float, degrees: float) -> float:
    first = (z**3 + z) / (4 * degrees)
    if degrees < _EXPANSION_FROM:
        return z + first
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * degrees**4)
    return z + first + second + third + fourth


@lru_cache(maxsize=64)
def _normal(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard error of a difference of means, and its degrees of freedom."""

    error: float
    degrees: float

    def margin(self, confidence: float) -> float:
        """Return the half-width of an interval with one-sided `confidence` at each end."""
        return student_quantile(confidence, self.degrees) * self.error

    def detectable(self, margin: float) -> float:
        """Return the true difference that an interval this wide tells from 0 in 80 % of runs."""
        return margin + self.margin(POWER)


def spread(baseline: Sequence[float], candidate: Sequence[float]) -> Spread | None:
    """Return the spread of the difference of two means, or None where there is none to see.

    Three or more candidate values: Welch (Biometrika 34, 1947). Fewer: the spread of the
    baseline predicts that of the candidate (Hahn and Meeker, Statistical Intervals, chapter 4).
    """
    n0, n1 = len(baseline), len(candidate)
    if n0 < MIN_FOR_SPREAD:
        return None
    first = variance(baseline)
    if n1 < MIN_FOR_WELCH:
        return _spread(first * (1 / n0 + 1 / n1), n0 - 1)
    return welch(first, n0, variance(candidate), n1)


def welch(first: float, n0: int, second: float, n1: int) -> Spread | None:
    """Return Welch's spread from two variances, with Satterthwaite's degrees of freedom."""
    if not (math.isfinite(first) and math.isfinite(second)):
        return None
    largest = max(first, second)
    if largest <= 0:
        return None
    # Ratios, because squares of tiny variances underflow.
    a, b = first / largest / n0, second / largest / n1
    degrees = (a + b) ** 2 / (a * a / (n0 - 1) + b * b / (n1 - 1))
    return _spread((a + b) * largest, degrees)


def _spread(squared_error: float, degrees: float) -> Spread | None:
    if not 0 < squared_error < math.inf:
        return None
    return Spread(math.sqrt(squared_error), degrees)


def variance(values: Sequence[float]) -> float:
    """Return the unbiased sample variance: exactly 0 for equal values, infinite on overflow."""
    if values.count(values[0]) == len(values):
        return 0.0
    try:
        mean = math.fsum(values) / len(values)
        return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    except OverflowError:
        return math.inf


def seeds_to_settle(
    baseline: Sequence[float], candidate: Sequence[float], limit: float, confidence: float
) -> int | None:
    """Return how many seeds a side needs so that the margin falls to `limit`, at this spread.

    None when not even SEEDS_SEARCHED would do. Fewer than three candidate values say little of
    their own spread, so the baseline's stands for both.
    """
    first = variance(baseline)
    second = variance(candidate) if len(candidate) >= MIN_FOR_WELCH else first

    def enough(n: int) -> bool:
        found = welch(first, n, second, n)
        return found is None or found.margin(confidence) <= limit

    if limit <= 0 or not enough(SEEDS_SEARCHED):
        return None
    low, high = 2, SEEDS_SEARCHED
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def welch_p_value(baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    """Return the one-sided p-value of `candidate` being smaller on average; None if unknowable."""
    if min(len(baseline), len(candidate)) < MIN_FOR_SPREAD:
        return None
    found = welch(variance(baseline), len(baseline), variance(candidate), len(candidate))
    if found is None:
        return None
    difference = math.fsum(baseline) / len(baseline) - math.fsum(candidate) / len(candidate)
    return student_upper_tail(difference / found.error, found.degrees)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values: calling those up to q keeps the share of false calls below q.

    Benjamini and Hochberg, J. R. Statist. Soc. B 57 (1995).
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    adjusted = [1.0] * len(p_values)
    smallest = 1.0
    for position, index in enumerate(order):
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - position))
        adjusted[index] = smallest
    return adjusted


def noise_margin(values: Sequence[float], seeds: int, false_alarms: float) -> float | None:
    """Return the tolerance that a run of `seeds` seeds without any change exceeds so rarely.

    t(1 - false_alarms, n - 1) * s * sqrt(1/n + 1/seeds), rounded up to two digits: the prediction
    interval of a difference of means (Hahn and Meeker, Statistical Intervals, chapter 4). None
    for fewer than two values, or equal ones: they show no noise.
    """
    if len(values) < MIN_FOR_SPREAD:
        return None
    found = _spread(variance(values) * (1 / len(values) + 1 / seeds), len(values) - 1)
    return None if found is None else round_up(found.margin(1 - false_alarms))


def round_up(value: float, digits: int = 2) -> float:
    """Round a positive number up to so many significant digits."""
    exponent = math.floor(math.log10(value)) - digits + 1
    return float(f"{math.ceil(value / 10**exponent - 1e-9)}e{exponent}")
