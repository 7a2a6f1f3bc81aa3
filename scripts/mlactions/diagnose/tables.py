"""Metrics that a log prints as a table: CSV, or columns under a line of names. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MOST_COLUMNS = 200
_NAME = re.compile(r"[A-Za-z_#%][\w./()%@:#-]{0,99}")


@dataclass
class Table:
    """The columns of the table that lines may belong to now."""

    names: tuple[str, ...] = ()
    comma: bool = False

    def read(self, line: str) -> dict[str, float] | None:
        """Return a row's numbers; None for a line that is none. A line of names begins a table."""
        cells = self._cells(line, comma="," in line)
        if len(cells) > 1 and all(_NAME.fullmatch(cell) for cell in cells):
            self.names, self.comma = tuple(cells[:MOST_COLUMNS]), "," in line
            return None
        cells = self._cells(line, comma=self.comma)
        if not self.names or len(cells) != len(self.names):
            self.names = self.names if not line else ()
            return None
        values = {name: _number(cell) for name, cell in zip(self.names, cells, strict=True)}
        return {name: value for name, value in values.items() if value is not None} or None

    @staticmethod
    def _cells(line: str, *, comma: bool) -> list[str]:
        return [cell.strip().strip('"') for cell in (line.split(",") if comma else line.split())]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if not math.isnan(value) or cell else None
