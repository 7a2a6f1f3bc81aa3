"""What became of the user's process: its answer, or the class of what ended it."""

from __future__ import annotations

import errno
import re
import shutil
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.evaluate.collect import mebibytes, minutes
from mlactions.evaluate.process import Ended
from mlactions.evaluate.tracebacks import last_exception
from mlactions.export.exported import (
    Axis,
    Case,
    Checkpoint,
    Exported,
    Failure,
    Metadata,
    Noise,
    Provenance,
    TaskData,
    Timing,
)
from mlactions.export.memory import memory_limit
from mlactions.export.reading import failure_of, model_of, tensor_of, timing_of
from mlactions.export.settings import Settings
from mlactions.schema import load_json

REPORT = "logs/exporter.md"
STAGE = "[export] "
"""What our own lines of progress begin with, in the log of the user's process."""

NEAR_LIMIT = 0.9
RESPONSE_BYTES = 64 * 1024 * 1024

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_FULL_WORDS = ("No space left on device", "File too large", "Disk quota exceeded")


_LIBRARY = re.compile(r"(?:[^\s\"']*/)?(?:(?:site|dist)-packages|lib/python3\.\d+)/")


@dataclass(frozen=True)
class Answer:
    """What the user's process wrote, and why there is no model, if there is none."""

    given: Mapping[str, Any]
    failure: Failure | None


def read(scratch: Path, ended: Ended, log_tail: tuple[str, ...], *, timeout: float) -> Answer:
    """Return the answer; raises UserError where the process found its input to be bad."""
    path = scratch / "response.json"
    given: dict[str, Any] = load_json(path, max_bytes=RESPONSE_BYTES) if path.is_file() else {}
    status = given.get("status")
    if ended.by == "itself" and ended.code == 0 and status == "bad-input":
        error = given["error"]
        raise UserError(
            error["title"], error["message"], error["hint"], error["file"], error["line"]
        )
    if ended.by == "itself" and ended.code == 0 and status == "ok":
        return Answer(given, None)
    if ended.by == "itself" and ended.code == 0 and status == "failed":
        written = {**given["failure"], "log_tail": log_tail, "report": None}
        return Answer(given, failure_of(written))
    if (
        ended.by == "itself"
        and ended.code >= 0
        and not given
        and not (scratch / "started").is_file()
    ):
        raise _no_python(ended, log_tail)
    kind, message = classify(
        ended, log_tail, str(given.get("stage", "start")), timeout, memory=memory_limit()
    )
    return Answer(given, Failure(kind, message, log_tail=log_tail))


def _no_python(ended: Ended, log_tail: tuple[str, ...]) -> UserError:
    """Return what is wrong with a command that never came to our program's first line."""
    said = last_exception(list(log_tail)).rstrip(".")
    return UserError(
        "bad input",
        f"what `python` names ended with exit code {ended.code} before it ran a line of Python"
        f"{': ' if said else ''}{said}.",
        "Name the Python that trains the model, or a command that starts it: uv run python.",
    )


def classify(
    ended: Ended,
    log_tail: tuple[str, ...],
    stage: str,
    timeout: float,
    *,
    who: str = "Python",
    memory: int | None = None,
) -> tuple[str, str]:
    """Return the class and a sentence for a process that ended without an answer.

    `memory` is what it could have in bytes, None where that is not known. SIGKILL is put down to
    memory only where the kernel counted it, or the process was near that limit.
    """
    at = f"while its stage was `{stage}`"
    if ended.by == "interruption":
        return "interrupted", f"the export was stopped {at}."
    if ended.by == "time-out":
        return "timed-out", f"still running after {minutes(timeout)}, {at}."
    if any(words in line for line in log_tail for words in _FULL_WORDS):
        return "disk-full", f"there was no room to write {at}."
    peak = f" at {mebibytes(ended.peak_memory)}" if ended.peak_memory else ""
    full = memory is not None and (ended.peak_memory or 0) >= NEAR_LIMIT * memory
    killed = ended.code in {-signal.SIGKILL, 128 + signal.SIGKILL}
    if ended.out_of_memory or (killed and full):
        return "out-of-memory", f"it was killed{peak} {at}, for lack of memory."
    if killed:
        return "killed", f"it was killed{peak} {at}; nothing says that memory was short."
    how = f"exit code {ended.code}" if ended.code >= 0 else _signal(-ended.code)
    said = last_exception([line for line in log_tail if not line.startswith(STAGE)]).rstrip(".")
    return "crashed", f"{who} ended with {how} {at}{': ' if said else ''}{said}."


