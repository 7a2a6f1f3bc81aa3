"""Looking at the machine: the edge of the preflight. Nothing here raises; unknown stays unknown."""

from __future__ import annotations

import contextlib
import email.utils
import json
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from mlactions.evaluate.listen import listen
from mlactions.evaluate.provenance import find_program, processor
from mlactions.evaluate.template import Template
from mlactions.train.machine import Surroundings, Torch
from mlactions.train.model import Settings
from mlactions.train.nvml import read_driver, visible

TORCH_SECONDS = 180.0
"""A first import of torch from a network disk takes minutes."""

SERVER_SECONDS = 15.0
_SERVER_ERROR = 500
_MEMINFO = Path("/proc/meminfo")

# Runs in the command's own interpreter, which may be older than ours.
_PROBE = """
import json, platform
said = {"python": platform.python_version(), "torch": None}
try:
    import importlib.util
    if importlib.util.find_spec("torch") is not None:
        import torch
        said["torch"] = {
            "version": str(torch.__version__),
            "cuda": str(torch.version.cuda or ""),
            "available": bool(torch.cuda.is_available()),
            "devices": int(torch.cuda.device_count()),
        }
except BaseException as error:
    said["torch"] = {"problem": "%s: %s" % (type(error).__name__, error)}
print(json.dumps(said))
"""


def look(settings: Settings, environ: Mapping[str, str], stop: Event) -> Surroundings:
    """Return all that the preflight judges. `environ` is what the command will get.

    Once `stop` is set, the command's Python is not waited for.
    """
    driver = read_driver()
    seen = visible(driver.gpus, environ)
    python, torch = _ask_python(settings, environ, stop)
    problem, offset = _server(settings)
    program = settings.arguments and find_program(
        settings.arguments[0], folder=settings.folder, environ=environ
    )
    return Surroundings(
        program=str(program or ""),
        driver=driver,
        visible=seen,
        hidden=bool(driver.gpus) and not seen,
        python=python,
        torch=torch,
        disk_free=_disk(settings.checkpoints),
        memory_free=_memory("MemAvailable"),
        checkpoints_problem=_writable(settings.checkpoints, settings.checkpoints_name),
        clock_offset=offset,
        year=time.gmtime().tm_year,
        mlflow_problem=problem,
        data={_named(path, settings.folder): _data(path) for path in settings.data},
        processor=processor(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        memory=_memory("MemTotal") or 0,
    )


def _ask_python(
    settings: Settings, environ: Mapping[str, str], stop: Event
) -> tuple[str, Torch | None]:
    """Ask the command's own interpreter for its version and its torch."""
    python = _interpreter(settings, environ)
    skipped = {"torch", "driver"} <= settings.skip_checks
    if not python or skipped:
        return "", None
    with tempfile.TemporaryDirectory() as empty:
        # An empty folder: `-c` imports from the current one first. `uv run` needs its project.
        folder = Path(empty) if len(python) == 1 else settings.folder
        said = listen(
            [*python, "-c", _PROBE],
            folder=folder,
            environ=environ,
            seconds=TORCH_SECONDS,
            stop=stop,
        )
    try:
        answer = json.loads((said or "").strip().splitlines()[-1])
    except (ValueError, IndexError):
        return "", None
    return str(answer.get("python", ""))[:100], _torch(answer.get("torch"))


def _interpreter(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return how the command starts Python; empty where it does not say."""
    named = Template(settings.arguments).python() if settings.arguments else ("python",)
    if named is not None:
        first = str(settings.folder / named[0]) if "/" in named[0] else named[0]
        return (first, *named[1:])
    program = find_program(settings.arguments[0], folder=settings.folder, environ=environ)
    beside = program.parent / "python" if program else None
    return (str(beside),) if beside and beside.exists() else ()


def _torch(said: Any) -> Torch | None:
    if not isinstance(said, dict):
        return None
    if said.get("problem"):
        return Torch("", "", available=False, devices=0, problem=str(said["problem"])[:300])
    return Torch(
        version=str(said["version"])[:100],
        cuda=str(said["cuda"])[:20],
        available=bool(said["available"]),
        devices=int(said["devices"]),
    )


def _nearest(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def _disk(path: Path) -> int | None:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(_nearest(path)).free
    return None


def _memory(field: str) -> int | None:
    """Return a line of /proc/meminfo in bytes, capped by the memory of our control group."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return _capped(int(line.split()[1]) * 1024, used=field == "MemAvailable")
    return None


def _capped(count: int, *, used: bool) -> int:
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text())
        current = int((group / "memory.current").read_text()) if used else 0
        return min(count, max(limit - current, 0))
    return count


def _writable(folder: Path, name: str) -> str:
    """Write and remove a file, as a checkpoint is written; permissions alone do not say."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"checkpoint")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return f"{name} cannot be written: {(error.strerror or 'failed').lower()}"
    return ""


def _named(path: Path, folder: Path) -> str:
    """Return a path as a result may hold it: relative where it can be."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _data(path: Path) -> str:
    try:
        if path.is_dir():
            return "" if next(path.iterdir(), None) else "the folder is empty"
        if not path.exists():
            return "there is no such file or folder"
        return "" if path.stat().st_size else "the file is empty"
    except OSError as error:
        return (error.strerror or "it cannot be read").lower()


def _server(settings: Settings) -> tuple[str, float | None]:
    """Return what is wrong with the tracking store, and how far our clock is from the server's."""
    uri = settings.tracking_uri
    if not uri or "mlflow" in settings.skip_checks:
        return "", None
    if uri.startswith(("http://", "https://")):
        return _ask_server(uri)
    for scheme in ("sqlite:///", "file://"):
        if uri.startswith(scheme):
            path = settings.folder / uri.removeprefix(scheme)
            return _store_folder(path.parent if scheme.startswith("sqlite") else path), None
    return ("", None) if ":" in uri else (_store_folder(settings.folder / uri), None)


def _store_folder(folder: Path) -> str:
    nearest = _nearest(folder)
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return "" if writable else f"{nearest}, where the tracking store lies, cannot be written"


def _ask_server(uri: str) -> tuple[str, float | None]:
    """Ask for `/health`, which needs no credentials. Any answer below 500 shows a server."""
    parts = urlsplit(uri)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    request = urllib.request.Request(f"{shown}{parts.path.rstrip('/')}/health")  # noqa: S310  # http
    try:
        with urllib.request.urlopen(request, timeout=SERVER_SECONDS) as answer:  # noqa: S310  # http
            return "", _offset(answer.headers.get("Date"))
    except urllib.error.HTTPError as error:
        with error:
            if error.code >= _SERVER_ERROR:
                return f"{shown} answers {error.code}", None
            return "", _offset(error.headers.get("Date"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        told = getattr(reason, "strerror", None) or reason
        return f"{shown} cannot be reached: {told}"[:300], None


def _offset(date: str | None) -> float | None:
    with contextlib.suppress(TypeError, ValueError):
        return time.time() - email.utils.parsedate_to_datetime(date or "").timestamp()
    return None
