"""The parity matrix's left side: inputs, what PyTorch makes of them, how long it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from . import reference as references
from .examples import Arrays, Given, Source
from .problems import BadInput, Failed
from .program import Session
from .reference import Reference
from .variation import Samples, vary


def compute_cases(session: Session, reference: Reference, source: Source) -> None:
    """Draw every planned input, and keep what the model makes of it."""
    plan = session.request["cases"]
    session.stage("references", f"computing {len(plan)} references")
    samples = Samples([(tensor["name"], tensor["shape"]) for tensor in source.tensors])
    found = []
    for planned in plan:
        axes = _axes(session, planned)
        arrays = source.draw(axes, planned["seed"], planned["values"])
        if planned["kind"] == "gated":
            samples.add(arrays)
        try:
            found.append(_case(session, reference, source, planned, arrays))
        except Failed as error:
            if planned["kind"] != "edge":
                raise
            kind = planned["values"]
            session.note(f"torch refuses the {kind} input, an edge case that is left out: {error}")
    if isinstance(source, Given) and samples.alike():
        found += _varied_cases(session, reference, source, samples.alike())
    session.write(cases=found)


def _axes(session: Session, planned: Mapping[str, Any]) -> dict[str, int]:
    base: dict[str, int] = session.known["first_axes"]
    return base | {n: v for n, v in planned["axes"].items() if n in base}


def _varied_cases(
    session: Session, reference: Reference, source: Given, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a case more for every gated one of the first seed, in which the samples differ.

    The values are ours, not the user's: where the model cannot take those of all inputs together,
    one input after the other is varied too, and stays as it was where the model refuses that.
    """
    try:
        return _varied(session, reference, source, names)
    except (BadInput, Failed) as error:
        refused = error
    kept: list[str] = []
    found: list[dict[str, Any]] = []
    for name in names if len(names) > 1 else ():
        try:
            found = _varied(session, reference, source, [*kept, name])
            kept.append(name)
        except (BadInput, Failed) as error:
            refused = error
    listed = ", ".join(f"`{name}`" for name in names if name not in kept)
    if listed:
        session.note(f"Few samples of {listed} differ, and others could not be made: {refused}")
    return found


def _varied(
    session: Session, reference: Reference, source: Given, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the cases in which the samples of these inputs differ.

    Raises BadInput or Failed where the model does not take them.
    """
    tensors = [tensor for tensor in source.tensors if tensor["name"] in names]
    gated = [planned for planned in session.request["cases"] if planned["kind"] == "gated"]
    found = []
    for planned in [one for one in gated if one["seed"] == gated[0]["seed"]]:
        changed = {**planned, "id": f"{planned['id']}-varied", "values": "varied", "noise": False}
        arrays = source.random(_axes(session, planned), planned["seed"])
        varied = vary(arrays, source.arrays, tensors, planned["seed"])
        if all(np.array_equal(varied[name], arrays[name], equal_nan=True) for name in names):
            continue
        found.append(_case(session, reference, source, changed, varied, finite=True))
    return found


def _case(
    session: Session,
    reference: Reference,
    source: Source,
    planned: Mapping[str, Any],
    arrays: Arrays,
    *,
    finite: bool = False,
) -> dict[str, Any]:
    """Keep one case; `finite` refuses inputs that the model makes NaN of."""
    axes = _axes(session, planned)
    keep = {key: planned[key] for key in ("id", "kind", "seed", "values")}
    batch = axes.get("batch") or fixed_batch(source)
    if "batch" not in axes:  # the plan knows declared axes only
        keep["id"] = planned["id"].replace("batch-1-", f"batch-{batch}-", 1)
    arrays = references.as_precision(arrays, session.request["precision"])
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
    outputs = reference.checked(arrays, f"{shapes} ({planned['values']})")
    if finite and any(bool(output.isnan().any()) for output in outputs.values()):
        raise BadInput("the model makes NaN of them.")
    names = {part: f"cases/{keep['id']}.{part}.npz" for part in ("inputs", "reference")}
    references.save(session.scratch / names["inputs"], arrays)
    references.save(session.scratch / names["reference"], references.to_arrays(outputs))
    noise: dict[str, Any] = {"float64": None, "threads": None, "relative": None}
    noise["note"] = "not measured for this case"
    if planned["noise"]:
        noise = reference.noise(arrays, outputs)
    return {**keep, "batch": batch, "axes": axes, **names, "noise": noise}


def fixed_batch(source: Source) -> int:
    """Return the first length that all inputs share; 1 where they do not."""
    first = {tensor["shape"][0] for tensor in source.tensors if tensor["shape"]}
    length = first.pop() if len(first) == 1 else 1
    return length if isinstance(length, int) else 1


def compute_task(session: Session, reference: Reference) -> None:
    """Keep what the model makes of the labelled samples."""
    given = session.request["task_data"]
    if given is None:
        session.known["task"] = None
        return
    session.stage("task", "computing the task's references")
    batch = min(64, session.request["axes"].get("batch", (1, 64))[1])
    samples, arrays, batches = references.task_batches(Path(given), reference.call.names, batch)
    precision = session.request["precision"]
    parts: Iterable[dict[str, Tensor]] = (
        reference.checked(references.as_precision(part, precision), "the task's data")
        for part in batches
    )
    outputs = references.joined(parts)
    inputs = references.as_precision({n: arrays[n] for n in reference.call.names}, precision)
    names = {part: f"task/{part}.npz" for part in ("inputs", "reference")}
    references.save(session.scratch / names["inputs"], {**inputs, "label": arrays["label"]})
    references.save(session.scratch / names["reference"], outputs)
    session.write(task={"samples": samples, **names})


def compute_times(session: Session, reference: Reference, source: Source) -> None:
    """Time PyTorch's own forward passes."""
    session.stage("timing", "timing PyTorch")
    base = session.known["first_axes"]
    for batch in session.request["timed_batches"] if "batch" in base else ():
        arrays = source.random({**base, "batch": batch}, 0)
        seconds = reference.eager(references.as_precision(arrays, session.request["precision"]))
        session.known["timing"]["eager"][str(batch)] = seconds
