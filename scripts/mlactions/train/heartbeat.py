"""Signs of life: a log that grows, a checkpoint that is newer, a progress file that moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import parse_json
from mlactions.train.model import Progress, Source

MAX_BYTES = 64 * 1024
KEPT = 200
"""Points of a run's progress that its result holds."""

_DIGITS = 18  # longer, and it is no step of any training


@dataclass
class Heartbeat:
    """When anything last moved; `sources` says what counts. Times are seconds of one clock."""

    sources: frozenset[Source]
    last: float
    _marks: dict[Source, object] = field(default_factory=dict)

    def look(self, now: float, marks: Mapping[Source, object]) -> None:
        """Take note of what each source shows; one that changed is a sign of life."""
        for source in self.sources & marks.keys():
            if self._marks.get(source) != marks[source]:
                self._marks[source] = marks[source]
                self.last = now

    def silent(self, now: float) -> float:
        """Return for how long nothing has moved."""
        return now - self.last


@dataclass
class History:
    """The progress of a run, thinned by halves so that it never outgrows `KEPT` points."""

    points: list[Progress] = field(default_factory=list)
    _skip: int = 1
    _count: int = 0
    _last: Progress | None = None

    def add(self, point: Progress) -> None:
        """Take one more point; the last one is always kept."""
        self._last = point
        if self._count % self._skip == 0:
            self.points.append(point)
        self._count += 1
        if len(self.points) >= KEPT:
            self.points = self.points[::2]
            self._skip *= 2

    def all(self) -> tuple[Progress, ...]:
        """Return what is kept, in order."""
        last = [] if self._last is None or self._last in self.points[-1:] else [self._last]
        return (*self.points, *last)


def mark(path: Path) -> object:
    """Return what changes when a file is written anew; None while there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_ino, about.st_size


def read_progress(path: Path, seconds: float) -> Progress | None:
    """Return what a progress file says; None for one that is absent, half-written or senseless.

    The file is the user's: `{"step": 120, "loss": 0.25, "eta": 600}`, each of them optional, and
    `"nan"` where JSON has no number for it.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES).decode("utf-8", "replace")
        document = parse_json(text, name=path.name)
    except (OSError, UserError):
        return None
    if not isinstance(document, dict):
        return None
    eta = _number(document.get("eta"))
    return Progress(
        seconds=seconds,
        step=_step(document.get("step")),
        loss=_number(document.get("loss")),
        eta=eta if eta is not None and math.isfinite(eta) and eta >= 0 else None,
    )


def _step(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and abs(value) < 10**_DIGITS else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
