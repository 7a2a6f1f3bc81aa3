"""How diagnose writes numbers and lists."""

from __future__ import annotations

WHOLE = 1e6
"""Whole numbers below this are written out."""


def number(value: float | None) -> str:
    """Return a number with four digits that count; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < WHOLE):
        return f"{int(value):,}"
    return f"{value:.4g}"


def listed(items: list[str], most: int = 5) -> str:
    """Return names in backticks, the first few and how many more."""
    shown = ", ".join(f"`{item}`" for item in items[:most])
    more = len(items) - most
    return f"{shown} and {more:,} more" if more > 0 else shown
