"""result.json of a training: all that its report shows, and what `diagnose` reads."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlactions.confidential import shown_arguments
from mlactions.schema import validate
from mlactions.settings import Status
from mlactions.text import plural
from mlactions.train.advice import ADVICE, WITHOUT_CHECKPOINT
from mlactions.train.amounts import duration
from mlactions.train.figures import cost, telemetry
from mlactions.train.launch import surrounding
from mlactions.train.machine import Surroundings
from mlactions.train.model import (
    Check,
    Checkpoint,
    Checkpoints,
    Ended,
    Failure,
    Progress,
    Result,
    Settings,
    State,
)
from mlactions.train.preflight import failed

LOG, TELEMETRY, PROGRESS = "train.log", "telemetry.csv", "progress.csv"
FILES = frozenset({LOG, TELEMETRY, PROGRESS})
"""What a run leaves in its folder beside result, facts and reports."""

_MAX_VERDICT = 2000


def state_of(result: Result) -> State:
    """Return how a call of `train` ended."""
    if result.ended is None:
        return "not-ready" if failed(result.checks) else "ready"
    if result.ended.by in {"soft-limit", "signal"}:
        return "stopped"
    return "failed" if result.failure else "finished"


def status_of(result: Result) -> Status:
    """Return the verdict: what is continued by another attempt only warns."""
    state = state_of(result)
    if state in {"not-ready", "failed"}:
        return Status.FAIL
    if state == "stopped":
        return Status.WARN if result.requeue else Status.FAIL
    warned = state == "ready" and any(check.status == "warn" for check in result.checks)
    return Status.WARN if warned else Status.PASS


def requeue(
    settings: Settings, ended: Ended, before: Checkpoint | None, after: Checkpoints
) -> bool:
    """Return whether another attempt should continue.

    A soft limit that comes before the training has saved anything new would come again; so
    another attempt needs progress. A machine that was taken away says nothing of that.
    """
    if settings.attempt >= settings.max_attempts or ended.by not in {"soft-limit", "signal"}:
        return False
    if ended.by == "signal":
        return ended.stop_signal == signal.SIGTERM
    latest = after.latest
    return latest is not None and (before is None or latest.step > before.step)


def document(result: Result) -> dict[str, Any]:
    """Return result.json, checked against its schema."""
    made = {
        "version": 1,
        "word": "train",
        "status": str(status_of(result)),
        "verdict": verdict(result)[:_MAX_VERDICT],
        "commit": result.commit,
        "key": result.settings.key,
        "state": state_of(result),
        "command": _command(result),
        "machine": _machine(result.surroundings),
        "preflight": [asdict(check) for check in result.checks],
        "run": _run(result),
        "attempt": {
            "number": result.settings.attempt,
            "maximum": result.settings.max_attempts,
            "requeue": result.requeue,
        },
        "progress": _progress(result.ended.progress if result.ended else ()),
        "checkpoint": _checkpoints(result),
        "failure": _failure(result.failure, result.after.latest),
        "telemetry": telemetry(result.ended),
        "cost": cost(result),
        "notes": list(result.notes),
    }
    validate(made, "train-result", file="result.json")
    return made


def verdict(result: Result) -> str:
    """Return how it ended in one sentence."""
    state, ended = state_of(result), result.ended
    if ended is None:
        return _preflight_verdict(result.checks, result.surroundings)
    took = duration(ended.seconds)
    if state == "finished":
        return f"The training finished in {took}{_reached(result)}."
    failure = result.failure or Failure("unknown", "")
    if result.requeue:
        following = f"attempt {result.settings.attempt + 1} of {result.settings.max_attempts}"
        latest = result.after.latest
        place = f" from step {latest.step}" if latest else ""
        return f"The training was stopped after {took}; {following} can continue{place}."
    words = {
        "time-limit": f"reached its soft limit after {took}",
        "pre-empted": f"was pre-empted after {took}",
        "cancelled": f"was cancelled after {took}",
        "config-changed": "was not resumed",
        "stalled": f"stalled: nothing moved for {duration(result.settings.stalled_after)}",
    }
    told = words.get(failure.kind, f"failed after {took}: {failure.kind}")
    shown = {"time-limit", "pre-empted", "cancelled"}
    place = f", {failure.file}:{failure.file_line}" if failure.file else ""
    evidence = "" if failure.kind in shown else f" ({failure.evidence}{place})"
    return f"The training {told}{evidence}{_no_more(result)}."


def _no_more(result: Result) -> str:
    """Say why another attempt was not asked for, where one might be expected."""
    settings, ended = result.settings, result.ended
    if ended is None or ended.by not in {"soft-limit", "signal"}:
        return ""
    if ended.by == "signal" and ended.stop_signal != signal.SIGTERM:
        return ""
    if settings.attempt >= settings.max_attempts:
        return f", in the last of {plural(settings.max_attempts, 'attempt')}"
    return ", without a new checkpoint, so that another attempt would end the same"


def _reached(result: Result) -> str:
    best = result.after.best
    metric = best.metric if best else None
    if metric is None or metric["value"] is None or _is_of_another(result):
        return ""
    return f", best {metric['name']} {metric['value']:.6g}"


def _is_of_another(result: Result) -> bool:
    """Tell whether the best checkpoint was there before a training that began anew."""
    resumed = result.plan is not None and result.plan.resumed is not None
    return not resumed and result.after.best == result.before.best


def _preflight_verdict(checks: Sequence[Check], around: Surroundings) -> str:
    wrong = failed(checks)
    if wrong:
        first = f"{wrong[0].name}: {wrong[0].found}"
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return f"Nothing was started: the preflight failed ({first}{more})."
    kind = plural(len(around.visible), "GPU") if around.visible else "the CPU"
    warned = sum(check.status == "warn" for check in checks)
    tail = f", with {plural(warned, 'warning')}" if warned else ""
    return f"This machine is ready to train on {kind}{tail}."


def _command(result: Result) -> dict[str, Any]:
    plan, settings = result.plan, result.settings
    return {
        "arguments": [*shown_arguments(plan.arguments if plan else settings.arguments)],
        "nproc_per_node": settings.nproc_per_node,
        "nnodes": settings.nnodes,
        "inside": plan.inside if plan else surrounding({}),
    }


def _machine(around: Surroundings) -> dict[str, Any]:
    torch = around.torch
    known = None
    if torch is not None and not torch.problem:
        known = {key: getattr(torch, key) for key in ("version", "cuda", "available", "devices")}
    return {
        "kind": "gpu" if around.visible else "cpu",
        "processor": around.processor,
        "cpus": around.cpus,
        "memory_bytes": around.memory,
        "driver": around.driver.version,
        "cuda": around.driver.cuda,
        "gpus": [
            {"index": g.index, "name": g.name, "uuid": g.uuid, "memory_bytes": g.memory}
            for g in around.visible
        ],
        "python": around.python,
        "torch": known,
    }


def _run(result: Result) -> dict[str, Any] | None:
    ended = result.ended
    if ended is None:
        return None
    return {
        "started": ended.started,
        "seconds": round(ended.seconds, 3),
        "exit_code": ended.code,
        "signal": signal.Signals(-ended.code).name if ended.code < 0 else "",
        "ended_by": ended.by,
        "killed_for_memory": ended.out_of_memory,
        "peak_memory_bytes": ended.peak_memory,
        "log": LOG,
        "log_tail": list(result.log_tail),
        "stacks": list(result.stacks),
    }


def _loss(value: float | None) -> float | str | None:
    """JSON has no NaN; a loss that is none is said in words."""
    return value if value is None or math.isfinite(value) else str(value)


def _progress(points: Sequence[Progress]) -> dict[str, Any]:
    last = points[-1] if points else None
    return {
        "step": last.step if last else None,
        "loss": _loss(last.loss) if last else None,
        "eta_seconds": last.eta if last else None,
        "history": [
            {"seconds": point.seconds, "step": point.step, "loss": _loss(point.loss)}
            for point in points[-200:]
        ],
    }


def _checkpoints(result: Result) -> dict[str, Any]:
    plan, failure = result.plan, result.failure
    refused = failure is not None and failure.kind == "config-changed"  # by the training itself
    return {
        "folder": result.settings.checkpoints_name,
        "resumed": _checkpoint(plan.resumed if plan and not refused else None),
        "latest": _checkpoint(result.after.latest),
        "best": _checkpoint(result.after.best),
        "refused": [asdict(one) for one in (plan.refused if plan else result.after.refused)],
    }


def _checkpoint(found: Checkpoint | None) -> dict[str, Any] | None:
    return asdict(found) if found else None


def _failure(failure: Failure | None, latest: Checkpoint | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    lost = latest is None and failure.kind in {"time-limit", "pre-empted", "cancelled"}
    advice = WITHOUT_CHECKPOINT if lost else ADVICE[failure.kind]
    return {
        "class": failure.kind,
        "evidence": failure.evidence,
        "line": failure.line,
        "file": failure.file,
        "file_line": failure.file_line,
        "advice": list(advice),
    }
