"""Performing one evaluation: at the head in the caller's checkout, at the base in a second one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile

from mlactions.evaluate.collect import METRICS, PREDICTIONS, judge_exit, read_files
from mlactions.evaluate.logfile import LOG_BYTES, Log, tail
from mlactions.evaluate.process import Limits, run
from mlactions.evaluate.records import Outcome, Record, Side, Task
from mlactions.evaluate.template import Template, values
from mlactions.evaluate.tracebacks import find_place
from mlactions.predictions import is_json_lines
from mlactions.text import one_line

LOG_BUDGET = 128 * 1024 * 1024
"""Bytes of all logs of a bundle together."""

Show = Callable[[Task], Callable[[str], None] | None]


@dataclass(frozen=True)
class Checkout:
    """Where one side runs: its repository root, its working directory, its environment."""

    root: Path
    folder: Path
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Bench:
    """Everything that the evaluations of a run share. `out` is the bundle that is being filled."""

    template: Template
    limits: Limits
    checkouts: Mapping[Side, Checkout]
    out: Path
    scratch: Path
    total: int
    show: Show

    def perform(self, task: Task, stop: threading.Event) -> Record:
        """Run one evaluation and read what it wrote."""
        checkout = self.checkouts[task.side]
        folder = self.scratch / task.folder / task.stem
        folder.mkdir(parents=True)
        log = self.out / "logs" / task.folder / f"{task.stem}.log"
        limit = min(LOG_BYTES, LOG_BUDGET // max(1, self.total))
        with Log(log, limit=limit, show=self.show(task)) as sink:
            ended = run(
                self._arguments(task, folder),
                folder=checkout.folder,
                environ=checkout.environ,
                log=sink,
                limits=self.limits,
                stop=stop,
            )
        lines = tail(log)
        outcome, detail = judge_exit(ended, lines, timeout=self.limits.timeout)
        record = Record(
            task,
            outcome,
            one_line(detail),
            seconds=round(ended.seconds, 3),
            peak_memory=ended.peak_memory,
            log=log.relative_to(self.out).as_posix(),
            log_tail=tuple(lines),
        )
        if outcome is Outcome.OK:
            return self._collect(record, folder)
        if outcome is Outcome.CRASHED:
            text = log.read_text(encoding="utf-8", errors="replace")
            place = find_place(text, root=checkout.root, folder=checkout.folder)
            return replace(record, place=place)
        return record

    def _arguments(self, task: Task, folder: Path) -> list[str]:
        return self.template.fill(
            values(
                config=task.config.path,
                name=task.config.stem,
                seed=task.seed,
                output=str(folder / METRICS),
                predictions=str(folder / PREDICTIONS),
            )
        )

    def _collect(self, record: Record, folder: Path) -> Record:
        task = record.task
        outcome, detail, found = read_files(folder, seeded=task.seed is not None)
        predictions = None
        if found.predictions is not None:
            suffix = "jsonl" if is_json_lines(found.predictions) else "csv"
            predictions = f"predictions/{task.folder}/{task.stem}.{suffix}"
            (self.out / predictions).parent.mkdir(parents=True, exist_ok=True)
            copyfile(found.predictions, self.out / predictions)
        return replace(
            record,
            outcome=outcome,
            detail=one_line(detail),
            metrics=found.metrics.values,
            reported=found.metrics.provenance,
            predictions=predictions,
        )
