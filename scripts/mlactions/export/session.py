"""Workers: every session of the runtime in a process of its own, with a deadline.

A runtime may end its process (onnxruntime does for some fp16 models); here that is a result with a
name. Cases that were answered before a crash count, and those behind it get another process.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlactions.errors import UserError
from mlactions.evaluate import process
from mlactions.evaluate.logfile import Log

GRACE_SECONDS = 2.0
LOG_LINES = 5

Outcome = Literal["answered", "crashed", "timed-out"]


@dataclass(frozen=True)
class Answer:
    """What a worker said before it ended, and how that was."""

    outcome: Outcome
    lines: tuple[Mapping[str, Any], ...]
    detail: str = ""
    peak_memory_bytes: int | None = None

    def first(self, event: str) -> Mapping[str, Any] | None:
        """Return the first answer of a kind."""
        return next((line for line in self.lines if line["event"] == event), None)


@dataclass(frozen=True)
class Workers:
    """Starts workers below `scratch`; `environ` is what they get, `timeout` in seconds for each."""

    bundle: Path
    scratch: Path
    environ: Mapping[str, str]
    timeout: float

    def ask(self, mode: str, **request: Any) -> Answer:
        """Start one worker and wait for its end. An interruption ends it first.

        Raises UserError where the worker met a file of the bundle that nobody can read.
        """
        folder = self._folder()
        answers, asked = folder / "answers.jsonl", folder / "request.json"
        document = {
            "mode": mode,
            "model": str(self.bundle / "model" / "model.onnx"),
            "answers": str(answers),
            "folder": str(folder),
            **request,
        }
        asked.write_text(json.dumps(document), encoding="utf-8")
        with Log(folder / "log.txt") as log:
            ended = self._run(asked, log)
        lines = _read(answers)
        outcome: Outcome = "timed-out" if ended.by == "time-out" else "crashed"
        if ended.by == "itself" and ended.code == 0 and lines[-1:] and _is_end(lines[-1]):
            outcome = "answered"
        detail = "" if outcome == "answered" else _why(ended, self.timeout, folder / "log.txt")
        answer = Answer(outcome, lines, self.shown(detail), ended.peak_memory)
        if broken := answer.first("broken"):
            message, hint = self.shown(broken["error"]), "Run the measuring step again."
            raise UserError("broken bundle", f"{message}.", hint)
        return answer

    def shown(self, text: str) -> str:
        """Take the places of this machine out of a message."""
        return text.replace(f"{self.bundle}/", "").replace(f"{self.scratch}/", "")

    def _folder(self) -> Path:
        self.scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="worker-", dir=self.scratch))

    def _run(self, asked: Path, log: Log) -> process.Ended:
        """Wait in the main thread, where signals arrive; the process is watched from another."""
        stop = threading.Event()
        # -I: nothing of the user's environment or folder may become part of the worker.
        arguments = [sys.executable, "-I", str(Path(__file__).with_name("worker.py")), str(asked)]
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(
                process.run,
                arguments,
                folder=asked.parent,
                environ={**self.environ, "ORT_DISABLE_TELEMETRY": "1"},
                log=log,
                limits=process.Limits(self.timeout, GRACE_SECONDS),
                stop=stop,
            )
            try:
                return future.result()
            except BaseException:
                stop.set()
                raise


def _signal(number: int) -> str:
    """Return a signal's name; a number without one as it is."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _read(path: Path) -> tuple[Mapping[str, Any], ...]:
    """Return whole lines; a crash may cut the last one."""
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return tuple(json.loads(line) for line in lines if line.endswith("\n"))


def _is_end(line: Mapping[str, Any]) -> bool:
    return bool(line["event"] == "end")


def _why(ended: process.Ended, timeout: float, log: Path) -> str:
    if ended.by == "time-out":
        return f"no end after {timeout:,.0f} s"
    if ended.out_of_memory:
        return "ended for want of memory"
    how = f"ended by {_signal(-ended.code)}" if ended.code < 0 else f"ended with code {ended.code}"
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return " ".join(f"{how}{': ' if tail else ''}{' '.join(tail)}".split())[:500]
