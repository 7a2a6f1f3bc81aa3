"""Experiment tracking with MLflow, imported only by the runs that track."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from src.training.resume import Stopped


@dataclass(frozen=True)
class TrackingConfig:
    """Where runs are recorded. `uri` is a store (`sqlite:///mlflow.db`) or a server."""

    enabled: bool
    uri: str
    experiment: str
    run_name: str
    tags: dict[str, str] = field(default_factory=dict)


class Tracker(Protocol):
    """What a training run records. `run_id` is empty where nothing is recorded."""

    run_id: str

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Record metrics of one epoch."""

    def log_artifact(self, path: Path) -> None:
        """Record a file."""


class NoTracker:
    """Records nothing."""

    run_id = ""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Drop the metrics."""

    def log_artifact(self, path: Path) -> None:
        """Drop the file."""


class MLflowTracker:
    """Records to the active MLflow run."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Record metrics with the epoch as their step."""
        import mlflow

        mlflow.log_metrics(dict(metrics), step=epoch)

    def log_artifact(self, path: Path) -> None:
        """Upload a file to the run's artifacts."""
        import mlflow

        mlflow.log_artifact(str(path))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones: `{"a": {"b": 1}}` -> `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@contextmanager
def start_run(config: TrackingConfig, params: Mapping[str, Any]) -> Iterator[Tracker]:
    """Open a run with its parameters logged first, so that one that crashes still says what it was.

    The run is closed as FINISHED, as FAILED when the block raises, and as KILLED when it was
    stopped. MLFLOW_RUN_ID, which MLflow reads itself, continues such a run.
    """
    if not config.enabled:
        yield NoTracker()
        return
    import mlflow  # about a second: not for evaluations that do not track

    mlflow.set_tracking_uri(config.uri)
    mlflow.set_experiment(config.experiment)
    continued = "MLFLOW_RUN_ID" in os.environ
    with mlflow.start_run(run_name=config.run_name) as run:
        if continued:
            mlflow.set_tag("mlactions.ended", "")
        else:
            mlflow.log_params(flatten(params))
            mlflow.set_tags(dict(config.tags))
        try:
            yield MLflowTracker(run.info.run_id)
        except Stopped:
            mlflow.set_tag("mlactions.ended", "pre-empted")  # a sweep schedules it again
            mlflow.end_run("KILLED")
            raise
