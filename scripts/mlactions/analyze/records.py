"""The runs as they were logged, kept beside the analysis: what is claimed of them is held to this.

`runs.jsonl` holds a run a line; of very many runs, those that MLflow gives first: the newest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from mlactions.mlflow_store import Run

FILE = "runs.jsonl"
MAX_BYTES = 4 * 1024 * 1024
LONGEST = 500
"""Characters; longer values of parameters are left to MLflow."""

FEWEST_OF_ID = 7
"""Characters of a run id that may stand for all of it, as in reports."""


@dataclass
class Recorder:
    """Keeps the lines of runs that pass by, until there are too many."""

    lines: list[str] = field(default_factory=list)
    left_out: int = 0
    _room: int = MAX_BYTES

    def watch(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Yield the runs, and keep a line of each."""
        for run in runs:
            self._keep(run)
            yield run

    def _keep(self, run: Run) -> None:
        """Keep a run's line. From the first that does not fit, none is kept."""
        text = "" if self.left_out else line(run)
        self._room -= len(text.encode()) + 1
        if self.left_out or self._room < 0:
            self.left_out += 1
        else:
            self.lines.append(text)

    def text(self) -> str:
        """Return the file's text."""
        return "".join(f"{text}\n" for text in self.lines)


def line(run: Run) -> str:
    """Return a run as a line of JSON: what it was given and what came out, no tags."""
    document = {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "params": {key: text for key, text in run.params.items() if len(text) <= LONGEST},
        "cut": [key for key, text in run.params.items() if len(text) > LONGEST],
        "metrics": {
            key: value if isfinite(value) else str(value) for key, value in run.metrics.items()
        },
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class Record:
    """What is known of one run; `cut` are parameters whose values were too long to keep."""

    id: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    cut: frozenset[str] = frozenset()


class Records:
    """The runs of a bundle by their ids."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._by_id = {record.id: record for record in records}

    @classmethod
    def of(cls, path: Path) -> Records:
        """Read the file; none where there is no file."""
        if not path.is_file():
            return cls()
        with path.open(encoding="utf-8") as lines:
            return cls(map(_record, lines))

    def find(self, identifier: str) -> Record | None:
        """Return the run of an id, or of the start of one that no other run shares."""
        if identifier in self._by_id or len(identifier) < FEWEST_OF_ID:
            return self._by_id.get(identifier)
        found = [name for name in self._by_id if name.startswith(identifier)]
        return self._by_id[found[0]] if len(found) == 1 else None


def _record(text: str) -> Record:
    found = json.loads(text)
    metrics = {key: float(value) for key, value in found["metrics"].items()}
    return Record(found["id"], found["params"], metrics, frozenset(found["cut"]))
