"""Sizes, times and money in words."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTE, _HOUR = 60.0, 3600.0


def size(count: float) -> str:
    """Return bytes as people say them: `1.5 GiB`."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if abs(value) < 1024:  # noqa: PLR2004  # what these units are made of
            return f"{_digits(value)} {unit}" if unit != "B" else f"{value:.0f} B"
        value /= 1024
    return f"{_digits(value)} {_UNITS[-1]}"


def _digits(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: PLR2004  # three digits


def duration(seconds: float) -> str:
    """Return seconds as people say them: `12.3 s`, `4 min 5 s`, `2 h`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if round(seconds) < _HOUR:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
