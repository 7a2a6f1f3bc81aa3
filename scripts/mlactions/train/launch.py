"""The command as it is started: alone, by torchrun, or by torchrun on every node of SLURM."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mlactions.errors import UserError
from mlactions.evaluate.template import Template
from mlactions.train.model import Inside, Settings

PORTS = range(29500, 30500)
"""The ports of torchrun's rendezvous, from the one of its documentation on: each job takes one by
its number, so that jobs whose first node is the same do not meet."""

_TORCHRUN = "torch.distributed.run"
_WITH_VALUE = frozenset({"-W", "-X"})
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def surrounding(environ: Mapping[str, str]) -> Inside:
    """Return whether we are inside of a SLURM allocation or a Ray job."""
    if environ.get("SLURM_JOB_ID"):
        return "slurm"
    return "ray" if environ.get("RAY_JOB_ID") or environ.get("RAY_ADDRESS") else ""


def launched(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the arguments to start. Raises UserError for what cannot be distributed."""
    if not settings.nproc_per_node and settings.nnodes == 1:
        return settings.arguments
    python, rest = _python(settings.arguments)
    inside = surrounding(environ)
    if settings.nnodes == 1:
        return (*python, "-m", _TORCHRUN, *_processes(settings), "--standalone", *rest)
    if inside != "slurm":
        raise UserError(
            "bad input",
            f"`nnodes` is {settings.nnodes}, and this is no SLURM allocation.",
            "Start it with sbatch or salloc; on other clusters let their launcher start each node.",
        )
    host = first_host(environ.get("SLURM_JOB_NODELIST", ""))
    meeting = (
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={host}:{_port(environ['SLURM_JOB_ID'])}",
        f"--rdzv-id={environ['SLURM_JOB_ID']}",
    )
    step = ("srun", f"--nodes={settings.nnodes}", f"--ntasks={settings.nnodes}")
    starter = (*step, "--ntasks-per-node=1", "--kill-on-bad-exit=1")
    return (*starter, *python, "-m", _TORCHRUN, *_processes(settings), *meeting, *rest)


def _port(job: str) -> int:
    return PORTS[int(job) % len(PORTS)] if job.isdecimal() else PORTS[0]


def _processes(settings: Settings) -> tuple[str, ...]:
    per_node = settings.nproc_per_node or "gpu"
    return (f"--nnodes={settings.nnodes}", f"--nproc-per-node={per_node}")


def _python(arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a command behind its interpreter's own options; torchrun starts the rest."""
    if any(
        argument.rpartition("/")[2] == "torchrun" or argument == _TORCHRUN for argument in arguments
    ):
        raise UserError(
            "bad input",
            "`command` starts torchrun itself, and `nproc-per-node` or `nnodes` is given.",
            "Write the one or the other.",
        )
    python = Template(tuple(arguments)).python()
    if python is None:
        raise UserError(
            "bad input",
            "`nproc-per-node` and `nnodes` need a command that starts with Python.",
            "Write for example `python train.py`.",
        )
    end = len(python)
    while end < len(arguments) and arguments[end].startswith("-") and arguments[end] != "-m":
        end += 2 if arguments[end] in _WITH_VALUE else 1
    return tuple(arguments[:end]), tuple(arguments[end:])


def first_host(nodes: str) -> str:
    """Return the first host of a SLURM node list: `gpu[03-05,9],cpu1` is `gpu03`.

    Raises UserError for a list that names none.
    """
    name, bracket, rest = nodes.partition(",")[0].partition("[")
    found = _RANGE.match(rest) if bracket else None
    host = name + found[1] if found else name
    if not host or (bracket and not found):
        raise UserError("bad input", f"SLURM_JOB_NODELIST is {nodes!r}, which names no host.")
    return host


def time_left(environ: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until SLURM ends the job, where it says when; `now` is Unix time."""
    end = environ.get("SLURM_JOB_END_TIME", "")
    return max(float(end) - now, 0.0) if end.isdecimal() else None
