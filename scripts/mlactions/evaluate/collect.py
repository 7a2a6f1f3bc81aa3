"""What an ended process left behind, read into a record: its outcome, metrics and predictions."""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.evaluate.process import Ended
from mlactions.evaluate.records import Outcome, Record, Task
from mlactions.evaluate.tracebacks import last_exception
from mlactions.metrics import Metrics, Problem, parse_metrics
from mlactions.predictions import PredictionsError, read_predictions
from mlactions.schema import load_json
from mlactions.text import one_line

LEAST_MEMORY = 2**20
"""Bytes. Below, a process was only seen before its program had been loaded."""

METRICS = "metrics.json"
PREDICTIONS = "predictions.jsonl"
_PREDICTIONS = (PREDICTIONS, "predictions.csv")
_SHELL_KILLED = 128 + signal.SIGKILL
_SHOWN_PROBLEMS = 5
_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Found:
    """The files of an evaluation that ended well: its metrics, and predictions if it wrote any."""

    metrics: Metrics
    predictions: Path | None


def judge_exit(ended: Ended, tail: list[str], *, timeout: float) -> tuple[Outcome, str]:
    """Return how a process ended, from its exit alone; `ok` still has to show its metrics."""
    if ended.by == "interruption":
        return Outcome.INTERRUPTED, "stopped because the check itself was stopped"
    if ended.by == "time-out":
        return Outcome.TIMED_OUT, f"still running after {minutes(timeout)}"
    if ended.code == 0:
        return Outcome.OK, ""
    if ended.code in {-signal.SIGKILL, _SHELL_KILLED} or ended.out_of_memory:
        return Outcome.KILLED, _killed(ended)
    said = last_exception(tail)
    how = _signal_name(-ended.code) if ended.code < 0 else f"exit code {ended.code}"
    return Outcome.CRASHED, f"{how}{': ' if said else ''}{said}"


def _killed(ended: Ended) -> str:
    seen = ended.peak_memory is not None and ended.peak_memory >= LEAST_MEMORY
    peak = f", its memory peaked at {mebibytes(ended.peak_memory or 0)}" if seen else ""
    if ended.out_of_memory:
        return f"out of memory: the kernel killed a process{peak}"
    return f"killed by SIGKILL, most often for lack of memory{peak}"


def _signal_name(number: int) -> str:
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"


def read_files(folder: Path, *, seeded: bool) -> tuple[Outcome, str, Found]:
    """Read the metrics file and the predictions of a process that ended with exit code 0.

    `seeded`: one seed ran, so a list of several values would be values of what?
    """
    nothing = Found(Metrics({}), None)
    path = folder / METRICS
    if not _is_file(path):
        if path.is_symlink() or path.exists():
            return Outcome.BAD_METRICS, "the metrics file is not a regular file", nothing
        return Outcome.NO_METRICS, "the command ended well but wrote no file at {output}", nothing
    try:
        metrics = parse_metrics(load_json(path), file=METRICS)
    except UserError as error:
        title = "" if error.title == "bad metrics" else f"{error.title}: "
        return Outcome.BAD_METRICS, f"{title}{_where(error)}{error.message}", nothing
    if problem := _problem(metrics, seeded=seeded):
        sound = {name: v for name, v in metrics.values.items() if _is_printable(name)}
        return Outcome.BAD_METRICS, problem, Found(replace(metrics, values=sound), None)
    try:
        return Outcome.OK, "", Found(metrics, _find_predictions(folder))
    except PredictionsError as error:
        return Outcome.BAD_METRICS, error.message, nothing


def _where(error: UserError) -> str:
    return f"line {error.line}: " if error.line else ""


