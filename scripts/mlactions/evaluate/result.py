"""result.json and facts.json of a run: all that the report shows, all that an agent may cite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlactions.evaluate.collect import LEAST_MEMORY, mebibytes, model_metrics
from mlactions.evaluate.documents import (
    Conditions,
    Measured,
    by_model,
    evaluation_document,
    status_of,
    verdict_of,
)
from mlactions.evaluate.records import Record
from mlactions.publish import Fact
from mlactions.schema import validate
from mlactions.text import one_line

SHOWN_METRICS = 3
SHOWN_TAILS = 30
_CHANGED = 200


def result_document(
    measured: Measured,
    *,
    key: str,
    preferred: Sequence[str],
    matrix: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return result.json. `preferred` names metrics to show first, as the baseline orders them.

    `matrix` are the jobs of a fan-out, where nothing was evaluated but planned.
    """
    columns = metric_columns(measured.records, preferred)
    evaluation = evaluation_document(measured)
    result = {
        "version": 1,
        "word": "evaluate",
        "status": str(status_of(measured)),
        "verdict": verdict_of(measured),
        "commit": measured.commit,
        "key": key,
        "dirty": evaluation["dirty"],
        "base": evaluation["base"],
        "interrupted": measured.interrupted,
        "expected": evaluation["expected"],
        "skipped": evaluation["skipped"],
        "notes": evaluation["notes"],
        "metrics": columns,
        "evaluations": _brief(evaluation["evaluations"], set(columns)),
        "conditions": {
            side: _conditions(conditions) for side, conditions in measured.conditions.items()
        },
    }
    if matrix is not None:
        result["matrix"] = matrix
    validate(result, "evaluate-result", file="result.json")
    return result


def metric_columns(records: Iterable[Record], preferred: Sequence[str]) -> list[str]:
    """Return the few metrics that the report shows: the baseline's first, then the most common."""
    counts = Counter(name for record in records for name in record.metrics)
    named = [name for name in dict.fromkeys(preferred) if name in counts]
    common = sorted(counts, key=lambda name: ("/" in name, -counts[name]))
    return list(dict.fromkeys([*named, *common]))[:SHOWN_METRICS]


def _brief(evaluations: Sequence[dict[str, Any]], columns: set[str]) -> list[dict[str, Any]]:
    """Keep what the report shows: a few metrics, and the log's end of the first failures."""
    brief, tails = [], 0
    for evaluation in evaluations:
        failed = evaluation["outcome"] != "ok"
        tails += failed
        shown = {k: v for k, v in evaluation["metrics"].items() if k in columns}
        tail = evaluation["log_tail"] if failed and tails <= SHOWN_TAILS else []
        brief.append({**evaluation, "metrics": shown, "log_tail": tail})
    return brief


def _conditions(conditions: Conditions) -> dict[str, Any]:
    environment = conditions.environment
    return {
        "commit": conditions.commit,
        "protocol": conditions.protocol,
        "hardware": environment.hardware,
        "python": environment.python,
        "torch": environment.torch,
    }


def facts_of(measured: Measured) -> list[Fact]:
    """Return the facts of every evaluation, of every skipped config, and of the change itself."""
    facts = [_change_fact(measured)] if measured.plan.changes else []
    for skipped in measured.plan.skipped:
        model = skipped.config.model
        facts.append(
            Fact(_id(model, "skipped"), f"{model} was skipped: {skipped.reason}", model=model)
        )
    for record in measured.records:
        facts += _record_facts(record)
    facts += _metric_facts(measured)
    return _unique(facts)


def _change_fact(measured: Measured) -> Fact:
    changes = measured.plan.changes
    listed = [
        {"path": one_line(c.path), "kind": c.kind, "old": c.old and one_line(c.old)}
        for c in changes[:_CHANGED]
    ]
    text = f"{len(changes)} files differ from the merge base"
    return Fact("evaluate.changes", text, len(changes), "files", data={"files": listed})


def _record_facts(record: Record) -> Iterator[Fact]:
    task, label = record.task, record.task.label
    model, stem = task.config.model, f"{task.side}.{task.stem}"
    file, line = (record.place.file, record.place.line) if record.place else (None, None)
    yield Fact(
        _id(model, f"{stem}.outcome"),
        f"{label} ended {record.outcome}{': ' if record.detail else ''}{record.detail}",
        str(record.outcome),
        model=model,
        file=file,
        line=line,
        data={"config": task.config.path, "selected": task.reason},
    )
    if record.log is None:
        return
    text = f"{label} took {record.seconds:.1f} s"
    yield Fact(_id(model, f"{stem}.seconds"), text, record.seconds, "s", model)
    if record.peak_memory is not None and record.peak_memory >= LEAST_MEMORY:
        text = f"{label} needed up to {mebibytes(record.peak_memory)} of memory"
        yield Fact(_id(model, f"{stem}.memory"), text, record.peak_memory, "bytes", model)
    yield Fact(
        _id(model, f"{stem}.log"),
        f"the log of {label}",
        record.log,
        model=model,
        file=file,
        line=line,
        data={} if record.ok else {"tail": list(record.log_tail)},
    )


def _metric_facts(measured: Measured) -> Iterator[Fact]:
    """Yield one fact per model, side and metric: the mean over the seeds that ended ok."""
    for side in measured.conditions:
        for model, records in by_model(measured.of(side)).items():
            for name, values in model_metrics(records).items():
                mean = sum(values) / len(values)
                text = f"{name} of {model} is {mean:.6g} at the {side}"
                data = {"values": values}
                identity = _id(model, f"{side}.metric.{name}")
                yield Fact(identity, text, mean, model=model, metric=name, data=data)


def _id(model: str, rest: str) -> str:
    return re.sub(r"[^a-z0-9._/=-]", "-", f"evaluate.{model}.{rest}".lower())[:190]


def _unique(facts: Iterable[Fact]) -> list[Fact]:
    """Tell apart ids that became equal when capitals and odd characters went."""
    seen: Counter[str] = Counter()
    unique = []
    for fact in facts:
        seen[fact.id] += 1
        count = seen[fact.id]
        unique.append(fact if count == 1 else replace(fact, id=f"{fact.id}--{count}"))
    return unique
