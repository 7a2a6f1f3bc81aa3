"""Two runs of one command: are their metrics and parameters the same, bit for bit? Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlactions.audit.texts import clean
from mlactions.text import plural

MAX_DIFFERING = 50
# Numbers that no run repeats, and that say nothing about its result.
_CLOCK = re.compile(
    r"(?i)(?:^|[._/\s])\w*(time|seconds|duration|elapsed|timestamp|date|host|pid"
    r"|per_second|throughput|memory|uuid|run_id)\w*$"
)


@dataclass(frozen=True)
class Run:
    """One run: how it ended, its steps, and what it left in its folder.

    `steps` are (step, tensors, metrics) as recorded; `tensors` are hashes by file and name;
    `metrics` numbers by file and key. `unread` says which files could not be read; `log` is its
    log's end.
    """

    name: str
    workers: str
    ended: str
    seconds: float
    steps: tuple[tuple[int, Mapping[str, str], Mapping[str, str]], ...] = ()
    tensors: Mapping[str, str] | None = None
    metrics: Mapping[str, str] | None = None
    unread: Mapping[str, str] | None = None
    log: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True where the command ended with 0."""
        return self.ended == "ok"


@dataclass(frozen=True)
class First:
    """Where two runs part: the step, and the first metric and tensor that differ in it."""

    step: int
    metric: str
    tensor: str


@dataclass(frozen=True)
class Comparison:
    """The first run against another one; `steps` were recorded by both."""

    other: str
    workers: str
    steps: int
    tensors: int
    metrics: int
    first: First | None
    differing_tensors: tuple[str, ...]
    differing_metrics: tuple[tuple[str, str, str], ...]
    only_one: tuple[str, ...]

    @property
    def compared(self) -> bool:
        """True where there was anything to compare."""
        return bool(self.steps or self.tensors or self.metrics)

    @property
    def equal(self) -> bool:
        """True where nothing differs."""
        parts = (self.first, self.differing_tensors, self.differing_metrics, self.only_one)
        return not any(parts)


def compare(one: Run, other: Run) -> Comparison:
    """Hold two runs against each other: steps in order, then what they left."""
    ours, theirs = one.tensors or {}, other.tensors or {}
    both = [name for name in ours if name in theirs]
    numbers, others = _results(one.metrics), _results(other.metrics)
    shared = [name for name in numbers if name in others]
    alone = sorted(set(ours) ^ set(theirs)) + sorted(set(numbers) ^ set(others))
    if len(one.steps) != len(other.steps):
        alone.insert(0, f"{len(one.steps)} recorded steps against {len(other.steps)}")
    return Comparison(
        other=other.name,
        workers=other.workers,
        steps=min(len(one.steps), len(other.steps)),
        tensors=len(both),
        metrics=len(shared),
        first=next(_parting(one, other), None),
        differing_tensors=tuple(name for name in both if ours[name] != theirs[name]),
        differing_metrics=tuple(
            (name, numbers[name], others[name])
            for name in shared
            if not _same(numbers[name], others[name])
        ),
        only_one=tuple(alone),
    )


def _parting(one: Run, other: Run) -> Iterator[First]:
    for (step, tensors, metrics), (_, others, numbers) in zip(one.steps, other.steps, strict=False):
        metric = next((name for name in _unequal(metrics, numbers) if not _CLOCK.search(name)), "")
        tensor = next(_unequal(tensors, others), "")
        if metric or tensor:
            yield First(step, metric, tensor)


def _unequal(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    for name in [*one, *(key for key in other if key not in one)]:
        if one.get(name) != other.get(name):
            yield name


def _results(metrics: Mapping[str, str] | None) -> dict[str, str]:
    return {name: text for name, text in (metrics or {}).items() if not _CLOCK.search(name)}


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isnan(float(one)) and math.isnan(float(other))
    except ValueError:
        return False


def document(
    command: str, runs: Sequence[Run], comparisons: Sequence[Comparison], *, commit: str
) -> dict[str, Any]:
    """Return `double-run.json`: runs, comparisons and what they come to."""
    status, verdict = judge(command, runs, comparisons)
    made: dict[str, Any] = clean(
        {
            "version": 1,
            "command": command,
            "commit": commit,
            "status": status,
            "verdict": verdict[:1000],
            "runs": [
                {
                    "name": run.name,
                    "workers": run.workers,
                    "ended": run.ended,
                    "steps": len(run.steps),
                    "log": list(run.log),
                    "unread": dict(sorted((run.unread or {}).items())[:MAX_DIFFERING]),
                }
                for run in runs
            ],
            "comparisons": [_comparison(item) for item in comparisons],
        }
    )
    return made


def _comparison(item: Comparison) -> dict[str, Any]:
    return {
        "other": item.other,
        "workers": item.workers,
        "equal": item.equal,
        "compared": item.compared,
        "steps": item.steps,
        "tensors": item.tensors,
        "metrics": item.metrics,
        "first": asdict(item.first) if item.first else None,
        "differing_tensors": list(item.differing_tensors[:MAX_DIFFERING]),
        "differing_tensor_count": len(item.differing_tensors),
        "differing_metrics": [list(row) for row in item.differing_metrics[:MAX_DIFFERING]],
        "differing_metric_count": len(item.differing_metrics),
        "only_one": list(item.only_one[:MAX_DIFFERING]),
    }


def judge(command: str, runs: Sequence[Run], comparisons: Sequence[Comparison]) -> tuple[str, str]:
    """Return status and verdict. A run that failed or left nothing proves nothing: it fails."""
    broken = next((run for run in runs if not run.ok), None)
    if broken is not None:
        return "fail", f"The double run failed: run {broken.name} {broken.ended}."
    empty = next((item for item in comparisons if not item.compared), None)
    if empty is not None or not comparisons:
        left = "the command left neither steps, parameters nor metrics"
        return "fail", f"The double run compared nothing: {left}."
    again = next((item for item in comparisons if item.other == "again"), None)
    if again is not None and not again.equal:
        return "fail", f"Two runs of the same command differ: {_where(again)}."
    workers = next((item for item in comparisons if not item.equal), None)
    if workers is not None:
        text = f"Two runs are equal, one with {workers.workers} workers differs: {_where(workers)}."
        return "warn", text
    if len(runs) > 2:  # noqa: PLR2004  # the third has another number of workers
        return "pass", "Three runs, one with another number of workers, are equal bit for bit."
    untried = "" if "{workers}" in command else " Other numbers of workers were not tried."
    return "pass", f"Two runs are equal bit for bit.{untried}"


def _where(item: Comparison) -> str:
    if item.first is not None:
        first = item.first
        what = [f"metric {first.metric}" * bool(first.metric)]
        what.append(f"tensor {first.tensor}" * bool(first.tensor))
        return f"first at step {first.step}, in {' and '.join(part for part in what if part)}"
    if item.differing_tensors:
        more = len(item.differing_tensors) - 1
        beside = f" and {plural(more, 'other')}" if more else ""
        return f"tensor {item.differing_tensors[0]}{beside}"
    if item.differing_metrics:
        name, one, other = item.differing_metrics[0]
        return f"{name} is {one} and {other}"
    return f"only one has {item.only_one[0]}"
