"""The task metric of the model against torch's on labelled samples, item by item.

The weights are the same on both sides, so items can be paired, and `compare` weighs them as it
weighs any rule that says `paired: same-weights`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from mlactions.compare.decide import Policy, confidence
from mlactions.compare.model import Candidate, Direction, Evidence, PredictionFile, Rule, Side
from mlactions.compare.paired import tango_bounds, weigh_pairs
from mlactions.compare.predictions import CORRECT, Pairs, PredictionsError, pairs
from mlactions.compare.sentences import moved_sentence, why
from mlactions.export.result import Task
from mlactions.settings import Status
from mlactions.text import plural

LABEL = "label"
MODEL = "model"
ACCURACY = "accuracy"
ERROR = "mean_absolute_error"
_COLUMNS = {ACCURACY: "correct", ERROR: ERROR}
_DIRECTIONS: Mapping[str, Direction] = {ACCURACY: "higher", ERROR: "lower"}


def write_predictions(
    folder: Path,
    inputs: Mapping[str, Any],
    references: Mapping[str, Any],
    values: Iterable[tuple[int, Mapping[str, Any]]],
    outputs: Sequence[str],
) -> tuple[str, int, bool]:
    """Write base/model.jsonl (torch) and head/model.jsonl (the model).

    Return the metric, how many classes there are, 0 for a metric without, and whether all labels
    are one class.

    Whole-number labels with one axis less than an output are its classes: an item is right, or for
    labels of several axes, right in a share of them. Others are values: the error counts.
    `values` yields the first sample's number and the outputs, batch by batch.
    """
    import numpy as np

    if LABEL not in inputs:
        raise ValueError(f"the task data have no array named `{LABEL}`")
    labels = inputs[LABEL]
    classes = bool(np.issubdtype(labels.dtype, np.integer))
    name = _output(labels, references, outputs, classes=classes)
    count = references[name].shape[-1] if classes else 0
    if classes:
        _check_labels(labels, count)
    metric = ACCURACY if classes else ERROR
    score = _accuracy if classes else _error
    single = labels.ndim == 1
    with _writers(folder) as (base, head):
        for start, batch in values:
            stop = start + len(batch[name])
            truth = labels[start:stop]
            for stream, output in ((base, references[name][start:stop]), (head, batch[name])):
                scores = score(output, truth).tolist()
                column = _COLUMNS[metric] if single or not classes else ACCURACY
                for item, value in enumerate(scores, start):
                    stream.write(json.dumps({"id": str(item), column: value}) + "\n")
    return metric, count, classes and labels.size > 0 and bool(labels.min() == labels.max())


def _check_labels(labels: Any, count: int) -> None:
    """Refuse labels that no output can be: both sides would miss them, and so be equal."""
    if labels.size and (labels.min() < 0 or labels.max() >= count):
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise ValueError(f"label {wrong:,} is none of the classes 0 to {count - 1:,}")


@contextmanager
def _writers(folder: Path) -> Iterator[tuple[TextIO, TextIO]]:
    paths = [folder / side / f"{MODEL}.jsonl" for side in ("base", "head")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    with paths[0].open("w") as base, paths[1].open("w") as head:
        yield base, head


def _output(
    labels: Any, references: Mapping[str, Any], outputs: Sequence[str], *, classes: bool
) -> str:
    for name in outputs:
        shape = references[name].shape if name in references else ()
        if (shape[:-1] if classes else shape) == labels.shape:
            return name
    shapes = ", ".join(f"{n} {list(references[n].shape)}" for n in outputs if n in references)
    raise ValueError(f"no output fits labels of shape {list(labels.shape)}: {shapes}")


def _accuracy(output: Any, truth: Any) -> Any:
    """Return one number per item: 1 or 0, or the share of right positions."""
    right = (output.argmax(axis=-1) == truth).astype(float)
    return right.reshape(len(right), -1).mean(axis=1)


def _error(output: Any, truth: Any) -> Any:
    difference = abs(output.astype(float) - truth)
    return difference.reshape(len(difference), -1).mean(axis=1)


def weigh(
    folder: Path, metric: str, allowed: float, *, samples: int, classes: int, alike: bool
) -> Task:
    """Weigh the predictions of both sides; `allowed` is in the metric's unit.

    `alike` where all labels are one class: a model that says nothing else would be right.
    """
    rule = Rule(
        MODEL, metric, _DIRECTIONS[metric], absolute=allowed, paired=True, has_tolerance=True
    )
    sides: tuple[Side, ...] = ("base", "head")
    files = {
        (side, MODEL): (PredictionFile(None, folder / side / f"{MODEL}.jsonl"),) for side in sides
    }
    try:
        both = pairs(rule, Candidate(head={}, predictions=files))
    except PredictionsError as error:
        return failed(samples, allowed, error.message)
    evidence = weigh_pairs(rule, both, Policy())
    status, message = _said(rule, evidence, both, classes)
    if alike and status is Status.PASS:
        status = Status.WARN
        message += " All labels are one class: a model that gives it for everything is as good."
    return Task(
        metric=metric,
        samples=len(both.baseline),
        status=status,
        label=evidence.label,
        baseline=evidence.baseline,
        candidate=evidence.candidate,
        change=evidence.change,
        allowed=evidence.allowed,
        low=evidence.low,
        high=evidence.high,
        flips=sum(a != b for a, b in zip(both.baseline, both.candidate, strict=True)),
        message=message,
    )


def _said(rule: Rule, evidence: Evidence, both: Pairs, classes: int) -> tuple[Status, str]:
    """Return the status and why: labels that torch cannot tell either prove nothing."""
    if classes and evidence.baseline <= 1 / classes:
        return Status.FAIL, (
            f"torch's own accuracy is {evidence.baseline:.4f}, and guessing one of"
            f" {classes:,} classes gives {1 / classes:.4f}: on these samples nothing can be lost."
        )
    message = moved_sentence(rule, evidence).replace("`", "").replace(f" of {MODEL}", "")
    if not evidence.change:
        message = (
            f"{rule.metric} is {evidence.baseline:.4f} on both sides, allowed is"
            f" {evidence.allowed:.4f}."
        )
    if evidence.outcome == "pass" and evidence.label == "not-proven":
        return Status.WARN, f"{message} {why(evidence)}{_needed(rule, evidence, both)}"
    return Status(evidence.outcome), message


def _needed(rule: Rule, evidence: Evidence, both: Pairs) -> str:
    """Say how many samples would prove it, if the same share of them changes."""
    room, items = evidence.allowed - evidence.degradation, len(both.baseline)
    if room <= 0 or evidence.margin is None:
        return ""
    times = (evidence.margin / room) ** 2
    if both.column == CORRECT and both.single:
        changes = [b - a for a, b in zip(both.baseline, both.candidate, strict=True)]
        lost, won = (sum(change * sign > 0 for change in changes) for sign in (-1, 1))
        times = _times(lost, won, items, evidence.allowed, confidence(rule.direction))
    return f" About {plural(math.ceil(items * times), 'sample')} would prove it."


def _times(lost: int, won: int, items: int, allowed: float, level: float) -> float:
    """Return how many times as many samples bring the bound of a loss to what is allowed."""
    few, many = 1.0, 2.0**30
    for _ in range(60):
        middle = math.sqrt(few * many)
        worse, better, count = (round(number * middle) for number in (lost, won, items))
        _, high = tango_bounds(worse, better, count, level)
        few, many = (middle, many) if high > allowed else (few, middle)
    return many


def failed(samples: int, allowed: float, why: str) -> Task:
    """Return a task metric that could not be had, which is a failure."""
    return Task(
        ACCURACY, samples, Status.FAIL, "unmeasured", None, None, None, allowed, None, None, 0, why
    )
