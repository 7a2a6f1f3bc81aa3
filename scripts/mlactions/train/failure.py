"""Why a training did not finish: one class, from how it ended and from what its log says.

The texts are those of PyTorch 2, CUDA, NCCL, gloo, Python and the kernel. Where several classes
have evidence, the one that causes the others counts: one rank's out-of-memory makes NCCL fail on
all the others.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlactions.evaluate.tracebacks import find_place
from mlactions.text import one_line
from mlactions.train.amounts import duration
from mlactions.train.model import Ended, Failure, FailureClass
from mlactions.train.stacks import innermost

WINDOW = 600
"""Lines at the end of a log that are read for the cause: earlier ones it has survived."""

NEAR = 5
"""Lines of a message below its exception, and lines before one that may tell why it was raised."""

MAX_EVIDENCE = 500
MAX_CHANGES = 3
_EXCEPTION = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|Exit)\b(?::|$)")
_RANK = re.compile(r"^(?:\[[^\]]{1,60}\]:?\s*)+")
_FOLLOWS = re.compile(
    r"ChildFailedError|SignalException|KeyboardInterrupt|ChildProcessError"
    r"|DataLoader worker .* exited unexpectedly"
)
_TABLE = re.compile(r"\s+(rank|exitcode)\s+: (-?\d+)")
_FATAL_SIGNALS = {
    int(signal.SIGSEGV): "a fault in compiled code",
    int(signal.SIGBUS): "a fault in compiled code, or shared memory that is full",
    int(signal.SIGABRT): "an assertion in compiled code",
    int(signal.SIGFPE): "an arithmetic fault in compiled code",
}


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


def classify(
    ended: Ended, lines: Sequence[str], stacks: Sequence[str], *, root: Path, folder: Path
) -> Failure | None:
    """Return why a training did not finish, None if it did.

    `lines` is its log, `root` the repository, `folder` where the command ran.
    """
    if ended.by == "stalled":
        return _stalled(stacks, root)
    if ended.by in {"signal", "soft-limit"}:
        return _stopped(ended)
    if ended.code == 0:
        return _not_a_number(ended)
    found = _of_log(lines) or _of_process(ended, lines)
    if found.kind == "config-changed" and found.line:
        # Its place would be in our own helper, which the project has a copy of.
        return replace(found, evidence=_cut(_changes(lines[found.line - 1])))
    if ended.out_of_memory and found.kind in {"unknown", "nccl"}:
        found = Failure("host-out-of-memory", "the kernel killed a process for lack of memory")
    place = find_place("\n".join(lines[-WINDOW:]), root=root, folder=folder)
    if place is None:
        return found
    return replace(found, file=place.file, file_line=place.line)


def _stalled(stacks: Sequence[str], root: Path) -> Failure:
    place = innermost(stacks, root)
    if place is None:
        return Failure("stalled", "nothing moved, and no Python frame of this repository is known")
    file, line, function = place
    return Failure("stalled", f"it hangs in {function}", None, file, line)


def _stopped(ended: Ended) -> Failure:
    if ended.by == "soft-limit":
        return Failure("time-limit", f"the soft limit was reached after {duration(ended.seconds)}")
    name = signal.Signals(ended.stop_signal).name
    if ended.stop_signal == signal.SIGINT:
        return Failure("cancelled", f"{name} came after {duration(ended.seconds)}")
    return Failure("pre-empted", f"{name} came after {duration(ended.seconds)}")


def _not_a_number(ended: Ended) -> Failure | None:
    """Return a failure for a last loss that is no number, however well the process ended."""
    last = ended.progress[-1] if ended.progress else None
    if last is None or last.loss is None or math.isfinite(last.loss):
        return None
    step = "" if last.step is None else f" at step {last.step}"
    return Failure("nan-loss", f"the last loss it reported is {last.loss}{step}")


def _of_log(lines: Sequence[str]) -> Failure | None:
    first = max(0, len(lines) - WINDOW)
    window = [(n, _RANK.sub("", lines[n])) for n in range(first, len(lines))]
    final = _final(window)
    if final is not None and not any(rule.pattern.search(final[1]) for rule in RULES):
        window = _raised(window)  # what was only said was survived: another thing ended it
    for rule in RULES:
        for number, line in _candidates(rule, window, final):
            if rule.pattern.search(line):
                return Failure(rule.kind, _cut(line), number + 1)
    return None


def _candidates(
    rule: Rule, window: Sequence[tuple[int, str]], final: tuple[int, str] | None
) -> Iterator[tuple[int, str]]:
    if not rule.final:
        yield from window
    elif final is not None:
        yield final
    else:
        yield from reversed(window)


def _raised(window: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the lines that belong to exceptions, and what was said just before one of them.

    A loop that stops over a loss says so, and then raises something of its own.
    """
    nan = next(rule.pattern for rule in RULES if rule.kind == "nan-loss")
    spans = [
        (at, next((n for n in range(at, len(window)) if _EXCEPTION.match(window[n][1])), at))
        for at, (_, line) in enumerate(window)
        if line.startswith("Traceback (most")
    ]
    return [
        pair
        for at, pair in enumerate(window)
        if _EXCEPTION.match(pair[1])
        or any(start <= at <= end + NEAR for start, end in spans)
        or (nan.search(pair[1]) and any(0 < start - at <= NEAR for start, _ in spans))
    ]


