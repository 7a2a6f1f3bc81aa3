"""Telemetry: a row a second into a CSV file, and the few figures that stay of them.

Whatever a run lasts, memory stays the same: means over equal parts are merged by pairs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TextIO

from mlactions.evaluate.proctree import Entry
from mlactions.train.machine import Gpu
from mlactions.train.model import GpuSample, GpuTelemetry, Sample, Spread, Telemetry

INTERVAL = 1.0
BARS = 40
DENSE_ROWS = 86_400
"""Rows, a day of them, after which only every tenth is written: a bundle has a limit."""

_TICKS = os.sysconf("SC_CLK_TCK")
_SPARSE = 10


@dataclass
class Usage:
    """Processor time of a family of processes between two looks, in per cent of one core."""

    _before: dict[int, int] = field(default_factory=dict)
    _when: float | None = None

    def percent(self, members: Sequence[Entry], now: float) -> float:
        """Return the share since the last look; a process that is new counts from its start."""
        spent = sum(max(0, one.used - self._before.get(one.pid, 0)) for one in members)
        first = self._when is None
        passed = now - (self._when or 0.0)
        self._before = {one.pid: one.used for one in members}
        self._when = now
        return 0.0 if first or passed <= 0 else 100 * spent / _TICKS / passed


@dataclass
class _Mean:
    """A running mean and the largest value."""

    total: float = 0.0
    count: int = 0
    largest: float = float("-inf")

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.count += 1
            self.largest = max(self.largest, value)

    def merge(self, other: _Mean) -> _Mean:
        largest = max(self.largest, other.largest)
        return _Mean(self.total + other.total, self.count + other.count, largest)

    def spread(self) -> Spread | None:
        return Spread(round(self.total / self.count, 3), self.largest) if self.count else None


class Line:
    """A quantity over time as at most twice `BARS` means of equally many samples each."""

    def __init__(self) -> None:
        self._parts: list[_Mean] = []
        self._room = 0
        self._width = 1

    def add(self, value: float | None) -> None:
        """Take the next sample."""
        if not self._room:
            self._parts.append(_Mean())
            self._room = self._width
        self._parts[-1].add(value)
        self._room -= 1
        if len(self._parts) >= 2 * BARS and not self._room:
            pairs = zip(self._parts[::2], self._parts[1::2], strict=True)
            self._parts = [first.merge(second) for first, second in pairs]
            self._width *= 2

    def values(self) -> tuple[float | None, ...]:
        """Return at most `BARS` means, in order."""
        parts = self._parts
        while len(parts) > BARS:
            rest = [*parts, _Mean()] if len(parts) % 2 else parts
            parts = [a.merge(b) for a, b in zip(rest[::2], rest[1::2], strict=True)]
        return tuple(round(p.total / p.count, 2) if p.count else None for p in parts)


class Recorder:
    """Writes samples as they come and keeps their figures; use it in a `with` block."""

    def __init__(
        self,
        path: Path,
        gpus: Sequence[Gpu],
        *,
        spent: Callable[[], float] = time.process_time,
        interval: float = INTERVAL,
    ) -> None:
        self._path, self._gpus, self._spent, self._interval = path, gpus, spent, interval
        self._processor, self._memory = _Mean(), _Mean()
        self._of_gpus = [(_Mean(), _Mean(), _Mean()) for _ in gpus]
        self._lines = [Line() for _ in gpus] or [Line()]
        self._count, self._cost, self._end = 0, 0.0, 0.0
        self._stream: TextIO | None = None

    def __enter__(self) -> Self:
        self._stream = self._path.open("w", encoding="utf-8", newline="\n")
        names = ["seconds", "processor_percent", "memory_bytes"]
        for gpu in self._gpus:
            about = ("utilization_percent", "memory_bytes", "power_watts")
            names += [f"gpu{gpu.index}_{name}" for name in about]
        self._stream.write(",".join(names) + "\n")
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def take(self, read: Callable[[], Sample]) -> None:
        """Read one sample, write it, and note what doing so cost."""
        before = self._spent()
        sample = read()
        self._end = sample.seconds
        if self._count < DENSE_ROWS or self._count % _SPARSE == 0:
            self._write(sample)
        self._count += 1
        self._processor.add(sample.processor)
        self._memory.add(sample.memory)
        for means, gpu in zip(self._of_gpus, sample.gpus, strict=False):
            for mean, value in zip(means, (gpu.utilization, gpu.memory, gpu.power), strict=True):
                mean.add(value)
        shown = [gpu.utilization for gpu in sample.gpus] if self._gpus else [sample.processor]
        for line, value in zip(self._lines, shown, strict=False):
            line.add(value)
        self._cost += self._spent() - before

    def _write(self, sample: Sample) -> None:
        cells = [f"{sample.seconds:.2f}", f"{sample.processor:.1f}", str(sample.memory)]
        for gpu in sample.gpus:
            cells += [_cell(gpu.utilization), _cell(gpu.memory), _cell(gpu.power)]
        if self._stream is not None:
            self._stream.write(",".join(cells) + "\n")

    def telemetry(self) -> Telemetry:
        """Return the figures of all samples so far."""
        names = [f"GPU {gpu.index}" for gpu in self._gpus] or ["processor"]
        lines = [(name, line.values()) for name, line in zip(names, self._lines, strict=True)]
        bars = max(len(values) for _, values in lines)
        return Telemetry(
            samples=self._count,
            interval=self._interval,
            cost=self._cost,
            processor=self._processor.spread(),
            memory=self._memory.spread(),
            gpus=tuple(
                GpuTelemetry(gpu.index, gpu.name, *(mean.spread() for mean in means))
                for gpu, means in zip(self._gpus, self._of_gpus, strict=True)
            ),
            seconds=tuple(round(self._end * (bar + 1) / bars, 1) for bar in range(bars)),
            lines=tuple(lines),
        )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def reading(
    seconds: float, usage: Usage, members: Sequence[Entry], gpus: tuple[GpuSample, ...]
) -> Sample:
    """Return one sample of a family of processes and its GPUs."""
    resident = sum(one.resident for one in members)
    return Sample(seconds, usage.percent(members, seconds), resident, gpus)
