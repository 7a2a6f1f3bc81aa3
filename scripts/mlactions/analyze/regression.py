"""Does one parameter explain anything beyond another? Least squares on ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlactions.analyze.ranks import f_upper_tail, ranks

MOST_LEVELS = 8
_DEPENDENT = 1e-9

Terms = list[list[float]]


def terms(values: Sequence[float | str | None]) -> Terms:
    """Return a parameter as columns of a linear model: powers of its ranks, or its levels.

    Ranks up to the third power follow one optimum in the middle; a text's levels, and the lack of
    the parameter, are a column each.
    """
    numbers = [value for value in values if isinstance(value, int | float)]
    found: Terms = []
    if len(set(numbers)) > 1:
        places = iter(ranks(numbers))
        scale = (len(numbers) + 1) / 2
        linear = [
            next(places) / scale - 1 if isinstance(value, int | float) else 0.0 for value in values
        ]
        powers = min(len(set(numbers)) - 1, 3)
        found += [[item**power for item in linear] for power in range(1, powers + 1)]
    others = [value for value in values if not isinstance(value, int | float)]
    levels = sorted({str(value) for value in others}, key=lambda text: -_count(others, text))
    skipped = 0 if numbers else 1  # the intercept stands for one level
    for text in levels[skipped:MOST_LEVELS]:
        found.append(
            [float(not isinstance(value, int | float) and str(value) == text) for value in values]
        )
    return found


def _count(values: Sequence[object], text: str) -> int:
    return sum(str(value) == text for value in values)


@dataclass(frozen=True)
class Fit:
    """What some parameters explain: an orthonormal basis, and what they leave of the target."""

    basis: Terms
    residual: list[float]

    def beyond(self, second: Terms) -> float | None:
        """Return the p-value of the second explaining anything of what is left.

        None where nothing of it is new: it cannot be told from what is known.
        """
        basis = list(self.basis)
        _extend(basis, second)
        added, rest = basis[len(self.basis) :], len(self.residual) - len(basis)
        if not added or rest < 1:
            return None
        before = math.fsum([value * value for value in self.residual])
        residual = self.residual
        for vector in added:
            residual = _without(residual, vector)
        after = math.fsum([value * value for value in residual])
        return f_upper_tail(before - after, after, len(added), rest)


def fit(first: Terms, target: Sequence[float]) -> Fit:
    """Fit ranks of the target by the terms of some parameters."""
    n = len(target)
    basis: Terms = []
    _extend(basis, [[1.0] * n, *first])
    residual = [value - (n + 1) / 2 for value in ranks(target)]
    for vector in basis:
        residual = _without(residual, vector)
    return Fit(basis, residual)


def beyond(first: Terms, second: Terms, target: Sequence[float]) -> float | None:
    """Return the p-value of the second explaining ranks of the target beyond the first."""
    return fit(first, target).beyond(second)


def _extend(basis: Terms, columns: Terms) -> None:
    """Add what is new in each column, orthonormal to what is there (Gram-Schmidt, twice)."""
    for column in columns:
        size = math.sqrt(math.fsum([value * value for value in column]))
        rest = column
        for _ in range(2):
            for vector in basis:
                rest = _without(rest, vector)
        length = math.sqrt(math.fsum([value * value for value in rest]))
        if size > 0 and length > _DEPENDENT * size:
            basis.append([value / length for value in rest])


def _without(values: list[float], vector: Sequence[float]) -> list[float]:
    part = math.fsum([a * b for a, b in zip(values, vector, strict=True)])
    return [a - part * b for a, b in zip(values, vector, strict=True)]
