"""Numbers and changes as people read them. The same decimals for every number of a rule."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlactions.compare.model import Direction, Evidence

MOST_DECIMALS = 10
LARGEST = 1e15
MORE_DECIMALS = 3
"""How many decimals a small value may add to a rule's numbers."""

_MOVED = {
    ("higher", True): "fell",
    ("higher", False): "rose",
    ("lower", True): "rose",
    ("lower", False): "fell",
}


def decimals_for(evidence: Evidence) -> int:
    """Return how many decimals show two digits of what is allowed, or of the change.

    More where a small value beside a large one would look like 0, and where the change and the
    limit would otherwise look alike.
    """
    scale = evidence.allowed or abs(evidence.change) or abs(evidence.candidate) / 1000
    digits = decimals_of(scale)
    smallest = min(filter(None, (abs(evidence.baseline), abs(evidence.candidate))), default=0.0)
    if smallest:
        digits = max(digits, min(decimals_of(smallest), digits + MORE_DECIMALS))
    while digits < MOST_DECIMALS and _alike(evidence.degradation, evidence.allowed, digits):
        digits += 1
    return digits


def decimals_of(scale: float) -> int:
    """Return how many decimals show two digits of `scale`."""
    if not (scale > 0 and math.isfinite(scale)):
        return 4
    return min(max(1 - math.floor(math.log10(scale)), 0), MOST_DECIMALS)


def decimals_of_means(*sides: Sequence[float]) -> int:
    """Return how many decimals show four digits of the larger mean of some sides."""
    sizes = [abs(sum(values) / len(values)) for values in sides if values]
    return significant(max(sizes, default=0.0))


def significant(size: float, digits: int = 4) -> int:
    """Return how many decimals show so many digits of a number of this size."""
    return decimals_of(size * 10.0 ** (2 - digits))


def _alike(first: float, second: float, digits: int) -> bool:
    return first != second and f"{first:.{digits}f}" == f"{second:.{digits}f}"


def number(value: float, decimals: int) -> str:
    """Return a number with so many decimals; far out of their range, four digits."""
    size = abs(value)
    if size >= LARGEST or 0 < size < 0.5 * 10**-MOST_DECIMALS:
        return f"{value:.4g}"
    shown = f"{value:,.{decimals}f}"
    return shown.removeprefix("-") if float(shown.replace(",", "")) == 0 else shown


def signed(value: float, decimals: int) -> str:
    """Return a change with its sign."""
    shown = number(value, decimals)
    return shown if shown.startswith("-") or not shown.strip("0.,") else f"+{shown}"


def plain(value: float) -> str:
    """Return a number as it was written, up to six digits."""
    return f"{value:.6g}"


def with_unit(text: str, unit: str) -> str:
    """Return a number and its unit."""
    return f"{text} {unit}" if unit else text


def moved(direction: Direction, change: float, amount: str) -> str:
    """Say how a metric moved: `fell by 0.031`."""
    if change == 0:
        return "did not move"
    if direction == "equal":
        return f"{'rose' if change > 0 else 'fell'} by {amount}"
    worse = (change < 0) == (direction == "higher")
    return f"{_MOVED[direction, worse]} by {amount}"


def allowance(direction: Direction, allowed: float, decimals: int) -> str:
    """Return the change a rule allows, with the sign that makes it worse."""
    sign = {"higher": "-", "lower": "+", "equal": "±"}[direction]
    return f"{sign}{number(allowed, decimals)}" if allowed else "0"
