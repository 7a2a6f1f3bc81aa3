"""Families of nested runs: which of them count, and what children take over from their parent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlactions.analyze.model import FOLD_NAMES, PART_NAMES, SEED_NAMES

if TYPE_CHECKING:
    from mlactions.analyze.table import Table


@dataclass(frozen=True)
class Families:
    """Rows that do not count: `frames` only hold other runs, `parts` are only held by them."""

    frames: frozenset[int] = frozenset()
    parts: frozenset[int] = frozenset()


def is_seed(name: str, given: Sequence[str]) -> bool:
    """Tell whether a parameter is a seed or a fold: named by the user, or by its last part."""
    if given:
        return name in given or is_fold(name)
    last = _last(name)
    return last in SEED_NAMES or last.endswith("_seed") or is_fold(name)


def is_fold(name: str) -> bool:
    """Tell whether a parameter is the fold of a cross-validation."""
    return _last(name) in FOLD_NAMES


def _last(name: str) -> str:
    return re.split(r"[./]", name.lower())[-1]


def settle(table: Table) -> Families:
    """Tell which runs of families count, and let parts take over what only their parent logged.

    A child that logged nothing but a seed or a fold is a part of its parent: an evaluation of it,
    or a fold. Where the parent has the metric itself, it counts and its parts do not; otherwise
    the parent is a frame, as is one whose children have parameters of their own.
    """
    children = _children(table)
    telling = [
        column
        for name, column in table.columns.items()
        if not is_seed(name, ()) and _last(name) not in PART_NAMES
    ]
    configured = {
        row
        for row in {*children, *(row for found in children.values() for row in found)}
        if any(column.at(row) is not None for column in telling)
    }
    frames: set[int] = set()
    parts: set[int] = set()
    for parent, found in children.items():
        only_parts = parent in configured and not configured.intersection(found)
        if only_parts and table.has(parent) == "finite":
            parts.update(found)
            continue
        frames.add(parent)
        for row in found if only_parts else ():
            for column in telling:
                column.take_over(row, parent)
    return Families(frozenset(frames), frozenset(parts))


def _children(table: Table) -> dict[int, list[int]]:
    """Return for each row that others are nested in those of them that have the metric."""
    rows = {identifier: row for row, identifier in enumerate(table.ids) if table.parents}
    found: dict[int, list[int]] = {}
    for row, parent in table.parents.items():
        if parent in rows and table.has(row) != "absent":
            found.setdefault(rows[parent], []).append(row)
    return found
