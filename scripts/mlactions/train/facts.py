"""What an agent gets to know of a training, and may cite by id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.publish import Fact


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return the verdict, the failure, every check, checkpoint and figure of a result."""
    return [
        Fact("train.verdict", f"{result['status']}: {result['verdict']}", result["status"]),
        *_failure(result),
        *_run(result),
        *_progress(result["progress"]),
        *_checks(result["preflight"]),
        *_checkpoints(result["checkpoint"]),
        *_telemetry(result["telemetry"]),
        *_machine(result["machine"]),
    ]


def _failure(result: Mapping[str, Any]) -> Iterator[Fact]:
    failure = result["failure"]
    if failure is None:
        return
    told = f"the failure is of the class {failure['class']}: {failure['evidence']}"
    yield Fact(
        "train.failure",
        told,
        failure["class"],
        file=failure["file"],
        line=failure["file_line"],
        data={"log_line": failure["line"]},
    )
    if result["run"]["stacks"]:
        data = {"stacks": result["run"]["stacks"]}
        yield Fact("train.stacks", "the stacks of the processes that hang", None, data=data)


def _run(result: Mapping[str, Any]) -> Iterator[Fact]:
    run = result["run"]
    if run is None:
        return
    seconds, code = run["seconds"], run["exit_code"]
    yield Fact("train.seconds", f"it ran for {seconds} s", seconds, "s")
    yield Fact("train.exit-code", f"it ended with exit code {code}", code)
    yield Fact("train.log", "the end of its log", run["log"], data={"tail": run["log_tail"]})
    if run["peak_memory_bytes"] is not None:
        peak = run["peak_memory_bytes"]
        yield Fact("train.peak-memory", f"its processes held up to {peak} bytes", peak, "bytes")
    attempt = result["attempt"]["number"]
    yield Fact("train.attempt", f"this was attempt {attempt}", attempt)


def _progress(progress: Mapping[str, Any]) -> Iterator[Fact]:
    if progress["step"] is not None:
        yield Fact("train.step", f"it came to step {progress['step']}", progress["step"])
    if progress["loss"] is not None:
        data = {"history": progress["history"]}
        told = f"the last loss it reported is {progress['loss']}"
        yield Fact("train.loss", told, progress["loss"], metric="loss", data=data)


def _checks(checks: list[Mapping[str, Any]]) -> Iterator[Fact]:
    for number, check in enumerate(checks):
        told = f"preflight {check['name']}: {check['status']}, {check['found']}"
        yield Fact(f"train.preflight.{number}.{check['name']}", told, check["status"])


def _checkpoints(found: Mapping[str, Any]) -> Iterator[Fact]:
    for name in ("resumed", "latest", "best"):
        one = found[name]
        if one is not None:
            told = f"the {name} checkpoint is {one['path']}, of step {one['step']}"
            data = {"metric": one["metric"]} if one["metric"] else {}
            yield Fact(f"train.checkpoint.{name}", told, one["step"], data=data)
    for number, one in enumerate(found["refused"]):
        told = f"the checkpoint {one['path']} was refused: {one['why']}"
        yield Fact(f"train.checkpoint.refused.{number}", told, one["path"])


def _telemetry(found: Mapping[str, Any] | None) -> Iterator[Fact]:
    if found is None:
        return
    spread = found["processor_percent"]
    if spread is not None:
        told = f"its processes used {spread['mean']:.0f} % of one processor core on average"
        yield Fact("train.processor", told, spread["mean"], "%", data=spread)
    units = {"utilization_percent": "%", "memory_bytes": "bytes", "power_watts": "W"}
    for gpu in found["gpus"]:
        for name, unit in units.items():
            if gpu[name] is not None:
                mean = gpu[name]["mean"]
                told = f"{name.replace('_', ' ')} of GPU {gpu['index']} was {mean:g} on average"
                identity = f"train.gpu{gpu['index']}.{name.replace('_', '-')}"
                yield Fact(identity, told, mean, unit, data=gpu[name])


def _machine(machine: Mapping[str, Any]) -> Iterator[Fact]:
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "none"
    torch = machine["torch"]["version"] if machine["torch"] else "unknown"
    told = f"processor {machine['processor']}, GPUs {gpus}, torch {torch}"
    yield Fact("train.machine", told, machine["kind"])
