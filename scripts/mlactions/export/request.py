"""The request to the program in the user's Python. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlactions.export.settings import Settings
from mlactions.export.spec import CasePlan, traced_lengths


def request_of(settings: Settings, *, scratch: Path, root: Path) -> dict[str, Any]:
    """Return everything that the program in the user's Python has to know, as JSON."""
    return {
        "version": 1,
        "scratch": str(scratch),
        "root": str(root),
        "factory": settings.factory,
        "model_arguments": dict(settings.model_arguments),
        "checkpoint": _checkpoint(settings),
        "checkpoint_key": settings.checkpoint_key,
        "allow_pickle": settings.allow_pickle,
        "examples": _examples(settings),
        "dynamic": {name: list(axes) for name, axes in settings.dynamic.items()},
        "outputs": list(settings.outputs),
        "axes": {axis.name: [axis.low, axis.high] for axis in settings.axes.values()},
        "first_axes": traced_lengths(settings.axes),
        "cases": [_case(case) for case in settings.cases],
        "timed_batches": list(settings.timed_batches),
        "opset": settings.opset,
        "precision": settings.precision,
        "task_data": str(settings.task_data) if settings.task_data else None,
    }


def _checkpoint(settings: Settings) -> dict[str, Any] | None:
    choice = settings.checkpoint
    if choice is None:
        return None
    return {"source": choice.source, **({"path": str(choice.path)} if choice.path else {})}


def _examples(settings: Settings) -> dict[str, Any]:
    examples = settings.examples
    if examples.target:
        return {"kind": "function", "target": examples.target}
    if examples.path:
        path = str(settings.folder / examples.path)
        return {"kind": "npz", "path": path, "source": examples.path}
    tensors = [{**vars(tensor), "shape": list(tensor.shape)} for tensor in examples.tensors]
    return {"kind": "shapes", "tensors": tensors}


def _case(case: CasePlan) -> dict[str, Any]:
    return {**vars(case), "axes": dict(case.axes)}
