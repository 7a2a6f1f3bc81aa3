"""Where a stalled training hangs, as Python's faulthandler says it.

PYTHONFAULTHANDLER makes every Python print its threads' stacks on SIGABRT, and end: no line of
the training has to be changed for that, and no debugger is needed.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlactions.evaluate.proctree import Entry

MAX_PROCESSES = 16
MAX_LINES = 120
_START = re.compile(r"Fatal Python error: Aborted|(?:Current thread|Thread) 0x[0-9a-f]+")
_FRAME = re.compile(r'  File "([^"]+)", line (\d+) in (\S+)')
_MORE = re.compile(r"  <no Python frame>|  \.\.\.|Extension modules:|$")


def ask_for_stacks(members: Sequence[Entry]) -> Iterator[int]:
    """Send SIGABRT to one Python process after the other; yield each so that it may print."""
    for entry in [one for one in members if _is_python(one.pid)][:MAX_PROCESSES]:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # Linux has it
            # A core file of a training is as large as its memory.
            hard = resource.prlimit(entry.pid, resource.RLIMIT_CORE)[1]
            resource.prlimit(entry.pid, resource.RLIMIT_CORE, (0, hard))
        with contextlib.suppress(OSError):
            os.kill(entry.pid, signal.SIGABRT)
            yield entry.pid


def _is_python(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.startswith(("python", "pypy"))
    except OSError:
        return False


def find_stacks(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the stacks that a log ends with, the latest `MAX_LINES` lines of them."""
    found: list[str] = []
    inside = False
    for line in lines:
        if _START.match(line):
            inside = True
        elif inside and not (_FRAME.match(line) or _MORE.match(line)):
            inside = False
        if inside and line.strip() and not line.startswith("Extension modules:"):
            found.append(line)
    return tuple(found[:MAX_LINES])


def innermost(stacks: Sequence[str], root: Path) -> tuple[str, int, str] | None:
    """Return file, line and function of the innermost frame in the repository, if there is one.

    Stacks are printed with the innermost frame first; the current thread's comes last, but only
    its own frames follow its heading.
    """
    for line in _current(stacks):
        match = _FRAME.match(line)
        if match is None:
            continue
        path = Path(match[1])
        with contextlib.suppress(ValueError, OSError):
            relative = path.resolve().relative_to(root.resolve())
            if not {"site-packages", ".venv"} & set(relative.parts):
                return relative.as_posix(), int(match[2]), match[3]
    return None


def _current(stacks: Sequence[str]) -> Sequence[str]:
    starts = [n for n, line in enumerate(stacks) if line.startswith("Current thread")]
    return stacks[starts[0] :] if starts else stacks
