"""Results of the merge base, kept between runs by what they were measured with."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.bundle import open_bundle, seal, write_json
from mlactions.errors import UserError
from mlactions.evaluate.documents import Conditions
from mlactions.evaluate.provenance import sha256
from mlactions.evaluate.records import Outcome, Record, Task
from mlactions.metrics import parse_metrics
from mlactions.schema import canonical

_WORD = "evaluate-cache"
_VERSION = 1


@dataclass(frozen=True)
class Cache:
    """A folder of small bundles, one per evaluation that ended ok.

    The key holds everything that a number depends on: commit, protocol, composed config, seed,
    Python, torch and hardware.
    """

    folder: Path
    conditions: Conditions

    def load(self, task: Task, out: Path) -> Record | None:
        """Return an earlier result, its files copied to `out`; None where there is no sound one."""
        place = self._place(task)
        if place is None or not place.is_dir():
            return None
        try:
            bundle = open_bundle(place, word=_WORD)
            record = _record(task, bundle.json("record.json"))
        except (UserError, KeyError, TypeError, ValueError):
            return None
        for name in filter(None, (record.log, record.predictions)):
            if all(entry.path != name for entry in bundle.entries):
                return None
            _copy(place / name, out / name)
        return record

    def store(self, record: Record, out: Path) -> None:
        """Keep a result that ended ok, whole or not at all."""
        place = self._place(record.task)
        if place is None or not record.ok or record.cached or place.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as temporary:
            new = Path(temporary) / "bundle"
            write_json(new / "record.json", _document(record))
            for name in filter(None, (record.log, record.predictions)):
                _copy(out / name, new / name)
            seal(new, _WORD)
            new.rename(place)

    def _place(self, task: Task) -> Path | None:
        config = self.conditions.configs.get(task.config.path)
        if config is None or not self.conditions.commit:
            return None
        environment = self.conditions.environment
        key: Sequence[Any] = [
            _VERSION,
            self.conditions.commit,
            self.conditions.protocol,
            task.config.path,
            task.config.model,
            config,
            task.seed,
            environment.python,
            environment.torch,
            environment.hardware,
        ]
        return self.folder / sha256(canonical(key)).removeprefix("sha256:")


def _document(record: Record) -> dict[str, Any]:
    return {
        "seconds": record.seconds,
        "peak_memory": record.peak_memory,
        "log": record.log,
        "log_tail": list(record.log_tail),
        "predictions": record.predictions,
        "metrics": {name: list(values) for name, values in record.metrics.items()},
        "provenance": dict(record.reported),
    }


def _record(task: Task, document: dict[str, Any]) -> Record:
    found = parse_metrics(
        {"metrics": document["metrics"], "provenance": document["provenance"]}, file="record.json"
    )
    return Record(
        task,
        Outcome.OK,
        seconds=float(document["seconds"]),
        peak_memory=document["peak_memory"],
        log=document["log"],
        log_tail=tuple(document["log_tail"]),
        metrics=found.values,
        reported=found.provenance,
        predictions=document["predictions"],
        cached=True,
    )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
