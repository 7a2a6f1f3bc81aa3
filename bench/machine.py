"""One line about the machine that the page was measured on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def processor(cpuinfo: str) -> str:
    """Return the processor's name out of /proc/cpuinfo, empty where it has none."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else ""


def main() -> None:
    """Print the line."""
    file = Path("/proc/cpuinfo")
    name = processor(file.read_text()) if file.exists() else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()}, Python {platform.python_version()}"
    print(f"Measured on {cores} cores of {name or platform.machine()}, {memory:.0f} GiB, {system}.")


if __name__ == "__main__":
    main()
