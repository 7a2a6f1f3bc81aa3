"""Timing whole processes side by side: alternate the contestants, print medians and ratios."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".tools" / "bench" / "bin"


@dataclass(frozen=True)
class Timing:
    """Wall seconds of each run, and the largest resident set in bytes."""

    seconds: tuple[float, ...]
    peak_bytes: int

    @property
    def median(self) -> float:
        """Median wall seconds."""
        return statistics.median(self.seconds)


def run_once(command: Sequence[str | Path], cwd: Path, accept: Sequence[int]) -> tuple[float, int]:
    """Return wall seconds and peak resident bytes of one process; another exit code ends us."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"DVC_NO_ANALYTICS": "1", "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code not in accept:
        sys.exit(f"{' '.join(map(str, command))} ended with {code}:\n{output.decode()[-3000:]}")
    return seconds, _bytes(usage)


def _bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def race(
    contestants: Mapping[str, Sequence[str | Path]],
    cwd: Path,
    *,
    runs: int = 7,
    accept: Sequence[int] = (0,),
) -> dict[str, Timing]:
    """Time whole processes in turns, after one unmeasured round that warms every cache."""
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in contestants}
    for number in range(runs + 1):
        for name, command in contestants.items():
            measured = run_once(command, cwd, accept)
            if number:
                found[name].append(measured)
    return {
        name: Timing(tuple(s for s, _ in values), max(b for _, b in values))
        for name, values in found.items()
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the rest are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows)) + "\n"
