"""Points of the unit cube for random and Sobol search; the same seed gives the same points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from random import Random

from mlactions.errors import UserError

SOBOL_DIMENSIONS = 21_201
_LARGEST_DRAW = 16  # as a power of two


def points(method: str, dimensions: int, seed: int, wanted: int) -> Iterator[Sequence[float]]:
    """Yield points without end; a Sobol sequence is drawn in powers of two, as it has to be."""
    if method == "sobol" and dimensions:
        return _sobol(dimensions, seed, wanted)
    return _random(dimensions, seed)


def _random(dimensions: int, seed: int) -> Iterator[Sequence[float]]:
    random = Random(seed)  # noqa: S311  # a search, not a secret
    while True:
        yield [random.random() for _ in range(dimensions)]


def _sobol(dimensions: int, seed: int, wanted: int) -> Iterator[Sequence[float]]:
    if dimensions > SOBOL_DIMENSIONS:
        message = f"Sobol points have at most {SOBOL_DIMENSIONS:,} dimensions, not {dimensions:,}."
        raise UserError("not a valid sweep", message, "Choose `method: random`.")
    from scipy.stats import qmc  # a second to import

    engine = qmc.Sobol(dimensions, scramble=True, rng=seed)
    power = min(max(math.ceil(math.log2(max(wanted, 1))), 0), _LARGEST_DRAW)
    while True:
        yield from engine.random(2**power).tolist()
