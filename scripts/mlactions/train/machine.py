"""A machine as the preflight sees it: driver, GPUs, the torch of the command, room, servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """A process that uses a GPU; `memory` in bytes, None where the driver does not say."""

    pid: int
    name: str
    user: str
    memory: int | None


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver describes it. Memory in bytes; None is what it cannot say."""

    index: int
    name: str
    uuid: str
    memory: int
    memory_used: int
    utilization: float | None = None
    power: float | None = None
    ecc_uncorrected: int | None = None
    remap_pending: bool = False
    remap_failed: bool = False
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver and its GPUs, or why there are none. `cuda` as in `12.4`."""

    gpus: tuple[Gpu, ...] = ()
    version: str = ""
    cuda: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Torch:
    """The torch of the command's own Python; `cuda` is the version it was built for, or empty."""

    version: str
    cuda: str
    available: bool
    devices: int
    problem: str = ""


@dataclass(frozen=True)
class Surroundings:
    """All that the preflight looks at, gathered beforehand. Sizes in bytes; None is unknown.

    `clock_offset` is ours minus the server's, in seconds. `data` says per path what is wrong.
    """

    program: str
    driver: Driver
    visible: tuple[Gpu, ...]
    hidden: bool
    python: str
    torch: Torch | None
    disk_free: int | None
    memory_free: int | None
    checkpoints_problem: str
    clock_offset: float | None
    year: int
    mlflow_problem: str
    data: Mapping[str, str]
    processor: str = ""
    cpus: int = 0
    memory: int = 0
    own_pids: frozenset[int] = frozenset()
