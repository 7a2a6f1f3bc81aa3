"""The processes that an evaluation started, however they are named, nested or detached.

On Linux the process table is read from /proc; elsewhere only the process group is known, and
memory is not sampled.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

MARKER = "MLACTIONS_EVALUATION"
"""Environment variable by which a process that left group and parent is still found."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Entry:
    """A row of the process table; `started` (clock ticks) tells a reused pid apart.

    `used` is processor time, in clock ticks too.
    """

    pid: int
    parent: int
    group: int
    started: int
    resident: int
    zombie: bool
    used: int = 0


def process_table(proc: Path = Path("/proc")) -> dict[int, Entry]:
    """Return every process by pid; empty where there is no /proc."""
    table = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(proc):  # noqa: PTH208  # many times a minute, names suffice
            if name.isdigit() and (entry := _entry(proc / name)) is not None:
                table[entry.pid] = entry
    return table


def _entry(folder: Path) -> Entry | None:
    try:
        text = (folder / "stat").read_bytes()
    except OSError:
        return None
    # The command's name may hold spaces and parentheses: fields start behind the last one.
    state, parent, group, *rest = text[text.rindex(b")") + 2 :].split()
    started, resident = int(rest[16]), int(rest[18])
    return Entry(
        int(folder.name),
        int(parent),
        int(group),
        started,
        resident * _PAGE,
        zombie=state in b"ZX",
        used=int(rest[8]) + int(rest[9]),
    )


@dataclass
class Family:
    """A process and everything that came from it; `sample` has to be called now and then.

    A process that leaves the group and loses its parent between two samples is found by the
    marker in its environment; one that also clears its environment escapes until the job ends.
    """

    leader: int
    marker: str = field(default_factory=lambda: secrets.token_hex(16))
    table: Callable[[], dict[int, Entry]] = process_table
    peak: int | None = None
    _known: dict[int, int] = field(default_factory=dict)

    def sample(self) -> list[Entry]:
        """Look once: remember new members and the largest sum of resident memory, in bytes.

        Pages that forked workers share are counted once for each of them. Returns the members.
        """
        members = self._members(self.table())
        if members:
            self._known.update((entry.pid, entry.started) for entry in members)
            total = sum(entry.resident for entry in members)
            self.peak = max(self.peak or 0, total)
        return members

    def alive(self) -> list[Entry]:
        """Return the members that still run, also those that only carry the marker."""
        table = self.table()
        members = {entry.pid: entry for entry in self._members(table)}
        own = os.getpid()
        for pid, entry in table.items():
            if pid not in members and pid != own and self._carries_marker(pid):
                members[pid] = entry
        return [entry for entry in members.values() if not entry.zombie]

    def is_alive(self) -> bool:
        """Say whether anybody is left; without /proc, whether the process group still exists."""
        if self.table():
            return bool(self.alive())
        try:
            os.killpg(self.leader, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Signal the whole family: the process group, and every member outside of it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.leader, number)
        for entry in self.alive():
            if entry.group != self.leader:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(entry.pid, number)

    def _members(self, table: dict[int, Entry]) -> list[Entry]:
        children: dict[int, list[Entry]] = {}
        for entry in table.values():
            children.setdefault(entry.parent, []).append(entry)
        found = {entry.pid: entry for entry in self._roots(table.values())}
        queue = list(found.values())
        while queue:
            for child in children.get(queue.pop().pid, ()):
                if child.pid not in found:
                    found[child.pid] = child
                    queue.append(child)
        return list(found.values())

    def _roots(self, table: Iterable[Entry]) -> list[Entry]:
        return [
            entry
            for entry in table
            if entry.group == self.leader or self._known.get(entry.pid) == entry.started
        ]

    def _carries_marker(self, pid: int) -> bool:
        try:
            return self.marker.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False


def oom_kills(root: Path = Path("/")) -> int:
    """Return how often the kernel killed a process of our control group for lack of memory.

    Reads cgroup v2, then v1, then the whole machine's counter; 0 where there is none.
    """
    for path in _counters(root):
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _counters(root: Path) -> Iterable[Path]:
    groups = root / "sys/fs/cgroup"
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if number == "0":
                yield groups / path.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                yield groups / "memory" / path.lstrip("/") / "memory.oom_control"
    yield groups / "memory.events"
    yield groups / "memory/memory.oom_control"
    yield root / "proc/vmstat"
