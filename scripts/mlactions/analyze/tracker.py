"""Look runs up: in what the analysis kept of them, and in MLflow for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mlactions.analyze.records import Record, Records
from mlactions.confidential import masked
from mlactions.mlflow_store import Store, StoreError
from mlactions.values import canonical_key

Found = TypeVar("Found")

UNNAMED = "no tracking server was named to look it up in"
_NOT_THERE = frozenset({"no-run", "deleted"})


class Tracker:
    """What claims are held to. `store` is None where no tracking server was named.

    A server that cannot be reached is asked once: a claim that nobody can check does not hold.
    """

    def __init__(self, records: Records, result: Mapping[str, Any], store: Store | None) -> None:
        self._records = records
        self._experiment = str(result["source"]["experiment_id"])
        self._curves = {
            (item["run"], item["metric"]): dict(zip(item["steps"], item["values"], strict=True))
            for item in result["curves"]
        }
        self._store = store
        self._fault = "" if store is not None else UNNAMED
        self._found: dict[str, Record | str] = {}
        self._histories: dict[tuple[str, str], dict[int, float] | str] = {}

    def run(self, identifier: str, parameter: str = "") -> Record | str:
        """Return a run, with the whole value of a parameter, or why there is none."""
        record = self._records.find(identifier)
        if record is not None and not _is_cut(record, parameter):
            return record
        wanted = record.id if record is not None else identifier
        if wanted not in self._found:
            self._found[wanted] = self._ask(lambda store: self._read(store, wanted), wanted)
        return self._found[wanted]

    def at_step(self, run: str, metric: str, step: int) -> float | str:
        """Return a metric's value at a step, or why there is none."""
        kept = self._curves.get((run, metric), {}).get(step)
        if kept is not None:
            return float(kept)
        if (run, metric) not in self._histories:
            self._histories[run, metric] = self._ask(
                lambda store: {point.step: point.value for point in store.history(run, metric)},
                run,
            )
        history = self._histories[run, metric]
        if isinstance(history, str):
            return history
        if not history:
            return f"run {run} has no metric {metric!r}"
        return history.get(step, f"run {run} has no {metric!r} at step {step}")

    def _read(self, store: Store, identifier: str) -> Record | str:
        found = store.run(identifier)
        if found.experiment_id != self._experiment:
            return f"run {identifier} is not of this experiment"
        return Record(found.id, masked(found.params), found.metrics)

    def _ask(self, question: Callable[[Store], Found], run: str) -> Found | str:
        if self._store is None or self._fault:
            return self._fault
        try:
            return question(self._store)
        except StoreError as error:
            if error.state in _NOT_THERE:
                return f"MLflow has no run {run!r}" if error.state == "no-run" else error.message
            self._fault = f"it could not be looked up: {error.message}"
            return self._fault


def _is_cut(record: Record, parameter: str) -> bool:
    wanted = canonical_key(parameter)
    return any(canonical_key(name) == wanted for name in record.cut)
