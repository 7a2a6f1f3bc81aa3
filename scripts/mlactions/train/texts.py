"""Texts that show why a training failed: one rule for each class, the cause before the effect.

They are those of PyTorch 2, CUDA, NCCL, gloo, Python and the kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlactions.train.model import FailureClass


@dataclass(frozen=True)
class Rule:
    """Texts of one class; `final` ones only count in the exception that ended the training."""

    kind: FailureClass
    pattern: re.Pattern[str]
    final: bool = False


def _rule(kind: FailureClass, *texts: str, final: bool = False) -> Rule:
    return Rule(kind, re.compile("|".join(texts)), final)


RULES = (
    _rule(
        "gpu-out-of-memory",
        r"(?:torch|torch\.cuda)\.OutOfMemoryError",
        r"(?:CUDA|HIP|XPU) out of memory",
        r"CUDA error: out of memory",
        r"CU(?:BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED",
    ),
    _rule(
        "disk-full",
        r"No space left on device",
        r"\[Errno (?:28|122)\]",
        r"Disk quota exceeded",
        r"database or disk is full",
        r"PytorchStreamWriter failed writing file",
        r"inline_container\.cc:\d+\] \. unexpected pos",  # what torch.save makes of a full disk
    ),
    _rule(
        "host-out-of-memory",
        r"DefaultCPUAllocator: (?:can't|not enough|cannot) ",
        r"^MemoryError\b|\bMemoryError: ",
        r"ArrayMemoryError",
        r"[Cc]annot allocate memory",
        r"DataLoader worker \(pid[^)]*\) is killed by signal: (?:Killed|Bus error)",
        r"workers are out of shared memory",
        r"[Oo]ut of memory: Killed process|oom-kill|oom_kill",
        r"std::bad_alloc",
    ),
    _rule(
        "nan-loss",
        r"returned nan values in its \d+\w* output",
        r"(?i:\bloss\b[^\n]{0,60}\b(?:is|was|=|became|returned)\b[^\n]{0,30}\b(?:nan|inf|infinite)\b)",
        r"(?i:\b(?:nan|infinite|non-finite)\b[^\n]{0,20}\b(?:loss|gradients?)\b)",
        r"gradients? from `parameters` is non-finite",
        r"FloatingPointError",
    ),
    _rule("config-changed", r"\bConfigChangedError\b", final=True),
    _rule(
        "import-error",
        r"ModuleNotFoundError|\bImportError\b",
        r"error while loading shared libraries",
        r"undefined symbol: ",
        r"version `[A-Z]+_[\d.]+' not found",
        final=True,
    ),
    _rule(
        "data-missing",
        r"FileNotFoundError|\bNotADirectoryError\b",
        r"DatasetNotFoundError",
        r"Dataset not found",
        r"num_samples should be a positive integer value, but got num_samples=0",
        r"No such file or directory",
        final=True,
    ),
    _rule(
        "nccl",
        r"\bDistBackendError\b",
        r"\bnccl(?:SystemError|UnhandledCudaError|InternalError|InvalidUsage|RemoteError)\b",
        r"NCCL (?:error|WARN|operations have failed)",
        r"Watchdog caught collective operation timeout",
        r"third_party/gloo|\bgloo\b[^\n]*(?:[Cc]onnection|[Tt]imed out)",
        r"RendezvousTimeoutError|RendezvousConnectionError|DistStoreError",
    ),
)
