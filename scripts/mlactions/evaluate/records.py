"""What evaluate speaks of: a model's config, one evaluation of it, and how that ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Side = Literal["head", "base"]


class Outcome(StrEnum):
    """How one evaluation ended; everything but `ok` fails the check."""

    OK = "ok"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"
    KILLED = "killed"
    NO_METRICS = "no-metrics"
    BAD_METRICS = "bad-metrics"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Config:
    """A config file: its path below the working directory, its stem, and the model's name."""

    path: str
    stem: str
    model: str


@dataclass(frozen=True)
class Choice:
    """Whether a config is evaluated, and why or why not."""

    config: Config
    selected: bool
    reason: str


@dataclass(frozen=True)
class Removed:
    """A config of the base that the head lacks, and the model that it is now, None for none.

    `kind` says how it went: `deleted`, `renamed`, or `changed` into something else.
    """

    config: Config
    kind: str
    renamed_to: str | None


@dataclass(frozen=True)
class Task:
    """One evaluation to run: a config, a seed, and the side of the change it measures."""

    config: Config
    side: Side
    seed: int | None
    reason: str

    @property
    def label(self) -> str:
        """Return the words that progress lines use: `vit_small seed 1`, `vit_small base`."""
        side = " base" if self.side == "base" else ""
        seed = "" if self.seed is None else f" seed {self.seed}"
        return f"{self.config.model}{side}{seed}"

    @property
    def stem(self) -> str:
        """Return the file stem of this seed's log and predictions."""
        return f"seed-{'none' if self.seed is None else self.seed}"

    @property
    def folder(self) -> str:
        """Return the folder of this model and side, below `logs/` or `predictions/`."""
        return f"{self.side}/{self.config.model}"


@dataclass(frozen=True)
class Place:
    """A line of the repository that a traceback ends at; `file` is relative to its root."""

    file: str
    line: int


@dataclass(frozen=True)
class Record:
    """How one evaluation ended, and what it measured.

    `metrics` holds one value, or several where the user's script reports a list over seeds.
    `log` and `predictions` are paths in the bundle; memory is in bytes.
    """

    task: Task
    outcome: Outcome
    detail: str = ""
    seconds: float = 0.0
    peak_memory: int | None = None
    log: str | None = None
    log_tail: tuple[str, ...] = ()
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reported: Mapping[str, Any] = field(default_factory=dict)
    predictions: str | None = None
    place: Place | None = None
    cached: bool = False

    @property
    def ok(self) -> bool:
        """True for the one outcome whose numbers count."""
        return self.outcome is Outcome.OK