def _problem(metrics: Metrics, *, seeded: bool) -> str:
    """Say what is wrong with the names and values, "" when nothing is."""
    if odd := [name for name in metrics.values if not _is_printable(name)]:
        return f"the metric name {odd[0][:80]!r} is empty, too long or not printable"
    if metrics.problems:
        shown = [
            f"{problem.metric} is {_named(problem)}"
            for problem in metrics.problems[:_SHOWN_PROBLEMS]
        ]
        more = len(metrics.problems) - len(shown)
        return "; ".join(shown) + (f"; and {more} more" if more else "")
    lengths = {name: len(values) for name, values in metrics.values.items()}
    several = sorted(name for name, length in lengths.items() if length > 1)
    if seeded and several:
        return f"{several[0]} is a list of {lengths[several[0]]} values, but one seed ran"
    if len(set(lengths.values())) > 1:
        shortest, longest = (pick(lengths, key=lambda name: lengths[name]) for pick in (min, max))
        return (
            f"{longest} has {lengths[longest]} values and {shortest} has {lengths[shortest]}:"
            " one per seed each"
        )
    return ""


def _named(problem: Problem) -> str:
    """Return a value and what is wrong with it, unless the value says so itself."""
    itself = problem.found.casefold() == problem.reason
    return problem.found if itself else f"{problem.found} ({problem.reason})"


def _is_printable(name: str) -> bool:
    """Say whether a name fits one line of a report; half a surrogate pair fits no file."""
    return bool(name.strip()) and len(name) <= _NAME_CHARACTERS and one_line(name) == name


def _find_predictions(folder: Path) -> Path | None:
    for name in _PREDICTIONS:
        path = folder / name
        if path.is_symlink() or path.exists():
            if not _is_file(path):
                raise PredictionsError("predictions-broken", f"{name}: not a regular file")
            for _ in read_predictions(path):
                pass  # what could not be paired later is refused now, beside the run that wrote it
            return path
    return None


def _is_file(path: Path) -> bool:
    """Say whether a path is a plain file: a link could name anything, a pipe would hang us."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def with_equal_names(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Turn a seed that lacks a metric of its siblings into `bad-metrics`: no list has holes."""
    names: dict[tuple[str, str], set[str]] = {}
    for record in records:
        if record.ok:
            names.setdefault(_model(record.task), set()).update(record.metrics)
    return tuple(_complete(record, names.get(_model(record.task), set())) for record in records)


def _model(task: Task) -> tuple[str, str]:
    return task.side, task.config.model


def _complete(record: Record, names: set[str]) -> Record:
    missing = sorted(names - set(record.metrics))
    if not record.ok or not missing:
        return record
    detail = f"{missing[0]} is missing, which another seed of this model reports"
    return replace(record, outcome=Outcome.BAD_METRICS, detail=detail)


def model_metrics(records: tuple[Record, ...]) -> dict[str, list[float]]:
    """Return every metric's values over the ok records of one model, in the order given."""
    ok = [record for record in records if record.ok]
    names = sorted({name for record in ok for name in record.metrics})
    return {name: [value for record in ok for value in record.metrics[name]] for name in names}


def model_seeds(records: tuple[Record, ...]) -> list[int | None]:
    """Return the seed behind each value; the user's own list where their script ran the seeds."""
    seeds: list[int | None] = []
    for record in records:
        if record.ok:
            seeds += _seeds(record.task, len(next(iter(record.metrics.values()))), record.reported)
    return seeds


def _seeds(task: Task, count: int, reported: Mapping[str, Any]) -> Iterator[int | None]:
    named = reported.get("seeds")
    if task.seed is None and isinstance(named, list) and len(named) == count:
        for seed in named:
            yield seed if isinstance(seed, int) and not isinstance(seed, bool) else None
    else:
        yield from [task.seed] * count


def minutes(seconds: float) -> str:
    """Return `30 min`, `1.5 min`, or seconds below one minute."""
    return f"{seconds:.3g} s" if seconds < 60 else f"{seconds / 60:.3g} min"  # noqa: PLR2004


def mebibytes(size: int) -> str:
    """Return a size for people: `512 MiB`, `7.4 GiB`."""
    value = size / 2**20
    return f"{value:.3g} MiB" if value < 1000 else f"{value / 1024:.3g} GiB"  # noqa: PLR2004
