"""From the JSON of MLflow's REST interface to our data; whatever may be missing, may be missing."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlactions.mlflow_store.model import (
    Artifact,
    Dataset,
    Experiment,
    ModelVersion,
    Point,
    Run,
)

_LARGEST = sys.float_info.max

_LAST_MS = 253_402_300_800_000  # the year 10000
Json = Mapping[str, Any]


def number(value: float | str | None) -> float:
    """Return a metric's value. NaN comes as a word, infinity as the largest number there is.

    One that is missing is not known: NaN. Raises TypeError or ValueError for what is no number.
    """
    if isinstance(value, bool):
        raise TypeError(value)
    found = math.nan if value is None else float(value)
    if abs(found) >= _LARGEST:
        return float("inf") if found > 0 else float("-inf")
    return found


def experiment(data: Json) -> Experiment:
    """Read an experiment."""
    return Experiment(
        id=str(data["experiment_id"]),
        name=text(data.get("name")),
        lifecycle=data.get("lifecycle_stage", "active"),
        artifact_uri=data.get("artifact_location", ""),
    )


def run(data: Json) -> Run:
    """Read a run."""
    info, content = data["info"], data.get("data") or {}
    return Run(
        id=text(info.get("run_id") or info["run_uuid"]),
        experiment_id=str(info.get("experiment_id", "")),
        name=text(info.get("run_name")),
        status=text(info.get("status")),
        start_ms=_milliseconds(info.get("start_time")),
        end_ms=_milliseconds(info.get("end_time")),
        params=pairs(content.get("params")),
        metrics={
            _name(item["key"]): number(item.get("value")) for item in content.get("metrics") or ()
        },
        tags=pairs(content.get("tags")),
        inputs=tuple(
            map(_dataset, (data.get("inputs") or {}).get("dataset_inputs") or ()),
        ),
        artifact_uri=text(info.get("artifact_uri")),
        lifecycle=text(info.get("lifecycle_stage")) or "active",
    )


def pairs(items: Sequence[Json] | None) -> dict[str, str]:
    """Read parameters or tags. Thousands of runs share their names, so each is kept once."""
    return {_name(item["key"]): text(item.get("value")) for item in items or ()}


def text(value: Any) -> str:
    """Return a text that can be written again; empty where there is none.

    JSON can hold halves of characters, which no file can. Raises TypeError for what is no text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(value)
    return value if value.isascii() else value.encode(errors="replace").decode()


def _name(value: Any) -> str:
    if value is None:
        raise TypeError(value)
    return sys.intern(text(value))


def _milliseconds(value: int | str | None) -> int | None:
    """Return a time; None where there is none, or a clock that no calendar reaches."""
    found = int(value) if value else 0
    return found if 0 < found < _LAST_MS else None


def _dataset(data: Json) -> Dataset:
    dataset = data.get("dataset") or {}
    return Dataset(
        name=text(dataset.get("name")),
        digest=text(dataset.get("digest")),
        source=text(dataset.get("source")),
        context=pairs(data.get("tags")).get("mlflow.data.context", ""),
    )


def point(data: Json) -> Point:
    """Read one value of a metric's history."""
    return Point(
        step=int(data.get("step") or 0),
        value=number(data.get("value")),
        time_ms=int(data.get("timestamp") or 0),
    )


def in_order(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return a history in the order of its steps."""
    return tuple(sorted(points, key=lambda item: (item.step, item.time_ms)))


def newest_first(versions: Iterable[ModelVersion]) -> tuple[ModelVersion, ...]:
    """Return versions, the highest number first."""

    def number_of(item: ModelVersion) -> int:
        return int(item.version) if item.version.isdigit() else 0

    return tuple(sorted(versions, key=number_of, reverse=True))


def model_version(data: Json) -> ModelVersion:
    """Read a version of a registered model."""
    return ModelVersion(
        model=text(data["name"]),
        version=str(data["version"]),
        run_id=text(data.get("run_id")),
        source=text(data.get("source")),
        status=text(data.get("status")),
        aliases=tuple(map(text, data.get("aliases") or ())),
        tags=pairs(data.get("tags")),
    )


def artifact(data: Json, below: str = "") -> Artifact:
    """Read one entry of a listing; `below` is the folder that paths are made relative to."""
    size = data.get("file_size")
    return Artifact(
        path=str(data.get("path", "")).removeprefix(f"{below}/" if below else ""),
        is_folder=bool(data.get("is_dir")),
        bytes=None if size is None else int(size),
    )
