"""The program: a request in, the model as ONNX, references and facts out.

What is known is written after every stage, so that a process that is killed still leaves it.
"""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .problems import BadInput, Failed, Place, Sources, first_line

LARGE_BYTES = 2**30
"""Weights from here on are written beside the model, as torch does by itself from 2 GB on."""

STAGE = "[export]"

PACKAGES = ("torch", "numpy", "onnx", "onnxscript")

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class Session:
    """One run: the request, and what is known so far."""

    def __init__(self, request: Mapping[str, Any], import_seconds: float) -> None:
        self.request = request
        self.scratch = Path(request["scratch"])
        self.sources = Sources(Path(request["root"]))
        self.known: dict[str, Any] = {
            "stage": "start",
            "notes": [],
            "timing": {"import_s": round(import_seconds, 3), "export_s": 0.0, "eager": {}},
            "platform": f"{platform.system()} {platform.machine()}",
            "versions": {name: version(name) for name in ("torch", "onnxscript")}
            | {"python": platform.python_version()},
        }

    def stage(self, name: str, text: str) -> None:
        """Begin a stage: one line for whoever waits, and what is known on disk."""
        self.known["stage"] = name
        self.write()
        print(f"{STAGE} {text}", flush=True)

    def note(self, text: str) -> None:
        """Keep something that the report should say."""
        if text:
            self.known["notes"].append(self.sources.scrub(text)[:4000])

    def write(self, **more: Any) -> None:
        """Replace the response as a whole."""
        self.known.update(more)
        temporary = self.scratch / "response.tmp"
        temporary.write_text(json.dumps(self.known, allow_nan=False), encoding="utf-8")
        temporary.replace(self.scratch / "response.json")


def version(name: str) -> str:
    """Return the version of an installed package, empty without it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def main(path: Path, import_seconds: float) -> None:
    """Answer one request; whatever goes wrong is an answer too."""
    session = Session(json.loads(path.read_text(encoding="utf-8")), import_seconds)
    try:
        _need_torch()
        from .stages import run

        run(session)
        session.write(status="ok", stage="done")
    except BadInput as problem:
        session.write(status="bad-input", error=_bad_input(session, problem))
    except Exception as error:
        failed = _failed(session, error)
        if failed is None:
            raise
        session.write(status="failed", failure=_failure(session, failed))


def _bad_input(session: Session, problem: BadInput) -> dict[str, Any]:
    place, scrub = problem.place, session.sources.scrub
    return {
        "title": problem.title,
        "message": scrub(problem.message),
        "hint": problem.hint,
        "file": place.file if place else None,
        "line": place.line if place else None,
    }


def _failed(session: Session, error: Exception) -> Failed | None:
    """Return the failure that an exception stands for, None for one that nobody expected."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        message = f"there was not enough memory: {first_line(error)}"
        return Failed("out-of-memory", message, report=f"# Out of memory\n\n{message}\n")
    if isinstance(error, OSError):
        return _disk(error, session)
    return None


def _need_torch() -> None:
    name = Path(sys.executable).name
    for package in PACKAGES:
        if not _importable(package):
            raise BadInput(
                f"`{package}` is not installed for {name}, the Python that `python` names.",
                "Name the Python that trains the model, or install torch, numpy, onnx and"
                " onnxscript for it.",
                title="missing package",
            )


def _importable(package: str) -> bool:
    """Say whether a package is there; importing onnxscript here would be an export's time."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _failure(session: Session, failed: Failed) -> dict[str, Any]:
    place: Place | None = failed.place
    (session.scratch / "exporter.md").write_text(failed.report, encoding="utf-8")
    return {
        "class": failed.kind,
        "message": session.sources.scrub(failed.message)[:4000],
        "file": place.file if place else None,
        "line": place.line if place else None,
        "module": place.module if place else None,
        "source": session.sources.lines(place) if place else [],
    }


def _disk(error: OSError, session: Session) -> Failed:
    """Tell a full disk, or a file over a limit, from any other trouble with files."""
    said = os.strerror(error.errno) if error.errno else first_line(error)
    message = f"writing stopped while the stage was `{session.known['stage']}`: {said}."
    kind = "disk-full" if error.errno in _FULL else "export-failed"
    for name in ("raw", "cases", "task"):  # room for the answer
        shutil.rmtree(session.scratch / name, ignore_errors=True)
    return Failed(kind, message, report=f"# Writing failed\n\n{message}\n")


def clock() -> float:
    """Return seconds for differences."""
    return time.perf_counter()
