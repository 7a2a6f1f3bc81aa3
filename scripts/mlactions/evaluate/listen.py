"""Asking a program a short question: its answer, unless it takes too long or we are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event

_TICK_SECONDS = 0.05
_LAST_SECONDS = 1.0


def listen(
    arguments: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    seconds: float,
    stop: Event,
) -> str | None:
    """Return what a program prints; None if it fails, is not there, or is still at it.

    It has a process group of its own, which ends at once when `stop` is set: whoever stops us
    waits for no question.
    """
    if stop.is_set():
        return None
    try:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    with process:
        try:
            said = _answer(process, time.monotonic() + seconds, stop)
        finally:
            _end(process)
    return said.decode(errors="replace") if said is not None and process.returncode == 0 else None


def _answer(process: subprocess.Popen[bytes], deadline: float, stop: Event) -> bytes | None:
    while not stop.is_set() and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_TICK_SECONDS)[0]
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the group, also what an ended leader left in it; nothing is lost that was asked for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_LAST_SECONDS)
    if process.stdout is not None:
        process.stdout.close()
