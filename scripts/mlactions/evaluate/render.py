"""The report of an evaluation, from its result.json alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlactions.evaluate.collect import LEAST_MEMORY, mebibytes
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Inline,
    Items,
    Listing,
    Paragraph,
    Report,
    Span,
    Strong,
    Table,
    Untrusted,
)
from mlactions.settings import Status

_STATUS = {
    "ok": Status.PASS,
    "interrupted": Status.SKIPPED,
    "not-run": Status.SKIPPED,
}
_OPEN_TAILS = 1
_MINUTES_FROM = 120


def render(result: Mapping[str, Any]) -> Report:
    """Return the verdict, the table with failures first, their logs, and what was skipped."""
    evaluations = sorted(result["evaluations"], key=lambda e: e["outcome"] == "ok")
    blocks: list[Block] = []
    if evaluations:
        blocks.append(_table(evaluations, result["metrics"]))
    if "matrix" in result and result["matrix"]["include"]:
        blocks.append(_matrix(result["matrix"]["include"]))
    blocks += _failures(evaluations)
    if result["notes"]:
        blocks.append(Items(tuple(map(with_code, result["notes"]))))
    if result["skipped"]:
        blocks.append(_skipped(result["skipped"]))
    if evaluations:
        blocks.append(_reasons(evaluations))
        blocks.append(_conditions(result))
    return Report("Evaluation", Status(result["status"]), result["verdict"], tuple(blocks))


def with_code(text: str) -> Inline:
    """Return our own sentence with what stands in backticks as code."""
    parts = re.split(r"`([^`]+)`", text)
    return tuple(Code(part) if odd % 2 else part for odd, part in enumerate(parts) if part)


def _table(evaluations: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    sides = {evaluation["side"] for evaluation in evaluations}
    seeded = any(evaluation["seed"] is not None for evaluation in evaluations)
    columns = [Column("Model")]
    columns += [Column("Side")] if len(sides) > 1 else []
    columns += [Column("Seed", "right")] if seeded else []
    columns += [Column("Outcome"), Column("Time", "right"), Column("Peak memory", "right")]
    columns += [Column(name, "right") for name in metrics]
    rows = []
    for evaluation in evaluations:
        cells: list[Inline] = [Code(evaluation["model"])]
        cells += [evaluation["side"]] if len(sides) > 1 else []
        cells += ["" if evaluation["seed"] is None else str(evaluation["seed"])] if seeded else []
        cells += [_outcome(evaluation), _time(evaluation), _memory(evaluation)]
        cells += [number(evaluation["metrics"].get(name)) for name in metrics]
        rows.append(tuple(cells))
    return Table(tuple(columns), tuple(rows))


def _matrix(jobs: Iterable[Mapping[str, str]]) -> Table:
    """Return the jobs of a fan-out and what each is to evaluate."""
    rows = [(job["shard"], Code(path)) for job in jobs for path in job["configs"].splitlines()]
    return Table((Column("Job", "right"), Column("Config")), tuple(rows))


def _outcome(evaluation: Mapping[str, Any]) -> Inline:
    outcome = evaluation["outcome"]
    status = _STATUS.get(outcome, Status.FAIL)
    if status is Status.FAIL and evaluation["side"] == "base":
        status = Status.WARN
    return Chip(status, outcome)


def _time(evaluation: Mapping[str, Any]) -> str:
    if evaluation["cached"]:
        return "cached"
    seconds = evaluation["seconds"]
    long = f"{seconds / 60:.1f} min" if seconds >= _MINUTES_FROM else f"{seconds:.1f} s"
    return long if evaluation["log"] else ""


def _memory(evaluation: Mapping[str, Any]) -> str:
    if not evaluation["log"]:
        return ""
    size = evaluation["peak_memory_bytes"]
    return "–" if size is None or size < LEAST_MEMORY else mebibytes(size)


def number(value: float | Sequence[float] | None) -> str:
    """Return a metric with four significant digits; of a list over seeds its mean and count."""
    if value is None:
        return ""
    if isinstance(value, Sequence):
        return f"{sum(value) / len(value):.4g} (n={len(value)})"
    return f"{value:.4g}"


def _failures(evaluations: Iterable[Mapping[str, Any]]) -> list[Block]:
    """Unfold the first failure's log: most runs that fail, fail once."""
    blocks: list[Block] = []
    for evaluation in evaluations:
        if evaluation["outcome"] in {"ok", "not-run"}:
            continue
        content: list[Block] = [Paragraph(_where(evaluation))]
        if any(line.strip() for line in evaluation["log_tail"]):
            content.append(Listing("\n".join(evaluation["log_tail"])))
        elif evaluation["log_tail"]:
            content.append(Paragraph("The log is empty."))
        summary = (Strong(_label(evaluation)), f": {evaluation['outcome']}")
        blocks.append(Details(summary, tuple(content), open=len(blocks) < _OPEN_TAILS))
    return blocks


def _where(evaluation: Mapping[str, Any]) -> Inline:
    spans: tuple[Span, ...] = (Strong(evaluation["outcome"].capitalize()),)
    if evaluation["file"]:
        spans += (" at ", Code(f"{evaluation['file']}:{evaluation['line']}"))
    if evaluation["detail"]:
        spans += (": ", Untrusted(evaluation["detail"].removesuffix(".")))
    if evaluation["log"]:
        spans += (". Log: ", Code(evaluation["log"]))
    return spans


def _label(evaluation: Mapping[str, Any]) -> str:
    side = " base" if evaluation["side"] == "base" else ""
    seed = "" if evaluation["seed"] is None else f" seed {evaluation['seed']}"
    return f"{evaluation['model']}{side}{seed}"


def _skipped(skipped: Sequence[Mapping[str, Any]]) -> Details:
    rows = tuple((Code(item["config"]), with_code(item["reason"])) for item in skipped)
    table = Table((Column("Config"), Column("Why it was skipped")), rows)
    return Details(f"Skipped as unchanged: {len(rows)}", (table,))


def _reasons(evaluations: Iterable[Mapping[str, Any]]) -> Details:
    reasons = {
        evaluation["config"]: evaluation["reason"]
        for evaluation in evaluations
        if evaluation["side"] == "head"
    }
    rows = tuple((Code(config), with_code(reason)) for config, reason in sorted(reasons.items()))
    table = Table((Column("Config"), Column("Why it was evaluated")), rows)
    return Details(f"Evaluated: {len(rows)}", (table,))


def _conditions(result: Mapping[str, Any]) -> Details:
    rows = []
    for side, conditions in sorted(result["conditions"].items(), reverse=True):
        commit = conditions["commit"][:12] or "no commit"
        dirty = (", with uncommitted changes",) if side == "head" and result["dirty"] else ()
        rows += [
            (f"{side}: commit", (Code(commit), *dirty)),
            (f"{side}: protocol", Code(conditions["protocol"][:19])),
            (f"{side}: Python, torch", _versions(conditions)),
            (f"{side}: hardware", conditions["hardware"].replace(";", ", ")),
        ]
    return Details("Provenance", (Table((Column("What"), Column("Value")), tuple(rows)),))


def _versions(conditions: Mapping[str, Any]) -> str:
    return f"{conditions['python'] or 'unknown'}, {conditions['torch'] or 'none'}"
