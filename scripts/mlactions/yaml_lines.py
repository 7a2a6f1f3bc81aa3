"""Find the lines that places of a YAML or JSON text stand on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from mlactions.strict_yaml import Keys, Marks, events_of, parse_yaml


@dataclass(frozen=True, slots=True)
class Marked:
    """A document that was read together with its lines: finding places takes no second pass."""

    value: Any
    marks: Marks

    def holds(self, keys: Keys) -> bool:
        """Tell whether the document has a place."""
        value = self.value
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return False
        return True

    def line(self, keys: Keys, *, least: int = 0) -> int | None:
        """Return the 1-based line of a place, or of the nearest above it.

        None where fewer than `least` of its keys lead anywhere.
        """
        value, line = self.value, None
        for count, key in enumerate(keys):
            try:
                value, line = value[key], self.marks.get(id(value), {}).get(key, line)
            except (KeyError, IndexError, TypeError):
                return line if count >= least else None
        return line


def parse_marked(text: str, *, name: str) -> Marked:
    """Parse one YAML document and note the lines of its keys; errors are those of `parse_yaml`."""
    marks: Marks = {}
    return Marked(parse_yaml(text, name=name, marks=marks), marks)


def lines_of(text: str, places: Iterable[Keys]) -> dict[tuple[str | int, ...], int | None]:
    """Return the 1-based line of each place in a YAML or JSON text, or of the nearest above.

    One pass for all of them. Only called once something is worth pointing at.
    """
    wanted = [tuple(place) for place in places]
    root = _Place()
    for place in wanted:
        spot = root
        for key in place:
            spot = spot.below.setdefault(str(key), _Place())
    _locate(text, root)
    return {place: _nearest(root, place) for place in wanted}


def line_of(text: str, keys: Keys) -> int | None:
    """Return the 1-based line of one place, or of the nearest above."""
    return lines_of(text, [keys])[tuple(keys)]


@dataclass(slots=True)
class _Place:
    """A wanted place and those below it, by key or position."""

    line: int | None = None
    below: dict[str, _Place] = field(default_factory=dict)


def _nearest(root: _Place, place: Sequence[str | int]) -> int | None:
    line, spot = root.line, root
    for key in place:
        spot = spot.below[str(key)]
        if spot.line is None:
            break
        line = spot.line
    return line


@dataclass(slots=True)
class _Level:
    """A collection on the way: the wanted place it is, and where in it we are."""

    place: _Place | None
    is_mapping: bool
    position: int = 0
    value: _Place | None = None


def _locate(text: str, root: _Place) -> None:
    """Note the lines of all wanted places; up to the first syntax error, where there is one."""
    levels: list[_Level] = []
    try:
        for event in events_of(text):
            kind = type(event)
            if kind in {MappingEndEvent, SequenceEndEvent}:
                levels.pop()
            elif kind in {ScalarEvent, AliasEvent, MappingStartEvent, SequenceStartEvent}:
                place = _visit(levels, event, root)
                if kind in {MappingStartEvent, SequenceStartEvent}:
                    levels.append(_Level(place, kind is MappingStartEvent))
    except (yaml.YAMLError, IndexError):
        return


def _visit(levels: list[_Level], event: Any, root: _Place) -> _Place | None:
    """Return the wanted place that a node is, after noting its line."""
    line = event.start_mark.line + 1
    if not levels:
        root.line = line
        return root
    level = levels[-1]
    position, level.position = level.position, level.position + 1
    if level.place is None:
        return None
    if level.is_mapping and position % 2:
        return level.value
    key = getattr(event, "value", None) if level.is_mapping else str(position)
    found = level.place.below.get(str(key))
    if found is not None and found.line is None:
        found.line = line
    level.value = found
    return None if level.is_mapping else found
