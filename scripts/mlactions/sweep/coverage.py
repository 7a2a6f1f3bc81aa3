"""How well the trials cover each parameter, one at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from mlactions.sweep.domains import Domain, Numbers
from mlactions.sweep.identity import canonical_value
from mlactions.sweep.model import Space, Trial

MAX_LEVELS = 12
BINS = 10
_LONGEST = 60


@dataclass
class _Column:
    domain: Domain
    trials: int = 0
    counts: dict[Any, int] = field(default_factory=dict)
    bins: set[int] = field(default_factory=set)
    low: float = math.inf
    high: float = -math.inf
    more: bool = False


class Coverage:
    """Counts, while trials are made, which values of each parameter they take."""

    def __init__(self, space: Space) -> None:
        self._columns = {item.key: _Column(item.domain) for item in space.parameters}

    def note(self, trial: Trial) -> None:
        """Count a trial."""
        for key, value in trial.values.items():
            column = self._columns[key]
            column.trials += 1
            kind = type(value)
            if kind is int or kind is float:
                column.low = min(column.low, value)
                column.high = max(column.high, value)
                if isinstance(column.domain, Numbers):
                    column.bins.add(bin_of(column.domain, value))
            place = canonical_value(value) if kind is list or kind is dict else (kind, value)
            if place in column.counts:
                column.counts[place] += 1
            elif len(column.counts) < 1000:  # noqa: PLR2004  # more are only counted as many
                column.counts[place] = 1
            else:
                column.more = True

    def rows(self) -> list[dict[str, Any]]:
        """Return a row per parameter, as the result holds it."""
        return [self._row(key, column) for key, column in self._columns.items()]

    def _row(self, key: str, column: _Column) -> dict[str, Any]:
        levels = column.domain.levels()
        numeric = math.isfinite(column.low)
        shown = [] if len(column.counts) > MAX_LEVELS else [*column.counts.items()]
        return {
            "name": key,
            "trials": column.trials,
            "distinct": len(column.counts),
            "more": column.more,
            "possible": None if levels is None else len(levels),
            "values": [{"value": _shown(place), "trials": count} for place, count in shown],
            "low": column.low if numeric else None,
            "high": column.high if numeric else None,
            "tenths": len(column.bins) if isinstance(column.domain, Numbers) else None,
        }


def _shown(place: Any) -> str:
    value = place if isinstance(place, str) else place[1]
    text = value if isinstance(value, str) and value else canonical_value(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def bin_of(domain: Numbers, value: float) -> int:
    """Return the tenth of the domain's probability that a value lies in, from 0 to 9."""
    if domain.family in {"normal", "log-normal"}:
        from statistics import NormalDist

        number = math.log(value) if domain.family == "log-normal" and value > 0 else value
        share = NormalDist(domain.mu, domain.sigma).cdf(number)
    elif domain.family == "uniform":
        share = (value - domain.low) / (domain.high - domain.low or 1.0)
    else:
        low, high = math.log(domain.low), math.log(domain.high)
        share = (math.log(max(value, domain.low)) - low) / (high - low or 1.0)
    return min(max(int(share * BINS), 0), BINS - 1)
