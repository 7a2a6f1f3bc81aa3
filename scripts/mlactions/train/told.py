"""What a training says of itself: a table for the report, a line now and then for people."""

from __future__ import annotations

from typing import TextIO

from mlactions.runner import Runner
from mlactions.train.amounts import duration
from mlactions.train.model import Progress

SAY_SECONDS = 60.0


class Told:
    """Writes every report of progress to a table, and now and then a line for people."""

    def __init__(self, runner: Runner, table: TextIO) -> None:
        self._runner, self._table = runner, table
        self._next = 0.0
        table.write("seconds,step,loss\n")

    def __call__(self, progress: Progress) -> None:
        """Take one report."""
        step = "" if progress.step is None else str(progress.step)
        loss = "" if progress.loss is None else repr(progress.loss)
        self._table.write(f"{progress.seconds},{step},{loss}\n")
        if progress.seconds < self._next:
            return
        self._next = progress.seconds + SAY_SECONDS
        told = [f"step {step}"] if step else []
        told += [f"loss {progress.loss:.4g}"] if progress.loss is not None else []
        told += [f"about {duration(progress.eta)} left"] if progress.eta is not None else []
        self._runner.say(f"[{duration(progress.seconds)}] {', '.join(told)}")
