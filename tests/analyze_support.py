"""Experiments with a known truth, written into MLflow's database: logging takes minutes."""

from __future__ import annotations

import hashlib
import math
import random
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mlactions.mlflow_store import Run

START = 1_790_000_000_000
MINUTE = 60_000


@dataclass(frozen=True)
class Logged:
    """A run as a training script leaves it; `metrics` are values by step."""

    id: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str = "FINISHED"
    name: str = "run"
    start: int = START
    seconds: float | None = 60.0

    @property
    def end(self) -> int | None:
        """When it ended, in milliseconds since 1970."""
        return None if self.seconds is None else self.start + int(self.seconds * 1000)

    def run(self) -> Run:
        """Return it as the store would."""
        return Run(
            id=self.id,
            experiment_id="1",
            name=self.name,
            status=self.status,
            start_ms=self.start,
            end_ms=self.end,
            params=dict(self.params),
            metrics={name: values[-1] for name, values in self.metrics.items()},
            tags=dict(self.tags),
        )


def identifier(seed: int, number: int) -> str:
    """Return a run id that looks like one of MLflow's."""
    return hashlib.sha256(f"{seed}-{number}".encode()).hexdigest()[:32]


def known_truth(
    seed: int, runs: int = 300, *, link: str = "exact", seeds: int = 1, first: int = 0
) -> Iterator[Logged]:
    """Yield a random search: `lr` and `dropout` matter, `workers` is noise, `optimizer` is fixed.

    `weight_decay` does nothing itself, and always changes with `lr` ("exact") or mostly does
    ("noisy").
    """
    rng = random.Random(seed)  # noqa: S311  # simulated noise, not cryptography
    number = first
    for _ in range(runs // seeds):
        exponent = rng.uniform(-5, -1)
        decay = exponent - 1 + (rng.gauss(0, 0.35) if link == "noisy" else 0.0)
        dropout = rng.choice([0.0, 0.1, 0.2, 0.3, 0.5])
        workers = rng.choice([2, 4, 8, 16])
        base = 0.9 - 0.05 * (exponent + 3) ** 2 - 0.3 * (dropout - 0.2) ** 2
        for repeat in range(seeds):
            last = base + rng.gauss(0, 0.012)
            yield Logged(
                identifier(seed, number),
                {
                    "optim.lr": repr(10**exponent),
                    "optim.weight_decay": f"{10**decay:.12e}",
                    "model.dropout": str(dropout),
                    "data.workers": str(workers),
                    "optim.name": "adamw",
                    "seed": str(repeat),
                },
                {
                    "val_accuracy": [last * (1 - math.exp(-step / 4)) for step in range(1, 30)]
                    + [last],
                    "train_loss": [2.3 * math.exp(-step / 6) for step in range(30)],
                },
                name=f"search-{number}",
                start=START + number * MINUTE,
                seconds=rng.uniform(60, 600),
            )
            number += 1


def write(database: str, experiment: str, runs: Iterable[Logged]) -> None:
    """Write runs into the database behind a server, as MLflow would have."""
    rows: dict[str, list[tuple[object, ...]]] = {
        name: [] for name in ("runs", "params", "metrics", "latest_metrics", "tags")
    }
    for run in runs:
        rows["runs"].append(
            (run.id, "active", run.status, run.start, run.end, int(experiment), run.name)
        )
        rows["params"] += [(key, value, run.id) for key, value in run.params.items()]
        rows["tags"] += [(key, value, run.id) for key, value in run.tags.items()]
        for key, values in run.metrics.items():
            points = [_point(run, key, step, value) for step, value in enumerate(values)]
            rows["metrics"] += points
            rows["latest_metrics"].append(points[-1])
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.executemany(
            "INSERT INTO runs (run_uuid, lifecycle_stage, status, start_time, end_time,"
            " experiment_id, name, artifact_uri, source_type, source_name, user_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, '', 'LOCAL', '', '')",
            rows["runs"],
        )
        connection.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", rows["params"]
        )
        connection.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", rows["tags"]
        )
        for table in ("metrics", "latest_metrics"):
            connection.executemany(
                f"INSERT INTO {table} (key, value, is_nan, timestamp, step, run_uuid)"  # noqa: S608  # ours
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows[table],
            )


def _point(run: Logged, key: str, step: int, value: float) -> tuple[object, ...]:
    """Return a metric's row: NaN and infinity are kept as MLflow keeps them."""
    stored = (
        0.0
        if math.isnan(value)
        else max(min(value, 1.7976931348623157e308), -1.7976931348623157e308)
    )
    return key, stored, math.isnan(value), run.start + step, step, run.id
