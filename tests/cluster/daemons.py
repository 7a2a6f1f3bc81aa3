"""Daemons that a test starts and stops by their pids, and waiting for what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 900.0
"""How long a loaded machine may take for one step; a step takes seconds."""


START_S = 300.0
"""How long daemons may take to come up; what takes longer does not run here."""


class NotUpError(Exception):
    """A cluster's own daemons do not run on this machine; none of our code has run yet."""


@dataclass
class Daemons:
    """Programs in the foreground, each in a process group of its own, with a log by its name."""

    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start a program."""
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """Return where a program's messages go."""
        return self.folder / f"{name}.log"

    def check(self) -> None:
        """Fail with the log of a program that has ended by itself."""
        for name, process in self.running.items():
            code = process.poll()
            assert code is None, f"{name} ended with {code}: {self.log(name).read_text()[-3000:]}"

    def tails(self) -> str:
        """Return the last lines of every log."""
        logs = sorted(self.folder.glob("*.log"))
        texts = ((path.name, path.read_text(errors="replace").strip()[-600:]) for path in logs)
        return "; ".join(f"{name}: … {text}" for name, text in texts if text)

    @contextlib.contextmanager
    def coming_up(self, what: str) -> Iterator[None]:
        """Take every failure in here for a machine on which the daemons do not run."""
        try:
            yield
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            told = f"{what} does not come up on this machine: {error}; {self.tails()}"
            raise NotUpError(" ".join(told.split())) from error

    def kill(self, name: str, *others: int) -> None:
        """End a program and other processes, as a machine that loses power does."""
        process = self.running.pop(name)
        end([process.pid, *others])
        process.wait()

    def stop(self) -> None:
        """End all of them, the last one first."""
        for name in reversed(list(self.running)):
            process = self.running.pop(name)
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def started_by(environ: Mapping[str, str]) -> list[int]:
    """Return the processes that began with these variables, and all below them; parents first."""
    marks = [f"{key}={value}".encode() for key, value in environ.items()]
    parents, found = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
            if {*marks} <= {*(folder / "environ").read_bytes().split(b"\0")}:
                found.add(int(folder.name))
    below = {pid for pid in parents if found & {*_above(pid, parents)}}
    return [*sorted(found), *sorted(below - found)]


def values_of(name: str, pids: Sequence[int]) -> set[str]:
    """Return what a variable was where these processes began."""
    mark, found = f"{name}=".encode(), set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for item in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                if item.startswith(mark):
                    found.add(item.removeprefix(mark).decode())
    return found


def _above(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    while pid := parents.get(pid, 0):
        yield pid


def end(pids: Sequence[int]) -> None:
    """Kill processes, in this order; those that are gone are none."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    every_s: float = 0.5,
    patience_s: float = PATIENCE_S,
) -> None:
    """Wait for a condition; fail with its name."""
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, f"{what} did not come within {patience_s:g} s"
        time.sleep(every_s)