def _final(window: Sequence[tuple[int, str]]) -> tuple[int, str] | None:
    """Return the last exception that is not merely what another one led to.

    A rank that fails takes the connection away from all the others.
    """
    lost = next(rule.pattern for rule in RULES if rule.kind == "nccl")
    named = [
        pair
        for pair in window
        if _EXCEPTION.match(pair[1]) and not (_FOLLOWS.search(pair[1]) or lost.search(pair[1]))
    ]
    return named[-1] if named else None


def _of_process(ended: Ended, lines: Sequence[str]) -> Failure:
    """Return what is left to say: the last exception, the signal, or the exit code."""
    code = ended.code - 128 if ended.code > 128 else -ended.code  # noqa: PLR2004  # a shell's way
    if code == signal.SIGKILL and ended.code != 0:
        told = "SIGKILL ended it, and nothing in its log says why: the kernel or a person sent it"
        return Failure("unknown", told)
    window = [(n, _RANK.sub("", line)) for n, line in enumerate(lines)][-WINDOW:]
    final = _final(window)
    if final is not None:
        return Failure("unknown", _cut(final[1]), final[0] + 1)
    if code in _FATAL_SIGNALS:
        return Failure("unknown", f"{signal.Signals(code).name}: {_FATAL_SIGNALS[code]}")
    rank = _root_cause([line for _, line in window])
    if rank:
        return Failure("unknown", rank)
    said = [pair for pair in window if pair[1].strip()]
    if said:
        return Failure("unknown", _cut(said[-1][1]), said[-1][0] + 1)
    return Failure("unknown", f"it ended with exit code {ended.code} and said nothing")


def _root_cause(lines: Sequence[str]) -> str:
    """Return what torchrun's table says of the rank that failed first; empty without one."""
    starts = [n for n, line in enumerate(lines) if line.startswith("Root Cause")]
    if not starts:
        return ""
    found = (_TABLE.match(line) for line in lines[starts[-1] :])
    told = {match[1]: match[2] for match in found if match}
    return f"rank {told.get('rank', '?')} ended first, with exit code {told.get('exitcode', '?')}"


def _changes(line: str) -> str:
    """Return what the helper said of a checkpoint, with the first few settings that differ."""
    told = line.partition("ConfigChangedError: ")[2] or line
    parts = re.split(r"; (?=\S+ was )", told.rpartition(" Take another folder")[0] or told)
    parts[-1] = parts[-1].rstrip(".")
    more = f"; and {len(parts) - MAX_CHANGES} more" if len(parts) > MAX_CHANGES else ""
    return "; ".join(parts[:MAX_CHANGES]) + more


def _cut(line: str) -> str:
    text = one_line(line).strip()
    return text if len(text) <= MAX_EVIDENCE else text[: MAX_EVIDENCE - 1] + "…"
