"""What `train` knows: settings, the machine, the checks, the run, its failure, the telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlactions.train.machine import Surroundings

State = Literal["ready", "not-ready", "finished", "stopped", "failed"]
CheckStatus = Literal["pass", "warn", "fail", "skipped"]
EndedBy = Literal["itself", "soft-limit", "signal", "stalled"]
Source = Literal["log", "checkpoint", "progress"]
Inside = Literal["", "slurm", "ray"]
Verified = Literal["sha256", "size", "presence"]
FailureClass = Literal[
    "gpu-out-of-memory",
    "host-out-of-memory",
    "nan-loss",
    "nccl",
    "data-missing",
    "import-error",
    "config-changed",
    "stalled",
    "pre-empted",
    "time-limit",
    "disk-full",
    "cancelled",
    "unknown",
]

SOURCES: tuple[Source, ...] = ("log", "checkpoint", "progress")
CHECKS = (
    "command",
    "gpu",
    "gpu-memory",
    "gpu-processes",
    "ecc",
    "driver",
    "torch",
    "disk",
    "memory",
    "checkpoints",
    "clock",
    "mlflow",
    "data",
)
"""The names of the preflight's checks, in the order in which they are reported."""


@dataclass(frozen=True)
class Settings:
    """The inputs of `train`; times in seconds, sizes in bytes.

    `checkpoints_name` is what the user wrote.
    `nproc_per_node` is empty where torchrun is not wanted, else a number, `gpu`, `cpu` or `auto`.
    """

    arguments: tuple[str, ...]
    folder: Path
    checkpoints: Path
    checkpoints_name: str = "checkpoints"
    preflight_only: bool = False
    skip_checks: frozenset[str] = frozenset()
    require_gpus: int = 0
    min_gpu_memory: int = 0
    min_disk: int = 0
    min_memory: int = 0
    data: tuple[Path, ...] = ()
    tracking_uri: str = ""
    heartbeat: frozenset[Source] = frozenset(SOURCES)
    stalled_after: float = 1800.0
    soft_limit: float | None = None
    grace: float = 300.0
    resume: bool = True
    config_hash: str = ""
    allow_change: tuple[str, ...] = ()
    nproc_per_node: str = ""
    nnodes: int = 1
    attempt: int = 1
    max_attempts: int = 5
    price: float | None = None
    key: str = "train"


@dataclass(frozen=True)
class Check:
    """One line of the preflight: what was found, and what to do about it."""

    name: str
    status: CheckStatus
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """An entry of a pointer file, looked at; `path` is relative to the checkpoint folder."""

    path: str
    step: int
    metric: Mapping[str, Any] | None = None
    verified: Verified = "presence"
    config_hash: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Refused:
    """A checkpoint that is not used, and why."""

    path: str
    step: int | None
    why: str


@dataclass(frozen=True)
class Checkpoints:
    """A checkpoint folder, looked at: the newest good one, the best, and the damaged ones."""

    latest: Checkpoint | None = None
    best: Checkpoint | None = None
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What will be started, where, with which variables, and what it resumes from."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    inside: Inside
    resumed: Checkpoint | None
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """What the training said of itself: `seconds` since its start, of the run or until the end."""

    seconds: float
    step: int | None
    loss: float | None
    eta: float | None = None


@dataclass(frozen=True)
class GpuSample:
    """A GPU at one moment: per cent, bytes, watts. None is what the driver cannot say."""

    utilization: float | None
    memory: int | None
    power: float | None


@dataclass(frozen=True)
class Sample:
    """The machine at one moment: `processor` in per cent of one core, `memory` in bytes."""

    seconds: float
    processor: float
    memory: int
    gpus: tuple[GpuSample, ...] = ()


@dataclass(frozen=True)
class Spread:
    """A quantity over a run."""

    mean: float
    max: float


@dataclass(frozen=True)
class GpuTelemetry:
    """One GPU over a run: per cent, bytes, watts; None is what the driver cannot say."""

    index: int
    name: str
    utilization: Spread | None
    memory: Spread | None
    power: Spread | None


@dataclass(frozen=True)
class Telemetry:
    """A run in figures. `cost` is the processor time, in seconds, that measuring took.

    `lines` are means over equal parts of the run, for a chart: per GPU its utilisation, and the
    processor, in per cent of one core.
    """

    samples: int = 0
    interval: float = 1.0
    cost: float = 0.0
    processor: Spread | None = None
    memory: Spread | None = None
    gpus: tuple[GpuTelemetry, ...] = ()
    seconds: tuple[float, ...] = ()
    lines: tuple[tuple[str, tuple[float | None, ...]], ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a training ended: the exit code (negative: a signal), who ended it, what it took.

    `stop_signal` is the first signal that we were sent, 0 for none. `progress` is thinned.
    """

    code: int
    by: EndedBy
    seconds: float
    peak_memory: int | None
    out_of_memory: bool
    stop_signal: int = 0
    started: str = ""
    telemetry: Telemetry = field(default_factory=Telemetry)
    progress: tuple[Progress, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a training did not finish: its class, the line that shows it, what to do."""

    kind: FailureClass
    evidence: str
    line: int | None = None
    file: str | None = None
    file_line: int | None = None


@dataclass(frozen=True)
class Result:
    """All that came out of a call of `train`."""

    settings: Settings
    surroundings: Surroundings
    checks: tuple[Check, ...]
    plan: Plan | None = None
    ended: Ended | None = None
    failure: Failure | None = None
    before: Checkpoints = field(default_factory=Checkpoints)
    after: Checkpoints = field(default_factory=Checkpoints)
    requeue: bool = False
    log_tail: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    commit: str = ""
    notes: tuple[str, ...] = ()
