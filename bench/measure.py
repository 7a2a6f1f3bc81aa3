"""Timing whole processes side by side: alternate the contestants, print medians and ratios."""

from __future__ import annotations

import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".tools" / "bench" / "bin"
LIMIT_SECONDS = 900.0
"""No single process takes as long, whatever the machine: one that does has hung."""

_LEFT_OUT = ("PYTHONPATH", "GITHUB_", "INPUT_", "RUNNER_")
_QUIET = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "NO_COLOR": "1"}


def environment() -> dict[str, str]:
    """Return a developer's environment: none of our modules for the peers, no runner around us."""
    kept = {name: os.environ[name] for name in os.environ if not name.startswith(_LEFT_OUT)}
    return kept | _QUIET


@dataclass(frozen=True)
class Measurement:
    """One process: wall and processor seconds, and the largest resident set in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Timing:
    """Several runs of one command."""

    runs: tuple[Measurement, ...]

    @property
    def median(self) -> float:
        """Median wall seconds."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def median_cpu(self) -> float:
        """Median processor seconds, which other work on the machine hardly changes."""
        return statistics.median(run.cpu_seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The largest resident set of all runs."""
        return max(run.peak_bytes for run in self.runs)


def run_once(
    command: Sequence[str | Path],
    cwd: Path,
    *,
    accept: Sequence[int] = (0,),
    variables: Mapping[str, str] | None = None,
    limit: float = LIMIT_SECONDS,
) -> Measurement:
    """Measure one process; another exit code than those accepted ends us.

    One that takes longer than `limit` seconds is killed with all that it started, and ends us too.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,  # nobody is there to answer
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment() | dict(variables or {}),
        start_new_session=True,
    )
    assert process.stdout is not None
    with _killed_after(limit, process.pid) as late, process.stdout as stream:
        output = stream.read()
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if late.is_set() or code not in accept:
        ended = f"took longer than {limit:g} s" if late.is_set() else f"ended with {code}"
        sys.exit(f"{' '.join(map(str, command))} {ended}:\n{output.decode()[-3000:]}")
    return Measurement(seconds, usage.ru_utime + usage.ru_stime, _bytes(usage))


@contextmanager
def _killed_after(seconds: float, group: int) -> Iterator[threading.Event]:
    """Kill a group of processes once the time is over, or where the block is left by an error."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield late
    except BaseException:
        kill()
        raise
    finally:
        timer.cancel()


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
    found: dict[str, list[Measurement]] = {name: [] for name in contestants}
    for number in range(runs + 1):
        for name, command in contestants.items():
            measured = run_once(command, cwd, accept=accept)
            if number:
                found[name].append(measured)
    return {name: Timing(tuple(values)) for name, values in found.items()}


def commit_all(repository: Path) -> None:
    """Commit everything in a scratch repository."""
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    git = ["git", *identity, "-C", str(repository)]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--no-gpg-sign", "-m", "base"], check=True)


def start_dvc(folder: Path) -> None:
    """Make an empty repository that DVC works in."""
    folder.mkdir()
    for command in (["git", "init", "--quiet"], [str(PEERS / "dvc"), "init", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True, env=environment())


def version(peer: str) -> str:
    """Return the version of a peer that is installed."""
    lines = (ROOT / "bench" / "requirements.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{peer}=="))


def share(part: float) -> str:
    """Return a share as a percentage; small ones with a decimal, so that 0 % means none."""
    if 0 < part < 0.0005:
        return "<0.1 %"
    return f"{part:.1%}".replace("%", " %") if 0 < part < 0.01 else f"{part:.0%}".replace("%", " %")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """Return a Markdown table; the first column is text, the rest are numbers unless told."""
    rule = ["---", *["---:" if numbers else "---"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows)) + "\n"


def folded(title: str, content: str) -> str:
    """Return Markdown that is shown when its title is clicked."""
    return f"<details>\n<summary>{title}</summary>\n\n{content}\n</details>\n"
