"""What is known of the runs before histories are read. No clock, no network."""

from __future__ import annotations

from dataclasses import dataclass

from mlactions.analyze.influence import Influence, influence
from mlactions.analyze.model import (
    MAX_PARAMETERS,
    Settings,
)
from mlactions.analyze.observations import (
    Observation,
    Selection,
    View,
    observations,
    ranked,
    select,
    view,
)
from mlactions.analyze.table import Table


@dataclass(frozen=True)
class Study:
    """Everything that is known before histories are read."""

    settings: Settings
    table: Table
    selection: Selection
    view: View
    ranked: tuple[Observation, ...]
    influence: Influence
    left_out: int


def study(table: Table, settings: Settings) -> Study:
    """Sort the runs, see what varies, put seeds together, and tell what matters."""
    selection = select(table, settings.day_ms)
    seen = view(table, selection.used, settings)
    found = observations(table, selection.used, seen)
    studied = seen.varying[:MAX_PARAMETERS]
    return Study(
        settings,
        table,
        selection,
        seen,
        tuple(ranked(found, settings)),
        influence(found, studied, settings),
        len(seen.varying) - len(studied),
    )


def best_rows(found: Study) -> list[int]:
    """Return the best runs, whose histories are worth reading."""
    rows = [row for one in found.ranked[: found.settings.top] for row in one.rows]
    sign, values = found.settings.sign, found.table.values
    return sorted(rows, key=lambda row: (-sign * values[row], row))[: found.settings.top]
