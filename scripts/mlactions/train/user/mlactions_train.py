"""Checkpoints that survive a kill, progress that can be watched, a stop that is asked for.

Copy this file beside your training loop; it needs Python 3.9 and nothing else. A loop uses it so:

    checkpoints = Checkpoints(config, allow=("training.epochs", "data.workers"))
    found = checkpoints.latest()  # None on a first start; a damaged one is passed over
    if found:
        state = torch.load(found.path, weights_only=True)
    for epoch in range(found.step + 1 if found else 1, epochs + 1):
        ...
        progress(step=epoch, loss=loss)
        checkpoints.save(
            lambda path: torch.save(state, path), step=epoch, metric=("val_loss", loss)
        )
        if should_stop():  # SIGTERM came: the run will be continued
            sys.exit(0)

The files it writes, `latest.json` and `best.json`, are described in checkpoint.schema.json of
codex-ml-actions. Whoever unpickles a checkpoint runs what is in it: load with `weights_only=True`,
or keep safetensors. With several processes only rank 0 writes; agree on `should_stop` among them.
Where the loop tracks with MLflow, a run that is stopped gets the tag `mlactions.ended`.
"""

from __future__ import annotations

import atexit
import contextlib
import fnmatch
import hashlib
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_stop = threading.Event()
_told: dict[str, Any] = {}
_continued = os.environ.get("MLFLOW_RUN_ID")  # MLflow removes it when the run is opened


class ConfigChangedError(Exception):
    """The checkpoint belongs to another configuration; the message names every difference."""


class DamagedError(Exception):
    """What names the checkpoints cannot be read, and there are some: nobody knows which is good."""


@dataclass(frozen=True)
class Found:
    """A checkpoint whose content was verified."""

    path: Path
    step: int
    metric: float | None
    run_id: str


