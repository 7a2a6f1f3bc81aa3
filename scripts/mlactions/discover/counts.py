"""Counts and sizes as people write them: `100M` parameters, 1.2 GB. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

from mlactions.errors import UserError

_COUNT = re.compile(r"(?P<number>[0-9]+(?:[_,][0-9]{3})*(?:\.[0-9]+)?)\s*(?P<unit>[kKmMbBtTgG]?)")
_UNITS = {"": 0, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12}
_LARGEST = 10**18
_STEP = 1000


def parse_count(text: str, *, field: str) -> int:
    """Read `100M`, `1.5B`, `60_000`. Raises UserError for what is no positive whole number."""
    match = _COUNT.fullmatch(text.strip())
    number = Decimal(0)
    if match and len(text) < 40:  # noqa: PLR2004  # digits beyond that are a mistake
        plain = match["number"].replace("_", "").replace(",", "")
        number = Decimal(plain) * 10 ** _UNITS[match["unit"].upper()]
    if not 1 <= number <= _LARGEST or number != int(number):
        raise UserError(
            "bad input",
            f"`{field}` is {text!r}, not a positive count.",
            "Write for example 100M, 1.5B or 60000.",
        )
    return int(number)


def show_count(number: int | None) -> str:
    """Return a count as it is read at a glance: 66,955,010 is 66.9 M."""
    return "unknown" if number is None else _scaled(number, ("", "k", "M", "B", "T"))


def show_bytes(number: int | None) -> str:
    """Return a size in decimal units, as the Hub shows it."""
    return "unknown" if number is None else _scaled(number, ("B", "kB", "MB", "GB", "TB"))


def _scaled(number: int, units: tuple[str, ...]) -> str:
    power = min((len(str(number)) - 1) // 3, len(units) - 1)
    shown = _three(number / _STEP**power) if power else str(number)
    return f"{shown} {units[power]}".rstrip()


def _three(value: float) -> str:
    """Return three digits that count; a number just below a limit is not rounded above it."""
    places = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004  # three digits
    return f"{int(value * 10**places) / 10**places:.{places}f}"


def at_most_millions(number: int) -> str:
    """Return the least count of whole millions that is not below a number, as the Hub reads it."""
    return f"max:{-(-number // 1_000_000)}M"
