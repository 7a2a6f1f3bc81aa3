"""Checkpoint folders as we read them: schema, size and hash, before anything starts."""

from __future__ import annotations

import fcntl
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import load_json, validate
from mlactions.train.model import Checkpoint, Checkpoints, Refused, Verified
from mlactions.train.user.mlactions_train import digest, files_of

LATEST, BEST = "latest.json", "best.json"
LOCK = ".train.lock"


def read_checkpoints(folder: Path, *, hashed: bool = True) -> Checkpoints:
    """Return the newest good checkpoint of a folder, its best one, and those that are damaged.

    `hashed=False` compares sizes only: large ones take minutes to read, and a runner that cancels
    waits for seconds.
    """
    latest, refused = _first_good(folder, LATEST, hashed=hashed)
    best, _ = _first_good(folder, BEST, hashed=hashed)
    is_lost = not (folder / LATEST).exists() and best is not None and bool(best.config_hash)
    if is_lost:
        refused.append(Refused(LATEST, None, "it is missing"))
    if latest is None and refused:
        latest = best  # as our helper does: the pointer is lost, or what it names
    return Checkpoints(latest, best, tuple(refused))


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Keep other trainings out of a checkpoint folder; the lock goes with the process.

    Raises UserError if another training has it. Where the file system knows no locks, there is
    none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "Wait for it, or give each training its own folder in `checkpoints`."
            raise UserError("in use", "another training writes there.", hint, name) from None
        except OSError:
            pass
        yield


def check_pointer(found: Checkpoints, folder: Path) -> None:
    """Refuse to begin anew over checkpoints that nothing names any more. Raises UserError."""
    damaged = next((one for one in found.refused if one.path == LATEST), None)
    if damaged is None or found.latest is not None:
        return
    is_file = (folder / LATEST).is_file()
    if is_file and not any(folder.glob("step-*")):
        return
    raise UserError(
        "damaged checkpoints",
        f"{LATEST} cannot be used: {damaged.why.rstrip('.')}. What lies beside it would be lost.",
        "Repair it, take another folder, or set `resume: false` to begin anew."
        if is_file
        else "Remove it, or take another folder for `checkpoints`.",
        str(folder / LATEST),
    )


def check_config(found: Checkpoint | None, expected: str, folder: Path) -> None:
    """Refuse to continue a run of another configuration.

    Raises UserError where both say which one they are of, and differ. A training that uses our
    helper compares key by key besides.
    """
    if found is None or not expected or not found.config_hash or found.config_hash == expected:
        return
    raise UserError(
        "another configuration",
        f"the checkpoint {found.path} is of {found.config_hash}, this run is of {expected}.",
        "Take another folder for `checkpoints`, or set `resume: false` to begin anew.",
        str(folder / LATEST),
    )


def _first_good(
    folder: Path, name: str, *, hashed: bool
) -> tuple[Checkpoint | None, list[Refused]]:
    refused: list[Refused] = []
    if not (folder / name).exists():
        return None, refused
    if not (folder / name).is_file():
        return None, [Refused(name, None, "it is no file")]
    try:
        document = load_json(folder / name)
        _check_numbers(document)
        validate(document, "checkpoint", file=str(folder / name))
    except UserError as error:
        return None, [Refused(name, None, f"{error.title}: {error.message}")]
    for entry in _entries(document):
        problem, verified = _look(folder, entry, hashed=hashed)
        if not problem:
            return _checkpoint(entry, verified), refused
        refused.append(Refused(entry["path"], entry["step"], problem))
    return None, refused


def _check_numbers(document: Any) -> None:
    """Refuse NaN, which strict JSON does not have and our reader lets through."""
    metric = document.get("metric") if isinstance(document, dict) else None
    value = metric.get("value") if isinstance(metric, dict) else None
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError("not a checkpoint file", "metric.value: not a finite number")


def _entries(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield document
    yield from document.get("previous", ())


def _look(folder: Path, entry: Mapping[str, Any], *, hashed: bool) -> tuple[str, Verified]:
    """Return what is wrong with a checkpoint, and what was compared to say that nothing is."""
    parts = PurePosixPath(entry["path"]).parts
    path = folder / entry["path"]
    if ".." in parts or not path.resolve().is_relative_to(folder.resolve()):
        return "it leads out of the checkpoint folder", "presence"
    if not path.exists():
        return "it is missing", "presence"
    try:
        return _compare(path, entry, hashed=hashed)
    except OSError as error:
        return f"it cannot be read: {error.strerror}", "presence"


def _compare(path: Path, entry: Mapping[str, Any], *, hashed: bool) -> tuple[str, Verified]:
    expected, size = entry.get("bytes"), sum(file.stat().st_size for file in files_of(path))
    if expected is not None and expected != size:
        return f"it has {size:,} bytes, not {expected:,}", "size"
    if entry.get("sha256") is None or not hashed:
        return "", "presence" if expected is None else "size"
    same = digest(path) == entry["sha256"]
    return "" if same else "its content was changed: the SHA-256 differs", "sha256"


def _checkpoint(entry: Mapping[str, Any], verified: Verified) -> Checkpoint:
    return Checkpoint(
        path=entry["path"],
        step=entry["step"],
        metric=entry.get("metric"),
        verified=verified,
        config_hash=entry.get("config_hash") or "",
        run_id=entry.get("run_id") or "",
    )
