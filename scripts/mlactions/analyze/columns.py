"""Which parameters tell rows apart: the columns of a table, the axes of a chart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SPEAKING = frozenset({"name", "model", "type", "kind", "arch", "architecture"})
"""Last parts of names that say most of a group: `model.name` rather than `model.depth`."""


@dataclass(frozen=True)
class Telling:
    """A parameter that differs between rows, and those that say nothing beyond it there."""

    name: str
    others: tuple[str, ...] = ()


def telling(
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    bound: Sequence[Collection[str]],
    most: int,
) -> tuple[Telling, ...]:
    """Return the first `most` parameters that differ between rows, one for each way of parting.

    Parameters that part the rows alike stand behind one of them. Where each row has a value of its
    own, that says nothing: there only parameters that are `bound` in all runs do. Of a single row,
    or of rows that differ in nothing, it is the first that they have.
    """
    groups = {name: place for place, group in enumerate(bound) for name in group}
    parted: dict[tuple[tuple[int, ...], int | str], list[str]] = {}
    for name in names:
        parting = _parting([row.get(name) for row in rows])
        if max(parting, default=0) > 0:
            own = max(parting) == len(rows) - 1
            parted.setdefault((parting, groups.get(name, name) if own else ""), []).append(name)
    if parted:
        return tuple(_of_group(group) for group in list(parted.values())[:most])
    known = [name for name in names if any(name in row for row in rows)]
    return tuple(Telling(name) for name in known[:most])


def _parting(values: Sequence[Any]) -> tuple[int, ...]:
    """Return for each value the number of its group, in the order in which groups appear."""
    seen: dict[Any, int] = {}
    return tuple(seen.setdefault(value, len(seen)) for value in values)


def _of_group(names: Sequence[str]) -> Telling:
    first = next((name for name in names if name.rpartition(".")[2] in _SPEAKING), names[0])
    return Telling(first, tuple(name for name in names if name != first))
