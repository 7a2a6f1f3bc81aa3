"""The run: a process of its own group, watched, asked to end in time, and never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlactions.evaluate.guard import guarded
from mlactions.evaluate.logfile import Log
from mlactions.evaluate.proctree import MARKER, Family, oom_kills
from mlactions.train.heartbeat import Heartbeat, History, mark, read_progress
from mlactions.train.model import EndedBy, Progress, Source
from mlactions.train.nvml import Meter
from mlactions.train.signals import Signals
from mlactions.train.stacks import ask_for_stacks
from mlactions.train.telemetry import INTERVAL, Recorder, Usage, reading

LEFTOVER_SECONDS = 5.0
"""Grace for what a training that has ended left running."""

STACK_SECONDS = 5.0
_TICK_SECONDS = 0.1
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """Seconds: until the soft limit (None: none), to save after SIGTERM, without a sign of life."""

    soft: float | None
    grace: float
    stalled: float


@dataclass(frozen=True)
class Sources:
    """Where signs of life are looked for, and which of them count."""

    counted: frozenset[Source]
    checkpoint: Path
    progress: Path


@dataclass(frozen=True)
class Outcome:
    """How it ended: `code` is negative for a signal; `peak` is in bytes."""

    code: int
    by: EndedBy
    seconds: float
    peak: int | None
    out_of_memory: bool


class Watch:
    """One training from its start to its end. `told` gets every new report of progress."""

    def __init__(
        self,
        *,
        limits: Limits,
        sources: Sources,
        log: Log,
        recorder: Recorder,
        meter: Meter,
        told: Callable[[Progress], None],
    ) -> None:
        self._limits, self._sources, self._log = limits, sources, log
        self._recorder, self._meter, self._told = recorder, meter, told
        self.history = History()
        self._usage = Usage()
        self._selector = selectors.DefaultSelector()
        self._bytes = 0
        self._progress_mark: object = None
        self._next_sample = 0.0

    def run(
        self, arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str], stop: Signals
    ) -> Outcome:
        """Run a command until it ends, or has to. Whatever it started is ended too."""
        kills = oom_kills()
        self._family = Family(leader=0)
        self._process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**environ, MARKER: self._family.marker},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._family.leader = self._process.pid
        self._started = time.monotonic()
        self._heart = Heartbeat(self._sources.counted, self._started)
        with guarded(self._process.pid):
            try:
                self._open_pipe()
                by = self._until_end(stop)
                code = self._process.wait()
                seconds = time.monotonic() - self._started
                self._read_rest()
            finally:
                self._close()
        return Outcome(code, by, seconds, self._family.peak, oom_kills() > kills)

    def _open_pipe(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  # for the type checker: a pipe
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._selector.register(self._pipe, selectors.EVENT_READ)

    def _close(self) -> None:
        if self._process.returncode is None:
            self._family.send(signal.SIGKILL)
            self._process.wait()
        self._selector.close()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _until_end(self, stop: Signals) -> EndedBy:
        """Wait for the end, or bring it about; say who did."""
        soft = self._limits.soft
        while not self._has_ended():
            now = time.monotonic()
            if stop.first:
                self._ask_to_end(stop)
                return "signal"
            if soft is not None and now - self._started >= soft:
                self._ask_to_end(stop)
                return "soft-limit"
            if self._heart.silent(now) >= self._limits.stalled:
                self._end_stalled()
                return "stalled"
            self._turn()
        self._end_rest(stop, LEFTOVER_SECONDS)
        return "itself"

    def _ask_to_end(self, stop: Signals) -> None:
        """Have the training save and end; then end what is left of it.

        Only its first process is told. torchrun tells its workers itself; workers that load data
        would die of a SIGTERM, and the training with them, before it has saved.
        """
        patience = time.monotonic() + self._limits.grace
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        while not self._has_ended() and time.monotonic() < patience and not stop.insistent:
            self._turn()
        left = max(patience - time.monotonic(), 0.0)
        self._end_rest(stop, left if self._has_ended() else 0.0)

    def _end_rest(self, stop: Signals, grace: float) -> None:
        """End what outlives the first process: a shell dies of SIGTERM and tells nobody."""
        if self._has_ended() and not self._family.is_alive():
            return
        patience = time.monotonic() + grace
        if grace:
            self._tell_roots()
        while time.monotonic() < patience and not stop.insistent:
            if self._has_ended() and not self._family.is_alive():
                return
            self._turn()
        self._family.send(signal.SIGKILL)

    def _tell_roots(self) -> None:
        members = {entry.pid: entry for entry in self._family.alive()}
        for entry in members.values():
            if entry.parent not in members:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(entry.pid, signal.SIGTERM)

    def _end_stalled(self) -> None:
        """Have every Python process say where it hangs, then end them all."""
        for _ in ask_for_stacks(self._family.alive()):
            self._pass(STACK_SECONDS / 10)
        patience = time.monotonic() + STACK_SECONDS
        while self._family.is_alive() and time.monotonic() < patience and not self._has_ended():
            self._turn()
        self._family.send(signal.SIGKILL)

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._turn()

    def _has_ended(self) -> bool:
        """Look without reaping: until then the process id, and so the group's, stays ours."""
        if self._process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def _turn(self) -> None:
        """Read what was printed, and once a second look at everything else."""
        now = time.monotonic()
        if now >= self._next_sample:
            self._next_sample = now + INTERVAL
            self._recorder.take(
                lambda: reading(
                    now - self._started, self._usage, self._family.sample(), self._meter.read()
                )
            )
            self._look(now)
        for _ in self._selector.select(_TICK_SECONDS):
            self._read()

    def _look(self, now: float) -> None:
        progress = mark(self._sources.progress)
        if progress != self._progress_mark:
            self._progress_mark = progress
            self._note(now)
        marks: dict[Source, object] = {
            "log": self._bytes,
            "checkpoint": mark(self._sources.checkpoint),
            "progress": progress,
        }
        self._heart.look(now, marks)

    def _note(self, now: float) -> None:
        found = read_progress(self._sources.progress, round(now - self._started, 2))
        if found is not None:
            self.history.add(found)
            self._told(found)

    def _read(self) -> bool:
        try:
            data = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._bytes += len(data)
            self._log.write(data)
        else:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._pipe)
        return bool(data)

    def _read_rest(self) -> None:
        """Empty the pipe and the progress file. A survivor that still prints is not waited for."""
        patience = time.monotonic() + 1
        while self._read() and time.monotonic() < patience:
            pass
        self._look(time.monotonic())
