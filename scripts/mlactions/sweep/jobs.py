"""What GitHub is to run: the matrix that run_sweep.sh takes, and the one that `train` takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlactions import mlflow_tags

MAX_JOBS = 256
"""GitHub takes so many jobs of one matrix."""

MAX_INPUT = 60_000
"""Characters; all inputs of a dispatch may have 65,535."""

_LISTED = 20_000


def matrix(numbers: Sequence[int], *, max_jobs: int = MAX_JOBS) -> dict[str, Any]:
    """Return a GitHub matrix: a trial per job, or several, so that there are at most `max_jobs`.

    GitHub takes 256 jobs of one matrix.
    """
    if not numbers:
        return {"include": []}
    jobs = min(len(numbers), max_jobs)
    size, more = divmod(len(numbers), jobs)
    found, start = [], 0
    for shard in range(jobs):
        end = start + size + (shard < more)
        found.append({"shard": shard + 1, "trials": ranges(numbers[start:end])})
        start = end
    return {"include": found}


def ranges(numbers: Sequence[int]) -> str:
    """Return numbers as `1-3,7`; run_sweep.sh reads that."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def listed(numbers: Sequence[int]) -> str:
    """Return the ranges that a result has room for: whole ones, the first."""
    text = ranges(numbers)
    return text if len(text) <= _LISTED else text[:_LISTED].rpartition(",")[0]


def train_matrix(
    header: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    *,
    own: Sequence[str] = (),
    max_jobs: int = MAX_JOBS,
) -> dict[str, Any]:
    """Return the matrix that the template of `train` takes: a trial per job.

    `own` are the sweep's files, by which `train` tells a new version of the code from a sweep that
    was committed. The matrix is handed over as the input of a dispatch, so it holds the first
    trials that fit into one.
    """
    found: list[dict[str, str]] = []
    room = MAX_INPUT
    for row in rows:
        job = _training(header, row, own)
        room -= len(one_line(job)) + 1
        if room < 0 or len(found) == max_jobs:
            break
        found.append(job)
    return {"include": found}


def _training(
    header: Mapping[str, Any], row: Mapping[str, Any], own: Sequence[str]
) -> dict[str, str]:
    tags = {
        mlflow_tags.SWEEP: header["sweep"],
        mlflow_tags.TRIAL: row["name"].partition("-")[0],
        mlflow_tags.CONFIG_HASH: f"sha256:{row['hash']}",
        mlflow_tags.SEED: "" if row["seed"] is None else str(row["seed"]),
        mlflow_tags.DATA: header["data"],
        mlflow_tags.SWEEP_FILES: one_line(list(own)) if own else "",
    }
    return {
        "name": f"{header['sweep']}-{row['name']}",
        "config": header["config_name"],
        "overrides": f"+sweeps/{header['sweep']}={row['name']}",
        "tags": one_line({name: text for name, text in tags.items() if text}),
    }


def one_line(document: Any) -> str:
    """Return JSON on one line, as `fromJSON` takes it."""
    return json.dumps(document, separators=(",", ":"))