class Checkpoints:
    """The checkpoints of one configuration in one folder.

    `config` may be nested. Keys that `allow` names, as dotted globs, may differ on a resume.
    `keep` checkpoints stay, and the best one. The folder is that of `mlactions train`, if it runs
    this, else `folder`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        allow: Sequence[str] = (),
        folder: str = "checkpoints",
        keep: int = 3,
    ) -> None:
        given = os.environ.get("MLACTIONS_ALLOW_CHANGE", "").split("\n")
        self.allow = (*allow, *(name for name in given if name))
        self.config = _plain(config)
        self.folder = Path(os.environ.get("MLACTIONS_CHECKPOINTS") or folder)
        self.keep = max(keep, 1)
        self.anew = os.environ.get("MLACTIONS_RESUME") == ""  # asked to forget what is there
        _listen()

    def latest(self) -> Found | None:
        """Return the newest checkpoint that is undamaged, or None.

        Raises ConfigChangedError if it belongs to another configuration, DamagedError where the
        pointers cannot be read and checkpoints lie there.
        """
        for entry in () if self.anew else self._named():
            path = self.folder / entry["path"]
            if _is_good(self.folder, entry):
                self._check(entry)
                metric = (entry.get("metric") or {}).get("value")
                return Found(path, entry["step"], metric, entry.get("run_id") or "")
            print(f"checkpoint {path} is damaged: trying the one before", flush=True)
        return None

    def _named(self) -> Iterator[dict[str, Any]]:
        """Yield what `latest.json` names; where nothing of that is whole, what `best.json` does."""
        pointer = self.folder / "latest.json"
        tried = []
        for entry in _entries(pointer):
            tried.append(entry["path"])
            yield entry
        why = "is damaged" if _is_damaged(pointer) else "names none that is whole"
        why = why if pointer.exists() else "is missing"
        best = [one for one in _entries(self.folder / "best.json") if one["path"] not in tried]
        if not pointer.exists():  # one without a hash may be of another training
            best = [one for one in best if one.get("config_hash")]
        if best or (not tried and any(self.folder.glob("step-*"))):
            print(f"{pointer} {why}: trying best.json", flush=True)
        yield from best
        if _is_damaged(pointer) and any(self.folder.glob("step-*")):
            told = (
                f"{pointer} is damaged, and checkpoints lie beside it. Repair it, move the folder"
            )
            raise DamagedError(f"{told} away, or begin anew with `mlactions train --no-resume`.")

    def save(self, write: Callable[[Path], Any], *, step: int, **about: Any) -> None:
        """Have `write` make a file or folder, then `record` it, which says what `about` may be.

        A kill at any moment leaves the checkpoint before, or this one.
        """
        if os.environ.get("RANK", "0") != "0":
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._unused(step)
        temporary = path.with_name(f".{path.name}.tmp")
        _remove(temporary)
        write(temporary)
        _sync(temporary)
        temporary.rename(path)
        self.record(path, step=step, **about)

    def record(
        self,
        path: Path,
        *,
        step: int,
        metric: tuple[str, float] | None = None,
        lower_is_better: bool = True,
        run_id: str = "",
        hashed: bool = True,
    ) -> None:
        """Let the pointers name a checkpoint; `hashed=False` if it is too large to read again."""
        value = metric[1] if metric and math.isfinite(metric[1]) else None
        entry = {
            "path": path.relative_to(self.folder).as_posix(),
            "step": step,
            "metric": {"name": metric[0], "value": value} if metric else None,
            "sha256": digest(path) if hashed else None,
            "bytes": sum(file.stat().st_size for file in files_of(path)),
            "config_hash": self._hash(),
            "config": self.config,
            "run_id": run_id,
        }
        self._keep_unnamed(path.name)
        before = [] if self.anew else list(_entries(self.folder / "latest.json"))
        best = None if self.anew else next(_entries(self.folder / "best.json"), None)
        self.anew = False
        pointer = {"version": 1, **entry, "previous": before[: self.keep - 1]}
        _write(self.folder / "latest.json", pointer)
        if value is not None and _is_better(value, best, lower_is_better):
            _write(self.folder / "best.json", {"version": 1, **entry})
        elif best is None:
            _remove(self.folder / "best.json")  # of a run that was to be forgotten
        self._tidy()

    def _unused(self, step: int) -> Path:
        """Return a name that no checkpoint has: one of the same step may be in use."""
        names = [f"step-{step:09d}", *(f"step-{step:09d}-{n}" for n in range(2, 1000))]
        return next(self.folder / name for name in names if not (self.folder / name).exists())

    def _keep_unnamed(self, fresh: str) -> None:
        """Note in `kept.json` what a lost pointer may have named: that stays until somebody looks.

        What is saved later is tidied as ever, or the disk would fill.
        """
        pointers = (self.folder / "latest.json", self.folder / "best.json")
        kept, aside = self.folder / "kept.json", self.folder / "latest.json.damaged"
        if self.anew:
            _remove(kept)
            _remove(aside)
            return
        known = _kept(kept)
        lost = [pointer for pointer in pointers if _is_damaged(pointer)]
        unknown = known is None or (aside.exists() and not kept.exists())
        if not (lost or unknown or not pointers[0].exists()):
            return
        there = {path.name for path in self.folder.glob("step-*")} - {fresh}
        if there:
            _write(kept, {"version": 1, "kept": sorted(there.union(known or ()))})
            print(f"checkpoints whose pointer was lost stay: {kept} names them", flush=True)
        for pointer in lost:
            pointer.rename(pointer.with_name(f"{pointer.name}.damaged"))

    def _tidy(self) -> None:
        """Remove what no pointer names any more, and what a kill left half-written."""
        pointers = (self.folder / "latest.json", self.folder / "best.json")
        named = {entry["path"] for pointer in pointers for entry in _entries(pointer)}
        named.update(_kept(self.folder / "kept.json") or ())
        for pattern in ("step-*", ".step-*.tmp", ".latest.json.*.tmp", ".best.json.*.tmp"):
            for path in self.folder.glob(pattern):
                if path.name not in named:
                    _remove(path)

    def _may_change(self, key: str) -> bool:
        return any(fnmatch.fnmatchcase(key, pattern) for pattern in self.allow)

    def _hash(self) -> str:
        if given := os.environ.get("MLACTIONS_CONFIG_HASH"):
            return given
        fixed = {key: value for key, value in self.config.items() if not self._may_change(key)}
        return "sha256:" + hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()

    def _check(self, entry: Mapping[str, Any]) -> None:
        theirs = entry.get("config")
        if theirs is None:
            if entry.get("config_hash") not in (None, "", self._hash()):
                raise ConfigChangedError("the checkpoint was made with another configuration")
            return
        changed = [
            f"{key} was {_shown(theirs, key)}, is {_shown(self.config, key)}"
            for key in sorted({*theirs, *self.config})
            if _shown(theirs, key) != _shown(self.config, key) and not self._may_change(key)
        ]
        if changed:
            told = f"{entry['path']} was made with another configuration: {'; '.join(changed)}."
            raise ConfigChangedError(f"{told} Take another folder, or `allow` what may change.")


def progress(*, step: int, loss: float | None = None, eta: float | None = None) -> None:
    """Say how far it is; written at most once a second, and in the end. `eta` is in seconds."""
    path = os.environ.get("MLACTIONS_PROGRESS")
    if not path or os.environ.get("RANK", "0") != "0":
        return
    shown = loss if loss is None or math.isfinite(loss) else str(loss)
    _told.update(path=path, pid=os.getpid(), waiting={"step": step, "loss": shown, "eta": eta})
    if time.monotonic() - _told.get("when", -math.inf) >= 1:
        _tell()


@atexit.register
def _tell() -> None:
    """Write what waits, also when the process ends; a fork has only a copy of it."""
    if _told.get("pid") == os.getpid() and "waiting" in _told:
        _told["when"] = time.monotonic()
        with contextlib.suppress(OSError):  # no reason to end a training
            _write(Path(_told["path"]), _told.pop("waiting"))


def should_stop() -> bool:
    """Return whether SIGTERM asked this process to save and end; if so, its MLflow run says it."""
    _listen()
    if _stop.is_set():
        _tag("pre-empted")
    return _stop.is_set()


@atexit.register
def _tag(ended: str = "") -> None:
    """Tag the MLflow run, if there is one; untag one that was continued and ends by itself."""
    mlflow = sys.modules.get("mlflow")
    if mlflow is None or "ended" in _told or os.environ.get("RANK", "0") != "0":
        return
    _told["ended"] = ended
    with contextlib.suppress(Exception):  # no reason to end a training
        run = mlflow.active_run() if ended else None
        name = run.info.run_id if run else _continued
        if name:
            mlflow.MlflowClient().set_tag(name, "mlactions.ended", ended)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder that of the lines `sha256sum` prints, sorted."""
    if path.is_dir():
        named = ((digest(file), file.relative_to(path).as_posix()) for file in files_of(path))
        lines = "".join(f"{found}  {name}\n" for found, name in named)
        return hashlib.sha256(lines.encode()).hexdigest()
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            found.update(piece)
    return found.hexdigest()


