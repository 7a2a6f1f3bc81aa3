"""The folder of a sweep: written beside, checked, then moved into place; one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mlactions.bundle import write_atomic
from mlactions.errors import UserError
from mlactions.sweep.manifest import NAME, Manifest, read_manifest

_EXECUTABLE = 0o755
_READABLE = 0o644
_TRIAL = re.compile(r"[0-9]+-[0-9a-f]{8}")
_OWN = frozenset(
    (
        *("best.json", "multirun.sh", "run_sweep.sh", "submit_ray.sh", "submit_slurm.sh"),
        *("sweep.sbatch", "sweep_trials.py"),
    )
)


@contextmanager
def locked(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a sweep's folder; a second writer is refused, not mixed in.

    It waits `patience` seconds for the first one to end.
    """
    path = folder.parent / f".{folder.name}.lock"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + patience
        while (lock := _acquired(path)) is None and time.monotonic() < until:
            time.sleep(0.2)
    except OSError as error:
        message = f"{(error.strerror or 'failed').lower()}."
        raise UserError("cannot write", message, file=str(folder)) from None
    if lock is None:
        message = "another process is writing this sweep."
        hint = "Wait for it, or give the sweep another `name`."
        raise UserError("sweep is being written", message, hint, str(folder))
    with lock:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                folder.parent.rmdir()  # nothing is left behind where nothing was written


def _acquired(path: Path) -> TextIO | None:
    """Return the lock, None where another process holds it."""
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                return lock
        except BlockingIOError:
            lock.close()
            return None
        except FileNotFoundError:
            pass
        lock.close()  # its last holder has removed the file: it locks nothing any more


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Give a new folder beside the sweep's, whose name Hydra takes for a config group's.

    It is gone afterwards. Raises UserError where the disk takes no more.
    """
    stage = folder.parent / f"_{folder.name}_new"
    shutil.rmtree(stage, ignore_errors=True)  # of a process that was killed: we hold the lock
    try:
        stage.mkdir(parents=True)
        yield stage
    except OSError as error:
        message = f"{(error.strerror or 'failed').lower()}."
        hint = "Name a folder on a disk with room."
        raise UserError("cannot write", message, hint, str(folder)) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_files(folder: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write many small files quickly; the folder is nobody else's until it is moved."""
    base = f"{folder}/"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for name, text in files:
        content = text.encode("utf-8", "surrogatepass")
        descriptor = os.open(base + name, flags, _READABLE)
        written = os.write(descriptor, content)
        os.close(descriptor)
        if written < len(content):  # a disk that is all but full takes a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_scripts(folder: Path, scripts: Mapping[str, str]) -> None:
    """Write the scripts beside the trials."""
    for name, text in scripts.items():
        write_atomic(folder / name, text, mode=_EXECUTABLE if name.endswith(".sh") else _READABLE)


def existing(folder: Path, *, replace: bool) -> Manifest | None:
    """Return the manifest of the sweep that is there; with `replace` it does not matter.

    A folder with other things in it is refused, whatever is asked for.
    """
    if not folder.exists():
        return None
    if not folder.is_dir() or folder.is_symlink():
        raise UserError("bad input", "it is not a folder.", file=str(folder))
    if not any(folder.iterdir()):
        return None
    if not (folder / NAME).exists() and not (folder / "run_sweep.sh").exists():
        message = "the folder holds files that are no sweep's."
        raise UserError("bad input", message, "Give the sweep another `name`.", str(folder))
    return None if replace else read_manifest(folder / NAME)


def install(stage: Path, folder: Path) -> None:
    """Move what was staged into place: trials and scripts first, the manifest last."""
    if not folder.exists() or not any(folder.iterdir()):
        if folder.exists():
            folder.rmdir()
        stage.rename(folder)
        return
    staged = {path.name for path in stage.iterdir()}
    for name in sorted(staged - {NAME}):
        (stage / name).replace(folder / name)
    (stage / NAME).replace(folder / NAME)


def remove_others(folder: Path, trials: Collection[str], scripts: Iterable[str]) -> None:
    """Remove what a sweep that was replaced has left: trials, records, scripts, best.json.

    `trials` are the names of those that there are now. A record of one of them stays, because it
    says of which configuration, code and data it is.
    """
    kept = {NAME, *scripts, *(f"{name}.yaml" for name in trials)}
    for path in folder.iterdir():
        trial = path.suffix == ".yaml" and _TRIAL.fullmatch(path.stem)
        if (trial or path.name in _OWN) and path.name not in kept:
            path.unlink()
    for path in (folder / ".state").glob("[0-9]*-*"):
        if path.name not in trials:
            path.unlink()
