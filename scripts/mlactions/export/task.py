"""The task metric of the model against torch's on labelled samples, item by item.

The weights are the same on both sides, so items can be paired, and `compare` weighs them as it
weighs any rule that says `paired: same-weights`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from mlactions.compare.decide import Policy
from mlactions.compare.model import Candidate, Direction, PredictionFile, Rule, Side
from mlactions.compare.paired import weigh_pairs
from mlactions.compare.predictions import PredictionsError, pairs
from mlactions.compare.sentences import moved_sentence
from mlactions.export.result import Task
from mlactions.settings import Status

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
) -> str:
    """Write base/model.jsonl (torch) and head/model.jsonl (the model); return the metric.

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
    return metric


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


def weigh(folder: Path, metric: str, samples: int, allowed: float) -> Task:
    """Weigh the predictions of both sides; `allowed` is in the metric's unit."""
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
    flips = sum(a != b for a, b in zip(both.baseline, both.candidate, strict=True))
    return Task(
        metric=metric,
        samples=len(both.baseline),
        status=Status(evidence.outcome),
        label=evidence.label,
        baseline=evidence.baseline,
        candidate=evidence.candidate,
        change=evidence.change,
        allowed=evidence.allowed,
        low=evidence.low,
        high=evidence.high,
        flips=flips,
        message=moved_sentence(rule, evidence).replace("`", "").replace(f" of {MODEL}", ""),
    )


def failed(samples: int, allowed: float, why: str) -> Task:
    """Return a task metric that could not be had, which is a failure."""
    return Task(
        ACCURACY, samples, Status.FAIL, "unmeasured", None, None, None, allowed, None, None, 0, why
    )
