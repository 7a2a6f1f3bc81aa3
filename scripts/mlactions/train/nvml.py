"""What the NVIDIA driver says of its GPUs, through NVML: without torch, and without root.

A machine without driver, library or GPU is an answer, not an error. What a GPU cannot say (a
laptop's has no power meter, few have ECC) is None.
"""

from __future__ import annotations

import contextlib
import ctypes
import pwd
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from mlactions.train.machine import Driver, Gpu, Process
from mlactions.train.model import GpuSample

VISIBLE = "CUDA_VISIBLE_DEVICES"
_NONE = frozenset({"-1", "none", "void"})

# Where containers, WSL and NixOS mount the driver's library: the launcher drops LD_LIBRARY_PATH.
_PLACES = ("/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/run/opengl-driver/lib")


def _ask(nvml: ModuleType, name: str, *arguments: Any) -> Any:
    """Call one function of NVML; None where the driver does not know it or cannot say."""
    function: Callable[..., Any] | None = getattr(nvml, name, None)
    if function is None:
        return None
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def read_driver() -> Driver:
    """Return the driver and its GPUs, or why there are none."""
    try:
        import pynvml
    except ImportError:
        return Driver(problem="nvidia-ml-py is not installed")
    try:
        _load()
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        absent = error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
        return Driver(problem="there is no NVIDIA driver" if absent else f"NVML: {error}")
    try:
        count = _ask(pynvml, "nvmlDeviceGetCount") or 0
        gpus = tuple(gpu for gpu in (_gpu(pynvml, index) for index in range(count)) if gpu)
        return Driver(
            gpus=gpus,
            version=_text(_ask(pynvml, "nvmlSystemGetDriverVersion")),
            cuda=_cuda(_ask(pynvml, "nvmlSystemGetCudaDriverVersion_v2")),
            problem="" if gpus else "the driver has no GPU",
        )
    finally:
        _ask(pynvml, "nvmlShutdown")


def _load() -> None:
    """Load the library from where a loader does not look; a later look finds what is loaded."""
    for place in _PLACES:
        with contextlib.suppress(OSError):
            ctypes.CDLL(f"{place}/libnvidia-ml.so.1")
            return


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _cuda(number: int | None) -> str:
    """Return 12040 as `12.4`."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def _gpu(nvml: ModuleType, index: int) -> Gpu | None:
    handle = _ask(nvml, "nvmlDeviceGetHandleByIndex", index)
    memory = None if handle is None else _ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    if memory is None:  # fallen off the bus, or not ours to see
        return None
    sample = _sample(nvml, handle)
    remapped = _ask(nvml, "nvmlDeviceGetRemappedRows", handle)
    errors = _ask(
        nvml,
        "nvmlDeviceGetTotalEccErrors",
        handle,
        nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        nvml.NVML_VOLATILE_ECC,
    )
    return Gpu(
        index=index,
        name=_text(_ask(nvml, "nvmlDeviceGetName", handle)) or "unknown",
        uuid=_text(_ask(nvml, "nvmlDeviceGetUUID", handle)),
        memory=int(memory.total),
        memory_used=int(memory.used),
        utilization=sample.utilization,
        power=sample.power,
        ecc_uncorrected=errors,
        remap_pending=bool(remapped and remapped[2]),
        remap_failed=bool(remapped and remapped[3]),
        processes=tuple(
            process(found.pid, found.usedGpuMemory)
            for found in _ask(nvml, "nvmlDeviceGetComputeRunningProcesses", handle) or ()
        ),
    )


def _sample(nvml: ModuleType, handle: Any) -> GpuSample:
    rates = _ask(nvml, "nvmlDeviceGetUtilizationRates", handle)
    memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    milliwatts = _ask(nvml, "nvmlDeviceGetPowerUsage", handle)
    return GpuSample(
        utilization=None if rates is None else float(rates.gpu),
        memory=None if memory is None else int(memory.used),
        power=None if milliwatts is None else milliwatts / 1000,
    )


def process(pid: int, memory: int | None, proc: Path = Path("/proc")) -> Process:
    """Return a process with its name and its owner, as far as we may see them."""
    name = user = ""
    with contextlib.suppress(OSError, KeyError):  # it ended, or its owner has no name here
        name = (proc / str(pid) / "comm").read_text(errors="replace").strip()
        uid = (proc / str(pid)).stat().st_uid
        user = str(uid)
        user = pwd.getpwuid(uid).pw_name
    return Process(pid, name or "unknown", user, memory)


def visible(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Return the GPUs that a command will see.

    As CUDA reads the variable: numbers or beginnings of UUIDs, up to the first that is neither.
    A part of a GPU (`MIG-…`) has no number here, so all GPUs stay.
    """
    chosen = environ.get(VISIBLE)
    if chosen is None or chosen.startswith("MIG-"):
        return tuple(gpus)
    found: list[Gpu] = []
    for word in (part.strip() for part in chosen.split(",")):
        match = [gpu for gpu in gpus if _is(gpu, word)]
        if not match or word.lower() in _NONE:
            break
        found += match[:1]
    return tuple(found)


def _is(gpu: Gpu, word: str) -> bool:
    if word.isdecimal():
        return gpu.index == int(word)
    return word.startswith("GPU-") and gpu.uuid.startswith(word)


class Meter:
    """Reads the GPUs of a run again and again; use it in a `with` block. No GPUs: no readings."""

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._nvml: ModuleType | None = None
        self._handles: list[Any] = []
        self._gpus = gpus

    def __enter__(self) -> Self:
        if not self._gpus:
            return self
        import pynvml

        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [
                _ask(pynvml, "nvmlDeviceGetHandleByIndex", gpu.index) for gpu in self._gpus
            ]
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._nvml is not None:
            _ask(self._nvml, "nvmlShutdown")

    def read(self) -> tuple[GpuSample, ...]:
        """Return one reading of each GPU, in their order."""
        nvml = self._nvml
        if nvml is None:
            return ()
        return tuple(_sample(nvml, handle) for handle in self._handles)
