"""The bundle's documents: evaluation.json, metrics per model, result.json's content, facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.bundle import write_json
from mlactions.evaluate.collect import model_metrics, model_seeds
from mlactions.evaluate.plan import Plan
from mlactions.evaluate.provenance import Environment
from mlactions.evaluate.records import Outcome, Record, Side
from mlactions.schema import validate
from mlactions.settings import Status
from mlactions.text import one_line

FOLDERS: Mapping[Side, str] = {"head": "metrics", "base": "base/metrics"}

_TEXT = 4096


@dataclass(frozen=True)
class Conditions:
    """What holds for all evaluations of one side; `configs` has a hash per config path."""

    commit: str
    dirty: bool
    protocol: str
    configs: Mapping[str, str]
    environment: Environment


@dataclass(frozen=True)
class Measured:
    """Everything a run knows in the end."""

    plan: Plan
    records: tuple[Record, ...]
    conditions: Mapping[Side, Conditions]
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def of(self, side: Side) -> tuple[Record, ...]:
        """Return the records of one side."""
        return tuple(record for record in self.records if record.task.side == side)

    @property
    def commit(self) -> str:
        """The commit that was evaluated, "" outside of a repository."""
        return self.conditions["head"].commit


def write_documents(out: Path, measured: Measured) -> None:
    """Write evaluation.json and one metrics file per model and side that has numbers."""
    document = evaluation_document(measured)
    validate(document, "evaluation", file="evaluation.json")
    write_json(out / "evaluation.json", document)
    for side, folder in FOLDERS.items():
        for model, records in by_model(measured.of(side)).items():
            if any(record.ok for record in records):
                content = _metrics_document(records, measured.conditions[side])
                write_json(out / folder / f"{model}.json", content)


def evaluation_document(measured: Measured) -> dict[str, Any]:
    """Return what `compare` reads: the expected models, and how each evaluation ended."""
    plan = measured.plan
    return {
        "version": 1,
        "word": "evaluate",
        "commit": measured.commit,
        "dirty": measured.conditions["head"].dirty,
        "base": plan.base,
        "expected": sorted(choice.config.model for choice in plan.selected),
        **({"elsewhere": sorted(c.model for c in plan.elsewhere)} if plan.elsewhere else {}),
        "skipped": [
            {"model": c.config.model, "config": c.config.path, "reason": _cut(c.reason)}
            for c in plan.skipped
        ],
        "removed": [
            {
                "model": gone.config.model,
                "config": _cut(one_line(gone.config.path)),
                "kind": gone.kind,
                "renamed_to": gone.renamed_to,
            }
            for gone in plan.removed
        ],
        "notes": [_cut(note) for note in (*plan.notes, *measured.notes)],
        "evaluations": [_evaluation(record) for record in measured.records],
    }


def _evaluation(record: Record) -> dict[str, Any]:
    task = record.task
    return {
        "model": task.config.model,
        "config": task.config.path,
        "side": task.side,
        "seed": task.seed,
        "reason": _cut(task.reason),
        "outcome": str(record.outcome),
        "detail": _cut(record.detail),
        "seconds": record.seconds,
        "peak_memory_bytes": record.peak_memory,
        "log": record.log,
        "log_tail": list(record.log_tail),
        "metrics": {
            name: values[0] if len(values) == 1 else list(values)
            for name, values in record.metrics.items()
        },
        "predictions": record.predictions,
        "file": record.place.file if record.place else None,
        "line": record.place.line if record.place else None,
        "cached": record.cached,
    }


def _metrics_document(records: tuple[Record, ...], conditions: Conditions) -> dict[str, Any]:
    seeds = model_seeds(records)
    return {
        "metrics": model_metrics(records),
        "seeds": seeds,
        "provenance": {
            "commit": conditions.commit,
            "dirty": conditions.dirty,
            "protocol": conditions.protocol,
            "config": conditions.configs.get(records[0].task.config.path),
            "data": reported_data(records),
            "seeds": seeds,
            "hardware": conditions.environment.hardware,
            "python": conditions.environment.python,
            "torch": conditions.environment.torch,
        },
    }


def reported_data(records: Iterable[Record]) -> str | None:
    """Return the data hash that the user's script reports; of several, each once, sorted.

    A bare hexadecimal digest gets the `sha256:` that baselines are written with.
    """
    found = {_digest(r.reported["data"]) for r in records if r.ok and "data" in r.reported}
    return "+".join(sorted(found))[:1000] or None


def _digest(value: Any) -> str:
    text = one_line(str(value))
    bare = len(text) == 64 and not set(text) - set("0123456789abcdef")  # noqa: PLR2004
    return f"sha256:{text}" if bare else text


def status_of(measured: Measured) -> Status:
    """Fail unless every evaluation of the head ended ok; a broken base only warns."""
    if measured.interrupted or any(not record.ok for record in measured.of("head")):
        return Status.FAIL
    if any(not record.ok for record in measured.of("base")):
        return Status.WARN
    return Status.PASS if measured.plan.selected else Status.SKIPPED


def verdict_of(measured: Measured) -> str:
    """Return the verdict in one sentence."""
    head = measured.of("head")
    bad = [record for record in head if not record.ok]
    unchanged = len(measured.plan.skipped)
    tail = f"; {count(unchanged, 'config')} unchanged" if unchanged else ""
    models = len({record.task.config.model for record in head})
    if measured.interrupted:
        done = sum(record.ok for record in head)
        return f"Stopped early: {done} of {count(len(head), 'evaluation')} had ended ok."
    if not head and measured.plan.selected:
        planned = len(measured.plan.selected)
        return f"{count(planned, 'config')} to evaluate in other jobs{tail}."
    if not head:
        return f"Nothing to evaluate: {count(unchanged, 'config')} unchanged."
    if bad:
        counts = _outcomes(bad)
        return f"{len(bad)} of {count(len(head), 'evaluation')} failed ({counts}){tail}."
    base = [record for record in measured.of("base") if not record.ok]
    if base:
        return (
            f"{count(len(head), 'evaluation')} ended ok, but"
            f" {len(base)} at the base did not ({_outcomes(base)}){tail}."
        )
    return f"{count(models, 'model')} evaluated in {count(len(head), 'run')}, all ok{tail}."


def _outcomes(records: Sequence[Record]) -> str:
    kinds = [record.outcome for record in records]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in Outcome if kind in kinds)


def count(number: int, noun: str) -> str:
    """Return `1 config`, `3 configs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def by_model(records: Iterable[Record]) -> dict[str, tuple[Record, ...]]:
    """Return the records of one side by model, in their order."""
    models: dict[str, tuple[Record, ...]] = {}
    for record in records:
        name = record.task.config.model
        models[name] = (*models.get(name, ()), record)
    return models


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
