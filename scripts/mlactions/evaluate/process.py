"""One evaluation as a process: own group, deadline, output in a log, nobody left behind."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

from mlactions.evaluate.guard import guarded
from mlactions.evaluate.logfile import Log
from mlactions.evaluate.proctree import MARKER, Family, oom_kills

HURRY_SECONDS = 2.0
"""Grace after an interruption: a runner that cancels kills us about ten seconds later."""

_SAMPLE_SECONDS = (0.02, 0.1)
_SAMPLE_SHARE = 0.02
_TICK_SECONDS = 0.1
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """Wall-clock seconds an evaluation may take, and how long it may tidy up after SIGTERM."""

    timeout: float
    grace: float


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: a signal), who ended it, what it took."""

    code: int
    by: Literal["itself", "time-out", "interruption"]
    seconds: float
    peak_memory: int | None
    out_of_memory: bool


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    log: Log,
    limits: Limits,
    stop: Event,
) -> Ended:
    """Run a command to its end, its deadline, or until `stop` is set.

    Whatever it started and left running is ended too. Not to be called in the main thread, where
    a signal handler's exception could strike anywhere.
    """
    kills = oom_kills()
    family = Family(leader=0)
    # A pipe, not a file: the log's size stays ours to limit.
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env={**environ, MARKER: family.marker},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    family.leader = process.pid
    watch = _Watch(process, family, log)
    with guarded(process.pid):
        try:
            return watch.until_end(limits, stop, kills)
        finally:
            watch.close()


class _Watch:
    """Reads output, samples memory and waits, all in one loop."""

    def __init__(self, process: subprocess.Popen[bytes], family: Family, log: Log) -> None:
        assert process.stdout is not None  # noqa: S101  # for the type checker: we asked for a pipe
        self._process = process
        self._family = family
        self._log = log
        self._pipe = process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._pidfd = _pidfd(process.pid)
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ)
        self._started = time.monotonic()
        self._next_sample = 0.0

    def until_end(self, limits: Limits, stop: Event, kills: int) -> Ended:
        """Wait; end the family when it is time; reap the process."""
        by: Literal["itself", "time-out", "interruption"] = "itself"
        deadline = self._started + limits.timeout
        while not self._has_ended():
            if stop.is_set():
                by = "interruption"
                break
            if time.monotonic() >= deadline:
                by = "time-out"
                break
            self._turn(until=deadline)
        seconds = time.monotonic() - self._started
        self._end_family(min(limits.grace, HURRY_SECONDS) if stop.is_set() else limits.grace, stop)
        code, largest = self._reap()
        self._read_all()
        return Ended(
            code=code,
            by=by,
            seconds=seconds,
            peak_memory=_peak(self._family.peak, largest),
            out_of_memory=oom_kills() > kills,
        )

    def _reap(self) -> tuple[int, int]:
        """Return the exit code and the kernel's figure of the largest resident set."""
        if self._process.returncode is not None:
            return self._process.returncode, 0
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode, usage.ru_maxrss

    def close(self) -> None:
        """Let go of the pipe; if something went wrong before, end the family first."""
        if self._process.returncode is None:
            self._family.send(signal.SIGKILL)
            self._process.wait()
        self._selector.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _has_ended(self) -> bool:
        """Look without reaping: until then the process id, and so the group's, stays ours."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._process.poll() is not None
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        ended = os.waitid(os.P_PID, self._process.pid, flags) is not None
        if ended and self._pidfd is not None:
            self._forget(self._pidfd)  # stays readable: waiting on it would spin
        return ended

    def _end_family(self, grace: float, stop: Event) -> None:
        """SIGTERM, a grace, SIGKILL; a process that is told to stop may still print."""
        self._family.sample()
        if self._has_ended() and not self._family.is_alive():
            return
        self._family.send(signal.SIGTERM)
        patience = time.monotonic() + grace
        while time.monotonic() < patience:
            if self._has_ended() and not self._family.is_alive():
                return
            if stop.is_set():
                patience = min(patience, time.monotonic() + HURRY_SECONDS)
            self._turn(until=patience)
        self._family.send(signal.SIGKILL)

    def _turn(self, *, until: float) -> None:
        now = time.monotonic()
        if now >= self._next_sample:
            self._family.sample()
            self._next_sample = now + self._pause(time.monotonic() - now, now - self._started)
        for key, _ in self._selector.select(max(0.0, min(_TICK_SECONDS, until - now))):
            if key.fd == self._pipe:
                self._read()

    @staticmethod
    def _pause(cost: float, age: float) -> float:
        """Look often at a young process, and later spend no more than a small share of a core."""
        shortest, longest = _SAMPLE_SECONDS
        pause = min(max(shortest, age / 4), longest)
        return pause if age < 1 else max(pause, cost / _SAMPLE_SHARE)

    def _read(self) -> bool:
        """Move a chunk into the log; False when there is none now, or never again."""
        try:
            data = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._log.write(data)
        else:
            self._forget(self._pipe)
        return bool(data)

    def _read_all(self) -> None:
        """Empty the pipe. A survivor that still prints is not waited for."""
        patience = time.monotonic() + 1
        while self._read() and time.monotonic() < patience:
            pass

    def _forget(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends; Linux only."""
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError):
        return os.pidfd_open(pid)
    return None


def _peak(sampled: int | None, reaped: int) -> int | None:
    """Return bytes. The kernel's figure misses siblings, and starts at our own size after a fork.

    `ru_maxrss` is in KiB on Linux and in bytes on macOS.
    """
    if sys.platform != "linux":
        return reaped or None
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(sampled or 0, reaped * 1024 if reaped > own else 0) or None
