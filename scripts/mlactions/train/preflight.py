"""The preflight: what was gathered, judged. Each check says what was found and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mlactions.text import plural
from mlactions.train.amounts import size
from mlactions.train.machine import Surroundings
from mlactions.train.model import CHECKS, Check, Checkpoints, Settings

CLOCK_SECONDS = 60.0
"""Farther off, and tokens, signed requests and TLS begin to be refused."""

FIRST_YEAR = 2025
_BUSY_SHARE = 0.1
_PROCESSES = 5


def checks(settings: Settings, around: Surroundings, found: Checkpoints) -> tuple[Check, ...]:
    """Return every check, in their order; one that is skipped says so and never fails."""
    judges: dict[str, Callable[[], Iterator[Check]]] = {
        "command": lambda: _command(settings, around),
        "gpu": lambda: _gpu(settings, around),
        "gpu-memory": lambda: _gpu_memory(settings, around),
        "gpu-processes": lambda: _gpu_processes(around),
        "ecc": lambda: _ecc(around),
        "driver": lambda: _driver(around),
        "torch": lambda: _torch(around),
        "disk": lambda: _room("disk", around.disk_free, settings.min_disk, "at `checkpoints`"),
        "memory": lambda: _room("memory", around.memory_free, settings.min_memory, "of memory"),
        "checkpoints": lambda: _checkpoints(settings, around, found),
        "clock": lambda: _clock(around),
        "mlflow": lambda: _mlflow(settings, around),
        "data": lambda: _data(settings, around),
    }
    made: list[Check] = []
    for name in CHECKS:
        if name in settings.skip_checks:
            made.append(Check(name, "skipped", "skipped: `skip-checks` names it"))
        else:
            made += judges[name]()
    return tuple(made)


def failed(made: Sequence[Check]) -> tuple[Check, ...]:
    """Return the checks that forbid a start."""
    return tuple(check for check in made if check.status == "fail")


def _command(settings: Settings, around: Surroundings) -> Iterator[Check]:
    if not settings.arguments:
        return
    name = settings.arguments[0]
    if around.program:
        yield Check("command", "pass", f"`{name}` was found")
        return
    advice = "Install it in an earlier step, or write its path."
    yield Check("command", "fail", f"`{name}` is no program on PATH", advice)


def _gpu(settings: Settings, around: Surroundings) -> Iterator[Check]:
    gpus, wanted = around.visible, settings.require_gpus
    if gpus:
        names = ", ".join(dict.fromkeys(gpu.name for gpu in gpus))
        found = f"{plural(len(gpus), 'GPU')}: {names}"
    elif around.torch is not None and around.torch.available:
        seen = plural(around.torch.devices, "GPU")
        told = f"torch sees {seen}, which NVML does not show ({around.driver.problem})"
        advice = "They are neither checked nor measured: is libnvidia-ml.so.1 in the container?"
        yield Check("gpu", "warn" if around.torch.devices >= wanted else "fail", told, advice)
        return
    elif around.hidden:
        found = "no GPU: CUDA_VISIBLE_DEVICES hides them, so this is a run on the CPU"
    else:
        found = f"no GPU, so this is a run on the CPU ({around.driver.problem})"
    if len(gpus) >= wanted:
        yield Check("gpu", "pass", found)
        return
    advice = (
        "Run on a machine that has them (`runs-on`), look at CUDA_VISIBLE_DEVICES and at"
        " `nvidia-smi`, or set `require-gpus` to what is enough."
    )
    yield Check("gpu", "fail", f"{found}; `require-gpus` is {wanted}", advice)


def _gpu_memory(settings: Settings, around: Surroundings) -> Iterator[Check]:
    for gpu in around.visible:
        free = gpu.memory - gpu.memory_used
        found = f"GPU {gpu.index} has {size(free)} of {size(gpu.memory)} free"
        if free < settings.min_gpu_memory:
            advice = "End what uses it, or take a GPU with more memory or a smaller batch."
            wanted = f"{found}, less than the {size(settings.min_gpu_memory)} asked for"
            yield Check("gpu-memory", "fail", wanted, advice)
        elif gpu.memory_used > _BUSY_SHARE * gpu.memory:
            advice = "Somebody else may be using it: see `gpu-processes`."
            yield Check("gpu-memory", "warn", found, advice)
        else:
            yield Check("gpu-memory", "pass", found)


def _gpu_processes(around: Surroundings) -> Iterator[Check]:
    for gpu in around.visible:
        others = [one for one in gpu.processes if one.pid not in around.own_pids]
        if not others:
            yield Check("gpu-processes", "pass", f"nobody else uses GPU {gpu.index}")
            continue
        named = [
            f"{one.name} (pid {one.pid}{f' of {one.user}' if one.user else ''}"
            f"{f', {size(one.memory)}' if one.memory else ''})"
            for one in others[:_PROCESSES]
        ]
        more = f" and {len(others) - _PROCESSES} more" if len(others) > _PROCESSES else ""
        advice = "Wait for it, end it, or give each job its own GPU: `concurrency` in the workflow."
        told = f"GPU {gpu.index} is used by {', '.join(named)}{more}"
        yield Check("gpu-processes", "warn", told, advice)


def _ecc(around: Surroundings) -> Iterator[Check]:
    for gpu in around.visible:
        if gpu.remap_failed:
            told = f"GPU {gpu.index} has broken memory that it could not replace"
            yield Check("ecc", "fail", told, "Take the GPU out of service: it has to be exchanged.")
        elif gpu.ecc_uncorrected:
            errors = plural(gpu.ecc_uncorrected, "uncorrected memory error")
            told = f"GPU {gpu.index} had {errors} since its driver was loaded"
            advice = "Results may be wrong. Reset the GPU (`nvidia-smi -r`, as root) or reboot."
            yield Check("ecc", "fail", told, advice)
        elif gpu.remap_pending:
            told = f"GPU {gpu.index} will replace broken memory once it is reset"
            yield Check("ecc", "warn", told, "Reset the GPU or reboot when it is idle.")
        elif gpu.ecc_uncorrected is None:
            yield Check("ecc", "pass", f"GPU {gpu.index} counts no memory errors (no ECC)")
        else:
            yield Check("ecc", "pass", f"GPU {gpu.index} had no uncorrected memory error")


def _driver(around: Surroundings) -> Iterator[Check]:
    """Hold torch's CUDA against the newest that the driver runs.

    Within a major version CUDA is compatible with older drivers (NVIDIA's CUDA Compatibility,
    "minor version compatibility"), so that only a newer major version fails.
    """
    if not around.visible:
        return
    driver, torch = around.driver, around.torch
    supports = f"driver {driver.version} runs CUDA up to {driver.cuda or 'an unknown version'}"
    if torch is None or not torch.cuda or not driver.cuda:
        yield Check("driver", "pass", supports)
        return
    told = f"{supports}, torch {torch.version} was built for CUDA {torch.cuda}"
    theirs, ours = _version(torch.cuda), _version(driver.cuda)
    if theirs[0] > ours[0]:
        advice = f"Update the driver, or install a torch that was built for CUDA {ours[0]}."
        yield Check("driver", "fail", told, advice)
    elif theirs > ours:
        yield Check("driver", "warn", told, "It works within one major version; JIT may not.")
    else:
        yield Check("driver", "pass", told)


def _version(text: str) -> tuple[int, int]:
    numbers = [int(part) if part.isdecimal() else 0 for part in (*text.split("."), "0")]
    return numbers[0], numbers[1]


def _torch(around: Surroundings) -> Iterator[Check]:
    torch, gpus = around.torch, around.visible
    if torch is None:
        yield Check("torch", "pass", "the command's Python has no torch, or could not be asked")
        return
    if torch.problem:
        advice = "The training would fail at the same line. Install torch anew in that environment."
        yield Check("torch", "fail", f"torch cannot be imported: {torch.problem}", advice)
    elif not gpus:
        yield Check("torch", "pass", f"torch {torch.version} for the CPU")
    elif not torch.cuda:
        advice = "Install a build for CUDA: https://pytorch.org/get-started/locally/."
        told = f"torch {torch.version} was built without CUDA, and there is a GPU"
        yield Check("torch", "fail", told, advice)
    elif not torch.available:
        told = f"torch {torch.version} (CUDA {torch.cuda}) cannot use the GPU"
        advice = "See `driver`; in a container, it has to be started with the GPU."
        yield Check("torch", "fail", told, advice)
    elif torch.devices != len(gpus):
        told = f"torch sees {plural(torch.devices, 'GPU')}, the driver {len(gpus)}"
        yield Check("torch", "warn", told, "Look at CUDA_VISIBLE_DEVICES, and at MIG.")
    else:
        told = f"torch {torch.version} (CUDA {torch.cuda}) sees {plural(torch.devices, 'GPU')}"
        yield Check("torch", "pass", told)


def _room(name: str, free: int | None, wanted: int, where: str) -> Iterator[Check]:
    if free is None:
        status = "fail" if wanted else "pass"
        yield Check(name, status, f"free room {where} is unknown")  # type: ignore[arg-type]
    elif free < wanted:
        told = f"{size(free)} free {where}, less than the {size(wanted)} asked for"
        yield Check(name, "fail", told, "Make room, or take a machine with more.")
    else:
        yield Check(name, "pass", f"{size(free)} free {where}")


def _checkpoints(settings: Settings, around: Surroundings, found: Checkpoints) -> Iterator[Check]:
    if around.checkpoints_problem:
        advice = "Name a folder that the runner's user may write, on a disk that outlives the job."
        yield Check("checkpoints", "fail", around.checkpoints_problem, advice)
        return
    if found.refused:
        first = found.refused[0]
        instead = f"step {found.latest.step} is used" if found.latest else "none is left"
        told = f"{first.path} is damaged: {first.why.rstrip('.')}; {instead}"
        advice = "Look at the disk; nothing was removed."
        yield Check("checkpoints", "warn", told, advice)
    elif found.latest is None:
        yield Check("checkpoints", "pass", "the folder can be written; there is none yet")
    elif not settings.resume:
        told = f"step {found.latest.step} is there, and `resume` is off: the training begins anew"
        yield Check("checkpoints", "warn", told, "The first save replaces what is there.")
    else:
        told = f"continues from step {found.latest.step} ({found.latest.path})"
        yield Check("checkpoints", "pass", told)


def _clock(around: Surroundings) -> Iterator[Check]:
    offset = around.clock_offset
    if around.year < FIRST_YEAR:
        told = f"the clock says it is {around.year}"
        yield Check("clock", "fail", told, "Set it: certificates and tokens are refused so.")
    elif offset is None:
        yield Check("clock", "pass", f"plausible ({around.year}); no server to compare it with")
    elif abs(offset) > CLOCK_SECONDS:
        told = f"{abs(offset):,.0f} s {'ahead of' if offset > 0 else 'behind'} the tracking server"
        yield Check("clock", "warn", told, "Let chrony or systemd-timesyncd keep the time.")
    else:
        yield Check("clock", "pass", f"within {max(1, round(abs(offset)))} s of the server's")


def _mlflow(settings: Settings, around: Surroundings) -> Iterator[Check]:
    if not settings.tracking_uri:
        return
    if around.mlflow_problem:
        advice = "Look at the address, the network and the credentials; the run would be lost."
        yield Check("mlflow", "fail", around.mlflow_problem, advice)
    else:
        yield Check("mlflow", "pass", "the tracking store can be reached")


def _data(settings: Settings, around: Surroundings) -> Iterator[Check]:
    for path, problem in around.data.items():
        if problem:
            advice = "Mount or fetch it in an earlier step; `data` is below `working-directory`."
            yield Check("data", "fail", f"{path}: {problem}", advice)
    if settings.data and not any(around.data.values()):
        yield Check("data", "pass", f"{plural(len(settings.data), 'path')} present")