def without_places(lines: Iterable[str], folders: Iterable[Path]) -> tuple[str, ...]:
    """Return lines without this machine's places; empty ones are left out.

    Paths begin at one of the folders, those of a library at its package.
    """
    places = sorted({f"{folder}/" for folder in folders}, key=len, reverse=True)
    found = []
    for line in lines:
        for place in places:
            line = line.replace(place, "")  # noqa: PLW2901  # one place after the other
        found.append(_LIBRARY.sub("", line))
    return tuple(line for line in found if line)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def broken_disk(error: OSError, log_tail: tuple[str, ...]) -> Failure:
    """Return the failure behind an error in writing; any other error is not ours to explain."""
    if error.errno == errno.ENOEXEC:
        raise UserError(
            "bad input",
            "`python` names a file that cannot be started: it is no program.",
            "Name the Python that trains the model.",
        ) from None
    if error.errno not in _FULL:
        raise error
    message = f"there was no room to write: {(error.strerror or 'the disk is full').lower()}."
    return Failure("disk-full", message, log_tail=log_tail)


def failed(known: Exported, failure: Failure, scratch: Path, out: Path) -> Exported:
    """Return an export without a model; the exporter's report goes along, nothing else."""
    for name in ("model", "cases", "task"):
        shutil.rmtree(out / name, ignore_errors=True)
    report = None
    if (scratch / "exporter.md").is_file():
        (out / REPORT).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(scratch / "exporter.md", out / REPORT)
        report = REPORT
    return replace(
        known,
        status="failed",
        failure=replace(failure, report=report),
        outputs=(),
        files=(),
        cases=(),
        task=None,
    )


def exported_of(
    given: Mapping[str, Any], settings: Settings, metadata: Metadata, provenance: Provenance
) -> Exported:
    """Return the answer as dataclasses; whether there is a model is not decided yet."""
    checkpoint, task = given.get("checkpoint"), given.get("task")
    return Exported(
        status="ok",
        failure=None,
        model=model_of(given.get("model")),
        checkpoint=Checkpoint(**checkpoint) if checkpoint else None,
        inputs=tuple(tensor_of(tensor) for tensor in given.get("inputs", ())),
        outputs=(),
        axes=tuple(Axis(**axis) for axis in given.get("axes", ())),
        opset=settings.opset,
        precision=settings.precision,
        optimize=settings.optimize,
        quantize=settings.quantize,
        files=(),
        cases=tuple(
            Case(**case | {"noise": Noise(**case["noise"])}) for case in given.get("cases", ())
        ),
        timing=timing_of(given["timing"]) if "timing" in given else Timing(),
        task=TaskData(**task) if task else None,
        metadata=metadata,
        provenance=provenance,
        notes=(*settings.notes, *given.get("notes", ())),
    )


def summary(exported: Exported, out: Path) -> str:
    """Return the last line: what was exported, how large it is, how much can be checked."""
    model = exported.model
    size = sum((out / name).stat().st_size for name in exported.files)
    what = f"{model.class_name}, {count(model.parameters)} parameters" if model else "the model"
    beside = " with its weights beside it" if len(exported.files) > 1 else ""
    return (
        f"export: {what}: {_bytes(size)}{beside}, opset {exported.opset};"
        f" {len(exported.cases)} cases to verify"
    )


def _bytes(size: int) -> str:
    return mebibytes(size) if size >= 2**20 else f"{max(size / 1024, 0.1):.3g} KiB"


def count(number: int) -> str:
    """Return a number for people: `151 k`, `85.2 M`."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return str(number)
