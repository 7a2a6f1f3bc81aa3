"""Learning curves: the histories of the best and the failed runs, and of no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mlactions.analyze.model import RunCurve, Settings
from mlactions.analyze.study import Study, best_rows
from mlactions.curves import Direction, Value, classify, is_usable, partner
from mlactions.mlflow_store import Store, StoreError

MAX_FAILED = 10
POINTS = 100
Why = Literal["best", "failed"]

_GONE = {"deleted", "no-run"}
_LOWER = ("loss", "error", "perplexity", "rmse", "mse", "mae", "nll")
_LOSSES = ("val_loss", "valid_loss", "train_loss", "loss", "val/loss", "train/loss")


@dataclass(frozen=True)
class Curves:
    """The curves that could be read, and the runs that were gone by then."""

    curves: tuple[RunCurve, ...] = ()
    gone: tuple[str, ...] = ()


def read_curves(store: Store, found: Study) -> Curves:
    """Return the curves of the best runs, then of the newest that failed."""
    table = found.table
    failed = sorted(found.selection.failed, key=lambda row: (-table.starts[row], row))
    curves: list[RunCurve] = []
    gone: list[str] = []
    wanted: list[tuple[int, Why]] = [(row, "best") for row in best_rows(found)]
    wanted += [(row, "failed") for row in failed[:MAX_FAILED]]
    for row, why in wanted:
        try:
            curves += list(_of_run(store, found, row, why))
        except StoreError as error:
            if error.state not in _GONE:
                raise
            gone.append(table.ids[row])
    return Curves(tuple(curves), tuple(gone))


def _of_run(store: Store, found: Study, row: int, why: Why) -> Iterator[RunCurve]:
    settings, table = found.settings, found.table
    run, known = table.ids[row], table.metric_names
    metrics = dict.fromkeys([settings.metric, *settings.curves])
    loss = next((name for name in _LOSSES if name in known), "")
    if loss and why == "failed":
        metrics.setdefault(loss)
    for metric in metrics:
        if metric not in known:
            continue
        values = _history(store, run, metric)
        training = partner(metric, list(known))
        if values:
            curve = classify(
                values,
                direction_of(metric, settings),
                _history(store, run, training) if training and len(values) > 1 else (),
            )
            steps, drawn = thinned(values)
            yield RunCurve(run, table.names[row][:200], metric, why, curve, steps, drawn)


def direction_of(metric: str, settings: Settings) -> Direction:
    """Return which values are better: as the user said of the metric, by the name of another."""
    if metric == settings.metric:
        return settings.direction
    return "lower" if any(word in metric.lower() for word in _LOWER) else "higher"


def _history(store: Store, run: str, metric: str) -> list[Value]:
    return [(point.step, point.value) for point in store.history(run, metric)]


def thinned(values: Sequence[Value]) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Return at most POINTS values, the first and the last among them; None where not finite."""
    last = len(values) - 1
    count = min(len(values), POINTS)
    chosen = sorted({round(at * last / (count - 1)) for at in range(count)}) if count > 1 else [0]
    shown = [values[at] for at in chosen]
    finite = [value if is_usable(value) else None for _, value in shown]
    return tuple(step for step, _ in shown), tuple(finite)
