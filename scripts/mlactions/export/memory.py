"""How much memory a process may have: the control group's limit, else the machine's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return bytes, the smallest limit that is set; None where nobody says."""
    found = list(_limits(root))
    return min(found) if found else None


def _limits(root: Path) -> Iterator[int]:
    for path in _files(root):
        with contextlib.suppress(OSError, ValueError):
            yield int(path.read_text(encoding="ascii"))  # version 2 says `max` for none
    with contextlib.suppress(OSError, ValueError):
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _files(root: Path) -> Iterator[Path]:
    """Yield where the limits of our group and of those around it stand, of version 2 and 1."""
    groups = root / "sys/fs/cgroup"
    yield groups / "memory.max"
    yield groups / "memory/memory.limit_in_bytes"
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            own = Path(path.lstrip("/"))
            for group in (own, *own.parents):
                if number == "0":
                    yield groups / group / "memory.max"
                elif "memory" in controllers.split(","):
                    yield groups / "memory" / group / "memory.limit_in_bytes"
