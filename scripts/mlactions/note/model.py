"""What `note` knows: a note, its sections, what it expects, and what became of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlactions.compare.model import Baseline

State = Literal["open", "closed"]
Outcome = Literal["", "held", "refuted", "undecided"]
Level = Literal["fail", "warn", "notice"]

HYPOTHESIS, EXPECTED, ROLLBACK, RESULT = (
    "Hypothesis",
    "Expected outcomes",
    "Rollback criteria",
    "Result",
)
SECTIONS = (HYPOTHESIS, EXPECTED, ROLLBACK, RESULT)
STATES: tuple[State, ...] = ("open", "closed")
OUTCOMES: tuple[Outcome, ...] = ("", "held", "refuted", "undecided")
NOTES = "experiments"
CONFIGS = ("configs/*.yaml",)
"""Where notes are kept, and which configs need one, where nobody says otherwise."""


@dataclass(frozen=True)
class Section:
    """A section's text between two character positions; `line` is its heading's."""

    name: str
    line: int
    start: int
    end: int


@dataclass(frozen=True)
class Note:
    """A note that was read. `rollback` is None where the criteria are words alone."""

    file: str
    text: str = field(repr=False)
    id: int
    title: str
    state: State
    outcome: Outcome
    configs: tuple[str, ...]
    sections: Mapping[str, Section]
    expected: Baseline
    rollback: Baseline | None = None


@dataclass(frozen=True)
class Finding:
    """Something to say of notes; `reason` is a stable code."""

    reason: str
    level: Level
    message: str
    file: str | None = None
    line: int | None = None
    hint: str = ""