def _listen() -> None:
    """Note SIGTERM from now on; only the main thread may say so."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: _stop.set())


def _entries(pointer: Path) -> Iterator[dict[str, Any]]:
    """Yield what a pointer file names, the newest first; nothing for one that is no pointer."""
    wrong = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
    with contextlib.suppress(*wrong):
        if not pointer.is_file():
            return
        first = json.loads(pointer.read_text(encoding="utf-8"))
        for entry in (first, *first.get("previous", ())):
            inside = not Path(entry["path"]).is_absolute() and ".." not in Path(entry["path"]).parts
            if inside and int(entry["step"]) >= 0:
                yield {k: v for k, v in entry.items() if k not in {"version", "previous"}}


def _is_damaged(pointer: Path) -> bool:
    return pointer.exists() and next(_entries(pointer), None) is None


def _kept(path: Path) -> list[str] | None:
    """Return the names in `kept.json`, none without one; None where it cannot be read."""
    if not path.exists():
        return []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["kept"]]
    return None


def _is_good(folder: Path, entry: Mapping[str, Any]) -> bool:
    with contextlib.suppress(OSError, ValueError):
        path = folder / entry["path"]
        if not path.resolve().is_relative_to(folder.resolve()):  # a link that leads out
            return False
        size = sum(file.stat().st_size for file in files_of(path))
        return entry.get("bytes") in (None, size) and entry.get("sha256") in (None, digest(path))
    return False


def _is_better(value: float, best: Mapping[str, Any] | None, lower: bool) -> bool:
    known = ((best or {}).get("metric") or {}).get("value")
    return known is None or bool(value < known if lower else value > known)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
    _sync(temporary)
    temporary.replace(path)


def _sync(path: Path) -> None:
    """Have the disk hold it before a name points to it: a machine may lose power."""
    for file in files_of(path):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def files_of(path: Path) -> list[Path]:
    """Return the files of a checkpoint, itself or a folder, sorted by path."""
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file()]
        return sorted(found, key=lambda file: file.relative_to(path).as_posix().encode())
    return [path]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def _plain(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted ones, each as JSON has it."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found.update(_plain(value, f"{prefix}{key}."))
        else:
            text = json.dumps(value, sort_keys=True, default=str)
            found[f"{prefix}{key}"] = json.loads(text) if "NaN" not in text else text
    return found


def _shown(config: Mapping[str, Any], key: str) -> str:
    return json.dumps(config[key], sort_keys=True) if key in config else "absent"
